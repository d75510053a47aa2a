"""kubernetes: objects of a cluster, as far as Pulumi's provider shows them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from tests.infra.providers import schemas
from tests.infra.providers.cloud import Refused, Request
from tests.infra.providers.machines import NotPulled
from tests.infra.providers.provider import Given, Provider

# What an object is known by, or what the API server never changes in place.
FIXED = ("metadata.name", "metadata.namespace", "kind", "apiVersion")
FIXED_OF = {"Deployment": ("spec.selector",), "Secret": ("type",)}
SPACE = "kubernetes:core/v1:Namespace"
NO_NAMESPACE = {"Namespace", "GatewayClass"}


class Kubernetes(Provider):
    """kubernetes. A cluster is told from others by `clusterIdentifier`."""

    def id_of(self, given: Given) -> str:
        metadata = given.plain.get("metadata", {})
        name = str(metadata.get("name", given.name))
        return name if given.plain.get("kind") in NO_NAMESPACE else f"{metadata.get('namespace', 'default')}/{name}"

    def key(self, kind: str, id_: str, config: Mapping[str, Any]) -> str:
        return f"{config.get('clusterIdentifier', '')}/{kind}/{id_}".lower()

    def missing(self, given: Given) -> list[tuple[str, str]]:
        return [("", "no kubeconfig is configured")] if not given.config.get("kubeconfig") else []

    def problems(self, given: Given) -> list[str]:
        return schemas.kubernetes_problems(given.plain)

    def replacing(self, path: str, old: Given, new: Given) -> bool:
        fixed = (*FIXED, *FIXED_OF.get(str(new.plain.get("kind")), ()))
        return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in fixed)

    def known(self, given: Given) -> dict[str, Any]:
        return dict(given.inputs)

    def outputs(self, given: Given, id_: str) -> dict[str, Any]:
        metadata = given.plain.get("metadata", {})
        made: dict[str, Any] = {
            "metadata": {**metadata, "uid": str(uuid.uuid5(uuid.NAMESPACE_URL, given.type + id_)), "generation": 1}
        }
        if given.plain.get("kind") == "Service":
            balancer = given.plain.get("spec", {}).get("type") == "LoadBalancer"
            ip = self.machines.address(f"aks/{metadata['name']}") if self.machines else "203.0.113.10"
            made["status"] = {"loadBalancer": {"ingress": [{"ip": ip}]} if balancer else {}}
        if self.machines and given.plain.get("kind") == "Deployment":
            self._roll(given, str(metadata["name"]))
        return made

    def _roll(self, given: Given, name: str) -> None:
        """Start a deployment's pod; the one that ran goes when the new one is ready."""
        assert self.machines is not None
        container = given.plain["spec"]["template"]["spec"]["containers"][0]
        variables = {}
        for one in container.get("env") or ():
            asked = (one.get("valueFrom") or {}).get("secretKeyRef")
            variables[one["name"]] = self._secret(f"{name}-key-{asked['key']}") if asked else str(one.get("value", ""))
        port = container["ports"][0]["containerPort"]
        try:
            self.machines.serve(f"aks/{name}", container["image"], variables, port, rolling=True)
        except NotPulled as error:
            raise Refused(f"ImagePullBackOff: {error}") from error
        except RuntimeError as error:
            raise Refused(str(error)) from error

    def _secret(self, name: str) -> str:
        """A secret as the vault's driver brings it into the cluster; the cloud is open, its file is read as it lies."""
        there = json.loads(self.cloud.path.read_text(encoding="utf-8"))["resources"]
        found = next(one for one in there.values() if one["inputs"].get("secretName") == name)
        return str(found["inputs"]["properties"]["value"])

    def permit(self, request: Request, given: Given, content: dict[str, Any]) -> None:
        space = given.plain.get("metadata", {}).get("namespace")
        home = self.key(SPACE, space or "", given.config)
        if request.op == "create" and space and home not in content["resources"]:
            raise Refused(f'namespaces "{space}" not found')

    def removed(self, key: str, content: dict[str, Any]) -> None:
        """What is in a namespace goes with it."""
        if self.machines and "/kubernetes:apps/v1:deployment/" in key:
            self.machines.stop(f"aks/{key.rpartition('/')[2]}")
        cluster, mark, space = key.rpartition(f"/{SPACE.lower()}/")
        if mark:
            inside = (f"{cluster}/kubernetes:", f"/{space}/")
            content["resources"] = {
                key: one
                for key, one in content["resources"].items()
                if not (key.startswith(inside[0]) and inside[1] in key)
            }
