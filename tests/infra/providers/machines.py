"""Where images run in tests: each as a process on this machine, at an address of 127.0.0.0/8 of its own.

An image is pulled from its registry, over the registry's protocol, and its folder is served by tests.quick_server. With
a file `broken` in it the server ends at once, with `sick` it never says that it is healthy, with `wrong` one
label is another. All that is known of what runs lies in files, so that other processes can look, and end it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tests import quick_server

KINDS = "application/vnd.oci.image.manifest.v1+json"
ANSWERS = "answers.json"  # the golden rows' predictions: an image has no golden.json
IMAGE = re.compile(r"(?P<host>[^/]+)/(?P<path>.+)@(?P<digest>sha256:[0-9a-f]{64})")
SCRIPT = (
    quick_server.SCRIPT.replace('"golden.json"', f'"{ANSWERS}"')
    .replace('["wrong"] if', '["wrong", *results[1:]] if')
    .replace('b"Healthy"', 'b"Sick" if (folder / "sick").exists() else b"Healthy"')
    .replace('if (folder / "broken").exists():\n', 'print("starting", flush=True)\nif (folder / "broken").exists():\n')
)
# What stands before pods: it takes connections and passes each on to one that has the labels which it looks for then.
LEADING = """
import json, pathlib, random, socket, sys, threading

def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass

def read(path):
    try:
        return json.loads(path.read_text())
    except OSError:  # it has just ended
        return {}

def chosen():
    wanted = read(own)["selector"].items()
    there = map(read, own.parent.glob("*.json"))
    return random.choice([one["address"] for one in there if wanted <= one.get("labels", {}).items()])

def pass_on(caller):
    with caller:
        try:
            pod = socket.create_connection((chosen(), port), timeout=60)
        except (OSError, IndexError):
            return
        with pod:
            back = threading.Thread(target=pump, args=(pod, caller))
            back.start()
            pump(caller, pod)
            back.join()

own, listening, port = pathlib.Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), int(sys.argv[3])
listening.listen(128)
while True:
    threading.Thread(target=pass_on, args=(listening.accept()[0],), daemon=True).start()
"""


class NotPulled(Exception):
    """The image is not in its registry, or that can't be reached."""


class Machines:
    """What runs, under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("images", "running"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "quick.py").write_text(SCRIPT.format(python=sys.executable))

    def address(self, key: str) -> str:
        """Where a key is served: the same for the same key."""
        two, three, four = hashlib.sha256(f"{self.folder}{key}".encode()).digest()[:3]
        return f"127.{two % 250 + 1}.{three}.{four % 250 + 1}"

    def serve(
        self,
        key: str,
        image: str,
        variables: Mapping[str, str],
        port: int,
        *,
        rolling: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Serve an image at the address of `key`, instead of what is served there.

        Parameters
        ----------
        rolling: the new one must be healthy before the old one goes; else the old one goes first, and nobody waits.
        labels: by which lead() finds it.

        Raises NotPulled; RuntimeError when the new one never becomes healthy.
        """
        folder = self.pulled(image)
        if rolling:
            tried, at = self._start(f"{key}-tried", folder, variables, port)
            healthy = _healthy(at, port, tried)
            _end(tried)
            if not healthy:
                raise RuntimeError("Deployment was rolled out but did not become ready: 0 out of 1 replicas available")
        self.stop(key)
        pid, address = self._start(key, folder, variables, port)
        if rolling:  # an orchestrator says that it is rolled out when the new ones answer, not before
            _healthy(address, port, pid)
        self._note(key, pid, address, image=image, labels=dict(labels or {}))
        return address

    def lead(self, key: str, selector: Mapping[str, str], port: int) -> str:
        """Let the address of `key` lead to what has these labels, from the next connection on."""
        there = self.find(key)
        if there is not None and there["alive"]:
            self._note(key, there["pid"], there["address"], selector=dict(selector))
            return str(there["address"])
        address = self.address(key)
        with _bound(address, port) as bound:
            self._note(key, os.getpid(), address, selector=dict(selector))
            words = [sys.executable, "-I", "-c", LEADING, str(self._path(key)), str(bound.fileno()), str(port)]
            started = subprocess.Popen(
                words, pass_fds=[bound.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
            )
        self._note(key, started.pid, address, selector=dict(selector))
        return address

    def stop(self, key: str) -> None:
        for path in (self._path(key), self._path(f"{key}-tried")):
            with contextlib.suppress(OSError, ValueError):
                _end(int(json.loads(path.read_text())["pid"]))
            path.unlink(missing_ok=True)

    def stop_all(self) -> None:
        for path in (self.folder / "running").glob("*.json"):
            self.stop(json.loads(path.read_text())["key"])

    def find(self, key: str) -> dict[str, Any] | None:
        """What runs under a key: {"key", "pid", "address", "image", "log", "alive"}."""
        try:
            found = json.loads(self._path(key).read_text())
        except (OSError, ValueError):
            return None
        log = self._log(key)
        return {**found, "alive": _alive(found["pid"]), "log": log.read_text() if log.exists() else ""}

    def pulled(self, image: str) -> Path:
        """The folder in an image, by its digest."""
        match = IMAGE.fullmatch(image)
        if match is None:
            raise NotPulled(f"{image} is no image by digest")
        target = self.folder / "images" / match["digest"].partition(":")[2]
        if not target.is_dir():
            manifest = json.loads(_get(match["host"], f"/v2/{match['path']}/manifests/{match['digest']}"))
            blob = _get(match["host"], f"/v2/{match['path']}/blobs/{manifest['layers'][0]['digest']}")
            scratch = target.with_suffix(f".{os.getpid()}")
            with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
                archive.extractall(scratch, filter="data")
            scratch.rename(target)
        return target

    def _start(self, key: str, folder: Path, variables: Mapping[str, str], port: int) -> tuple[int, str]:
        address = self.address(key)
        with _bound(address, port) as bound, self._log(key).open("wb") as log:
            words = [sys.executable, "-I", str(self.folder / "quick.py"), str(folder), "gunicorn", "--bind"]
            started = subprocess.Popen(
                [*words, f"fd://{bound.fileno()}"], pass_fds=[bound.fileno()], env=dict(variables), stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._note(key, started.pid, address, image="")
        return started.pid, address

    def _note(self, key: str, pid: int, address: str, **more: Any) -> None:
        scratch = self._path(key).with_suffix(".new")
        scratch.write_text(json.dumps({"key": key, "pid": pid, "address": address, **more}))
        scratch.replace(self._path(key))

    def _path(self, key: str) -> Path:
        return self.folder / "running" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"

    def _log(self, key: str) -> Path:
        return self._path(key).with_suffix(".log")


def _bound(address: str, port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((address, port))
    return bound


def _healthy(address: str, port: int, pid: int) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until and _alive(pid):
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection(address, port, timeout=5)
            connection.request("GET", "/")
            said = connection.getresponse().read()
            connection.close()
            return said == b"Healthy"
        time.sleep(0.02)
    return False


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    while _alive(pid):
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _get(host: str, path: str) -> bytes:
    name, _, port = host.partition(":")
    connection = http.client.HTTPConnection(name, int(port or 80), timeout=20)
    try:
        connection.request("GET", path, headers={"Accept": KINDS})
        answer = connection.getresponse()
        if answer.status != 200:
            raise NotPulled(f"{host}{path} answers {answer.status}")
        return answer.read()
    except OSError as error:
        raise NotPulled(f"{host} can't be reached: {error}") from error
    finally:
        connection.close()
