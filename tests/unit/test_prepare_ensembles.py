"""Settings of the stack ensemble that can't work are told before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job
from forestay.errors import InputError
from tests.tables import write_job


def stacked(folder: Path, settings: str, target: str = "label") -> Path:
    metric = "accuracy" if target == "label" else "r2_score"
    job = write_job(folder, target=target, metric=metric, rows=80)
    with job.open("a", encoding="utf-8") as stream:
        stream.write(f"training: {{stack_ensemble_settings: {{{settings}}}}}\n")
    return job


@pytest.mark.parametrize(
    ("target", "settings", "message", "fix"),
    [
        ("label", "stack_meta_learner_type: elastic_net", "no meta-learner of a classification", "logistic_regression"),
        ("amount", "stack_meta_learner_type: LogisticRegression", "no meta-learner of a regression", "elastic_net_cv"),
        (
            "label",
            "stack_meta_learner_type: none, stack_meta_learner_kwargs: {max_itre: 9}",
            "LogisticRegression has no parameter 'max_itre'",
            "max_iter",
        ),
    ],
)
def test_a_meta_learner_of_another_task_or_with_unknown_parameters(
    tmp_path: Path, target: str, settings: str, message: str, fix: str
) -> None:
    with pytest.raises(InputError) as error:
        prepare(load_job(stacked(tmp_path, settings, target)))
    (found,) = error.value.problems
    assert message in found.message
    assert fix in found.fix
    assert found.where.endswith("job.yml:10")


def test_settings_that_fit_are_taken(tmp_path: Path) -> None:
    settings = "stack_meta_learner_type: light_gbm_classifier, stack_meta_learner_kwargs: {num_leaves: 4}"
    assert prepare(load_job(stacked(tmp_path, settings))).train is not None
