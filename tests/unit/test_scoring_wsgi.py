"""wsgi.py of a scoring folder: what it refuses by itself, and what it makes of the answers of the server."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import templates

OPENAPI = b'{"openapi": "3.1.0"}'


class Server:
    """An inference server that answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = "200 OK", b'{"Results": [1]}', [("Content-Type", "application/json")]
        self.asked: list[dict[str, Any]] = []
        self.fault: Exception | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.asked.append({**environ, "body": environ["wsgi.input"].read()})
        if self.fault:
            raise self.fault
        start_response(self.status, self.headers)
        return [self.body]


@pytest.fixture(scope="module")
def wsgi(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("folder")
    (folder / "openapi.json").write_bytes(OPENAPI)
    (folder / "wsgi.py").write_bytes((templates.FOLDER / "scoring" / "wsgi.py").read_bytes())
    spec = importlib.util.spec_from_file_location("wsgi_under_test", folder / "wsgi.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    entry = ModuleType("azureml_inference_server_http.server.entry")
    entry.app = Server()  # type: ignore[attr-defined]
    names = ("azureml_inference_server_http", "azureml_inference_server_http.server", "gunicorn", "gunicorn.util")
    stand_ins: dict[str, Any] = {**{name: ModuleType(name) for name in names}, entry.__name__: entry}
    stand_ins["scoring_input"] = None  # as in a folder that has none
    stand_ins["gunicorn"].util = stand_ins["gunicorn.util"]
    with mock.patch.dict(sys.modules, stand_ins), mock.patch.dict(os.environ, FORESTAY_AUTH="none"):
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def server() -> Server:
    return Server()


Ask = Callable[..., tuple[int, dict[str, str], Any]]


@pytest.fixture
def ask(wsgi: ModuleType, server: Server) -> Ask:
    guard = wsgi.Guard(server, 1000, OPENAPI)

    def send(
        body: bytes = b'{"data": []}', method: str = "POST", path: str = "/score", chunked: bool = False, **more: Any
    ) -> tuple[int, dict[str, str], Any]:
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body), **more}
        if chunked:
            environ.update({"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"})
        else:
            environ.setdefault("CONTENT_LENGTH", str(len(body)))
        started: list[Any] = []
        got = b"".join(guard(environ, lambda *words: started.extend(words)))
        headers = {name.lower(): value for name, value in started[1]}
        assert len(headers) == len(started[1])
        assert headers["x-request-id"]
        status = int(started[0].split()[0])
        if status >= 400:
            assert int(headers["content-length"]) == len(got)
            assert set(json.loads(got)["error"]) == {"code", "message", "details"}
        return status, headers, json.loads(got) if got else None

    return send


def nested(levels: int) -> bytes:
    return b'{"x": ' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_good_body_reaches_the_server_unchanged(ask: Ask, server: Server, chunked: bool) -> None:
    body = b'{"data": [{"a": "\\\\\\" ]]]{{{ \\u00e9"}]}'
    assert ask(body, chunked=chunked)[::2] == (200, {"Results": [1]})
    [asked] = server.asked
    assert (asked["body"], asked["CONTENT_LENGTH"]) == (body, str(len(body)))
    assert "HTTP_TRANSFER_ENCODING" not in asked


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b" " * 1001, 413, "body_too_large"),
        (b" " * 100_000, 413, "body_too_large"),
        (b'{"data": "\xff"}', 400, "not_utf8"),
        ('{"data": 1}'.encode("utf-16-le"), 400, "not_utf8"),
        (nested(17), 400, "too_deep"),
        (b"[" * 900, 400, "too_deep"),
        (b'["]", ' * 100 + b"[" + b"]" * 101, 400, "too_deep"),
        (b'["\\"]", ' * 50 + b"[" + b"]" * 51, 400, "too_deep"),
        (b"[" + b"9" * 990 + b"]", 200, None),
        (nested(16), 200, None),
        (b'["' + b"[" * 500 + b'"]', 200, None),
        (b"[" + b"[]," * 200 + b"[]]", 200, None),
        (b'["\\\\", "' + b"[" * 100 + b'"]', 200, None),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies(ask: Ask, server: Server, body: bytes, status: int, code: str | None, chunked: bool) -> None:
    found, _, document = ask(body, chunked=chunked)
    assert (found, document.get("error", {}).get("code")) == (status, code)
    assert bool(server.asked) == (status == 200)


@pytest.mark.parametrize("offset", [0, 65_530, 65_536 - 700])
def test_a_long_number_is_found_wherever_it_stands(wsgi: ModuleType, offset: int) -> None:
    body = b"[" + b" " * offset + b"9" * 4301 + b"]"
    with pytest.raises(wsgi.Refused, match="thousand digits"):
        wsgi.check_text(body)
    wsgi.check_text(b'["' + b"9" * 5000 + b'"]')


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.text(alphabet='[]{}"\\ab', max_size=8) | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='"[}\\', max_size=3), inner),
        max_leaves=20,
    ),
    st.integers(0, 24),
)
def test_depth_is_counted_as_a_parser_would(wsgi: ModuleType, inner: Any, levels: int) -> None:
    def depth(value: Any) -> int:
        below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if below is None else 1 + max(map(depth, below), default=0)

    document = inner
    for _ in range(levels):
        document = [document]
    body = json.dumps(document).encode()
    with mock.patch.object(wsgi, "PIECE", 7):
        if depth(document) > wsgi.MAX_NESTING:
            with pytest.raises(wsgi.Refused, match="nests deeper"):
                wsgi.check_text(body)
        else:
            wsgi.check_text(body)


def test_a_body_that_ends_early_or_breaks_is_refused(ask: Ask, server: Server) -> None:
    assert ask(b"{}", CONTENT_LENGTH="9")[2]["error"]["message"] == "the body ended after 2 of 9 bytes"
    broken = mock.Mock(read=mock.Mock(side_effect=RuntimeError("chunk")))
    assert ask(**{"wsgi.input": broken, "CONTENT_LENGTH": "5"})[0] == 400
    large = mock.Mock(read=mock.Mock(side_effect=[b" " * 1001, RuntimeError("chunk")]))
    assert ask(chunked=True, **{"wsgi.input": large})[0] == 413
    assert ask(HTTP_CONTENT_ENCODING="gzip")[0] == 415
    assert ask(b"ignored", CONTENT_LENGTH="")[0] == 200
    assert [asked["body"] for asked in server.asked] == [b""]


def test_other_methods_and_addresses(ask: Ask, server: Server) -> None:
    status, headers, document = ask(method="GET", QUERY_STRING="data=[1]")
    assert (status, headers["allow"], document["error"]["code"]) == (405, "POST, OPTIONS", "method_not_allowed")
    assert ask(method="GET", path="/openapi.json")[2] == json.loads(OPENAPI)
    assert ask(method="HEAD", path="/openapi.json")[2] is None
    status, headers, _ = ask(path="/openapi.json")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert not server.asked
    assert ask(method="OPTIONS")[0] == ask(method="GET", path="/swagger.json")[0] == 200


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        ("404 NOT FOUND", b'{"message": "no such page"}', "not_found", "no such page"),
        ("415 UNSUPPORTED", b'{"message": "Expects JSON"}', "not_json", "Expects JSON"),
        ("500 ERROR", b'{"message": "Scoring timeout after 5 ms"}', "timeout", "after 5 ms"),
        ("500 ERROR", b'{"message": "secret"}', "internal", "its log says more about request abc"),
        ("500 ERROR", b"<html>secret", "internal", "abc"),
        ("400 BAD", b'{"error": {"code": "x", "message": "y", "details": []}}', "x", "y"),
    ],
)
def test_errors_of_the_server_take_our_form(
    ask: Ask, server: Server, status: str, body: bytes, code: str, says: str
) -> None:
    server.status, server.body = status, body
    server.headers = [("Content-Type", "text/html"), ("Content-Length", str(len(body))), ("x-ms-server-version", "9")]
    found, headers, document = ask(HTTP_X_REQUEST_ID="abc")
    assert found == int(status[:3])
    assert document["error"]["code"] == code
    assert says in document["error"]["message"]
    assert "secret" not in json.dumps(document)
    assert headers["content-type"] == "application/json"
    assert "x-ms-server-version" not in headers


def test_a_fault_of_the_server_says_nothing_of_the_inside(
    ask: Ask, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault = RuntimeError("secret")
    status, headers, document = ask()
    assert status == 500
    assert headers["x-request-id"] in document["error"]["message"]
    assert "secret" not in json.dumps(document)
    assert headers["x-request-id"] in caplog.text
    assert "secret" in caplog.text


@pytest.mark.parametrize(("given", "kept"), [("abc-1", True), ("x" * 101, False), ("a b", False), ("", False)])
def test_the_request_id_is_the_clients_where_it_is_one(ask: Ask, server: Server, given: str, kept: bool) -> None:
    _, headers, _ = ask(HTTP_X_REQUEST_ID=given)
    assert (headers["x-request-id"] == given) == kept
    passed_on = server.asked[0]["HTTP_X_REQUEST_ID"]
    assert passed_on == (given if len(given) > 100 else headers["x-request-id"])


PRIMARY, SECONDARY = "p" * 32, "s" * 32


@pytest.fixture
def locked(wsgi: ModuleType, server: Server) -> Callable[..., tuple[int, dict[str, str], bytes]]:
    """A guard with two keys: `locked(authorization, ...)` gives status, headers and body."""
    keys = wsgi.read_keys({"FORESTAY_KEY_PRIMARY": PRIMARY, "FORESTAY_KEY_SECONDARY": SECONDARY})
    guard = wsgi.Guard(server, 1000, OPENAPI, keys)

    def send(
        authorization: str | None, method: str = "POST", path: str = "/score"
    ) -> tuple[int, dict[str, str], bytes]:
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(b"{}"), "CONTENT_LENGTH": "2"}
        if authorization is not None:
            environ["HTTP_AUTHORIZATION"] = authorization
        started: list[Any] = []
        got = b"".join(guard(environ, lambda *words: started.extend(words)))
        return int(started[0].split()[0]), {name.lower(): value for name, value in started[1]}, got

    return send


@pytest.mark.parametrize("shown", [f"Bearer {PRIMARY}", f"Bearer {SECONDARY}", f"bearer  {PRIMARY} "])
def test_either_key_opens_and_goes_no_further(
    locked: Callable[..., tuple[int, dict[str, str], bytes]], server: Server, shown: str
) -> None:
    assert locked(shown)[0] == 200
    assert "HTTP_AUTHORIZATION" not in server.asked[0]


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "",
        "Bearer",
        f"Bearer {PRIMARY}x",
        PRIMARY,
        f"Basic {PRIMARY}",
        f"Bearer {PRIMARY[:-1]}",
        "Bearer \xe9\u20ac",
    ],
)
@pytest.mark.parametrize("path", ["/score", "/openapi.json", "/swagger.json", "/nowhere", "//"])
def test_without_a_key_nothing_but_health_answers(
    locked: Callable[..., tuple[int, dict[str, str], bytes]], server: Server, shown: str | None, path: str
) -> None:
    status, headers, body = locked(shown, path=path)
    assert (status, headers["www-authenticate"], headers["content-type"]) == (401, "Bearer", "application/json")
    assert json.loads(body)["error"]["code"] == "no_key"
    assert PRIMARY not in body.decode()
    assert server.asked == []


def test_health_and_preflight_need_no_key(
    locked: Callable[..., tuple[int, dict[str, str], bytes]], server: Server
) -> None:
    assert locked(None, "GET", "/")[0] == locked(None, "OPTIONS", "/score")[0] == 200


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "no keys: set FORESTAY_KEY_PRIMARY"),
        ({"FORESTAY_KEY_PRIMARY": "", "FORESTAY_AUTH": "keys"}, "no keys"),
        ({"FORESTAY_KEY_PRIMARY": PRIMARY, "FORESTAY_KEY_SECONDARY": "short"}, "at least 16 characters"),
        ({"FORESTAY_KEY_PRIMARY": PRIMARY, "FORESTAY_AUTH": "none"}, "leave one of them out"),
        ({"FORESTAY_AUTH": "off"}, "keys or none"),
    ],
)
def test_it_does_not_start_open_by_mistake(wsgi: ModuleType, environ: dict[str, str], says: str) -> None:
    with pytest.raises(RuntimeError, match=says) as caught:
        wsgi.read_keys(environ)
    assert PRIMARY not in str(caught.value)


def test_keys_leave_the_environment_and_one_is_enough(wsgi: ModuleType) -> None:
    environ = {"FORESTAY_KEY_SECONDARY": SECONDARY, "OTHER": "x"}
    assert len(wsgi.read_keys(environ)) == 1
    assert environ == {"OTHER": "x"}
    assert wsgi.read_keys({"FORESTAY_AUTH": "none"}) is None


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (400, "Invalid Method 'é'", "bad_request"),
        (431, "Error parsing headers", "header_too_long"),
        (501, "no such coding", "refused"),
        (500, "", "internal"),
    ],
)
def test_what_gunicorn_can_not_read_is_refused_in_our_form(
    wsgi: ModuleType, status: int, message: str, code: str
) -> None:
    sent = mock.Mock()
    with mock.patch.object(wsgi.gunicorn.util, "write_nonblock", sent, create=True):
        wsgi.gunicorn.util.write_error("client", status, "Why", message)
    client, data = sent.call_args.args
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert (client, lines[0]) == ("client", f"HTTP/1.1 {status} Why")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert headers["Content-Type"] == "application/json"
    assert int(headers["Content-Length"]) == len(body)
    found = json.loads(body)["error"]
    assert found["code"] == code
    assert (message or headers["x-request-id"]) in found["message"]


@pytest.mark.parametrize(
    ("given", "size"), [("", 32 * 2**20), ("1000", 1000), ("0", None), ("-5", None), ("1e6", None)]
)
def test_the_largest_body_is_a_setting(
    wsgi: ModuleType, monkeypatch: pytest.MonkeyPatch, given: str, size: int | None
) -> None:
    monkeypatch.setenv("SCORING_MAX_BODY_BYTES", given)
    if size:
        assert wsgi.max_body_bytes() == size
    else:
        with pytest.raises(ValueError, match="SCORING_MAX_BODY_BYTES must be a whole number"):
            wsgi.max_body_bytes()


def test_a_plain_document_is_handed_on_parsed(ask: Ask, server: Server, wsgi: ModuleType) -> None:
    reader = mock.Mock(DOCUMENT="parsed", plain_document=lambda body: json.loads(body) if body[:1] == b"{" else None)
    with mock.patch.object(wsgi, "scoring_input", reader):
        assert ask(b'{"data": [1]}')[0] == ask(b" {}")[0] == 200
        assert ask(nested(17).replace(b"{", b" {", 1))[2]["error"]["code"] == "too_deep"
    plain, other = server.asked
    assert (plain["parsed"], plain["body"], plain["CONTENT_LENGTH"]) == ({"data": [1]}, b"{}", "2")
    assert other["body"] == b" {}"
    assert "parsed" not in other
