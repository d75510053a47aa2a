"""The steps of the rendered pipelines that deploy to ACI and AKS, run as a runner would: logged in, by bash, in order.

What stands before a deploy (training, comparison, proof) runs in tests.e2e.test_pipelines_local; a proven folder is
there as that leaves it. Images go to a real registry, what serves is a process (see services_world).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.ci import actions, devops
from tests.ci.platform import TOKEN, Platform, platform
from tests.ci.shell import Machine, Run, commit, git, machine
from tests.conftest import command
from tests.image_support import Registry
from tests.infra.services_world import ENV, STACK, World, world
from tests.tables import write_job

pytestmark = pytest.mark.timeout(900)
SETTINGS = """\
train: dev
deploy: [test]
models:
  - {{name: Quick, job: jobs/quick/job.yml, endpoint: quick-{target}, target: {target}, compare: false}}
"""


@dataclass
class Team:
    """A project with its repository, and the machine that runs its pipelines; `runs` by what happened."""

    world: World
    machine: Machine
    platform: Platform
    runs: dict[str, Run] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The services stack's file at the end of the branch."""
        return git("show", f"main:stacks/Pulumi.{STACK}.yaml", cwd=self.machine.origin)

    def aim(self, target: str) -> None:
        """Have the pipelines deploy there."""
        project = self.world.project
        git("pull", "--quiet", "--rebase", "origin", "main", cwd=project)
        (project / "pipelines.yml").write_text(SETTINGS.format(target=target), encoding="utf-8")
        for system in ("github", "azure-devops"):
            done = command("pipeline", "render", "--ci", system, cwd=project, process=False)
            assert done.returncode == 0, done.stderr
        commit(project, f"To {target}")

    def proven(self, version: str) -> None:
        """Leave what `Register and prove it` leaves for the jobs that deploy."""
        home = self.world.folder / f"proven-{version}"
        folder = self.world.make(version, home=home)
        artifact = self.machine.place("artifacts", "proven") / "proven.tar.gz"
        artifact.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(artifact, "w:gz") as archive:
            archive.add(folder, "proven")
            archive.add(home / "proofs", "proofs")

    def on_devops(self, name: str, pipeline: str, **more: object) -> None:
        given = {
            "System.AccessToken": TOKEN,
            "System.CollectionUri": self.platform.address,
            "SYSTEM_OIDCREQUESTURI": f"{self.platform.address}oidc",
            "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "connection",
            "AZURESUBSCRIPTION_CLIENT_ID": "client",
            "AZURESUBSCRIPTION_TENANT_ID": "tenant",
        }
        self.runs[name] = devops.run(self.machine, pipeline, given, **more)  # type: ignore[arg-type]

    def on_github(self, name: str, workflow: str, **more: object) -> None:
        self.runs[name] = actions.run(
            self.machine,
            workflow,
            identity={
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.platform.address}assertion?run=1",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": TOKEN,
            },
            vars={"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_SUBSCRIPTION_ID": "subscription"},
            github={"token": TOKEN, "ref": "refs/heads/main"},
            **more,  # type: ignore[arg-type]
        )

    def deliver(self, name: str, system: str, version: str) -> None:
        """Run what asks the endpoint, and what deploys a version."""
        self.proven(version)
        if system == "devops":
            came = Run({"prove": "Succeeded"}, [], {"prove.prove": {"prove.version": f"Quick:{version}"}})
            self.on_devops(name, "deliver-quick", only=["served", f"deploy_{ENV}"], before=came)
        else:
            came = Run({"prove": "success"}, [], {"prove": {"version": f"Quick:{version}"}})
            self.on_github(name, "deliver-quick", only=["served", f"deploy-{ENV}"], before=came)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The story: on ACI a version by one system, the next by the other, a rollback; then on the cluster."""
    folder = tmp_path_factory.mktemp("services")
    registry = Registry(tmp_path_factory.mktemp("registry"))
    try:
        with pytest.MonkeyPatch.context() as patch, world(folder, registry, patch) as here:
            write_job(here.project / "jobs" / "quick", rows=40)
            given = {"FORESTAY_TESTS_WORLD": str(folder), "FORESTAY_TESTS_REGISTRY": here.repository}
            led = machine(folder, here.project, given, "tests.ci.beside_services")
            with led as found, platform(folder / "bin") as served:
                team = Team(here, found, served)
                team.aim("aci")
                team.deliver("aci: first", "devops", "1")
                team.deliver("aci: second", "github", "2")
                chosen = {"environment": ENV, "endpoint": "quick-aci"}
                team.on_devops("aci: back", "rollback", **chosen)
                team.aim("aks")
                team.deliver("aks: first", "devops", "1")
                team.deliver("aks: second", "devops", "2")
                team.on_github("aks: back", "rollback", inputs={**chosen, "endpoint": "quick-aks", "version": ""})
                yield team
    finally:
        registry.stop()


@pytest.mark.parametrize(
    ("name", "job", "result", "says"),
    [
        ("aci: first", "deploy_test", "Succeeded", "quick-aci serves Quick:1"),
        ("aci: second", "deploy-test", "success", "quick-aci serves Quick:2"),
        ("aci: back", "rollback_test", "Succeeded", "quick-aci serves Quick:1"),
        ("aks: first", "deploy_test", "Succeeded", "quick-aks serves Quick:1"),
        ("aks: second", "deploy_test", "Succeeded", "quick-aks serves Quick:2"),
        ("aks: back", "rollback-test", "success", "quick-aks serves Quick:1"),
    ],
)
def test_it_is_deployed_asked_and_written_into_the_branch(
    team: Team, name: str, job: str, result: str, says: str
) -> None:
    run = team.runs[name]
    assert run.jobs[job] == result, run.whole
    assert says in run.told(job)
    [*_, last] = [step for step in run.steps if step.job == job]
    assert (last.name, last.code) == ("Keep the stack's file", 0)
    assert TOKEN not in run.whole


def test_what_is_served_is_asked_before(team: Team) -> None:
    assert "test serves nothing yet" in team.runs["aci: first"].told("served")
    assert "test serves Quick:1" in team.runs["aci: second"].told("served")


def test_the_branch_is_the_record(team: Team) -> None:
    subjects = git("log", "--format=%s", "main", cwd=team.machine.origin).splitlines()
    told = [one for one in reversed(subjects) if "quick-" in one]
    assert len(told) == 6, subjects
    assert "Roll back quick-aci in test" in told
    assert team.file.count('version: "1"') == 2


def test_every_step_that_needs_azure_logged_in_by_an_assertion(team: Team) -> None:
    assert any(line.startswith("POST /oidc") for line in team.platform.asked)
    assert any(line.startswith("GET /assertion") for line in team.platform.asked)
