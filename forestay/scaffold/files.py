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
EXAMPLE_FILES = ("job.yml", "training-mltable-folder/MLTable", "training-mltable-folder/transactions.csv")
PLACES = {"dev": "development", "test": "test", "prod": "production"}
# With a cluster's name the example would train in one environment alone; without, on each one's own.
EXAMPLE_COMPUTE = "# For Azure; here it trains on this machine.\ncompute: azureml:cpu-cluster\n"
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
            test_data=None,
            metric=None,
            threshold=0.0,
            compare=False,
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
    for name in EXAMPLE_FILES:
        text = (EXAMPLE / name).read_text(encoding="utf-8")
        yield name, text.replace(EXAMPLE_COMPUTE, NO_COMPUTE) if name == "job.yml" else text


def _render(name: str, answers: Answers, **more: object) -> str:
    """A template of the project: it may ask for any of the answers, and for what follows from them."""
    derived = {key: getattr(answers, key) for key in ("job", "experiment", "model", "endpoint")}
    return render(f"project/{name}.j2", **answers.model_dump(), **derived, version=__version__, **more)
