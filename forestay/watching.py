"""A job that is watched, on the screen: a table that redraws itself on a terminal, a line for each news elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from forestay.console import Console, table
from forestay.live import PLAIN_NEWS_SECONDS, SHOWN_TRIALS, clock

if TYPE_CHECKING:
    from rich.live import Live

    from automl_jobs.runs import JobRow, TrialRow
    from forestay.doctor import Progress

PATIENCE_SECONDS = 3.0
"""How long looks may take before a line says what is waited for."""


class PlainWatcher:
    """A line for each change of status and each trial."""

    def __init__(self, screen: Console) -> None:
        self.screen = screen

    def changed(self, row: JobRow, used: float) -> None:
        self.screen.note(f"{row.job}: {row.status}, {clock(used)}")

    def trial(self, job: JobRow, row: TrialRow) -> None:
        if row.score is None:
            self.screen.note(f"trial {row.id:>3}  {row.algorithm}: {row.error or row.status}")
            return
        mark = "  best so far" if job.best is not None and job.best.id == row.id else ""
        self.screen.note(f"trial {row.id:>3}  {job.primary_metric} {row.score:.5f}  {row.algorithm}{mark}")

    def tick(self, row: JobRow, trials: Sequence[TrialRow], used: float) -> None:
        """Nothing has changed that a line would tell."""

    def lost(self, message: str) -> None:
        self.screen.note(f"{message}; the job goes on, looking again")


class LiveWatcher(PlainWatcher):
    """The best trials so far, and the time used, redrawn at each look."""

    def __init__(self, screen: Console, live: Live) -> None:
        super().__init__(screen)
        self.live = live

    def changed(self, row: JobRow, used: float) -> None:
        """The table shows it."""

    def trial(self, job: JobRow, row: TrialRow) -> None:
        """The table shows it."""

    def tick(self, row: JobRow, trials: Sequence[TrialRow], used: float) -> None:
        from rich.console import Group
        from rich.text import Text

        scored = [one for one in trials if one.score is not None][:SHOWN_TRIALS]
        lines: list[Any] = []
        if scored:
            lines.append(
                table(
                    ("#", "algorithm", "preprocessor", row.primary_metric, "trial"),
                    ((one.rank, one.algorithm, one.preprocessor, f"{one.score:.5f}", one.id) for one in scored),
                    right=("#", row.primary_metric, "trial"),
                )
            )
        failed = sum(one.score is None for one in trials)
        counts = f"{len(trials)} trials" + (f", {failed} without a score" if failed else "")
        lines.append(Text(f"{row.job}   {row.status}   {clock(used)}   {counts}   Ctrl-C leaves it running"))
        self.live.update(Group(*lines))


@contextlib.contextmanager
def watcher_for(screen: Console) -> Iterator[PlainWatcher]:
    """The watcher that fits where stderr goes."""
    if not screen.live:
        yield PlainWatcher(screen)
        return
    from rich.live import Live

    with Live(console=screen.err, refresh_per_second=4, transient=True) as live:
        yield LiveWatcher(screen, live)


@contextlib.contextmanager
def progress_for(screen: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Told of how much is done: a bar on a terminal, a line now and then elsewhere."""
    if not screen.live:
        said = time.monotonic()

        def note(done: int, total: int) -> None:
            nonlocal said
            if total and time.monotonic() - said > PLAIN_NEWS_SECONDS:
                said = time.monotonic()
                screen.note(f"{what}: {done / total:.0%}")

        yield note
        return
    from rich.progress import Progress

    with Progress(console=screen.err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def looks_for(screen: Console) -> Iterator[Callable[[Progress], None]]:
    """Told of how far looks are: one line that redraws itself on a terminal, a line now and then elsewhere."""
    if not screen.live:
        said = time.monotonic()

        def note(progress: Progress) -> None:
            nonlocal said
            if time.monotonic() - said > PATIENCE_SECONDS:
                said = time.monotonic()
                screen.note(_looks(progress))

        yield note
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=screen.err, refresh_per_second=8, transient=True) as live:
        yield lambda progress: live.update(Text(_looks(progress), style="dim", no_wrap=True, overflow="ellipsis"))


def _looks(progress: Progress) -> str:
    return f"looked at {progress.done} of {progress.total}; under way: {', '.join(progress.under_way)}"
