"""Runs the program against Pulumi's own mocks, and keeps what it registers together with the options."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf import json_format
from pulumi.runtime import mocks, settings
from pulumi.runtime.config import set_all_config
from pulumi.runtime.stack import run_in_stack

from infra.program import declare
from infra.settings import StackSettings

ROOT = Path(__file__).parents[2]
# The checker lies beside the repository, and beside every work tree of it.
ARM_CHECK = "shared/tools/arm_check.py"
AZURE = "azure-native:"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
SIGNATURE = "4dabf18193072939515e22adb298388d"


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


class Answers(mocks.Mocks):
    """Ids and outputs of the right form, always the same for the same resource."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = dict(args.inputs)
        group = f"/subscriptions/{GUID}/resourceGroups/{inputs.get('resourceGroupName', 'group')}"
        own = (v for k, v in inputs.items() if k.endswith("Name") and k not in ("resourceGroupName", "friendlyName"))
        name = next(own, args.name)
        kind = args.typ.split(":")
        place = group if kind[-1] == "ResourceGroup" else f"{group}/providers/{'/'.join(kind[1:])}/{name}"
        made = {key: str(uuid.uuid5(uuid.NAMESPACE_URL, args.name + key)) for key in ("principalId", "clientId")}
        users = (inputs.get("identity") or {}).get("userAssignedIdentities")
        if users:  # they go in as a list and come out as a map
            inputs["identity"] = {**inputs["identity"], "userAssignedIdentities": {one: {} for one in users}}
        if kind[-1] == "ManagedCluster":
            inputs["oidcIssuerProfile"] = {"enabled": True, "issuerURL": "https://issuer.example/"}
        return place, {
            **inputs,
            **made,
            "name": inputs.get("resourceGroupName") if kind[-1] == "ResourceGroup" else name,
            "tenantId": GUID,
            "loginServer": f"{name}.azurecr.io",
            "connectionString": "InstrumentationKey=x",
        }

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:  # type: ignore[override]
        return {
            "identityProfile": {"kubeletidentity": {"objectId": str(uuid.uuid5(uuid.NAMESPACE_URL, "kubelet"))}},
            "kubeconfigs": [{"name": "clusterUser", "value": KUBECONFIG}],
            "clientId": GUID,
            "tenantId": GUID,
        }


GUID = "11111111-1111-4111-8111-111111111111"
KUBECONFIG = ""


class Recorder(mocks.MockMonitor):
    """Keeps every request."""

    def __init__(self) -> None:
        super().__init__(Answers())
        self.found: list[Resource] = []
        self.exports: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            inputs = json_format.MessageToDict(request.object)
            self.found.append(Resource(response.urn, request.type, request.name, inputs, request))
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            self.exports = json_format.MessageToDict(request.outputs)
        return super().RegisterResourceOutputs(request)


@dataclass(frozen=True)
class Recorded:
    """Everything that a stack declares."""

    resources: tuple[Resource, ...]
    exports: Mapping[str, Any]

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
    """Run the program in a thread of its own: Pulumi keeps its state in context variables, and leaves none behind."""
    recorder = Recorder()
    failures: list[BaseException] = []

    def run() -> None:
        settings.configure(
            mocks.MockSettings(
                monitor=recorder,
                engine=mocks.MockEngine(None),
                project="forestay",
                stack=found.environment,
                dry_run=False,
                organization="organization",
                root_directory=".",
                callbacks=None,
                outputs=set(),
                lock=threading.Lock(),
                package_refs={},
                base_providers_by_ref={},
            )
        )
        set_all_config(dict(config), list(config))
        try:
            asyncio.run(run_in_stack(lambda: declare(found)))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return Recorded(tuple(recorder.found), recorder.exports)


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
