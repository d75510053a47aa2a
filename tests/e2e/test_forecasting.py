"""A forecasting job as a user runs it: trained, ranked, described, served by its files; wrong input told in words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Run
from tests.forecasting_support import JOB, daily, stores
from tests.scripts_support import scores_of

IDS = "  time_series_id_column_names: store\n"
SERVE = """
import json, sys
import joblib, pandas as pd
model = joblib.load("model.pkl")
rows = pd.DataFrame(json.loads(sys.argv[1]))
found = model.forecast(rows, quantiles=[0.1, 0.9])
print(json.dumps([found["forecast"].tolist(), found[0.1].tolist(), found[0.9].tolist()]))
ours = {name.split(".")[0] for name in sys.modules} & {"forestay", "automl_jobs", "scoring", "holidays"}
assert not ours, ours
"""


def write(project: Path, frame: pd.DataFrame, extra: str = IDS, top: str = "") -> Path:
    frame.to_csv(project / "train.csv", index=False)
    job = project / "job.yml"
    job.write_text(JOB.format(extra=extra) + top, encoding="utf-8")
    return job


@pytest.mark.slow
def test_from_a_job_of_two_series_to_quantiles_out_of_its_files(forestay: Run, project: Path) -> None:
    frame = stores()
    days = sorted(frame["day"].unique())
    held = frame[frame["day"] >= days[-7]]
    held.to_csv(project / "test.csv", index=False)
    top = "test_data: {path: ./test.csv, type: mltable}\nlimits: {max_trials: 6, timeout_minutes: 2}\n"
    job = write(project, frame[frame["day"] < days[-7]], IDS + "  country_or_region_for_holidays: US\n", top)
    checked = json.loads(forestay("job", "check", job, "-o", "json").stdout)
    assert checked["valid"]
    assert checked["validation"] == {"kind": "rolling_origin", "folds": 2, "fraction": None}
    assert all(one["status"] in ("Passed", "Done") for one in checked["guardrails"])

    done = forestay("job", "submit", job, "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["task"], found["trials"]) == ("Completed", "forecasting", 6)
    assert found["test_metrics"]["mean_absolute_scaled_error"] < 0.5
    assert (found["forecast"]["series"], found["forecast"]["frequency"], found["forecast"]["horizon"]) == (2, "D", 7)
    assert found["forecast"]["known_ahead"] == ["promotion"]
    # The series jump at each promotion and hold nothing else that is not their own past.
    (importance,) = found["explanation"]["importances"]
    assert (importance["column"], found["explanation"]["data"]) == ("promotion", "test")
    assert importance["mean"] > 0.05

    board = json.loads(forestay("job", "leaderboard", "latest", "-o", "json").stdout)
    assert board["primary_metric"] == "normalized_root_mean_squared_error"
    scores = [trial["score"] for trial in board["trials"]]
    assert scores == sorted(scores)
    assert {trial["algorithm"] for trial in board["trials"]} >= {"Baseline", "ElasticNet", "VotingEnsemble"}
    assert all(set(trial) >= {"rank", "id", "preprocessor", "status", "metrics"} for trial in board["trials"])
    best = found["best_trial"]
    assert board["trials"][best["rank"] - 1]["score"] == best["score"]

    [blend] = [trial for trial in board["trials"] if trial["algorithm"] == "VotingEnsemble"]
    told = forestay("job", "code", "latest", "--rank", str(blend["rank"]), "--to", "script")
    assert told.returncode == 0, told.stderr
    assert scores_of([project / "script"], board["primary_metric"]) == pytest.approx([blend["score"]], abs=1e-6)

    explained = json.loads(forestay("job", "explain", "latest", "--rank", "2", "-o", "json").stdout)
    assert explained["rank"] == 2
    assert [one["column"] for one in explained["importances"]] == ["promotion"]
    registered = forestay("model", "register", "latest", "--name", "Sales", "-o", "json")
    assert registered.returncode == 0, registered.stderr
    outputs = Path(json.loads(registered.stdout)["path"])
    schema = json.loads((outputs / "model_schema.json").read_text(encoding="utf-8"))
    assert (schema["task"], schema["horizon"], schema["series_columns"]) == ("forecasting", 7, ["store"])
    golden = json.loads((outputs / "golden.json").read_text(encoding="utf-8"))
    assert len(golden["rows"]) == len(golden["predictions"]) > 10

    rows = held.drop(columns="sales").to_json(orient="records")
    served = subprocess.run(
        [sys.executable, "-c", SERVE, rows], cwd=outputs, capture_output=True, text=True, check=True, env={}
    )
    middle, low, high = json.loads(served.stdout)
    truth = held["sales"].tolist()
    assert all(a <= b <= c for a, b, c in zip(low, middle, high, strict=True))
    assert sum(a <= value <= c for a, value, c in zip(low, truth, high, strict=True)) >= 0.5 * len(truth)
    off = sum(abs(value - forecast) for value, forecast in zip(truth, middle, strict=True)) / len(truth)
    assert off == pytest.approx(found["test_metrics"]["mean_absolute_error"])


def test_gaps_are_filled_and_told(forestay: Run, project: Path) -> None:
    job = write(project, daily().drop(index=[50, 51]), "")
    done = forestay("job", "check", job, "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (gaps,) = [one for one in told["guardrails"] if one["name"] == "Missing target values"]
    assert (gaps["status"], gaps["details"][0]["missing"]) == ("Done", 2)
    assert any("2 of 120 periods" in one["message"] for one in told["warnings"])


@pytest.mark.parametrize(
    ("extra", "old", "new", "line", "what", "how"),
    [
        (IDS + "  frequency: fortnightly\n", "", "", 10, "'fortnightly' is not a frequency", "write D"),
        ("", "", "", 7, "stand twice", "time_series_id_column_names"),
        (IDS, "horizon: 7", "horizon: 200", 8, "120 periods: too few to forecast 200", "forecast_horizon to 58"),
        (IDS, "name: day", "name: dya", 7, "'dya', which is no column", "did you mean day"),
        (IDS + "  country_or_region_for_holidays: Atlantis\n", "", "", 10, "no holidays are known", "two letters"),
        (IDS, "n_cross_validations: 2", "test_data_size: 0.2", 5, "at random", "test_data"),
    ],
)  # fmt: skip
def test_wrong_input_is_told_with_its_line_and_what_to_do(
    forestay: Run, project: Path, extra: str, old: str, new: str, line: int, what: str, how: str
) -> None:
    job = write(project, stores(), extra)
    job.write_text(job.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    done = forestay("job", "submit", job, process=False)
    assert done.returncode == 2
    (error,) = [text for text in done.stderr.splitlines() if text.startswith("error:")]
    assert f"job.yml:{line}: " in error
    assert what in error
    assert how in done.stderr.splitlines()[done.stderr.splitlines().index(error) + 1]
    assert "Traceback" not in done.stderr
    assert not (project / ".forestay" / "runs.db").exists()


def test_an_algorithm_of_azure_alone_is_said_to_be_one(forestay: Run, project: Path) -> None:
    job = write(project, stores(), top="training: {allowed_training_algorithms: [tcn_forecaster]}\n")
    done = forestay("job", "submit", job, process=False)
    assert done.returncode == 2
    assert "TCNForecaster trains in Azure only" in done.stderr
    assert "job.yml:10" in done.stderr
