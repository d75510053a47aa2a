"""Pipelines of a project for GitHub Actions and Azure DevOps, rendered from `pipelines.yml`.

settings   what `pipelines.yml` says: `load(root)` reads it, `begin(...)` makes a first one
files      what of the rendered text is on disk already, is outdated, or was edited by hand
setup      what must be there once before the pipelines can run

    settings, text = forestay.pipelines.settings.begin(root, ci="github", job="jobs/churn/job.yml", model="Churn",
                                                        endpoint="churn-api")  # and the text of pipelines.yml
    render(settings: PipelineSettings) -> dict[str, str]

gives every file's path in the project and its text; `settings.ci` says for which system. It reads nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forestay.pipelines.settings import Model, PipelineSettings

FOLDERS = {"github": ".github/workflows", "azure-devops": ".azure-pipelines"}
MARK = "# Rendered by `forestay pipeline render` from pipelines.yml: change that file, not this one. Content "
_TEMPLATES = {"github": "pipelines/github", "azure-devops": "pipelines/devops"}
_DIGITS = 16


def render(settings: PipelineSettings) -> dict[str, str]:
    """The pipelines of a project.

    Parameters
    ----------
    settings: what they are rendered from; their experiments are known, see settings.check.

    Returns path in the project -> text. Each text begins with a line that holds the hash of what follows it.
    """
    return {f"{FOLDERS[settings.ci]}/forestay-{name}.yml": signed(text) for name, text in _texts(settings)}


def _texts(s: PipelineSettings) -> Iterator[tuple[str, str]]:
    import templates

    def text(name: str, model: Model | None = None) -> str:
        return templates.render(f"{_TEMPLATES[s.ci]}/{name}.yml.j2", s=s, model=model)

    yield "pull-request", text("pull-request")
    yield "main", text("main")
    yield "retrain", text("retrain")
    for model in s.models:
        yield f"deliver-{model.slug}", text("deliver", model)
    if s.estates:
        yield "drift", text("drift")
    yield "rollback", text("rollback")


def signed(text: str) -> str:
    """The text under a line with its hash, by which an edit is seen."""
    return f"{MARK}{_hash(text)}.\n{text}"


def untouched(text: str) -> bool:
    """Whether a file is just as it was rendered, by whichever version and settings."""
    first, _, rest = text.partition("\n")
    return first == f"{MARK}{_hash(rest)}."


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:_DIGITS]
