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
PODS, BALANCER = "aks", "aks-service"  # under which machines run a deployment's pod, and what leads there
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
            spec, ip = given.plain.get("spec", {}), "203.0.113.10"
            if self.machines:
                key = f"{BALANCER}/{metadata['name']}"
                ip = self.machines.lead(key, spec["selector"], int(spec["ports"][0]["port"]))
            made["status"] = {"loadBalancer": {"ingress": [{"ip": ip}]} if spec.get("type") == "LoadBalancer" else {}}
        return made

    def never_ready(self, given: Given) -> str:
        """Start a deployment's pod; the one that ran goes when the new one is ready."""
        if not self.machines or given.plain.get("kind") != "Deployment":
            return ""
        template = given.plain["spec"]["template"]
        container, labels = template["spec"]["containers"][0], template["metadata"]["labels"]
        variables = {}
        for one in container.get("env") or ():
            asked = (one.get("valueFrom") or {}).get("secretKeyRef")
            name = f"{labels['app.kubernetes.io/name']}-key-{asked['key']}" if asked else ""
            variables[one["name"]] = self._secret(name) if asked else str(one.get("value", ""))
        key, port = f"{PODS}/{given.plain['metadata']['name']}", container["ports"][0]["containerPort"]
        try:
            self.machines.serve(key, container["image"], variables, port, rolling=True, labels=labels)
        except NotPulled as error:
            return f"ImagePullBackOff: {error}"
        except RuntimeError as error:
            return str(error)
        return ""

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
        for kind, running in (("apps/v1:deployment", PODS), ("core/v1:service", BALANCER)):
            if self.machines and f"/kubernetes:{kind}/" in key:
                self.machines.stop(f"{running}/{key.rpartition('/')[2]}")
        cluster, mark, space = key.rpartition(f"/{SPACE.lower()}/")
        if mark:
            inside = (f"{cluster}/kubernetes:", f"/{space}/")
            content["resources"] = {
                key: one
                for key, one in content["resources"].items()
                if not (key.startswith(inside[0]) and inside[1] in key)
            }
