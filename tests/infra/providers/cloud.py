"""The cloud of the test providers: a file with what there is, what was done, and what shall fail.

The file is read before and written after each request, so that a test, or a person with an editor, may look into it
and change it between runs.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Refused(Exception):
    """The cloud's answer to a request that it does not take."""


class HalfMade(Exception):
    """Made, but the provider could not see it become ready."""

    def __init__(self, message: str, id_: str, state: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.id, self.state = id_, state


@dataclass(frozen=True)
class Request:
    """What a provider is asked for: `create`, `update` or `delete` of one resource."""

    op: str
    type: str
    name: str
    id: str

    def __str__(self) -> str:
        return f"{self.op} {self.type.removeprefix('azure-native:').removeprefix('kubernetes:')} {self.name}"


class Cloud:
    """The file.

    Parameters
    ----------
    path: where it lies; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        if not path.exists():
            self._write({"resources": {}, "journal": [], "faults": []})

    @contextlib.contextmanager
    def open(self) -> Iterator[dict[str, Any]]:
        """What the file holds, to be changed inside of the block: {"resources", "journal", "faults"}."""
        with self._lock:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            before = json.dumps(content)
            try:
                yield content
            finally:
                if json.dumps(content) != before:
                    self._write(content)

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """What there is, by id in small letters: {"id", "type", "name", "inputs", "outputs"}."""
        with self.open() as content:
            return content["resources"]

    @property
    def journal(self) -> list[str]:
        """What was done: "create storage:StorageAccount storage"."""
        with self.open() as content:
            return content["journal"]

    @property
    def faults(self) -> list[dict[str, Any]]:
        """What shall fail and has not been asked for yet."""
        with self.open() as content:
            return content["faults"]

    def forget(self) -> None:
        """Empty the journal and take faults away; what there is stays."""
        with self.open() as content:
            content["journal"], content["faults"] = [], []

    def fail(self, op: str, name: str, message: str = "Code=Broken", **more: Any) -> None:
        """Let a request fail.

        Parameters
        ----------
        op: create, update or delete. name: the program's name of the resource, or its type.
        more: `times` (1), `after` requests that succeed (0), `made` for a resource that is made all the same, `seconds`
            to wait first, and an empty `message` for a request that is only slow.
        """
        with self.open() as content:
            content["faults"].append({"op": op, "name": name, "message": message, "times": 1, "after": 0, **more})

    def ask(self, request: Request) -> tuple[str, bool]:
        """Whether this request shall fail: the message, or "", and whether the resource is made all the same."""
        with self.open() as content:
            fault = next((one for one in content["faults"] if _meant(one, request)), None)
            if fault is None:
                return "", False
            if fault["after"]:
                fault["after"] -= 1
                return "", False
            fault["times"] -= 1
            content["faults"] = [one for one in content["faults"] if one["times"] > 0]
        time.sleep(fault.get("seconds", 0))
        return fault["message"], bool(fault.get("made"))

    def note(self, request: Request, content: dict[str, Any], failed: str = "") -> None:
        content["journal"].append(f"{request}{' FAILED' if failed else ''}")

    def _write(self, content: Mapping[str, Any]) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(content, indent=1), encoding="utf-8")
        new.replace(self.path)


def _meant(fault: Mapping[str, Any], request: Request) -> bool:
    return fault["op"] == request.op and fault["name"] in (request.name, request.type, request.type.partition(":")[2])
