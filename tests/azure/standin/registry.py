"""A container registry of Azure: its tasks, which take what is uploaded, and the registry's own protocol.

A run "builds" by looking at what a builder would: the task's steps, the context, and that every file that the
Dockerfile copies is in it. Its log grows while it runs; the image then has a digest that its content gives.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.azure.standin.blobs import ACCOUNT
from tests.azure.standin.blobs import TASKS as CONTAINER
from tests.azure.standin.service import ROUTES as OTHERS
from tests.azure.standin.service import Service, arm_check, claims_of, refused
from tests.azure.standin.wire import Request, Response

HOST = ".azurecr.io"
KIND = "application/vnd.oci.image.manifest.v1+json"
TASKS = ("2019-06-01-preview",)


@dataclass
class Registry:
    """What is in it: digest by repository and tag, manifests by digest.

    Attributes
    ----------
    runs: status, log and images by the run's name. fails: what the next build's log ends with; empty for success.
    looks: how often a run is looked at before it ends.
    """

    service: Service
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    fails: str = ""
    looks: int = 2

    def reset(self) -> None:
        for one in (self.tags, self.manifests, self.runs, self.locked):
            one.clear()
        self.fails = ""

    # ---- tasks ----

    def place(self) -> Response:
        """Where a context may be put, once."""
        name = f"source/{time.monotonic_ns()}.tar.gz"
        return Response(200, {"relativePath": name, "uploadUrl": self.address(name)})

    def schedule(self, body: dict[str, Any]) -> Response:
        checked = {"name": "run", "properties": {"runRequest": body}}
        kind = "Microsoft.ContainerRegistry/registries/taskRuns"
        found = arm_check(self.service.shared).check_arm(kind, TASKS[0], checked)
        errors = [error for error in found if not error.startswith("name:")]
        task = json.loads(base64.b64decode(body["encodedTaskContent"]))
        build, push = task["steps"]
        if errors or build["env"] != ["DOCKER_BUILDKIT=1"] or push["push"][0] not in build["build"].split():
            return self.service.refuse(400, "InvalidRequest", f"{errors} {task}")
        repository, _, tag = push["push"][0].removeprefix("$Registry/").rpartition(":")
        context = self.service.blobs().get(CONTAINER, body["sourceLocation"])
        problem = self.fails or _missing(context)
        name = f"cf{len(self.runs) + 1}"
        self.runs[name] = {
            "left": self.looks,
            "status": "Failed" if problem else "Succeeded",
            "lines": ["Step 1/2 : FROM scratch", problem or "Successfully built", "the end"],
            "image": (repository, tag),
            "labels": _labels(context),
        }
        self.write_log(name, 1)
        return Response(202, {"name": name, "properties": {"runId": name, "status": "Queued"}})

    def run(self, name: str) -> Response:
        found = self.runs[name]
        found["left"] -= 1
        if found["left"] > 0:
            return Response(200, {"name": name, "properties": {"runId": name, "status": "Running"}})
        self.write_log(name, len(found["lines"]))
        properties: dict[str, Any] = {"runId": name, "status": found["status"]}
        if found["status"] == "Succeeded":
            repository, tag = found["image"]
            digest = self.put(repository, tag, found["labels"])
            properties["outputImages"] = [{"repository": repository, "tag": tag, "digest": digest}]
        return Response(200, {"name": name, "properties": properties})

    def put(self, repository: str, tag: str, labels: dict[str, str]) -> str:
        """An image with these labels; its digest."""
        config = json.dumps({"config": {"Labels": labels}}).encode()
        described = f"sha256:{hashlib.sha256(config).hexdigest()}"
        manifest = json.dumps({"mediaType": KIND, "config": {"digest": described}}).encode()
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        self.service.blobs().put(CONTAINER, f"blob/{described}", config)
        self.manifests[digest] = manifest
        self.tags[repository, tag] = digest
        return digest

    def write_log(self, name: str, lines: int) -> None:
        text = "\n".join(self.runs[name]["lines"][:lines])
        self.service.blobs().put(CONTAINER, f"log/{name}", text.encode())

    def address(self, name: str) -> str:
        return f"https://{ACCOUNT}.blob.core.windows.net/{CONTAINER}/{name}?{self.service.blobs().sas(CONTAINER)}"

    # ---- the registry's own protocol ----

    def answer(self, request: Request) -> Response:
        if request.path == "/oauth2/exchange":
            form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
            known = (claims_of(form["access_token"]) or {}).get("aud") == "https://management.azure.com"
            return Response(200, {"refresh_token": "refreshing"}) if known else Response(401, {})
        if request.path == "/oauth2/token":
            return Response(200, {"access_token": "opening"})
        if request.headers.get("authorization") != "Bearer opening":
            asked = (
                f'Bearer realm="https://{request.host}/oauth2/token",service="{request.host}",scope="repository:x:*"'
            )
            return Response(401, {}, {"www-authenticate": asked})
        blob = re.fullmatch(r"/v2/.+/blobs/(?P<digest>[^/]+)", request.path)
        if blob is not None:  # which lies in a storage account of the registry's
            return Response(307, None, {"location": self.address(f"blob/{blob['digest']}")})
        match = re.fullmatch(r"/v2/(?P<repository>.+)/manifests/(?P<reference>[^/]+)", request.path)
        if match is None:
            self.locked.add(request.path.rsplit("/", 1)[1])
            return Response(200, {})
        repository, reference = match["repository"], match["reference"]
        if request.method == "PUT":
            digest = next(one for one, raw in self.manifests.items() if raw == request.body)
            self.tags[repository, reference] = digest
            return Response(201, None)
        found = reference if reference in self.manifests else self.tags.get((repository, reference))
        if found is None:
            return Response(404, {})
        return Response(200, self.manifests[found], {"docker-content-digest": found, "Content-Type": KIND})


def _opened(context: bytes) -> tuple[str, set[str]]:
    """The Dockerfile of a context, and the names of its files."""
    with tarfile.open(fileobj=io.BytesIO(context)) as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
        dockerfile = archive.extractfile("./Dockerfile")
        assert dockerfile is not None
        return dockerfile.read().decode(), names


def _labels(context: bytes) -> dict[str, str]:
    found = re.findall(r'^LABEL "([^"]+)"="(.*)"$', _opened(context)[0], re.MULTILINE)
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in found}


def _missing(context: bytes) -> str:
    """What the Dockerfile copies and the context lacks, as a builder would say it."""
    text, names = _opened(context)
    assert 'LABEL "forestay.content"="' in text
    for line in text.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                if source not in names:
                    return f"COPY failed: {source} not found"
    return ""


def _registry(service: Service) -> Registry:
    assert service.registry is not None
    return service.registry


def _place(service: Service, _: Request, __: re.Match[str]) -> Response:
    return _registry(service).place()


def _schedule(service: Service, request: Request, _: re.Match[str]) -> Response:
    return _registry(service).schedule(request.json())


def _run(service: Service, _: Request, match: re.Match[str]) -> Response:
    if match["name"] not in _registry(service).runs:
        return refused(404, "NotFound", "no such run")
    return _registry(service).run(match["name"])


def _log(service: Service, _: Request, match: re.Match[str]) -> Response:
    return Response(200, {"logLink": _registry(service).address(f"log/{match['name']}")})


_R = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.ContainerRegistry/registries/[^/]+"
ROUTES = [
    ("POST", rf"{_R}/listBuildSourceUploadUrl", TASKS, _place),
    ("POST", rf"{_R}/scheduleRun", TASKS, _schedule),
    ("GET", rf"{_R}/runs/(?P<name>[^/]+)", TASKS, _run),
    ("POST", rf"{_R}/runs/(?P<name>[^/]+)/listLogSasUrl", TASKS, _log),
]
OTHERS.extend(ROUTES)
