"""A command job: its code is unpacked, its inputs are fetched, and its command really runs, once on every node."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.azure.standin.blobs import ARTIFACTS, DATA

if TYPE_CHECKING:
    from tests.azure.standin.service import Service

ENDED = ("Completed", "Failed", "Canceled")


class CommandJob:
    """One job of the workspace, as the service knows jobs; nodes are processes of this machine."""

    def __init__(self, name: str, properties: dict[str, Any], service: Service, folder: Path) -> None:
        self.name, self.properties, self.service, self.folder = name, properties, service, folder / name
        self.state = "Running"
        self.running: list[subprocess.Popen[bytes]] = []
        threading.Thread(target=self.run, daemon=True).start()

    def document(self) -> dict[str, Any]:
        return {
            "id": f"{self.service.root}/jobs/{self.name}",
            "name": self.name,
            "properties": {**self.properties, "status": self.state},
        }

    def cancel(self) -> None:
        self.state = "Canceled"
        for one in self.running:
            one.kill()

    def run(self) -> None:
        """The whole job, from its inputs to its outputs."""
        try:
            good = self.nodes()
        except Exception as error:  # noqa: BLE001 - Azure says that it failed, whatever it was
            self.log(f"{type(error).__name__}: {error}")
            good = False
        if self.state not in ENDED:
            self.state = "Completed" if good else "Failed"

    def nodes(self) -> bool:
        code = self.service.things[_thing(self.properties["codeId"])]["properties"]["codeUri"]
        self.fetch(code.partition(f"/{DATA}/")[2], self.folder / "code")
        assert _thing(self.properties["environmentId"]) in self.service.things
        places: dict[str, Path] = {}
        for name, given in self.properties["inputs"].items():
            places[f"inputs.{name}"] = self.fetch(_path(given["uri"]), self.folder / "inputs" / name)
        for name in self.properties["outputs"]:
            places[f"outputs.{name}"] = self.folder / "outputs" / name
        words = [
            re.sub(r"\$\{\{([^}]+)\}\}", lambda match: str(places[match[1]]), word)
            for word in shlex.split(self.properties["command"])
        ]
        count = self.properties["resources"]["instanceCount"]
        mpi = self.properties.get("distribution", {}).get("distributionType") == "Mpi"
        assert mpi or count == 1
        for rank in range(count):
            ranks = {"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": str(count)} if mpi else {}
            self.running.append(
                subprocess.Popen(
                    [sys.executable, *words[1:]],
                    cwd=self.folder / "code",
                    env={"PATH": "/usr/bin:/bin", **self.properties.get("environmentVariables", {}), **ranks},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
        said = [one.communicate()[0].decode() for one in self.running]
        self.log("\n".join(said))
        for name, given in self.properties["outputs"].items():
            place = places[f"outputs.{name}"]
            for path in sorted(place.rglob("*")) if place.is_dir() else ():
                below = f"{_path(given['uri']).rstrip('/')}/{path.relative_to(place).as_posix()}"
                self.service.blobs().put(DATA, below, path.read_bytes())
        return all(one.returncode == 0 for one in self.running)

    def fetch(self, prefix: str, to: Path) -> Path:
        """Blobs below a prefix into a folder, or the one of that name into a file."""
        blobs = self.service.blobs()
        names = blobs.names(DATA, prefix)
        assert names, f"nothing lies under {prefix}"
        for name in names:
            below = name.removeprefix(prefix).lstrip("/") or Path(name).name
            path = to / below
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(blobs.get(DATA, name))
        return to / Path(prefix).name if names == [prefix] else to

    def log(self, text: str) -> None:
        self.service.blobs().put(ARTIFACTS, f"ExperimentRun/dcid.{self.name}/user_logs/std_log.txt", text.encode())


def _thing(path: str) -> str:
    return path.partition("/workspaces/")[2].partition("/")[2]


def _path(uri: str) -> str:
    return uri.partition("/paths/")[2]
