"""The estate: the workspace, what it stands on, who may use it; in the order in which Azure takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi

from infra.addresses import Addresses, address, names_of
from infra.components.alerts import Alerts, AlertsArgs
from infra.components.base import Common, Reference, Text
from infra.components.compute import BUILDER, Compute, ComputeArgs
from infra.components.group import Group, GroupArgs, Locks, LocksArgs
from infra.components.identities import Identities, IdentitiesArgs, Identity
from infra.components.monitoring import Monitoring, MonitoringArgs
from infra.components.registry import ContainerRegistry, RegistryArgs
from infra.components.roles import (
    Grant,
    Grants,
    GrantsArgs,
    grants,
    has_logs,
    owns_cluster,
    owns_workspace,
    scope_ids,
)
from infra.components.spending import Spending, SpendingArgs
from infra.components.storage import CustomerKey, StorageAccount, StorageArgs
from infra.components.vault import Vault, VaultArgs
from infra.components.workspace import Workspace, WorkspaceArgs
from infra.settings import Aks, StackSettings

if TYPE_CHECKING:
    from infra.links import Links


@dataclass
class Estate:
    """What has been declared so far, for what comes after it.

    Attributes
    ----------
    principals: object ids of who acts, by the word that roles use.
    references: resources by the word that roles use for them as a scope.
    scopes: ARM ids by that word, of everything that a role may be granted on.
    granted: the role assignments made so far.
    ready: what computes of the workspace wait for.
    """

    settings: StackSettings
    common: Common
    identities: Mapping[str, Identity]
    principals: dict[str, Text] = field(default_factory=dict)
    references: dict[str, Reference] = field(default_factory=dict)
    scopes: dict[str, Text] = field(default_factory=dict)
    granted: list[tuple[Grant, pulumi.Resource]] = field(default_factory=list)
    ready: list[pulumi.Resource] = field(default_factory=list)

    @property
    def addresses(self) -> Addresses:
        return Addresses(self.settings)

    def add(self, word: str, reference: Reference) -> Reference:
        self.references[word] = reference
        self.scopes[word] = reference.id
        return reference

    def existing(self, kind: str) -> Reference | None:
        """A reference to someone else's resource of a kind, where there is one."""
        found = self.addresses.existing(kind)
        return Reference(found.id, found.name, owned=False) if found else None

    def grant(self, name: str, scopes: set[str]) -> None:
        """Make the grants of the table on these scopes, as one component."""
        done = {grant for grant, _ in self.granted}
        wanted = [
            grant
            for grant in grants(self.settings)
            if grant not in done
            and grant.scope in scopes
            and (grant.person is not None or grant.principal in self.principals)
        ]
        if not wanted:
            return
        made = Grants(name, GrantsArgs(wanted, self.principals, self.scopes))
        self.granted += zip(wanted, made.made, strict=True)

    def granted_to(self, principal: str, scope: str | None = None) -> list[pulumi.Resource]:
        """The grants of one of our identities that have been made so far; on one scope, if that is given."""
        return [
            assignment
            for grant, assignment in self.granted
            if grant.principal == principal and scope in (None, grant.scope)
        ]


def declare_estate(settings: StackSettings) -> None:
    """Declare the estate of an environment. Raises nothing: the settings have been checked."""
    estate = _start(settings)
    links = _links(estate) if settings.network.private else None
    monitoring = _keepers(estate)
    estate.grant("grants", set(estate.scopes))
    workspace = _workspace(estate)
    estate.grant("grants-workspace", {"workspace"})
    if links:
        links.declare_endpoints()
    _computes(estate)
    if settings.aks and owns_cluster(settings):
        _cluster(estate, settings.aks)
    elif settings.existing.aks:
        _existing_cluster(estate)
    if settings.budget:
        name = estate.common.names.of("budget")
        Spending("budget", SpendingArgs(name, estate.scopes["group"], settings.budget))
    if settings.alert_mails and monitoring:
        alerts = Alerts("alerts", AlertsArgs(estate.common, settings.alert_mails))
        alerts.failed_requests(monitoring.logs.id)
    if settings.lock:
        _locks(estate)
    _export(estate, workspace, monitoring)


def _links(estate: Estate) -> Links:
    from infra.links import Links

    return Links(estate)


def _start(settings: StackSettings) -> Estate:
    """The resource group and the identities."""
    names, addresses = names_of(settings), Addresses(settings)
    scopes: dict[str, Text] = {**scope_ids(settings)}
    if settings.existing.resource_group:
        group: Text = addresses.group.name
    else:
        made = Group("group", GroupArgs(addresses.group.name, settings.location, settings.tags, settings.protect))
        group = made.name
        scopes["group"] = made.id  # what stands on the group waits for it
    common = Common(names, settings.location, group, settings.tags, settings.protect)
    principals = ["compute", "endpoint"]
    if owns_workspace(settings):
        principals.insert(0, "workspace")
    if owns_cluster(settings):
        principals += ["cluster", "kubelet"]
    identities = Identities("identities", IdentitiesArgs(common, tuple(principals))).by_principal
    estate = Estate(settings, common, identities, {who: one.principal_id for who, one in identities.items()})
    estate.scopes.update(scopes)
    estate.scopes.update({f"identity {who}": identity.id for who, identity in identities.items()})
    return estate


def _keepers(estate: Estate) -> Monitoring | None:
    """What holds data: logs, storage account, vault, registry; each ours or someone else's."""
    settings, common = estate.settings, estate.common
    private = settings.network.private
    monitoring = None
    if has_logs(settings):
        monitoring = Monitoring(
            "monitoring",
            MonitoringArgs(
                common, settings.log_retention_days, private, existing=estate.addresses.existing("logAnalytics")
            ),
        )
        estate.add("logs", monitoring.logs)
        estate.add("insights", monitoring.insights)
    key = _customer_key(estate)
    if key:
        estate.grant("grants-key", {"encryption vault"})
    after = tuple(estate.granted_to("workspace", "encryption vault"))
    storage = estate.existing("storageAccount")
    if storage is None:
        own = key if settings.encryption and settings.encryption.storage else None
        storage = StorageAccount("storage", StorageArgs(common, settings.storage, private, own, after)).reference
    estate.add("storage", storage)
    vault = estate.existing("keyVault")
    if vault is None:
        tenant = estate.identities["compute"].tenant_id
        vault = Vault("vault", VaultArgs(common, tenant, private, settings.purge_protection)).reference
    estate.add("vault", vault)
    registry = estate.existing("containerRegistry")
    if registry is None:
        own = key if settings.encryption and settings.encryption.registry else None
        registry = ContainerRegistry("registry", RegistryArgs(common, settings.registry, private, own, after)).reference
    estate.add("registry", registry)
    return monitoring


def _customer_key(estate: Estate) -> CustomerKey | None:
    encryption = estate.settings.encryption
    if encryption is None or not owns_workspace(estate.settings):
        return None
    vault = address(encryption.key_vault)
    uri = f"https://{vault.name.lower()}.vault.azure.net"
    identity = estate.identities["workspace"]
    return CustomerKey(vault.id, uri, encryption.key, encryption.version, identity.id, identity.client_id)


def _workspace(estate: Estate) -> Reference:
    settings = estate.settings
    existing = estate.existing("workspace")
    if existing:
        return estate.add("workspace", existing)
    private = settings.network.private
    workspace = Workspace(
        "workspace",
        WorkspaceArgs(
            estate.common,
            identity_id=estate.identities["workspace"].id,
            storage=estate.scopes["storage"],
            vault=estate.scopes["vault"],
            registry=estate.scopes["registry"],
            insights=estate.scopes["insights"],
            logs=estate.scopes["logs"],
            network=settings.network,
            shared_keys=settings.storage.shared_keys,
            build_compute=estate.common.names.of("buildCluster") if private else None,
            customer_key=_customer_key(estate),
            after=estate.granted_to("workspace"),
        ),
    )
    estate.ready = workspace.ready
    return estate.add("workspace", workspace.reference)


def _computes(estate: Estate) -> None:
    """The training cluster, and in a private estate the one that builds images."""
    settings = estate.settings
    place = estate.addresses.of("workspace")
    owned = estate.references["workspace"].owned
    provider = None
    if not owned and place.subscription.lower() != settings.subscription_id.lower():
        from pulumi_azure_native import Provider

        provider = Provider("workspace-subscription", subscription_id=place.subscription)
    clusters = {} if settings.training.serverless else {"training": ("computeCluster", settings.training)}
    if settings.network.private and owned:
        clusters["builder"] = ("buildCluster", BUILDER)
    after = [*estate.ready, *estate.granted_to("compute"), *estate.granted_to("workspace")]
    for name, (kind, training) in clusters.items():
        Compute(
            name,
            ComputeArgs(
                estate.common,
                kind=kind,
                group=estate.common.group if owned else place.group,
                workspace=estate.references["workspace"].name,
                identity_id=estate.identities["compute"].id,
                training=training,
                private=settings.network.private,
                after=after,
                provider=provider,
            ),
        )


def _cluster(estate: Estate, settings: Aks) -> None:
    """The cluster that serves models, and what may be done with it."""
    from infra.components.aks import Attach, AttachArgs, Cluster, ClusterArgs

    logs = estate.references.get("logs")
    after = [*estate.granted_to("cluster"), *estate.granted_to("kubelet")]
    cluster = Cluster(
        "aks",
        ClusterArgs(
            estate.common,
            settings,
            control=estate.identities["cluster"],
            kubelet=estate.identities["kubelet"],
            serving=estate.identities["endpoint"],
            logs=logs.id if logs else None,
            own_network="network" in estate.references and estate.references["network"].owned,
            subnet=estate.scopes.get("subnet aks"),
            zone=estate.scopes.get("zone aks"),
            after=after,
        ),
    )
    estate.add("cluster", cluster.reference)
    estate.grant("grants-cluster", {"cluster"})
    pulumi.export("cluster", cluster.reference.name)
    if settings.azure_ml_extension:
        waits = [*cluster.ready, *estate.ready, *estate.granted_to("workspace"), *estate.granted_to("endpoint")]
        Attach(
            "aks-azureml",
            AttachArgs(
                estate.common,
                cluster=cluster.reference,
                workspace=estate.references["workspace"].name,
                identity=estate.identities["endpoint"],
                nodes=sum(pool.min_nodes for pool in settings.pools),
                after=waits,
            ),
        )


def _existing_cluster(estate: Estate) -> None:
    """A cluster of someone else's: its nodes may pull, and people may use it."""
    from pulumi_azure_native import Provider, containerservice

    place = estate.addresses.of("aks")
    options = None
    if place.subscription.lower() != estate.settings.subscription_id.lower():
        options = pulumi.InvokeOptions(provider=Provider("cluster-subscription", subscription_id=place.subscription))
    found = containerservice.get_managed_cluster_output(
        resource_group_name=place.group, resource_name=place.name, opts=options
    )
    estate.principals["kubelet"] = found.identity_profile.apply(
        lambda profile: profile["kubeletidentity"].object_id if profile else ""
    )
    estate.add("cluster", Reference(place.id, place.name, owned=False))
    estate.grant("grants-cluster", {"cluster", "registry"})


def _locks(estate: Estate) -> None:
    holders: dict[str, Text] = {
        word: estate.references[word].id
        for word in ("storage", "vault", "registry", "logs")
        if word in estate.references and estate.references[word].owned
    }
    # A lock on a resource keeps the grants on it, too: it comes last, so that it is removed first.
    Locks("locks", LocksArgs(holders, after=[assignment for _, assignment in estate.granted]))


def _export(estate: Estate, workspace: Reference, monitoring: Monitoring | None) -> None:
    pulumi.export("resourceGroup", estate.common.group)
    pulumi.export("workspace", workspace.name)
    pulumi.export("workspaceId", workspace.id)
    for word in ("storage", "vault", "registry"):
        pulumi.export(word, estate.references[word].name)
    for who, identity in estate.identities.items():
        pulumi.export(f"{who}Identity", identity.id)
    if monitoring:
        pulumi.export("connectionString", monitoring.connection_string)
