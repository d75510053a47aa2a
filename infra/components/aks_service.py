"""A served model on the cluster: rolled without an outage, spread, scaled by load, and let in by rules alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import yaml
from pulumi_azure_native import keyvault
from pulumi_kubernetes import apiextensions, apps, autoscaling, core, networking, policy
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.addresses import Address
from infra.components.aks import ACCOUNT, NAMESPACE
from infra.components.aks_home import Home
from infra.components.base import Component, Text
from infra.components.identities import IdentityFacts
from infra.services import KEY_VARIABLES, Service

KEYS_FOLDER = "/mnt/forestay-keys"
USER = 1001  # of the image
CSI_DRIVER = "secrets-store.csi.k8s.io"


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
    """Deployment, Service, and what keeps them up.

    Attributes
    ----------
    url: where callers ask.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: AksServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("AksService", name, opts)
        self._args, self._name = args, name
        self._own = {"app.kubernetes.io/name": args.service}
        self._of_keys = _mark(args.service, args.keys)
        secrets = self._secrets()
        deployment = apps.v1.Deployment(
            name, metadata=self._meta(), spec=self._deployment(), opts=self._options(secrets)
        )
        service = core.v1.Service(
            f"{name}-service", metadata=self._meta(self._annotations()), spec=self._service(), opts=self._options()
        )
        self._keep_up(deployment)
        self._let_in()
        settings = args.settings
        if settings.tls == "gateway":
            self._gateway(service)
            self.url = pulumi.Output.from_input(f"https://{settings.host}")
        else:
            self.url = service.status.apply(lambda status: f"http://{_ingress(status)}:{settings.port}")
        self.register_outputs({"url": self.url})

    def _meta(self, annotations: Mapping[str, str] | None = None, name: Text | None = None) -> ObjectMetaArgs:
        labels = {**self._args.labels, **self._own, "forestay/model": _label(self._args.settings.model)}
        return ObjectMetaArgs(
            name=name or self._args.service,
            namespace=NAMESPACE,
            labels={**labels, "forestay/version": _label(self._args.settings.version)},
            annotations=annotations,
        )

    def _options(
        self, after: list[pulumi.Resource] | None = None, ignore: tuple[str, ...] = ()
    ) -> pulumi.ResourceOptions:
        home = self._args.home
        return self.options(provider=home.provider, after=[*home.ready, *(after or [])], ignore=ignore)

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

    @property
    def _mounts(self) -> bool:
        return bool(self._args.keys) or self._args.settings.tls == "gateway"

    def _deployment(self) -> apps.v1.DeploymentSpecArgs:
        settings = self._args.settings
        return apps.v1.DeploymentSpecArgs(
            # No replicas: the autoscaler counts.
            selector=LabelSelectorArgs(match_labels=self._own),
            strategy=apps.v1.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
            ),
            template=core.v1.PodTemplateSpecArgs(
                metadata=ObjectMetaArgs(
                    labels={**self._args.labels, **self._own, "azure.workload.identity/use": "true"},
                    annotations={"forestay/model": f"{settings.model}:{settings.version}"},
                ),
                spec=self._pod(),
            ),
        )

    def _pod(self) -> core.v1.PodSpecArgs:
        settings = self._args.settings
        volumes = [core.v1.VolumeArgs(name="tmp", empty_dir=core.v1.EmptyDirVolumeSourceArgs(size_limit="1Gi"))]
        mounts = [core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp")]  # noqa: S108 - the pod's own
        if self._mounts:
            source = core.v1.CSIVolumeSourceArgs(
                driver=CSI_DRIVER, read_only=True, volume_attributes={"secretProviderClass": self._of_keys}
            )
            volumes.append(core.v1.VolumeArgs(name="keys", csi=source))
            mounts.append(core.v1.VolumeMountArgs(name="keys", mount_path=KEYS_FOLDER, read_only=True))
        amounts = {"cpu": f"{settings.cpu * 1000:.0f}m", "memory": f"{settings.memory_gb * 1024:.0f}Mi"}
        container = core.v1.ContainerArgs(
            name="scoring",
            image=settings.image,
            ports=[core.v1.ContainerPortArgs(name="http", container_port=settings.port)],
            env=self._environment(),
            # What is asked for is what is given: a model that takes more memory must not take a neighbour's.
            resources=core.v1.ResourceRequirementsArgs(
                requests=amounts, limits={"memory": amounts["memory"], "cpu": amounts["cpu"]}
            ),
            security_context=core.v1.SecurityContextArgs(
                allow_privilege_escalation=False,
                read_only_root_filesystem=True,
                capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
            ),
            startup_probe=_probe(period=5, failures=60),
            readiness_probe=_probe(period=10, failures=3),
            liveness_probe=_probe(period=30, failures=5),
            # Requests that are on their way still arrive after the pod has left the load balancer.
            lifecycle=core.v1.LifecycleArgs(
                pre_stop=core.v1.LifecycleHandlerArgs(exec_=core.v1.ExecActionArgs(command=["sleep", "10"]))
            ),
            volume_mounts=mounts,
        )
        return core.v1.PodSpecArgs(
            service_account_name=ACCOUNT,
            automount_service_account_token=False,
            security_context=core.v1.PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=USER,
                run_as_group=USER,
                seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
            ),
            topology_spread_constraints=[
                core.v1.TopologySpreadConstraintArgs(
                    max_skew=1,
                    topology_key=key,
                    when_unsatisfiable="ScheduleAnyway",
                    label_selector=LabelSelectorArgs(match_labels=self._own),
                )
                for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
            ],
            termination_grace_period_seconds=60,
            containers=[container],
            volumes=volumes,
        )

    def _environment(self) -> list[core.v1.EnvVarArgs]:
        given = self._args.settings.plain_environment
        plain = [core.v1.EnvVarArgs(name=key, value=value) for key, value in given.items()]
        keys = [
            core.v1.EnvVarArgs(
                name=KEY_VARIABLES[which],
                value_from=core.v1.EnvVarSourceArgs(
                    secret_key_ref=core.v1.SecretKeySelectorArgs(name=self._of_keys, key=which)
                ),
            )
            for which in self._args.keys
        ]
        # Everything but /tmp is read-only.
        return [core.v1.EnvVarArgs(name="HOME", value="/tmp"), *plain, *keys]  # noqa: S108 - the pod's own

    def _annotations(self) -> dict[str, str] | None:
        settings = self._args.settings
        if settings.tls == "gateway" or settings.public:
            return None
        return {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}

    def _service(self) -> core.v1.ServiceSpecArgs:
        settings = self._args.settings
        return core.v1.ServiceSpecArgs(
            type="ClusterIP" if settings.tls == "gateway" else "LoadBalancer",
            selector=self._own,
            ports=[core.v1.ServicePortArgs(name="http", port=settings.port, target_port="http")],
        )

    def _keep_up(self, deployment: pulumi.Resource) -> None:
        """Copies by load, and never all of them gone at once."""
        replicas = self._args.settings.replicas
        cpu = autoscaling.v2.ResourceMetricSourceArgs(
            name="cpu",
            target=autoscaling.v2.MetricTargetArgs(type="Utilization", average_utilization=replicas.cpu_percent),
        )
        autoscaling.v2.HorizontalPodAutoscaler(
            f"{self._name}-copies",
            metadata=self._meta(),
            spec=autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
                scale_target_ref=autoscaling.v2.CrossVersionObjectReferenceArgs(
                    api_version="apps/v1", kind="Deployment", name=self._args.service
                ),
                min_replicas=replicas.min,
                max_replicas=replicas.max,
                metrics=[autoscaling.v2.MetricSpecArgs(type="Resource", resource=cpu)],
            ),
            opts=self._options([deployment]),
        )
        if replicas.min > 1:  # of one copy none could ever move
            policy.v1.PodDisruptionBudget(
                f"{self._name}-floor",
                metadata=self._meta(),
                spec=policy.v1.PodDisruptionBudgetSpecArgs(
                    min_available=replicas.min - 1, selector=LabelSelectorArgs(match_labels=self._own)
                ),
                opts=self._options(),
            )

    def _let_in(self) -> None:
        """Callers may reach the port; the pod may ask for names, and for its identity's tokens."""
        port = networking.v1.NetworkPolicyPortArgs
        names = [port(port=53, protocol=protocol) for protocol in ("UDP", "TCP")]
        networking.v1.NetworkPolicy(
            f"{self._name}-allowed",
            metadata=self._meta(),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(match_labels=self._own),
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

    def _gateway(self, service: pulumi.Resource) -> None:
        """The host's listener, and its route to the service. The class's controller is the cluster owner's."""
        args = self._args
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
            opts=self._options([service]),
        )
        rule = {"backendRefs": [{"name": args.service, "port": args.settings.port}]}
        route = {"parentRefs": [{"name": args.service}], "hostnames": [args.settings.host], "rules": [rule]}
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


def _probe(*, period: int, failures: int) -> core.v1.ProbeArgs:
    return core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path="/", port="http"),
        period_seconds=period,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def _label(text: str) -> str:
    """A text as Kubernetes takes it in a label."""
    kept = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_.") else "-" for sign in text)[:63]
    return kept.strip("-_.")


def _ingress(status: Any) -> str:
    """The address of a load balancer, as Azure filled it in."""
    balancer = status and status.load_balancer
    ingress = (balancer and balancer.ingress) or []
    return (ingress[0].hostname or ingress[0].ip) if ingress else "pending"
