"""`forestay job report`: a job as one file; `forestay job compare`: two jobs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay.cli import Command, console
from forestay.commands.azure import env_option
from forestay.commands.job import job_argument
from forestay.console import table
from forestay.errors import InputError
from forestay.words import duration, number

if TYPE_CHECKING:
    from automl_jobs.runs.report.compare import Comparison, Score
    from automl_jobs.runs.report.content import Content

FORMATS = ("html", "md", "pdf", "json")


@click.command(cls=Command)
@job_argument
@click.option("--to", "to", type=click.Path(path_type=Path), metavar="FILE", help="The file to write (JOB.FORMAT).")
@env_option
@click.option("--format", "kind", type=click.Choice(FORMATS), help="Instead of what FILE ends in; html without either.")
@click.pass_context
def report(context: click.Context, job: str, env: str, to: Path | None, kind: str | None) -> None:
    """Write what a job came to as one file: trials, charts, data, and how to deploy it.

    The page needs nothing but itself: it opens from disk, in light and dark, and prints. JOB is a job's name, the
    beginning of only one name, or `latest`. Of a job in Azure it has what Azure tells: trials and metrics; charts need
    `job download` before.

    Example: forestay job report latest --to report.html
    """
    from forestay import looking
    from forestay.project import write_atomic

    kind = kind or _kind(to)
    content = looking.content(env, job)
    path = to or Path(f"{content.job.job}.{kind}")
    _check(path)
    data = _rendered(content, kind)
    write_atomic(path, data)
    size = path.stat().st_size
    document = {"path": str(path.absolute()), "job": content.job.job, "format": kind, "bytes": size}
    console(context).emit(document, lambda: [f"the report of {content.job.job} is in {path} ({size / 1000:,.0f} kB)"])


def _kind(to: Path | None) -> str:
    """The format that a file's ending means. Raises InputError for another."""
    if to is None:
        return "html"
    ending = to.suffix.lower().removeprefix(".")
    kind = {"htm": "html", "markdown": "md"}.get(ending, ending)
    if kind not in FORMATS:
        raise InputError(
            f"no report is written as {to.suffix or 'a file without an ending'}",
            where="--to",
            fix=f"end it in one of {', '.join('.' + one for one in FORMATS)}, or say --format",
        )
    return kind


def _check(path: Path) -> None:
    if path.is_dir():
        raise InputError("this is a folder", where=str(path), fix="name a file with --to")


def _rendered(content: Content, kind: str) -> str | bytes:
    import json

    from automl_jobs.runs.report import page, pdf

    if kind == "json":
        return json.dumps(content.document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if kind == "md":
        return page.markdown(content)
    if kind == "pdf":
        pdf.browser()
        return pdf.printed(page.html(content, opened=True))
    return page.html(content)


@click.command(cls=Command)
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--to", "to", type=click.Path(path_type=Path), metavar="FILE", help="Write a page (.html) or .json.")
@env_option
@click.pass_context
def compare(context: click.Context, one: str, other: str, env: str, to: Path | None) -> None:
    """Two jobs side by side: settings and data that differ, scores with their intervals, trials.

    A and B are jobs' names, the beginnings of only one name, or `latest`.

    Example: forestay job compare calm_bay latest --to comparison.html
    """
    import json

    from automl_jobs.runs.report import page
    from automl_jobs.runs.report.compare import comparing
    from forestay import looking
    from forestay.project import write_atomic

    kind = "" if to is None else _kind(to)
    if kind in ("md", "pdf"):
        raise InputError(f"a comparison is not written as {kind}", where="--to", fix="end it in .html or .json")
    found = comparing(looking.content(env, one), looking.content(env, other))
    document = found.document
    if to is not None:
        _check(to)
        text = page.comparison(found) if kind == "html" else json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        write_atomic(to, text)
        document = {"path": str(to.absolute()), **document}
        written: Callable[[], Iterable[Any]] = lambda: [f"the comparison is in {to}"]  # noqa: E731
        console(context).emit(document, written)
        return
    console(context).emit(document, lambda: _view(found))


def _view(found: Comparison) -> Iterable[Any]:
    """A comparison for a person."""
    jobs = (found.one.job, found.other.job)
    names = [f"A: {jobs[0].job}", f"B: {jobs[1].job}"]
    rows: list[tuple[Any, ...]] = [
        ("status", jobs[0].status, jobs[1].status),
        ("task", jobs[0].task, jobs[1].task),
        ("model", *(job.best.algorithm if job.best else None for job in jobs)),
        ("trials", *(job.trials for job in jobs)),
        ("took", *(duration(job.duration_seconds) for job in jobs)),
    ]
    yield table(("", *names), rows)
    if found.scores:
        yield table(
            ("metric", "on", "A", "B", "B - A", "better"),
            (
                (
                    one.metric,
                    one.where,
                    score_text(one.one),
                    score_text(one.other),
                    None if one.difference is None else f"{one.difference:+.5f}",
                    None if one.better is None else one.better.upper(),
                )
                for one in found.scores
            ),
            title="scores, with 95 % intervals where they are known",
            right=("A", "B", "B - A"),
        )
    yield from found.remarks
    for title, parts in (("settings that differ", found.settings), ("data that differ", found.data)):
        if parts:
            yield table(("", *names), ((part.name, part.one, part.other) for part in parts), title=title)
        else:
            yield f"{title}: none"
    yield table(
        ("algorithm", "trials A", "trials B", "best A", "best B"),
        ((one.algorithm, *one.counts, *map(number, one.best)) for one in found.trials),
        title="trials",
        right=("trials A", "trials B", "best A", "best B"),
    )


def score_text(score: Score) -> str | None:
    """A score with its interval: 0.93512 (0.921 to 0.949)."""
    if score.value is None or score.low is None or score.high is None:
        return number(score.value)
    return f"{number(score.value)} ({number(score.low)} to {number(score.high)})"
