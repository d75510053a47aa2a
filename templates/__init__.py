"""The Jinja files, and the one function that renders them.

A name from data (a column, a label, a file name) is never pasted into generated code: generated code reads it from a
JSON file at start. What must stand in YAML or Markdown goes through the filter `to_json`, which both read.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2
    import markupsafe

FOLDER = Path(__file__).parent


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=jinja2.select_autoescape(enabled_extensions=("html", "html.j2"), default=False),
    )
    environment.filters["to_json"] = functools.partial(json.dumps, ensure_ascii=False, allow_nan=False)
    environment.filters["md"] = plain_markdown
    return environment


def plain_markdown(value: object) -> str:
    """Text that Markdown takes as nothing but text, in one line."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]#!|~]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def trusted(text: str) -> markupsafe.Markup:
    """Text of ours that goes into HTML as it is; never anything from data."""
    import markupsafe

    return markupsafe.Markup(text)  # noqa: S704


def render(name: str, /, **values: Any) -> str:
    """The text of template `name` (a path under templates/) filled with `values`.

    Raises jinja2.UndefinedError when the template asks for a value that is not given.
    """
    return _environment().get_template(name).render(**values)
