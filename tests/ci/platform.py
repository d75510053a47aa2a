"""What runners ask of the systems themselves, on loopback: assertions to log in with, and comments of pull requests."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOKEN = "the-token-of-this-run"
GH = """#!/usr/bin/env python3
import json, sys, urllib.request
words = sys.argv[1:]
assert words.pop(0) == "api", words
method, fields, path = "GET", {{}}, ""
while words:
    word = words.pop(0)
    if word == "--method":
        method = words.pop(0)
    elif word == "--field":
        key, _, value = words.pop(0).partition("=@")
        fields[key] = open(value, encoding="utf-8").read()
    elif not word.startswith("--"):
        path = word
data = json.dumps(fields).encode() if method != "GET" else None
request = urllib.request.Request("{address}github/" + path, data, method=method)
sys.stdout.write(urllib.request.urlopen(request).read().decode())
"""


@dataclass
class Platform:
    """Attributes: address: ends in a slash. asked: what was asked for. comments: under the pull request, by number."""

    address: str = ""
    asked: list[str] = field(default_factory=list)
    comments: dict[int, str] = field(default_factory=dict)

    def answer(self, method: str, path: str, token: str, body: Any) -> Any:
        """The answer to a request; None for one that is not known."""
        self.asked.append(f"{method} {path}")
        where = urllib.parse.urlsplit(path)
        asked = urllib.parse.parse_qs(where.query)
        if where.path.startswith("/github/"):
            return self._github(method, where.path, body)
        if token != f"Bearer {TOKEN}":
            return None
        if where.path == "/assertion" and asked.get("audience") == ["api://AzureADTokenExchange"]:
            return {"value": f"assertion-{len(self.asked)}"}
        if (method, where.path) == ("POST", "/oidc") and asked.get("serviceConnectionId") == ["connection"]:
            return {"oidcToken": f"assertion-{len(self.asked)}"}
        if "/pullRequests/7/threads" in where.path and asked.get("api-version") == ["7.1"]:
            return self._devops(method, where.path, body)
        return None

    def _github(self, method: str, path: str, body: Any) -> Any:
        if method == "GET":
            return [{"id": one, "user": {"type": "Bot"}, "body": text} for one, text in self.comments.items()]
        return self._written(int(path.rpartition("/")[2]) if method == "PATCH" else None, body["body"])

    def _devops(self, method: str, path: str, body: Any) -> Any:
        if method == "GET":
            return {
                "value": [{"id": one, "comments": [{"id": 1, "content": text}]} for one, text in self.comments.items()]
            }
        if method == "PATCH":
            return self._written(int(path.split("/")[-3]), body["content"])
        return self._written(None, body["comments"][0]["content"])

    def _written(self, number: int | None, text: str) -> Any:
        self.comments[number or 100 + len(self.comments)] = text
        return {}


@contextlib.contextmanager
def platform(bin: Path) -> Iterator[Platform]:
    """The platform; `gh` in the folder `bin` speaks to it."""
    found = Platform()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            answer = found.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            data = json.dumps(answer).encode()
            self.send_response(403 if answer is None else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _answer

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        found.address = f"http://127.0.0.1:{server.server_port}/"
        gh = bin / "gh"
        gh.write_text(GH.format(address=found.address), encoding="utf-8")
        gh.chmod(0o755)
        yield found
        server.shutdown()
