"""The web application of this folder: Azure ML's inference server behind the checks that it does not make itself.

    FORESTAY_AUTH=none AML_APP_ROOT=. AZUREML_ENTRY_SCRIPT=score.py AZUREML_MODEL_DIR=model \
        gunicorn --pythonpath . wsgi:app

What would fail before `run()` in score.py is called is refused here: a body that is too large, compressed, cut short,
not UTF-8, nested too deep, or with a number of a thousand digits. Every refusal, the server's own as well, has the form

    {"error": {"code": ..., "message": ..., "details": [...]}}

and every answer names its request in x-request-id, under which the log tells more. The largest body in bytes is the
environment variable SCORING_MAX_BODY_BYTES. `GET /openapi.json` gives the interface as it lies in this folder. What
gunicorn itself can't read as a request gets the same form; its header `Server: gunicorn`, without a version, is fixed.

Callers show one of two keys, `Authorization: Bearer KEY`; the environment variables FORESTAY_KEY_PRIMARY and
FORESTAY_KEY_SECONDARY hold them, so that one can be changed while callers use the other. Only `GET /`, which says
that the server is up, is open. Without a key nothing starts, unless FORESTAY_AUTH=none says that someone else asks.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import json
import logging
import os
import re
import uuid
from collections.abc import Callable, Iterable, MutableMapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gunicorn.util
from azureml_inference_server_http.server.entry import app as inference_server

try:
    import scoring_input  # type: ignore[import-not-found,unused-ignore]
except ModuleNotFoundError:  # a folder whose score.py reads the body by itself
    scoring_input = None

MAX_NESTING = 16  # a request needs four levels; an ignored column may hold anything
LONG_NUMBER = re.compile(rb"[0-9]{1000}")  # Python converts at most 4,300 digits
PIECE = 2**16  # bytes looked at together

KEYS = ("FORESTAY_KEY_PRIMARY", "FORESTAY_KEY_SECONDARY")
SHORTEST_KEY = 16  # characters

REQUEST_ID = re.compile(r"[!-~]{1,100}")
HIDDEN = frozenset({"server", "x-ms-server-version"})
CODES = {
    400: "bad_body",
    404: "not_found",
    405: "method_not_allowed",
    414: "address_too_long",
    415: "not_json",
    431: "header_too_long",
}
BRACKETS = bytes.maketrans(b"{}", b"[]")
NO_BRACKETS = bytes(sign for sign in range(256) if sign not in b"[]{}")

if TYPE_CHECKING:
    Headers = list[tuple[str, str]]  # which Python 3.8 can't evaluate
logger = logging.getLogger("azmlinfsrv.wsgi")


class Refused(Exception):
    """A request that is answered here, and never reaches the server."""

    def __init__(self, status: int, code: str, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or []


class Guard:
    """A WSGI application around the inference server; `keys` are digests, and None lets everybody in.

    Where scoring_input.py lies beside, score.py takes plain documents parsed, from the request's environment.
    """

    def __init__(
        self,
        server: Callable[..., Iterable[bytes]],
        max_body_bytes: int,
        openapi: bytes,
        keys: tuple[bytes, ...] | None = None,
    ) -> None:
        self.server, self.max_body_bytes, self.openapi, self.keys = server, max_body_bytes, openapi, keys

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
        if len(given) <= 100:  # the server refuses a longer one
            environ["HTTP_X_REQUEST_ID"] = request_id
        try:
            status, headers, body = self.answer(environ)
            if status >= 400:
                body = in_our_form(status, body, request_id)
        except Refused as refused:
            logger.info("request %s refused: %s", request_id, refused.message)
            status, headers, body = refused.status, refused.headers, error(refused.code, refused.message)
        except Exception:
            logger.exception("request %s failed", request_id)
            status, headers, body = 500, [], in_our_form(500, b"", request_id)
        if status >= 400:
            headers = with_header(headers, "Content-Type", "application/json")
            headers = with_header(headers, "Content-Length", str(len(body)))
        if status == 405 and environ.get("PATH_INFO") != "/score":
            headers = with_header(headers, "Allow", "GET, HEAD")
        if "x-request-id" not in {name.lower() for name, _ in headers}:
            headers = [*headers, ("x-request-id", request_id), ("x-ms-request-id", request_id)]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def answer(self, environ: dict[str, Any]) -> tuple[int, Headers, bytes]:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        # Health is asked without a key, and a browser's question before a call from another site comes without one.
        if self.keys is not None and path != "/" and not (path == "/score" and method == "OPTIONS"):
            check_key(environ.pop("HTTP_AUTHORIZATION", ""), self.keys)
        if path == "/openapi.json":
            if method not in ("GET", "HEAD"):
                raise Refused(405, CODES[405], "GET is what this address takes")
            size = str(len(self.openapi))
            return 200, [("Content-Type", "application/json"), ("Content-Length", size)], self.openapi
        if path == "/score" and method != "OPTIONS":  # browsers ask with OPTIONS first
            if method != "POST":
                raise Refused(405, CODES[405], "POST is what this address takes", [("Allow", "POST, OPTIONS")])
            body = self.read_body(environ)
            document = scoring_input.plain_document(body) if scoring_input else None
            if document is None:
                check_text(body)
            else:
                environ[scoring_input.DOCUMENT] = document
                body = b"{}"
            environ.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
            environ.pop("HTTP_TRANSFER_ENCODING", None)
        return ask(self.server, environ)

    def read_body(self, environ: dict[str, Any]) -> bytes:
        """The whole body, whether its length was told or it came in chunks."""
        if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
            raise Refused(415, "compressed", "send the body as it is, without Content-Encoding")
        length, stream = environ.get("CONTENT_LENGTH") or "", environ["wsgi.input"]
        told = int(length) if length else None
        if told is None and not environ.get("wsgi.input_terminated"):
            return b""
        if told is None or told <= self.max_body_bytes:
            body = read(stream, self.max_body_bytes + 1 if told is None else told)
            if told is not None and len(body) < told:
                raise Refused(400, CODES[400], f"the body ended after {len(body)} of {told} bytes")
            if len(body) <= self.max_body_bytes:
                return body
        with contextlib.suppress(Refused):
            for _ in range(4 * self.max_body_bytes // PIECE):  # who still sends would not see an answer
                if not read(stream, PIECE):
                    break
        raise Refused(413, "body_too_large", f"the body is larger than {self.max_body_bytes} bytes; send fewer rows")


def read_keys(environ: MutableMapping[str, str]) -> tuple[bytes, ...] | None:
    """Digests of the keys, which are taken out of `environ`; None with FORESTAY_AUTH=none. Without either it ends."""
    given = [key for name in KEYS if (key := environ.pop(name, ""))]
    auth = environ.get("FORESTAY_AUTH") or "keys"
    if auth not in ("keys", "none"):
        raise RuntimeError(f"FORESTAY_AUTH must be keys or none, not {auth!r}")
    if auth == "none":
        if given:
            raise RuntimeError("there are keys, and FORESTAY_AUTH=none: leave one of them out")
        return None
    if not given:
        raise RuntimeError(f"no keys: set {KEYS[0]} and {KEYS[1]}, or FORESTAY_AUTH=none to let everybody in")
    if min(map(len, given)) < SHORTEST_KEY:
        raise RuntimeError(f"a key must have at least {SHORTEST_KEY} characters")
    return tuple(hashlib.sha256(os.fsencode(key)).digest() for key in given)


def check_key(authorization: str, keys: tuple[bytes, ...]) -> None:
    """Refuse a request without one of the keys. Both are compared in full, so that the time tells nothing of them."""
    scheme, _, key = authorization.partition(" ")
    shown = hashlib.sha256(key.strip().encode("latin-1", "replace")).digest()
    known = [hmac.compare_digest(shown, one) for one in keys]
    if scheme.lower() != "bearer" or not any(known):
        told = "the key is not one of this service" if authorization else "this service wants a key"
        raise Refused(401, "no_key", f"{told}: Authorization: Bearer KEY", [("WWW-Authenticate", "Bearer")])


def read(stream: Any, size: int) -> bytes:
    try:
        return bytes(stream.read(size))
    except Exception as problem:  # gunicorn's own, for chunks that are none; OSError for a client that went away
        logger.info("a body can't be read", exc_info=True)
        raise Refused(400, CODES[400], "the body can't be read as it was sent") from problem


def check_text(body: bytes) -> None:
    """Refuse what a JSON parser fails on in other ways than by saying that it is not JSON."""
    try:
        body.decode()
    except UnicodeDecodeError as problem:
        raise Refused(400, "not_utf8", f"the body is not UTF-8 at byte {problem.start}") from None
    if b"\0" in body:  # UTF-16 of plain text is valid UTF-8
        raise Refused(400, "not_utf8", "the body holds a zero byte; send UTF-8")
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets, inside = [], 0
    for start in range(0, len(body), PIECE):
        parts = body[start : start + PIECE].split(b'"')  # every second one is in quotes
        outside = b"".join(parts[inside::2])
        inside = (inside + len(parts) - 1) % 2
        if LONG_NUMBER.search(outside):
            raise Refused(400, "number_too_long", "a number in the body has a thousand digits or more")
        brackets.append(outside.translate(BRACKETS, NO_BRACKETS))
    left = b"".join(brackets)
    for _ in range(MAX_NESTING):
        left = left.replace(b"[]", b"")  # the innermost level
    if b"[]" in left or len(left) > MAX_NESTING:
        raise Refused(400, "too_deep", f"the body nests deeper than {MAX_NESTING} levels")


def ask(server: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> tuple[int, Headers, bytes]:
    """What the inference server answers, without what tells its version."""
    started: list[Any] = []
    parts = server(environ, lambda status, headers, problem=None: started.extend((status, headers)))
    try:
        body = b"".join(parts)
    finally:
        getattr(parts, "close", lambda: None)()
    status, headers = started[:2]
    return int(status.split()[0]), [(name, value) for name, value in headers if name.lower() not in HIDDEN], body


def in_our_form(status: int, body: bytes, request_id: str) -> bytes:
    """An error of the server, `{"message": ...}`, in the form that score.py gives; its own form stays."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and "error" in document:
        return body
    message = str(document.get("message", "")) if isinstance(document, dict) else ""
    if status < 500:
        return error(CODES.get(status, "refused"), message or HTTPStatus(status).phrase)
    if message.startswith("Scoring timeout"):
        return error("timeout", message)
    return error("internal", f"the service failed; its log says more about request {request_id}")


def error(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "details": []}}).encode()


def with_header(headers: Headers, name: str, value: str) -> Headers:
    return [*((key, old) for key, old in headers if key.lower() != name.lower()), (name, value)]


def openapi() -> bytes:
    return (Path(__file__).parent / "openapi.json").read_bytes()


def max_body_bytes() -> int:
    given = os.environ.get("SCORING_MAX_BODY_BYTES") or str(32 * 2**20)
    if not (given.isascii() and given.isdigit() and int(given)):
        raise ValueError(f"SCORING_MAX_BODY_BYTES must be a whole number of bytes above 0, not {given!r}")
    return int(given)


def answer_unreadable(client: Any, status: int, reason: str, message: str) -> None:
    """What gunicorn sends where it can't make a request of what it got; it has logged why."""
    request_id = str(uuid.uuid4())
    told = message or f"the service failed; its log says more about request {request_id}"
    code = "internal" if status == 500 else "bad_request" if status == 400 else CODES.get(status, "refused")
    body = error(code, told)
    logger.info("request %s refused: %s", request_id, message)
    headers = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nx-request-id: {request_id}\r\n\r\n"
    )
    gunicorn.util.write_nonblock(client, headers.encode() + body)


gunicorn.util.write_error = answer_unreadable  # its own is a page in HTML, and it offers no other way
app = Guard(inference_server, max_body_bytes(), openapi(), read_keys(os.environ))
