"""What the tests of images need: Debian's buildah and registry, and a base image without a registry to pull it from.

The base has the name that the Dockerfile gives, so that the real Dockerfile is built: Debian's smallest system by
debootstrap with the Python that runs the tests under /usr/local, as the official image has it. It is made once and kept
under .tools/, as is the store of images; only root can do all that.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forestay import project
from scoring import process, server
from tests import served
from tests.conftest import ROOT

PROGRAMS = {"buildah": "buildah", "debootstrap": "debootstrap", "docker-registry": "docker-registry"}
TOOLS = ROOT / ".tools" / "images"
BASE = f"docker.io/library/python:{platform.python_version()}-slim-bookworm"
LIBRARIES = "ca-certificates,libbz2-1.0,libffi8,liblzma5,libsqlite3-0,libssl3,zlib1g"
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{tools}/store"
runroot = "{tools}/run"
"""
# What podman needs where cgroups are of both kinds, and nobody may raise a limit: Debian's crun runs in neither case.
CONTAINERS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
REGISTRY = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
LEFT_OUT = shutil.ignore_patterns("site-packages", "test", "__pycache__", "config-3*", "idlelib", "tkinter", "lib2to3")


def require_tools() -> None:
    """Skip, saying why, where images can't be built."""
    missing = [package for program, package in PROGRAMS.items() if find(program) is None]
    if missing:
        pytest.skip(f"images are not built: install {', '.join(missing)} with apt-get")
    if os.geteuid() != 0:
        pytest.skip("images are not built: debootstrap and chroot need root")
    if sys.base_prefix == "/usr":
        pytest.skip("images are not built: the Python of the system can't be copied into a base image")


def find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def variables() -> dict[str, str]:
    """The environment of buildah and podman: a store of images of our own."""
    settings, containers = TOOLS / "storage.conf", TOOLS / "containers.conf"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(STORAGE.format(tools=TOOLS))
    containers.write_text(CONTAINERS)
    own = {"CONTAINERS_STORAGE_CONF": str(settings), "CONTAINERS_CONF": str(containers)}
    return {**os.environ, **own, "BUILDAH_ISOLATION": "chroot"}


def absent(bin_: Path, *engines: str) -> str:
    """A PATH on which these engines do not run, whatever is installed; `bin_` is a folder for that."""
    bin_.mkdir(parents=True, exist_ok=True)
    for name in engines:
        (bin_ / name).write_text("#!/bin/sh\nexit 1\n")
        (bin_ / name).chmod(0o755)
    return f"{bin_}{os.pathsep}{os.environ['PATH']}"


def run(*words: str | Path) -> str:
    done = subprocess.run(list(map(str, words)), env=variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def ensure_base() -> None:
    """The base image with the Python that runs us, in the store; made when it is not there."""
    base(platform.python_version(), Path(sys.base_prefix))


def base(version: str, prefix: Path) -> None:
    """The base image of a Python of that version, which lies at `prefix`; of tests side by side, one makes it."""
    name = f"docker.io/library/python:{version}-slim-bookworm"
    with project.lock(TOOLS / "base.lock", "the base image", wait_seconds=600):
        if run("buildah", "images", "--quiet", "--filter", f"reference={name}").strip():
            return
        root = TOOLS / "root"
        shutil.rmtree(root, ignore_errors=True)
        run("cp", "--archive", system(), root)
        copy_python(prefix, version, root / "usr" / "local")
        run("chroot", root, "ldconfig")
        run("chroot", root, "/usr/local/bin/python", "-m", "ensurepip")
        container = run("buildah", "from", "--pull-never", "scratch").strip()
        run("buildah", "add", "--quiet", container, root, "/")
        run("buildah", "config", "--env", "PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", container)
        run("buildah", "commit", "--quiet", "--rm", container, name)
        shutil.rmtree(root)


def system() -> Path:
    """The folder of Debian's smallest system, which every base image begins with; made when it is not there."""
    found = TOOLS / "system"
    if found.is_dir():
        return found
    scratch = TOOLS / "system.new"
    shutil.rmtree(scratch, ignore_errors=True)
    done = subprocess.run(
        [str(find("debootstrap")), "--variant=minbase", f"--include={LIBRARIES}", "bookworm", str(scratch)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        shutil.rmtree(scratch, ignore_errors=True)
        pytest.skip(f"images are not built: debootstrap failed: {(done.stderr or done.stdout)[-300:]}")
    shutil.copyfile("/etc/resolv.conf", scratch / "etc" / "resolv.conf")
    shutil.rmtree(scratch / "var" / "cache" / "apt", ignore_errors=True)
    return scratch.rename(found)


def copy_python(source: Path, version: str, target: Path) -> None:
    """An interpreter with its standard library, without what is installed in it."""
    program = f"python{version.rpartition('.')[0]}"
    shutil.copytree(source / "lib" / program, target / "lib" / program, ignore=LEFT_OUT, dirs_exist_ok=True)
    (target / "lib" / program / "site-packages").mkdir()
    for library in (source / "lib").glob("libpython*.so*"):
        shutil.copy2(library, target / "lib" / library.name, follow_symlinks=False)
    shutil.copy2(source / "bin" / program, target / "bin" / program)
    for name in ("python", "python3"):
        (target / "bin" / name).symlink_to(program)


class Registry:
    """Debian's docker-registry on a free port; it can be stopped and started again."""

    def __init__(self, place: Path) -> None:
        with server.listen() as bound:
            self.port = int(bound.getsockname()[1])
        self.place, self.running = place, None
        (place / "config.yml").write_text(REGISTRY.format(root=place / "data", port=self.port))
        self.start()

    def start(self) -> None:
        with (self.place / "log").open("ab") as log:
            self.running = process.start(
                [find("docker-registry") or "", "serve", self.place / "config.yml"],
                environment={"PATH": os.defpath}, folder=self.place, output=log,
            )  # fmt: skip
        served.wait_for(lambda: server.is_healthy(self.url, says=("/v2/", b"{}")))

    def stop(self) -> None:
        assert self.running is not None
        process.stop(self.running)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manifest(self, reference: str) -> server.Answer:
        accepted = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
        return server.ask(self.url, "GET", f"/v2/bank/manifests/{reference}", headers={"Accept": accepted})
