"""The job's model is fitted again on all rows where the hold-out was ours, and what was judged stays as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from automl_jobs.engine import ensemble, problem, refit, stack, trial
from automl_jobs.engine.refit import Part, Refits
from automl_jobs.engine.trial import Trainer, TrialOutcome, TrialPlan
from automl_jobs.prepare import prepare
from automl_jobs.runs import JobWriter
from automl_jobs.spec import load_job
from tests.runs_support import finished_job, new_store, outputs_folder
from tests.tables import MLTABLE, mixed

JOB = """\
type: automl
task: {task}
primary_metric: {metric}
target_column_name: {target}
training_data: {{path: ./train, type: mltable}}
"""


def made(folder: Path, target: str, setting: str = "validation_data_size: 0.2\n", rows: int = 300) -> problem.Problem:
    for name, seed in (("train", 1), ("valid", 2)):
        (folder / name).mkdir(parents=True)
        mixed(rows, seed).to_csv(folder / name / "data.csv", index=False)
        (folder / name / "MLTable").write_text(MLTABLE, encoding="utf-8")
    other = "amount" if target == "label" else "label"
    task, metric = ("classification", "AUC_weighted") if target == "label" else ("regression", "r2_score")
    table = folder / "train" / "data.csv"
    pd.read_csv(table).drop(columns=other, errors="ignore").to_csv(table, index=False)
    (folder / "job.yml").write_text(JOB.format(task=task, metric=metric, target=target) + setting, encoding="utf-8")
    return problem.build(prepare(load_job(folder / "job.yml")), 0)


@pytest.mark.parametrize(
    ("setting", "ours"),
    [
        ("validation_data_size: 0.2\n", True),
        ("validation_data: {path: ./valid, type: mltable}\n", False),
        ("n_cross_validations: 3\n", False),
    ],
)
def test_only_a_hold_out_of_ours_is_learned_from(tmp_path: Path, setting: str, ours: bool) -> None:
    found = made(tmp_path, "label", setting)
    assert found.hold_out is ours
    assert found.training_rows == (240 if ours else 300)


def tried(found: problem.Problem, folder: Path) -> list[tuple[TrialOutcome, Part]]:
    trainer = Trainer(found, 1)
    plans = [
        TrialPlan("1", "LightGBM"),
        TrialPlan("2", "LogisticRegression" if found.classification else "ElasticNet"),
        TrialPlan("3", "RandomForest", {"n_estimators": 20}),
    ]
    told = []
    for plan in plans:
        outcome = trainer.run(plan, folder / plan.id)
        rounds = outcome.parameters.get("rounds")
        told.append((outcome, Part(plan, outcome.outputs, int(rounds) if rounds else None)))
    return told


def members(told: list[tuple[TrialOutcome, Part]], folder: Path) -> tuple[ensemble.Member, ...]:
    return tuple(ensemble.Member(part.plan.id, folder / part.plan.id, one.preprocessor) for one, part in told)


@pytest.mark.parametrize("target", ["label", "amount"])
def test_a_model_and_its_ensembles_learn_from_all_rows(tmp_path: Path, target: str) -> None:
    found = made(tmp_path / "job", target)
    told = tried(found, tmp_path)
    refits = Refits(found.rows / found.training_rows)
    for outcome, part in told:
        refits.note(part.plan, outcome.parameters, 1.0)
    parts = {part.plan.id: part for _, part in told}
    files = {identity: part.outputs for identity, part in parts.items()}
    again = refit.run(found, refits.request("1", "LightGBM", files.__getitem__), 1, tmp_path / "again")
    rounds = parts["1"].rounds
    assert rounds is not None
    assert again.document["rounds"] == {"1": round(rounds * 1.25)}
    assert (again.document["rows"], again.document["judged_rows"]) == (300, 240)
    model = joblib.load(again.outputs / "model.pkl")
    estimator = getattr(model.steps[-1][1], "estimator", model.steps[-1][1])
    assert getattr(estimator, "estimator", estimator).n_estimators_ == round(rounds * 1.25)
    _told_truly(again.outputs, found, model)
    assert not np.array_equal(_answers(model, found), _answers(joblib.load(files["1"] / "model.pkl"), found))
    # An ensemble: its own settings stay, its members are new ones.
    for learner in (None, stack.MetaLearner.of(None, found.classification, folds=False)):
        plan = ensemble.EnsemblePlan("9", members(told, tmp_path), learner, bounded=False)
        rows = ensemble.held_rows(found)
        predictions = [np.load(member.folder / trial.HELD_OUT) for member in plan.members]
        place = tmp_path / plan.name
        outcome = ensemble._made(found, plan, place, list(plan.members), predictions, [0.5, 0.25, 0.25], 0.0)
        assert len(rows) == 60
        refits.note(outcome.plan, outcome.parameters, 1.0)
        request = refits.request("9", plan.name, {**files, "9": outcome.outputs}.__getitem__)
        assert request.weights == (0.5, 0.25, 0.25)
        blended = refit.run(found, request, 1, tmp_path / f"{plan.name}-again")
        served, before = (joblib.load(one / "model.pkl") for one in (blended.outputs, outcome.outputs))
        _told_truly(blended.outputs, found, served)
        assert type(served.steps[-1][1]) is type(before.steps[-1][1])
        # Made of the same members on all rows: the first of them answers as it does alone.
        alone = _answers(model, found)
        first = next(one for _, models in served.steps[-1][1].blocks for one, *_ in models if "LGBM" in repr(one))
        assert np.allclose(_member(served, first, found), alone)


def _member(served: Any, wanted: Any, found: problem.Problem) -> np.ndarray:
    frame = served.steps[0][1].transform(found.frame)
    rows = next(
        features.transform(frame)
        for features, models in served.steps[-1][1].blocks
        if any(one is wanted for one, *_ in models)
    )
    return np.asarray(wanted.predict_proba(rows) if found.classification else wanted.predict(rows))


def _answers(model: Any, found: problem.Problem) -> np.ndarray:
    return np.asarray(model.predict_proba(found.frame) if found.classification else model.predict(found.frame))


def _told_truly(outputs: Path, found: problem.Problem, model: Any) -> None:
    """The golden predictions and the schema are those of this model."""
    golden = json.loads((outputs / "golden.json").read_text(encoding="utf-8"))
    assert golden["predictions"] == [one.item() if hasattr(one, "item") else one for one in _golden(model, found)]
    schema = json.loads((outputs / "model_schema.json").read_text(encoding="utf-8"))
    assert schema["files"]["model.pkl"] == refit.outputs.sha256(outputs / "model.pkl")
    decision = getattr(model.steps[-1][1], "decision", None)
    assert (decision is None) == (schema.get("decision", {}).get("rule") not in ("threshold", "weights"))


def _golden(model: Any, found: problem.Problem) -> list[Any]:
    return list(model.predict(found.golden_frame()))


def test_calibration_and_decision_are_those_of_the_judged_model(tmp_path: Path) -> None:
    found = made(tmp_path / "job", "label", "validation_data_size: 0.3\n", rows=400)
    # Naive Bayes is sure of itself: on these rows its probabilities are calibrated.
    plan = TrialPlan("1", "BernoulliNaiveBayes")
    outcome = Trainer(found, 1).run(plan, tmp_path / "1")
    before = joblib.load(outcome.outputs / "model.pkl").steps[-1][1]
    request = refit.Refit("1", plan.algorithm, outcome.outputs, (Part(plan, outcome.outputs, None),))
    after = joblib.load(refit.run(found, request, 1, tmp_path / "again").outputs / "model.pkl").steps[-1][1]
    assert after.calibration == before.calibration
    assert after.decision == before.decision


def test_what_does_not_fit_in_the_time_stays_as_it_is() -> None:
    refits = Refits(1.1)
    refits.note(TrialPlan("1", "KNN"), {}, 10.0)
    refits.note(TrialPlan("2", "KNN", rows=100), {}, 1.0)
    refits.note(TrialPlan("3", ensemble.VOTING, {ensemble.MEMBERS: {"1": 0.5, "4": 0.5}}), {}, 1.0)
    assert refits.hindrance("1", 20.0) == ""
    assert refits.hindrance("1", 12.0) == ""
    assert "about 11.5 s, and 5.0 s were left" in refits.hindrance("1", 5.0)
    assert "a sample" in refits.hindrance("2", 20.0)
    assert "not known" in refits.hindrance("3", 20.0)
    assert "not known" in refits.hindrance("5", 20.0)
    assert refits.reserve(["2", "1"], 100.0, True) == pytest.approx(13.7)
    assert refits.reserve(["2", "1"], 50.0, True) == 0.0


def test_the_store_keeps_both_models(tmp_path: Path) -> None:
    store = new_store(tmp_path / "home")
    writer: JobWriter = finished_job(store, outputs_folder(tmp_path / "first", "judged"))
    chosen = writer.chosen()
    assert chosen is not None
    early = store.register(writer.job, None, "early")
    assert not writer.is_refitted(chosen)
    document = {"refitted": True, "reason": "", "rows": 10, "judged_rows": 9, "train_rows": 10, "predict_ms": 30.0}
    # Killed before the model is the trial's, nothing says that it is.
    (early.path.parent / "refit").write_text(json.dumps(document), encoding="utf-8")
    assert store.trial(writer.job, None).as_dict()["refit"] is None
    writer.log_refit(chosen, document, outputs_folder(tmp_path / "second", "of all rows"))
    assert writer.is_refitted(chosen)
    found = store.trial(writer.job, None)
    assert found.as_dict()["refit"] == document
    # What the model costs is told of the one that is served; the choice goes by the one that was judged.
    assert (found.row.rows, found.row.predict_ms) == (10, 30.0)
    assert (store.leaderboard(writer.job)[0].rows, store.leaderboard(writer.job)[0].predict_ms) == (10, 30.0)
    assert not [name for name in found.row.metrics if name.startswith("refit")]
    writer.finish("Completed")
    assert store.job(writer.job).best == chosen
    assert found.outputs is not None
    assert found.judged is not None
    assert found.outputs != found.judged
    assert joblib.load(found.outputs / "model.pkl") == "of all rows"
    assert joblib.load(found.judged / "model.pkl") == "judged"
    # Whoever goes on with the job, and what was registered before, have the model that was judged.
    assert writer.outputs(chosen.id) == found.judged
    assert store.model("early").path == early.path == found.judged
    again = store.register(writer.job, None, "early")
    assert (again.version, again.path) == ("2", found.outputs)
    assert store.register(writer.job, None, "early").existing
    _, copied = store.download(writer.job, None, tmp_path / "copy")
    assert joblib.load(tmp_path / "copy" / "model.pkl") == "of all rows"
    assert "model.pkl" in copied
