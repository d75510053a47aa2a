"""The real Dockerfile, built by Debian's buildah, pushed to Debian's registry, pulled and started with keys.

One image serves the whole module. Containers are not needed: a chroot with a read-only root starts what the image says.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scoring import checks, process, server, styles
from scoring.folder import open_folder
from scoring.schema import read_golden, read_schema
from tests import image_support, served
from tests.image_support import Registry

PRIMARY, SECONDARY = "a-key-of-thirty-two-characters-1", "a-key-of-thirty-two-characters-2"
# Everything is mounted read-only but what a container always has to itself.
START = """
set -e
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/tmp"
exec chroot --userspec="$2" "$1" /usr/bin/env -i --chdir="$3" "${@:4}"
"""
Cli = Callable[..., "subprocess.CompletedProcess[str]"]
# The first test makes the image, and the base image too where it was never made here.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def cli(bank: tuple[Path, Path]) -> Cli:
    image_support.require_tools()

    def run(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "forestay", *map(str, words)],
            env={**image_support.variables(), "FORESTAY_HOME": str(bank[0]), **more},
            cwd=bank[1].parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def registry(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    found = Registry(tmp_path_factory.mktemp("registry"))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def folder(bank: tuple[Path, Path]) -> Path:
    """A version that no image in the store has; what does not change with it is there from an earlier run."""
    return served.version(bank[1], str(int(time.time())), bank[0])


def in_store() -> set[str]:
    return set(image_support.run("buildah", "images", "--quiet", "--filter", "label=forestay.model=Bank").split())


@pytest.fixture(scope="module")
def image(cli: Cli, registry: Registry, folder: Path) -> Iterator[dict[str, Any]]:
    """The document of `image build`. What an earlier run left goes at the end, with the layers that nothing needs."""
    image_support.ensure_base()
    before = in_store()
    tag = f"127.0.0.1:{registry.port}/bank:1"
    done = cli("image", "build", folder, "--tag", tag, "--builder", "buildah", "-o", "json")
    assert done.returncode == 0, done.stderr[-3000:]
    yield {**json.loads(done.stdout), "log": done.stderr}
    if before:
        image_support.run("buildah", "rmi", "--force", *before)


@pytest.fixture(scope="module")
def root(cli: Cli, registry: Registry, image: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """What was pushed, pulled by its digest: its files, and its settings."""
    done = cli("image", "push", image["tag"], "-o", "json")
    assert done.returncode == 0, done.stderr
    pushed = json.loads(done.stdout)
    assert pushed["image"] == f"127.0.0.1:{registry.port}/bank@{pushed['digest']}"
    assert registry.manifest(pushed["digest"]).status == registry.manifest("1").status == 200
    assert registry.manifest(pushed["own_tag"].split(":")[-1]).status == 200
    words = ("from", "--quiet", "--pull-always", "--tls-verify=false", pushed["image"])
    container = image_support.run("buildah", *words).strip()
    settings = json.loads(image_support.run("buildah", "inspect", container))["Docker"]["config"]
    yield Path(image_support.run("buildah", "mount", container).strip()), settings
    image_support.run("buildah", "rm", container)


def test_it_is_labelled_and_its_parts_are_told(
    image: dict[str, Any], root: tuple[Path, dict[str, Any]], folder: Path
) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    settings = root[1]
    proven = open_folder(folder)
    assert image["built"] is True
    labels = settings["Labels"]
    assert labels["forestay.proof"] == proven.hash()
    assert labels["forestay.content"] == image["content"]
    assert labels["org.opencontainers.image.title"] == "Bank"
    assert labels["org.opencontainers.image.version"] == labels["forestay.version"] == proven.version
    assert labels["forestay.job"] == proven.job
    assert (settings["User"], settings["WorkingDir"]) == ("1001", "/srv/scoring")
    assert settings["Healthcheck"]["Test"][0] == "CMD"
    assert not any("KEY" in line for line in settings["Env"])
    text = Path(image["sbom"]).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    parts = {(part["type"], part["name"]) for part in json.loads(text)["components"]}
    assert {("machine-learning-model", "Bank"), ("library", "scikit-learn"), ("platform", "python")} <= parts


def test_nothing_is_in_it_that_should_not(root: tuple[Path, dict[str, Any]]) -> None:
    place = root[0]
    programs = {
        path.name
        for folder in ("usr/bin", "usr/local/bin", "opt/environment/bin")
        for path in (place / folder).iterdir()
    }
    assert not programs & {"cc", "gcc", "c++", "ld", "make", "clang"}
    assert not any("pip" in path.name.lower() for path in (place / "opt/environment/bin").iterdir())
    files = [path.relative_to(place).as_posix() for path in (place / "srv").rglob("*") if path.is_file()]
    assert "srv/scoring/score.py" in files
    assert not [name for name in files if "golden" in name or "forestay.json" in name or "README" in name]
    # Neither what pip was told nor the certificates of this machine's network stay behind.
    secrets = [place / "etc/pip.conf", place / "run/certificates.pem"]
    assert not [path for path in secrets if path.is_file() and path.stat().st_size]
    owned = [path for path in (place / "srv").rglob("*") if path.lstat().st_uid != 0 or path.stat().st_mode & 0o022]
    assert owned == []


class Started:
    """The image's own command under a read-only root, on a free port of 127.0.0.1."""

    def __init__(self, root: tuple[Path, dict[str, Any]], log: Path, variables: dict[str, str]) -> None:
        place, settings = root
        with server.listen() as bound:
            port = int(bound.getsockname()[1])
        command = [f"127.0.0.1:{port}" if word == "0.0.0.0:5001" else word for word in settings["Cmd"]]
        given = [*settings["Env"], *(f"{name}={value}" for name, value in variables.items())]
        words = [
            image_support.find("unshare") or "",
            "--mount",
            "bash",
            "-c",
            START,
            "start",
            place,
            settings["User"] + ":0",
            settings["WorkingDir"],
        ]
        with log.open("wb") as output:
            running = process.start(
                [*words, *given, *command], environment={"PATH": os.environ["PATH"]}, folder=Path("/"), output=output
            )
        self.server = server.Server(running, port, log)

    def __enter__(self) -> server.Server:
        return self.server

    def __exit__(self, *_: object) -> None:
        self.server.stop()


def test_it_answers_the_golden_rows_to_who_has_a_key(
    root: tuple[Path, dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    golden = read_golden(folder)
    style = styles.of(open_folder(folder).style, read_schema(folder / "model"))
    keys = {"FORESTAY_KEY_PRIMARY": PRIMARY, "FORESTAY_KEY_SECONDARY": SECONDARY}
    with Started(root, tmp_path / "log", keys) as running:
        server.wait_healthy(running)
        for form in style.forms:
            found = checks.golden(running.url, form, golden, key=SECONDARY)
            assert found.passed, found.detail
        assert checks.golden(running.url, style.forms[0], golden, key=PRIMARY).passed
        refused = server.post(running.url, {"data": []}, key="another")
        assert (refused.status, refused.json["error"]["code"]) == (401, "no_key")
    log = (tmp_path / "log").read_text()
    assert '"POST /score HTTP/1.1" 200' in log
    assert PRIMARY not in log
    assert SECONDARY not in log


def test_it_does_not_start_without_keys(root: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    with Started(root, tmp_path / "log", {}) as running:
        assert running.process.wait(60) == 3
    assert "no keys: set FORESTAY_KEY_PRIMARY" in (tmp_path / "log").read_text()


def test_the_same_content_is_not_built_again(cli: Cli, image: dict[str, Any], folder: Path) -> None:
    again = cli("image", "build", folder, "--tag", "forestay-test/bank:again", "--builder", "buildah", "-o", "json")
    assert again.returncode == 0, again.stderr
    document = json.loads(again.stdout)
    assert (document["built"], document["content"], document["digest"]) == (False, image["content"], image["digest"])
    assert "nothing is built" in again.stderr
    image_support.run("buildah", "rmi", "forestay-test/bank:again")
    # The record is of the last tag: pushed again below.
    assert cli("image", "build", folder, "--tag", image["tag"], "--builder", "buildah").returncode == 0


def test_a_new_model_version_rebuilds_the_last_layers_only(
    cli: Cli, image: dict[str, Any], registry: Registry, bank: tuple[Path, Path]
) -> None:
    second = served.version(bank[1], str(int(time.time()) + 1), bank[0])
    tag = f"127.0.0.1:{registry.port}/bank:7"
    started = time.monotonic()
    done = cli("image", "build", second, "--tag", tag, "--builder", "buildah", "-o", "json")
    print(f"rebuilt in {time.monotonic() - started:.1f} s")
    shutil.rmtree(second)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["built"] is True
    assert document["content"] != image["content"]
    assert "Installing collected packages" not in done.stderr
    assert done.stderr.count("Using cache") >= 10


def test_a_registry_that_is_down_changes_nothing(cli: Cli, image: dict[str, Any], registry: Registry) -> None:
    registry.stop()
    try:
        failed = cli("image", "push", image["tag"])
    finally:
        registry.start()
    assert failed.returncode == 3
    assert "buildah can't push" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert cli("image", "push", image["tag"]).returncode == 0


def test_podman_serves_it_as_an_endpoint(cli: Cli, image: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    """A real engine: the container has a root, a network and a user of its own."""
    program, name = image_support.find("podman"), f"podded-{os.getpid()}"
    if program is None or image_support.find("runc") is None:
        pytest.skip("no container is run: apt-get install podman runc")
    path = image_support.absent(tmp_path / "bin", "docker")

    def endpoint(*words: str | Path) -> Any:
        done = cli("endpoint", *words, "-o", "json", PATH=path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def containers() -> list[dict[str, Any]]:
        ids = image_support.run(program, "ps", "--quiet", "--filter", "name=forestay-").split()
        found: list[dict[str, Any]] = json.loads(image_support.run(program, "inspect", *ids)) if ids else []
        return found

    words = ("deploy", name, "--model", "Bank", "--from", folder, "--container", "--auth", "keys")
    made = endpoint(*words)
    try:
        assert (made["status"], made["auth"]) == ("Healthy", "keys")
        [container] = containers()
        assert container["Image"] == image["digest"].removeprefix("sha256:")
        assert container["Config"]["User"] == "1001"
        assert container["HostConfig"]["ReadonlyRootfs"] is True
        assert container["EffectiveCaps"] in (None, [])
        [answer] = endpoint("invoke", name)["Results"]
        assert answer in read_schema(folder / "model").classes
        assert server.post(made["scoring_uri"].removesuffix("/score"), {"data": []}, key="another").status == 401
        assert endpoint(*words)["changed"] is False
    finally:
        assert cli("endpoint", "delete", name, "--yes", PATH=path).returncode == 0
    served.wait_for(lambda: containers() == [])
