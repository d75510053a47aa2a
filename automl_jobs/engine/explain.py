"""Which columns a model's score rests on, and what each says of one row.

Permutation importance (Breiman 2001, "Random Forests", section 10; with repeats as in scikit-learn): a raw column is
shuffled before it enters the pipeline, and what the primary metric loses is the column's importance. Contributions to
single rows are the exact SHAP values that LightGBM and XGBoost give for trees, summed up by raw column.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.engine import decide, spread, summary
from automl_jobs.engine.trial import LAST_FOLD
from automl_jobs.labels import indicator
from forestay_transformers import LogTarget

if TYPE_CHECKING:
    from automl_jobs.engine.problem import Problem

MOST_ROWS, FEWEST_ROWS = 4_000, 200
REPEATS = 5
VALIDATION, TEST, TRAINING = "validation", "test", "training"
LOG1P = "log1p"


@dataclass(frozen=True)
class Importance:
    """What the primary metric loses when a column is shuffled: mean and standard deviation over the repeats."""

    column: str
    mean: float
    std: float


@dataclass(frozen=True)
class Explanation:
    """The permutation importance of a model's columns, the largest first.

    Attributes
    ----------
    metric, score: the primary metric, and its value on the rows used, nothing shuffled.
    data: which rows: `validation`; where the model was fitted on all of those, `test`; without test data those of the
        last fold, by the model of that fold; `training` where that was not kept.
    rows, repeats: how many of them, and how often each column was shuffled.
    left_out: columns for which the time did not suffice.
    """

    metric: str
    score: float
    data: str
    rows: int
    repeats: int
    importances: tuple[Importance, ...]
    left_out: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "score": self.score,
            "data": self.data,
            "rows": self.rows,
            "repeats": self.repeats,
            "importances": [{"column": one.column, "mean": one.mean, "std": one.std} for one in self.importances],
            "left_out": list(self.left_out),
        }


def explain(problem: Problem, model: Any, seconds: float, last_fold: Any = None) -> Explanation:
    """The permutation importance of a trial's model.

    Parameters
    ----------
    model: its pipeline, which takes raw frames.
    seconds: time to spend; a slow model gets fewer rows and fewer repeats. One call of the model may go beyond it.
    last_fold: the pipeline of the last fold, which answers instead of a model fitted on all rows; None for none.

    Raises ValueError when the primary metric has no value on these rows.
    """
    started = time.monotonic()
    frame, truth, weights, data = _rows(problem, last_fold is not None)
    model = model if last_fold is None else last_fold
    columns = [name for name, _ in problem.settings.columns]
    began = time.monotonic()
    predicted = predict(problem, model, frame)
    each = time.monotonic() - began
    # A whole round over all columns should fit in half of the time.
    share = seconds / 2 / max(each * len(columns), 1e-9)
    if share < 1 and len(truth) > FEWEST_ROWS:
        keep = slice(0, max(FEWEST_ROWS, int(len(truth) * share)))
        frame, truth, predicted = frame.iloc[keep], truth[keep], predicted[keep]
        weights = None if weights is None else weights[keep]
    score = spread.primary(problem, truth, predicted, weights, decide.labels(model, predicted))
    if not np.isfinite(score):
        raise ValueError(
            f"{problem.metric} has no value on the {len(truth)} rows that importances would be measured on"
        )
    draw = np.random.default_rng(problem.seed)

    def begin() -> Callable[[str], float]:
        order = draw.permutation(len(truth))

        def value(column: str) -> float:
            shuffled = frame.copy(deep=False)
            shuffled[column] = frame[column].take(order).set_axis(frame.index)
            answered = predict(problem, model, shuffled)
            return spread.primary(problem, truth, answered, weights, decide.labels(model, answered))

        return value

    whole = Explanation(problem.metric, score, data, len(truth), 1, (), ())
    return permuted(whole, columns, problem.higher, started + seconds, begin)


def permuted(
    whole: Explanation, columns: Sequence[str], higher: bool, ends: float, begin: Callable[[], Callable[[str], float]]
) -> Explanation:
    """The explanation `whole` with what the score loses without each column, over up to five rounds of all of them.

    Parameters
    ----------
    higher: whether more of the metric is better. ends: the moment (time.monotonic) after which no column is tried.
    begin: starts a round: a function from a column to the score with its values exchanged; NaN counts as no loss.
    """
    losses: dict[str, list[float]] = {column: [] for column in columns}
    repeats = 0
    for _ in range(REPEATS if columns else 0):
        score_without = begin()
        for column in columns:
            if time.monotonic() > ends:
                break
            value = score_without(column)
            loss = whole.score - value if higher else value - whole.score
            losses[column].append(loss if np.isfinite(value) else 0.0)
        else:
            repeats += 1
            continue
        break
    told = [
        Importance(column, float(np.mean(values)), float(np.std(values))) for column, values in losses.items() if values
    ]
    told.sort(key=lambda one: -one.mean)
    left_out = tuple(column for column, values in losses.items() if not values)
    return replace(whole, repeats=max(1, repeats), importances=tuple(told), left_out=left_out)


def predict(problem: Problem, model: Any, frame: pd.DataFrame) -> np.ndarray:
    """Probabilities (n, k) in the order of the problem's classes, or values (n,).

    With several labels a row: which of the classes are said, (n, k) of 0 and 1.
    """
    if problem.multilabel and problem.classes is not None:
        return np.asarray(indicator(model.predict(frame), problem.classes))
    if problem.classes is None:
        return np.asarray(model.predict(frame), dtype="float64")
    return np.asarray(model.predict_proba(frame))


def _rows(problem: Problem, by_fold: bool) -> tuple[pd.DataFrame, np.ndarray, np.ndarray | None, str]:
    """Rows that the model was not fitted on, where there are any: frame, target, weights, and which they are.

    `by_fold` says that it is the one of the last fold.
    """
    weights: np.ndarray | None = None
    if problem.refit and problem.test is not None and not by_fold:
        frame, truth, data = problem.test[0], problem.test[1], TEST
        known = truth >= 0 if problem.classification else np.isfinite(truth)
        frame, truth = frame[known], truth[known]
        weights = None if problem.test_weights is None else problem.test_weights[known]
    else:
        seen = problem.refit and not by_fold
        rows = np.arange(len(problem.frame)) if seen else problem.splits[-1][1]
        frame, truth, data = problem.frame.iloc[rows], problem.target[rows], TRAINING if seen else VALIDATION
        weights = None if problem.weights is None else problem.weights[rows]
    chosen = np.random.default_rng(problem.seed).permutation(len(truth))[:MOST_ROWS]
    return frame.iloc[chosen], truth[chosen], None if weights is None else weights[chosen], data


class NotTrees(Exception):
    """The model is not one whose contributions can be computed exactly."""


def contributions(model: Any, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """What each raw column adds to the answers for the rows of a frame.

    Parameters
    ----------
    model: the pipeline of a LightGBM or XGBoost trial. Raises NotTrees for any other.
    frame: raw rows.

    Returns for each row `{"bias", "contributions": {column: number}}`, whose sum is the answer before the link: the
    value of a regression, the log-odds of the second of two classes; with more classes `{"classes": {label: ...}}`
    with these for the score of each. Where the model has learned log(1 + value), that is the sum, and each row says so
    by `"link": "log1p"`.
    """
    named = dict(model.steps)
    if "features" not in named or named["features"] == "passthrough":
        raise NotTrees
    labels = getattr(named["model"], "classes", None)
    estimator = getattr(named["model"], "estimator", named["model"])
    matrix = named["features"].transform(named["input"].transform(frame))
    matrix = matrix.tocsr() if hasattr(matrix, "tocsr") else np.asarray(matrix)
    columns = summary.origins(named["features"])
    values = _calibrated(_tree_values(estimator, matrix), named["model"])
    if values.shape[1] == 1:
        link = {"link": LOG1P} if isinstance(named["model"], LogTarget) else {}
        return [_told(row[0], columns) | link for row in values]
    positions = named["model"].positions
    names = [str(labels[position]) for position in positions] if labels is not None else []
    return [{"classes": {name: _told(part, columns) for name, part in zip(names, row, strict=True)}} for row in values]


def _calibrated(values: np.ndarray, model: Any) -> np.ndarray:
    """Contributions to the scores after a classifier's calibration, which is linear in them."""
    calibration = getattr(model, "calibration", None)
    if calibration is None:
        return values
    shifts = np.asarray(calibration["shifts"])[list(model.positions)]
    values = calibration["slope"] * values
    values[:, :, -1] += shifts if values.shape[1] > 1 else shifts[1] - shifts[0]
    return np.asarray(values)


def _tree_values(estimator: Any, matrix: Any) -> np.ndarray:
    """(n, outputs, features + 1), the last being the bias."""
    kind = type(estimator).__name__
    if kind.startswith("LGBM"):
        flat = estimator.booster_.predict(matrix, pred_contrib=True)
        flat = flat.toarray() if hasattr(flat, "toarray") else np.asarray(flat)
        return np.asarray(flat.reshape(len(flat), -1, matrix.shape[1] + 1))
    if kind.startswith("XGB"):
        import xgboost

        # What stopped early answers with its best rounds, not with all of them.
        rounds = (0, getattr(estimator, "best_iteration", -1) + 1)
        asked = xgboost.DMatrix(matrix)
        values = np.asarray(estimator.get_booster().predict(asked, pred_contribs=True, iteration_range=rounds))
        return values if values.ndim == 3 else values[:, None, :]
    raise NotTrees


def _told(values: np.ndarray, columns: list[str]) -> dict[str, Any]:
    summed = summary.by_column(values[None, :-1], columns)
    ordered = sorted(summed.items(), key=lambda item: -abs(item[1][0]))
    return {"bias": float(values[-1]), "contributions": {column: float(value[0]) for column, value in ordered}}


def load(outputs: Path) -> Any:
    """The model in a trial's outputs folder, which this project wrote."""
    import joblib

    return joblib.load(outputs / "model.pkl")


def load_last_fold(folder: Path) -> Any | None:
    """The model of the last fold in a trial's folder; None where none was kept."""
    import joblib

    path = folder / LAST_FOLD
    return joblib.load(path) if path.is_file() else None
