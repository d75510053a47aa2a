"""Two jobs side by side: settings and data that differ, scores with how sure they are, and their trials."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl_jobs.runs.report.content import Content
from automl_jobs.spec.metrics import higher_is_better

if TYPE_CHECKING:
    from automl_jobs.runs import TrialRow

SURE = 1.96
"""Standard errors on each side of a mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Difference:
    """A thing that two jobs have different values of; None where one has none."""

    name: str
    one: str | None
    other: str | None

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "a": self.one, "b": self.other}


@dataclass(frozen=True)
class Score:
    """A metric of a job's model with its interval, None where that is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class ScorePair:
    """A metric of both jobs' models. `where` is `validation` or `test`; `better` is "a", "b", or None for no telling.

    `better` is told where the difference is beyond the intervals of both: they don't overlap.
    """

    metric: str
    where: str
    one: Score
    other: Score
    higher: bool

    @property
    def difference(self) -> float | None:
        return None if self.one.value is None or self.other.value is None else self.other.value - self.one.value

    @property
    def better(self) -> str | None:
        one, other = self.one, self.other
        if one.low is None or one.high is None or other.low is None or other.high is None:
            return None
        if one.low > other.high:
            return "a" if self.higher else "b"
        if other.low > one.high:
            return "b" if self.higher else "a"
        return None

    def as_dict(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "on": self.where,
            "a": self.one.as_dict(),
            "b": self.other.as_dict(),
            "difference": self.difference,
            "higher_is_better": self.higher,
            "better": self.better,
        }


@dataclass(frozen=True)
class AlgorithmPair:
    """What the trials of one algorithm came to in both jobs: how many there were, and the best score."""

    algorithm: str
    counts: tuple[int, int]
    best: tuple[float | None, float | None]

    def as_dict(self) -> dict[str, Any]:
        return {
            "algorithm": self.algorithm,
            "trials": {"a": self.counts[0], "b": self.counts[1]},
            "best": {"a": self.best[0], "b": self.best[1]},
        }


@dataclass(frozen=True)
class Comparison:
    """Two jobs compared.

    Attributes
    ----------
    settings, data: what differs. remarks: why scores can't be held against each other, where they can't.
    """

    one: Content
    other: Content
    settings: tuple[Difference, ...]
    data: tuple[Difference, ...]
    scores: tuple[ScorePair, ...]
    trials: tuple[AlgorithmPair, ...]
    remarks: tuple[str, ...]

    @property
    def document(self) -> dict[str, Any]:
        return {
            "a": self.one.job.as_dict(),
            "b": self.other.job.as_dict(),
            "settings": [one.as_dict() for one in self.settings],
            "data": [one.as_dict() for one in self.data],
            "scores": [one.as_dict() for one in self.scores],
            "trials": [one.as_dict() for one in self.trials],
            "remarks": list(self.remarks),
        }


def comparing(first: Content, second: Content) -> Comparison:
    """The comparison of two jobs. Raises InputError for one with itself."""
    from forestay.errors import InputError

    if first.job.job == second.job.job:
        raise InputError(f"both names mean {first.job.job}", fix="name two jobs: forestay job list")
    data = tuple(_differences(_data(first), _data(second)))
    return Comparison(
        first,
        second,
        tuple(_differences(_settings(first), _settings(second))),
        data,
        tuple(_scores(first, second)),
        tuple(_algorithms(first, second)),
        tuple(_remarks(first, second, data)),
    )


def _differences(one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[Difference]:
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name):
            yield Difference(name, one.get(name), other.get(name))


def _settings(content: Content) -> dict[str, str]:
    """What was asked for, flat: the job file's keys, then flags, then what the run made of them."""
    import yaml

    try:
        spec = yaml.safe_load(content.spec_text)
    except yaml.YAMLError:
        spec = None
    found = dict(_flat(spec, "")) if isinstance(spec, dict) else {}
    options = dict(content.job.documents.get("submit", {}).get("options", {}))
    overrides = options.pop("overrides", None) or {}
    found |= {f"--set {name}": str(value) for name, value in overrides.items()}
    found |= {f"--{name.replace('_', '-')}": text for name, text in _flat(options, "") if text not in ("null", "{}")}
    return found | {f"as run: {name.replace('_', ' ')}": value for name, value in content.job.parameters.items()}


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _data(content: Content) -> dict[str, str]:
    """What is known of the data, flat: rows, values, and what each column is."""
    found: dict[str, str] = {}
    for name, mark in content.job.documents.get("submit", {}).get("data", {}).items():
        found[f"{name}: rows"] = f"{mark['rows']:,}"
        found[f"{name}: columns"] = f"{len(mark['columns']):,}"
        found[f"{name}: values"] = f"sha256 {mark['sha256'][:12]}"
    for column in content.job.documents.get("data_profile", {}).get("columns", []):
        used = "" if column["used"] else ", not used"
        missing = f", {column['missing']:,} missing" if column["missing"] else ""
        found[f"column {column['name']}"] = f"{column['type']}{used}{missing}"
    return found


def _scores(one: Content, other: Content) -> Iterator[ScorePair]:
    """The primary metrics first, then the others that both have."""
    first = dict.fromkeys([one.job.primary_metric, other.job.primary_metric])
    for where in ("validation", "test"):
        mine, others = _values(one, where), _values(other, where)
        for metric in dict.fromkeys([*first, *mine]):
            if (metric in first and (metric in mine or metric in others)) or (metric in mine and metric in others):
                try:
                    higher = higher_is_better(metric)
                except (KeyError, ValueError):
                    continue
                yield ScorePair(metric, where, mine.get(metric, Score(None)), others.get(metric, Score(None)), higher)


def _values(content: Content, where: str) -> dict[str, Score]:
    job = content.job
    if where == "test":
        intervals = job.documents.get("test_metrics_interval", {})
        return {
            name: Score(value, intervals.get(name, {}).get("low"), intervals.get(name, {}).get("high"))
            for name, value in sorted((job.test_metrics or {}).items())
        }
    row = content.chosen
    if row is None:
        return {}
    found = {name: Score(value) for name, value in sorted(row.metrics.items())}
    if row.score is not None and row.score_se is not None:
        reach = SURE * row.score_se
        found[job.primary_metric] = Score(row.score, row.score - reach, row.score + reach)
    return found


def _algorithms(one: Content, other: Content) -> Iterator[AlgorithmPair]:
    for name in dict.fromkeys(row.algorithm for row in (*one.trials, *other.trials)):
        mine = [row for row in one.trials if row.algorithm == name]
        others = [row for row in other.trials if row.algorithm == name]
        best = (_best(mine, one.higher), _best(others, other.higher))
        yield AlgorithmPair(name, (len(mine), len(others)), best)


def _best(rows: list[TrialRow], higher: bool) -> float | None:
    scores = [row.score for row in rows if row.score is not None]
    return (max(scores) if higher else min(scores)) if scores else None


def _remarks(one: Content, other: Content, data: tuple[Difference, ...]) -> Iterator[str]:
    for content in (one, other):
        if not _data(content):
            yield f"of the data of {content.job.job} nothing is known here"
    if one.job.primary_metric != other.job.primary_metric:
        yield f"the primary metrics differ: {one.job.primary_metric} and {other.job.primary_metric}"
    if any(part.name in ("training_data: values", "validation_data: values") for part in data):
        yield "the jobs were validated on other data: their validation scores are not of the same rows"
    elif _split(one) != _split(other):
        yield "the jobs split the same data in other ways: their validation scores are not of the same rows"
    if any(part.name == "test_data: values" for part in data):
        yield "the jobs were tested on other data"


def _split(content: Content) -> tuple[str | None, ...]:
    return tuple(content.job.parameters.get(name) for name in ("validation", "folds", "seed"))
