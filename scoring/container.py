"""The proof in a container: where a model's Python is not on this machine, the folder's own image is built and served.

Any engine will do that builds images: docker and podman run them as they are meant to run. buildah runs what is in one
by chroot on the network of this machine, which proves its contents as well.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from forestay.errors import OutsideError
from scoring import engines, environment, process, reference, server
from scoring.images import builders, indexes
from scoring.images.builders import Builder

Say = Callable[[str], None]

BUILDAH = "buildah"
IMAGE_ADDRESS = f"0.0.0.0:{server.IMAGE_PORT}"  # as in templates/scoring/Dockerfile.j2, and so the next
MODEL_FOLDER = "/srv/scoring/model/"
ASK_SECONDS, LONG_SECONDS = 120, 1800
BROUGHT = frozenset({"pip", "setuptools", "wheel"})  # what the base image has beside the lock
_MEMORY = re.compile(r"([\d.]+)\s*([kKMG]?)i?B")
_UNITS = {"": 1e-6, "k": 1024e-6, "K": 1024e-6, "M": 1.048576, "G": 1073.741824}


@dataclass(frozen=True)
class Image:
    """An image, in the store of `engine`, under the name `tag`.

    Attributes
    ----------
    working: the working container that buildah runs things in; "" for the others, which make one each time.
    """

    engine: Builder
    tag: str
    working: str = ""

    def command(self, *words: str) -> list[str]:
        """What runs `words` in the image, without a network where the engine can, as its user without rights."""
        program = self.engine.program
        if self.working:
            return [program, "run", "--isolation", "chroot", self.working, "--", *words]
        entry, *rest = words
        return [program, "run", "--rm", "-i", "--network", "none", "--entrypoint", entry, self.tag, *rest]


@dataclass
class ContainerServer(server.Server):
    """A server in a container; `process` is the engine's client, which ends with it."""

    image: Image | None = None
    name: str = ""

    def stop(self) -> None:
        """End the client and the container; it was started with --rm, so nothing of it stays."""
        super().stop()
        if self.image is not None and self.name:
            engines.ask(self.image.engine.program, "rm", "--force", self.name, seconds=ASK_SECONDS)


def find_engine() -> Builder:
    """A container engine that runs. Raises OutsideError saying what each lacks."""
    found = engines.first_running(builders.NAMES, "container engine", "install docker, podman or buildah")
    return Builder(*found)


def build(engine: Builder, folder: Path, folder_hash: str, say: Say) -> Image:
    """The image of a scoring folder. Raises OutsideError, RunFailed with the engine's last words when it fails."""
    tag = f"forestay-verify:{folder_hash[:32]}"
    say(f"building the image with {engine.name}")
    with tempfile.TemporaryDirectory() as scratch:
        engine.build(folder, tag, {}, indexes.secrets(os.environ, Path(scratch)), say)
    if engine.name != BUILDAH:
        return Image(engine, tag)
    code, text = engines.ask(engine.program, "from", "--pull-never", tag, seconds=ASK_SECONDS)
    if code != 0:
        raise OutsideError(f"buildah can't open the image: {engines.telling_line(text)}", fix="run this again")
    return Image(engine, tag, working=text.split()[-1])


def remove(image: Image) -> None:
    """Take the image away again; its layers stay in the engine's cache."""
    if image.working:
        engines.ask(image.engine.program, "rm", image.working, seconds=ASK_SECONDS)
    engines.ask(image.engine.program, "rmi", "--force", image.tag, seconds=ASK_SECONDS)


def installed_versions(image: Image) -> tuple[dict[str, str], bool]:
    """What the image has beside the base's own: version by canonical name, and whether it can import forestay."""
    program, *words = image.command("python", "-I", "-c", environment.QUESTION)
    code, text = engines.ask(program, *words, seconds=ASK_SECONDS)
    try:
        pairs, has_forestay = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise OutsideError(
            f"Python does not run in the image (exit code {code}): {engines.telling_line(text)}", fix="build it again"
        ) from error
    found = {canonicalize_name(name): version for name, version in pairs}
    return {name: version for name, version in found.items() if name not in BROUGHT}, bool(has_forestay)


def asking(image: Image) -> reference.Ask:
    """Runs a script by the image's Python with a text on its standard input: exit code, output, errors."""
    return reference.by(image.command("python", "-I"), None, LONG_SECONDS)


def start(image: Image, *, log: Path, work: Path) -> ContainerServer:
    """Start the image's server on a free port of 127.0.0.1, without waiting for it; what it writes goes to `log`."""
    port = server.free_port()
    name = "" if image.working else f"forestay-verify-{uuid.uuid4().hex[:12]}"
    if image.working:
        command = image.command("env", "FORESTAY_AUTH=none", *_served(image, port))
    else:
        command = [
            image.engine.program, "run", "--rm", "--name", name,
            "--publish", f"{server.HOST}:{port}:{server.IMAGE_PORT}",
            "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--env", "FORESTAY_AUTH=none", image.tag,
        ]  # fmt: skip
    with log.open("ab") as output:
        running = process.start(command, environment=os.environ, folder=work, output=output)
    return ContainerServer(running, port, log, image=image, name=name)


def _served(image: Image, port: int) -> Sequence[str]:
    """The image's own command, on a port of this machine's loopback: chroot has no network of its own."""
    _, text = engines.ask(image.engine.program, "inspect", image.working, seconds=ASK_SECONDS)
    try:
        words = [str(word) for word in json.loads(text)["OCIv1"]["config"]["Cmd"]]
    except (ValueError, TypeError, KeyError) as error:
        raise OutsideError("the image has no command to serve with", fix="generate the folder again") from error
    return [f"{server.HOST}:{port}" if word == IMAGE_ADDRESS else word for word in words]


def memory_mb(running: ContainerServer) -> float | None:
    """The container's memory in MB as the engine says it; None where it does not."""
    assert running.image is not None
    if not running.name:
        return None
    words = ("stats", "--no-stream", "--format", "{{.MemUsage}}", running.name)
    code, text = engines.ask(running.image.engine.program, *words, seconds=ASK_SECONDS)
    match = _MEMORY.search(text) if code == 0 else None
    return round(float(match[1]) * _UNITS[match[2]], 1) if match else None
