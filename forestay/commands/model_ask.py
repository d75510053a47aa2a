"""`forestay model predict|evaluate|compare`: what a registered model says of rows, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.cli import Command, console
from forestay.commands.azure import arm_of, env_option
from forestay.commands.job_views import facts
from forestay.console import table
from forestay.errors import InputError
from forestay.words import number

if TYPE_CHECKING:
    import pandas as pd

    from automl_jobs.evaluate import Comparison, Evaluation, LoadedModel
    from forestay.console import Console

SHOWN_ROWS, SHOWN_CLASSES = 20, 4
TABLES, PAGES = (".csv", ".parquet"), (".html", ".json")


def data_option(required: bool, help: str) -> Callable[[Any], Any]:
    return click.option("--data", "data", type=click.Path(path_type=Path), required=required, metavar="DATA", help=help)


seed_option = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the resamples.")
metric_option = click.option("--metric", metavar="M", help="The metric that counts, instead of the job's.")


def opened(screen: Console, env: str, *models: str) -> list[LoadedModel]:
    """Registered versions, loaded; those of Azure are fetched first."""
    from automl_jobs.evaluate import open_in_azure, open_model
    from automl_jobs.runs import RunStore
    from forestay.watching import progress_for

    if env == LOCAL:
        store = RunStore.open(create=False)
        return [open_model(store, model, screen.note) for model in models]
    arm, store = arm_of(env), RunStore.open()
    with progress_for(screen, "fetching") as progress:
        return [open_in_azure(arm, store, model, progress, screen.note) for model in models]


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[:VERSION]")
@data_option(True, "CSV, Parquet, JSON Lines, or an MLTable folder.")
@click.option("--to", "to", type=click.Path(path_type=Path), metavar="FILE", help="Write .csv or .parquet.")
@click.option("--probabilities", is_flag=True, help="The probability of each class, too.")
@env_option
@click.pass_context
def predict(context: click.Context, model: str, data: Path, to: Path | None, probabilities: bool, env: str) -> None:
    """What a registered model says of rows: a look at any version, proven or not.

    The model is loaded in this process, or asked in its own environment where it came from elsewhere, and the rows are
    held in memory. Rows of a forecast that have the target are recent history; the others are forecast, with the bounds
    that the value lies between in 8 of 10 cases. To score a file of any size with what is deployed, the proven
    score.py in its proven environment, here or on a cluster, take `forestay score batch`: there a row that fails
    does not stop the others.

    MODEL is a name for its newest version, name:version, or name@alias.

    Example: forestay model predict Churn:3 --data new.csv --to predicted.csv
    """
    from automl_jobs.evaluate import predict as ask

    screen = console(context)
    check_ending(to, TABLES)
    found = opened(screen, env, model)[0]
    rows = ask(found, data, probabilities, screen.warn)
    if to is not None:
        write_table(rows, to)
    document = {
        "model": found.name,
        "version": found.version,
        "data": str(data),
        "rows": len(rows),
        "path": None if to is None else str(to.absolute()),
        **_said(rows, inside=to is None),
    }
    screen.emit(document, lambda: [f"{len(rows):,} rows of {found.label} are in {to}"] if to else _some(rows))


def check_ending(to: Path | None, endings: tuple[str, ...]) -> None:
    if to is not None and to.suffix.lower() not in endings:
        raise InputError(
            f"no {to.suffix or 'such'} file is written", where="--to", fix=f"end it in {' or '.join(endings)}"
        )
    if to is not None and to.is_dir():
        raise InputError("this is a folder", where="--to", fix="name a file")


def write_table(rows: pd.DataFrame, to: Path) -> None:
    import io
    import json

    from forestay.project import write_atomic

    if to.suffix.lower() == ".parquet":
        buffer = io.BytesIO()
        rows.to_parquet(buffer, index=False)
        write_atomic(to, buffer.getvalue())
        return
    lists = {str(name): rows[name].map(json.dumps) for name in rows if rows[name].map(_is_list).any()}
    write_atomic(to, rows.assign(**lists).to_csv(index=False))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _said(rows: pd.DataFrame, inside: bool) -> dict[str, Any]:
    """The predictions for JSON, where they are written to no file: by name of the column that has them."""
    from automl_jobs.evaluate.rows import PREDICTION, PROBABILITY

    if not inside:
        return {"predictions": None, "probabilities": None}
    plain = rows.astype("object").where(rows.notna(), None)
    classes = [name for name in rows if str(name).startswith(PROBABILITY)]
    bounds = [name for name in rows if str(name).startswith(f"{PREDICTION}_")]
    found: dict[str, Any] = {
        "predictions": [_plain(value) for value in plain[PREDICTION]],
        "probabilities": {str(name).removeprefix(PROBABILITY): rows[name].tolist() for name in classes} or None,
    }
    if bounds:
        found["quantiles"] = {str(name).removeprefix(f"{PREDICTION}_"): rows[name].tolist() for name in bounds}
    return found


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _some(rows: pd.DataFrame) -> Iterator[Any]:
    """The first rows for a person: what was said, and the first columns that it was said of."""
    from automl_jobs.evaluate.rows import PREDICTION, PROBABILITY

    made = [name for name in rows if name == PREDICTION or str(name).startswith((f"{PREDICTION}_", PROBABILITY))]
    others = [name for name in rows if name not in made]
    names = [*others[:3], *made[: 1 + SHOWN_CLASSES]]
    shown = zip(*(rows[name].head(SHOWN_ROWS) for name in names), strict=True)
    cells = ([place, *map(_cell, row)] for place, row in enumerate(shown, start=1))
    yield table(("row", *map(str, names)), cells, right=("row",))
    if len(rows) > SHOWN_ROWS:
        yield f"{len(rows) - SHOWN_ROWS:,} rows more: --to FILE writes them all"


def _cell(value: Any) -> Any:
    import pandas as pd

    if isinstance(value, float):
        return None if pd.isna(value) else f"{value:.6g}"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[:VERSION]")
@data_option(True, "Rows with the target: CSV, Parquet, JSON Lines, or an MLTable folder.")
@click.option("--by", metavar="COL", help="A column, used by the model or not: scores of each of its values.")
@metric_option
@click.option("--to", "to", type=click.Path(path_type=Path), metavar="FILE", help="Write a page (.html) or .json.")
@seed_option
@env_option
@click.pass_context
def evaluate(
    context: click.Context,
    model: str,
    data: Path,
    by: str | None,
    metric: str | None,
    to: Path | None,
    seed: int,
    env: str,
) -> None:
    """How good a registered model is on rows of yours: all metrics with their intervals, and charts.

    The 95 % intervals are those of a bootstrap of the rows. A forecast is judged on what came after its training, a
    horizon at a time. With --by the score of each value of a column is told, with how many rows it rests on.

    MODEL is a name for its newest version, name:version, or name@alias.

    Example: forestay model evaluate Churn:3 --data new.csv --by country --to evaluation.html
    """
    from automl_jobs.evaluate import evaluate as judge

    screen = console(context)
    check_ending(to, PAGES)
    found = judge(opened(screen, env, model)[0], data, by=by, metric=metric, seed=seed)
    for note in found.notes:
        screen.warn(note)
    document = found.as_dict()
    if to is not None:
        _write_page(found, to)
        document = {"path": str(to.absolute()), **document}
    screen.emit(document, lambda: _evaluated(found, to))


def _write_page(found: Evaluation, to: Path) -> None:
    import json

    from automl_jobs.runs.report import page
    from forestay.project import write_atomic

    if to.suffix.lower() == ".html":
        write_atomic(to, page.evaluation(found))
    else:
        document = {**found.as_dict(), "charts": found.charts}
        write_atomic(to, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _evaluated(found: Evaluation, to: Path | None) -> Iterator[Any]:
    from automl_jobs.runs.report import views

    yield facts(views.evaluated(found))
    yield table(
        ("metric", "value", "95 % interval"),
        views.scores_with_intervals(found.metrics, found.intervals, found.metric),
        right=("value", "95 % interval"),
    )
    if found.slices:
        rows = [[cell["text"] if isinstance(cell, dict) else cell for cell in row] for row in views.slices(found)]
        yield table(
            (found.by, "rows", found.metric, "95 % interval", "beware"),
            rows,
            right=("rows", found.metric, "95 % interval"),
        )
    if to is not None:
        yield f"the evaluation is in {to}"


@click.command(cls=Command)
@click.argument("challenger", metavar="CHALLENGER")
@click.argument("champion", metavar="CHAMPION")
@data_option(False, "Rows with the target; without it the test data of the challenger's job, else the champion's.")
@metric_option
@click.option(
    "--threshold",
    type=float,
    default=0.0,
    show_default=True,
    help="By how much it must be better, in units of the metric; below zero, how much worse is well.",
)
@seed_option
@env_option
@click.pass_context
def compare(
    context: click.Context,
    challenger: str,
    champion: str,
    data: Path | None,
    metric: str | None,
    threshold: float,
    seed: int,
    env: str,
) -> None:
    """Whether one version is better than another on the same rows; exit code 1 when that is not shown.

    Both are asked for the same rows, and resamples of them (a paired bootstrap) say how sure the difference is: the
    challenger is better where 95 % of it lie beyond the threshold. Which of the rows either was trained on is told.

    Each is name:version, name@alias, or a name for its newest version. The difference is the challenger's score less
    the champion's; of an error less is better.

    Example: forestay model compare Churn:4 Churn@champion --data test.csv --threshold 0.005
    """
    from automl_jobs.evaluate import compare as hold

    screen = console(context)
    one, other = opened(screen, env, challenger, champion)
    found = hold(one, other, data, metric=metric, threshold=threshold, seed=seed)
    for note in found.notes:
        screen.warn(note)
    screen.emit(found.as_dict(), lambda: compared_view(found))
    if not found.better:
        context.exit(1)


def compared_view(found: Comparison) -> Iterator[Any]:
    """A comparison for a person."""
    yield table(
        ("", "model", found.metric),
        [
            ("challenger", found.challenger, number(found.scores[0])),
            ("champion", found.champion, number(found.scores[1])),
            ("difference", None, f"{found.difference:+.5f}"),
        ],
        right=(found.metric,),
    )
    if found.interval is not None:
        low, high = found.interval
        yield f"95 % of {found.resamples} resamples of {found.rows:,} rows: {low:+.5f} to {high:+.5f}"
    yield found.verdict
