"""`forestay data show`, and the flags that say how a data file is to be read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from automl_jobs.data.kinds import plain
from forestay.cli import Command, console
from forestay.console import table
from forestay.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from automl_jobs.data import Column, ReadOptions, Table
    from automl_jobs.target import Target

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "bar": "|", "pipe": "|", "space": " "}
THOUSANDS = {"none": "", "comma": ",", "point": ".", "space": " ", "quote": "'"}


def read_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags on reading a file to a command; it gets them as one argument, `read`, a ReadOptions."""

    @click.option("--delimiter", metavar="CHAR", help="What separates fields: one character, or comma, semicolon, tab.")
    @click.option("--encoding", metavar="NAME", help="Such as utf8, windows1252, latin1, utf16.")
    @click.option("--no-header", is_flag=True, help="The first line is data; columns are Column1, Column2, ...")
    @click.option("--decimal", type=click.Choice([".", ","]), help="The decimal mark.")
    @click.option("--thousands", metavar="CHAR", help="The thousands mark: , . ' space, or none.")
    @click.option("--na-value", multiple=True, metavar="TEXT", help="A value that means missing. Can be repeated.")
    @click.option("--keep-na", is_flag=True, help="NA, null and their like are values; only empty is missing.")
    @click.option("--day-first/--month-first", default=None, help="How to read 03/04/2026.")
    @click.option("--type", "types", multiple=True, metavar="COLUMN=TYPE", help="Set a column's type. Can be repeated.")
    @functools.wraps(function)
    def wrapper(*args: Any, **given: Any) -> Any:
        names = ("delimiter", "encoding", "no_header", "decimal", "thousands")
        flags = {name: given.pop(name) for name in (*names, "na_value", "keep_na", "day_first", "types")}
        return function(*args, read=_options(**flags), **given)

    return wrapper


def _options(
    delimiter: str | None,
    encoding: str | None,
    no_header: bool,
    decimal: str | None,
    thousands: str | None,
    na_value: tuple[str, ...],
    keep_na: bool,
    day_first: bool | None,
    types: tuple[str, ...],
) -> ReadOptions:
    from automl_jobs.data import ReadOptions
    from automl_jobs.data.dialect import usable

    if delimiter is not None:
        delimiter = DELIMITERS.get(delimiter.lower(), delimiter)
        if not usable(delimiter):
            raise InputError(f"{delimiter!r} cannot be a delimiter", where="--delimiter", fix="one character, or tab")
    if thousands is not None:
        thousands = THOUSANDS.get(thousands.lower(), thousands)
        if thousands not in THOUSANDS.values():
            raise InputError(
                f"{thousands!r} is no thousands mark", where="--thousands", fix=f"one of {', '.join(THOUSANDS)}"
            )
        if thousands and thousands == decimal:
            raise InputError("is the decimal mark as well", where="--thousands", fix="leave one of the flags out")
    if keep_na and na_value:
        raise InputError(
            "--na-value names what means missing, so everything else is a value already",
            where="--keep-na",
            fix="leave --keep-na out",
        )
    return ReadOptions(
        delimiter=delimiter,
        encoding=encoding,
        header=not no_header,
        decimal=decimal,
        thousands=thousands,
        na_values=na_value,
        keep_na=keep_na,
        day_first=day_first,
        types=dict(map(_type, types)),
    )


def _type(text: str) -> tuple[str, Any]:
    """COLUMN=TYPE; a column's name may hold = itself."""
    import difflib

    from automl_jobs.data import ColumnType

    name, equals, kind = text.rpartition("=")
    known = [str(each) for each in ColumnType if each is not ColumnType.CONSTANT]
    if not equals or not name:
        raise InputError(f"{text!r} is not COLUMN=TYPE", where="--type", fix=f"types: {', '.join(known)}")
    if kind not in known:
        near = difflib.get_close_matches(kind, known, n=1)
        fix = f"nearest: {near[0]}" if near else f"types: {', '.join(known)}"
        raise InputError(f"{kind!r} is no type", where=f"--type {text}", fix=fix)
    return name, ColumnType(kind)


@click.command(cls=Command)
@click.argument("data", type=click.Path())
@click.option("--target", metavar="COLUMN", help="The column to predict: what it holds, and the task that fits.")
@read_flags
@click.pass_context
def show(context: click.Context, data: str, target: str | None, read: ReadOptions) -> None:
    """Show what a data file holds, before an experiment.

    DATA is a CSV, Parquet or JSON Lines file, or a folder with an MLTable. What was guessed in reading it is said,
    with the flag that sets it right; `job new` takes the same flags.

    Example: forestay data show sales.csv --target amount
    """
    from automl_jobs.data import load_table
    from automl_jobs.target import about_target

    found = load_table(data, read)
    aim = about_target(found, target, "--target") if target is not None else None
    console(context).emit(document(found, aim), lambda: view(found, aim))


def document(found: Table, aim: Target | None) -> dict[str, Any]:
    """What `data show --output json` prints."""
    result: dict[str, Any] = {
        "source": found.source,
        "rows": len(found.frame),
        "columns": [
            {
                "name": column.name,
                "type": str(column.type),
                "missing": column.missing,
                "distinct": column.distinct,
                "examples": list(column.examples),
                "warnings": list(column.warnings),
            }
            for column in found.columns
        ],
        "notes": list(found.notes),
    }
    if aim is not None:
        result["target"] = aim.as_dict()
    return result


def view(found: Table, aim: Target | None) -> Iterator[RenderableType]:
    """What a person sees."""
    from rich.text import Text

    rows = len(found.frame)
    yield Text(f"{plain(found.source)}: {rows:,} rows x {len(found.columns)} columns")
    titles = ["Column", "Type", "Missing", "Distinct", "Examples", "Warnings"]
    if not any(column.warnings for column in found.columns):
        titles.pop()
    lines = [_row(column, rows, aim)[: len(titles)] for column in found.columns]
    yield table(titles, lines, right=["Missing", "Distinct"])
    if aim is not None:
        yield Text(f"Target {plain(aim.column.name)}: {aim.summary}")
        yield Text(f"  task {aim.task}: {aim.task_reason}")
        yield Text(f"  metric {aim.metric}: {aim.metric_reason}")
        yield from (Text(f"  warning: {warning}") for warning in aim.warnings)
    if found.notes:
        yield Text("Guessed:")
        yield from (Text(f"  {note}") for note in found.notes)


def _row(column: Column, rows: int, aim: Target | None) -> list[str]:
    mark = " (target)" if aim is not None and aim.column.name == column.name else ""
    missing = f"{column.missing:,} ({column.missing / rows:.1%})" if column.missing else "0"
    shown = ", ".join(plain(example) for example in column.examples)
    return [
        plain(column.name) + mark,
        str(column.type),
        missing,
        f"{column.distinct:,}",
        shown,
        "; ".join(column.warnings),
    ]
