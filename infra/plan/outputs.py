"""What resources and functions answer when nobody is asked: values of the right form, made from the inputs.

A program reads some outputs of what it has declared (a principal's id, a login server) and puts them into other
inputs. Here they are made up so that every input of a plan is known; the same settings always make the same values.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pulumi.runtime import mocks

from infra.plan.arm import AZURE, Identity, guid, identify

# Functions of azure-native that say who is logged in.
_CLIENT = f"{AZURE}authorization:getClientConfig"
_TOKEN = f"{AZURE}authorization:getClientToken"
_CREDENTIALS = f"{AZURE}containerservice:listManagedCluster"
_KUBECONFIG = b"apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n"
_GUIDS = ("principalId", "clientId", "objectId", "customerId", "workspaceId", "appId", "instrumentationKey")


class MadeUp(mocks.Mocks):
    """Answers for resources and functions.

    Parameters
    ----------
    subscription: GUID. location: the region's short name.
    """

    def __init__(self, subscription: str, location: str) -> None:
        self.subscription = subscription
        self.location = location
        self.tenant = guid("tenant")
        # Made-up principal -> the program's name of the resource that it belongs to.
        self.principals: dict[str, str] = {}
        self._elsewhere: dict[str, str] = {}  # id of a provider -> its subscription

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """The id of a resource, and the outputs that are not among its inputs."""
        if args.typ.startswith("kubernetes:"):
            return _kubernetes(args)
        if args.typ.startswith("pulumi:providers:"):
            own = guid(args.typ, args.name)
            if "subscriptionId" in args.inputs:
                self._elsewhere[own] = str(args.inputs["subscriptionId"])
            return own, {}
        if not args.typ.startswith(AZURE):
            return guid(args.typ, args.name), {}
        found = identify(args.typ, args.name, args.inputs, self._subscription(args.provider))
        identity = Identity(args.resource_id, found.name, found.type) if args.resource_id else found
        return identity.id, self._outputs(args, identity)

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:  # type: ignore[override]
        """The answer of a function; an unknown one answers with its own arguments and an id."""
        if args.token == _CLIENT:
            return {
                "clientId": guid("client", self.subscription),
                "objectId": guid("deployer", self.subscription),
                "subscriptionId": self.subscription,
                "tenantId": self.tenant,
            }
        if args.token == _TOKEN:
            return {"token": ""}
        if args.token.startswith(_CREDENTIALS):
            return {"kubeconfigs": [{"name": "clusterUser", "value": base64.b64encode(_KUBECONFIG).decode()}]}
        kind = args.token.replace(":get", ":", 1)
        subscription = self._subscription(args.provider)
        found = identify(kind, str(args.args.get("name", "existing")), args.args, subscription)
        resource = mocks.MockResourceArgs(kind, found.name, args.args, resource_id=found.id)
        return {**args.args, "id": found.id, **self._outputs(resource, found)}

    def _subscription(self, provider: str | None) -> str:
        """The subscription of a provider, given as `URN::ID`; the stack's where none was made for another."""
        return self._elsewhere.get((provider or "").rpartition("::")[2], self.subscription)

    def _outputs(self, args: mocks.MockResourceArgs, identity: Identity) -> dict[str, Any]:
        made: dict[str, Any] = {"name": identity.name, "type": identity.type}
        for key in _texts(args.typ):
            if key not in args.inputs and key not in made:
                made[key] = self._text(key, identity)
        more = _MORE.get(args.typ.removeprefix(AZURE))
        if more:
            made.update(more(self, args.inputs, identity))
        if isinstance(args.inputs.get("identity"), Mapping):
            made["identity"] = self._identity(args.inputs["identity"], identity)
        for principal in _principals(made):
            self.principals.setdefault(principal, args.name)  # a cluster shows its nodes' identity, too
        return made

    def guid(self, identity: Identity, what: str) -> str:
        return guid(identity.id.lower(), what)

    def _text(self, key: str, identity: Identity) -> str:
        """A text output by its name."""
        if key == "tenantId":
            return self.tenant
        if key in _GUIDS:
            return self.guid(identity, key)
        if key == "location":
            return self.location
        if key == "provisioningState":
            return "Succeeded"
        if key.lower().endswith(("uri", "url", "endpoint")):
            return f"https://{identity.name}.{self.location}.azure.example/"
        if key.lower().endswith("fqdn"):
            return f"{identity.name}.{self.location}.azure.example"
        return f"{identity.name}-{key}"

    def _identity(self, given: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
        """A resource's identities; user-assigned ones go in as a list and come out as a map."""
        made = {**given, "tenantId": self.tenant}
        if "SystemAssigned" in str(given.get("type", "")):
            made["principalId"] = self.guid(identity, "principalId")
        users = given.get("userAssignedIdentities") or ()
        made["userAssignedIdentities"] = {
            one: {"principalId": guid(one.lower(), "principalId"), "clientId": guid(one.lower(), "clientId")}
            for one in users
        }
        return made


def _texts(token: str) -> tuple[str, ...]:
    """Names of the text outputs of a type, as its class in the SDK declares them."""
    from pulumi import _types

    _, module, cls = token.split(":")
    package = sys.modules.get(f"pulumi_azure_native.{module}")
    found = getattr(package, cls, None) if package else None
    if found is None:
        return ()
    return tuple(key for key, kind in _types.resource_types(found).items() if kind is str)


def _principals(made: Mapping[str, Any]) -> list[str]:
    """The principals in a resource's own outputs."""
    found = [made.get("principalId"), (made.get("identity") or {}).get("principalId")]
    kubelet = (made.get("identityProfile") or {}).get("kubeletidentity") or {}
    return [one for one in (*found, kubelet.get("objectId")) if one]


def _kubernetes(args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
    """A Kubernetes object: its id is namespace/name; a Service or Gateway has an address."""
    metadata = dict(args.inputs.get("metadata") or {})
    name, namespace = metadata.get("name", args.name), metadata.get("namespace", "default")
    made: dict[str, Any] = {"metadata": {**metadata, "name": name, "namespace": namespace}}
    if args.typ.endswith(":Service"):
        made["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}
    return f"{namespace}/{name}", made


def _storage(_: MadeUp, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    parts = {part: f"https://{identity.name}.{part}.core.windows.net/" for part in ("blob", "file", "queue", "table")}
    return {"primaryEndpoints": {**parts, "dfs": f"https://{identity.name}.dfs.core.windows.net/"}}


def _vault(made: MadeUp, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    return {"properties": {**inputs.get("properties", {}), "vaultUri": f"https://{identity.name}.vault.azure.net/"}}


def _secret(made: MadeUp, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    uri = f"https://{inputs.get('vaultName')}.vault.azure.net/secrets/{identity.name}"
    return {"properties": {**inputs.get("properties", {}), "secretUri": uri, "secretUriWithVersion": f"{uri}/0"}}


def _registry(_: MadeUp, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    return {"loginServer": f"{identity.name}.azurecr.io"}


def _insights(made: MadeUp, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    key = made.guid(identity, "instrumentationKey")
    place = f"https://{made.location}.in.applicationinsights.azure.com/"
    return {"connectionString": f"InstrumentationKey={key};IngestionEndpoint={place}"}


def _cluster(made: MadeUp, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    issuer = f"https://{made.location}.oic.prod-aks.azure.com/{made.tenant}/{made.guid(identity, 'issuer')}/"
    given = (inputs.get("identityProfile") or {}).get("kubeletidentity")
    kubelet = given or {"objectId": made.guid(identity, "kubelet"), "clientId": made.guid(identity, "kubeletClient")}
    group = f"MC_{inputs.get('resourceGroupName')}_{identity.name}_{made.location}"
    return {
        "oidcIssuerProfile": {"enabled": True, "issuerURL": issuer},
        "identityProfile": {"kubeletidentity": kubelet},
        "nodeResourceGroup": inputs.get("nodeResourceGroup", group),
        "fqdn": f"{identity.name}.hcp.{made.location}.azmk8s.io",
    }


def _address(made: MadeUp, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    label = (inputs.get("dnsSettings") or {}).get("domainNameLabel")
    name = f"{label}.{made.location}.cloudapp.azure.com"
    settings = {"dnsSettings": {**inputs["dnsSettings"], "fqdn": name}} if label else {}
    return {"ipAddress": "203.0.113.20", **settings}


def _containers(made: MadeUp, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    given = dict(inputs.get("ipAddress") or {})
    if not given:
        return {}
    given["ip"] = "10.20.2.4" if given.get("type") == "Private" else "203.0.113.30"
    if given.get("dnsNameLabel"):
        given["fqdn"] = f"{given['dnsNameLabel']}.{made.location}.azurecontainer.io"
    return {"ipAddress": given}


def _endpoint(_: MadeUp, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    nic = identity.id.replace("privateEndpoints", "networkInterfaces")
    return {"networkInterfaces": [{"id": f"{nic}.nic"}], "customDnsConfigs": []}


def _traffic(_: MadeUp, inputs: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    given = inputs.get("dnsConfig") or {}
    return {"dnsConfig": {**given, "fqdn": f"{given.get('relativeName', identity.name)}.trafficmanager.net"}}


_MORE: dict[str, Callable[[MadeUp, Mapping[str, Any], Identity], dict[str, Any]]] = {
    "storage:StorageAccount": _storage,
    "keyvault:Vault": _vault,
    "keyvault:Secret": _secret,
    "containerregistry:Registry": _registry,
    "applicationinsights:Component": _insights,
    "containerservice:ManagedCluster": _cluster,
    "network:PublicIPAddress": _address,
    "network:PrivateEndpoint": _endpoint,
    "containerinstance:ContainerGroup": _containers,
    "trafficmanager:Profile": _traffic,
}
