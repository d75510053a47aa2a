"""What a managed deployment is made of: the proven folder in the workspace's storage, and the environment of its lock.

    forestay/scoring/HASH/folder/   the folder as it was proven; its model/ is what Azure mounts
                          code/     what runs: score.py and what it imports, no expected answers

Each is registered once, under a name that its content gives. A machine that did not deploy finds the folder there, and
with it the golden rows for a rollback.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from automl_jobs.azure.arm import Arm
from automl_jobs.azure.models import MODELS
from automl_jobs.azure.storage import Datastore
from forestay import project
from forestay.errors import InputError, RunFailed
from scoring import environment, proofs, server
from scoring.folder import ScoringFolder, open_folder, present_files
from scoring.images.context import LEFT_OUT
from scoring.targets import Say

ASSETS = "2023-04-01-preview"
ENVIRONMENT = "forestay-scoring"
BASE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest"
"""What Azure ML builds a conda environment on; it starts the inference server of that environment."""
NOT_RUN = LEFT_OUT | {"Dockerfile", "requirements.lock", "wsgi.py"}
_LONGEST = 64


@dataclass(frozen=True)
class Assets:
    """ARM ids of what a deployment refers to; code and model are "" where an image has both."""

    environment: str
    code: str = ""
    model: str = ""


class Storehouse:
    """Where the assets of one workspace lie. `store` is its datastore, `say` is told what is uploaded or fetched."""

    def __init__(self, arm: Arm, store: Datastore, home: Path, say: Say) -> None:
        self.arm, self.store, self.home, self.say = arm, store, home, say

    def ensure(self, folder: ScoringFolder, folder_hash: str, image: str | None) -> Assets:
        """The assets of a proven folder, made where they are missing; `image` has the folder in it, by digest."""
        self._upload(folder, folder_hash)
        if image is not None:
            return Assets(self._environment(_image_environment(image)))
        return Assets(
            self._environment(_conda_environment(folder.path)),
            code=self._registered("codes", folder_hash, self._code(folder, folder_hash)),
            model=self._registered("models", folder_hash, self._model(folder, folder_hash)),
        )

    def fetch(self, model: str, version: str, folder_hash: str) -> Path:
        """The folder of that hash: where it was proven on this machine, else a copy of what was uploaded.

        Raises InputError when it is in neither place.
        """
        proof = proofs.find(self.home, model, version, folder_hash)
        for path in (Path(proof["path"]) if proof else None, self._copy(folder_hash)):
            if path is not None and _is(path, folder_hash):
                return path
        target = self._copy(folder_hash)
        prefix = f"{_prefix(folder_hash)}/folder/"
        names = self.store.names(prefix)
        if not names:
            raise InputError(
                f"the scoring folder of {model} {version} is gone from the storage account",
                where=self.store.account,
                fix=f"deploy that version again: --model {model}:{version}",
            )
        self.say(f"fetching the scoring folder of {model} {version}")
        with project.new_folder(target) as scratch:
            self.store.download(prefix, scratch, lambda *_: None, names)
        if not _is(target, folder_hash):
            raise RunFailed(
                f"the scoring folder of {model} {version} in the storage account is not what was deployed",
                where=f"{self.store.account}: {prefix}",
                fix=f"deploy that version again: --model {model}:{version}",
            )
        return target

    def _upload(self, folder: ScoringFolder, folder_hash: str) -> None:
        """Every file of the folder, its proof last: where that is, all is."""
        prefix = f"{_prefix(folder_hash)}/folder"
        last = "forestay.json"
        if self.store.names(f"{prefix}/{last}"):
            return
        names = present_files(folder.path)
        size = sum((folder.path / name).stat().st_size for name in names)
        self.say(f"uploading the proven folder, {size / 1e6:,.1f} MB, to {self.store.account}")
        self.store.upload(folder.path, names, prefix, lambda *_: None)
        running = [name for name in names if name not in NOT_RUN and not name.startswith("model/")]
        self.store.upload(folder.path, running, f"{_prefix(folder_hash)}/code", lambda *_: None)
        if folder.hash() != folder_hash:
            fix = f"prove it again: forestay score verify {folder.path}"
            raise RunFailed("the folder changed while it was uploaded", where=str(folder.path), fix=fix)
        self.store.upload(folder.path, [last], prefix, lambda *_: None)

    def _registered(self, kind: str, folder_hash: str, properties: dict[str, Any]) -> str:
        version = MODELS if kind == "models" else ASSETS
        name = f"forestay-{folder_hash[:32]}"
        path, what = f"{self.arm.place.path}/{kind}/{name}/versions/1", f"the {kind[:-1]} of the scoring folder"
        if self.arm.find(path, version, what) is None:
            self.arm.put(path, version, what, {"properties": properties})
        return path

    def _code(self, folder: ScoringFolder, folder_hash: str) -> dict[str, Any]:
        return {"codeUri": self.store.address(f"{_prefix(folder_hash)}/code"), **_about(folder)}

    def _model(self, folder: ScoringFolder, folder_hash: str) -> dict[str, Any]:
        address = self.arm.place.datastore_uri(self.store.name, f"{_prefix(folder_hash)}/folder/model/")
        return {"modelUri": address, "modelType": "custom_model", "flavors": {}, **_about(folder)}

    def _environment(self, properties: dict[str, Any]) -> str:
        text = repr(sorted(properties.items()))
        version = hashlib.sha256(text.encode()).hexdigest()[:20]
        path = f"{self.arm.place.path}/environments/{ENVIRONMENT}/versions/{version}"
        what = f"the environment {ENVIRONMENT}:{version}"
        if self.arm.find(path, ASSETS, what) is None:
            about = {"description": "Made by forestay", "isAnonymous": False, "tags": {}, "properties": {}}
            self.arm.put(path, ASSETS, what, {"properties": {**properties, "osType": "Linux", **about}})
        return path

    def _copy(self, folder_hash: str) -> Path:
        return self.home / "deployed" / folder_hash


def folder_address(folder_hash: str) -> str:
    """Where a proven folder lies in the datastore, once ensure() has been called for it."""
    return f"{_prefix(folder_hash)}/folder/"


def _prefix(folder_hash: str) -> str:
    return f"forestay/scoring/{folder_hash[:32]}"


def _is(path: Path, folder_hash: str) -> bool:
    try:
        return open_folder(path).hash() == folder_hash
    except InputError:
        return False


def _about(folder: ScoringFolder) -> dict[str, Any]:
    """Of an asset that no person looks for: Azure's lists leave out what is anonymous."""
    return {
        "description": f"{folder.model} {folder.version}, as it was proven"[:_LONGEST],
        "isAnonymous": True,
        "isArchived": False,
        "properties": {},
        "tags": {"forestay.model": folder.model, "forestay.version": folder.version},
    }


def _conda_environment(folder: Path) -> dict[str, Any]:
    """Python and every package of the lock, in the versions that were proven."""
    lock = (folder / "requirements.lock").read_text(encoding="utf-8")
    pins = environment.read_pins((folder / "conda_env.yaml").read_text(encoding="utf-8"), "conda_env.yaml")
    pip = [f"{name}=={version}" for name, version in sorted(environment.locked_versions(lock).items())]
    document = {
        "name": "scoring",
        "channels": ["conda-forge"],
        "dependencies": [f"python={pins.python}", "pip", {"pip": pip}],
    }
    return {"condaFile": yaml.safe_dump(document, sort_keys=False), "image": BASE}


def _image_environment(image: str) -> dict[str, Any]:
    """An image with a server of its own in it, and where that answers; a route needs a letter in its path."""
    routes = {"livenessRoute": "/openapi.json", "readinessRoute": "/openapi.json", "scoringRoute": "/score"}
    return {
        "image": image,
        "inferenceConfig": {name: {"path": path, "port": server.IMAGE_PORT} for name, path in routes.items()},
    }
