"""The pods of one state of a served model on the cluster: spread, scaled by load, and never all of them gone at once.

Each state has a Deployment of its own, as each has a container group behind a front (see aci.py): a new one stands
beside the old one until callers are led to it (see aks_service.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, autoscaling, core, policy
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.components.aks import ACCOUNT, NAMESPACE
from infra.components.aks_home import Home
from infra.components.base import Component, Text
from infra.services import KEY_VARIABLES, SERVICE_LABEL, STATE_LABEL, Service, part_of, state_of

KEYS_FOLDER = "/mnt/forestay-keys"
USER = 1001  # of the image
CSI_DRIVER = "secrets-store.csi.k8s.io"


def own_labels(service: str, settings: Service) -> dict[str, str]:
    """What tells the pods of a state from all others."""
    return {SERVICE_LABEL: service, STATE_LABEL: state_of(settings)}


def meta(
    labels: Mapping[str, str], service: str, settings: Service, name: Text, annotations: Mapping[str, str] | None = None
) -> ObjectMetaArgs:
    """The metadata of an object of a served model, with the labels that all of them have."""
    told = {"forestay/model": _label(settings.model), "forestay/version": _label(settings.version)}
    return ObjectMetaArgs(
        name=name, namespace=NAMESPACE, labels={**labels, SERVICE_LABEL: service, **told}, annotations=annotations
    )


@dataclass(frozen=True)
class PodsArgs:
    """One state of a served model.

    Attributes
    ----------
    service: its name. labels: of everything. home: the namespace.
    keys: which it asks for, `primary` and `secondary`. held: what the object is called that brings them (and a
        certificate) into the cluster; None where there is none. after: what must be there before.
    """

    service: str
    settings: Service
    labels: Mapping[str, str]
    home: Home
    keys: Sequence[str] = ()
    held: Text | None = None
    after: Sequence[pulumi.Resource] = ()


class Pods(Component):
    """The Deployment of a state, and what keeps its pods up."""

    def __init__(self, name: str, args: PodsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Pods", name, opts)
        self._args, self._name = args, name
        self._own = own_labels(args.service, args.settings)
        deployment = apps.v1.Deployment(
            name,
            metadata=self._meta(),
            spec=self._deployment(),
            opts=self._options(args.after, ignore=["spec.replicas"]),
        )
        self._keep_up(deployment)
        self.register_outputs({})

    def _meta(self) -> ObjectMetaArgs:
        args = self._args
        return meta(args.labels, args.service, args.settings, part_of(args.service, args.settings))

    def _options(self, after: Sequence[pulumi.Resource] = (), ignore: Sequence[str] = ()) -> pulumi.ResourceOptions:
        home = self._args.home
        return self.options(provider=home.provider, after=[*home.ready, *after], ignore=ignore)

    def _deployment(self) -> apps.v1.DeploymentSpecArgs:
        settings = self._args.settings
        return apps.v1.DeploymentSpecArgs(
            # With so many a state begins: all are ready before callers are led to them. Then the autoscaler counts.
            replicas=settings.replicas.min,
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
        if self._args.held is not None:
            source = core.v1.CSIVolumeSourceArgs(
                driver=CSI_DRIVER, read_only=True, volume_attributes={"secretProviderClass": self._args.held}
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
                    secret_key_ref=core.v1.SecretKeySelectorArgs(name=self._args.held, key=which)
                ),
            )
            for which in self._args.keys
        ]
        # Everything but /tmp is read-only.
        return [core.v1.EnvVarArgs(name="HOME", value="/tmp"), *plain, *keys]  # noqa: S108 - the pod's own

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
                    api_version="apps/v1", kind="Deployment", name=part_of(self._args.service, self._args.settings)
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
