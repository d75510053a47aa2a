"""Runs the program as a plan does, and keeps what it registers as it came, with the options."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf import json_format

from infra.plan.model import COMPONENT_ROOT, PlannedResource
from infra.plan.monitor import SECRET, Recorder
from infra.plan.outputs import MadeUp
from infra.plan.run import execute
from infra.program import declare
from infra.settings import StackSettings

ROOT = Path(__file__).parents[2]
# The checker lies beside the repository, and beside every work tree of it.
ARM_CHECK = "shared/tools/arm_check.py"
AZURE = "azure-native:"
# The SDK's names in it, and ARM's.
ENCRYPTION_IDENTITY = {
    "encryptionUserAssignedIdentity": "userAssignedIdentity",
    "encryptionFederatedIdentityClientId": "federatedIdentityClientId",
}
__all__ = ["SECRET", "Recorded", "Resource", "arm_check", "arm_errors", "record", "run_program"]


@dataclass(frozen=True)
class Resource:
    """One registration: `inputs` in the wire form, `options` the request's other fields."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    options: Any = field(repr=False)

    @property
    def depends_on(self) -> list[str]:
        """Names of the resources that it waits for."""
        return sorted({urn.rsplit("::", 1)[1] for urn in self.options.dependencies})

    @property
    def protect(self) -> bool:
        return bool(self.options.protect)


GUID = "11111111-1111-4111-8111-111111111111"


class Keeper(Recorder):
    """The plan's recorder, which also keeps every request as it came."""

    def __init__(self, settings: StackSettings) -> None:
        super().__init__(MadeUp(settings.subscription_id, settings.location), "forestay", settings.environment)
        self.found: list[Resource] = []
        self.sent: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:
        response = super().RegisterResource(request)
        if request.type != COMPONENT_ROOT:
            inputs = json_format.MessageToDict(request.object)
            self.found.append(Resource(response.urn, request.type, request.name, inputs, request))
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.split("::")[2] == COMPONENT_ROOT:
            self.sent = json_format.MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)


@dataclass(frozen=True)
class Recorded:
    """Everything that a stack declares; `planned` is the same as a plan keeps it."""

    resources: tuple[Resource, ...]
    exports: Mapping[str, Any]
    planned: tuple[PlannedResource, ...] = ()

    def of(self, kind: str) -> list[Resource]:
        """Resources by the end of their type, `storage:StorageAccount`."""
        return [one for one in self.resources if one.type == kind or one.type == AZURE + kind]

    def one(self, kind: str, name: str = "") -> Resource:
        found = [one for one in self.of(kind) if not name or one.name == name]
        assert len(found) == 1, (kind, [one.name for one in found])
        return found[0]


KNOWN: dict[str, Recorded] = {}


def record(found: StackSettings, config: Mapping[str, str] | None = None) -> Recorded:
    """What the stack declares; the same settings are run once. `config` is what Pulumi would hand over, for secrets."""
    key = found.model_dump_json() + json.dumps(dict(config or {}))
    if key not in KNOWN:
        KNOWN[key] = run_program(found, config or {})
    return KNOWN[key]


def run_program(found: StackSettings, config: Mapping[str, str]) -> Recorded:
    keeper = Keeper(found)
    execute(found, declare, keeper, config, list(config))
    return Recorded(tuple(keeper.found), keeper.sent, tuple(keeper.recorded.values()))


def arm_errors(checker: ModuleType, token: str, inputs: Mapping[str, Any]) -> list[str] | None:
    """What ARM's published schema says of a resource's inputs; None where the checker has no schema of its type.

    Two things of the SDK that the checker doesn't know are put as ARM has them: the identity of a storage account's
    encryption has another name there, and the type of a record stands in the resource's path.
    """
    found = checker.pulumi_to_arm(token, checker._plain(dict(inputs)))
    if found is None:
        return None
    kind, version, body = found
    encryption = body.get("properties", {}).get("encryption", {})
    if kind == "Microsoft.Storage/storageAccounts" and "encryptionIdentity" in encryption:
        given = dict(encryption.pop("encryptionIdentity"))
        encryption["identity"] = {ENCRYPTION_IDENTITY[key]: value for key, value in given.items()}
    if "recordType" in body.get("properties", {}):
        assert body["properties"].pop("recordType") == kind.rpartition("/")[2]
    return [one for one in checker.check_arm(kind, version, body) if not one.startswith("name: ")]


def arm_check() -> ModuleType | None:
    """The checker of ARM's published schemas, where it is at hand."""
    common = subprocess.run(["git", "rev-parse", "--git-common-dir"], cwd=ROOT, capture_output=True, text=True)
    repository = (ROOT / common.stdout.strip()).resolve().parent
    path = next((one for one in (ROOT.parent / ARM_CHECK, repository.parent / ARM_CHECK) if one.is_file()), None)
    if path is None:
        return None
    spec = importlib.util.spec_from_file_location("arm_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
