"""Changes of YAML whose comments and order stay, and settings written into the text of a job file so."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from automl_jobs.spec.loader import key_steps, read_job
from forestay.documents.document import parse_value


def rewritten(text: str, change: Callable[[Any], None]) -> str:
    """The text of a YAML mapping with what `change` does to it."""
    from ruamel.yaml import YAML

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 1_000_000
    editor.indent(mapping=2, sequence=4, offset=2)
    document = editor.load(text)
    change(document)
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def written(text: str, settings: Mapping[str, str], path: Path) -> str:
    """The text with each setting in its place.

    Parameters
    ----------
    settings: dotted key -> YAML value, as `--set` takes them; `null` removes a key.
    path: where the file will lie, for messages.

    Raises InputError with every setting that can't be, each at "--set KEY".
    """
    spec = read_job(text, path, settings).spec
    if not settings:
        return text
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    def set_all(document: Any) -> None:
        for key, value in settings.items():
            *sections, last = key_steps(type(spec), key)
            section = document
            for step in sections:
                if section.get(step) is None:
                    section[step] = {}
                section = section[step]
            read = parse_value(value, f"--set {key}")
            if read is None:
                section.pop(last, None)
            elif sections == ["properties"]:  # Azure takes texts only
                section[last] = DoubleQuotedScalarString(value)
            else:
                section[last] = read

    return rewritten(text, set_all)
