"""When a trial is given up after some folds, and how long one that has not begun will take."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_jobs.engine.durations import Durations
from automl_jobs.engine.forecasting import problem as forecasting_problem
from automl_jobs.engine.forecasting.trainer import ForecastTrainer
from automl_jobs.engine.multilabel import problem as multilabel_problem
from automl_jobs.engine.multilabel.trial import LabelsTrainer
from automl_jobs.engine.problem import build
from automl_jobs.engine.progress import FIRST_TRIALS, Limits
from automl_jobs.engine.pruning import GivenUp, clearly_worse
from automl_jobs.engine.search import Search
from automl_jobs.engine.trial import Trainer, TrialPlan
from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job
from tests.forecasting_support import daily, prepared
from tests.tables import MLTABLE, mixed

JOB = """\
type: automl
task: classification
primary_metric: accuracy
target_column_name: label
training_data: {path: ., type: mltable}
n_cross_validations: 4
"""
BEST = (0.80, 0.82, 0.81, 0.79, 0.80)
scores = st.floats(0, 1)


@pytest.mark.parametrize(
    ("so_far", "best", "higher", "worse"),
    [
        ([0.70], BEST, True, True),
        ([0.79], BEST, True, False),
        ([0.78, 0.80], BEST, True, False),
        ([0.77, 0.79, 0.78, 0.76], BEST, True, True),
        ([0.90], BEST, True, False),
        ([0.90], BEST, False, True),
        ([0.70], BEST, False, False),
        ([], BEST, True, False),
        ([0.1] * 5, BEST, True, False),
        ([0.1], (), True, False),
        ([0.1], (0.8, 0.8), True, False),
        ([math.nan], BEST, True, False),
        ([0.1], (0.8, math.nan, 0.8), True, False),
        ([0.8], (0.8, 0.8, 0.8), True, False),
        ([0.7999], (0.8, 0.8, 0.8), True, True),
    ],
)
def test_only_what_is_clearly_worse_is_given_up(so_far: list[float], best: Any, higher: bool, worse: bool) -> None:
    assert clearly_worse(so_far, best, higher) is worse


@given(st.lists(scores, min_size=3, max_size=8), st.data())
def test_a_trial_as_good_on_every_fold_is_never_given_up(best: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(best)))
    better = [min(1.0, score + data.draw(scores)) for score in best[:count]]
    assert not clearly_worse(better, best, higher=True)
    assert not clearly_worse([-score for score in better], [-score for score in best], higher=False)


def search(**limits: Any) -> Search:
    return Search(
        names=("LogisticRegression", "LightGBM", "SVM", "XGBoostClassifier"),
        classification=True,
        rows=100,
        higher=True,
        limits=Limits(**{"seconds": 1000.0, "trial_seconds": 100.0, "trials": 100, **limits}),
        seed=0,
        layouts=frozenset({"linear", "tree"}),
    )


def test_neither_the_baseline_nor_the_first_of_an_algorithm_nor_an_early_trial_has_a_bar() -> None:
    found = search()
    seen: set[str] = set()
    barred = 0
    for number in range(14):
        plan = found.next()
        assert plan is not None
        bar = found.bar(plan)
        if number <= FIRST_TRIALS or plan.algorithm not in seen:
            assert bar == ()
        else:
            assert bar == BEST
            barred += 1
        seen.add(plan.algorithm)
        best = number == 1
        found.finished(plan, 0.9 if best else 0.5, 1.0, BEST if best else (0.5,) * 5)
    assert barred > 3


def test_a_trial_that_was_given_up_is_pruned_for_optuna_and_counts_its_whole_time() -> None:
    from optuna.trial import TrialState

    found = search()
    found._portfolio.clear()
    for name in ("Baseline", "LogisticRegression"):
        found.finished(TrialPlan(found.next_id(), name), 0.8, 1.0, BEST)
    plan = found.next()
    assert plan is not None
    found.finished(plan, None, 2.0, (0.1, 0.2), pruned=True)
    (told,) = found._studies["LogisticRegression"].trials
    assert told.state == TrialState.PRUNED
    assert told.intermediate_values == {2: pytest.approx(0.15)}
    assert found._durations.estimate("LogisticRegression", plan.layout, "linear") == pytest.approx(5.0)


def test_the_trainer_gives_up_after_the_fold_that_shows_it(tmp_path: Path) -> None:
    mixed(90, 1).drop(columns="amount").to_csv(tmp_path / "data.csv", index=False)
    (tmp_path / "MLTable").write_text(MLTABLE, encoding="utf-8")
    job = tmp_path / "job.yml"
    job.write_text(JOB, encoding="utf-8")
    trainer = Trainer(build(prepare(load_job(job)), 0), 1)
    with pytest.raises(GivenUp, match="after 1 of 4 folds") as raised:
        trainer.run(TrialPlan("7", "LogisticRegression", {"C": 1.0}, bar=(0.999, 0.998, 0.997, 0.999)), tmp_path / "7")
    assert len(raised.value.folds) == 1
    assert not (tmp_path / "7").exists()
    low = TrialPlan("8", "LogisticRegression", {"C": 1.0}, bar=(0.2, 0.3, 0.2, 0.3))
    outcome = trainer.run(low, tmp_path / "8")
    assert outcome.compared == pytest.approx(outcome.folds)
    assert outcome.compared[0] == raised.value.folds[0]


def test_a_forecast_is_given_up_after_the_origin_that_shows_it(tmp_path: Path) -> None:
    prepared(tmp_path, daily())
    job = tmp_path / "job.yml"
    text = job.read_text(encoding="utf-8").replace("n_cross_validations: 2", "n_cross_validations: 3")
    job.write_text(text, encoding="utf-8")
    forecasts = forecasting_problem.build(prepare(load_job(job)), 0)
    assert len(forecasts.splits) == 3
    trainer = ForecastTrainer(forecasts, 1)
    with pytest.raises(GivenUp, match="after 1 of 3 folds") as raised:
        trainer.run(TrialPlan("7", "Average", bar=(1e-4, 2e-4, 1e-4)), tmp_path / "7")
    assert not (tmp_path / "7").exists()
    outcome = trainer.run(TrialPlan("8", "Average", bar=(1.0, 1.1, 1.0)), tmp_path / "8")
    assert outcome.compared == pytest.approx(outcome.folds)
    assert outcome.compared[0] == raised.value.folds[0]


def test_a_trial_of_several_labels_is_given_up_after_the_fold_that_shows_it(tmp_path: Path) -> None:
    texts = pd.DataFrame(
        {
            "body": [("goal match " if row % 2 else "") + ("house rent" if row % 3 else "soup") for row in range(90)],
            "tags": [str(["sport"] * (row % 2) + ["home"] * (row % 3 > 0)) for row in range(90)],
        }
    )
    texts.to_csv(tmp_path / "data.csv", index=False)
    (tmp_path / "MLTable").write_text(MLTABLE, encoding="utf-8")
    job = tmp_path / "job.yml"
    job.write_text(
        "type: automl\ntask: text_classification_multilabel\ntarget_column_name: tags\n"
        "training_data: {path: ., type: mltable}\n",
        encoding="utf-8",
    )
    labels = multilabel_problem.build(prepare(load_job(job)), 0)
    bar = (0.999,) * (len(labels.splits) - 1) + (0.998,)
    trainer = LabelsTrainer(labels, 1)
    with pytest.raises(GivenUp, match=f"after 1 of {len(bar)} folds") as raised:
        trainer.run(TrialPlan("7", "Baseline", bar=bar), tmp_path / "7")
    assert not (tmp_path / "7").exists()
    outcome = trainer.run(TrialPlan("8", "Baseline", bar=tuple(score - 0.9 for score in bar)), tmp_path / "8")
    assert len(outcome.compared) == len(outcome.folds) == len(bar)
    assert outcome.compared[0] == raised.value.folds[0]


def test_a_trial_takes_what_its_like_took() -> None:
    times = Durations()
    assert times.estimate("LightGBM", "", "boosted") == 0.0
    times.note("LightGBM", "", "boosted", 8.0)
    times.note("LightGBM", "", "boosted", 2.0)
    assert times.estimate("LightGBM", "", "boosted") == 4.0
    assert times.estimate("XGBoost", "", "boosted") == 4.0
    assert times.estimate("KNN", "", "linear") == 0.0
    times.note("LightGBM", "target", "boosted", 12.0)
    times.note("XGBoost", "", "boosted", 1.0)
    assert times.estimate("XGBoost", "target", "boosted") == 3.0
    assert times.estimate("Other", "target", "boosted") == 12.0


def test_the_first_trial_of_an_algorithm_waits_for_no_time_that_its_kin_would_need() -> None:
    found = search(seconds=30.0)
    started = []
    while (plan := found.next()) is not None and len(started) < 50:
        started.append(plan.algorithm)
        found.finished(plan, 0.5, 60.0 if plan.algorithm == "LightGBM" else 0.01)
    assert "LightGBM" in started
    assert "XGBoostClassifier" not in started
    assert "SVM" in started


def test_the_outlook_is_an_estimate_where_trials_end_the_job_and_a_bound_where_time_does() -> None:
    found = search(seconds=100.0, trials=10)
    first = found.outlook(1)
    assert (first.finished, first.trials) == (0, None)
    assert first.expected == first.remaining == pytest.approx(100.0, abs=1.0)
    for _ in range(4):
        plan = found.next()
        assert plan is not None
        found.finished(plan, 0.5, 2.0)
    told = found.outlook(2)
    assert (told.finished, told.trials) == (4, 10)
    assert told.expected == pytest.approx(6.0)
    assert found.outlook(1).expected == pytest.approx(12.0)
    endless = search(seconds=5.0, trials=1000)
    plan = endless.next()
    assert plan is not None
    endless.finished(plan, 0.5, 2.0)
    assert endless.outlook(1).trials is None
