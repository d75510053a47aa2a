"""The Kubernetes cluster that serves models: identities without secrets, Cilium, pools that scale by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import containerservice as aks
from pulumi_azure_native import kubernetesconfiguration, managedidentity
from pulumi_azure_native import machinelearningservices as ml

from infra.components.base import Common, Component, Reference, Text
from infra.components.identities import Identity
from infra.settings import Aks, NodePool

# Where served models run, and as whom: one namespace, one service account, so that the cluster's side of the trust
# lives in the estate, and a deploy needs no rights on identities.
NAMESPACE, ACCOUNT = "forestay-services", "forestay-serving"
TOKEN_AUDIENCE = "api://AzureADTokenExchange"  # noqa: S105 - what Entra expects of every workload identity
POD_RANGE, SERVICE_RANGE, DNS_ADDRESS = "10.244.0.0/16", "10.245.0.0/16", "10.245.0.10"
NODES_FOR_HA = 3  # Azure ML's router spreads over three nodes, or says that it doesn't
# Each channel of ours; images of nodes are renewed by every one of them.
CHANNELS = {
    "none": aks.UpgradeChannel.NONE,
    "patch": aks.UpgradeChannel.PATCH,
    "stable": aks.UpgradeChannel.STABLE,
    "rapid": aks.UpgradeChannel.RAPID,
    "node_image": aks.UpgradeChannel.NODE_IMAGE,
}
OUTBOUND = {
    "nat_gateway": aks.OutboundType.USER_ASSIGNED_NAT_GATEWAY,
    "load_balancer": aks.OutboundType.LOAD_BALANCER,
    "routes": aks.OutboundType.USER_DEFINED_ROUTING,
}
TIERS = {
    "free": aks.ManagedClusterSKUTier.FREE,
    "standard": aks.ManagedClusterSKUTier.STANDARD,
    "premium": aks.ManagedClusterSKUTier.PREMIUM,
}


@dataclass(frozen=True)
class ClusterArgs:
    """One cluster.

    Attributes
    ----------
    control, kubelet, serving: identities of the control plane, of the nodes, and of pods that serve models.
    logs: Log Analytics. subnet: of the nodes, in a private estate. zone: of a private cluster's API; None lets AKS
        make one. own_network: whether the subnet is one of ours, with a NAT gateway.
    after: grants of the control plane.
    """

    common: Common
    settings: Aks
    control: Identity
    kubelet: Identity
    serving: Identity
    logs: Text | None
    own_network: bool
    subnet: Text | None = None
    zone: Text | None = None
    after: Sequence[pulumi.Resource] = ()


class Cluster(Component):
    """The cluster, its further pools, and the trust between its service account and the serving identity.

    Attributes
    ----------
    reference: the cluster. ready: what needs nodes waits for these.
    """

    reference: Reference
    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Cluster", name, opts)
        common, settings = args.common, args.settings
        first = next(pool for pool in settings.pools if pool.mode == "system")
        # Told to its parts as a text: an output is not known while the cluster is changed, and a preview would then say
        # that they are made anew.
        own = common.names.of("aks")
        made = aks.ManagedCluster(
            name,
            resource_name_=own,
            resource_group_name=common.group,
            location=common.location,
            sku=aks.ManagedClusterSKUArgs(name=aks.ManagedClusterSKUName.BASE, tier=TIERS[settings.tier]),
            dns_prefix=own,
            node_resource_group=f"{common.names.of('resourceGroup')}-nodes"[:80],
            kubernetes_version=settings.kubernetes_version,
            auto_upgrade_profile=aks.ManagedClusterAutoUpgradeProfileArgs(
                upgrade_channel=CHANNELS[settings.upgrade_channel],
                node_os_upgrade_channel=aks.NodeOSUpgradeChannel.NODE_IMAGE,
            ),
            identity=aks.ManagedClusterIdentityArgs(
                type=aks.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[args.control.id]
            ),
            identity_profile={
                "kubeletidentity": aks.UserAssignedIdentityArgs(
                    resource_id=args.kubelet.id, client_id=args.kubelet.client_id, object_id=args.kubelet.principal_id
                )
            },
            enable_rbac=True,
            # Callers come with Entra's tokens alone; kubelogin gets them.
            disable_local_accounts=True,
            aad_profile=aks.ManagedClusterAADProfileArgs(managed=True, enable_azure_rbac=True),
            oidc_issuer_profile=aks.ManagedClusterOIDCIssuerProfileArgs(enabled=True),
            security_profile=aks.ManagedClusterSecurityProfileArgs(
                workload_identity=aks.ManagedClusterSecurityProfileWorkloadIdentityArgs(enabled=True),
                defender=_defender(args) if settings.defender else None,
            ),
            api_server_access_profile=_api(args),
            network_profile=aks.ContainerServiceNetworkProfileArgs(
                network_plugin=aks.NetworkPlugin.AZURE,
                network_plugin_mode=aks.NetworkPluginMode.OVERLAY,
                network_dataplane=aks.NetworkDataplane.CILIUM,
                network_policy=aks.NetworkPolicy.CILIUM,
                pod_cidr=POD_RANGE,
                service_cidr=SERVICE_RANGE,
                dns_service_ip=DNS_ADDRESS,
                load_balancer_sku=aks.LoadBalancerSku.STANDARD,
                outbound_type=OUTBOUND[_outbound(args)],
            ),
            addon_profiles=_addons(args),
            agent_pool_profiles=[
                aks.ManagedClusterAgentPoolProfileArgs(
                    name=first.name,
                    mode=aks.AgentPoolMode.SYSTEM,
                    type=aks.AgentPoolType.VIRTUAL_MACHINE_SCALE_SETS,
                    vm_size=first.vm_size,
                    os_type=aks.OSType.LINUX,
                    os_sku=aks.OSSKU.AZURE_LINUX,
                    enable_auto_scaling=True,
                    count=first.min_nodes,
                    min_count=first.min_nodes,
                    max_count=first.max_nodes,
                    availability_zones=list(first.zones) or None,
                    vnet_subnet_id=args.subnet,
                    tags=common.tags,
                )
            ],
            tags=common.tags,
            # The autoscaler counts, and the channel upgrades: neither is a change of ours. The place is told, not
            # `[*]`: Azure lists all pools here, and the engine refuses `[*]` where the lists are of different lengths.
            # A pool that the list lacks stays as it is.
            opts=self.options(
                protect=common.protect,
                after=args.after,
                fresh_grants=name,
                ignore=["agentPoolProfiles[0].count", "agentPoolProfiles[0].orchestratorVersion", "kubernetesVersion"],
            ),
        )
        self.reference = Reference(made.id, own)
        pools = [self._pool(name, pool, args, made) for pool in settings.pools if pool is not first]
        trust = managedidentity.FederatedIdentityCredential(
            f"{name}-serving",
            federated_identity_credential_resource_name=own,
            resource_name_=args.serving.name,
            resource_group_name=common.group,
            issuer=made.oidc_issuer_profile.apply(lambda profile: profile.issuer_url if profile else ""),
            subject=f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}",
            audiences=[TOKEN_AUDIENCE],
            opts=self.options(delete_first=True),
        )
        self.ready = [made, *pools, trust]
        self.register_outputs({"id": made.id, "name": made.name})

    def _pool(self, name: str, pool: NodePool, args: ClusterArgs, cluster: aks.ManagedCluster) -> pulumi.Resource:
        return aks.AgentPool(
            f"{name}-{pool.name}",
            agent_pool_name=pool.name,
            resource_name_=args.common.names.of("aks"),
            resource_group_name=args.common.group,
            mode=aks.AgentPoolMode.SYSTEM if pool.mode == "system" else aks.AgentPoolMode.USER,
            type=aks.AgentPoolType.VIRTUAL_MACHINE_SCALE_SETS,
            vm_size=pool.vm_size,
            os_type=aks.OSType.LINUX,
            os_sku=aks.OSSKU.AZURE_LINUX,
            enable_auto_scaling=True,
            count=pool.min_nodes,
            min_count=pool.min_nodes,
            max_count=pool.max_nodes,
            availability_zones=list(pool.zones) or None,
            vnet_subnet_id=args.subnet,
            tags=args.common.tags,
            opts=self.options(
                after=[cluster],
                replace_on=["vmSize", "availabilityZones"],
                delete_first=True,
                ignore=["count", "orchestratorVersion"],
            ),
        )


def _outbound(args: ClusterArgs) -> str:
    chosen = args.settings.outbound
    return chosen if chosen != "auto" else "nat_gateway" if args.own_network else "load_balancer"


def _defender(args: ClusterArgs) -> aks.ManagedClusterSecurityProfileDefenderArgs:
    return aks.ManagedClusterSecurityProfileDefenderArgs(
        log_analytics_workspace_resource_id=args.logs,
        security_monitoring=aks.ManagedClusterSecurityProfileDefenderSecurityMonitoringArgs(enabled=True),
    )


def _api(args: ClusterArgs) -> aks.ManagedClusterAPIServerAccessProfileArgs:
    settings = args.settings
    if settings.private_cluster:
        return aks.ManagedClusterAPIServerAccessProfileArgs(
            enable_private_cluster=True,
            enable_private_cluster_public_fqdn=False,
            private_dns_zone=args.zone if args.zone is not None else "system",
        )
    return aks.ManagedClusterAPIServerAccessProfileArgs(
        enable_private_cluster=False, authorized_ip_ranges=list(settings.authorized_ranges) or None
    )


def _addons(args: ClusterArgs) -> Mapping[str, aks.ManagedClusterAddonProfileArgs]:
    """Keys of services come from the vault by the secrets driver; the others are settings."""
    found = {
        "azureKeyvaultSecretsProvider": aks.ManagedClusterAddonProfileArgs(
            enabled=True, config={"enableSecretRotation": "true", "rotationPollInterval": "2m"}
        ),
        "azurepolicy": aks.ManagedClusterAddonProfileArgs(enabled=args.settings.policy_addon),
    }
    if args.logs is not None:
        found["omsagent"] = aks.ManagedClusterAddonProfileArgs(
            enabled=True, config={"logAnalyticsWorkspaceResourceID": args.logs, "useAADAuth": "true"}
        )
    return found


@dataclass(frozen=True)
class AttachArgs:
    """What is attached to what.

    Attributes
    ----------
    cluster: its reference. cluster_group, workspace_group: where both lie. identity: what the attached compute acts as.
    nodes: fewest nodes that the cluster has; under three, the router runs once. after: the cluster's nodes, and grants.
    """

    common: Common
    cluster: Reference
    workspace: Text
    identity: Identity
    nodes: int
    after: Sequence[pulumi.Resource] = ()


class Attach(Component):
    """Azure ML's extension in the cluster, and the cluster as a compute of the workspace."""

    def __init__(self, name: str, args: AttachArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Attach", name, opts)
        common = args.common
        made = kubernetesconfiguration.Extension(
            f"{name}-extension",
            extension_name="azureml",
            extension_type="microsoft.azureml.kubernetes",
            cluster_rp="Microsoft.ContainerService",
            cluster_resource_name="managedClusters",
            cluster_name=args.cluster.name,
            resource_group_name=common.group,
            auto_upgrade_minor_version=True,
            release_train="stable",
            scope=kubernetesconfiguration.ScopeArgs(
                cluster=kubernetesconfiguration.ScopeClusterArgs(release_namespace="azureml")
            ),
            configuration_settings={
                "enableTraining": "False",
                "enableInference": "True",
                "inferenceRouterServiceType": "LoadBalancer",
                "internalLoadBalancerProvider": "azure",
                "allowInsecureConnections": "True",  # inside of the network alone
                "inferenceRouterHA": str(args.nodes >= NODES_FOR_HA),
            },
            opts=self.options(after=args.after, fresh_grants=f"{name}-extension"),
        )
        ml.Compute(
            f"{name}-compute",
            compute_name="aks",
            workspace_name=args.workspace,
            resource_group_name=common.group,
            location=common.location,
            identity=ml.ManagedServiceIdentityArgs(
                type=ml.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[args.identity.id]
            ),
            properties=ml.KubernetesArgs(
                compute_type="Kubernetes",
                resource_id=args.cluster.id,
                properties=ml.KubernetesPropertiesArgs(namespace="azureml"),
            ),
            tags=common.tags,
            opts=self.options(
                after=[made, *args.after],
                fresh_grants=f"{name}-compute",
                delete_first=True,
                replace_on=["properties.resourceId"],
            ),
        )
        self.register_outputs({})
