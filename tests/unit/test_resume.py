"""What a job was submitted with is what it goes on with."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from automl_jobs.resume import _changed
from automl_jobs.spec.decisions import parse
from automl_jobs.submit import SubmitOptions

EVERYTHING: dict[str, Any] = {
    "overrides": {"limits.max_trials": "8", "name": "calm"},
    "time_budget": 12.5,
    "seed": 7,
    "prefer": "speed",
    "decision": parse("cost:FN=5,FP=1.5"),
    "bagged_folds": True,
    "env": "local",
}


@pytest.mark.parametrize("given", [{}, EVERYTHING, {"decision": parse("0.3")}])
def test_every_option_survives_its_document(given: dict[str, Any]) -> None:
    options = SubmitOptions(**given)
    assert SubmitOptions.of(json.loads(json.dumps(options.as_dict()))) == options


def test_no_option_is_forgotten_here() -> None:
    assert set(EVERYTHING) == {one.name for one in fields(SubmitOptions)}


def test_changed_keys_are_named_with_their_place() -> None:
    before = {"limits": {"max_trials": 8, "timeout_minutes": 5}, "task": "regression", "tags": None}
    now = {"limits": {"max_trials": 9, "timeout_minutes": 5}, "task": "regression", "tags": {"a": "b"}, "name": "x"}
    assert _changed(before, now) == ["limits.max_trials", "tags", "name"]
    assert _changed(before, before) == []
