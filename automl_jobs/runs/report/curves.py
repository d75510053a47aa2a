"""Azure's `accuracy_table` as curves: the portal draws its own of the same numbers.

The table counts, for each class against all others, true and false positives at 100 even thresholds and at 100
percentiles of the probabilities, so that curves have at most 200 points whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from automl_jobs.runs.report.plot import Point

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Threshold:
    """What a class's probability of at least `threshold` counting as a yes comes to.

    Attributes
    ----------
    share: of all rows that are said to be of the class. precision: None where none is.
    """

    threshold: float
    precision: float | None
    recall: float
    f1: float
    share: float


@dataclass(frozen=True)
class Curves:
    """The curves of one class against all others.

    Attributes
    ----------
    rows, members: all rows, and those of the class.
    roc: (false positive rate, true positive rate). precision_recall: (recall, precision).
    gain: (share of rows, share of the class's rows found), most probable rows first. lift: (share of rows, gain over
        what chance finds). calibration: (mean probability, share of the class), in ten bins, empty ones left out.
    area: under the ROC curve. average_precision: as in scikit-learn, of these points.
    """

    label: str
    rows: int
    members: int
    roc: tuple[Point, ...]
    precision_recall: tuple[Point, ...]
    gain: tuple[Point, ...]
    lift: tuple[Point, ...]
    calibration: tuple[Point, ...]
    thresholds: tuple[Threshold, ...]
    area: float
    average_precision: float

    @property
    def best(self) -> Threshold:
        """The threshold with the best F1, the largest of equals."""
        return max(self.thresholds, key=lambda one: (round(one.f1, 9), one.threshold))


def of_table(document: Mapping[str, Any]) -> list[Curves]:
    """The curves of each class that has rows, and is not that of all rows; in the order of classes."""
    data = document["data"]
    found = []
    for number, label in enumerate(data["class_labels"]):
        even, percentile = data["probability_tables"][number], data["percentile_tables"][number]
        hits, misses, spared, missed = even[0]
        members, others = hits + missed, misses + spared
        if members and others:
            found.append(
                _curves(str(label), members, others, [*even, *percentile], data["probability_thresholds"], even)
            )
    return found


def _curves(
    label: str,
    members: int,
    others: int,
    every: Sequence[Sequence[int]],
    even_thresholds: Sequence[float],
    even: Sequence[Sequence[int]],
) -> Curves:
    rows = members + others
    path = sorted({(0, 0), *((counted[0], counted[1]) for counted in every), (members, others)})
    roc = [(false / others, true / members) for true, false in path]
    said = [(true, true + false) for true, false in path if true + false]
    precision_recall = [(true / members, true / count) for true, count in said]
    gain = [(count / rows, true / members) for true, count in said]
    area = sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in pairwise(roc))
    steps = zip([(0.0, 1.0), *precision_recall], precision_recall, strict=False)
    return Curves(
        label,
        rows,
        members,
        tuple(roc),
        tuple(precision_recall),
        ((0.0, 0.0), *gain),
        tuple((share, found / share) for share, found in gain),
        tuple(_calibration(even_thresholds, even)),
        tuple(_thresholds(even_thresholds, even, members, rows)),
        area,
        sum((after[0] - before[0]) * after[1] for before, after in steps),
    )


def _calibration(thresholds: Sequence[float], table: Sequence[Sequence[int]]) -> list[Point]:
    """Bins of the probability: its mean, to within half a percent, and the share of rows that are of the class."""
    ends = [*thresholds[1:], thresholds[-1]]
    after = [*table[1:], [0, 0, 0, 0]]
    bins = [[0.0, 0.0, 0.0] for _ in range(CALIBRATION_BINS)]
    for low, high, here, there in zip(thresholds, ends, table, after, strict=True):
        true, count = here[0] - there[0], here[0] + here[1] - there[0] - there[1]
        middle = (low + high) / 2
        one = bins[min(int(middle * CALIBRATION_BINS), CALIBRATION_BINS - 1)]
        one[0] += middle * count
        one[1] += true
        one[2] += count
    return [(total / count, true / count) for total, true, count in bins if count]


def _thresholds(
    thresholds: Sequence[float], table: Sequence[Sequence[int]], members: int, rows: int
) -> list[Threshold]:
    found = []
    for threshold, (true, false, _, _) in zip(thresholds, table, strict=True):
        said = true + false
        precision = true / said if said else None
        found.append(Threshold(threshold, precision, true / members, 2 * true / (said + members), said / rows))
    return found


def at_tenths(curves: Curves) -> list[Threshold]:
    """The rows of a table: the threshold nearest to each twentieth from 0.05 to 0.95."""
    return [min(curves.thresholds, key=lambda one: abs(one.threshold - place / 20)) for place in range(1, 20)]
