"""azure-native: ARM ids, ARM's rules, and the outputs of the resources that the program reads."""

from __future__ import annotations

import base64
import importlib
import re
from collections.abc import Mapping
from typing import Any

import yaml
from pulumi.runtime import mocks

from infra.plan.arm import identify
from infra.plan.outputs import MadeUp
from tests.infra.providers import schemas
from tests.infra.providers.cloud import Refused, Request
from tests.infra.providers.machines import NotPulled
from tests.infra.providers.provider import Given, Provider
from tests.infra.providers.wire import is_secret, plain, without

# What ARM takes and never shows again.
WRITE_ONLY = frozenset({"secureValue", "storageAccountKey", "workspaceKey"})
# What Azure refuses to change in place (its documents; a replacement is up to the program).
FIXED = {
    "containerinstance:ContainerGroup": ("osType", "restartPolicy", "ipAddress", "subnetIds", "sku", "zones"),
    "machinelearningservices:Compute": ("properties.properties.vmSize", "properties.properties.vmPriority"),
    "authorization:RoleAssignment": ("principalId", "roleDefinitionId", "scope"),
    "storage:StorageAccount": ("isHnsEnabled", "kind"),
}
LOCK = "authorization:ManagementLock"
# A name that ARM writes in its own way in the ids that it gives back.
RESPELLED = {"Microsoft.Insights/components": "microsoft.insights/components"}


class Azure(Provider):
    """azure-native."""

    def id_of(self, given: Given) -> str:
        id_ = identify(given.type, given.name, given.plain, self._subscription(given.config)).id
        for name, other in RESPELLED.items():
            id_ = id_.replace(name, other)
        return id_

    def key(self, kind: str, id_: str, config: Mapping[str, Any]) -> str:
        return id_.lower()

    def missing(self, given: Given) -> list[tuple[str, str]]:
        if not self._subscription(given.config):
            return [("", "no subscription is configured")]
        return []

    def problems(self, given: Given) -> list[str]:
        return schemas.arm_problems(given.type, given.inputs)

    def replacing(self, path: str, old: Given, new: Given) -> bool:
        """What is in the id, and the region."""
        top = re.split(r"[.\[]", path, maxsplit=1)[0]
        if top == "location":
            return True
        if isinstance(new.plain.get(top), Mapping):
            return False
        changed = Given(old.type, old.name, {**old.inputs, top: new.inputs.get(top)}, old.config)
        return self.id_of(changed) != self.id_of(old)

    def known(self, given: Given) -> dict[str, Any]:
        shown = without(given.inputs, WRITE_ONLY)
        if given.type.endswith("keyvault:Secret"):
            shown["properties"] = {key: one for key, one in plain(shown["properties"]).items() if key != "value"}
        identity = shown.get("identity")
        if isinstance(identity, Mapping) and not is_secret(identity) and "userAssignedIdentities" in identity:
            users = {plain(one): {} for one in plain(identity["userAssignedIdentities"])}
            shown["identity"] = {**identity, "userAssignedIdentities": users}
        return shown

    def outputs(self, given: Given, id_: str) -> dict[str, Any]:
        importlib.import_module(f"pulumi_azure_native.{given.type.split(':')[1]}")  # its classes name the outputs
        asked = mocks.MockResourceArgs(given.type, given.name, plain(without(given.inputs, WRITE_ONLY)))
        made = self._made_up(given.config).new_resource(asked)[1]
        if given.type.endswith("keyvault:Secret"):
            made["properties"].pop("value", None)
        if self.machines and given.type.endswith("containerinstance:ContainerGroup"):
            address = self._run(given, id_)
            made["ipAddress"] = {**given.plain["ipAddress"], "ip": address, "fqdn": address}
        if self.machines and given.type.endswith("trafficmanager:Profile"):
            made["dnsConfig"] = {**given.plain["dnsConfig"], "fqdn": given.plain["endpoints"][0]["target"]}
        return {**made, "azureApiVersion": "test"}

    def shown(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """A cluster lists all of its pools, those too that are resources of their own."""
        given = dict(found["inputs"])
        if found["type"].endswith(":ManagedCluster"):
            below = f"{found['id'].lower()}/agentpools/"
            pools = [one["inputs"] for key, one in self.cloud.resources.items() if key.startswith(below)]
            given["agentPoolProfiles"] = [
                *given["agentPoolProfiles"],
                *({"name": one["agentPoolName"], "mode": one["mode"], "vmSize": one["vmSize"]} for one in pools),
            ]
        return given

    def _run(self, given: Given, id_: str) -> str:
        """Start a group's container, in the place of the one that ran; nobody waits until it answers."""
        assert self.machines is not None
        container = given.plain["containers"][0]
        variables = {
            one["name"]: str(one.get("secureValue", one.get("value", ""))) for one in container["environmentVariables"]
        }
        try:
            return self.machines.serve(id_.lower(), container["image"], variables, container["ports"][0]["port"])
        except NotPulled as error:
            raise Refused(f"Code=InaccessibleImage Message={error}") from error

    def permit(self, request: Request, given: Given, content: dict[str, Any]) -> None:
        there, key = content["resources"], request.id.lower()
        if request.op != "delete" or not request.type.partition(":")[2].startswith(LOCK):
            self._unlocked(request, there)
        if request.op == "create":
            if key in there:
                raise Refused(f"cannot create already existing resource '{request.id}'")
            self._inside(request, there)
            self._granted_once(given, there)
        elif request.op == "update":
            for path in FIXED.get(request.type.removeprefix("azure-native:"), ()):
                if _at(there[key]["inputs"], path) != _at(given.plain, path):
                    raise Refused(f"Code=PropertyChangeNotAllowed Message=Changing {path} is not allowed")

    def removed(self, id_: str, content: dict[str, Any]) -> None:
        """What lies in a resource goes with it."""
        content["resources"] = {key: one for key, one in content["resources"].items() if not key.startswith(f"{id_}/")}
        if self.machines:
            self.machines.stop(id_)

    def answer(self, token: str, arguments: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
        if token.startswith("azure-native:authorization:getClient"):
            return self._made_up(config).call(mocks.MockCallArgs(token, arguments, ""))
        lists = "azure-native:containerservice:listManagedCluster"
        kind = "azure-native:containerservice:ManagedCluster" if token.startswith(lists) else token.replace(":get", ":")
        id_ = identify(kind, "", arguments, self._subscription(config)).id
        found = self.cloud.resources.get(id_.lower())
        if found is None:
            raise Refused(f"Code=ResourceNotFound Message=The Resource '{id_}' was not found.")
        if token.startswith(lists):
            return {"kubeconfigs": [{"name": "clusterUser", "value": _kubeconfig(found["id"])}]}
        return {**found["outputs"], "id": found["id"]}

    def _subscription(self, config: Mapping[str, Any]) -> str:
        return str(config.get("subscriptionId", ""))

    def _made_up(self, config: Mapping[str, Any]) -> MadeUp:
        return MadeUp(self._subscription(config), str(config.get("location", "westeurope")))

    def _unlocked(self, request: Request, there: Mapping[str, Any]) -> None:
        """A CanNotDelete lock is inherited by what lies below its scope."""
        if request.op != "delete":
            return
        for one in there.values():
            scope = str(one["inputs"].get("scope", "")).lower() if LOCK in one["type"] else ""
            if scope and (request.id.lower() == scope or request.id.lower().startswith(f"{scope}/")):
                raise Refused(
                    f"Code=ScopeLocked Message=The scope '{request.id}' cannot perform delete operation because"
                    " following scope(s) are locked"
                )

    def _inside(self, request: Request, there: Mapping[str, Any]) -> None:
        """The group, and the resource that this one is a part of, must be there."""
        parts = request.id.lower().split("/providers/")
        group = parts[0]
        if group.count("/") < 4 or group == request.id.lower():
            return  # of the subscription, or the group itself
        if group not in there:
            raise Refused(f"Code=ResourceGroupNotFound Message=Resource group '{group}' could not be found.")
        scope, names = "/providers/".join(parts[:-1]), parts[-1].split("/")
        if len(parts) > 2:  # stands on another resource
            parent = scope
        elif len(names) > 3 and names[-3] != "default":  # is a part of one; blobServices/default is always there
            parent = f"{scope}/providers/{'/'.join(names[:-2])}"
        else:
            return
        if parent not in there and not _inline(parent, there):
            raise Refused(f"Code=ParentResourceNotFound Message='{parent}' could not be found.")

    def _granted_once(self, given: Given, there: Mapping[str, Any]) -> None:
        if not given.type.endswith(":RoleAssignment"):
            return
        new = _grant(given.plain)
        if any(one["type"] == given.type and _grant(one["inputs"]) == new for one in there.values()):
            raise Refused("Code=RoleAssignmentExists Message=The role assignment already exists.")


def _inline(id_: str, there: Mapping[str, Any]) -> bool:
    """Whether this is a subnet that its network's own body holds."""
    network, _, name = id_.rpartition("/subnets/")
    subnets = there.get(network, {}).get("inputs", {}).get("subnets", ())
    return any(one.get("name", "").lower() == name for one in subnets)


def _grant(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(inputs.get(key)).lower() for key in ("scope", "principalId", "roleDefinitionId"))


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _kubeconfig(id_: str) -> str:
    name = id_.rpartition("/")[2]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "clusterUser"}}],
        "current-context": name,
        "users": [{"name": "clusterUser", "user": {}}],
    }
    return base64.b64encode(yaml.safe_dump(config).encode()).decode()
