"""The programs that build images, docker, podman and buildah, behind one interface.

They take nearly the same words. Each keeps images in a store of its own, finds those there by their labels, and pushes
with the login that it has (`docker login`, `az acr login`), else with the one to Azure. What it writes is passed on
line by line.
"""

from __future__ import annotations

import json
import os
import platform as machines
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from forestay.errors import InputError, OutsideError, RunFailed
from scoring import process
from scoring.engines import ask, first_running, telling_line
from scoring.images.registry import AZURES, logged_in, place_of

Say = Callable[[str], None]

NAMES = ("docker", "podman", "buildah")
INSTALL = "install docker, podman or buildah, as by: apt-get install buildah"
ASK_SECONDS, FETCH_SECONDS = 60, 600
AZURES_PLATFORM = "linux/amd64"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_OUTSIDE = re.compile(
    r"dial tcp|no such host|connection re|i/o timeout|tls: |unauthorized|denied|failed to resolve|manifest unknown"
    r"|temporary failure|failed to fetch|could not connect|max retries exceeded|newconnectionerror|name or service",
    re.IGNORECASE,
)
# https://pkg.go.dev/github.com/distribution/reference
_TAG = re.compile(
    r"(?=.{1,255}$)([a-z0-9][a-z0-9.-]*(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
)
_REGISTRY = re.compile(r"(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+)(:[0-9]+)?/")  # else it is a name on Docker Hub, or here
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]+){3})(:[0-9]+)?/")


def own_platform() -> str:
    """The platform of containers on this machine, as builders name it: of Linux, on a Mac too."""
    machine = machines.machine().lower()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


class ImageBuilder(Protocol):
    """What builds images and keeps them, here or in a registry; see Builder for what each call does.

    `platform`: what it builds for. `pushes`: whether what it builds is in the registry with that.
    """

    @property
    def name(self) -> str: ...
    @property
    def platform(self) -> str: ...
    @property
    def pushes(self) -> bool: ...
    def find(self, label: str, value: str) -> str | None: ...
    def build(
        self, context: Path, tag: str, labels: Mapping[str, str], secrets: Mapping[str, Path], say: Say
    ) -> str: ...
    def fetch(self, tag: str) -> bool: ...
    def tag(self, image: str, tag: str) -> None: ...
    def push(self, tag: str, say: Say) -> str: ...


@dataclass(frozen=True)
class Builder:
    """One of NAMES, where its program lies, and the platform that it builds for."""

    name: str
    program: str
    platform: str = field(default_factory=own_platform)
    pushes: bool = False

    def find(self, label: str, value: str) -> str | None:
        """The id of an image in its store that has this label, `sha256:...`; None where there is none."""
        words = ("images", "--no-trunc", "--quiet", "--filter", f"label={label}={value}")
        code, text = ask(self.program, *words, seconds=ASK_SECONDS)
        ids = text.split() if code == 0 else []
        return ids[0] if ids else None

    def build(self, context: Path, tag: str, labels: Mapping[str, str], secrets: Mapping[str, Path], say: Say) -> str:
        """Build the Dockerfile in `context` and give the image's id.

        Raises OutsideError when the base or a package can't be fetched, RunFailed when a step fails.
        """
        with tempfile.TemporaryDirectory() as scratch:
            made = Path(scratch, "id")
            # Docker's own form of an image: the other one has no place for a health check.
            own = ("--progress", "plain") if self.name == "docker" else ("--format", "docker", "--layers")
            words = [
                "build", *own, "--platform", self.platform, "--iidfile", str(made), "--tag", tag,
                "--file", str(context / "Dockerfile"),
                *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
                *(word for name, path in secrets.items() for word in ("--secret", f"id={name},src={path}")),
                str(context),
            ]  # fmt: skip
            code, last = self._stream(words, say)
            if code != 0:
                kind = OutsideError if _OUTSIDE.search(last) else RunFailed
                raise kind(f"{self.name} can't build the image: {telling_line(last)}", fix="its log above says more")
            return made.read_text(encoding="utf-8").strip()

    def fetch(self, tag: str) -> bool:
        """Get an image from the registry in its name, where that is one and has it; False where not."""
        if not _REGISTRY.match(tag):
            return False
        with logged_in(place_of(tag)[0]):
            words = ("pull", "--quiet", "--platform", self.platform, *self._plain(tag), tag)
            code, _ = ask(self.program, *words, seconds=FETCH_SECONDS)
        return code == 0

    def tag(self, image: str, tag: str) -> None:
        """Give an image in the store one more name."""
        code, text = ask(self.program, "tag", image, tag, seconds=ASK_SECONDS)
        if code != 0:
            raise RunFailed(f"{self.name} can't name the image {tag}: {telling_line(text)}", fix="choose another --tag")

    def push(self, tag: str, say: Say) -> str:
        """Push an image and give the digest that the registry knows it by. Raises OutsideError."""
        with tempfile.TemporaryDirectory() as scratch:
            written = Path(scratch, "digest")
            own: Sequence[str] = ()
            if self.name != "docker":
                own = ("--digestfile", str(written), *self._plain(tag))
            host = place_of(tag)[0]
            with logged_in(host, say):
                code, last = self._stream(["push", *own, tag], say)
            if code != 0:
                log_in = f"{'az login, or ' if AZURES.fullmatch(host) else ''}{self.name} login {host}"
                raise OutsideError(
                    f"{self.name} can't push {tag}: {telling_line(last)}",
                    fix=f"is the registry up, and did you log in? {log_in}",
                )
            return self._pushed(tag) if self.name == "docker" else written.read_text(encoding="utf-8").strip()

    def _plain(self, tag: str) -> tuple[str, ...]:
        """What lets a registry of this machine speak without TLS, as docker does by itself."""
        return ("--tls-verify=false",) if self.name != "docker" and _LOOPBACK.match(tag) else ()

    def _pushed(self, tag: str) -> str:
        """The digest under which docker pushed a tag."""
        _, text = ask(self.program, "image", "inspect", "--format", "{{json .RepoDigests}}", tag, seconds=ASK_SECONDS)
        repository = tag.rpartition(":")[0]
        try:
            return next(one.partition("@")[2] for one in json.loads(text) if one.partition("@")[0] == repository)
        except (ValueError, TypeError, StopIteration) as error:
            raise OutsideError(f"docker does not tell the digest of {tag}", fix="push it again") from error

    def _stream(self, words: Sequence[str], say: Say) -> tuple[int, str]:
        """Run the program, pass on its lines: its exit code, and the last lines together."""
        running = process.start(
            [self.program, *words], environment=os.environ, folder=Path.cwd(), output=subprocess.PIPE
        )
        last: list[str] = []
        try:
            assert running.stdout is not None
            with running.stdout as stream:
                for raw in stream:
                    line = re.sub(r"://[^/\s@]*@", "://", raw.decode("utf-8", "replace").rstrip())
                    if line:
                        last = [*last[-9:], line]
                        say(f"  {self.name} | {line}")
            return running.wait(), "\n".join(last)
        finally:
            process.stop(running)


def choose(name: str | None, platform: str | None = None) -> Builder:
    """The builder of this name, or the first that runs; it builds for a platform, by default this machine's.

    Raises OutsideError saying what each lacks.
    """
    found = first_running((name,) if name else NAMES, "builder of images", INSTALL)
    return Builder(*found, platform=platform or own_platform())


def goes_elsewhere(tag: str) -> bool:
    """Whether a registry is in an image's name that is not on this machine."""
    return bool(_REGISTRY.match(tag)) and not _LOOPBACK.match(tag)


def check_tag(tag: str) -> str:
    """`tag`, if it names an image with a tag, as in registry.example/churn:3. Raises InputError."""
    if not _TAG.fullmatch(tag):
        raise InputError(
            f"{tag!r} is no image's name with a tag",
            where="--tag",
            fix="write it as in churn:3 or myregistry.azurecr.io/churn:3, in lower-case letters before the colon",
        )
    return tag
