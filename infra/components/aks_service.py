"""A served model on the cluster: its keys, its way in, and the pods behind it.

Each state has pods of its own (see aks_pods.py). The Service leads to those of one state alone, by their label: pods of
a new state are made, and ready, before that label is another, and the old ones go after it is. A candidate has pods,
too, and an address of its own, where it is tried while callers still reach the old ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import yaml
from pulumi_azure_native import keyvault
from pulumi_kubernetes import apiextensions, core, networking
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.addresses import Address
from infra.components.aks_home import Home
from infra.components.aks_pods import Pods, PodsArgs, meta, own_labels
from infra.components.base import Component, Text
from infra.components.identities import IdentityFacts
from infra.services import SERVICE_LABEL, Service, part_of

TRIAL_PATH = "/forestay-trial"  # of a gateway's host, before a candidate's name


@dataclass(frozen=True)
class AksServiceArgs:
    """One served model.

    Attributes
    ----------
    service: its name. identity: what its pods act as. vault: where its keys are kept.
    keys: secret values by `primary` and `secondary`; none for a service without keys.
    labels: of everything. home: the namespace.
    """

    service: str
    settings: Service
    identity: IdentityFacts
    vault: Address
    keys: Mapping[str, pulumi.Output[str]]
    labels: Mapping[str, str]
    home: Home
    provider: pulumi.ProviderResource | None = None


class AksService(Component):
    """Keys, Service, rules and way in of a served model, and the pods of what is served and of a candidate.

    Attributes
    ----------
    url: where callers ask. trial_url: where the candidate is tried; None without one.
    """

    url: pulumi.Output[str]
    trial_url: pulumi.Output[str] | None = None

    def __init__(self, name: str, args: AksServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("AksService", name, opts)
        self._args, self._name = args, name
        self._of_keys = _mark(args.service, args.keys)
        settings, candidate = args.settings, args.settings.as_candidate()
        secrets = self._secrets()
        self._let_in()
        services = [self._service(f"{name}-service", args.service, settings, self._pods(settings, secrets))]
        if candidate:
            part = part_of(args.service, candidate)
            services.append(self._service(f"{part}-trial", part, candidate, self._pods(candidate, secrets)))
        if settings.tls == "gateway":
            self._gateway(services, candidate)
            urls = [pulumi.Output.from_input(url) for url in _gateway_urls(args.service, settings, candidate)]
        else:
            urls = [_address(service, settings.port) for service in services]
        self.url, self.trial_url = urls[0], urls[1] if candidate else None
        self.register_outputs({"url": self.url})

    def _meta(self, name: Text | None = None) -> ObjectMetaArgs:
        args = self._args
        return meta(args.labels, args.service, args.settings, name or args.service)

    def _options(self, after: Sequence[pulumi.Resource] = ()) -> pulumi.ResourceOptions:
        home = self._args.home
        return self.options(provider=home.provider, after=[*home.ready, *after])

    def _pods(self, settings: Service, secrets: Sequence[pulumi.Resource]) -> Pods:
        args = self._args
        given = PodsArgs(
            args.service, settings, args.labels, args.home,
            keys=tuple(args.keys), held=self._of_keys if secrets else None, after=secrets,
        )  # fmt: skip
        return Pods(part_of(self._name, settings), given, pulumi.ResourceOptions(parent=self))

    def _secrets(self) -> list[pulumi.Resource]:
        """The keys in the vault, and what brings them (and a certificate) into the cluster."""
        args = self._args
        vault_keys = [
            keyvault.Secret(
                f"{self._name}-key-{which}",
                secret_name=f"{args.service}-key-{which}",
                vault_name=args.vault.name,
                resource_group_name=args.vault.group,
                properties=keyvault.SecretPropertiesArgs(value=value),
                opts=self.options(provider=args.provider),
            )
            for which, value in args.keys.items()
        ]
        objects = [{"objectName": f"{args.service}-key-{which}", "objectType": "secret"} for which in args.keys]
        copies: list[dict[str, Any]] = []
        if objects:
            data = [{"key": which, "objectName": f"{args.service}-key-{which}"} for which in args.keys]
            copies.append({"secretName": self._of_keys, "type": "Opaque", "data": data})
        certificate = args.settings.certificate
        if args.settings.tls == "gateway" and certificate:
            objects.append({"objectName": certificate, "objectType": "secret"})
            data = [{"key": key, "objectName": certificate} for key in ("tls.key", "tls.crt")]
            copies.append({"secretName": f"{args.service}-tls", "type": "kubernetes.io/tls", "data": data})
        if not objects:
            return []
        provider_class = apiextensions.CustomResource(
            f"{self._name}-secrets",
            api_version="secrets-store.csi.x-k8s.io/v1",
            kind="SecretProviderClass",
            metadata=self._meta(name=self._of_keys),
            spec={
                "provider": "azure",
                "parameters": {
                    "clientID": args.identity.client_id,
                    "tenantId": args.identity.tenant_id,
                    "keyvaultName": args.vault.name,
                    "objects": yaml.safe_dump({"array": [yaml.safe_dump(one) for one in objects]}),
                },
                "secretObjects": copies,
            },
            opts=self._options(vault_keys),
        )
        return [*vault_keys, provider_class]

    def _service(self, name: str, own: str, settings: Service, pods: Pods) -> core.v1.Service:
        """What leads to the pods of one state, once they are ready; `own` is what the cluster calls it."""
        args, gateway = self._args, settings.tls == "gateway"
        inside = {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}
        return core.v1.Service(
            name,
            metadata=meta(args.labels, args.service, settings, own, None if gateway or settings.public else inside),
            spec=core.v1.ServiceSpecArgs(
                type="ClusterIP" if gateway else "LoadBalancer",
                selector=own_labels(args.service, settings),
                ports=[core.v1.ServicePortArgs(name="http", port=settings.port, target_port="http")],
            ),
            opts=self._options([pods]),
        )

    def _let_in(self) -> None:
        """Callers may reach the port; the pod may ask for names, and for its identity's tokens."""
        port = networking.v1.NetworkPolicyPortArgs
        names = [port(port=53, protocol=protocol) for protocol in ("UDP", "TCP")]
        networking.v1.NetworkPolicy(
            f"{self._name}-allowed",
            metadata=self._meta(),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(match_labels={SERVICE_LABEL: self._args.service}),
                policy_types=["Ingress", "Egress"],
                ingress=[
                    networking.v1.NetworkPolicyIngressRuleArgs(
                        ports=[port(port=self._args.settings.port, protocol="TCP")]
                    )
                ],
                egress=[
                    networking.v1.NetworkPolicyEgressRuleArgs(ports=names),
                    networking.v1.NetworkPolicyEgressRuleArgs(ports=[port(port=443, protocol="TCP")]),
                ],
            ),
            opts=self._options(),
        )

    def _gateway(self, services: Sequence[pulumi.Resource], candidate: Service | None) -> None:
        """The host's listener, and its routes to the services. The class's controller is the cluster owner's."""
        args, port = self._args, self._args.settings.port
        listener = {
            "name": "https",
            "protocol": "HTTPS",
            "port": 443,
            "hostname": args.settings.host,
            "tls": {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": f"{args.service}-tls"}]},
            "allowedRoutes": {"namespaces": {"from": "Same"}},
        }
        gateway = apiextensions.CustomResource(
            f"{self._name}-gateway",
            api_version="gateway.networking.k8s.io/v1",
            kind="Gateway",
            metadata=self._meta(),
            spec={"gatewayClassName": args.settings.gateway_class, "listeners": [listener]},
            opts=self._options(services),
        )
        rules: list[dict[str, Any]] = [{"backendRefs": [{"name": args.service, "port": port}]}]
        if candidate:
            part = part_of(args.service, candidate)
            path = {"type": "PathPrefix", "value": f"{TRIAL_PATH}/{part}"}
            rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
            filters = [{"type": "URLRewrite", "urlRewrite": rewrite}]
            rules.append(
                {"matches": [{"path": path}], "filters": filters, "backendRefs": [{"name": part, "port": port}]}
            )
        route = {"parentRefs": [{"name": args.service}], "hostnames": [args.settings.host], "rules": rules}
        apiextensions.CustomResource(
            f"{self._name}-route",
            api_version="gateway.networking.k8s.io/v1",
            kind="HTTPRoute",
            metadata=self._meta(),
            spec=route,
            opts=self._options([gateway]),
        )


def _mark(service: str, keys: Mapping[str, pulumi.Output[str]]) -> Text:
    """What the keys' object in the cluster is called: with other keys otherwise, so that pods that hold the old ones
    are rolled. Eight letters of a hash give nothing of a key away."""
    if not keys:
        return f"{service}-keys"

    def name(found: Mapping[str, str]) -> str:
        text = "\n".join(f"{which}={key}" for which, key in sorted(found.items()))
        return f"{service}-keys-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    return pulumi.Output.unsecret(pulumi.Output.all(**keys).apply(name))


def _gateway_urls(service: str, settings: Service, candidate: Service | None) -> list[str]:
    """Where a gateway's callers ask, and where the candidate is tried."""
    url = f"https://{settings.host}"
    return [url, *([f"{url}{TRIAL_PATH}/{part_of(service, candidate)}"] if candidate else [])]


def _address(service: core.v1.Service, port: int) -> pulumi.Output[str]:
    """Where a load balancer is asked, as Azure filled it in."""

    def url(status: Any) -> str:
        balancer = status and status.load_balancer
        ingress = (balancer and balancer.ingress) or []
        return f"http://{(ingress[0].hostname or ingress[0].ip) if ingress else 'pending'}:{port}"

    return service.status.apply(url)
