"""Every metric equals what the `azureml-metrics` package says, installed in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_jobs.engine import metrics
from automl_jobs.engine.multilabel import metrics as multilabel_metrics
from tests.environments import environment
from tests.oracle import cases

VERSION = "0.0.91"
# The versions that go with it: scikit-learn as Azure trains with it, and setuptools that still has pkg_resources.
PACKAGES = (f"azureml-metrics=={VERSION}", "scikit-learn==1.5.2", "scipy<1.14", "pandas<2.3", "setuptools<81")
CASES = {
    f"{task.__name__}: {name}": case
    for task in (cases.classification, cases.multilabel, cases.regression, cases.forecasting)
    for name, case in task().items()
}
DECIDED = [name for name, case in CASES.items() if "decided" in case]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def oracle() -> Path:
    """The Python of an environment that holds azureml-metrics, made once and kept beside the project's own."""
    return environment(f"azureml-metrics-{VERSION}", "3.11", PACKAGES) / "python"


@pytest.fixture(scope="session")
def answers(oracle: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("azureml_answers.py")
    done = subprocess.run(
        [oracle, script], input=json.dumps(CASES), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def array(case: dict[str, Any], key: str) -> np.ndarray | None:
    return np.array(case[key]) if key in case else None


def ours(case: dict[str, Any]) -> dict[str, float]:
    truth = np.array(case["truth"])
    if case["task"] == "classification":
        positive = case["classes"].index(case["positive"]) if "positive" in case else None
        probabilities, weights = np.array(case["probabilities"]), array(case, "weights")
        return metrics.classification(truth, probabilities, weights, positive, array(case, "decided"))
    if case["task"] == "multilabel":
        if "said" in case:
            return multilabel_metrics.multilabel(truth, np.array(case["said"], dtype=float), np.array(case["said"]))
        probabilities = np.array(case["probabilities"])
        return multilabel_metrics.multilabel(truth, probabilities, probabilities > 0.5)
    predicted = np.array(case["predicted"])
    if case["task"] == "regression":
        whole = np.array(case["whole"])
        return metrics.regression(truth, predicted, whole.min(), whole.max(), array(case, "weights"))
    values, names = np.array(case["train"]), np.array(case["train_series"])
    ranges = {str(name): (values[names == name].min(), values[names == name].max()) for name in np.unique(names)}
    found = metrics.forecasting(truth, predicted, case["test_series"], ranges)
    return {name: found[name] for name in case["metrics"] if name in found}


@pytest.mark.parametrize("name", CASES)
def test_values_equal(name: str, answers: dict[str, Any]) -> None:
    theirs = {metric: value for metric, value in answers[name]["metrics"].items() if value is not None}
    found = ours(CASES[name])
    if "said" in CASES[name] or name in DECIDED:
        # Without probabilities theirs has only the metrics of what is said; those that say otherwise it ignores.
        assert len(theirs) > 10
        found = {metric: found[metric] for metric in theirs}
    assert set(found) == set(theirs)
    for metric, value in theirs.items():
        assert found[metric] == pytest.approx(value, rel=1e-9, abs=1e-12), metric


@pytest.mark.parametrize("name", DECIDED)
def test_macro_recall_of_decided_labels_is_theirs_of_certain_answers(name: str, answers: dict[str, Any]) -> None:
    """Which theirs computes from probabilities only."""
    certain = answers[f"{name}, certain"]["metrics"]
    assert ours(CASES[name])["norm_macro_recall"] == pytest.approx(certain["norm_macro_recall"])


@pytest.mark.parametrize("name", DECIDED)
def test_matrices_of_decided_labels_equal(name: str, answers: dict[str, Any]) -> None:
    case = CASES[name]
    truth, said = np.array(case["truth"]), np.array(case["decided"])
    matrix = metrics.confusion_matrix(truth, said, case["classes"], array(case, "weights"))["data"]
    theirs = answers[name]["artifacts"]["confusion_matrix"]["data"]
    assert matrix["class_labels"] == theirs["class_labels"]
    seen = np.union1d(truth, said)
    assert np.array(matrix["matrix"])[np.ix_(seen, seen)] == pytest.approx(np.array(theirs["matrix"]))


UNDECIDED = [name for name in CASES if name.startswith("classification") and name not in DECIDED]


@pytest.mark.parametrize("name", UNDECIDED)
def test_documents_of_classification_equal(name: str, answers: dict[str, Any]) -> None:
    case = CASES[name]
    truth, probabilities = np.array(case["truth"]), np.array(case["probabilities"])
    theirs = answers[name]["artifacts"]
    said = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(truth, said, case["classes"], array(case, "weights"))
    table = metrics.accuracy_table(truth, probabilities, case["classes"])
    assert set(matrix["data"]) == set(theirs["confusion_matrix"]["data"])
    assert set(table["data"]) == set(theirs["accuracy_table"]["data"])
    for document, key in ((matrix, "confusion_matrix"), (table, "accuracy_table")):
        assert (document["schema_type"], document["schema_version"]) == (
            theirs[key]["schema_type"],
            theirs[key]["schema_version"],
        )
        assert document["data"]["class_labels"] == theirs[key]["data"]["class_labels"]
    assert table["data"]["percentile_thresholds"] == pytest.approx(
        theirs["accuracy_table"]["data"]["percentile_thresholds"]
    )
    # Theirs leaves out classes that are neither true nor predicted, and then mislabels the tables that follow.
    seen = np.union1d(truth, said)
    theirs_matrix = np.array(theirs["confusion_matrix"]["data"]["matrix"])
    assert np.array(matrix["data"]["matrix"])[np.ix_(seen, seen)] == pytest.approx(theirs_matrix)
    if len(np.unique(truth)) == len(case["classes"]):
        assert table["data"]["probability_tables"] == theirs["accuracy_table"]["data"]["probability_tables"]
        assert table["data"]["percentile_tables"] == theirs["accuracy_table"]["data"]["percentile_tables"]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("multilabel")])
def test_matrices_of_labels_equal(name: str, answers: dict[str, Any]) -> None:
    case = CASES[name]
    probabilities = np.array(case.get("probabilities", case.get("said")), dtype=float)
    said = np.array(case["said"]) if "said" in case else probabilities > 0.5
    found = multilabel_metrics.charts(np.array(case["truth"]), probabilities, said, case["classes"])
    assert found["confusion_matrix"] == answers[name]["artifacts"]["confusion_matrix"]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("regression")])
def test_documents_of_regression_equal(name: str, answers: dict[str, Any]) -> None:
    case = CASES[name]
    truth, predicted, whole = (np.array(case[key]) for key in ("truth", "predicted", "whole"))
    theirs = answers[name]["artifacts"]
    found = {
        "residuals": metrics.residuals(truth, predicted, whole.std()),
        "predicted_true": metrics.predicted_true(truth, predicted, whole),
    }
    for key, document in found.items():
        assert document["schema_type"] == theirs[key]["schema_type"]
        assert document["schema_version"] == theirs[key]["schema_version"]
        assert set(document["data"]) == set(theirs[key]["data"])
        for part, values in theirs[key]["data"].items():
            assert document["data"][part] == pytest.approx(values, rel=1e-9, abs=1e-12), (key, part)
