"""What a builder is given: a copy of the proven files that belong into an image, and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import templates
from forestay import project
from forestay.errors import RunFailed
from scoring import requests, styles
from scoring.folder import RECORD, ScoringFolder, present_files, snapshot
from scoring.generate import CARD
from scoring.schema import GOLDEN, read_schema
from scoring.serving_packages import gunicorn_options

Say = Callable[[str], None]

SLIM, AZUREML = "slim", "azureml"
BASES = (SLIM, AZUREML)
# Expected answers, and what people read; an image holds what answers.
LEFT_OUT = frozenset({GOLDEN, RECORD, CARD, "README.md", "conda_env.yaml", requests.SAMPLE, requests.SAMPLE_HISTORY})
CONTENT_LABEL = "forestay.content"


@dataclass(frozen=True)
class Context:
    """The folder to build from.

    Attributes
    ----------
    folder: its Dockerfile and all that this copies.
    content: the SHA-256 of that, and of what it is built for; two images of one content answer alike.
    labels: of the image, by name.
    """

    folder: Path
    content: str
    labels: dict[str, str]


@contextlib.contextmanager
def context(
    proven: ScoringFolder, folder_hash: str, base: str, platform: str, home: Path, say: Say
) -> Iterator[Context]:
    """What to build an image of `proven` from; gone at the end.

    Parameters
    ----------
    folder_hash: its hash as it was proven.
    base: one of BASES; the folder's own Dockerfile is for the first.
    platform: what it is built for, as in linux/amd64.

    Raises RunFailed when the folder changes meanwhile.
    """
    with snapshot(proven, home, say) as copy:
        if copy.hash() != folder_hash:
            fix = f"prove it again: forestay score verify {proven.path}"
            raise RunFailed("the folder changed while it was copied", where=str(proven.path), fix=fix)
        if base != SLIM:
            schema = read_schema(copy.path / "model")
            text = templates.render(
                "scoring/Dockerfile.j2",
                python=schema.python,
                packages=schema.packages,
                modules=styles.of(copy.style, schema).modules,
                gunicorn_options=gunicorn_options((copy.path / "requirements.lock").read_text(encoding="utf-8")),
                base=base,
            )
            (copy.path / "Dockerfile").write_text(text, encoding="utf-8")
        for name in LEFT_OUT:
            (copy.path / name).unlink(missing_ok=True)
        for cache in copy.path.rglob("__pycache__"):
            shutil.rmtree(cache)
        files = {name: project.sha256(copy.path / name) for name in present_files(copy.path)}
        text = json.dumps({"platform": platform, "files": files}, sort_keys=True)
        content = hashlib.sha256(text.encode()).hexdigest()
        yield Context(copy.path, content, labels(proven, folder_hash, content, project.commit(Path.cwd())))


def labels(proven: ScoringFolder, folder_hash: str, content: str, revision: str | None) -> dict[str, str]:
    """The labels of an image: those of the Open Container Initiative, and where the model came from."""
    found = {
        "org.opencontainers.image.title": proven.model,
        "org.opencontainers.image.version": proven.version,
        "org.opencontainers.image.revision": revision or "",
        "forestay.model": proven.model,
        "forestay.version": proven.version,
        "forestay.job": proven.job,
        "forestay.trial": proven.trial,
        "forestay.proof": folder_hash,
        CONTENT_LABEL: content,
    }
    return {name: " ".join(value.split()) for name, value in found.items() if value}
