"""Training scripts of forecasts: each kind of forecaster is trained, told as a script, and run without Forestay."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import joblib
import numpy as np
import pandas as pd
import pytest

from automl_jobs.code.forecasts import Piece, Retold, fill
from automl_jobs.engine import outputs
from automl_jobs.engine.ensemble import EnsemblePlan, Member
from automl_jobs.engine.forecasting import ensemble
from automl_jobs.engine.forecasting.problem import ForecastProblem
from automl_jobs.engine.forecasting.trainer import ForecastTrainer
from automl_jobs.engine.trial import TrialOutcome, TrialPlan
from tests.forecasting_support import daily, problem, stores
from tests.scripts_support import scores_of

HOSTILE = 'a"""\nimport os\nos.system("id")  # {{ 7 * 7 }}'
LGB = {"learning_rate": 0.1, "num_leaves": 4, "min_child_samples": 5, "rounds": 20}
IDS = "  time_series_id_column_names: store\n"
# What columns known only to their past, a seasonal component, holidays and an odd name come to.
EVERYTHING = (
    IDS + "  country_or_region_for_holidays: US\n  use_stl: season_trend\n  feature_lags: auto\n"
    f"  features_unknown_at_forecast_time: [{json.dumps(HOSTILE)}]\n"
)


def plans(name: str) -> list[tuple[str, dict[str, Any]]]:
    recursive = {"steps": "recursive", "offset": "season", "log": True}
    direct = {"steps": "direct", "offset": "none", "log": False}
    if name == "everything":
        return [
            ("ElasticNet", {**direct, "alpha": 3.0, "l1_ratio": 0}),
            ("LightGBM", {**recursive, **LGB}),
            ("Arimax", {"log": True}),
            ("Prophet", {"log": False, "bend": 0.2}),
        ]
    level = {"steps": "recursive", "offset": "level", "log": False}
    return [
        ("Baseline", {}),
        ("SeasonalAverage", {}),
        ("ExponentialSmoothing", {"log": True}),
        ("AutoArima", {"log": False}),
        ("Prophet", {"log": True}),
        ("KNN", {**level, "n_neighbors": 4}),
    ]


def made(name: str, folder: Path) -> ForecastProblem:
    if name == "everything":
        frame = stores(70).assign(weather=lambda table: np.where(table.index % 3, "wet", "dry"))
        frame = frame.drop(index=[7, 8, 55, 62, 90]).rename(columns={"weather": HOSTILE})
        return problem(folder, frame, EVERYTHING)
    return problem(folder, daily(60), top="primary_metric: r2_score\n")


def retold(found: ForecastProblem, outcome: TrialOutcome, pieces: list[TrialOutcome]) -> Retold:
    row = SimpleNamespace(id=outcome.plan.id, rank=1, algorithm=outcome.plan.algorithm)
    job = SimpleNamespace(job="calm_bay", primary_metric=found.metric)
    told = tuple(
        Piece(one.plan.id, one.plan.algorithm, one.preprocessor, json.loads(json.dumps(one.plan.parameters)))
        for one in pieces
    )
    packages = outputs.read_schema(outcome.outputs)["packages"]
    return Retold(cast("Any", job), cast("Any", SimpleNamespace(row=row)), found, told, outcome.score, 1, packages)


@pytest.mark.parametrize("name", ["everything", "one series"])
def test_a_script_scores_and_forecasts_as_its_trial(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble, "FAR_BEHIND", 100.0)  # how good the members are is not what is tried
    found = made(name, tmp_path)
    trainer = ForecastTrainer(found, threads=1)
    trained = []
    for number, (algorithm, parameters) in enumerate(plans(name)):
        trained.append(trainer.run(TrialPlan(str(number), algorithm, parameters), tmp_path / str(number)))
    told = [(one, [one]) for one in trained]
    ranked = sorted(trained, key=lambda one: one.score, reverse=found.higher)
    members = tuple(Member(one.plan.id, tmp_path / one.plan.id, "") for one in ranked)
    chosen = [one.id for one in ensemble.choose(found, members)]
    assert len(chosen) > 1
    blended = ensemble.run(found, EnsemblePlan("9", members), tmp_path / "9")
    told.append((blended, [trained[int(trial)] for trial in chosen]))
    folders = []
    for outcome, pieces in told:
        folders.append(tmp_path / f"script-{outcome.plan.id}")
        folders[-1].mkdir()
        fill(retold(found, outcome, pieces), folders[-1])
        text = (folders[-1] / "train.py").read_text(encoding="utf-8")
        assert not re.search(r"os\.system|\bpromotion\b|\bnorth\b|\bsales\b", text)
    assert scores_of(folders, found.metric) == pytest.approx([outcome.score for outcome, _ in told], abs=1e-6)
    frame = found.golden_frame()
    for (outcome, _), folder in zip(told, folders, strict=True):
        own, script = joblib.load(outcome.outputs / outputs.MODEL), joblib.load(folder / "model.pkl")
        wanted, said = (one.forecast(frame, quantiles=[0.1, 0.9]) for one in (own, script))
        pd.testing.assert_frame_equal(said, wanted, rtol=1e-6)
