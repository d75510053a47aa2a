"""Azurite on a free port, and the blobs in it as the stand-in itself reads and writes them."""

from __future__ import annotations

import base64
import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

ACCOUNT = "stcategorizedev"
KEY = base64.b64encode(hashlib.sha256(b"a key of the tests").digest() * 2).decode()
DATA, ARTIFACTS, TASKS = "azureml-blobstore", "azureml", "acr-tasks"
AZURITE = ROOT / "node_modules" / ".bin" / "azurite-blob"


@contextmanager
def azurite(folder: Path, certificate: Path, key: Path) -> Iterator[int]:
    """Its port. Skips where npm is missing, so that the rest can be tested without it."""
    node = shutil.which("node")
    if node is None or not AZURITE.exists():
        pytest.skip("Azurite is not installed: `make test` does so where there is npm")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = (folder / "azurite.log").open("wb")
    running = subprocess.Popen(
        [
            *(node, str(AZURITE.resolve()), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
            *("--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"),
            *("--cert", str(certificate), "--key", str(key), "--oauth", "basic"),
        ],
        env={"PATH": str(Path(node).parent), "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}", "HOME": str(folder)},
        cwd=folder,
        stdout=log,
        stderr=log,
    )
    try:
        _wait(port, running)
        yield port
    finally:
        running.terminate()
        running.wait(10)
        log.close()


def _wait(port: int, running: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if running.poll() is not None:
            pytest.fail(f"Azurite ended with {running.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("Azurite does not answer")


class Blobs:
    """The account's containers, reached past the proxy."""

    def __init__(self, port: int, authority: Path) -> None:
        from azure.storage.blob import BlobServiceClient

        self.service: Any = BlobServiceClient(
            f"https://127.0.0.1:{port}/{ACCOUNT}",
            credential={"account_name": ACCOUNT, "account_key": KEY},
            connection_verify=str(authority),
            proxies={"https": None},
        )
        for name in (DATA, ARTIFACTS, TASKS):
            self.service.create_container(name)

    def put(self, container: str, name: str, data: bytes) -> None:
        self.service.get_blob_client(container, name).upload_blob(data, overwrite=True)

    def get(self, container: str, name: str) -> bytes:
        return bytes(self.service.get_blob_client(container, name).download_blob().readall())

    def names(self, container: str, prefix: str = "") -> list[str]:
        return sorted(self.service.get_container_client(container).list_blob_names(name_starts_with=prefix))

    @staticmethod
    def sas(container: str) -> str:
        from datetime import UTC, datetime, timedelta

        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        return str(
            generate_container_sas(
                ACCOUNT,
                container,
                account_key=KEY,
                permission=ContainerSasPermissions(read=True, write=True, create=True, list=True, add=True),
                start=datetime.now(UTC) - timedelta(minutes=5),
                expiry=datetime.now(UTC) + timedelta(hours=1),
            )
        )
