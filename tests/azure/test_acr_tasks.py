"""Images built by the registry in Azure: what is uploaded, how the log comes, and that the same is not built again."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoring.folder import open_folder
from scoring.images import acr_tasks, choice
from tests import quick_server, served
from tests.azure.conftest import Azure, Cli

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def folder(azure: Azure, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A proven folder whose image is small."""
    monkeypatch.setattr(acr_tasks, "LOOK_SECONDS", 0.02)
    path = quick_server.scoring_folder(project / "folder", "1")
    (path / "Dockerfile").write_text("FROM scratch\nCOPY model /srv/model\nCOPY score.py wsgi.py /srv/\n")
    served.keep_proof(open_folder(path), project / ".forestay")
    return path


def registry(azure: Azure) -> str:
    from automl_jobs.azure import place

    return f"{place.of('dev').registry.rsplit('/', 1)[1]}.azurecr.io"


def test_an_image_is_built_in_azure_once(azure: Azure, cli: Cli, folder: Path) -> None:
    host = registry(azure)
    done = cli("image", "build", folder, "--tag", f"{host}/quick:1", "--builder", "acr")
    made = done.json
    assert (made["built"], made["pushed"], made["builder"]) == (True, True, "acr")
    assert made["image"] == f"{host}/quick@{made['digest']}"
    images = azure.service.registry
    assert images.tags["quick", "1"] == images.tags["quick", f"content-{made['content'][:16]}"] == made["digest"]
    assert "  acr | Step 1/2 : FROM scratch" in done.err
    assert "  acr | the end" in done.err
    assert "sig=" not in done.out + done.err
    again = cli("image", "build", folder, "--tag", f"{host}/quick:2", "--builder", "acr").json
    assert (again["built"], again["digest"]) == (False, made["digest"])
    assert images.tags["quick", "2"] == made["digest"]
    assert len(images.runs) == 1
    assert cli("image", "push", f"{host}/quick:2", env="").json["image"] == made["image"]


def test_what_fails_is_told(azure: Azure, cli: Cli, folder: Path) -> None:
    host = registry(azure)
    azure.service.registry.fails = "error: no matching distribution"
    done = cli("image", "build", folder, "--tag", f"{host}/quick:1", "--builder", "acr", code=1)
    assert "the build ended as Failed: error: no matching distribution" in done.err
    assert azure.service.registry.tags == {}
    azure.service.registry.fails = ""
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY gone /srv/\n")
    served.keep_proof(open_folder(folder), folder.parent / ".forestay")
    done = cli("image", "build", folder, "--tag", f"{host}/quick:1", "--builder", "acr", code=1)
    assert "COPY failed: gone not found" in done.err
    other = cli("image", "build", folder, "--tag", "other.azurecr.io/quick:1", "--builder", "acr", code=2)
    assert f"the tasks of {host} push to that registry only" in other.err
    assert "--env dev" in cli("image", "build", folder, "--tag", f"{host}/q:1", "--builder", "acr", env="", code=2).err


def test_azure_builds_where_nothing_here_can(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    said: list[str] = []
    assert choice.choose(None, "dev", said.append).name == "acr"
    assert said == ["no builder runs on this machine: the environment's registry builds"]


def test_labels_are_what_they_were() -> None:
    assert acr_tasks._quoted('a "b" \\ $HOME') == '"a \\"b\\" \\\\ \\$HOME"'
