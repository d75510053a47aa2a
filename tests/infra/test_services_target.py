"""Endpoints on ACI and AKS: deploy, smoke test, the way back, keys, and whatever ends in between; really over HTTP."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forestay.errors import ForestayError, InputError, OutsideError, RunFailed
from infra import operate, stackedit, stackgit, upkeep
from scoring import server
from scoring.images.registry import Registry as Asked
from scoring.images.registry import kept_tag, place_of
from scoring.targets import DeploymentRecord, DeployOptions, entries, inspect, rollout, services, smoke, trial
from scoring.targets.services import ServicesTarget
from tests.callers import Callers
from tests.image_support import Registry
from tests.infra.services_world import BODY, STACK, Monitor, World, world
from tests.served import wait_for

NAME = "quick-api"
# What is about building and pushing, or ends in the middle of it, does so; all else finds its images in the registry.
BUILDS = (
    "test_deploy_again_newer_back_and_forth",
    "test_a_plan_says_what_would_change_and_changes_nothing",
    "test_a_registry_that_fails",
    "test_what_is_refused_is_refused_before_an_image_is_made",
)


@pytest.fixture
def here(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[World]:
    monkeypatch.setattr(smoke, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(trial, "HOPELESS_SECONDS", 0.05)
    with world(tmp_path, registry, monkeypatch) as found:
        builds = request.node.originalname in BUILDS or "publish" in request.node.name
        found.images = "" if builds else "known"
        yield found


@pytest.fixture
def engine(here: World, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    found = Monitor(here.folder, here.machines)
    found.install(monkeypatch)
    return found


def options(here: World, **more: object) -> DeployOptions:
    return DeployOptions(**{"registry": here.repository, "wait_seconds": 60.0, **more})  # type: ignore[arg-type]


def version(target: ServicesTarget) -> str:
    """Which version answers a caller with a key."""
    answer = target.invoke(NAME, BODY)
    assert answer.status == 200, answer
    return str(target.status(NAME).version)


def deployed(here: World, kind: str, number: str = "1", **more: object) -> ServicesTarget:
    target = here.target(kind)
    target.deploy(NAME, here.make(number), options(here, **more))
    here.said.clear()
    return target


@pytest.mark.parametrize("kind", ["aci", "aks"])
def test_deploy_again_newer_back_and_forth(here: World, engine: Monitor, kind: str) -> None:
    target = here.target(kind)
    first = target.deploy(NAME, here.make("1"), options(here))
    assert (first.status, first.version, first.auth, first.changed) == ("Healthy", "1", "keys", True)
    assert target.names() == [NAME]
    assert target.invoke(NAME, BODY).json == {"Results": ["yes"]}
    assert server.post(first.scoring_uri.removesuffix("/score"), {"data": []}).status == 401
    text, ups = here.file.read_bytes(), engine.ups
    again = target.deploy(NAME, here.make("1"), options(here))
    assert (again.changed, here.file.read_bytes(), engine.ups) == (False, text, ups)
    second = target.deploy(NAME, here.make("2"), DeployOptions())
    assert (second.version, second.previous) == ("2", first.deployment)
    back = target.rollback(NAME)
    assert (back.version, back.previous, version(target)) == ("1", second.deployment, "1")
    assert target.rollback(NAME, "2").version == "2"
    with pytest.raises(InputError, match="keeps no earlier deployment 7"):
        target.rollback(NAME, "7")
    digests = re.findall(r"sha256:[0-9a-f]{64}", here.file.read_text())
    for one in (second, first):
        digest = next(found for found in digests if found.startswith(f"sha256:{one.deployment[-8:]}"))
        assert Asked(*place_of(f"{here.repository}/quick")).digest(kept_tag(digest)) == digest
    assert here.file.read_text().startswith("# The models served in test.")
    assert target.status(NAME).last_request == "2026-01-31T10:00:00+00:00"
    target.delete(NAME)
    assert target.names() == []
    assert NAME not in here.file.read_text()
    assert list((here.machines.folder / "running").glob("*.json")) == []


@pytest.mark.parametrize("fault", ["wrong", "broken", "sick"])
@pytest.mark.parametrize("kind", ["aci", "fronted", "aks"])
def test_what_fails_is_put_back_by_itself(here: World, engine: Monitor, kind: str, fault: str) -> None:
    target = deployed(here, "aci" if kind == "fronted" else kind, auth="none")
    if kind == "fronted":
        here.front(NAME)
        target.deploy(NAME, here.make("1"), options(here))
    before, uri = here.file.read_bytes(), target.status(NAME).scoring_uri
    with Callers(uri, BODY) as callers, pytest.raises(RunFailed) as caught:
        target.deploy(NAME, here.make("2", fault), options(here, wait_seconds=3 if fault == "sick" else 60))
    assert here.file.read_bytes() == before
    assert (target.status(NAME).status, version(target)) == ("Healthy", "1")
    if kind != "aci":  # nobody noticed; a group without a front is away
        assert callers.problems == []
        assert {number for _, number in callers.answers} == {"1"}
    assert len([problem for problem in caught.value.problems if problem.fix]) == 1
    told = "\n".join(here.said)
    if fault == "wrong":
        assert 'row 0: golden.json has "yes", the server answers "wrong"' in str(caught.value)
        assert "event | " in told
    if fault == "broken" and kind != "aks":
        assert "log | RuntimeError: broken" in told
    assert "putting back what was there before" in told
    assert target.deploy(NAME, here.make("3"), options(here)).version == "3"
    assert version(target) == "3"


def test_a_first_deploy_that_fails_leaves_nothing(here: World, engine: Monitor) -> None:
    before = here.file.read_bytes()
    with pytest.raises(RunFailed, match="smoke test"):
        here.target("aci").deploy(NAME, here.make("1", "wrong"), options(here))
    assert here.file.read_bytes() == before
    assert list((here.machines.folder / "running").glob("*.json")) == []


def test_behind_a_front_the_new_group_is_tried_beside_the_old_one(here: World, engine: Monitor) -> None:
    target = deployed(here, "aci", auth="none")
    here.front(NAME)
    moved = target.deploy(NAME, here.make("1"), options(here))
    here.said.clear()
    with Callers(moved.scoring_uri, BODY) as callers:
        second = target.deploy(NAME, here.make("2"), options(here))
    assert second.scoring_uri != moved.scoring_uri  # the front leads to another group; the old one was there till then
    assert {number for status, number in callers.answers if status == 200} == {"1"}
    assert not any("away for" in line for line in here.said)
    assert "candidate" not in here.file.read_text()


def test_pods_of_a_new_version_are_tried_where_no_caller_comes(here: World, engine: Monitor) -> None:
    target = deployed(here, "aks", auth="none")
    uri = target.status(NAME).scoring_uri
    with Callers(uri, BODY) as callers:
        second = target.deploy(NAME, here.make("2"), options(here))
        wait_for(lambda: (200, "2") in callers.answers, 20)
    assert second.scoring_uri == uri  # the same address leads to others
    assert {number for status, number in callers.answers if status == 200} == {"1", "2"}
    asked = [line for line in here.said if line.startswith("waiting until ")]
    assert len(asked) == 2
    assert uri.removesuffix("/score") not in asked[0]
    assert uri.removesuffix("/score") in asked[1]
    assert "candidate" not in here.file.read_text()


def test_without_a_front_the_outage_is_told(here: World, engine: Monitor) -> None:
    target = deployed(here, "aci")
    plan = target.plan(NAME, here.make("2"), options(here))
    assert plan.outage is not None
    assert "no front" in plan.outage
    target.deploy(NAME, here.make("2"), options(here))
    assert any(line.startswith(f"warning: {NAME}: no front: a change stops it") for line in here.said)


def test_a_plan_says_what_would_change_and_changes_nothing(here: World, engine: Monitor) -> None:
    target = here.target("aks")
    before = here.file.read_bytes()
    plan = target.plan(NAME, here.make("1"), options(here))
    assert plan.changes[0] == f"build an image and push it to {here.repository}/quick"
    assert f"Pulumi.{STACK}.yaml: +    {NAME}:" in plan.changes
    assert any(line.startswith(f"make kubernetes:apps/v1:Deployment {NAME}-") for line in plan.changes)
    assert (here.file.read_bytes(), engine.ups, (here.store / "images.json").exists()) == (before, 0, False)
    target.deploy(NAME, here.make("1"), options(here))
    assert target.plan(NAME, here.make("1"), options(here)).changes == ()


def test_keys_turn_and_the_other_one_holds(here: World, engine: Monitor) -> None:
    target = deployed(here, "aci")
    before, url = target.keys(NAME), target.status(NAME).scoring_uri.removesuffix("/score")
    after = target.rotate_keys(NAME, "primary")
    assert after["secondary"] == before["secondary"]
    both = {*before.values(), *after.values()}
    statuses = {key: server.post(url, {"data": [{"a": 1}]}, key=key).status for key in both}
    assert statuses == {before["primary"]: 401, before["secondary"]: 200, after["primary"]: 200}
    assert not any(key in here.file.read_text() + "".join(here.said) for key in both)
    assert target.deploy(NAME, here.make("2"), options(here, auth="none")).auth == "none"
    with pytest.raises(InputError, match="asks callers for no key"):
        target.keys(NAME)


def test_up_that_fails_midway(here: World, engine: Monitor) -> None:
    target = deployed(here, "aks")
    before = here.file.read_bytes()
    engine.fail = 0
    with pytest.raises(RunFailed, match="InternalServerError"):
        target.deploy(NAME, here.make("2"), options(here))
    assert (here.file.read_bytes(), version(target)) == (before, "1")
    assert target.deploy(NAME, here.make("2"), options(here)).version == "2"


def test_another_run_holds_the_stack(here: World, engine: Monitor) -> None:
    target = deployed(here, "aks")
    before = here.file.read_bytes()
    engine.locked = True
    with pytest.raises(OutsideError, match="locked by another run"):
        target.deploy(NAME, here.make("2"), options(here))
    engine.locked = False
    assert (here.file.read_bytes(), version(target)) == (before, "1")
    assert target.deploy(NAME, here.make("2"), options(here)).version == "2"


@pytest.mark.parametrize("fault", ["down", "cut"])
def test_a_registry_that_fails(here: World, engine: Monitor, registry: Registry, fault: str) -> None:
    target = deployed(here, "aci")
    before = here.file.read_bytes()
    if fault == "down":
        registry.stop()
    else:
        (here.store / "cut").touch()
    try:
        with pytest.raises(OutsideError, match=r"can't be reached|can't push"):
            target.deploy(NAME, here.make("2"), options(here))
        assert (here.file.read_bytes(), version(target)) == (before, "1")
    finally:
        if fault == "down":
            registry.start()
        else:
            (here.store / "cut").unlink()
    assert target.deploy(NAME, here.make("2"), options(here)).version == "2"


STEPS: tuple[tuple[object, str], ...] = (
    (services.publish, "publish"), (upkeep, "ensure"), (services.entries, "put"), (rollout.Rollout, "_note"),
    (stackedit, "write"), (upkeep, "bring_up"), (smoke, "wait_healthy"), (smoke, "require_golden"),
    (rollout.Rollout, "_forget"), (upkeep, "tag"), (ServicesTarget, "_prune"),
)  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", range(len(STEPS)), ids=[name for _, name in STEPS])
def test_killed_between_any_two_steps(repository: World, engine: Monitor, step: int, when: str) -> None:
    """The old version answers, or the new one that passed; the next deploy succeeds, and there is a way back."""
    here = repository
    target = deployed(here, "aks", auth="none", commit=True)
    killed_in(lambda: target.deploy(NAME, here.make("2"), options(here, commit=True)), *STEPS[step], when)
    answer = server.ask(target.status(NAME).scoring_uri.removesuffix("/score"), "POST", "/score", BODY)
    assert answer.status == 200
    done = target.deploy(NAME, here.make("3"), options(here, commit=True))
    assert (done.version, done.status, version(target)) == ("3", "Healthy", "3")
    assert done.previous is not None
    assert done.previous.startswith("Quick-2-" if passed(step, when) else "Quick-1-")
    assert target.rollout.interrupted is None
    assert engine.tags(target.rollout.load())[stackgit.APPLIED] == git(here.project, "rev-parse", "HEAD")


def passed(step: int, when: str) -> bool:
    """Whether the killed deploy had come so far that its version stays."""
    return (step, when) == (8, "after") or step > 8


@pytest.mark.parametrize("kind", ["aci", "aks"])
def test_a_rollback_after_a_killed_deploy_ends_it(here: World, engine: Monitor, kind: str) -> None:
    target = deployed(here, kind, auth="none")
    before = here.file.read_bytes()
    killed_in(lambda: target.deploy(NAME, here.make("2"), options(here)), rollout.Rollout, "_forget", "before")
    engine.fail = 0
    with pytest.raises(RunFailed, match="is not back to what it was"):
        target.rollback(NAME)
    assert target.rollout.interrupted == NAME
    back = target.rollback(NAME)
    assert (back.version, back.status, target.rollout.interrupted) == ("1", "Healthy", None)
    assert (here.file.read_bytes(), version(target)) == (before, "1")


@pytest.mark.parametrize("kind", ["aci", "aks"])
@pytest.mark.parametrize("place", [(stackedit, "write", "before"), (upkeep, "bring_up", "after")], ids=["noted", "up"])
def test_a_first_deploy_that_was_killed(
    here: World, engine: Monitor, kind: str, place: tuple[object, str, str]
) -> None:
    """It is told what is there, and what to do; and both can be done."""
    target, before = here.target(kind), here.file.read_bytes()

    def deploy() -> object:
        return here.target(kind).deploy(NAME, here.make("1"), options(here, auth="none"))

    killed_in(deploy, *place)
    with pytest.raises(InputError, match="only its first version, Quick 1, which never passed its test") as caught:
        target.rollback(NAME)
    assert f"forestay endpoint delete {NAME} --env test" in str(caught.value.problems[0].fix)
    assert (target.names(), target.status(NAME).version) == ([NAME], "1")
    assert any("the first deploy of quick-api was interrupted; deploy it again" in line for line in here.said)
    assert deploy().status == "Healthy"  # type: ignore[attr-defined]
    target.delete(NAME)
    before = here.file.read_bytes()
    killed_in(deploy, *place)
    here.target(kind).delete(NAME)
    assert (here.target(kind).names(), here.file.read_bytes()) == ([], before)
    assert list((here.machines.folder / "running").glob("*.json")) == []


def killed_in(work: Callable[[], object], place: object, name: str, when: str) -> None:
    """Do something in a process of its own that is killed (SIGKILL) at a call of `place.name`."""
    pid = os.fork()
    if pid == 0:
        real = getattr(place, name)

        def deadly(*given: object, **more: object) -> object:
            if when == "after":
                real(*given, **more)
            os.kill(os.getpid(), signal.SIGKILL)
            return None

        setattr(place, name, deadly)
        try:
            work()
        finally:
            os._exit(3)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), os.waitstatus_to_exitcode(status)


def test_two_deploys_at_once_follow_each_other(here: World, engine: Monitor) -> None:
    target = deployed(here, "aks", auth="none")
    folders = [here.make("2"), here.make("3")]
    failures: list[ForestayError] = []

    def deploy(folder: Path) -> None:
        try:
            here.target("aks").deploy(NAME, folder, options(here))
        except ForestayError as error:
            failures.append(error)

    threads = [threading.Thread(target=deploy, args=(folder,)) for folder in folders]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failures == []
    service = target.rollout.load().settings.services[NAME]
    assert {service.version, service.earlier[0].version} == {"2", "3"}
    assert service.earlier[1].version == "1"
    assert version(target) == service.version


def git(folder: Path, *words: str) -> str:
    own = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *own, "-C", str(folder), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def repository(here: World, monkeypatch: pytest.MonkeyPatch) -> World:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.com")
    (here.project / ".gitignore").write_text(".forestay\n")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "start")):
        git(here.project, *words)
    return here


def test_the_file_is_committed_and_its_commit_kept(repository: World, engine: Monitor) -> None:
    here, target = repository, repository.target("aks")
    target.deploy(NAME, here.make("1"), options(here))
    assert any("is not committed" in line for line in here.said)
    assert engine.tags(target.rollout.load())[stackgit.APPLIED].endswith(stackgit.UNCOMMITTED)
    here.said.clear()
    (here.project / "other").write_text("not of this commit")
    target.deploy(NAME, here.make("2"), options(here, commit=True))
    head = git(here.project, "rev-parse", "HEAD")
    assert engine.tags(target.rollout.load())[stackgit.APPLIED] == head
    assert git(here.project, "show", "--name-only", "--format=%s") == (
        f"Serve Quick 2 as {NAME} in test\n\nstacks/Pulumi.{STACK}.yaml"
    )
    assert not any("warning" in line for line in here.said)


def test_of_two_checkouts_the_older_one_deploys_second(
    repository: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = repository
    target = deployed(here, "aks", auth="none", commit=True)
    target.deploy("other-api", here.make("1"), options(here, auth="none", commit=True))
    older = here.folder / "older"
    shutil.copytree(here.project, older)
    target.deploy(NAME, here.make("2"), options(here, commit=True))
    here.said.clear()
    monkeypatch.chdir(older)
    theirs = ServicesTarget("aks", "test", older / ".forestay", here.said.append)
    # Another service than the one that was deployed since: it would take that one back.
    with pytest.raises(InputError, match=f"this would also change {NAME}: Quick 2"):
        theirs.deploy("other-api", here.make("3", home=older / ".forestay"), options(here))
    assert version(target) == "2"
    # The same: it goes on from what is deployed, and that is what a failure or a rollback returns to.
    here.make("3", "wrong", home=older / ".forestay")
    with pytest.raises(RunFailed, match="smoke test"):
        theirs.deploy(NAME, here.make("3", "wrong"), options(here))
    assert any("may be outdated" in line for line in here.said)
    assert any("somebody deployed since" in line for line in here.said)
    assert server.post(target.status(NAME).scoring_uri.removesuffix("/score"), {"data": [{"a": 1}]}).status == 200
    assert theirs.deploy(NAME, here.make("3"), options(here)).version == "3"
    assert theirs.rollback(NAME).version == "2"


def test_no_apply_edits_the_file_alone(repository: World, engine: Monitor) -> None:
    here = repository
    target = deployed(here, "aks", auth="none", commit=True)
    ups = engine.ups
    pending = target.deploy(NAME, here.make("2"), options(here, apply=False, commit=True))
    assert (pending.status, pending.version, engine.ups) == ("Pending", "2", ups)
    assert git(here.project, "status", "--porcelain", "stacks") == ""
    assert target.status(NAME).status == "Pending"
    engine.bring_up(target.rollout.load(), rollout.declare, here.said.append)  # the pipeline
    later = here.target("aks")  # a command reads the stack's outputs once
    assert (later.status(NAME).status, version(later)) == ("Healthy", "2")


def test_what_is_refused_is_refused_before_an_image_is_made(
    here: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, text, image = here.target("aci"), here.file.read_text(), here.store / "images.json"
    with pytest.raises(InputError, match="is no service's name"):
        target.deploy("3-api", here.make("1"), options(here))
    estate = here.file.with_name("Pulumi.test.yaml")
    shipped = estate.read_text()
    private = "forestay:network: private\n  forestay:registry: {sku: premium}"
    here.file.write_text(text.replace("forestay:network: public", private))
    estate.unlink()
    with pytest.raises(InputError, match="is public in a private network"):
        target.deploy(NAME, here.make("1"), options(here, public=True, apply=False))
    here.file.write_text(text)
    estate.write_text(shipped)
    assert (here.said, image.exists(), engine.ups) == ([], False, 0)
    target.deploy(NAME, here.make("1"), options(here))
    built = image.read_bytes()
    here.file.write_text(text)  # as a checkout has it that knows nothing of this
    with pytest.raises(InputError, match=f"this would also change {NAME}: Quick 1"):
        target.deploy("other-api", here.make("2"), options(here))
    assert image.read_bytes() == built


def test_the_same_again_commits_what_was_not_committed_and_keeps_its_commit(repository: World, engine: Monitor) -> None:
    here = repository
    target = deployed(here, "aks", auth="none")
    again = target.deploy(NAME, here.make("1"), options(here, commit=True))
    head = git(here.project, "rev-parse", "HEAD")
    assert (again.changed, git(here.project, "status", "--porcelain", "stacks")) == (False, "")
    assert engine.tags(target.rollout.load())[stackgit.APPLIED] == head
    killed_in(lambda: target.deploy(NAME, here.make("2"), options(here, commit=True)), upkeep, "tag", "before")
    assert target.deploy(NAME, here.make("2"), options(here)).changed is False
    newer = git(here.project, "rev-parse", "HEAD")
    assert (newer != head, engine.tags(target.rollout.load())[stackgit.APPLIED]) == (True, newer)


def test_the_same_again_without_applying_asks_nobody(
    here: World, engine: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = here.target("aks")

    def deploy() -> DeploymentRecord:
        return target.deploy(NAME, here.make("1"), options(here, auth="none", apply=False))

    def unreachable(*_: object) -> None:
        raise OutsideError("the state can't be reached")

    deploy()
    monkeypatch.setattr(operate, "outputs", unreachable)
    monkeypatch.setattr(inspect, "watcher", unreachable)
    assert (deploy().status, deploy().changed) == ("Pending", False)


def test_where_it_can_t_be_deployed(here: World, engine: Monitor) -> None:
    target = deployed(here, "aci")
    with pytest.raises(InputError, match=f"{NAME} is on aci"):
        here.target("aks").deploy(NAME, here.make("2"), options(here))
    with pytest.raises(InputError, match="is not for the target aci") as caught:
        target.deploy(NAME, here.make("2"), options(here, traffic=10))
    assert caught.value.problems[0].where == "--traffic"
    with pytest.raises(InputError, match="no endpoint 'nobody'"):
        target.status("nobody")
    dev = ServicesTarget("aks", "dev", here.home)
    with pytest.raises(InputError, match="dev has no cluster"):
        dev.deploy(NAME, here.make("2"), options(here))
    with pytest.raises(InputError, match="is the stack of an environment's services"):
        ServicesTarget("aci", "dev-services", here.home).names()


def test_a_group_that_is_stopped_bills_nothing(here: World, engine: Monitor) -> None:
    target = deployed(here, "aci")
    assert str(target.status(NAME).bills).startswith("1 cores and 2 GB by the second, about ")
    stopped = target.stop(NAME)
    assert (stopped.status, stopped.bills) == ("Stopped", None)
    assert target.status(NAME).status == "Stopped"
    assert target.deploy(NAME, here.make("1"), options(here)).status == "Healthy"


def test_only_lines_of_what_changes_are_touched() -> None:
    text = "config:\n  forestay:services:\n    api:\n      image: old  # by hand\n      cpu: 2\n    b: {}\n"
    after = entries.put(text, "api", {"image": "new", "memoryGb": 3, "candidate": None, "cpu": 2})
    assert after == text.replace("old  # by hand", "new").replace("cpu: 2\n", "cpu: 2\n      memoryGb: 3\n")


def test_the_commands(
    here: World, engine: Monitor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from forestay.cli import main
    from scoring import targets

    monkeypatch.setattr(targets, "find_proven", lambda *_: here.make("1"))

    def run(*words: str, code: int = 0) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["endpoint", *words, "--env", "test", "-o", "json"])
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == code, err
        assert "Traceback" not in err
        return json.loads(out) if code == 0 else err

    assert "is new in test" in run("deploy", NAME, "--model", "Quick", code=2)
    deploy = ("deploy", NAME, "--model", "Quick", "--target", "aks", "--registry", here.repository, "--replicas", "1-3")
    assert f"make kubernetes:core/v1:Service {NAME}-service" in run(*deploy, "--plan")["changes"]
    made = run(*deploy)
    assert (made["target"], made["env"], made["status"], made["changed"]) == ("aks", "test", "Healthy", True)
    assert run("deploy", NAME, "--model", "Quick")["changed"] is False
    listed = run("list")
    assert [one["name"] for one in listed] == [NAME]
    assert listed[0]["bills"].startswith("at least 1 copy of 1 cores")
    assert run("show", NAME)["scoring_uri"] == made["scoring_uri"]
    assert run("invoke", NAME) == {"Results": ["yes"]}
    shutil.move(here.home / "proofs", here.folder / "proofs")  # as on a runner that has not proven it
    shutil.rmtree(here.home / "endpoints", ignore_errors=True)
    assert run("invoke", NAME) == {"Results": ["yes"]}
    shutil.move(here.folder / "proofs", here.home / "proofs")
    assert "POST /score" in run("logs", NAME)["lines"]
    assert run("keys", "rotate", NAME)["primary"] == run("keys", "show", NAME)["primary"]
    assert "no earlier deployment" in run("rollback", NAME, code=2)
    assert "no endpoint 'other-api' in test" in run("show", "other-api", code=2)
    assert "is not for the target aks" in run(*deploy, "--port", "8000", code=2)
    assert run("delete", NAME, "--yes")["deleted"] is True
    assert run("list") == []
