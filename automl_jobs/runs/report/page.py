"""A report as one HTML page that holds all it shows, and as Markdown."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import templates
from automl_jobs.runs.report import charts, views
from automl_jobs.runs.report.charts import Chart
from automl_jobs.runs.report.compare import Comparison
from automl_jobs.runs.report.content import Content
from forestay import __version__
from forestay.words import number

if TYPE_CHECKING:
    from automl_jobs.evaluate import Evaluation

MULTILABEL = "text_classification_multilabel"
MOST_THRESHOLDS = 30
"""Of so many classes a page has a table of thresholds each."""


def html(content: Content, *, opened: bool = False) -> str:
    """The page of a job; `opened`: with all that a reader could open, for paper."""
    return framed("report/job.html.j2", **values(content), **of_charts(content), opened=opened)


def markdown(content: Content) -> str:
    """The same in words and tables, without charts."""
    return templates.render("report/job.md.j2", **values(content), **of_charts(content))


def comparison(found: Comparison) -> str:
    """The page of two jobs side by side."""
    sides = [
        (letter, content.job, views.in_short(content), charts.of_trials(content))
        for letter, content in (("A", found.one), ("B", found.other))
    ]
    return framed(
        "report/compare.html.j2",
        a=found.one.job,
        b=found.other.job,
        sides=sides,
        remarks=found.remarks,
        scores=[views.score_pair(pair) for pair in found.scores],
        settings=[[one.name, one.one, one.other] for one in found.settings],
        data=[[one.name, one.one, one.other] for one in found.data],
        trials=[
            [one.algorithm, *one.counts, *(None if best is None else number(best) for best in one.best)]
            for one in found.trials
        ],
    )


def framed(template: str, **values: Any) -> str:
    """A page in the frame of base.html.j2, whose policy allows its own script only."""
    script = templates.render("report/sort.js.j2")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return templates.render(
        template,
        # Its text holds no `<` that would end the element, and is no one's but ours.
        script=templates.trusted(script),
        script_hash=f"sha256-{digest}",
        version=__version__,
        **values,
    )


def values(content: Content) -> dict[str, Any]:
    """What every form shows of a job, by the names that templates use."""
    job = content.job
    columns, rows = views.leaderboard(content.trials, job.primary_metric)
    profile = job.documents.get("data_profile")
    return {
        "job": job,
        "best": content.best,
        "tiles": views.tiles(content),
        "summary": views.summary(content),
        "board_columns": columns,
        "board_rows": rows,
        "board_right": (0, *range(3, len(columns) - 1)),
        "chosen": next((place for place, row in enumerate(content.trials) if row.chosen), None),
        "failures": views.failures(content.trials),
        "guardrails": content.guardrails,
        "profile": profile,
        "profile_columns": views.profile(profile)[0],
        "profile_rows": views.profile(profile)[1],
        "explanation": content.explanation,
        "importance": None if content.explanation is None else views.importances(content.explanation),
        "importance_rows": [
            [one["name"], one["text"]] for one in views.importances(content.explanation or {"importances": []})
        ],
        "importance_note": "" if content.explanation is None else views.importance_note(content.explanation),
        "validated": views.metrics(content.best.row.metrics) if content.best else [],
        "parameters": sorted(content.best.parameters.items()) if content.best else [],
        "tested": views.test_rows(content),
        "commands": views.deploy(content) if content.best else [],
        "spec_text": content.spec_text,
    }


def of_charts(content: Content) -> dict[str, Any]:
    """The charts of the task, and the tables that belong to them."""
    documents = content.charts
    positive = None
    if "accuracy_table" in documents and content.job.task != MULTILABEL:
        labels = documents["accuracy_table"]["data"]["class_labels"]
        positive = positive_class(labels, (content.job.decision or {}).get("positive_label"))
    return {"trials_chart": charts.of_trials(content), **of_documents(documents, content.job.target, positive)}


def of_documents(documents: Mapping[str, Any], target: str, positive: str | None) -> dict[str, Any]:
    """The charts of a model's documents, and the tables that belong to them.

    Parameters
    ----------
    documents: by Azure's names. positive: the class that a model of two classes is about; None shows all.
    """
    found: list[Chart] = []
    curves: list[Any] = []
    remark = ""
    if "accuracy_table" in documents:
        found, curves, remark = charts.of_classes(documents["accuracy_table"], positive)
    if "forecast_table" in documents:
        table = documents["forecast_table"]
        found += charts.of_forecasts(table, target)
        if table["data"]["series"] > len(table["data"]["grain_value_list"]):
            remark = f"{len(table['data']['grain_value_list'])} of {table['data']['series']:,} series."
    if "predicted_true" in documents:
        drawn = charts.of_predictions(documents["predicted_true"], target)
        found += [drawn] if drawn is not None else []
    if "residuals" in documents:
        found.append(charts.of_residuals(documents["residuals"]))
    confusion = documents.get("confusion_matrix")
    matrix = views.matrix(confusion)
    return {
        "charts": found,
        "remark": remark,
        "matrix": matrix,
        "confusions": [] if matrix else views.confusions(confusion),
        "label_matrices": views.label_matrices(confusion),
        "by_class": views.by_class(curves),
        "thresholds": [(one.label, views.thresholds(one)) for one in curves[:MOST_THRESHOLDS]],
    }


def positive_class(labels: Sequence[Any], named: Any) -> str | None:
    """The class that a job of two classes is about: the one that its decision names, else the second."""
    if len(labels) != 2:
        return None
    return str(named) if named is not None and str(named) in labels else str(labels[1])


def of_evaluation(found: Evaluation) -> dict[str, Any]:
    """The charts of a model that was judged on rows, and the tables that belong to them."""
    labels = found.charts["accuracy_table"]["data"]["class_labels"] if "accuracy_table" in found.charts else []
    positive = positive_class(labels, found.positive) if found.task != MULTILABEL else None
    return of_documents(found.charts, found.target, positive)


def evaluation(found: Evaluation) -> str:
    """The page of a model that was judged on rows."""
    return framed(
        "report/evaluation.html.j2",
        found=found,
        facts=views.evaluated(found),
        scores=views.scores_with_intervals(found.metrics, found.intervals, found.metric),
        slices=views.slices(found),
        **of_evaluation(found),
    )
