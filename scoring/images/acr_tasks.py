"""Images built in Azure, where no builder is on this machine: a quick task of the environment's own registry.

As `az acr build` does it: the context is uploaded, a run is scheduled, its log is passed on as it grows, and the image
is in the registry when it ends. The run is a task of several steps, since the plain build of a Dockerfile runs without
BuildKit, which our Dockerfile needs.

https://learn.microsoft.com/azure/container-registry/container-registry-tasks-reference-yaml
"""

from __future__ import annotations

import base64
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from automl_jobs.azure import refusals
from automl_jobs.azure.arm import Arm
from forestay.errors import InputError, OutsideError, RunFailed
from scoring.engines import telling_line
from scoring.images.builders import AZURES_PLATFORM
from scoring.images.registry import Registry, place_of

Say = Callable[[str], None]

NAME = "acr"
TASKS = "2019-06-01-preview"
RUN_SECONDS = 3600
LOOK_SECONDS = 3.0
ENDED = ("Succeeded", "Failed", "Canceled", "Error", "Timeout")
_CONNECT_SECONDS, _READ_SECONDS = 5, 60
_LAST_LINES = 10


@dataclass
class AcrTasks:
    """Builds in the registry of an environment; takes the place of scoring.images.builders.Builder.

    What it builds is pushed with that, so there is nothing left to push.
    """

    arm: Arm
    name: str = NAME
    platform: str = AZURES_PLATFORM
    pushes: bool = True
    _known: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The registry's address. Names of registries are in small letters and digits."""
        return f"{self.arm.place.registry.rsplit('/', 1)[1].lower()}.azurecr.io"

    def find(self, label: str, value: str) -> str | None:
        """The digest of an image with this label that fetch() has found; a registry can't be asked for labels."""
        return next((digest for digest, labels in self._known.items() if labels.get(label) == value), None)

    def fetch(self, tag: str) -> bool:
        """Whether the registry has an image of this name, which stays there."""
        self._require_ours(tag)
        registry = Registry(*place_of(tag))
        digest = registry.digest(tag.rpartition(":")[2])
        if digest is not None:
            self._known[digest] = registry.labels(digest)
        return digest is not None

    def tag(self, image: str, tag: str) -> None:
        """Give an image of the registry one more name there."""
        self._require_ours(tag)
        Registry(*place_of(tag)).name(image, tag.rpartition(":")[2])

    def build(self, context: Path, tag: str, labels: Mapping[str, str], secrets: Mapping[str, Path], say: Say) -> str:
        """Build the Dockerfile in `context`, push it as `tag`, and give its digest.

        `secrets` stay here: what they hold is of this machine's network, and the task runs in Azure's.

        Raises InputError for a registry that is not the environment's, OutsideError when it can't be reached, RunFailed
        when the build fails.
        """
        self._require_ours(tag)
        if self.arm.place.private:
            raise InputError(
                "tasks run outside of the private network of this registry, and can't push to it",
                where="--builder acr",
                fix="build on a machine in the network, such as the pipeline's runner in the subnet `runners`",
            )
        place = self._upload(context, labels, say)
        run = self.arm.post(self._path("scheduleRun"), TASKS, "the build", _request(place, tag, self.platform)) or {}
        name = str((run.get("properties") or {}).get("runId") or run.get("name") or "")
        say(f"run {name} of {self.host}")
        return self._follow(name, tag, say)

    def push(self, tag: str, say: Say) -> str:
        """The digest under which the build has pushed a tag."""
        digest = Registry(*place_of(tag)).digest(tag.rpartition(":")[2])
        if digest is None:
            raise OutsideError(f"the registry has no {tag}", where=self.host, fix="build it again")
        return digest

    def _upload(self, context: Path, labels: Mapping[str, str], say: Say) -> str:
        """Pack and send the context; where it lies then, as the registry's tasks call it."""
        given = self.arm.post(self._path("listBuildSourceUploadUrl"), TASKS, "a place for the build's context") or {}
        with tempfile.TemporaryDirectory() as scratch:
            folder, packed = Path(scratch, "context"), Path(scratch, "context.tar.gz")
            shutil.copytree(context, folder)
            with (folder / "Dockerfile").open("a", encoding="utf-8") as stream:
                stream.writelines(f"LABEL {_quoted(name)}={_quoted(value)}\n" for name, value in labels.items())
            with tarfile.open(packed, "w:gz") as archive:
                archive.add(folder, arcname=".", filter=_anonymous)
            say(f"uploading {packed.stat().st_size / 1e6:,.1f} MB to the registry's tasks")
            with packed.open("rb") as stream:
                self._blob(str(given["uploadUrl"]), lambda blob: blob.upload_blob(stream, overwrite=True))
        return str(given["relativePath"])

    def _follow(self, run: str, tag: str, say: Say) -> str:
        """Pass on the log of a run until it has ended; the digest of the image. Raises RunFailed."""
        link = self.arm.post(self._path(f"runs/{run}/listLogSasUrl"), TASKS, "the build's log") or {}
        until, seen, rest, last = time.monotonic() + RUN_SECONDS, 0, b"", [""]
        while True:
            found = self.arm.get(self._path(f"runs/{run}"), TASKS, f"the run {run}").get("properties") or {}
            status = str(found.get("status") or "")
            new = self._log(str(link.get("logLink") or ""), seen)
            seen, rest = seen + len(new), rest + new
            *lines, rest = rest.split(b"\n")
            if status in ENDED and rest:
                lines, rest = [*lines, rest], b""
            for raw in lines:
                line = raw.decode("utf-8", "replace").strip()
                if line:
                    last = [*last[-_LAST_LINES:], line]
                    say(f"  {NAME} | {line}")
            if status in ENDED:
                break
            if time.monotonic() > until:
                raise OutsideError(
                    f"the run {run} has not ended within {RUN_SECONDS / 60:.0f} minutes", fix="see az acr"
                )
            time.sleep(LOOK_SECONDS)
        if status != "Succeeded":
            why = str(found.get("runErrorMessage") or telling_line("\n".join(last)))
            raise RunFailed(
                f"the build ended as {status}: {why}", where=f"{self.host}, run {run}", fix="see its log above"
            )
        wanted = place_of(tag)[1], tag.rpartition(":")[2]
        for image in found.get("outputImages") or ():
            if (image.get("repository"), image.get("tag")) == wanted:
                return str(image["digest"])
        return self.push(tag, say)

    def _log(self, link: str, offset: int) -> bytes:
        """What was written to a run's log since; nothing where it has not begun."""
        from azure.core.exceptions import HttpResponseError

        def read(blob: Any) -> bytes:
            try:
                return bytes(blob.download_blob(offset=offset).readall()) if link else b""
            except HttpResponseError as error:
                if error.status_code in (404, 416):  # not there yet, or nothing new
                    return b""
                raise

        return bytes(self._blob(link, read)) if link else b""

    def _blob(self, url: str, act: Callable[[Any], Any]) -> Any:
        """Do something to a blob whose address holds the right to it; it is in no message."""
        from azure.core.exceptions import AzureError
        from azure.storage.blob import BlobClient

        blob = BlobClient.from_blob_url(url, connection_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS)
        try:
            return act(blob)
        except AzureError as error:
            raise refusals.unreachable(urlsplit(url).netloc, error, self.arm.place) from error

    def _path(self, what: str) -> str:
        return f"{self.arm.place.registry}/{what}"

    def _require_ours(self, tag: str) -> None:
        if place_of(tag)[0] != self.host:
            fix = f"name it {self.host}/{place_of(tag)[1].rpartition('/')[2] or 'churn'}:{tag.rpartition(':')[2]}"
            raise InputError(f"the tasks of {self.host} push to that registry only", where="--tag", fix=fix)


def _request(place: str, tag: str, platform: str) -> dict[str, Any]:
    """A run that builds with BuildKit and pushes. A tag has no sign that a task's own templates would read."""
    repository = f"$Registry/{place_of(tag)[1]}:{tag.rpartition(':')[2]}"
    steps = [
        {"build": f"--tag {repository} --file Dockerfile .", "env": ["DOCKER_BUILDKIT=1"]},
        {"push": [repository]},
    ]
    task = json.dumps({"version": "v1.1.0", "steps": steps})  # which is YAML, too
    return {
        "type": "EncodedTaskRunRequest",
        "encodedTaskContent": base64.b64encode(task.encode()).decode(),
        "sourceLocation": place,
        "platform": {"os": "Linux", "architecture": platform.partition("/")[2]},
        "timeout": RUN_SECONDS,
        "isArchiveEnabled": False,
    }


def _quoted(text: str) -> str:
    """A word of a Dockerfile: what it would read as something else is escaped."""
    for sign in ("\\", '"', "$"):
        text = text.replace(sign, f"\\{sign}")
    return f'"{text}"'


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file as anybody's, of no time: what this machine is called is nobody's business."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member
