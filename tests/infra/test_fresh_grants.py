"""403 is tried again for some minutes, by the engine, where a resource needs rights that were given a moment ago."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi
import pytest

from infra.components import fresh_grants

REFUSED = "Status=403 Code=AuthorizationFailed: The client does not have authorization to perform action"


@pytest.mark.parametrize(
    ("errors", "again"),
    [
        ([REFUSED], True),
        ([REFUSED] * (fresh_grants.TRIES - 1), True),
        ([REFUSED] * fresh_grants.TRIES, False),
        (["Code=QuotaExceeded", REFUSED], False),
        (["403 Forbidden: RequestDisallowedByPolicy"], False),
        (["403 ScopeLocked"], False),
        ([], False),
    ],
)
def test_what_is_tried_again(errors: list[str], again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def no_time(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(fresh_grants.asyncio, "sleep", no_time)
    monkeypatch.setattr(pulumi.log, "info", lambda *_: None)
    failed = pulumi.ErrorHookArgs("urn", "", "workspace", "type", failed_operation="create", errors=errors)
    assert asyncio.run(fresh_grants._again(failed)) is again
    assert waited == [fresh_grants.WAIT_SECONDS] * again


def test_an_engine_gets_a_hook_and_a_plan_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def hook(name: str, callback: Any) -> Any:
        return (name, callback)

    monkeypatch.setattr(pulumi, "ErrorHook", hook)
    monkeypatch.setattr(fresh_grants, "is_dry_run", lambda: True)
    assert fresh_grants.retrying("workspace") is None
    monkeypatch.setattr(fresh_grants, "is_dry_run", lambda: False)
    monkeypatch.setattr(fresh_grants, "monitor_supports_feature", lambda _: False)
    assert fresh_grants.retrying("workspace") is None
    monkeypatch.setattr(fresh_grants, "monitor_supports_feature", lambda _: True)
    binding = fresh_grants.retrying("workspace")
    assert binding is not None
    assert binding.on_error == [("workspace-fresh-grants", fresh_grants._again)]
