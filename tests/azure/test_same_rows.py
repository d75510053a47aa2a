"""One job file on both engines: the rows that come out have the same keys and the same kinds of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.azure.conftest import Azure, Cli
from tests.azure.standin.jobs import Script

pytestmark = pytest.mark.usefixtures("quick")
# Numbers of the local engine that Azure does not give: there they are null.
ONLY_HERE = {"score_std", "score_se", "train_score", "predict_ms", "model_mb", "rows"}
NOT_OF_NEGATIVES = {"root_mean_squared_log_error", "normalized_root_mean_squared_log_error"}
QUALITY = {"minority_recall", "minority_average_precision", "expected_calibration_error", "brier_score"}


def kinds(document: dict[str, Any]) -> dict[str, str]:
    numbers = {"int": "number", "float": "number"}
    return {key: numbers.get(type(value).__name__, type(value).__name__) for key, value in document.items()}


def test_a_published_job_here_and_there(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.service.script = Script(trials=2)
    there = cli("job", "submit", job_file, "--stream").json
    here = cli(
        *("job", "submit", job_file, "--time-budget", "40s", "--set", "limits.max_trials=2"),
        *(
            "--set",
            "training={allowed_training_algorithms: [elastic_net, decision_tree]}",
            "--set",
            "limits.max_nodes=1",
        ),
        env="",
    ).json
    assert here.keys() <= there.keys() | {"test_metrics", "test_metrics_interval"}
    for key in ("task", "primary_metric", "experiment", "target"):
        assert here[key] == there[key], key
    assert here["best_trial"].keys() == there["best_trial"].keys()
    assert kinds(here["best_trial"]) == kinds(there["best_trial"])
    mine = cli("job", "leaderboard", here["job"], env="").json
    other = cli("job", "leaderboard", there["job"]).json
    assert mine.keys() == other.keys()
    first, second = mine["trials"][0], other["trials"][0]
    assert first.keys() - QUALITY == second.keys() - QUALITY
    measured = {key: kind for key, kind in kinds(first).items() if key not in ONLY_HERE}
    assert measured == {key: kind for key, kind in kinds(second).items() if key not in ONLY_HERE}
    assert set(first["metrics"]) == set(second["metrics"]) - NOT_OF_NEGATIVES
    rows = {row["job"]: row for row in cli("job", "list").json + cli("job", "list", env="").json}
    assert rows[here["job"]].keys() == rows[there["job"]].keys()
