"""What a model's answers come to on rows whose true answer is known: metrics, intervals, slices, charts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.engine import spread
from automl_jobs.evaluate import ahead, charts, met, rows
from automl_jobs.evaluate.rows import Answers, Data, Rows
from automl_jobs.evaluate.scores import MOST_DRAWN_QUICKLY, Metrics, Scorer, quick, resampled, scorer
from automl_jobs.runs.rows import finite
from forestay.documents.names import suggest
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.evaluate.loading import LoadedModel

SECONDS, SLICE_SECONDS = 4.0, 0.2
MOST_TIMES = 5  # how many times the seconds the fewest resamples of all metrics may take
SMALL, MOST_SLICES, BINS = 30, 20, 4
REST, MISSING = "(others)", "(missing)"


@dataclass(frozen=True)
class Slice:
    """The rows with one value, or one range of values, of a column.

    Attributes
    ----------
    metrics: of these rows alone; empty where none has a value. interval: of the first metric, None where there is none.
    warning: why little is to be made of it; "" for nothing.
    """

    value: str
    rows: int
    metrics: Metrics
    interval: tuple[float, float] | None
    warning: str = ""

    def as_dict(self, metric: str) -> dict[str, Any]:
        return {
            "value": self.value,
            "rows": self.rows,
            "score": finite(self.metrics.get(metric)),
            "interval": None if self.interval is None else list(self.interval),
            "metrics": self.metrics,
            "warning": self.warning or None,
        }


@dataclass(frozen=True)
class Evaluation:
    """A model judged on rows.

    Attributes
    ----------
    metric: the one that its job went by, or that was asked for.
    metrics: all of the task's, by Azure's names. intervals: `{metric: {"low", "high", "level", "resamples", "rows"}}`.
    charts: documents by Azure's names, as a trial's. positive: the class that a model of two is about; None leaves
        it to be the second. by: the column of the slices, "" without.
    notes: what was left out or can't be told, one line each.
    """

    model: str
    version: str
    task: str
    target: str
    data: str
    rows: int
    metric: str
    higher: bool
    metrics: Metrics
    intervals: dict[str, dict[str, Any]]
    charts: dict[str, Any]
    positive: Any = None
    by: str = ""
    slices: tuple[Slice, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `model evaluate`."""
        return {
            "model": self.model,
            "version": self.version,
            "task": self.task,
            "target": self.target,
            "data": self.data,
            "rows": self.rows,
            "metric": self.metric,
            "score": finite(self.metrics.get(self.metric)),
            "higher_is_better": self.higher,
            "metrics": self.metrics,
            "intervals": self.intervals,
            "by": self.by or None,
            "slices": [one.as_dict(self.metric) for one in self.slices],
            "notes": list(self.notes),
        }


def evaluate(
    model: LoadedModel,
    data: Data,
    by: str | None = None,
    metric: str | None = None,
    seed: int = 0,
    seconds: float = SECONDS,
) -> Evaluation:
    """All metrics of a model on rows with its target, each with its bootstrap interval.

    Parameters
    ----------
    data: see the package; has the target.
    by: a column, used by the model or not, whose values part the rows: 20 of the most frequent ones, or four ranges
        of numbers or times that hold equally many rows.
    metric: the one that counts, instead of the job's. seed: of the resamples. seconds: to spend on them; none
        are drawn in no time.

    Where the model's job has `weight_column_name` and the rows have that column, they count by it, as in the job's own
    scores. Rows are resampled one by one, forecasts in whole runs or series (see `scores.blocks`); the interval holds
    95 % of the resamples by percentiles (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13).

    Raises InputError for rows that the model can't take, and a column or a metric that is not there.
    """
    model = model.measured_by(metric)
    read = rows.read(model, data, target=True)
    if by is not None and by not in read.frame.columns:
        raise InputError(
            f"there is no column {by!r}", where="--by", fix=suggest(by, map(str, read.frame.columns), "it has")
        )
    found = asked(model, read)
    measure = model.measure
    score = scorer(model, found)
    whole = score(found)
    too_long = _took(score, found) * spread.FEWEST_RESAMPLES > MOST_TIMES * seconds
    if metric is not None and measure.metric not in whole:
        raise InputError(
            f"{measure.metric} has no value on these rows",
            where="--metric",
            fix=suggest(measure.metric, whole, "there are"),
        )
    notes = [*found.notes, *met.remarks(met.Jobs(), (model,), read), *_remarks(model)]
    first = _alone(model, found)
    # The first metric alone is quick; all of them take as long as there is time.
    intervals = {} if too_long else resampled(found, score, seed, seconds)
    intervals |= resampled(found, first, seed, seconds, MOST_DRAWN_QUICKLY)
    if too_long and seconds > 0:
        notes.append(f"the interval of {measure.metric} alone is told: those of all metrics would take too long")
    if not intervals and seconds > 0:
        notes.append("too few rows for an interval")
    slices: tuple[Slice, ...] = ()
    if by is not None:
        slices = tuple(_slices(model, found, score, first, read.frame[by].iloc[found.places], seed, seconds))
    return Evaluation(
        model=model.name,
        version=model.version,
        task=model.task,
        target=model.target,
        data=read.source,
        rows=len(found),
        metric=measure.metric,
        higher=measure.higher,
        metrics=whole,
        intervals=intervals,
        charts=charts.documents(model, found, read),
        positive=None if measure.positive is None or model.classes is None else model.classes[measure.positive],
        by=by or "",
        slices=slices,
        notes=tuple(notes),
    )


def asked(model: LoadedModel, read: Rows) -> Answers:
    """A model's answers to rows with their target, whatever its task."""
    return ahead.answers(model, read) if model.task == "forecasting" else rows.answers(model, read)


def _took(score: Scorer, found: Answers) -> float:
    """Seconds of scoring once; not the first time, which imports what it needs."""
    started = time.monotonic()
    score(found)
    return time.monotonic() - started


def _remarks(model: LoadedModel) -> Iterator[str]:
    if not model.measure.known and model.task in ("regression", "forecasting"):
        yield "the range of the training target is not known: normalized errors are divided by that of these rows"


def _alone(model: LoadedModel, found: Answers) -> Scorer:
    """The metric that counts, where a part of the answers has a value of it."""
    ask, name = quick(model, found), model.measure.metric

    def score(part: Answers) -> Metrics:
        value = ask(part)
        return {name: value} if np.isfinite(value) else {}

    return score


def _slices(
    model: LoadedModel, found: Answers, score: Scorer, first: Scorer, column: pd.Series[Any], seed: int, seconds: float
) -> Iterator[Slice]:
    metric = model.measure.metric
    for value, places in parted(column.reset_index(drop=True)):
        part = found.taken(places)
        values = score(part)
        own = resampled(part, first, seed, min(seconds, SLICE_SECONDS)).get(metric)
        warning = ""
        if metric not in values:
            one = model.measure.classification and len(np.unique(part.truth)) == 1
            warning = f"{metric} has no value here{': all rows are of one class' if one else ''}"
        elif len(part) < SMALL:
            warning = f"{len(part)} row{'s' * (len(part) != 1)}: too few to say much"
        yield Slice(value, len(part), values, None if own is None else (own["low"], own["high"]), warning)


def parted(column: pd.Series[Any]) -> list[tuple[str, np.ndarray]]:
    """The rows of each value of a column, the most frequent first; numbers and times of many values in ranges."""
    numbers = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if (numbers or pd.api.types.is_datetime64_any_dtype(column)) and column.nunique() > MOST_SLICES / 2:
        edges = np.unique(column.dropna().quantile(np.linspace(0, 1, BINS + 1)).to_numpy())
        places = np.clip(np.searchsorted(edges, column.to_numpy(), side="right") - 1, 0, len(edges) - 2)
        names = [f"{_edge(low)} to {_edge(high)}" for low, high in pairwise(edges)]
        parts = [(name, np.flatnonzero((places == place) & column.notna())) for place, name in enumerate(names)]
    else:
        texts = column.astype("object").where(column.notna(), None)
        counts = texts.dropna().astype(str).value_counts()
        shown = list(counts.index[:MOST_SLICES])
        named = texts.map(lambda value: None if value is None else str(value))
        parts = [(name, np.flatnonzero(named == name)) for name in shown]
        if len(counts) > MOST_SLICES:
            parts.append((REST, np.flatnonzero(column.notna() & ~named.isin(shown))))
    parts.append((MISSING, np.flatnonzero(column.isna())))
    return [(name, rows_of) for name, rows_of in parts if len(rows_of)]


def _edge(value: Any) -> str:
    if isinstance(value, np.datetime64):
        return pd.Timestamp(value).isoformat(" ").removesuffix(" 00:00:00")
    return f"{float(value):.6g}"
