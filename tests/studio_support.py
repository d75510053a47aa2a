"""A studio to ask without a port: its app is called as a server would call it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from studio.app import make_app
from studio.guard import Pass
from studio.web import Studio

PORT = 8899
HOST = f"127.0.0.1:{PORT}"
ORIGIN = f"http://{HOST}"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


class Client:
    """A browser that came by the link; `ask` is one that says of itself what it likes."""

    def __init__(self, home: Path) -> None:
        self.studio = Studio(home, Pass(PORT))
        self.app = make_app(self.studio)

    @property
    def headers(self) -> dict[str, str]:
        passed = self.studio.passed
        return {"host": HOST, "cookie": f"{passed.cookie}={passed.session}"}

    def get(self, path: str, **more: str) -> Answer:
        return self.ask("GET", path, {**self.headers, **more})

    def post(self, path: str, fields: Sequence[tuple[str, str]] | Mapping[str, str] = (), **more: str) -> Answer:
        """A form of a page of ours."""
        pairs = [*(fields.items() if isinstance(fields, Mapping) else fields), ("csrf", self.studio.passed.csrf)]
        return self.ask("POST", path, {**self.headers, "origin": ORIGIN, **more}, urlencode(pairs).encode())

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, stays: bool = True
    ) -> Answer:
        """stays: whether the browser is there until all of the body is sent."""
        return asyncio.run(self._ask(method, path, headers, body, stays))

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes, stays: bool) -> Answer:
        from urllib.parse import unquote

        place, _, query = path.partition("?")
        sent: list[Any] = []
        parts = [body[begin : begin + 65536] for begin in range(0, len(body), 65536)] or [b""]

        async def receive() -> dict[str, Any]:
            if parts:
                return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts) or not stays}
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(place),
            "raw_path": place.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
            "server": ("127.0.0.1", PORT),
            "client": ("127.0.0.1", 50000),
        }
        await self.app(scope, receive, send)
        begun = next(one for one in sent if one["type"] == "http.response.start")
        raw = b"".join(one.get("body", b"") for one in sent if one["type"] == "http.response.body")
        found = {name.decode(): value.decode("latin-1") for name, value in begun["headers"]}
        return Answer(begun["status"], found, raw.decode("utf-8", "replace"))
