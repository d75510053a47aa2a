"""A running job on the screen: a live leaderboard with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from automl_jobs.spec.metrics import higher_is_better
from forestay.console import Console, table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from automl_jobs.engine.loop import Answer
    from automl_jobs.engine.progress import Outlook
    from automl_jobs.engine.trial import TrialPlan
    from automl_jobs.runs import TrialResult

SHOWN_TRIALS = 10
PLAIN_NEWS_SECONDS = 30.0


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def time_left(outlook: Outlook) -> str:
    """How long it will still take: a bound, and an estimate where the number of trials ends it sooner."""
    if outlook.trials is None:
        return f"{clock(outlook.remaining)} left"
    return f"about {clock(outlook.expected)} left, at most {clock(outlook.remaining)}"


def trials_done(outlook: Outlook) -> str:
    return f"{outlook.finished} of {outlook.trials} trials" if outlook.trials else f"{outlook.finished} trials"


class PlainListener:
    """A line a trial, for logs and pipes."""

    def __init__(self, screen: Console, metric: str, limit: float) -> None:
        self.screen = screen
        self.metric = metric
        self.limit = limit
        self.best: float | None = None
        self._last_news = time.monotonic()

    def started(self, job: str, workers: int, threads: int) -> None:
        share = (
            f"{workers} trial{'s' if workers > 1 else ''} at a time, {threads} thread{'s' if threads > 1 else ''} each"
        )
        self.screen.note(f"job {job}: training here, {share}, at most {clock(self.limit)}")

    def resumed(self, results: list[TrialResult], best: float | None) -> None:
        self.best = best
        score = "" if best is None else f", best {self.metric} {best:.5f}"
        self.screen.note(f"going on after {len(results)} trial{'s' if len(results) != 1 else ''}{score}")

    def trial_started(self, plan: TrialPlan) -> None:
        self.screen.detail(f"trial {plan.id} starts: {plan.algorithm} {plan.parameters}")

    def trial_finished(self, result: TrialResult, best: bool) -> None:
        self._last_news = time.monotonic()
        if result.score is None:
            self.screen.note(f"trial {result.id:>3}  {result.algorithm}: {result.error}")
            return
        if best:
            self.best = result.score
        mark = "  best so far" if best else ""
        self.screen.note(
            f"trial {result.id:>3}  {self.metric} {result.score:.5f}  {result.duration_seconds:5.1f} s  "
            f"{result.algorithm}{mark}"
        )

    def tick(self, outlook: Outlook, running: list[tuple[TrialPlan, float]]) -> None:
        if running and time.monotonic() - self._last_news > PLAIN_NEWS_SECONDS:
            self._last_news = time.monotonic()
            names = ", ".join(f"{plan.algorithm} {clock(seconds)}" for plan, seconds in running)
            self.screen.note(f"{trials_done(outlook)}, {time_left(outlook)}; running: {names}")

    def interrupted(self) -> Answer:
        return "stop"

    def note(self, text: str) -> None:
        self.screen.note(text)


class LiveListener(PlainListener):
    """A leaderboard that redraws itself, and a question at Ctrl-C."""

    def __init__(self, screen: Console, metric: str, limit: float) -> None:
        super().__init__(screen, metric, limit)
        self.results: list[TrialResult] = []
        self.running: list[tuple[TrialPlan, float]] = []
        self.outlook: Outlook | None = None
        self.job = ""
        self.live: Live | None = None

    def started(self, job: str, workers: int, threads: int) -> None:
        super().started(job, workers, threads)
        self.job = job

    def resumed(self, results: list[TrialResult], best: float | None) -> None:
        super().resumed(results, best)
        self.results = list(results)

    def trial_finished(self, result: TrialResult, best: bool) -> None:
        self.results.append(result)
        if best:
            self.best = result.score

    def tick(self, outlook: Outlook, running: list[tuple[TrialPlan, float]]) -> None:
        self.outlook, self.running = outlook, running
        if self.live is not None:
            self.live.update(self._view())

    def interrupted(self) -> Answer:
        """Ask what Ctrl-C meant; pressed again, it means stop."""
        from rich.prompt import Prompt

        if self.live is not None:
            self.live.stop()
        try:
            words: dict[str, Answer] = {"c": "continue", "f": "finish", "s": "stop"}
            asked = Prompt.ask(
                "Interrupted: (f)inish now with what there is, (s)top, or (c)ontinue?",
                choices=list(words),
                default="f",
                console=self.screen.err,
            )
        except (KeyboardInterrupt, EOFError):
            return "stop"
        answer = words[asked]
        if answer == "continue" and self.live is not None:
            self.live.start()
        return answer

    def _view(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        higher = higher_is_better(self.metric)
        scored = sorted(
            (result for result in self.results if result.score is not None),
            key=lambda result: result.score or 0.0,
            reverse=higher,
        )
        rows: list[tuple[Any, ...]] = [
            (
                position + 1,
                result.algorithm,
                result.preprocessor,
                f"{result.score:.5f}",
                f"{result.duration_seconds:.1f}",
                result.id,
            )
            for position, result in enumerate(scored[:SHOWN_TRIALS])
        ]
        failed = len(self.results) - len(scored)
        running = ", ".join(f"{plan.algorithm} ({seconds:.0f} s)" for plan, seconds in self.running) or "-"
        used, head = 0.0, self.job
        if self.outlook is not None:
            used = self._share(self.outlook)
            head += f"   {time_left(self.outlook)}   {trials_done(self.outlook)}"
        head += f", {failed} without a score" * bool(failed)
        return Group(
            table(
                ["#", "algorithm", "preprocessor", self.metric, "seconds", "trial"],
                rows,
                right=["#", self.metric, "seconds", "trial"],
            ),
            Text(f"running: {running}", style="dim"),
            ProgressBar(total=1.0, completed=used, width=40),
            Text(head),
        )

    def _share(self, outlook: Outlook) -> float:
        """How much of the job is done, from 0 to 1: of its trials where their number ends it, else of its time."""
        if outlook.trials:
            return outlook.finished / outlook.trials
        return min(1.0, 1 - outlook.remaining / self.limit) if self.limit else 1.0


@contextlib.contextmanager
def listener_for(screen: Console, metric: str, limit: float) -> Iterator[PlainListener]:
    """The listener that fits where stderr goes.

    Parameters
    ----------
    metric: the primary metric's name. limit: seconds that the run may take.
    """
    if not screen.live:
        yield PlainListener(screen, metric, limit)
        return
    from rich.live import Live

    listener = LiveListener(screen, metric, limit)
    with Live(console=screen.err, refresh_per_second=4, transient=True) as live:
        listener.live = live
        yield listener
