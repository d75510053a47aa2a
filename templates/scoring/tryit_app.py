"""What `forestay score serve` puts in front of wsgi.py: one more page, to try the service in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

try:
    from wsgi import app as served  # type: ignore[import-not-found,unused-ignore]  # in the folder that is served
except ModuleNotFoundError:  # a folder made by an earlier version
    from azureml_inference_server_http.server.entry import app as served

PAGE = Path(__file__).with_name("tryit.html").read_bytes()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ.get("PATH_INFO") != "/docs" or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return served(environ, start_response)  # type: ignore[no-any-return,unused-ignore]
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(PAGE))),
        ("Cache-Control", "no-store"),
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    start_response("200 OK", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [PAGE]
