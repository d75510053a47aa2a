"""What the Python API gives back, as a notebook shows it: a job, charts, scores; elsewhere each speaks in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from forestay.console import Console, visible

if TYPE_CHECKING:
    import pandas as pd

    from automl_jobs.evaluate import Evaluation
    from automl_jobs.runs import JobDetail, RunStore
    from automl_jobs.runs.report.charts import Chart

CONFUSION = "Confusion matrix"


class Lines(Console):
    """Progress as plain lines on stderr, which a notebook shows below its cell; nobody is asked anything."""

    def note(self, text: str) -> None:
        if not self.quiet:
            print(visible(text), file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        print(visible(f"warning: {text}"), file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        """Nothing: there is no --verbose here."""

    @property
    def live(self) -> bool:
        return False

    def confirm(self, question: str) -> bool:
        return False


def screen_for(progress: bool) -> Console:
    """Where progress is told: redrawn on a terminal, as lines elsewhere; with False nowhere but for warnings."""
    screen = Console() if sys.stderr.isatty() else Lines()
    screen.quiet = not progress
    return screen


class Job:
    """A job, here or in Azure.

    Attributes
    ----------
    detail: all that is known of it, as `forestay job show` has it (`detail.as_dict()`).
    """

    def __init__(self, detail: JobDetail) -> None:
        self.detail = detail

    @property
    def name(self) -> str:
        return self.detail.job

    @property
    def env(self) -> str:
        return self.detail.env

    @property
    def status(self) -> str:
        return self.detail.status

    @property
    def score(self) -> float | None:
        """The primary metric of the trial that is the job's model."""
        return self.detail.best.score if self.detail.best else None

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self._facts())

    def _facts(self) -> list[tuple[str, Any]]:
        from forestay.words import duration, number

        job, best = self.detail, self.detail.best
        facts = [("job", job.job), ("status", job.status), ("task", job.task), ("trials", job.trials)]
        if best is not None:
            facts += [("best", f"rank {best.rank}, {best.algorithm}"), (job.primary_metric, number(best.score))]
        if job.duration_seconds is not None:
            facts.append(("took", duration(job.duration_seconds)))
        return facts

    def _repr_html_(self) -> str:
        import templates

        return templates.render("report/facts.html.j2", facts=self._facts())


class Charts(Mapping[str, "Charts"]):
    """Charts by their titles; a notebook shows them all, or one: `charts["ROC"]`."""

    def __init__(self, charts: list[Chart], matrix: dict[str, Any] | None = None) -> None:
        self._charts = charts
        self._matrix = matrix

    @classmethod
    def of_job(cls, store: RunStore, name: str, rank: int | None) -> Charts:
        """Of a job and one of its trials, the chosen one without a rank."""
        from dataclasses import replace

        from automl_jobs.runs.report import page
        from automl_jobs.runs.report.content import collect

        content = collect(store, name)
        if rank is not None:
            content = replace(content, best=store.trial(content.job.job, rank))
        found = page.of_charts(content)
        first = [found["trials_chart"]] if found["trials_chart"] is not None else []
        return cls([*first, *found["charts"]], found["matrix"])

    def __getitem__(self, title: str) -> Charts:
        if title == CONFUSION and self._matrix is not None:
            return Charts([], self._matrix)
        found = [chart for chart in self._charts if chart.title == title]
        if not found:
            raise KeyError(f"{title!r}; there are {', '.join(self)}")
        return Charts(found)

    def __iter__(self) -> Iterator[str]:
        yield from (chart.title for chart in self._charts)
        if self._matrix is not None:
            yield CONFUSION

    def __len__(self) -> int:
        return len(self._charts) + (self._matrix is not None)

    def __repr__(self) -> str:
        lines = [f"{chart.title}: {chart.says}" for chart in self._charts]
        return "\n".join([*lines, *([CONFUSION] if self._matrix is not None else [])]) or "no charts"

    def _repr_html_(self) -> str:
        import templates

        return templates.render("report/inline.html.j2", charts=self._charts, confusion=self._matrix)


class Scores:
    """What a model comes to on rows that it is asked about.

    Attributes
    ----------
    evaluation: all of it, as `forestay model evaluate` has it (`evaluation.as_dict()`).
    """

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation

    @property
    def score(self) -> float | None:
        """The metric that counts."""
        return self.evaluation.metrics.get(self.evaluation.metric)

    @property
    def metrics(self) -> pd.DataFrame:
        """Every metric with the ends of its 95 % interval, the one that counts first."""
        import pandas as pd

        found, first = self.evaluation, self.evaluation.metric
        names = sorted(found.metrics, key=lambda name: (name != first, name))
        rows = [
            {
                "metric": name,
                "value": found.metrics[name],
                "low": found.intervals.get(name, {}).get("low"),
                "high": found.intervals.get(name, {}).get("high"),
            }
            for name in names
        ]
        return pd.DataFrame(rows).set_index("metric")

    @property
    def slices(self) -> pd.DataFrame:
        """The metric that counts by the values of the column that was asked for."""
        import pandas as pd

        return pd.DataFrame([one.as_dict(self.evaluation.metric) for one in self.evaluation.slices])

    @property
    def charts(self) -> Charts:
        """The charts of these rows."""
        from automl_jobs.runs.report import page

        found = page.of_evaluation(self.evaluation)
        return Charts(found["charts"], found["matrix"])

    def __repr__(self) -> str:
        from forestay.words import number

        found = self.evaluation
        return f"{found.model}:{found.version} on {found.rows:,} rows: {found.metric} {number(self.score)}"

    def _repr_html_(self) -> str:
        import html

        return f"<p>{html.escape(repr(self))}</p>{self.metrics.to_html()}"
