"""The rendered pipelines as recorded, and what linters of each system say of them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from forestay import cli
from forestay.pipelines import FOLDERS, render
from forestay.pipelines.settings import SYSTEMS, Environment, Model, PipelineSettings
from tests.conftest import ROOT

FILES = Path(__file__).parent / "files" / "pipelines"
CHURN = Model(
    name="Churn", job="jobs/churn/job.yml", endpoint="churn-api", experiment="churn", test_data="data/churn-test.csv",
    metric="AUC_weighted", threshold=0.01,
)  # fmt: skip
SALES = Model(
    name="SalesForecast",
    job="jobs/sales/job.yml",
    endpoint="sales-api",
    experiment="sales",
    target="aks",
    compare=False,
)
SIZES = Model(name="Sizes", job="jobs/sizes/job.yml", endpoint="sizes-api", experiment="sizes", target="local")
PRIVATE = {
    "prod": Environment(runner=("self-hosted", "vnet-prod"), reader="prod-reader", service_connection="arm-prod")
}
KEPT = {"local": Environment(runner=("self-hosted",), home="~/.forestay")}
SETTINGS = {
    "managed": PipelineSettings(models=(CHURN,)),
    "services": PipelineSettings(
        models=(CHURN, SALES), environments=PRIVATE, requirements="requirements.lock", install="forestay==1.0"
    ),
    "local": PipelineSettings(models=(SIZES,), train="local", deploy=("local",), environments=KEPT),
}
CASES = [(name, ci) for name in SETTINGS for ci in SYSTEMS]


def rendered(name: str, ci: str) -> dict[str, str]:
    return render(SETTINGS[name].model_copy(update={"ci": ci}))


def recorded(ci: str) -> list[Path]:
    found = sorted(FILES.glob(f"*/{FOLDERS[ci]}/*.yml"))
    assert found
    return found


@pytest.mark.parametrize(("name", "ci"), CASES)
def test_rendered_as_recorded(name: str, ci: str) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; look at the difference before committing it."""
    texts = rendered(name, ci)
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(FILES / name / FOLDERS[ci], ignore_errors=True)
        for path, text in texts.items():
            (FILES / name / path).parent.mkdir(parents=True, exist_ok=True)
            (FILES / name / path).write_text(text, encoding="utf-8")
    there = {path.relative_to(FILES / name).as_posix() for path in (FILES / name / FOLDERS[ci]).iterdir()}
    assert there == set(texts)
    for path, text in texts.items():
        assert (FILES / name / path).read_text(encoding="utf-8") == text, path


def checked(*words: str | Path) -> None:
    """A linter of this environment, which must find nothing."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def tool(name: str) -> Path:
    return Path(sys.executable).with_name(name)


@pytest.mark.parametrize(("ci", "schema"), [("github", "github-workflows"), ("azure-devops", "azure-pipelines")])
def test_the_published_schema_holds(ci: str, schema: str) -> None:
    # Azure DevOps' schema has patterns that are none of ECMAScript's.
    variant = ("--regex-variant", "python")
    checked(tool("check-jsonschema"), *variant, "--builtin-schema", f"vendor.{schema}", *recorded(ci))


def test_actionlint_finds_nothing() -> None:
    found = sorted(ROOT.glob(".tools/actionlint-*/bin/actionlint"))
    if not found:
        pytest.skip("no actionlint in .tools: `make actionlint` builds it where Go and its modules are at hand")
    checked(found[-1], "-no-color", "-config-file", FILES / "actionlint.yaml", *recorded("github"))


def test_the_audit_finds_nothing() -> None:
    settings = ("--offline", "--no-progress", "--no-config", "--color=never", "--persona=pedantic")
    checked(tool("zizmor"), *settings, *recorded("github"))


def scripts(document: Any) -> Iterator[str]:
    """Every shell script in a pipeline."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in ("run", "bash", "inlineScript") and isinstance(value, str):
                yield value
            else:
                yield from scripts(value)
    elif isinstance(document, list):
        for one in document:
            yield from scripts(one)


def every_script() -> list[str]:
    paths = [path for ci in SYSTEMS for path in recorded(ci)]
    found = {text: None for path in paths for text in scripts(yaml.safe_load(path.read_text(encoding="utf-8")))}
    return list(found)


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck: `make debian` installs it where that may be done")
    files = []
    for number, text in enumerate(every_script()):
        files.append(tmp_path / f"{number}.sh")
        files[-1].write_text(text, encoding="utf-8")
    checked("shellcheck", "--shell=bash", "--norc", *files)


def commands(script: str) -> Iterator[tuple[list[str], set[str]]]:
    """Of each `forestay ...` in a script the first two words, and its options."""
    for line in script.replace("\\\n", " ").splitlines():
        for hit in re.finditer(r"(?:^|[(;&|])\s*forestay ([a-z]+) ([a-z]+)(.*)", line):
            own = re.split(r" > | \|\| | \| | && ", hit[3])[0]
            yield [hit[1], hit[2]], set(re.findall(r"(?<=\s)--[a-z-]+", own))


def test_every_command_and_option_is_ours() -> None:
    seen = set()
    paths = dict(cli.leaves())
    for script in every_script():
        for words, given in commands(script):
            path = " ".join(words)
            command = cli.load(paths[path])
            known = {word for one in command.params for word in (*one.opts, *one.secondary_opts)}
            assert given <= known, f"{path}: {given - known}"
            required = {one.opts[0] for one in command.params if isinstance(one, click.Option) and one.required}
            assert required <= given, f"{path}: {required - given}"
            seen.add(path)
    assert {
        "job check", "infra plan", "infra up", "job submit", "endpoint list", "endpoint show", "job list",
        "job download", "model show", "model compare", "model register", "score generate", "score verify",
        "endpoint deploy", "endpoint invoke", "endpoint rollback", "infra refresh", "infra preview", "pipeline render",
    } <= seen  # fmt: skip


def test_no_event_reaches_a_shell_and_no_secret_is_stored() -> None:
    for script in every_script():
        assert "${{" not in script, script
    for ci in SYSTEMS:
        for path in recorded(ci):
            text = path.read_text(encoding="utf-8")
            assert "secrets." not in text, path
            assert "CLIENT_SECRET" not in text, path


@pytest.mark.parametrize("path", recorded("github"), ids=lambda path: f"{path.parts[-4]}-{path.stem}")
def test_every_job_of_github_says_what_it_may_and_how_long(path: Path) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["permissions"] == {}
    for name, job in document["jobs"].items():
        assert job["timeout-minutes"] <= 360, name
        writes = {key for key, value in job["permissions"].items() if value == "write"}
        assert writes <= {"id-token", "contents", "pull-requests"}, name
        # Who can log in, or write to the repository, runs nothing of a pull request's, and nothing out of a cache.
        if writes:
            assert "pull_request" not in document[True] or writes == {"pull-requests"}, name
        for step in job["steps"]:
            if "uses" in step:
                assert re.search(r"@[0-9a-f]{40}$", step["uses"]), step
        if "pull-requests" in writes:
            assert not any("checkout" in step.get("uses", "") for step in job["steps"]), name
        if "id-token" in writes:
            assert "environment" in job, f"{name}: only an environment's rules tell who may log in"


@pytest.mark.parametrize("path", recorded("azure-devops"), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_job_of_azure_devops_says_how_long(path: Path) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for stage in document["stages"]:
        for job in stage["jobs"]:
            assert int(job["timeoutInMinutes"]) <= 360
            assert job["pool"]
            steps = job.get("steps") or job["strategy"]["runOnce"]["deploy"]["steps"]
            # What changes an environment is a deployment: its checks, an approval among them, hold for it.
            run = {" ".join(words) for text in scripts(steps) for words, _ in commands(text)}
            changes = bool(run & {"infra up", "endpoint deploy", "endpoint rollback"})
            assert ("deployment" in job) is changes
            for step in steps:
                if step.get("task") == "AzureCLI@2":
                    assert step["inputs"]["azureSubscription"]
                    assert step["env"]["SYSTEM_ACCESSTOKEN"] == "$(System.AccessToken)"


def test_a_runner_inside_a_private_network_does_what_belongs_there() -> None:
    github = yaml.safe_load(rendered("services", "github")[f"{FOLDERS['github']}/forestay-deliver-churn.yml"])
    assert github["jobs"]["deploy-prod"]["runs-on"] == ["self-hosted", "vnet-prod"]
    assert github["jobs"]["deploy-test"]["runs-on"] == "ubuntu-24.04"
    devops = yaml.safe_load(rendered("services", "azure-devops")[f"{FOLDERS['azure-devops']}/forestay-drift.yml"])
    pools = {stage["stage"]: stage["jobs"][0]["pool"] for stage in devops["stages"]}
    assert pools["drift_prod"] == {"name": "self-hosted", "demands": ["vnet-prod"]}
    assert pools["drift_dev"] == {"vmImage": "ubuntu-24.04"}


def jobs_of(document: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The steps of every job."""
    if "jobs" in document:
        yield from (job["steps"] for job in document["jobs"].values())
    for stage in document.get("stages", []):
        for job in stage["jobs"]:
            yield job.get("steps") or job["strategy"]["runOnce"]["deploy"]["steps"]


@pytest.mark.parametrize("ci", SYSTEMS)
@pytest.mark.parametrize(("target", "installed"), [("aks", True), ("aci", False)])
def test_where_a_cluster_serves_what_logs_in_to_it_is_installed_before_its_stack_is_brought_up(
    ci: str, target: str, installed: bool
) -> None:
    """A stack of services is one for all models of an environment: also a deploy to ACI brings up what is on AKS."""
    other = CHURN.model_copy(update={"target": "aci"})
    texts = render(PipelineSettings(ci=ci, models=(other, SALES.model_copy(update={"target": target}))))
    changed = 0
    for text in texts.values():
        for steps in jobs_of(yaml.safe_load(text)):
            names = [step.get("name") if ci == "github" else step.get("displayName") for step in steps]
            ups = [name for name in names if name and name.startswith(("Deploy to ", "Roll back"))]
            changed += len(ups)
            assert ("Install kubelogin" in names) is (installed and bool(ups)), names
            if installed and ups:
                assert names.index("Install kubelogin") < names.index(ups[0])
    assert changed == 6


PULUMI, KUBELOGIN = "Install Pulumi", "Install kubelogin"


@pytest.mark.parametrize("ci", SYSTEMS)
@pytest.mark.parametrize("step", [PULUMI, KUBELOGIN])
@pytest.mark.parametrize("right", [True, False])
def test_a_program_is_on_the_path_where_its_hash_is_the_published_one(
    ci: str, step: str, right: bool, tmp_path: Path
) -> None:
    published = tmp_path / "published"
    published.mkdir()
    name, folder = ("pulumi", "pulumi") if step == PULUMI else ("kubelogin", "bin/linux_amd64")
    program = tmp_path / folder / name
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho this is {name}\n", encoding="utf-8")
    program.chmod(0o755)
    if step == PULUMI:
        archive = published / "pulumi-v3.272.0-linux-x64.tar.gz"
        subprocess.run(["tar", "-czf", archive, "-C", tmp_path, "pulumi"], check=True)
        sums = published / "pulumi-3.272.0-checksums.txt"
    else:
        archive = published / "kubelogin-linux-amd64.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(program, "bin/linux_amd64/kubelogin")
        sums = published / f"{archive.name}.sha256"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest() if right else "0" * 64
    sums.write_text(f"{digest}  {archive.name}\n", encoding="utf-8")
    tools = tmp_path / "tools"
    tools.mkdir()
    curl = tools / "curl"
    curl.write_text(f'#!/bin/sh\nfor url; do :; done\ncp "{published}/${{url##*/}}" .\n', encoding="utf-8")
    curl.chmod(0o755)
    (tools / "python").symlink_to(sys.executable)
    text = rendered("services", ci)[f"{FOLDERS[ci]}/forestay-rollback.yml"]
    [found] = {
        str(one.get("run") or one.get("bash")): one["env"]
        for steps in jobs_of(yaml.safe_load(text))
        for one in steps
        if step in (one.get("name"), one.get("displayName"))
    }.items()
    temp, out = tmp_path / "temp", tmp_path / "path"
    temp.mkdir()
    out.touch()
    given = {"PATH": f"{tools}:/usr/bin:/bin", "RUNNER_TEMP": str(temp), "AGENT_TEMPDIRECTORY": str(temp), **found[1]}
    done = subprocess.run(
        ["bash", "-c", found[0]], env={**given, "GITHUB_PATH": str(out)}, capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode == 0) is right, done.stderr
    path = out.read_text().strip() or done.stdout.partition("##vso[task.prependpath]")[2].strip()
    if right:
        said = subprocess.run([Path(path) / name], capture_output=True, text=True, check=True)
        assert said.stdout == f"this is {name}\n"
    else:
        assert path == ""
