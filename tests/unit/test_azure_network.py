"""Inside or outside of a private network, by what names come to."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from automl_jobs.azure import network, refusals
from automl_jobs.azure.place import Place
from forestay.errors import OutsideError

HOST = "stcategorizeprod.blob.core.windows.net"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def resolving(monkeypatch: pytest.MonkeyPatch, *found: str) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        if not found:
            raise socket.gaierror("Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in found]

    monkeypatch.setattr(network.socket, "getaddrinfo", getaddrinfo)


def place(private: bool) -> Place:
    training: Any = None
    return Place("prod", "s", "rg", "mlw", "westeurope", "cpu", "id", training, private, "stacks/Pulumi.prod.yaml")


@pytest.mark.parametrize(
    ("found", "outside"),
    [
        (("10.4.0.7",), False),
        (("20.60.19.4",), True),
        (("fd12::1",), False),
        (("10.4.0.7", "20.60.19.4"), True),
        ((), None),
    ],
)
def test_by_the_address(monkeypatch: pytest.MonkeyPatch, found: tuple[str, ...], outside: bool | None) -> None:
    resolving(monkeypatch, *found)
    assert network.is_outside(HOST) is outside


def test_a_proxy_looks_up_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "20.60.19.4")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert network.is_outside(HOST) is None
    monkeypatch.setenv("NO_PROXY", ".core.windows.net")
    assert network.is_outside(HOST) is True


def test_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "20.60.19.4")
    refusals.require_inside("the datastore", place(private=False), HOST)
    with pytest.raises(OutsideError) as told:
        refusals.require_inside("the datastore", place(private=True), HOST)
    assert f"{HOST} is 20.60.19.4 here" in str(told.value)
    assert "runners" in str(told.value.problems[0].fix)
    resolving(monkeypatch, "10.4.0.7")
    refusals.require_inside("the datastore", place(private=True), HOST)


def test_inside_what_can_not_be_reached_is_not_called_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "10.4.0.7")
    assert "inside its private network only" not in str(refusals.unreachable(HOST, OSError("timed out"), place(True)))
    resolving(monkeypatch, "20.60.19.4")
    assert "inside its private network only" in str(refusals.unreachable(HOST, OSError("timed out"), place(True)))


def test_a_resolver_without_an_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    never = threading.Event()
    monkeypatch.setattr(network, "SECONDS", 0.02)
    monkeypatch.setattr(network.socket, "getaddrinfo", lambda *_, **__: [str(never.wait(5))][:0])
    assert network.addresses(HOST) == ()
    never.set()
