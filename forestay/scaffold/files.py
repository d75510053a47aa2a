"""Answers -> the text of every file of a project, by its path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from forestay import __version__
from forestay.documents.document import Document, Kind, parse
from forestay.pipelines import render as render_pipelines
from forestay.pipelines.settings import FILE as PIPELINES
from forestay.pipelines.settings import PipelineSettings, check
from forestay.scaffold.answers import ENVIRONMENTS, NO_CI, Answers
from templates import FOLDER, render

EXAMPLE = FOLDER / "project" / "example"
TRAINING, TEST, TABLE, ROWS = "training-mltable-folder", "test-mltable-folder", "MLTable", "transactions.csv"
PLACES = {"dev": "development", "test": "test", "prod": "production"}
# With a cluster's name the example would train in one environment alone; without, on each one's own.
EXAMPLE_COMPUTE = "# For Azure; here it trains on this machine.\ncompute: azureml:cpu-cluster\n"
# A model is compared with what is served on rows that neither has seen: a project keeps some for all its trainings.
EXAMPLE_TEST = (
    "# A tenth of the rows is kept for one honest last score; the rest is cross-validated.\ntest_data_size: 0.1\n"
)
OWN_TEST = (
    "# The latest tenth of the rows, which no training sees: for the job's last score, and to compare new models with\n"
    f"# what is served. The rest is cross-validated.\ntest_data:\n  path: ./{TEST}\n  type: mltable\n"
)
HELD_OUT = 0.1
NO_COMPUTE = "# There is no `compute`: with --env the stack's own cluster trains it, else this machine.\n"


def files(answers: Answers) -> dict[str, str]:
    """Every file of a project but its record and its pipelines: path in the project -> text."""
    found = dict(_always(answers))
    if answers.example:
        found |= {f"{answers.job_folder}/{name}": text for name, text in _example()}
    if answers.ci != NO_CI:
        found[PIPELINES] = render(
            "pipelines/pipelines.yml.j2",
            **{key: getattr(answers, key) for key in ("ci", "model", "job", "endpoint", "target")},
            branch="main",
            train="dev",
            deploy=["test", "prod"],
            private="prod",
            test_data=f"{answers.job_folder}/{TEST}" if answers.example else None,
            metric=None,
            threshold=0.0,
            compare=answers.example,
        )
    return found


def pipelines(text: str, answers: Answers) -> dict[str, str]:
    """The first pipelines' files, path in the project -> text.

    Parameters
    ----------
    text: of pipelines.yml. Its job need not be there: `job new`, as the README says it, gives it this experiment.
    """
    settings = PipelineSettings.model_validate(_read(text).data)
    models = tuple(one.model_copy(update={"experiment": answers.experiment}) for one in settings.models)
    return render_pipelines(settings.model_copy(update={"models": models}))


def pipelines_of(text: str, root: Path) -> dict[str, str]:
    """The pipelines of a project that is there, by its pipelines.yml. Raises InputError for what is wrong in that."""
    return render_pipelines(check(_read(text), root))


def _read(text: str) -> Document:
    return parse(text, PIPELINES, Kind(PIPELINES, "`ci: github`", "`forestay pipeline render`"))


def _always(answers: Answers) -> Iterator[tuple[str, str]]:
    yield "Pulumi.yaml", _render("Pulumi.yaml", answers)
    yield "infra/__main__.py", (FOLDER / "project" / "infra" / "__main__.py").read_text(encoding="utf-8")
    for env in ENVIRONMENTS:
        for suffix in ("", "-services"):
            text = _render(
                "stack.yaml",
                answers,
                env=env,
                place=PLACES[env],
                services=bool(suffix),
                subscription=answers.subscriptions[env],
                aks=answers.target == "aks",
            )
            yield f"stacks/Pulumi.{env}{suffix}.yaml", text
    yield "jobs/README.md", _render("jobs.md", answers)
    yield ".gitignore", _render("gitignore", answers)
    yield "requirements.txt", _render("requirements.txt", answers)
    one = len(set(answers.subscriptions.values())) == 1
    yield "README.md", _render("README.md", answers, one_subscription=one)


def _example() -> Iterator[tuple[str, str]]:
    """The repository's example. Its rows are in the order of time: the last of them get a folder of their own."""
    job = (EXAMPLE / "job.yml").read_text(encoding="utf-8")
    yield "job.yml", job.replace(EXAMPLE_COMPUTE, NO_COMPUTE).replace(EXAMPLE_TEST, OWN_TEST)
    table = (EXAMPLE / TRAINING / TABLE).read_text(encoding="utf-8")
    header, *rows = (EXAMPLE / TRAINING / ROWS).read_text(encoding="utf-8").splitlines(keepends=True)
    kept = len(rows) - round(HELD_OUT * len(rows))
    for folder, own in ((TRAINING, rows[:kept]), (TEST, rows[kept:])):
        yield f"{folder}/{TABLE}", table
        yield f"{folder}/{ROWS}", "".join([header, *own])


def _render(name: str, answers: Answers, **more: object) -> str:
    """A template of the project: it may ask for any of the answers, and for what follows from them."""
    derived = {key: getattr(answers, key) for key in ("job", "experiment", "model", "endpoint")}
    return render(f"project/{name}.j2", **answers.model_dump(), **derived, version=__version__, **more)
