"""Blobs behind a workspace's datastores: by account key, by SAS, or as whoever is logged in.

Which of the three a datastore wants is asked of Azure ML (`listSecrets`); one without a credential is identity-based.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl_jobs.azure import network, refusals
from automl_jobs.azure.arm import Arm
from forestay import project
from forestay.errors import ForestayError, InputError, OutsideError, Unreachable

DATASTORES = "2024-10-01-preview"
DATA_STORE, ARTIFACT_STORE = "workspaceblobstore", "workspaceartifactstore"
"""The workspace's own datastores: of uploaded data, and of what jobs write."""
_CONNECT_SECONDS, _READ_SECONDS, _RETRIES = 5, 30, 3
_BLOCK = 4 << 20
Progress = Callable[[int, int], None]
"""Told of bytes done, and bytes in all."""


@dataclass(frozen=True)
class Datastore:
    """One datastore, opened.

    Attributes
    ----------
    name: the datastore's. account: the storage account. container: its client of azure-storage-blob.
    """

    name: str
    account: str
    container: Any
    arm: Arm

    def upload(self, folder: Path, files: list[str], to: str, progress: Progress) -> int:
        """Copy files below `folder` under the prefix `to`; those that lie there already with the same content stay.

        Returns how many were sent. Raises OutsideError; what was sent so far is found again by the next try.
        """
        sizes = {name: (folder / name).stat().st_size for name in files}
        total, done, sent = sum(sizes.values()), 0, 0
        for name in files:
            begun = done
            mark = project.sha256(folder / name)
            blob = self.container.get_blob_client(f"{to}/{name}")
            if not self._same(blob, sizes[name], mark):
                send = functools.partial(self._send, blob, folder / name, mark, begun, total, progress)
                self._try(send, f"uploading {name}")
                sent += 1
            done += sizes[name]
            progress(done, total)
        return sent

    @staticmethod
    def _send(blob: Any, path: Path, mark: str, begun: int, total: int, progress: Progress) -> None:
        def tell(now: int, _: int | None) -> None:
            progress(begun + now, total)

        with path.open("rb") as stream:
            blob.upload_blob(stream, overwrite=True, metadata={"sha256": mark}, max_concurrency=2, progress_hook=tell)

    def _same(self, blob: Any, size: int, mark: str) -> bool:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found = self._try(blob.get_blob_properties, "looking what is there", ResourceNotFoundError)
        except ResourceNotFoundError:
            return False
        return bool(found.size == size and (found.metadata or {}).get("sha256") == mark)

    def names(self, prefix: str) -> list[str]:
        """The blobs whose names begin so."""
        return list(self._try(lambda: list(self.container.list_blob_names(name_starts_with=prefix)), "listing files"))

    def size(self, name: str) -> int:
        """A blob's bytes."""
        return int(
            self._try(lambda: self.container.get_blob_client(name).get_blob_properties().size, "looking at files")
        )

    def read(self, name: str) -> bytes:
        """A blob's content, once more where the connection is cut."""
        return bytes(self._try(lambda: self.container.download_blob(name).readall(), f"downloading {Path(name).name}"))

    def download(self, prefix: str, to: Path, progress: Progress, names: list[str] | None = None) -> list[str]:
        """Copy the blobs below `prefix` into the folder `to`; their names there. Content is compared with its MD5.

        Raises InputError for a name that would lead out of the folder.
        """
        found = [name for name in (self.names(prefix) if names is None else names) if not name.endswith("/")]
        for number, name in enumerate(found, start=1):
            below = name.removeprefix(prefix).lstrip("/")
            path = to / below
            if not path.resolve().is_relative_to(to.resolve()):
                raise InputError("a file's name leads out of its folder", where=below, fix="it was not downloaded")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(name))
            progress(number, len(found))
        return [name.removeprefix(prefix).lstrip("/") for name in found]

    def _try(self, call: Callable[[], Any], what: str, *through: type[Exception]) -> Any:
        from azure.core.exceptions import AzureError, HttpResponseError, IncompleteReadError

        for last in (False, True):
            try:
                return call()
            except through:
                raise
            except ForestayError:
                raise
            except IncompleteReadError as error:
                if last:
                    raise refusals.unreachable(self.host, error, self.arm.place) from error
            except HttpResponseError as error:
                raise self._refused(error, what) from error
            except (AzureError, OSError) as error:
                raise refusals.unreachable(self.host, error, self.arm.place) from error
        raise AssertionError("unreachable")

    @property
    def host(self) -> str:
        return f"{self.account}.blob.core.windows.net"

    def address(self, path: str) -> str:
        """The URL of a path in the container."""
        return f"https://{self.host}/{self.container.container_name}/{path}"

    def _refused(self, error: Any, what: str) -> OutsideError:
        code = str(error.error_code or "") if hasattr(error, "error_code") else ""
        if error.status_code in (401, 403):
            # The storage's firewall says AuthorizationFailure, of whatever address it does not let in.
            walled = code in ("AuthorizationFailure", "PublicAccessNotPermitted")
            if walled and (self.arm.place.private or network.is_outside(self.host)):
                return refusals.private_only(what, self.arm.place, self.host)
            if code == "AuthenticationFailed":
                return OutsideError(
                    f"{what}: the storage account does not take the signature",
                    where=self.account,
                    fix="compare this machine's clock with the right time; it may differ by 15 minutes at most",
                )
            return OutsideError(
                f"{what}: this login may not do it ({code or error.status_code})",
                where=self.account,
                fix=f"it needs the role {refusals.WRITES_BLOBS} on the storage account; a grant takes some minutes",
            )
        if error.status_code == 404:
            return OutsideError(
                f"{what}: it is not there ({code or 'no such blob'})",
                where=self.account,
                fix="the storage account was changed by somebody else; look at it in the portal",
            )
        text = " ".join(str(error.reason or error).split())[:200]
        return Unreachable(f"{what}: {text}", where=self.account, fix="nothing is lost; run this again")


def open_store(arm: Arm, name: str = DATA_STORE) -> Datastore:
    """Open one of the workspace's datastores. Raises OutsideError."""
    path = f"{arm.place.path}/datastores/{name}"
    properties = arm.get(path, DATASTORES, f"the datastore {name}").get("properties") or {}
    if properties.get("datastoreType") != "AzureBlob":
        raise OutsideError(
            f"the datastore {name} is of the type {properties.get('datastoreType')!r}, not AzureBlob",
            where=arm.place.workspace,
            fix="restore it in the studio: Data, Datastores",
        )
    account, container = str(properties["accountName"]), str(properties["containerName"])
    domain = f"{account}.blob.{properties.get('endpoint') or 'core.windows.net'}"
    refusals.require_inside(f"the datastore {name}", arm.place, domain)
    return Datastore(name, account, _container(f"https://{domain}", container, _credential(arm, path, properties)), arm)


def _credential(arm: Arm, path: str, properties: Any) -> Any:
    kind = (properties.get("credentials") or {}).get("credentialsType")
    if kind == "None":
        return arm.login
    secrets = arm.post(f"{path}/listSecrets", DATASTORES, "the secrets of the datastore") or {}
    if secrets.get("secretsType") == "Sas":
        from azure.core.credentials import AzureSasCredential

        return AzureSasCredential(str(secrets["sasToken"]).lstrip("?"))
    if secrets.get("secretsType") == "AccountKey":
        return {"account_name": str(properties["accountName"]), "account_key": str(secrets["key"])}
    return arm.login


def _container(url: str, container: str, credential: Any) -> Any:
    from azure.storage.blob import ContainerClient, ExponentialRetry

    return ContainerClient(
        url,
        container,
        credential=credential,
        connection_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        # Its own pauses begin at 15 s.
        retry_policy=ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=_RETRIES),
        max_single_put_size=_BLOCK,
        max_block_size=_BLOCK,
    )


def content_mark(folder: Path, files: list[str]) -> str:
    """A short mark of the files' names and contents: equal ones are one asset."""
    total = hashlib.sha256()
    for name in files:
        total.update(f"{name}\0{project.sha256(folder / name)}\n".encode())
    return base64.b32encode(total.digest()).decode().lower()[:20]


def files_below(folder: Path) -> list[str]:
    """All files in a folder, hidden ones left out, by their paths in it."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name).relative_to(folder).as_posix() for name in names if not name.startswith(".")]
    return sorted(found)
