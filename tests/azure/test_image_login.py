"""`image build` and `image push` by a program on this machine, to a registry in Azure, as who is logged in to Azure."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scoring.folder import open_folder
from tests import quick_server, served
from tests.azure.conftest import Azure, Cli
from tests.azure.test_acr_tasks import registry

pytestmark = pytest.mark.usefixtures("quick")
HELD = f"00000000-0000-0000-0000-000000000000:{'refreshing'}"
# Writes down with which settings it is called; pulls nothing, pushes with a login only.
DOCKER = """\
#!{python} -I
import json, os, pathlib, sys
words, folder = sys.argv[1:], pathlib.Path(os.environ["DOCKER_CONFIG"])
settings = json.loads((folder / "config.json").read_text())
with open("{calls}", "a") as calls:
    calls.write(json.dumps([words, settings, sorted(path.name for path in folder.iterdir())]) + "\\n")
if words[0] == "build":
    pathlib.Path(words[words.index("--iidfile") + 1]).write_text("sha256:" + "a" * 64)
if words[:2] == ["image", "inspect"]:
    print(json.dumps([words[-1].rpartition(":")[0] + "@sha256:" + "b" * 64]))
if words[0] == "pull" or words[0] == "push" and words[-1].split("/")[0] not in settings.get("auths", {{}}):
    sys.exit("unauthorized: authentication required")
"""


class Docker:
    """docker on this machine, with the user's own folder of settings."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.calls_, self.settings = folder / "calls", folder / "docker"
        (self.settings / "contexts").mkdir(parents=True)
        (folder / "bin").mkdir()
        program = folder / "bin" / "docker"
        program.write_text(DOCKER.format(python=sys.executable, calls=self.calls_))
        program.chmod(0o755)
        patch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        patch.setenv("DOCKER_CONFIG", str(self.settings))
        self.write({"currentContext": "mine", "credsStore": "desktop"})

    def write(self, settings: dict[str, Any]) -> None:
        (self.settings / "config.json").write_text(json.dumps(settings))

    def calls(self, command: str) -> list[tuple[dict[str, Any], list[str]]]:
        """With which settings, beside which files, it was called."""
        lines = [json.loads(line) for line in self.calls_.read_text().splitlines()]
        return [(settings, names) for words, settings, names in lines if words[0] == command]

    def platforms(self) -> list[str]:
        words = [json.loads(line)[0] for line in self.calls_.read_text().splitlines()]
        return [one[one.index("--platform") + 1] for one in words if "--platform" in one]


@pytest.fixture
def docker(azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    return Docker(tmp_path, monkeypatch)


@pytest.fixture
def folder(azure: Azure, project: Path) -> Path:
    path = quick_server.scoring_folder(project / "folder", "1")
    (path / "Dockerfile").write_text("FROM scratch\n")
    served.keep_proof(open_folder(path), project / ".forestay")
    return path


def test_an_image_is_looked_for_and_pushed_by_the_login_to_azure(
    azure: Azure, cli: Cli, folder: Path, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = registry(azure)
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    cli("image", "build", folder, "--tag", f"{host}/quick:1", env="")
    assert docker.platforms() == ["linux/amd64", "linux/amd64"]  # looked for, and built
    pushed = cli("image", "push", f"{host}/quick:1", env="").json
    assert pushed["image"] == f"{host}/quick@sha256:{'b' * 64}"
    held = {"auths": {host: {"auth": base64.b64encode(HELD.encode()).decode()}}, "currentContext": "mine"}
    assert docker.calls("pull") == [(held, ["config.json", "contexts"])]
    assert docker.calls("push") == [(held, ["config.json", "contexts"])] * 2
    own = {"currentContext": "mine", "credsStore": "desktop"}
    assert docker.calls("build") == [(own, ["config.json", "contexts"])]
    assert json.loads((docker.settings / "config.json").read_text()) == own


def test_a_login_of_dockers_own_is_left_to_it(azure: Azure, cli: Cli, folder: Path, docker: Docker) -> None:
    host = registry(azure)
    kept = {"auths": {host: {}}, "credsStore": "desktop"}  # as Docker Desktop has it: what is shown lies elsewhere
    docker.write(kept)
    cli("image", "build", folder, "--tag", f"{host}/quick:1", env="")
    cli("image", "push", f"{host}/quick:1", env="")
    assert [settings for command in ("pull", "push") for settings, _ in docker.calls(command)] == [kept] * 3
    assert azure.proxy.log == []


def test_without_any_login_an_image_is_built_and_a_push_says_how_to_log_in(
    azure: Azure, cli: Cli, folder: Path, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = registry(azure)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    assert cli("image", "build", folder, "--tag", f"{host}/quick:1", env="").json["built"]
    done = cli("image", "push", f"{host}/quick:1", env="", code=3)
    assert "Azure refuses the login" in done.err
    assert f"docker can't push {host}/quick:content-" in done.err
    assert f"az login, or docker login {host}" in done.err
    assert "Traceback" not in done.err
