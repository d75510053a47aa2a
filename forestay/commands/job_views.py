"""A job, its trials and its leaderboard as a person reads them on a terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from forestay.console import table
from forestay.words import duration, number, when

if TYPE_CHECKING:
    from automl_jobs.runs import JobDetail, JobRow, TrialDetail, TrialRow

MATRIX_CLASSES = 12
"""A confusion matrix of more classes does not fit a terminal; it is in the JSON."""

BALANCE = "Class balancing detection"
"""The guardrail that says whether the rare class is to be looked at by itself."""

SHOWN_COLUMNS = 10
"""The columns whose importance `job show` lists; `job explain` lists more."""

WIDE = 100
"""Columns of a terminal from which a leaderboard also says how each trial's features were made."""


def list_view(rows: list[JobRow]) -> Any:
    view = table(
        ("job", "status", "best", "trials", "took", "created (UTC)"),
        (
            (
                row.job,
                row.status,
                f"{row.primary_metric} {number(row.best.score)}" if row.best else None,
                row.trials,
                duration(row.duration_seconds),
                when(row.as_dict()["created"])[:-3],
            )
            for row in rows
        ),
        right=("trials", "took"),
    )
    view.columns[0].no_wrap = True  # a name that is cut in two can't be copied
    view.columns[1].no_wrap = True
    return view


def job_view(found: JobDetail, verbose: bool = False) -> Iterable[Any]:
    """A job for a person; `verbose` adds what became of each column."""
    best = found.best
    pairs: list[tuple[str, Any]] = [
        ("job", found.job),
        ("experiment", found.experiment),
        ("status", found.status),
        ("error", found.error),
        ("task", f"{found.task}, target {found.target}" if found.target else found.task),
        ("job file", found.path or None),
        ("created", when(found.as_dict()["created"]) + " UTC"),
        ("took", duration(found.duration_seconds)),
        ("trials", found.trials),
        ("primary metric", found.primary_metric),
    ]
    if best is not None:
        pairs.append(("best trial", f"{best.algorithm}, {best.preprocessor}" if best.preprocessor else best.algorithm))
        pairs.append(("its score", number(best.score)))
        if best.reason:
            pairs.append(("why rank " + str(best.rank), best.reason))
        pairs += decision_facts(found.decision)
        if any(row["name"] == BALANCE and row["status"] != "Passed" for row in found.documents.get("guardrails", [])):
            pairs += _rare_facts(found.quality)
    yield facts(pairs)
    documents = found.documents
    if best is not None and found.trials > 1 and found.status == "Completed":
        yield _optimism(found)
    if found.test_metrics:
        yield table(
            ("test metric", "value", "95 % of resamples"),
            (
                (name, number(value), _interval_text(documents.get("test_metrics_interval", {}).get(name)))
                for name, value in found.test_metrics.items()
            ),
            right=("value",),
        )
    if documents.get("explanation"):
        yield importance_view(documents["explanation"], SHOWN_COLUMNS)
    if documents.get("forecast"):
        yield forecast_view(documents["forecast"])
    if documents.get("guardrails"):
        yield from guardrail_view(documents["guardrails"])
    if verbose and documents.get("featurization_summary"):
        yield summary_view(documents["featurization_summary"])
    if found.tags:
        yield table(("tag", "value"), sorted(found.tags.items()))


def _optimism(found: JobDetail) -> str:
    """Why the best score of many is not to be expected again, and what stands beside it."""
    text = f"the best of {found.trials} validation scores is an optimistic one"
    tested = (found.test_metrics or {}).get(found.primary_metric)
    if tested is None and found.task.startswith("text_"):
        return text  # Azure's text jobs take no test data
    if tested is None:
        return f"{text}; test_data in the job file would give one of rows that chose nothing"
    spread = _interval_text(found.documents.get("test_metrics_interval", {}).get(found.primary_metric))
    return f"{text}; on the test data {found.primary_metric} is {number(tested)}{f' ({spread})' if spread else ''}"


def _interval_text(interval: Any) -> str | None:
    return f"{number(interval['low'])} to {number(interval['high'])}" if interval else None


def guardrail_view(rows: list[dict[str, Any]]) -> Iterable[Any]:
    """What the guardrails found as a table, and the names of those that found nothing."""
    found = [row for row in rows if row["status"] != "Passed"]
    if found:
        yield table(
            ("data guardrail", "state", "what was found"),
            (
                (
                    row["name"],
                    row["status"],
                    f"{row['description']}; {row['fix']}" if row["fix"] else row["description"],
                )
                for row in found
            ),
        )
    passed = [row["name"] for row in rows if row["status"] == "Passed"]
    if passed:
        yield f"data guardrails passed: {', '.join(passed)}"


def importance_view(document: dict[str, Any], most: int) -> Any:
    """The importances of an explanation as a table, the largest first."""
    metric, rows = document["metric"], f"{document['rows']:,} {document['data']} rows"
    return table(
        ("column", "loss", "spread"),
        ((one["column"], f"{one['mean']:.4f}", f"±{one['std']:.4f}") for one in document["importances"][:most]),
        title=f"what {metric} loses when a column is shuffled ({rows}, {document['repeats']} times)",
        right=("loss", "spread"),
    )


def forecast_view(document: dict[str, Any]) -> Any:
    """What the best model forecasts from."""
    from forestay.documents.names import shown

    series, folds = document["series"], document["folds"]
    holidays = f"{document['holidays']} days" if document["holidays"] else None
    return facts(
        [
            ("series", f"{series:,}, frequency {document['frequency']}"),
            ("horizon", f"{document['horizon']} periods, validated on {folds} fold{'s' * (folds != 1)}"),
            ("seasonality", f"{document['seasonality']} periods"),
            ("lags", ", ".join(map(str, document["target_lags"])) or None),
            ("windows", ", ".join(map(str, document["rolling_windows"])) or None),
            ("known ahead", ", ".join(map(shown, document["known_ahead"])) or None),
            ("past values of", ", ".join(map(shown, document["past_values_of"])) or None),
            ("holidays", holidays),
        ]
    )


def summary_view(rows: list[dict[str, Any]]) -> Any:
    """The featurization summary as a table."""
    return table(
        ("column", "type", "dropped", "features", "transformations"),
        (
            (
                row["RawFeatureName"],
                row["TypeDetected"],
                row["Dropped"],
                row["EngineeredFeatureCount"],
                ", ".join(row["Transformations"]) or row["Reason"],
            )
            for row in rows
        ),
        title="featurization",
        right=("features",),
    )


def leaderboard_view(rows: list[TrialRow], job: JobRow) -> Iterable[Any]:
    """A leaderboard for a person; the chosen trial is marked, and why failed ones failed is said below.

    A narrow terminal has no room for how the features were made; `job trial` tells it.
    """
    metric, title = job.primary_metric, f"{job.job} · {job.status}"
    if not rows:
        yield f"{title}: no trial has ended yet"
        return
    wide = shutil.get_terminal_size().columns >= WIDE
    # Only a large table has trials on fewer rows than the others.
    sampled = len({row.rows for row in rows if row.rows is not None and row.algorithm != "Baseline"}) > 1
    view = table(
        (
            "rank",
            "algorithm",
            *(("preprocessor",) if wide else ()),
            metric,
            "training",
            *(("rows",) if sampled else ()),
            "ms",
            "MB",
            "took",
        ),
        (
            (
                f"* {row.rank}" if row.chosen else row.rank,
                row.algorithm,
                *((row.preprocessor or None,) if wide else ()),
                score_text(row) or row.status,
                None if row.train_score is None else f"{row.train_score:.4f}",
                *((None if row.rows is None else f"{row.rows:,}",) if sampled else ()),
                None if row.predict_ms is None else f"{row.predict_ms:.0f}",
                None if row.model_mb is None else f"{row.model_mb:.1f}",
                duration(row.duration_seconds),
            )
            for row in rows
        ),
        title=title,
        right=("rank", metric, "training", "rows", "ms", "MB", "took"),
    )
    for column in view.columns:
        column.no_wrap = True
    yield view
    if job.best is not None and job.best.reason:
        yield f"* is rank {job.best.rank}: {job.best.reason}"
    for row in rows:
        if row.error:
            yield f"{row.rank}: {row.error}"


def trial_view(found: TrialDetail) -> Iterable[Any]:
    """A trial for a person."""
    row = found.row
    yield facts(
        [
            ("job", found.job),
            ("trial", f"{row.id}, rank {row.rank}"),
            ("algorithm", row.algorithm),
            ("preprocessor", row.preprocessor or None),
            ("status", row.status),
            ("error", row.error),
            (found.primary_metric, score_text(row)),
            ("on training rows", number(row.train_score)),
            *decision_facts(found.documents.get("decision")),
            ("calibration", _calibration_text(found.documents.get("calibration"))),
            *(_rare_facts(row.quality) if _imbalanced(found.documents.get("confusion_matrix")) else ()),
            ("calibration error", number(row.quality.get("expected_calibration_error"))),
            ("brier score", number(row.quality.get("brier_score"))),
            ("took", duration(row.duration_seconds)),
            ("fitted on", _refit_text(found.documents.get("refit"))),
            ("files in", found.outputs),
        ]
    )
    if found.parameters:
        yield table(("parameter", "value"), found.parameters.items())
    if row.metrics:
        yield table(("metric", "value"), _metric_rows(row.metrics), right=("value",))
    matrix = matrix_view(found.documents.get("confusion_matrix"))
    if matrix is not None:
        yield matrix
    if found.files:
        yield table(("file", "bytes"), ((path, f"{size:,}") for path, size in found.files), right=("bytes",))


def _refit_text(document: Any) -> str | None:
    """Which rows a model has seen, for a person; None where no hold-out was drawn from its training rows."""
    if not isinstance(document, dict):
        return None
    if not document["refitted"]:
        return f"{document['rows']:,} rows, without the hold-out: {document['reason']}"
    return f"all {document['rows']:,} rows; scores are of the same model fitted on {document['judged_rows']:,} of them"


def decision_facts(document: Any) -> list[tuple[str, Any]]:
    """How a classifier decides, for a person; nothing where no document says."""
    if not isinstance(document, dict):
        return []
    from forestay.documents.names import shown

    setting, rule, goal = document.get("setting"), document.get("rule"), document.get("goal")
    if rule == "threshold":
        text = f"{shown(document['positive_label'])} from a probability of {document['threshold']:.4g}"
    elif rule == "weights":
        pairs = zip(document["classes"], document["weights"], strict=True)
        text = (
            f"the most probable class, weighted: {', '.join(f'{shown(label)} {weight:.3g}' for label, weight in pairs)}"
        )
    else:
        text = "the most probable class"
    if "gain" in document:
        text += f"; gains {goal} {document['gain']:+.4f} on rows that did not choose it"
    elif goal:
        text += f"; nothing else gains {goal}"
    return [("decision", f"{text} ({setting})")]


def _calibration_text(document: Any) -> str | None:
    """What a calibration gains, for a person; None where there is none."""
    if not isinstance(document, dict):
        return None
    return f"{document['kind']}: log loss {document['log_loss']:.4f} instead of {document['log_loss_before']:.4f}"


def _rare_facts(quality: Any) -> list[tuple[str, Any]]:
    names = [name for name in ("minority_recall", "minority_average_precision") if name in quality]
    return [(name.replace("_", " "), number(quality[name])) for name in names]


def _imbalanced(matrix: Any) -> bool:
    """Whether a class has so few of the rows in a confusion matrix that the guardrail would say so."""
    from automl_jobs.prepare.labels import imbalanced

    rows = matrix["data"]["matrix"] if isinstance(matrix, dict) else []
    # With several labels a row each label has a matrix of its own.
    single = bool(rows) and not isinstance(rows[0][0], list)
    return single and imbalanced(sum(row) for row in rows)


def matrix_view(document: Any) -> Any | None:
    """Azure's confusion matrix document as a small table; None where there is none, or it is too wide."""
    data = document.get("data", {}) if isinstance(document, dict) else {}
    labels, matrix = data.get("class_labels"), data.get("matrix")
    if not labels or not matrix or len(labels) > MATRIX_CLASSES:
        return None
    names = [str(label) for label in labels]
    if isinstance(matrix[0][0], list):
        return table(
            ("label", "said rightly", "missed", "said wrongly", "rightly silent"),
            ((name, there[1], there[0], gone[1], gone[0]) for name, (gone, there) in zip(names, matrix, strict=True)),
            title="each label's confusion matrix",
            right=("said rightly", "missed", "said wrongly", "rightly silent"),
        )
    return table(
        ("true \\ predicted", *names),
        ((name, *counts) for name, counts in zip(names, matrix, strict=True)),
        title="confusion matrix",
        right=names,
    )


def facts(pairs: Iterable[tuple[str, Any]]) -> Any:
    """Names and values below each other; what is None is left out."""
    from rich.table import Table
    from rich.text import Text

    view = Table.grid(padding=(0, 2))
    view.add_column(no_wrap=True)
    view.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            view.add_row(Text(name, style="dim"), Text(str(value)))
    return view


def _metric_rows(metrics: Any) -> Iterable[tuple[str, str | None]]:
    return ((name, number(value)) for name, value in metrics.items())


def score_text(row: TrialRow) -> str | None:
    """A trial's score, with its standard deviation over the folds where there are some: 0.93512 ±0.004."""
    score = number(row.score)
    return score if score is None or row.score_std is None else f"{score} ±{row.score_std:.2g}"
