"""What runs behind endpoints in Azure, asked over HTTP: a container group, pods, and a registry's tags."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from forestay.errors import InputError, OutsideError
from infra.arm import Arm
from scoring.images import registry
from scoring.targets import watchers
from scoring.targets.cluster import Access, Pods
from scoring.targets.container_group import ContainerGroup
from tests.infra.arm_standin import Login

Answer = Callable[[str, str, dict[str, str]], tuple[int, Any]]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server whose answers a function gives, from method, path and query; text as it is, all else as JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(place.query).items()}
            status, found = answer(self.command, place.path, query)
            body = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(found, str) else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{served.server_address[1]}"
    finally:
        served.shutdown()
        served.server_close()


GROUP = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerInstance/containerGroups/api"


def group_of(**view: Any) -> dict[str, Any]:
    inner = {"restartCount": 0, "currentState": {"state": "Running"}, **view}
    event = {"name": "Pulled", "message": "pulled the image", "lastTimestamp": "2026-01-31T10:00:00Z"}
    return {
        "properties": {
            "instanceView": {"state": view.pop("state", "Running"), "events": []},
            "containers": [{"properties": {"instanceView": {**inner, "events": [event]}}}],
        }
    }


def test_a_container_group_is_asked_and_stopped() -> None:
    found, calls = {"group": group_of()}, []

    def answer(method: str, path: str, query: dict[str, str]) -> tuple[int, Any]:
        calls.append((method, path.removeprefix(GROUP)))
        if path.endswith("/logs"):
            assert query["tail"] == "2"
            return 200, {"content": "one\ntwo\nthree"}
        return (200, found["group"]) if method == "GET" else (204, "")

    with answering(answer) as address:
        group = ContainerGroup(Arm(Login(), "dev", endpoint=address), GROUP, "api")
        assert group.condition() == watchers.Condition()
        found["group"] = group_of(state="Stopped")
        assert group.condition().stopped
        found["group"] = group_of(restartCount=3, currentState={"exitCode": 137, "detailStatus": "OOMKilled"})
        assert group.condition().problem == "the container ends again and again (exit code 137, 3 restarts)"
        assert group.logs(2) == ["two", "three"]
        assert group.events() == ["2026-01-31T10:00:00Z Pulled: pulled the image"]
        group.stop()
        group.start()
    assert calls[-2:] == [("POST", "/stop"), ("POST", "/start")]


def pod(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": name}, "status": {"containerStatuses": [status]}}


def test_pods_are_asked() -> None:
    listed = [pod("api-1", ready=True, restartCount=0, state={})]

    def answer(_: str, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path.endswith("/pods"):
            assert query["labelSelector"] == "app.kubernetes.io/name=api,forestay/state=abc"
            return 200, {"items": listed}
        if path.endswith("/events"):
            told = {"reason": "Started", "message": "it runs", "lastTimestamp": "2026-01-31T10:00:00Z"}
            others = {**told, "involvedObject": {"name": "other"}}
            return 200, {"items": [others, {**told, "involvedObject": {"name": "api-1"}}]}
        if path.endswith("/api-2/log"):
            return 400, {}
        return 200, "2026-01-31T10:00:00.5Z INFO POST /score 200\n2026-01-31T10:00:01Z x\n"

    with answering(answer) as address:
        pods = Pods(Access(address, "", "token"), "api", "abc", 2)
        assert pods.condition() == watchers.Condition()
        assert pods.events() == ["2026-01-31T10:00:00Z Started: it runs"]
        listed.append(pod("api-2", ready=False, restartCount=0, state={"waiting": {"reason": "ImagePullBackOff"}}))
        assert pods.condition().problem.startswith("ImagePullBackOff")
        assert watchers.last_request(pods.logs(10, timestamps=True)) == "2026-01-31T10:00:00+00:00"
        with pytest.raises(InputError, match="down to 2"):
            pods.stop()
    with pytest.raises(OutsideError, match="can't be reached"):
        Pods(Access(address, "", "token"), "api", "abc", 2).condition()


@pytest.mark.parametrize(
    ("told", "advice"),
    [
        ("the container ends again and again (exit code 137, 3 restarts)", "--memory 4"),
        ("Failed: failed to pull image", "AcrPull"),
        ("ModuleNotFoundError: No module named 'lightgbm'", "forestay score verify"),
        ("something else", "forestay endpoint show api --env dev"),
    ],
)
def test_one_suggestion(told: str, advice: str) -> None:
    assert advice in watchers.advice([told], "api", "dev")


def test_a_digest_gets_its_own_tag_and_azures_registry_locks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    digest, sent = "sha256:" + "a" * 64, []

    def send(method: str, url: str, headers: Any, body: bytes | None) -> tuple[int, dict[str, str], bytes]:
        sent.append((method, url, headers.get("Authorization"), body))
        if url.endswith("/oauth2/exchange"):
            return 200, {}, b'{"refresh_token": "long"}'
        if url.endswith("/oauth2/token"):
            return 200, {}, b'{"access_token": "short"}'
        if headers.get("Authorization") != "Bearer short":
            return 401, {"www-authenticate": 'Bearer realm="r",service="contoso.azurecr.io",scope="s"'}, b""
        if "/manifests/deployed-" in url and method == "HEAD":
            return 404, {}, b""
        return 200, {"content-type": "kind", "docker-content-digest": digest}, b"{manifest}"

    monkeypatch.setattr(registry, "_send", send)
    monkeypatch.setattr("forestay.login.Login.get_token", lambda *_: type("Token", (), {"token": "azure"}))
    monkeypatch.setattr(registry, "stored_login", lambda _: ("", ""))
    assert registry.Registry("contoso.azurecr.io", "churn").keep(digest) == "deployed-" + "a" * 24
    put, lock = sent[-2:]
    assert put[0] == "PUT"
    assert put[1].endswith("/v2/churn/manifests/deployed-" + "a" * 24)
    assert put[3] == b"{manifest}"
    assert lock[:2] == ("PATCH", "https://contoso.azurecr.io/acr/v1/churn/_tags/deployed-" + "a" * 24)
    assert json.loads(lock[3] or b"") == {"deleteEnabled": False, "writeEnabled": False}


def test_labels_are_read_where_the_registry_leads_to_without_the_login() -> None:
    """As Azure's does for blobs; and a manifest may be an index, with what tells of a build beside the image."""
    manifests: dict[str, Any] = {
        "sha256:both": {"manifests": [
            {"digest": "sha256:told", "platform": {"os": "unknown", "architecture": "unknown"}},
            {"digest": "sha256:one", "platform": {"os": "linux", "architecture": "amd64"}},
        ]},
        "sha256:one": {"config": {"digest": "sha256:config"}},
        "sha256:old": {"schemaVersion": 1},
        "storage": {"config": {"Labels": {"a": "1"}}},
    }  # fmt: skip
    shown: dict[str, str | None] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown[self.path] = self.headers["Authorization"]
            found = manifests.get(self.path.rsplit("/", 1)[1])
            self.send_response(307 if "/blobs/" in self.path else 200 if found else 404)
            self.send_header("Location", "/storage")
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        asked = registry.Registry(f"127.0.0.1:{served.server_port}", "churn", _token="Bearer short")
        assert asked.labels("sha256:both") == asked.labels("sha256:one") == {"a": "1"}
        assert asked.labels("sha256:old") == asked.labels("sha256:gone") == {}
        served.shutdown()
    assert (shown["/v2/churn/blobs/sha256:config"], shown["/storage"]) == ("Bearer short", None)
