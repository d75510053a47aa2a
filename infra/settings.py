"""What a stack file says: `StackSettings`, read by the Pulumi program and by the command line alike.

Keys are written in camelCase under Pulumi's namespaces, `forestay:training` with `vmSize` in it; location and
subscription are those of the provider, `azure-native:location` and `azure-native:subscriptionId`.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from forestay.documents.names import refuse
from forestay.documents.values import AsList, AsMapping, Flag, Name, Number, one_of
from infra.existing import PRIVATE_ZONE, Existing, check_existing
from infra.services import Service, check_name
from infra.values import (
    Guid,
    Mails,
    Range,
    Ranges,
    Region,
    Section,
    Tags,
    VmSize,
    arm_id,
    between,
    dated,
    first_of_month,
    matching,
)

STEM = re.compile(r"[a-z](?!.*--)[a-z0-9-]{1,18}[a-z0-9]")
POOL = re.compile(r"[a-z][a-z0-9]{0,11}")
KEY = re.compile(r"[A-Za-z0-9-]{1,127}")
KEY_VERSION = re.compile(r"[0-9a-f]{32}")
ESTATE, SERVICES = "estate", "services"


class Training(Section):
    """Where jobs train: a cluster that goes down to `minNodes` when idle, or serverless compute.

    Attributes
    ----------
    vm_size: of the nodes. min_nodes: billed while idle, unless 0. max_nodes: how many at most.
    priority: `low_priority` nodes cost less and may be taken away. idle_seconds: how long a node waits for work.
    serverless: no cluster; a job brings its own machines, which bill for its time.
    """

    vm_size: VmSize = "Standard_DS3_v2"
    min_nodes: Annotated[int, BeforeValidator(between(0, 100))] = 0
    max_nodes: Annotated[int, BeforeValidator(between(1, 1000))] = 4
    priority: Annotated[str, BeforeValidator(one_of("dedicated", "low_priority"))] = "dedicated"
    idle_seconds: Annotated[int, BeforeValidator(between(60, 86_400))] = 900
    serverless: Flag = False

    @model_validator(mode="after")
    def _nodes(self) -> Self:
        if self.min_nodes > self.max_nodes:
            message = f"has more minNodes ({self.min_nodes}) than maxNodes ({self.max_nodes})"
            raise refuse(message, "lower minNodes or raise maxNodes")
        return self


class NodePool(Section):
    """One node pool of the cluster; its size lies between the two numbers, the autoscaler chooses.

    Attributes
    ----------
    vm_size: of its nodes. mode: `system` for the cluster's own pods and others, `user` for served models alone.
    zones: of the region, over which its nodes are spread.
    """

    name: Annotated[Name, AfterValidator(matching(POOL, "up to 12 lower-case letters and digits", "serving"))]
    vm_size: VmSize = "Standard_D4s_v5"
    min_nodes: Annotated[int, BeforeValidator(between(0, 1000))] = 1
    max_nodes: Annotated[int, BeforeValidator(between(1, 1000))] = 3
    mode: Annotated[str, BeforeValidator(one_of("system", "user"))] = "system"
    zones: Annotated[tuple[Name, ...], AsList] = ()

    @model_validator(mode="after")
    def _nodes(self) -> Self:
        if self.min_nodes > self.max_nodes:
            message = f"has more minNodes ({self.min_nodes}) than maxNodes ({self.max_nodes})"
            raise refuse(message, "lower minNodes or raise maxNodes")
        if self.mode == "system" and self.min_nodes < 1:
            raise refuse("is a system pool with no node", "write minNodes: 1 or more, or mode: user")
        return self


class Aks(Section):
    """The Kubernetes cluster that serves models.

    Attributes
    ----------
    upgrade_channel: what Azure upgrades by itself. tier: `standard` has an uptime agreement, `free` none.
    private_cluster: the API has a private address only. authorized_ranges: who may reach a public API; empty for all.
    outbound: how nodes reach out; `auto` takes the NAT gateway of our own network, else a load balancer.
    azure_ml_extension: install Azure ML's extension and attach the cluster to the workspace.
    """

    pools: Annotated[tuple[NodePool, ...], AsList] = (NodePool(name="system"),)
    upgrade_channel: Annotated[str, BeforeValidator(one_of("none", "patch", "stable", "rapid", "node_image"))] = "patch"
    kubernetes_version: Name | None = None
    tier: Annotated[str, BeforeValidator(one_of("free", "standard", "premium"))] = "standard"
    private_cluster: Flag = False
    authorized_ranges: Ranges = ()
    outbound: Annotated[str, BeforeValidator(one_of("auto", "nat_gateway", "load_balancer", "routes"))] = "auto"
    defender: Flag = False
    policy_addon: Flag = False
    azure_ml_extension: Flag = False

    @model_validator(mode="after")
    def _pools(self) -> Self:
        names = [pool.name for pool in self.pools]
        if len(set(names)) != len(names):
            raise refuse("has two pools of one name", "give each pool a name of its own")
        if not any(pool.mode == "system" for pool in self.pools):
            raise refuse("has no system pool", "give one pool `mode: system`")
        if self.private_cluster and self.authorized_ranges:
            raise refuse("is private and has authorizedRanges", "remove authorizedRanges: nothing public is there")
        return self


class Subnets(Section):
    """The ranges of the estate's own network. Training runs in the workspace's managed network, not in these.

    Attributes
    ----------
    runners: for what deploys from inside: agents of pipelines, jump hosts. endpoints: private endpoints.
    aci, aks: served models. gateway: Application Gateway, which wants a subnet to itself.
    """

    runners: Range = "10.20.0.0/24"
    endpoints: Range = "10.20.1.0/24"
    aci: Range = "10.20.2.0/24"
    gateway: Range = "10.20.3.0/24"
    aks: Range = "10.20.16.0/20"

    def ranges(self) -> dict[str, ipaddress.IPv4Network]:
        return {name: ipaddress.IPv4Network(getattr(self, name)) for name in type(self).model_fields}


class Network(Section):
    """Whether the estate answers to the internet, and its own network when it does not.

    Attributes
    ----------
    access: `public`, or `private`: private endpoints, no public address of any service.
    dns_zones: `create` the private zones, or `none` where a policy of the company makes them.
    zone_links: whether our network is linked to the zones of others (`existing.dnsZones`); `none` where their owner
        links it, which needs no rights on the zones.
    outbound: of the workspace's managed network: `internet`, or `approved` destinations only.
    approved_hosts: host names that approved-only training may reach; each makes a billed firewall necessary.
    provision: make the managed network with the workspace, not with the first compute.
    gateways: whether deployers may put application gateways before container groups, for which Azure has no narrower
        role than Network Contributor on the resource group.
    """

    access: Annotated[str, BeforeValidator(one_of("public", "private"))] = "public"
    address_space: Range = "10.20.0.0/16"
    subnets: Subnets = Subnets()
    dns_zones: Annotated[str, BeforeValidator(one_of("create", "none"))] = "create"
    zone_links: Annotated[str, BeforeValidator(one_of("create", "none"))] = "create"
    outbound: Annotated[str, BeforeValidator(one_of("internet", "approved"))] = "internet"
    approved_hosts: Annotated[tuple[Name, ...], AsList] = ()
    provision: Flag = True
    gateways: Flag = False

    @property
    def private(self) -> bool:
        return self.access == "private"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"access": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        whole_space = ipaddress.IPv4Network(self.address_space)
        ranges = self.subnets.ranges()
        for name, one in ranges.items():
            if not one.subnet_of(whole_space):
                raise refuse(
                    f"has the subnet {name}, {one}, outside of addressSpace {whole_space}",
                    f"choose a range within {whole_space}",
                )
            for other, another in ranges.items():
                if other != name and one.overlaps(another):
                    raise refuse(f"has overlapping subnets: {name} {one} and {other} {another}", "choose ranges apart")
        if self.approved_hosts and self.outbound != "approved":
            raise refuse("has approvedHosts, and outbound is internet", "write outbound: approved, or remove them")
        return self


class Budget(Section):
    """A monthly budget of the resource group, in the currency of the subscription, with mails at shares of it.

    Attributes
    ----------
    amount: of a month. start_date: it can't be moved later. mails: who hears. thresholds: percents at which they hear.
    """

    amount: Number
    start_date: Annotated[Name, BeforeValidator(dated), AfterValidator(first_of_month)]
    mails: Mails
    thresholds: Annotated[tuple[Annotated[int, BeforeValidator(between(1, 1000))], ...], AsList] = (80, 100)

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.amount <= 0:
            raise refuse("has an amount that is not above 0", "write amount: 500")
        if not self.mails:
            raise refuse("has no mails", "write mails: [ml-team@contoso.com]")
        return self


class Storage(Section):
    """How the storage account keeps data. `sharedKeys` off needs identity-based datastores, a preview of Azure ML.

    Attributes
    ----------
    redundancy: copies in one place (lrs), in the region's zones (zrs), in two regions (grs, gzrs).
    shared_keys: whether the account's keys open it; else only logins do.
    soft_delete_days: how long what was deleted can be had back. cool_after_days: when blobs move to the cool tier.
    """

    redundancy: Annotated[str, BeforeValidator(one_of("lrs", "zrs", "grs", "gzrs"))] = "lrs"
    shared_keys: Flag = False
    soft_delete_days: Annotated[int, BeforeValidator(between(1, 365))] = 14
    cool_after_days: Annotated[int, BeforeValidator(between(1, 3650))] = 90


class Registry(Section):
    """The container registry.

    Attributes
    ----------
    sku: private networks, retention and zones need `premium`.
    retention_days: how long manifests without a tag are kept (Premium).
    zone_redundant: spread over the region's zones; only Premium, and only from its creation on.
    """

    sku: Annotated[str, BeforeValidator(one_of("basic", "standard", "premium"))] = "basic"
    retention_days: Annotated[int, BeforeValidator(between(1, 365))] = 30
    zone_redundant: Flag = False

    @model_validator(mode="after")
    def _premium(self) -> Self:
        if self.zone_redundant and self.sku != "premium":
            raise refuse(f"is zoneRedundant and {self.sku}", "write sku: premium, or remove zoneRedundant")
        return self


class Encryption(Section):
    """A customer-managed key for the workspace's metadata, only at its creation, and for what it stands on.

    Attributes
    ----------
    key_vault: where the key is. key: its name. version: the one that the workspace is made with.
    storage, registry: whether the key encrypts these too; both follow the key when it is rotated. A registry takes a
        key only when it is made, and only as Premium.
    """

    key_vault: Annotated[Name, arm_id("Microsoft.KeyVault/vaults")]
    key: Annotated[Name, AfterValidator(matching(KEY, "a key's name", "forestay"))]
    version: Annotated[Name, AfterValidator(matching(KEY_VERSION, "a key's version", "0" * 32))]
    storage: Flag = False
    registry: Flag = False


class Principal(Section):
    """Someone in Entra: a group's object id alone, or `{id: ..., kind: service_principal}`: Azure wants to be told."""

    id: Guid
    kind: Annotated[str, BeforeValidator(one_of("group", "user", "service_principal"))] = "group"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"id": value} if isinstance(value, str) else value


class Principals(Section):
    """Who works with the estate: those who submit jobs, and those who deploy models.

    Attributes
    ----------
    submitters: get what it takes to submit jobs. deployers: get what it takes to deploy.
    """

    submitters: Annotated[tuple[Principal, ...], AsList] = ()
    deployers: Annotated[tuple[Principal, ...], AsList] = ()


ServiceName = Annotated[str, AfterValidator(check_name)]


class StackSettings(Section):
    """All settings of one stack.

    Attributes
    ----------
    layer: `estate`, what lives long, or `services`, the served models. Both of an environment share stem, location
        and subscription, from which the names come.
    environment: set from the file's name, without `-services`.
    location: Azure's region. subscription_id: where everything lies.
    stem: what all names begin with. tags: on every resource. required_tags: tags that must be among them.
    aci: whether served models may be container groups. log_retention_days: of Log Analytics.
    purge_protection: a deleted key vault stays until its time is over, whoever asks.
    lock: CanNotDelete locks on what holds data. protect: Pulumi refuses to delete or replace what it made.
    names: other names than those of infra/naming.py, by kind: {storageAccount: contosomlprod}.
    alert_mails: who hears of failures of served models.
    """

    environment: Name
    layer: Annotated[str, BeforeValidator(one_of(ESTATE, SERVICES))] = ESTATE
    location: Region
    subscription_id: Guid
    stem: Annotated[
        Name,
        AfterValidator(matching(STEM, "3 to 20 lower-case letters, digits and hyphens, a letter first", "categorize")),
    ]
    tags: Tags = Field(default_factory=dict)
    required_tags: Annotated[tuple[Name, ...], AsList] = ()
    network: Network = Network()
    training: Training = Training()
    storage: Storage = Storage()
    registry: Registry = Registry()
    aks: Aks | None = None
    aci: Flag = True
    budget: Budget | None = None
    alert_mails: Mails = ()
    log_retention_days: Annotated[int, BeforeValidator(between(30, 730))] = 30
    lock: Flag = False
    protect: Flag = False
    purge_protection: Flag = False
    encryption: Encryption | None = None
    principals: Principals = Principals()
    names: Annotated[dict[str, Name], AsMapping] = Field(default_factory=dict)
    existing: Existing = Existing()
    services: Annotated[dict[Annotated[str, AfterValidator(check_name)], Service], AsMapping] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        missing = [name for name in self.required_tags if name not in self.tags]
        if missing:
            fix = f"add it under forestay:tags: {missing[0]}: ..."
            raise refuse(f"lacks the required tag {missing[0]!r}", fix, ("tags",))
        if self.network.private and self.registry.sku != "premium" and not self.existing.container_registry:
            raise refuse(
                "is private with a registry that is not Premium: only that has private endpoints",
                "write forestay:registry: {sku: premium}",
                ("network",),
            )
        if self.encryption and self.encryption.registry and self.registry.sku != "premium":
            raise refuse(
                f"encrypts a {self.registry.sku} registry with a key of yours, which only Premium can",
                "write forestay:registry: {sku: premium}, or remove encryption.registry",
                ("encryption", "registry"),
            )
        check_existing(self)
        if self.layer == ESTATE and self.services:
            fix = "move forestay:services to the services stack"
            raise refuse("declares services in the estate's stack", fix, ("services",))
        for name, service in self.services.items():
            at = ("services", name, "target")
            if service.target == "aks" and self.aks is None and self.existing.aks is None:
                raise refuse("is aks, and the stack has no cluster", "add forestay:aks, or write target: aci", at)
            if service.target == "aci" and not self.aci:
                raise refuse("is aci, which forestay:aci turns off", "write target: aks", at)
            _check_reach(self, name, service)
        return self


def _check_reach(settings: StackSettings, name: str, service: Service) -> None:
    """Whether a service's addresses fit the network. Raises the error of one value."""
    if service.public and settings.network.private:
        raise refuse("is public in a private network", "remove public: true", ("services", name))
    theirs = settings.existing.subnets
    if service.front == "dns":
        _check_zone(settings, name, service)
    if service.front == "application_gateway" and not settings.network.private:
        if not (theirs.gateway and theirs.aci):
            raise refuse(
                "is behind an application gateway, and there is no network for it",
                "write forestay:network: private, or existing.subnets.gateway and .aci, or front: traffic_manager",
                ("services", name),
            )
    elif service.front == "application_gateway":
        subnet = ipaddress.IPv4Network(settings.network.subnets.gateway)
        if not settings.existing.virtual_network and ipaddress.IPv4Address(service.address or "") not in subnet:
            raise refuse(
                f"is outside of the gateway's subnet {subnet}: {service.address}",
                f"choose one in {subnet}, not among its first four",
                ("services", name, "address"),
            )


def _check_zone(settings: StackSettings, name: str, service: Service) -> None:
    """Whether a service's name can be a record of the zone that others gave. Raises the error of one value."""
    zone = settings.existing.serving_zone
    if zone is None:
        raise refuse(
            "is behind a DNS record, and no zone is named for it",
            f"write forestay:existing: {{servingZone: ...}}, the id of a DNS zone, or front: {_other_front(settings)}",
            ("services", name, "front"),
        )
    suffix = f".{zone.rpartition('/')[2].lower()}"
    if not (service.host or "").lower().endswith(suffix):
        raise refuse(
            f"is not a name in the zone {suffix[1:]}: {service.host}",
            f"write {name}{suffix}",
            ("services", name, "host"),
        )
    inside = f"/{PRIVATE_ZONE}/".lower() in zone.lower()
    if inside != settings.network.private:
        reach, kind = ("private", "privateDnsZones") if settings.network.private else ("public", "dnsZones")
        raise refuse(
            f"has a {reach} address, and the zone is of the other kind",
            f"write the id of one of {kind} as existing.servingZone",
            ("services", name, "front"),
        )


def _other_front(settings: StackSettings) -> str:
    return "application_gateway" if settings.network.private else "traffic_manager"
