"""A front is moved when the new group answers, and the old group stays while callers still come to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from infra.components import front, handover

PUBLIC, INSIDE = "http://api.westeurope.azurecontainer.io:5001/", "http://10.20.2.4:5001/"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was said; waiting takes no time, and every second asked is a minute gone."""
    said: list[str] = []
    clock = iter(range(0, 100_000, 60))

    async def no_time(_: float) -> None:
        pass

    monkeypatch.setattr(handover.asyncio, "sleep", no_time)
    monkeypatch.setattr(handover, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    for level in ("info", "warn"):
        monkeypatch.setattr(pulumi.log, level, said.append)
    return said


def answering(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """The answers that groups give, one after the other; the URLs that are asked."""
    asked: list[str] = []
    left = list(answers)

    def ask(url: str) -> str:
        asked.append(url)
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(handover, "ask", ask)
    return asked


def test_a_group_is_asked_until_it_answers(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    asked = answering(monkeypatch, handover.NO_SIGN, handover.NOT_YET, handover.READY)
    asyncio.run(handover._ready("api-front", PUBLIC))
    assert asked == [PUBLIC] * 3
    assert told == []


@pytest.mark.parametrize(
    ("url", "answer"), [(PUBLIC, handover.NO_SIGN), (PUBLIC, handover.NOT_YET), (INSIDE, handover.NOT_YET)]
)
def test_a_group_that_never_answers_keeps_the_front_where_it_is(
    monkeypatch: pytest.MonkeyPatch, told: list[str], url: str, answer: str
) -> None:
    answering(monkeypatch, answer)
    with pytest.raises(TimeoutError, match="api-front still leads to the old one"):
        asyncio.run(handover._ready("api-front", url))


def test_from_outside_of_the_network_a_front_is_moved_unasked_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    answering(monkeypatch, handover.NO_SIGN)
    asyncio.run(handover._ready("api-front", INSIDE))
    assert "can't be reached from here" in told[0]


def test_only_a_front_that_leads_elsewhere_waits(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    monkeypatch.setattr(pulumi, "ResourceHook", lambda name, callback: (name, callback))
    monkeypatch.setattr(handover, "monitor_supports_feature", lambda _: True)
    monkeypatch.setattr(handover, "is_dry_run", lambda: True)
    assert handover.moving("api-front", str, 30) is None
    monkeypatch.setattr(handover, "is_dry_run", lambda: False)
    binding = handover.moving("api-front", front.leads_to(5001, front.TARGET), 30)
    assert binding is not None
    hooks: dict[str, Callable[[Any], Any]] = dict([*binding.before_update, *binding.after_update])  # type: ignore[arg-type,misc]
    assert set(hooks) == {"api-front-ready", "api-front-moved"}
    asked = answering(monkeypatch, handover.READY)

    def updated(old: str, new: str) -> pulumi.ResourceHookArgs:
        sides = {"old_inputs": {"endpoints": [{"target": old}]}, "new_inputs": {"endpoints": [{"target": new}]}}
        return pulumi.ResourceHookArgs("urn", "id", "api-front", "type", **sides)

    for hook in hooks.values():
        asyncio.run(hook(updated("same", "same")))
    assert (asked, told) == ([], [])
    for hook in hooks.values():
        asyncio.run(hook(updated("old", "new")))
    assert asked == ["http://new:5001/"]
    assert told == ["api-front: moved; the old group stays for 30 s more"]


@pytest.mark.parametrize(
    ("path", "inputs"),
    [
        (front.TARGET, {"endpoints": [{"target": "g"}]}),
        (front.ALIAS, {"cnameRecord": {"cname": "g"}}),
        (front.ADDRESS, {"aRecords": [{"ipv4Address": "g"}]}),
        (front.BACKEND, {"backendAddressPools": [{"backendAddresses": [{"ipAddress": "g"}]}]}),
    ],
)
def test_each_front_says_where_it_leads(path: front.Path, inputs: dict[str, Any]) -> None:
    assert front.leads_to(5001, path)(inputs) == "http://g:5001/"
    assert front.leads_to(5001, path)({}) == ""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 503)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


def test_what_answers_is_ready_and_what_loads_is_not(server: str) -> None:
    assert handover.ask(f"{server}/") == handover.READY
    assert handover.ask(f"{server}/loading") == handover.NOT_YET
    assert handover.ask("http://127.0.0.1:9/") == handover.NOT_YET  # nothing listens yet
    assert handover.ask("http://no-such-host.invalid:5001/") == handover.NO_SIGN
    assert handover.inside(server)
    assert not handover.inside(PUBLIC)
