"""The charts of a report, each a plot with its title, legend and what it says in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from automl_jobs.runs.report import curves as curves_of
from automl_jobs.runs.report.curves import Curves
from automl_jobs.runs.report.plot import TONES, Axis, Band, Bar, Dot, Line, Plot, plot
from forestay.words import short as number

if TYPE_CHECKING:
    from automl_jobs.runs import TrialRow
    from automl_jobs.runs.report.content import Content

MOST_SERIES = 8
FAR = 4.0
"""A score this many times farther from the best than the median is lies beyond the axis."""


@dataclass(frozen=True)
class Key:
    """A line of a legend; `value` is told beside it; `dot`: it is of single points."""

    tone: int
    name: str
    value: str = ""
    dot: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart: `says` is what a reader without eyes for it is told, `note` what all should know."""

    title: str
    plot: Plot
    says: str
    note: str = ""
    legend: tuple[Key, ...] = ()


def of_trials(content: Content) -> Chart | None:
    """The primary metric of each trial in the order in which they ended, and the best so far."""
    scored = sorted((row for row in content.trials if row.score is not None), key=lambda row: row.order)
    if not scored:
        return None
    metric, best_of = content.job.primary_metric, max if content.higher else min
    scores = [(float(row.order), float(row.score or 0.0)) for row in scored]
    best = [(place, best_of(value for _, value in scores[: count + 1])) for count, (place, _) in enumerate(scores)]
    low, high, beyond = _in_sight([score for _, score in scores], content.higher)
    last = max(row.order for row in content.trials)
    dots = [Dot(place, score, _trial_title(row, metric)) for (place, score), row in zip(scores, scored, strict=True)]
    top = best_of(score for _, score in scores)
    drawn = plot(
        [Line([*best, (float(last), best[-1][1])], 1, step=True), *dots],
        Axis("trial", 1.0 if last > 1 else 0.0, float(max(last, 2)), _counts(last)),
        Axis(metric, low, high),
    )
    note = f"{beyond} trial{'s' * (beyond != 1)} far from the best: drawn hollow at the edge." if beyond else ""
    legend = (Key(0, "a trial", dot=True), Key(1, "the best so far"))
    says = f"{len(scored)} trials; the best {metric} is {number(top)}, the first was {number(scores[0][1])}."
    return Chart("Score of each trial", drawn, says, note, legend)


def _trial_title(row: TrialRow, metric: str) -> str:
    return f"trial {row.order}: {row.algorithm}, {metric} {number(row.score)}, rank {row.rank}"


def _counts(last: int) -> list[tuple[float, str]]:
    step = next((size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500) if size * 6 >= last), 1000)
    return [(float(place), str(place)) for place in sorted({1, *range(step, last + 1, step)})]


def _in_sight(scores: Sequence[float], higher: bool) -> tuple[float | None, float | None, int]:
    """The end of the axis where a few scores are so far off that the others would be a line; how many those are."""
    best = max(scores) if higher else min(scores)
    typical = median(scores)
    reach = FAR * abs(best - typical)
    far = [score for score in scores if abs(score - best) > reach] if reach > 0 else []
    if not far or len(far) > len(scores) / 4:
        return None, None, 0
    return (best - reach, None, len(far)) if higher else (None, best + reach, len(far))


def of_classes(table: dict[str, Any], positive: str | None = None) -> tuple[list[Chart], list[Curves], str]:
    """Charts of an accuracy table: ROC, precision and recall, calibration, gain and lift by class.

    Parameters
    ----------
    positive: the class that a job of two classes is about; None shows all.

    Also gives the curves of every class that there is to show, and a remark where not all are drawn.
    """
    every = curves_of.of_table(table)
    every = [one for one in every if one.label == positive] if positive is not None else every
    shown = every
    remark = ""
    if len(shown) > MOST_SERIES:
        remark = f"Curves are those of the {MOST_SERIES} of {len(shown)} classes that have the most rows."
        kept = sorted(shown, key=lambda one: -one.members)[:MOST_SERIES]
        shown = [one for one in shown if one in kept]
    if not shown:
        return [], [], ""
    share = Axis("share of all rows, most probable first", 0.0, 1.0)
    diagonal = Line([(0.0, 0.0), (1.0, 1.0)], -1)
    chance = Line([(0.0, 1.0), (1.0, 1.0)], -1)
    names = ", ".join(f"{one.label} {one.area:.3f}" for one in shown)
    precise = ", ".join(f"{one.label} {one.average_precision:.3f}" for one in shown)
    best_lift = ", ".join(f"{one.label} {max(lift for _, lift in one.lift):.2f}" for one in shown)
    found_first = ", ".join(f"{one.label} {_at(one.gain, 0.2):.0%}" for one in shown)
    charts = [
        Chart(
            "ROC curve",
            plot(
                [diagonal, *_lines([one.roc for one in shown])],
                Axis("false positive rate", 0.0, 1.0),
                Axis("true positive rate", 0.0, 1.0),
            ),
            f"Area under the curve by class: {names}.",
            "The dashed line is chance.",
            _legend(shown, [f"area {one.area:.3f}" for one in shown]),
        ),
        Chart(
            "Precision and recall",
            plot(
                _lines([one.precision_recall for one in shown]),
                Axis("recall", 0.0, 1.0),
                Axis("precision", 0.0, 1.0),
            ),
            f"Average precision by class: {precise}.",
            "",
            _legend(shown, [f"average {one.average_precision:.3f}" for one in shown]),
        ),
        Chart(
            "Calibration",
            plot(
                [diagonal, *_lines([one.calibration for one in shown]), *_calibration_dots(shown)],
                Axis("probability given", 0.0, 1.0),
                Axis("share that was true", 0.0, 1.0),
            ),
            "For ten bins of the probability, the share of rows of the class; on the dashed diagonal both are equal.",
            "On the dashed line, what is given a probability of 30 % is true in 30 % of cases.",
            _legend(shown, [""] * len(shown)),
        ),
        Chart(
            "Cumulative gain",
            plot([diagonal, *_lines([one.gain for one in shown])], share, Axis("share of the class found", 0.0, 1.0)),
            f"Found in the first fifth of rows, by class: {found_first}.",
            "",
            _legend(shown, [f"{_at(one.gain, 0.2):.0%} in the first fifth" for one in shown]),
        ),
        Chart(
            "Lift",
            plot([chance, *_lines([one.lift for one in shown])], share, Axis("times as many as by chance", 0.0)),
            f"The largest lift by class: {best_lift}.",
            "",
            _legend(shown, [""] * len(shown)),
        ),
    ]
    return charts, every, remark


def _lines(parts: Sequence[Sequence[tuple[float, float]]]) -> list[Line]:
    return [Line(points, tone) for tone, points in enumerate(parts)]


def _calibration_dots(shown: Sequence[Curves]) -> list[Dot]:
    return [
        Dot(x, y, f"{one.label}: given {x:.0%}, true {y:.0%}", tone % TONES)
        for tone, one in enumerate(shown)
        for x, y in one.calibration
    ]


def _legend(shown: Sequence[Curves], values: Sequence[str]) -> tuple[Key, ...]:
    return tuple(Key(tone, one.label, value) for tone, (one, value) in enumerate(zip(shown, values, strict=True)))


def _at(points: Sequence[tuple[float, float]], place: float) -> float:
    """The height of a curve at a place, between its points."""
    for (x1, y1), (x2, y2) in pairwise(points):
        if x1 <= place <= x2 and x2 > x1:
            return y1 + (y2 - y1) * (place - x1) / (x2 - x1)
    return points[-1][1]


def of_predictions(document: dict[str, Any], unit: str) -> Chart | None:
    """Azure's `predicted_true`: the mean prediction and its spread for bins of the true value."""
    data = document["data"]
    bins = [
        ((low + high) / 2, mean, error, count)
        for (low, high), mean, error, count in zip(
            pairwise(data["bin_edges"]), data["bin_averages"], data["bin_errors"], data["bin_counts"], strict=True
        )
        if count
    ]
    if not bins:
        return None
    ends = (bins[0][0], bins[-1][0])
    drawn = plot(
        [
            Band([(true, mean - error, mean + error) for true, mean, error, _ in bins], 0),
            Line([(end, end) for end in ends], -1),
            Line([(true, mean) for true, mean, _, _ in bins], 0),
            *(
                Dot(true, mean, f"true {number(true)}: predicted {number(mean)} ± {number(error)}, {count:,} rows")
                for true, mean, error, count in bins
            ),
        ],
        Axis(f"true {unit}"),
        Axis(f"predicted {unit}"),
    )
    span = f"{number(ends[0])} to {number(ends[1])}"
    says = f"{len(bins)} bins of the true value from {span}, and the mean prediction of each."
    note = "Means for bins of the true value, ± one standard deviation; the dashed line is a perfect prediction."
    return Chart("Predicted against true", drawn, says, note)


def of_residuals(document: dict[str, Any]) -> Chart:
    """Azure's `residuals`: a histogram of prediction minus truth."""
    data = document["data"]
    bars = [
        Bar(low, high, count, f"{number(low)} to {number(high)}: {count:,} rows")
        for (low, high), count in zip(pairwise(data["bin_edges"]), data["bin_counts"], strict=True)
    ]
    mean, spread = number(data["mean"]), number(data["stddev"])
    says = f"{data['res_count']:,} residuals with mean {mean} and standard deviation {spread}."
    drawn = plot(bars, Axis("predicted minus true"), Axis("rows", 0.0))
    return Chart("Residuals", drawn, says, says + " The outer bins take the rest.")


def of_forecasts(document: dict[str, Any], unit: str) -> list[Chart]:
    """Forecast and actual of the last fold, a chart for each series."""
    data = document["data"]
    charts = []
    for number_of, names in enumerate(data["grain_value_list"]):
        times = [_moment(text) for text in data["time"][number_of]]
        if not times:
            continue
        past = data["history"][number_of]
        before = [(_moment(text), value) for text, value in zip(past["time"], past["y_true"], strict=True)]
        actual = list(zip(times, data["y_true"][number_of], strict=True))
        forecast = list(zip(times, data["y_pred"][number_of], strict=True))
        low, high = data["PI_lower_bound"][number_of], data["PI_upper_bound"][number_of]
        bands = [] if low is None else [Band(list(zip(times, low, high, strict=True)), 1)]
        inside = "" if low is None else _inside(data["y_true"][number_of], low, high, data["PI_level"])
        title = ", ".join(f"{name} {value}" for name, value in zip(data["grain_names"], names, strict=True))
        every = [place for place, _ in (*before, *actual)]
        drawn = plot(
            [*bands, Line([*before, actual[0]], 0), Line(actual, 0), Line(forecast, 1)],
            Axis("", every[0], every[-1], _dates(every[0], every[-1])),
            Axis(unit),
        )
        says = f"{len(times)} periods forecast, after {len(before)} shown before them. {inside}"
        legend = (Key(0, "actual"), Key(1, "forecast", "" if low is None else f"with {data['PI_level']:.0%} interval"))
        charts.append(Chart(title or "Forecast and actual", drawn, says, inside, legend))
    return charts


def _inside(truth: Sequence[float], low: Sequence[float], high: Sequence[float], level: float) -> str:
    hits = sum(under <= value <= over for value, under, over in zip(truth, low, high, strict=True))
    return f"{hits} of {len(truth)} values lie in their {level:.0%} interval."


def _moment(text: str) -> float:
    """Days since 1970."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1)).total_seconds() / 86400


def _dates(first: float, last: float) -> list[tuple[float, str]]:
    """Four moments evenly over a span, in days since 1970, as precise as it needs."""
    span = last - first
    style = "%Y-%m" if span > 400 else "%m-%d" if span > 3 else "%d %H:%M"
    if 60 < span <= 400:
        style = "%Y-%m-%d"
    places = [first + span * part / 3 for part in range(4)] if span > 0 else [first]
    if span > 3:
        places = [math.floor(place + 1e-9) if place > first else place for place in places]
    return [(place, _date(place).strftime(style)) for place in places]


def _date(days: float) -> datetime:
    from datetime import timedelta

    return datetime(1970, 1, 1) + timedelta(days=days)
