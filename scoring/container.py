"""The proof in a container: where a model's Python is not on this machine, the folder's own image is built and served.

Any engine will do that speaks docker's command line. What is run is what the Dockerfile says, as a user without rights.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from forestay.errors import OutsideError
from scoring import engines, environment, process, reference, server

Say = Callable[[str], None]

ENGINES = ("docker", "podman")
IMAGE_PORT = 5001  # as in templates/scoring/Dockerfile.j2, and so the next
MODEL_FOLDER = "/srv/scoring/model/"
BUILD_SECONDS, ASK_SECONDS = 1800, 120
BROUGHT = frozenset({"pip", "setuptools", "wheel"})  # what the base image has beside the lock
_MEMORY = re.compile(r"([\d.]+)\s*([kKMG]?)i?B")
_UNITS = {"": 1e-6, "k": 1024e-6, "K": 1024e-6, "M": 1.048576, "G": 1073.741824}


@dataclass(frozen=True)
class Image:
    """An image that `engine`, the path of its program, has under the name `tag`."""

    engine: str
    tag: str


@dataclass
class ContainerServer(server.Server):
    """A server in a container; `process` is the engine's client, which ends with it."""

    image: Image | None = None
    name: str = ""

    def stop(self) -> None:
        """End the client and the container; it was started with --rm, so nothing of it stays."""
        super().stop()
        if self.image is not None:
            engines.ask(self.image.engine, "rm", "--force", self.name, seconds=ASK_SECONDS)


def find_engine() -> str:
    """The program of a container engine that runs. Raises OutsideError saying what each lacks."""
    return engines.first_running(ENGINES, "container engine", "install and start docker or podman")[1]


def build(engine: str, folder: Path, folder_hash: str, say: Say) -> Image:
    """The image of a scoring folder. Raises OutsideError with the engine's last words when it can't be built."""
    image = Image(engine, f"forestay-verify:{folder_hash[:32]}")
    say(f"building the image with {Path(engine).name}")
    code, text = engines.ask(engine, "build", "--tag", image.tag, str(folder), seconds=BUILD_SECONDS)
    if code != 0:
        raise OutsideError(
            f"{Path(engine).name} can't build the image: {engines.telling_line(text)}",
            fix=f"see what it says: {Path(engine).name} build {folder.name}",
        )
    return image


def remove(image: Image) -> None:
    """Take the image away again; its layers stay in the engine's cache."""
    engines.ask(image.engine, "rmi", "--force", image.tag, seconds=ASK_SECONDS)


def installed_versions(image: Image) -> tuple[dict[str, str], bool]:
    """What the image has beside the base's own: version by canonical name, and whether it can import forestay."""
    words = ("run", "--rm", "--network", "none", "--entrypoint", "python", image.tag, "-I", "-c", environment.QUESTION)
    code, text = engines.ask(image.engine, *words, seconds=ASK_SECONDS)
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
    words = ("run", "--rm", "-i", "--network", "none", "--entrypoint", "python", image.tag, "-I")
    return reference.by([image.engine, *words], None, BUILD_SECONDS)


def start(image: Image, *, log: Path, work: Path) -> ContainerServer:
    """Start the image's server on a free port of 127.0.0.1, without waiting for it; what it writes goes to `log`."""
    port = server.free_port()
    name = f"forestay-verify-{uuid.uuid4().hex[:12]}"
    command = [
        image.engine, "run", "--rm", "--name", name, "--publish", f"{server.HOST}:{port}:{IMAGE_PORT}",
        "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--env", "FORESTAY_AUTH=none", image.tag,
    ]  # fmt: skip
    with log.open("ab") as output:
        running = process.start(command, environment=os.environ, folder=work, output=output)
    return ContainerServer(running, port, log, image=image, name=name)


def memory_mb(running: ContainerServer) -> float | None:
    """The container's memory in MB as the engine says it; None where it does not."""
    assert running.image is not None
    words = ("stats", "--no-stream", "--format", "{{.MemUsage}}", running.name)
    code, text = engines.ask(running.image.engine, *words, seconds=ASK_SECONDS)
    match = _MEMORY.search(text) if code == 0 else None
    return round(float(match[1]) * _UNITS[match[2]], 1) if match else None
