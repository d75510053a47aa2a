"""A small, strict stand-in for Azure Resource Manager on this machine.

It keeps what is put, checks each body against the published schemas where they are at hand, wants a token, a known API
version and parents that are there, answers storage accounts as a long-running operation, and can be told to refuse.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from azure.core.credentials import AccessToken

from infra.arm import Arm
from infra.plan import arm
from tests.infra.recording import arm_check

TENANT = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
CALLER = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
# A provider's types as its metadata lists them.
VERSIONS = ["2020-05-01", "2030-01-01-preview"]


def token(**claims: Any) -> str:
    """A token that nobody signed."""
    body = json.dumps({"oid": CALLER, "tid": TENANT, "exp": 4102444800, **claims})
    return f"e30.{base64.urlsafe_b64encode(body.encode()).decode().rstrip('=')}."


class Login:
    """A credential."""

    def __init__(self, **claims: Any) -> None:
        self.claims = claims

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(token(**self.claims), 4102444800)


class StandIn:
    """What is there by id, the requests that came, and what shall be refused: end of an id -> (status, error)."""

    def __init__(self) -> None:
        self.there: dict[str, Any] = {}
        self.calls: list[tuple[str, str]] = []
        self.refuse: dict[str, tuple[int, dict[str, str]]] = {}
        self.address = ""
        self._checker = arm_check()

    def connect(self, env: str = "dev", **claims: Any) -> Arm:
        return Arm(Login(**claims), env, endpoint=self.address)

    @property
    def puts(self) -> list[str]:
        return [path for method, path in self.calls if method == "PUT"]

    def answer(self, method: str, path: str, version: str, body: Any) -> tuple[int, dict[str, str], Any]:
        self.calls.append((method, path))
        for end, (status, error) in self.refuse.items():
            if path.endswith(end) and method == "PUT":
                return status, {}, {"error": error}
        if path.startswith("/operations/"):
            return 200, {}, {"status": "Succeeded"}
        if method == "GET" and path.count("/") == 4 and "/providers/" in path:
            return 200, {}, {"resourceTypes": [{"resourceType": one, "apiVersions": VERSIONS} for one in KINDS]}
        if method == "GET":
            found = self.there.get(path.lower())
            return (200, {}, found) if found else (404, {}, {"error": {"code": "ResourceNotFound", "message": path}})
        told = self._wrong(path, version, body)
        if told:
            return 400, {}, {"error": {"code": "InvalidRequestContent", "message": told}}
        new = path.lower() not in self.there
        self.there[path.lower()] = {"id": path, **body}
        if new and path.rpartition("/")[0].endswith("/storageAccounts"):
            return 202, {"Azure-AsyncOperation": f"{self.address}/operations/1", "retry-after-ms": "10"}, None
        return (201 if new else 200), {}, self.there[path.lower()]

    def _wrong(self, path: str, version: str, body: Any) -> str:
        base, _, own = path.rpartition("/providers/")
        if not base:
            return "" if set(body) == {"location", "tags"} and version == "2024-03-01" else "not a resource group"
        parts = own.split("/")
        parent = path.rpartition("/")[0].rpartition("/")[0] if len(parts) > 3 else base
        if "/blobservices/default" not in parent.lower() and parent.lower() not in self.there:
            return f"the parent {parent} is not there"
        if self._checker is None:
            return ""
        kind = "/".join((parts[0], *parts[1::2]))
        errors = self._checker.check_arm(kind, version, {"name": parts[-1], **body})
        return "; ".join(one for one in errors if not one.startswith("name: "))


# Every type that the program declares, without its provider.
KINDS = sorted(
    {entry[0].partition("/")[2] for entry in arm._IN_GROUP.values()}
    | {entry[1].partition("/")[2] for entry in arm._ON_SCOPE.values()}
    | {"extensions"}
)


@contextmanager
def serve() -> Iterator[StandIn]:
    """A stand-in that answers on a free port."""
    found = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16  # as in tests/azure/standin/wire.py

        def _do(self) -> None:
            url = urlsplit(self.path)
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            if not self.headers.get("Authorization", "").startswith("Bearer e30."):
                status, headers, answer = 401, {}, {"error": {"code": "Unauthorized", "message": "no token"}}
            else:
                version = parse_qs(url.query).get("api-version", [""])[0]
                status, headers, answer = found.answer(self.command, url.path, version, body)
            text = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for key, value in {**headers, "Content-Type": "application/json"}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = _do

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
