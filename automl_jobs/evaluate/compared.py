"""Two models on the same rows: the difference of a metric, and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_jobs.engine import spread
from automl_jobs.evaluate import ahead, met, rows
from automl_jobs.evaluate.rows import Answers, Data, Rows
from automl_jobs.evaluate.scores import FEWEST_VALUES, MOST_DRAWN_QUICKLY, draws, quick, scorer
from forestay.documents.names import suggest
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.evaluate.loading import LoadedModel, Measure

SECONDS = 10.0


@dataclass(frozen=True)
class Comparison:
    """A challenger held against the champion.

    Attributes
    ----------
    scores: of the challenger and of the champion. difference: the challenger's less the champion's.
    interval: 95 % of the paired resamples of the difference; None where there are too few rows to draw from.
    threshold: by how much it must be better. better: whether the whole interval says that it is, by more than that.
    resamples: how many were drawn. notes: what was left out, or met in training, one line each.
    """

    challenger: str
    champion: str
    metric: str
    higher: bool
    data: str
    rows: int
    scores: tuple[float, float]
    interval: tuple[float, float] | None
    threshold: float
    resamples: int
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> float:
        return self.scores[0] - self.scores[1]

    @property
    def better(self) -> bool:
        if self.interval is None:
            return False
        least = self.interval[0] if self.higher else -self.interval[1]
        return least > self.threshold

    @property
    def verdict(self) -> str:
        """The outcome in one line."""
        pair = f"{self.challenger} {{}} {self.champion}"
        if self.threshold < 0:
            pair += f" by more than {-self.threshold:g}"
            return pair.format("is no worse than" if self.better else "is not shown to be no worse than")
        pair += f" by more than {self.threshold:g}" if self.threshold else ""
        return pair.format("is better than" if self.better else "is not shown to be better than")

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `model compare`."""
        return {
            "challenger": self.challenger,
            "champion": self.champion,
            "metric": self.metric,
            "higher_is_better": self.higher,
            "data": self.data,
            "rows": self.rows,
            "scores": {"challenger": self.scores[0], "champion": self.scores[1]},
            "difference": self.difference,
            "interval": None if self.interval is None else list(self.interval),
            "threshold": self.threshold,
            "better": self.better,
            "resamples": self.resamples,
            "notes": list(self.notes),
        }


def compare(
    challenger: LoadedModel,
    champion: LoadedModel,
    data: Data | None = None,
    metric: str | None = None,
    threshold: float = 0.0,
    seed: int = 0,
    seconds: float = SECONDS,
) -> Comparison:
    """Whether a challenger is better than the champion, by a paired bootstrap of the difference.

    Both are asked for the same rows. Each of 1000 resamples (100 at least in the time there is) draws rows with
    replacement, once for both, and takes the difference of the metric: what makes a row hard for both falls out of it.
    The challenger is better where 95 % of these differences, by percentiles, lie beyond the threshold (Efron and
    Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13; for pairs Berg-Kirkpatrick et al. 2012, "An
    Empirical Investigation of Statistical Significance in NLP"). Forecasts are drawn in whole runs or series (see
    `scores.blocks`), and both begin where the later of the two trainings ended.

    Parameters
    ----------
    data: see the package; None takes the test data of the challenger's job, else of the champion's.
    metric: instead of the primary metric of the challenger's job.
    threshold: least improvement in units of the metric, whichever way is better; below zero, how much worse is well.
    seed: of the resamples. seconds: to spend on them.

    Raises InputError where the two don't answer the same question, or there is no data.
    """
    _check_alike(challenger, champion)
    challenger = challenger.measured_by(metric)
    measure = challenger.measure
    champion = replace(champion, measure=_champion_measure(champion.measure, measure))
    if not math.isfinite(threshold):
        raise InputError(f"{threshold} is no improvement", where="--threshold", fix="give a number, such as 0.005")
    jobs = met.Jobs()
    if data is None:
        data, source = met.test_data(jobs, challenger, champion)
        read = replace(rows.read(challenger, data, True, champion), source=source)
    else:
        read = rows.read(challenger, data, True, champion)
    pair = _answers(challenger, champion, read)
    notes = list(pair[0].notes)
    if len(pair[0]) != len(pair[1]):
        raise AssertionError("both answer the same rows")
    notes += met.remarks(jobs, (challenger, champion), read)
    ask = [quick(model, found) for model, found in zip((challenger, champion), pair, strict=True)]
    scores = (ask[0](pair[0]), ask[1](pair[1]))
    if not np.isfinite(scores).all():
        raise InputError(
            f"{measure.metric} has no value on these rows",
            where="--metric" if metric is not None else read.source,
            fix=suggest(measure.metric, scorer(challenger, pair[0])(pair[0]), "there are"),
        )
    found: list[float] = []
    for drawn in spread.within(seconds, draws(pair[0], seed, MOST_DRAWN_QUICKLY)):
        difference = ask[0](pair[0].taken(drawn)) - ask[1](pair[1].taken(drawn))
        if np.isfinite(difference):
            found.append(difference)
    interval = None
    if len(found) >= FEWEST_VALUES:
        between = spread.between(found, len(pair[0]))
        interval = (between["low"], between["high"])
    else:
        notes.append("too few rows to tell: there is no interval")
    return Comparison(
        challenger=challenger.label,
        champion=champion.label,
        metric=measure.metric,
        higher=measure.higher,
        data=read.source,
        rows=len(pair[0]),
        scores=scores,
        interval=interval,
        threshold=threshold,
        resamples=len(found),
        notes=tuple(notes),
    )


def _check_alike(challenger: LoadedModel, champion: LoadedModel) -> None:
    for what, one, other in (
        ("task", challenger.task, champion.task),
        ("target", challenger.target, champion.target),
        ("frequency", challenger.schema.get("frequency"), champion.schema.get("frequency")),
    ):
        if one != other:
            raise InputError(
                f"{challenger.label} has the {what} {one!r} and {champion.label} {other!r}: they can't be compared",
                fix="compare versions that answer the same question",
            )


def _champion_measure(own: Measure, challenger: Measure) -> Measure:
    """The champion measured as the challenger is: the same metric, weights, and ranges that errors are divided by."""
    alike = replace(own, metric=challenger.metric, weights=challenger.weights)
    if not challenger.known:
        return alike
    return replace(alike, span=challenger.span, series=challenger.series, known=True)


def _answers(challenger: LoadedModel, champion: LoadedModel, read: Rows) -> tuple[Answers, Answers]:
    if challenger.task != "forecasting":
        return rows.answers(challenger, read), rows.answers(champion, read)
    begins = [ahead.begins(model, read) for model in (challenger, champion)]
    after = {key: max(begin[key] for begin in begins if key in begin) for key in {**begins[0], **begins[1]}}
    horizon = min(int(model.schema["horizon"]) for model in (challenger, champion))
    return ahead.answers(challenger, read, after, horizon), ahead.answers(champion, read, after, horizon)
