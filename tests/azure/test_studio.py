"""The studio's pages of an environment in Azure: the same jobs and endpoints that the commands show."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from scoring import openapi
from scoring.folder import open_folder
from scoring.schema import read_schema
from scoring.targets import DeployOptions
from scoring.targets.managed import ManagedTarget
from studio import asking
from studio.experiments import EVERY_MS_AZURE
from tests import quick_server, served
from tests.azure import test_managed
from tests.azure.conftest import Azure, Cli
from tests.azure.standin.endpoints import Endpoints
from tests.azure.standin.jobs import Script
from tests.azure.standin.wire import Fault
from tests.studio_support import Client

online, target, quick = test_managed.online, test_managed.target, pytest.mark.usefixtures("quick")
NAME = "churn-api"


def test_jobs_of_an_environment_are_shown_and_followed(azure: Azure, cli: Cli, job_file: Path, project: Path) -> None:
    azure.service.script = Script(queued=60)
    name = cli("job", "submit", job_file).json["job"]
    client = Client(project / ".forestay")
    page = client.get("/?env=dev")
    assert page.status == 200, page.text
    assert re.findall(r'<th scope="row"><a href="([^"]+)"', page.text) == [f"/jobs/{name}?env=dev"]
    assert "forestay job list --env dev" in page.text
    job = client.get(f"/jobs/{name}?env=dev")
    assert job.status == 200, job.text
    assert f'data-live="{EVERY_MS_AZURE}"' in job.text
    assert f"/jobs/{name}/cancel?env=dev" in job.text
    assert f"forestay job watch {name} --env dev" in job.text
    assert client.get(f"/jobs/{name}/trials/1?env=dev").status == 400


@pytest.fixture
def deployed(online: Endpoints, target: ManagedTarget, project: Path) -> dict[str, str]:
    """An endpoint whose callers are shared among two versions; gives the deployment of each."""
    found = {}
    for version, percent in (("1", None), ("2", 10)):
        folder = quick_server.scoring_folder(project / f"folder-{version}", version)
        document = openapi.document(read_schema(folder / "model"), "Quick", version)
        (folder / "openapi.json").write_text(json.dumps(document))
        served.keep_proof(open_folder(folder), target.home)
        made = target.deploy(NAME, folder, DeployOptions(traffic=percent))
        found[version] = made.deployment
    return found


@quick
def test_what_is_done_to_an_endpoint_is_done_by_commands(
    deployed: dict[str, str], online: Endpoints, project: Path
) -> None:
    client = Client(project / ".forestay")
    page = client.get(f"/endpoints/{NAME}?env=dev").text
    for words in (f"rollback {NAME}", f"logs {NAME} --tail 200", f"keys show {NAME}", f"delete {NAME} --yes"):
        assert f"forestay endpoint {words} --env dev" in page
    assert "/stop" not in page  # Azure can't
    begun = client.post(f"/endpoints/{NAME}/delete?env=dev", {"sure": NAME})
    identity = begun.headers["location"].rsplit("/", 1)[1]
    until = time.monotonic() + 60
    while client.studio.calls.find(identity).ended is None and time.monotonic() < until:
        time.sleep(0.05)
    found = client.studio.calls.find(identity)
    assert (found.code, found.then) == (0, "/endpoints?env=dev"), client.studio.calls.output(found)
    assert online.all == {}
    assert "Nothing is deployed in dev" in client.get("/endpoints?env=dev").text


@quick
def test_an_environment_that_cannot_be_reached_is_a_page_with_the_fix(
    azure: Azure, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network, no login, no answer; this machine's page is there at once all the while."""
    client = Client(project / ".forestay")
    wrong = {"AZURE_CLIENT_SECRET": "hunter2-hunter2", "HTTPS_PROXY": "http://127.0.0.1:9"}
    for (name, value), told in zip(wrong.items(), ("the client secret is wrong", "can&#39;t be reached"), strict=True):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            page = client.get("/endpoints?env=dev")
        assert (page.status, told in page.text) == (502, True), page.text
        assert 'role="alert"' in page.text
        assert "forestay doctor --env dev" in page.text
        assert 'href="/endpoints?env=dev">Ask again' in page.text
        assert "hunter2" not in page.text

    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.3)
    azure.fault(Fault("GET management.azure.com/.*", None, delay=2.0))
    begun = time.monotonic()
    page = client.get("/endpoints?env=dev")
    assert (page.status, page.headers["x-studio-waiting"]) == (504, "yes")
    assert client.get("/endpoints").status == 200
    assert time.monotonic() - begun < 1.5
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 20.0)
    assert client.get("/endpoints?env=dev").status == 200
    assert sum("onlineEndpoints" in one.path for one in azure.log) <= 2  # asked once, and its connection was cut once
