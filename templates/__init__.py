"""The Jinja files, and the one function that renders them.

A name from data (a column, a label, a file name) is never pasted into generated code: generated code reads it from a
JSON file at start. What must stand in YAML or Markdown goes through the filter `to_json`, which both read.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

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
    return environment


def render(name: str, **values: Any) -> str:
    """The text of template `name` (a path under templates/) filled with `values`.

    Raises jinja2.UndefinedError when the template asks for a value that is not given.
    """
    return _environment().get_template(name).render(**values)
