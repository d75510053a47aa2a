"""A report's content as the rows and cells that its templates show, the same for a page and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl_jobs.runs.report.curves import Curves, at_tenths
from forestay.words import duration, number, short, when

if TYPE_CHECKING:
    from automl_jobs.evaluate import Evaluation
    from automl_jobs.runs import TrialRow
    from automl_jobs.runs.report.compare import Score, ScorePair
    from automl_jobs.runs.report.content import Content

MATRIX_CLASSES = 20
MOST_CONFUSIONS = 20
MOST_BARS = 30
Cell = Any
Row = list[Cell]


@dataclass(frozen=True)
class Tile:
    """A number that a reader looks for first; `words`: it is no number, and is written smaller."""

    name: str
    value: str
    more: str = ""
    words: bool = False


def tiles(content: Content) -> list[Tile]:
    """What stands at the top."""
    job, best = content.job, content.job.best
    found: list[Tile] = []
    if best is not None:
        row = next((row for row in content.trials if row.id == best.id), None)
        spread = f"± {row.score_std:.2g} over the folds" if row is not None and row.score_std is not None else ""
        found.append(Tile(f"{job.primary_metric}, validated", number(best.score) or "-", spread))
    tested = (job.test_metrics or {}).get(job.primary_metric)
    if tested is not None:
        interval = job.documents.get("test_metrics_interval", {}).get(job.primary_metric)
        more = f"95 %: {number(interval['low'])} to {number(interval['high'])}" if interval else ""
        found.append(Tile(f"{job.primary_metric}, test data", number(tested) or "-", more))
    if best is not None:
        found.append(Tile("model", best.algorithm, best.preprocessor, words=True))
    failed = sum(row.status != "Completed" for row in content.trials)
    found.append(Tile("trials", str(job.trials), f"{failed} failed or stopped" if failed else ""))
    return [*found, Tile("took", duration(job.duration_seconds) or "-", words=True)]


def summary(content: Content) -> list[tuple[str, str]]:
    """Facts of the job."""
    job = content.job
    pairs: list[tuple[str, str | None]] = [
        ("experiment", job.experiment),
        ("task", job.task),
        ("target", job.target or None),
        ("primary metric", f"{job.primary_metric}, {'more' if content.higher else 'less'} is better"),
        ("validated by", _validation(job.parameters)),
        ("training rows", _grouped(job.parameters.get("rows"))),
        ("columns used", job.parameters.get("columns")),
        ("seed", job.parameters.get("seed")),
        ("time budget", _seconds(job.parameters.get("time_budget_seconds"))),
        ("started", when(str(job.as_dict()["created"])) + " UTC"),
        ("job file", job.path or None),
        ("error", job.error),
    ]
    return [(name, value) for name, value in pairs if value]


def _validation(parameters: Any) -> str | None:
    kind, folds = parameters.get("validation"), parameters.get("folds")
    return f"{str(kind).replace('_', ' ')}{f', {folds} folds' if folds else ''}" if kind else None


def _grouped(text: str | None) -> str | None:
    return f"{int(text):,}" if text and text.isdigit() else text


def _seconds(text: str | None) -> str | None:
    return duration(float(text)) if text else None


def leaderboard(trials: Sequence[TrialRow], metric: str) -> tuple[list[str], list[Row]]:
    """Columns and rows; cells that sort by something else than they show say so."""
    # A forecast has no score on training rows: what it was fitted on is not forecast.
    training = any(row.train_score is not None for row in trials)
    columns = ["rank", "algorithm", "preprocessor", metric, "on training rows", "ms a row", "MB", "took", "status"]
    rows: list[Row] = []
    for row in trials:
        score = None if row.score is None else f"{number(row.score)}{_std(row)}"
        rows.append(
            [
                row.rank,
                row.algorithm,
                row.preprocessor or None,
                _sorted(score, row.score),
                *([_sorted(number(row.train_score), row.train_score)] if training else []),
                _sorted(None if row.predict_ms is None else f"{row.predict_ms:.1f}", row.predict_ms),
                _sorted(None if row.model_mb is None else f"{row.model_mb:.2f}", row.model_mb),
                _sorted(duration(row.duration_seconds), row.duration_seconds),
                "chosen" if row.chosen else row.status,
            ]
        )
    return columns if training else [name for name in columns if name != "on training rows"], rows


def _std(row: TrialRow) -> str:
    return "" if row.score_std is None else f" ± {row.score_std:.2g}"


def _sorted(text: str | None, value: float | None) -> Cell:
    return {"text": "-" if text is None else text, "sort": "" if value is None else repr(float(value))}


def failures(trials: Sequence[TrialRow]) -> list[tuple[str, str]]:
    return [(f"{row.rank}, {row.algorithm}", row.error) for row in trials if row.error]


def profile(document: dict[str, Any] | None) -> tuple[list[str], list[Row]]:
    columns = ["column", "type", "used", "missing", "different", "examples", "remarks"]
    if document is None:
        return columns, []
    rows = max(1, document["rows"])
    return columns, [
        [
            one["name"],
            one["type"],
            "yes" if one["used"] else one["reason"] or "no",
            _sorted("0" if not one["missing"] else f"{one['missing']:,} ({one['missing'] / rows:.0%})", one["missing"]),
            _sorted(f"{one['distinct']:,}", one["distinct"]),
            " · ".join(one["examples"]),
            "; ".join(one["warnings"]) or None,
        ]
        for one in document["columns"]
    ]


def matrix(document: dict[str, Any] | None) -> dict[str, Any] | None:
    """A confusion matrix with shares; None where there is none, it is one for each label, or of too many classes."""
    data = (document or {}).get("data", {})
    labels, counts = data.get("class_labels", []), data.get("matrix", [])
    if not labels or not counts or isinstance(counts[0][0], list) or len(labels) > MATRIX_CLASSES:
        return None
    rows = []
    for number_of, (label, row) in enumerate(zip(labels, counts, strict=True)):
        total = sum(row)
        cells = [{"count": f"{count:,}", "share": round(100 * count / total) if total else 0} for count in row]
        found = f"{row[number_of] / total:.0%}" if total else "-"
        rows.append({"label": label, "cells": cells, "found": found})
    return {"labels": labels, "rows": rows}


def confusions(document: dict[str, Any] | None) -> list[Row]:
    """The most frequent mistakes of a matrix of many classes: true class, said, how often, share of the true class."""
    data = (document or {}).get("data", {})
    labels, counts = data.get("class_labels", []), data.get("matrix", [])
    if not counts or isinstance(counts[0][0], list):
        return []
    pairs = [
        [labels[one], labels[other], row[other], _sorted(f"{row[other] / sum(row):.0%}", row[other] / sum(row))]
        for one, row in enumerate(counts)
        for other in range(len(labels))
        if one != other and row[other]
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:MOST_CONFUSIONS]


def label_matrices(document: dict[str, Any] | None) -> list[Row]:
    """With several labels a row: label, said rightly, missed, said wrongly, rightly silent."""
    data = (document or {}).get("data", {})
    labels, counts = data.get("class_labels", []), data.get("matrix", [])
    if not counts or not isinstance(counts[0][0], list):
        return []
    return [[label, there[1], there[0], gone[1], gone[0]] for label, (gone, there) in zip(labels, counts, strict=True)]


def by_class(curves: Sequence[Curves]) -> list[Row]:
    """Class, its rows, area, average precision, best F1, and where."""
    return [
        [
            one.label,
            _sorted(f"{one.members:,}", one.members),
            f"{one.area:.3f}",
            f"{one.average_precision:.3f}",
            f"{one.best.f1:.3f}",
            f"{one.best.threshold:.2f}",
        ]
        for one in curves
    ]


def thresholds(curves: Curves) -> list[Row]:
    """Threshold, precision, recall, F1, share of rows said to be of the class."""
    return [
        [
            f"{one.threshold:.2f}",
            None if one.precision is None else f"{one.precision:.3f}",
            f"{one.recall:.3f}",
            f"{one.f1:.3f}",
            f"{one.share:.1%}",
        ]
        for one in at_tenths(curves)
    ]


def importances(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Bars of the largest importances, with what their mean may be off over the repeats."""
    rows = document["importances"][:MOST_BARS]
    low = min([0.0, *(one["mean"] - one["std"] for one in rows)])
    high = max([1e-12, *(one["mean"] + one["std"] for one in rows)])

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    return [
        {
            "name": one["column"],
            "begin": min(place(0.0), place(one["mean"])),
            "size": round(abs(place(one["mean"]) - place(0.0)), 2),
            "low": place(one["mean"] - one["std"]),
            "spread": round(place(one["mean"] + one["std"]) - place(one["mean"] - one["std"]), 2),
            "text": f"{short(one['mean'])} ± {short(one['std'])}",
        }
        for one in rows
    ]


def importance_note(document: dict[str, Any]) -> str:
    rested = "rows that the model has seen" if document["data"] == "training" else f"{document['data']} rows"
    more = len(document["importances"]) - MOST_BARS
    others = f" The {MOST_BARS} largest of {len(document['importances'])}." if more > 0 else ""
    repeats = document["repeats"]
    how = f"± one standard deviation over {repeats} repeats" if repeats > 1 else "once"
    on = f"on {document['rows']:,} {rested}"
    return f"What {document['metric']} loses when a column is shuffled, {how}, {on}.{others}"


def metrics(values: Any) -> list[Row]:
    return [[name, number(value)] for name, value in sorted(values.items())]


def test_rows(content: Content) -> list[Row]:
    """Metrics on test data, with intervals where they are known, beside those of validation."""
    job = content.job
    intervals = job.documents.get("test_metrics_interval", {})
    validated = content.best.row.metrics if content.best else {}
    rows = scores_with_intervals(job.test_metrics or {}, intervals, job.primary_metric)
    return [[name, value, between, number(validated.get(str(name)))] for name, value, between in rows]


def scores_with_intervals(values: Mapping[str, float], intervals: Mapping[str, Any], first: str) -> list[Row]:
    """Metric, value, 95 % interval; the one that counts at the top."""
    return [
        [
            name,
            number(value),
            f"{number(intervals[name]['low'])} to {number(intervals[name]['high'])}" if name in intervals else None,
        ]
        for name, value in sorted(values.items(), key=lambda pair: (pair[0] != first, pair[0]))
    ]


def evaluated(found: Evaluation) -> list[tuple[str, str]]:
    """An evaluation's facts."""
    return [
        ("model", f"{found.model}:{found.version}"),
        ("task", f"{found.task} of {found.target}"),
        ("rows", f"{found.rows:,} of {found.data}"),
    ]


def slices(found: Evaluation) -> list[Row]:
    """Value, rows, score, its interval, what to beware of."""
    return [
        [
            one.value,
            _sorted(f"{one.rows:,}", one.rows),
            number(one.metrics.get(found.metric)),
            None if one.interval is None else f"{number(one.interval[0])} to {number(one.interval[1])}",
            one.warning or None,
        ]
        for one in found.slices
    ]


def deploy(content: Content) -> list[str]:
    """The commands from this job to an answering endpoint."""
    import re

    slug = re.sub(r"[^a-z0-9]+", "-", content.job.experiment.lower()).strip("-")[:32].strip("-")
    endpoint = slug if len(slug) >= 3 else "my-model"
    model = "".join(word.capitalize() for word in endpoint.split("-"))
    return [
        f"forestay model register {content.job.job} --name {model}",
        f"forestay score generate {model} --to scoring",
        "forestay score verify scoring",
        f"forestay endpoint deploy {endpoint} --model {model} --from scoring",
        f"forestay endpoint invoke {endpoint}",
    ]


def in_short(content: Content) -> list[tuple[str, str]]:
    """A job's facts in a comparison."""
    job, best = content.job, content.job.best
    pairs: list[tuple[str, str | None]] = [
        ("task", f"{job.task} of {job.target}" if job.target else job.task),
        ("model", ", ".join(filter(None, (best.algorithm, best.preprocessor))) if best else None),
        (job.primary_metric, number(best.score) if best else None),
        ("trials", str(job.trials)),
        ("training rows", _grouped(job.parameters.get("rows"))),
        ("took", duration(job.duration_seconds)),
        ("started", when(str(job.as_dict()["created"])) + " UTC"),
    ]
    return [(name, value) for name, value in pairs if value]


def score_pair(pair: ScorePair) -> Row:
    """Metric, on which data, both scores, their difference, which is better."""
    return [
        pair.metric,
        pair.where,
        _score(pair.one),
        _score(pair.other),
        None if pair.difference is None else f"{pair.difference:+.5f}",
        None if pair.better is None else pair.better.upper(),
    ]


def _score(score: Score) -> str | None:
    if score.value is None or score.low is None or score.high is None:
        return number(score.value)
    return f"{number(score.value)} ({number(score.low)} to {number(score.high)})"
