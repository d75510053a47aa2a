"""The way in: a CONNECT proxy that ends TLS for Azure's host names and refuses every other host."""

from __future__ import annotations

import http.server
import json
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

HOSTS = (
    "management.azure.com",
    "login.microsoftonline.com",
    "*.api.azureml.ms",
    "*.westeurope.inference.ml.azure.com",
    "*.blob.core.windows.net",
    "*.azurecr.io",
)
BLOBS = ".blob.core.windows.net"


@dataclass(frozen=True)
class Request:
    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def version(self) -> str:
        return self.query.get("api-version", "")

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def __str__(self) -> str:
        return f"{self.method} {self.host}{self.path}"


@dataclass(frozen=True)
class Response:
    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def raw(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Fault:
    """What goes wrong with requests whose "METHOD host/path" matches.

    Attributes
    ----------
    answer: given instead of the stand-in's own; None cuts the connection. times: how often; skip: how many pass first.
    bytes: for a blob host, how much of what is sent goes through before the connection is cut.
    """

    pattern: str
    answer: Response | None = None
    times: int = 1
    skip: int = 0
    bytes: int | None = None
    delay: float = 0.0

    def hits(self, text: str) -> bool:
        if self.times <= 0 or not re.search(self.pattern, text):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Proxy(socketserver.ThreadingTCPServer):
    """The CONNECT proxy on a free port of 127.0.0.1.

    Attributes
    ----------
    log: the requests that were answered. stray: hosts that were refused. faults: what goes wrong next.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: Callable[[Request], Response], certificate: Path, blob_port: Callable[[], int]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.answer = answer
        self.blob_port = blob_port
        self.log: list[Request] = []
        self.blob_connections = 0
        self.stray: list[str] = []
        self.faults: list[Fault] = []
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)
        self.guard = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault_for(self, text: str) -> Fault | None:
        with self.guard:
            return next((fault for fault in self.faults if fault.hits(text)), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; what the stand-in itself got wrong is in the log of the test."""
        import traceback

        text = traceback.format_exc()
        if not re.search("ConnectionReset|BrokenPipe|SSL|TimeoutError|EOF", text):
            print(text, flush=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()


class _Connection(socketserver.StreamRequestHandler):
    server: Proxy
    timeout = 120
    disable_nagle_algorithm = True

    def handle(self) -> None:
        first = self.rfile.readline(65536).decode("latin-1").strip()
        while self.rfile.readline(65536) not in (b"\r\n", b"\n", b""):
            pass
        method, _, rest = first.partition(" ")
        host = rest.split(" ")[0].rpartition(":")[0]
        if method != "CONNECT" or not any(_fits(host, pattern) for pattern in HOSTS):
            self.server.stray.append(first)
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if host.endswith(BLOBS):
            fault = self.server.fault_for(f"CONNECT {host}")
            if fault is not None and fault.bytes is None:
                time.sleep(fault.delay)
                return
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            self.server.blob_connections += 1
            self._tunnel(fault.bytes if fault else None)
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with self.server.tls.wrap_socket(self.connection, server_side=True) as secure, suppress(ConnectionError):
            secure.settimeout(120)
            _Http(secure, self.client_address, self.server, host)

    def _tunnel(self, most: int | None) -> None:
        with socket.create_connection(("127.0.0.1", self.server.blob_port()), timeout=60) as further:
            back = threading.Thread(target=_pump, args=(further, self.connection, None), daemon=True)
            back.start()
            _pump(self.connection, further, most)
            back.join(5)


def _fits(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*") else host == pattern


def _pump(source: socket.socket, sink: socket.socket, most: int | None) -> None:
    """Carry bytes one way until the end, or until `most` have passed: then both ends are cut."""
    passed = 0
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
            passed += len(data)
            if most is not None and passed > most:
                break
    for end in (sink, source):
        with suppress(OSError):
            end.shutdown(socket.SHUT_WR if most is None and end is sink else socket.SHUT_RDWR)


class _Http(http.server.BaseHTTPRequestHandler):
    """HTTP on the decrypted connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # an answer goes out as one: its body would wait until the client has acknowledged its head

    def __init__(self, connection: Any, address: Any, server: Any, host: str) -> None:
        self.host = host
        super().__init__(connection, address, server)

    def _do(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            method=self.command,
            host=self.host,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={key.lower(): value for key, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        proxy: Any = self.server
        with proxy.guard:
            proxy.log.append(request)
        fault = proxy.fault_for(str(request))
        if fault is not None:
            time.sleep(fault.delay)
        if fault is not None and fault.answer is None:
            self.close_connection = True
            self.connection.close()
            return
        response = fault.answer if fault is not None and fault.answer is not None else proxy.answer(request)
        raw = response.raw()
        self.send_response(response.status)
        for key, value in {"Content-Type": "application/json", **response.headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = _do

    def log_message(self, format: str, *args: Any) -> None:
        pass
