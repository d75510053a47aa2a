"""Predictions to score, as JSON: every shape in which a definition could differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from automl_jobs.engine.metrics import NORMALIZED


def _probabilities(draw: np.random.Generator, truth: np.ndarray, classes: int, skill: float) -> np.ndarray:
    raw = draw.dirichlet(np.ones(classes), size=len(truth))
    return (1 - skill) * raw + skill * (truth[:, None] == np.arange(classes))


def _classes(draw: np.random.Generator, truth: np.ndarray, labels: list[Any], skill: float, **more: Any) -> Any:
    probabilities = _probabilities(draw, truth, len(labels), skill)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return {
        "task": "classification",
        "classes": labels,
        "truth": truth.tolist(),
        "probabilities": probabilities.tolist(),
        **more,
    }


def _decided(case: Any, decide: Callable[[np.ndarray], np.ndarray]) -> Any:
    """The case with labels that are not those of the most probable class."""
    return {**case, "decided": decide(np.array(case["probabilities"])).tolist()}


def _certain(case: Any) -> Any:
    """The case with probabilities of one for its labels."""
    rest = {key: value for key, value in case.items() if key != "decided"}
    return {**rest, "probabilities": np.eye(len(case["classes"]))[case["decided"]].tolist()}


def classification() -> dict[str, Any]:
    draw = np.random.default_rng(11)

    def weights(count: int) -> list[float]:
        return (draw.random(count) * 3 + 0.1).tolist()

    binary = draw.integers(0, 2, 80)
    rare = (draw.random(400) < 0.03).astype(int)
    three, five = draw.integers(0, 3, 150), draw.integers(0, 5, 60)
    cases = {
        "binary": _classes(draw, binary, [0, 1], 0.3),
        "binary positive": _classes(draw, binary, ["no", "yes"], 0.3, positive="yes"),
        "binary positive is the first label": _classes(draw, binary, ["good", "ill"], 0.2, positive="good"),
        "binary weights": _classes(draw, binary, [0, 1], 0.2, weights=weights(80)),
        "binary weights positive": _classes(draw, binary, ["a", "b"], 0.2, weights=weights(80), positive="b"),
        "binary imbalanced": _classes(draw, rare, [0, 1], 0.1),
        "binary rare class never predicted": _classes(draw, rare, [0, 1], 0.0),
        "binary one class in the rows": _classes(draw, np.zeros(30, dtype=int), [0, 1], 0.1),
        "binary the other class in the rows": _classes(draw, np.ones(30, dtype=int), ["no", "yes"], 0.1),
        "binary worse than chance": _classes(draw, 1 - binary, [0, 1], 0.0),
        "three": _classes(draw, three, [0, 1, 2], 0.3),
        "three strings": _classes(draw, three, ["high", "low", "middle"], 0.2),
        "three unordered numbers": _classes(draw, three, [10, 200, 3000], 0.2),
        "three fractions": _classes(draw, three, [0.5, 1.5, 2.25], 0.2),
        "three weights": _classes(draw, three, [0, 1, 2], 0.2, weights=weights(150)),
        "three, one not in the rows": _classes(draw, np.where(three == 1, 0, three), ["a", "b", "c"], 0.1),
        "three, two not in the rows": _classes(draw, np.full(40, 2), [0, 1, 2], 0.1),
        "five, last not in the rows": _classes(draw, np.where(five == 4, 0, five), [0, 1, 2, 3, 4], 0.1),
        "five, weights, first not in the rows": _classes(
            draw, np.where(five == 0, 3, five), [0, 1, 2, 3, 4], 0.1, weights=weights(60)
        ),
        "five, perfect": _classes(draw, five, [0, 1, 2, 3, 4], 1.0),
        "many rows": _classes(draw, draw.integers(0, 4, 20_000), [0, 1, 2, 3], 0.2),
        "one row": _classes(draw, np.array([1]), [0, 1, 2], 0.5),
    }
    constant = _classes(draw, three, [0, 1, 2], 0.0)
    constant["probabilities"] = [[0.5, 0.3, 0.2]] * 150
    tied = _classes(draw, binary, [0, 1], 0.0)
    tied["probabilities"] = np.round(np.array(tied["probabilities"]), 1).tolist()
    certain = _classes(draw, binary, [0, 1], 0.0)
    certain["probabilities"] = np.round(np.array(certain["probabilities"])).tolist()
    decided = {
        "binary decided at 0.2": _decided(cases["binary imbalanced"], lambda p: (p[:, 1] >= 0.2).astype(int)),
        "binary decided, weights, positive": _decided(
            cases["binary weights positive"], lambda p: (p[:, 1] >= 0.7).astype(int)
        ),
        "three decided by class weights": _decided(cases["three weights"], lambda p: (p * [0.2, 1, 3]).argmax(axis=1)),
        "five decided, one not in the rows": _decided(
            cases["five, last not in the rows"], lambda p: (p * [3, 1, 1, 1, 0]).argmax(axis=1)
        ),
    }
    cases |= decided | {f"{name}, certain": _certain(case) for name, case in decided.items()}
    return {**cases, "constant prediction": constant, "tied probabilities": tied, "certain and wrong": certain}


def multilabel() -> dict[str, Any]:
    draw = np.random.default_rng(14)

    def case(truth: np.ndarray, skill: float, **more: Any) -> Any:
        noise = draw.random(truth.shape)
        classes = [f"label {position:02}" for position in range(truth.shape[1])]
        probabilities = (1 - skill) * noise + skill * truth
        return {
            "task": "multilabel",
            "classes": classes,
            "truth": truth.tolist(),
            "probabilities": probabilities.tolist(),
            **more,
        }

    def drawn(rows: int, labels: int, share: float) -> np.ndarray:
        return (draw.random((rows, labels)) < share).astype(int)

    four, few = drawn(150, 4, 0.3), drawn(60, 6, 0.1)
    absent, everywhere, one = four.copy(), four.copy(), drawn(40, 3, 0.3)
    absent[:, 2], everywhere[:, 1], one[:, 1:] = 0, 1, 0
    two_absent = drawn(50, 2, 0.4)
    two_absent[:, 0] = 0
    said = case(four, 0.3)
    said["said"] = (np.array(said.pop("probabilities")) > 0.35).astype(int).tolist()
    tied = case(four, 0.3)
    tied["probabilities"] = np.round(np.array(tied["probabilities"]), 1).tolist()
    return {
        "four": case(four, 0.3),
        "four, poor": case(four, 0.0),
        "four, perfect": case(four, 1.0),
        "many rows without a label": case(few, 0.3),
        "a label that no row has": case(absent, 0.3),
        "a label that every row has": case(everywhere, 0.3),
        "one label in the rows": case(one, 0.2),
        "two labels": case(drawn(80, 2, 0.4), 0.3),
        "two labels, one not in the rows": case(two_absent, 0.3),
        "no label in the rows": case(np.zeros((30, 3), dtype=int), 0.1),
        "many labels": case(drawn(500, 40, 0.05), 0.4),
        "one row": case(np.array([[1, 0, 1]]), 0.3),
        "tied probabilities": tied,
        "other thresholds": said,
    }


def _values(truth: np.ndarray, predicted: np.ndarray, whole: np.ndarray | None = None, **more: Any) -> Any:
    return {
        "task": "regression",
        "truth": truth.tolist(),
        "predicted": predicted.tolist(),
        "whole": (truth if whole is None else whole).tolist(),
        **more,
    }


def regression() -> dict[str, Any]:
    draw = np.random.default_rng(12)
    truth = draw.gamma(2.0, 50.0, 200)
    near = truth + draw.normal(0, 10, 200)
    whole = np.r_[truth, 900.0, 0.5]
    signed = draw.normal(0, 5, 120)
    skewed = np.r_[np.zeros(990), draw.gamma(1.0, 100.0, 5), -3.0]
    holes = np.where(draw.random(200) < 0.2, 0.0, truth)
    return {
        "near": _values(truth, np.abs(near)),
        "range of the whole job": _values(truth, np.abs(near), whole),
        "weights": _values(truth, np.abs(near), whole, weights=(draw.random(200) + 0.1).tolist()),
        "negative targets": _values(signed, signed + draw.normal(0, 1, 120)),
        "a negative prediction": _values(truth, np.r_[-1.0, near[1:]]),
        "targets of zero": _values(holes, np.abs(holes + draw.normal(0, 3, 200))),
        "constant prediction": _values(truth, np.full(200, truth.mean())),
        "constant target": _values(np.full(30, 4.0), draw.normal(4, 1, 30)),
        "constant target, met": _values(np.full(30, 4.0), np.full(30, 4.0)),
        "far off": _values(truth, truth * 40 + 1000),
        "skewed": _values(skewed, skewed + draw.normal(0, 1, len(skewed))),
        "small numbers": _values(truth / 1e6, np.abs(near) / 1e6, whole / 1e6),
        "large numbers": _values(truth * 1e6, np.abs(near) * 1e6, whole * 1e6),
        "whole numbers": _values(np.round(truth), np.round(np.abs(near))),
        "many rows": _values(np.tile(truth, 100), np.tile(np.abs(near), 100)),
        "two rows": _values(truth[:2], np.abs(near[:2]), whole),
        "one row": _values(truth[:1], np.abs(near[:1]), whole),
        "one row, met": _values(truth[:1], truth[:1], whole),
    }


def forecasting() -> dict[str, Any]:
    draw = np.random.default_rng(13)
    scale = {"a": 1.0, "b": 100.0, "c": 0.01}
    train = np.repeat(list(scale), 40)
    test = np.repeat(list(scale), 7)
    new = np.r_[test, np.repeat("new", 7)]

    def values(names: np.ndarray, low: float = 2.0) -> np.ndarray:
        return np.array([scale.get(str(name), 5.0) for name in names]) * (low + draw.random(len(names)) * 3)

    def case(names: np.ndarray, low: float = 2.0) -> Any:
        truth = values(names, low)
        return {
            "task": "forecasting",
            "metrics": [*NORMALIZED, "mean_absolute_percentage_error", "r2_score", "root_mean_squared_error"],
            "train_series": train.tolist(),
            "train": values(train, low).tolist(),
            "test_series": names.tolist(),
            "truth": truth.tolist(),
            "predicted": (truth * (0.9 + draw.random(len(names)) * 0.2)).tolist(),
        }

    shuffled = draw.permutation(test)
    return {"series": case(test), "rows in any order": case(shuffled), "below zero": case(test, -2.0)} | {
        "a series that training lacks": case(new)
    }
