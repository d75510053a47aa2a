"""The studio's pages of an environment in Azure: the same jobs that the commands show."""

from __future__ import annotations

import re
from pathlib import Path

from studio.experiments import EVERY_MS_AZURE
from tests.azure.conftest import Azure, Cli
from tests.azure.standin.jobs import Script
from tests.studio_support import Client


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
