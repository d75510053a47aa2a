"""The page on which a person tries a service, made from its OpenAPI document; only `score serve` has it.

Names of columns, labels and models are data: they reach the page as one JSON block and are shown as text. The page
holds its own style and script and is told, by its policy, to ask nothing but the server that it came from.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import templates
from forestay.errors import InputError

_ESCAPED = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def page(openapi: Path) -> str:
    """The page for the OpenAPI document at `openapi`. Raises InputError when that is not JSON."""
    return templates.render("scoring/tryit.html.j2", document=embedded(openapi), nonce=secrets.token_urlsafe(16))


def embedded(openapi: Path) -> str:
    """The document at `openapi` as it may stand in a script element. Raises InputError when that is not JSON."""
    try:
        document: Any = json.loads(openapi.read_bytes())
        if not isinstance(document, dict):
            raise ValueError("it is not an object")
    except OSError as error:
        fix = "generate it again: forestay score generate"
        raise InputError(f"cannot read: {error.strerror}", where=str(openapi), fix=fix) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not an OpenAPI document: {error}", where=str(openapi), fix="correct it") from error
    return json.dumps(document).translate(_ESCAPED)
