"""`doctor`: looks side by side, each within its time; what is found here, with its one fix; the exit code."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import pytest

from automl_jobs.runs import tags
from forestay import doctor, login
from forestay import project as project_files
from forestay.doctor import OK, PROBLEM, WARNING, Check, Finding, Progress, access, machine, place, state
from forestay.errors import InputError, OutsideError, Problem
from infra import stackfile
from tests.conftest import ROOT
from tests.runs_support import finished_job, job_start, new_store, outputs_folder


def good(name: str) -> Finding:
    return Finding(name, OK, "well")


def bad(name: str, outside: bool = False) -> Finding:
    return Finding(name, PROBLEM, "ill", "mend it", outside)


def test_findings_come_in_the_order_of_the_looks_whichever_ends_first() -> None:
    first = threading.Event()

    def slow() -> Finding:
        assert first.wait(5)
        return good("slow")

    def quick() -> list[Finding]:
        first.set()
        return [good("quick"), Finding("quick", WARNING, "hm", "look")]

    found = doctor.run([Check("slow", slow), Check("quick", quick)])
    assert [(one.check, one.status) for one in found] == [("slow", OK), ("quick", OK), ("quick", WARNING)]


def test_looks_run_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=5)  # breaks unless all three are there at once
    looks = [Check(name, lambda: (meeting.wait(), good("here"))[1]) for name in "abc"]
    assert [one.status for one in doctor.run(looks)] == [OK] * 3


def test_what_stands_behind_a_problem_is_not_looked_at_and_told_once() -> None:
    looked: list[str] = []

    def look(name: str, answer: Finding) -> Check:
        return Check(name, lambda: (looked.append(name), answer)[1], needs=needs[name])

    needs = {"login": (), "stack": (), "quota": ("login", "stack"), "roles": ("quota",), "plan": ("stack",)}
    found = doctor.run([look(name, bad(name) if name == "login" else good(name)) for name in needs])
    assert sorted(looked) == ["login", "plan", "stack"]
    assert found[-1] == Finding(
        "skipped", WARNING, "not looked at: quota, roles", "mend `login` first, then run this again"
    )
    assert sum(one.check == "skipped" for one in found) == 1


def test_a_look_that_hangs_is_left_alone() -> None:
    forever = threading.Event()
    began = time.monotonic()
    found = doctor.run(
        [Check("hangs", lambda: (forever.wait(60), good("hangs"))[1], seconds=0.2), Check("b", lambda: good("b"))]
    )
    forever.set()
    assert time.monotonic() - began < 5
    assert (found[0].status, found[0].outside) == (PROBLEM, True)
    assert "no answer within" in found[0].detail
    assert found[1].status == OK


@pytest.mark.parametrize(
    ("error", "detail", "fix", "outside"),
    [
        (InputError("it is wrong", where="file:3", fix="mend it"), "file:3: it is wrong", "mend it", False),
        (OutsideError("no answer", fix="wait"), "no answer", "wait", True),
        (ZeroDivisionError("by zero"), "this look failed: ZeroDivisionError: by zero", "fault of forestay", False),
    ],
)
def test_errors_are_problems_and_take_nothing_with_them(error: Exception, detail: str, fix: str, outside: bool) -> None:
    def look() -> Finding:
        raise error

    found = doctor.run([Check("a", look), Check("b", lambda: good("b"))])
    assert (found[0].status, found[0].detail, found[0].outside) == (PROBLEM, detail, outside)
    assert fix in found[0].fix
    assert found[1].status == OK


def test_an_error_of_several_problems_is_a_line_each() -> None:
    def look() -> Finding:
        raise InputError.of([Problem("a:1", "one", "mend one"), Problem("a:2", "two", "mend two")])

    assert [(one.detail, one.fix) for one in doctor.run([Check("stack", look)])] == [
        ("a:1: one", "mend one"),
        ("a:2: two", "mend two"),
    ]


def test_progress_says_what_is_waited_for() -> None:
    go, seen = threading.Event(), []

    def watch(progress: Progress) -> None:
        seen.append(progress)
        if progress.done == 1:
            go.set()

    doctor.run([Check("a", lambda: good("a")), Check("b", lambda: (go.wait(5), good("b"))[1])], watch)
    assert seen[0] == Progress(0, 2, ("a", "b"))
    assert seen[-1] == Progress(1, 2, ("b",))


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([good("a")], 0),
        ([good("a"), Finding("b", WARNING, "hm", "look")], 0),
        ([bad("a", outside=True), good("b")], 3),
        ([bad("a", outside=True), bad("b")], 1),
        ([bad("a")], 1),
    ],
)
def test_the_exit_code(findings: list[Finding], code: int) -> None:
    assert doctor.exit_code(findings) == code


@pytest.mark.parametrize("env", ["local", "dev"])
def test_every_need_is_one_of_the_looks(env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    checks = doctor.checks_for(env)
    names = [one.name for one in checks]
    assert len(set(names)) == len(names)
    assert {need for one in checks for need in one.needs} <= set(names)
    assert all(one.seconds <= 45 for one in checks)


def test_environments_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match="no stack 'staging'"):
        doctor.checks_for("staging")
    with pytest.raises(InputError, match="stack of served models"):
        doctor.checks_for("dev-services")


# ---- this machine ----


def test_python_of_another_version_or_without_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.python().status == OK
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    found = machine.python()
    assert (found.status, "no virtual environment" in found.detail) == (WARNING, True)
    monkeypatch.setattr(machine.platform, "python_version", lambda: "3.9.1")
    found = machine.python()
    assert (found.status, "3.9.1" in found.detail) == (PROBLEM, True)
    assert "uv venv --python 3.11" in found.fix


def test_packages_that_are_not_compiled_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sklearn"
    (folder / "__pycache__").mkdir(parents=True)
    for name in ("__init__", "base"):
        (folder / f"{name}.py").touch()
    monkeypatch.setattr(machine, "_folder", lambda name: folder if name == "sklearn" else None)
    found = machine.bytecode()
    assert (found.status, "sklearn" in found.detail) == (WARNING, True)
    assert f"{sys.executable} -m compileall" in found.fix
    (folder / "__pycache__" / f"base.{sys.implementation.cache_tag}.pyc").touch()
    assert machine.bytecode().status == OK


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed, by name; forestay asks for pandas, and with the extra for azure-core."""
    asked = ["pandas>=3.1", 'azure-core>=1.36; extra == "azure"', 'pulumi==3.272.0; extra == "infra"']
    there = {"forestay": "0.1.0", "pandas": "3.1.0", "azure-core": "1.36.0", "pulumi": "3.272.0"}

    def version(name: str) -> str:
        if name not in there:
            raise machine.importlib.metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(machine.importlib.metadata, "requires", lambda _: asked)
    monkeypatch.setattr(machine.importlib.metadata, "version", version)
    return there


def test_packages_and_extras(installed: dict[str, str]) -> None:
    (found,) = machine.packages()
    assert (found.status, found.detail) == (OK, "forestay 0.1.0, with the extras azure, infra, audit")
    del installed["azure-core"]
    (found,) = machine.packages()  # nobody needs it here
    assert (found.status, "azure" in found.detail) == (OK, False)
    _, lacks = machine.packages(("azure",))
    assert (lacks.status, "azure-core" in lacks.detail) == (PROBLEM, True)
    assert "pip install 'forestay[azure]'" in lacks.fix
    installed["pulumi"] = "3.1.0"
    _, other = machine.packages()
    assert (other.status, "pulumi is 3.1.0, and ==3.272.0" in other.detail) == (WARNING, True)
    installed["pandas"] = "2.0"
    assert next(machine.packages()).status == PROBLEM


@pytest.mark.parametrize(("free", "status"), [(64, OK), (3, WARNING), (0.5, PROBLEM)])
def test_room_on_the_disk(free: float, status: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=free * machine.GB))
    found = list(machine.disk())
    assert {one.status for one in found} == {status}
    assert all(one.fix for one in found) == (status != OK)


def test_memory_is_that_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=16 * machine.GB))
    (tmp_path / "memory.current").write_text(f"{machine.GB}\n", encoding="ascii")
    for most, status in (("max", OK), (f"{8 * machine.GB}", OK), (f"{2 * machine.GB}", WARNING)):
        (tmp_path / "memory.max").write_text(f"{most}\n", encoding="ascii")
        assert machine.memory().status == status, most


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_tools_for_clusters(path: Path) -> None:
    assert [one.status for one in machine.kubectl()] == [OK, OK]  # nobody asked for a cluster
    assert [one.status for one in machine.kubectl(needed=True)] == [WARNING, WARNING]
    program(path, "kubectl", """echo '{"clientVersion": {"gitVersion": "v1.34.1"}}'""")
    kubectl, kubelogin = machine.kubectl(needed=True)
    assert (kubectl.status, "v1.34.1" in kubectl.detail) == (OK, True)
    assert (kubelogin.status, kubelogin.fix) == (WARNING, "az aks install-cli")
    program(path, "kubectl", "exit 1")
    assert next(iter(machine.kubectl())).status == WARNING


def test_a_container_engine(path: Path) -> None:
    found = machine.engine()
    assert (found.status, "docker is not installed" in found.detail) == (WARNING, True)
    assert "--builder acr" in found.fix
    program(path, "podman", "exit 0")
    assert machine.engine().detail == f"podman ({path / 'podman'})"


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [("echo v3.272.0", OK, "v3.272.0"), ("echo v3.1.0", PROBLEM, "too old"), ("exit 3", PROBLEM, "does not run")],
)
def test_pulumi(path: Path, answer: str, status: str, said: str) -> None:
    assert state.cli().status == WARNING
    program(path, "pulumi", answer)
    found = state.cli()
    assert (found.status, said in found.detail) == (status, True)


# ---- the project ----


def test_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no Pulumi.yaml" in place.folder().detail
    shutil.copytree(ROOT / "stacks", project / "stacks")
    (project / "Pulumi.yaml").touch()
    assert place.folder().detail == f"{project}, environments: dev, prod, test"
    (project / "file").touch()
    monkeypatch.setenv("FORESTAY_HOME", str(project / "file" / ".forestay"))
    found = place.folder()
    assert (found.status, "cannot write" in found.detail) == (PROBLEM, True)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.forestay` with a job that has ended, one under way, and one whose process is gone."""
    folder = tmp_path_factory.mktemp("jobs")
    store = new_store(folder / ".forestay")
    finished_job(store, outputs_folder(folder / "outputs"))
    store.start_job(job_start("brave_hill_bbbbbb"))
    store.start_job(job_start("cold_lake_cccccc"))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with closing(sqlite3.connect(folder / ".forestay" / "runs.db")) as database, database:
        database.execute(
            "UPDATE tags SET value = ? WHERE key = ? AND run_uuid ="
            " (SELECT run_uuid FROM tags WHERE key = ? AND value = 'cold_lake_cccccc')",
            (str(gone.pid), tags.WRITER_PID, tags.JOB),
        )
    return folder / ".forestay"


def test_a_store_with_a_job_that_was_cut_off(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESTAY_HOME", str(jobs))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = (jobs / "runs.db").read_bytes()
    well, cut_off = place.store()
    assert (well.status, "3 jobs, 1 under way" in well.detail) == (OK, True)
    assert (cut_off.status, cut_off.fix) == (WARNING, "go on with one: forestay job resume cold_lake_cccccc")
    assert (jobs / "runs.db").read_bytes() == before  # it only looks


def test_a_store_that_is_not_there_or_damaged(jobs: Path, project: Path) -> None:
    (none,) = place.store()
    assert (none.status, "no jobs yet" in none.detail) == (OK, True)
    assert not (project / ".forestay").exists()
    (project / ".forestay").mkdir()
    whole = (jobs / "runs.db").read_bytes()
    (project / ".forestay" / "runs.db").write_bytes(whole[:8192] + b"\x00" * 16384 + whole[8192 + 16384 :])
    found = doctor.run([Check("run store", lambda: list(place.store()))])
    assert [one.status for one in found] == [PROBLEM]
    assert "damaged" in found[0].detail
    assert "nothing was changed" in found[0].fix


def test_a_tracking_server_that_is_away(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:word@127.0.0.1:9")
    (found,) = doctor.run([Check("run store", lambda: list(place.store()))])
    assert (found.status, found.outside) == (PROBLEM, True)
    assert "word" not in found.detail


def test_a_lock_that_is_held(project: Path) -> None:
    home = project / ".forestay"
    home.mkdir()
    assert place.locks().status == OK
    (home / "runs.db.lock.owner").write_text("4711, since 10:02:11", encoding="utf-8")
    (home / "runs.db.lock").touch()
    assert place.locks().status == OK  # its holder was killed
    with filelock.FileLock(str(home / "runs.db.lock")):
        found = place.locks()
    assert (found.status, "process 4711, since 10:02:11" in found.detail) == (WARNING, True)
    with project_files.lock(home / "endpoints" / ".churn-api.guard", "endpoint churn-api"):
        assert place.locks().detail.startswith(f"held: .churn-api.guard by process {os.getpid()}, since ")


def test_endpoints_that_are_stopped(project: Path) -> None:
    assert place.endpoints().detail == "0 on this machine"
    folder = project / ".forestay" / "endpoints" / "churn-api"
    folder.mkdir(parents=True)
    wanted = {
        "name": "churn-api", "revision": 1, "model": "Churn", "version": "1", "deployment": "churn-1", "earlier": [],
        "port": 9, "python": sys.executable,
    }  # fmt: skip
    (folder / "endpoint.json").write_text(json.dumps(wanted), encoding="utf-8")
    found = place.endpoints()
    assert (found.status, "churn-api" in found.detail) == (WARNING, True)
    assert "forestay endpoint start churn-api" in found.fix
    (folder / "endpoint.json").write_text("{", encoding="utf-8")
    assert place.endpoints().status == PROBLEM


# ---- the login, without asking ----

TENANT_AND_CLIENT = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}
DEVOPS = dict.fromkeys(login._DEVOPS, "x")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "none; only --env needs one"),
        (TENANT_AND_CLIENT, "none; only --env needs one"),
        ({**TENANT_AND_CLIENT, "AZURE_CLIENT_SECRET": "hunter2"}, "would be a client secret"),
        ({**TENANT_AND_CLIENT, "AZURE_CLIENT_CERTIFICATE_PATH": "c.pem"}, "would be a certificate"),
        ({**TENANT_AND_CLIENT, "AZURE_FEDERATED_TOKEN_FILE": "token"}, "would be workload identity"),
        ({**TENANT_AND_CLIENT, login._GITHUB[0]: "http://x"}, "would be the identity of this GitHub job"),
        (DEVOPS, "would be the service connection"),
    ],
)
def test_where_a_login_would_come_from(
    given: dict[str, str], said: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("AZURE", "ACTIONS_ID", "SYSTEM_"))]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = access.offline_login()
    assert (found.status, said in found.detail) == (OK, True)
    assert "hunter2" not in found.detail


def test_the_login_of_az(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("AZURE")]:
        monkeypatch.delenv(name)
    program(path, "az", "exit 1")
    assert "none" in access.offline_login().detail
    (tmp_path / ".azure").mkdir()
    (tmp_path / ".azure" / "azureProfile.json").touch()
    assert "that of az" in access.offline_login().detail
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "elsewhere"))
    assert "none" in access.offline_login().detail


@pytest.mark.parametrize(
    ("scope", "covers"),
    [
        ("", True),
        ("/providers/microsoft.management/managementgroups/contoso", True),
        ("/subscriptions/s", True),
        ("/subscriptions/s/resourcegroups/rg", True),
        ("/subscriptions/s/resourcegroups/rg/providers/p/t/n", True),
        ("/subscriptions/s/resourcegroups/r", False),
        ("/subscriptions/s/resourcegroups/rg/providers/p/t/n2", False),
    ],
)
def test_what_a_role_covers(scope: str, covers: bool) -> None:
    assert access._covers(scope, "/subscriptions/S/resourceGroups/rg/providers/P/t/n") is covers


# ---- the state ----


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """A stack of a project of one's own, with more lines; no Pulumi of this machine has a say."""
    for name in ("PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN", *state.PASSPHRASES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    (tmp_path / "Pulumi.yaml").write_text("name: forestay\nruntime: python\n", encoding="utf-8")

    def load(name: str, lines: str = "") -> Any:
        file = tmp_path / "stacks" / f"Pulumi.{name}.yaml"
        file.write_text(lines + file.read_text(encoding="utf-8"), encoding="utf-8")
        return stackfile.load(tmp_path, name)

    return load


def test_where_the_state_is_kept(stack: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dev, prod = stack("dev"), stack("prod")
    found = state.backend(dev)
    assert (found.status, found.fix) == (WARNING, "forestay infra bootstrap --env dev")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "credentials.json").write_text('{"current": "file://~"}', encoding="utf-8")
    assert state.backend(dev).detail == "file://~ (pulumi login)"
    found = state.backend(prod)
    assert (found.status, "nobody else" in found.detail) == (WARNING, True)
    with (tmp_path / "Pulumi.yaml").open("a", encoding="utf-8") as file:
        file.write("backend: {url: azblob://state}\n")
    assert state.backend(prod) == Finding("state backend", OK, "azblob://state (Pulumi.yaml)")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://state")
    assert state.backend(prod).detail == "s3://state (PULUMI_BACKEND_URL)"


@pytest.mark.parametrize(
    ("text", "told", "line"),
    [(b"name: [forestay\nruntime: python\n", "is no YAML", ":2"), (b"name: \xff\n", "can't be read", "")],
)
def test_a_project_file_that_can_t_be_read_is_told(
    stack: Callable[..., Any], tmp_path: Path, text: bytes, told: str, line: str
) -> None:
    dev, file = stack("dev"), tmp_path / "Pulumi.yaml"
    file.write_bytes(text)
    with pytest.raises(InputError, match=told) as caught:
        state.backend(dev)
    assert caught.value.problems[0].where == f"{file}{line}"


def test_what_opens_the_secrets(stack: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none are encrypted" in state.passphrase(stack("test")).detail
    vault = stack("prod", "secretsprovider: azurekeyvault://kv.vault.azure.net/keys/pulumi\n")
    assert state.passphrase(vault).status == OK
    dev = stack("dev", "encryptionsalt: v1:abc\n")
    found = state.passphrase(dev)
    assert (found.status, "PULUMI_CONFIG_PASSPHRASE_FILE" in found.fix) == (PROBLEM, True)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "word"))
    assert (state.passphrase(dev).status, "can't be read" in state.passphrase(dev).detail) == (PROBLEM, True)
    (tmp_path / "word").write_text("hunter2", encoding="utf-8")
    assert state.passphrase(dev).status == OK
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "hunter2")
    found = state.passphrase(dev)
    assert found.status == OK
    assert "hunter2" not in found.detail


def test_a_place_that_can_not_be_written_to(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".forestay").touch()  # a file is in the way
    assert place.folder().status == PROBLEM
    (project / ".forestay").unlink()
    assert place.folder().status == OK
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != project)  # root may write anywhere
    assert place.folder().status == PROBLEM
