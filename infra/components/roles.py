"""Who may do what where, each with its reason; nothing broader than listed here.

One table serves the program, which makes a role assignment of each line, and the plan, which prints them. Sources:
Azure's documents on roles and identities of an Azure Machine Learning workspace, of AKS, ACI and Container Registry.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import authorization

from infra.addresses import Addresses, address
from infra.components.base import Component, Text
from infra.existing import PRIVATE_ZONE, PUBLIC_ZONE
from infra.settings import Principal, StackSettings

# Azure's built-in roles that are used here. Their ids are the same in every directory.
DEFINITIONS = {
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage File Data Privileged Contributor": "69566ab7-960f-475b-8e7c-b3118f30c6bd",
    "Key Vault Contributor": "f25e0fa2-a7c8-4377-a976-54943a77a395",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Key Vault Crypto Service Encryption User": "e147488a-f6f5-4113-8e2d-b22465e65bf6",
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
    "Container Registry Tasks Contributor": "fb382eab-e894-4461-af04-94435c366c3f",
    "AzureML Data Scientist": "f6c7c914-8db3-469d-8ca1-694a8f32e121",
    "AzureML Metrics Writer (preview)": "635dd51f-9968-44d3-b7fb-6d9a6bd613ae",
    "Azure AI Enterprise Network Connection Approver": "b556d68e-0be0-4f35-a333-ad7ee1ce17ea",
    "Managed Identity Operator": "f1a07417-d97a-45cb-824c-7a7467783830",
    "Network Contributor": "4d97b98b-1d4f-4787-a291-c67834d212e7",
    "DNS Zone Contributor": "befefa01-2a29-4197-83a8-272ff33ce314",
    "Private DNS Zone Contributor": "b12aa53e-6015-4669-85d0-8515ebb3ae7f",
    "Azure Kubernetes Service RBAC Cluster Admin": "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b",
    "Azure Kubernetes Service Cluster User Role": "4abbcc35-e782-43d8-92c5-2d3f1bd2253f",
    "Azure Container Instances Contributor Role": "5d977122-f97e-4b4d-a52f-6b43003ddb4d",
    "Traffic Manager Contributor": "a4b10055-b0c7-44c2-b00f-c7b5b3550cf7",
    "Monitoring Contributor": "749f88d5-cbae-40b8-bcfc-e573ddc772fa",
}
PEOPLE = ("submitters", "deployers")  # object ids of the settings; all other principals are our identities
PRINCIPAL_TYPES = {
    "group": authorization.PrincipalType.GROUP,
    "user": authorization.PrincipalType.USER,
    "service_principal": authorization.PrincipalType.SERVICE_PRINCIPAL,
}
Condition = Callable[[StackSettings], bool]


def always(_: StackSettings) -> bool:
    return True


def private(settings: StackSettings) -> bool:
    return settings.network.private


def owns_workspace(settings: StackSettings) -> bool:
    return settings.existing.workspace is None


def has_logs(settings: StackSettings) -> bool:
    """Whether there is a Log Analytics workspace, of ours or of others, that alerts can ask."""
    return owns_workspace(settings) or settings.existing.log_analytics is not None


def has_cluster(settings: StackSettings) -> bool:
    return settings.aks is not None or settings.existing.aks is not None


def owns_cluster(settings: StackSettings) -> bool:
    return settings.aks is not None and settings.existing.aks is None


def cluster_in_network(settings: StackSettings) -> bool:
    return owns_cluster(settings) and private(settings)


def cluster_zone(settings: StackSettings) -> bool:
    """Whether the cluster's private zone is one that we name to it."""
    own = settings.network.dns_zones == "create" or settings.existing.dns_zones is not None
    return cluster_in_network(settings) and settings.aks is not None and settings.aks.private_cluster and own


def extension(settings: StackSettings) -> bool:
    return owns_cluster(settings) and settings.aks is not None and settings.aks.azure_ml_extension


def on_aci(settings: StackSettings) -> bool:
    return settings.aci


def joins(subnet: str) -> Condition:
    """Whether container groups, or gateways before them, get addresses in a subnet."""

    def check(settings: StackSettings) -> bool:
        return settings.aci and (private(settings) or getattr(settings.existing.subnets, subnet) is not None)

    return check


def gateways(settings: StackSettings) -> bool:
    return settings.aci and settings.network.gateways


def zone_is(kind: str) -> Condition:
    """Whether served models get names in a zone of this ARM type."""
    return lambda settings: f"/{kind}/".lower() in (settings.existing.serving_zone or "").lower()


def both(*conditions: Condition) -> Condition:
    return lambda settings: all(condition(settings) for condition in conditions)


@dataclass(frozen=True)
class Rule:
    """One line of the table: who, what, where, why, and in which stacks."""

    principal: str
    role: str
    scope: str
    reason: str
    when: Condition = always


OWN = owns_workspace
RULES: tuple[Rule, ...] = (
    # The workspace acts with an identity of its own, which needs the control plane as well as the data.
    Rule(
        "workspace", "Contributor", "storage", "reads the account's properties and makes its containers; else 403", OWN
    ),
    Rule("workspace", "Contributor", "vault", "keeps the workspace's connections in the vault; else 403", OWN),
    Rule("workspace", "Contributor", "registry", "makes builds of environments in the registry; else 403", OWN),
    Rule("workspace", "Contributor", "insights", "reads the key that jobs log with; else 403", OWN),
    Rule("workspace", "Contributor", "workspace", "makes computes, jobs and endpoints of itself", OWN),
    Rule("workspace", "Storage Blob Data Contributor", "storage", "reads and writes data assets and artifacts", OWN),
    Rule("workspace", "Storage File Data Privileged Contributor", "storage", "keeps snapshots of code in shares", OWN),
    Rule("workspace", "Key Vault Secrets Officer", "vault", "writes and reads the secrets of connections", OWN),
    Rule("workspace", "AcrPull", "registry", "reads the images of environments", OWN),
    Rule("workspace", "AcrPush", "registry", "writes the images of environments", OWN),
    *(
        Rule(
            "workspace",
            "Azure AI Enterprise Network Connection Approver",
            scope,
            "approves the managed network's private endpoint to it",
            both(OWN, private),
        )
        for scope in ("storage", "vault", "registry")
    ),
    Rule(
        "workspace",
        "Key Vault Crypto Service Encryption User",
        "encryption vault",
        "wraps and unwraps with the customer's key",
        lambda settings: OWN(settings) and settings.encryption is not None,
    ),
    Rule("workspace", "Reader", "cluster", "reads the cluster before it is attached", extension),
    # What runs on a node of a training cluster.
    Rule("compute", "Storage Blob Data Contributor", "storage", "reads training data, writes models"),
    Rule("compute", "AcrPull", "registry", "pulls the images of environments"),
    Rule("compute", "AcrPush", "registry", "the build cluster writes images; the registry's builders can't", private),
    # What serves a model: an online deployment, a container group, a pod.
    Rule("endpoint", "AcrPull", "registry", "pulls the images of served models"),
    Rule("endpoint", "Storage Blob Data Reader", "storage", "reads the models that a deployment mounts"),
    Rule("endpoint", "AzureML Metrics Writer (preview)", "workspace", "writes the metrics of online endpoints"),
    Rule("endpoint", "Key Vault Secrets User", "vault", "reads keys and certificates of served models"),
    # The cluster's control plane and its nodes.
    Rule("cluster", "Managed Identity Operator", "identity kubelet", "gives the nodes their identity", owns_cluster),
    Rule("cluster", "Network Contributor", "subnet aks", "makes load balancers in the subnet", cluster_in_network),
    Rule("cluster", "Private DNS Zone Contributor", "zone aks", "writes the API's name into the zone", cluster_zone),
    Rule("cluster", "Network Contributor", "network", "links the network to the API's zone", cluster_zone),
    Rule("kubelet", "AcrPull", "registry", "nodes pull the images of served models", has_cluster),
    # People and pipelines.
    Rule("submitters", "AzureML Data Scientist", "workspace", "submits jobs, registers models"),
    Rule("submitters", "Storage Blob Data Contributor", "storage", "uploads data, downloads models"),
    Rule("submitters", "Storage File Data Privileged Contributor", "storage", "uploads code"),
    Rule("deployers", "AzureML Data Scientist", "workspace", "makes online endpoints and deployments"),
    Rule("deployers", "AcrPush", "registry", "pushes the images of served models"),
    Rule("deployers", "Container Registry Tasks Contributor", "registry", "builds images in the registry"),
    Rule("deployers", "Storage Blob Data Contributor", "storage", "reads registered models"),
    Rule("deployers", "Managed Identity Operator", "identity endpoint", "attaches it to what serves a model"),
    Rule("deployers", "Managed Identity Operator", "identity compute", "attaches it to a cluster"),
    Rule("deployers", "Managed Identity Operator", "identity workspace", "attaches it to the workspace", OWN),
    Rule("deployers", "Azure Container Instances Contributor Role", "group", "makes container groups", on_aci),
    Rule("deployers", "Traffic Manager Contributor", "group", "moves the front of a container group", on_aci),
    Rule("deployers", "Network Contributor", "subnet aci", "gives container groups an address in it", joins("aci")),
    Rule(
        "deployers", "Network Contributor", "subnet gateway", "puts gateways into it", both(gateways, joins("gateway"))
    ),
    Rule("deployers", "Network Contributor", "group", "makes gateways and their addresses", gateways),
    Rule("deployers", "DNS Zone Contributor", "serving zone", "moves the names of models", zone_is(PUBLIC_ZONE)),
    Rule(
        "deployers", "Private DNS Zone Contributor", "serving zone", "moves the names of models", zone_is(PRIVATE_ZONE)
    ),
    Rule("deployers", "Monitoring Contributor", "group", "makes the alerts of served models"),
    Rule("deployers", "Azure Kubernetes Service Cluster User Role", "cluster", "gets the way in", has_cluster),
    Rule(
        "deployers",
        "Azure Kubernetes Service RBAC Cluster Admin",
        "cluster",
        "makes namespaces and secret providers, which no narrower role may",
        has_cluster,
    ),
    Rule("deployers", "Key Vault Contributor", "vault", "writes the keys of services on the cluster", has_cluster),
)


@dataclass(frozen=True)
class Grant:
    """One role assignment as the plan prints it: `{principal, role, scope, reason}`.

    Attributes
    ----------
    principal: a word of identities.KINDS, or `submitters` or `deployers` with the person's object id.
    scope: a word of what the estate is made of. person: who it is, when not one of our identities.
    """

    principal: str
    role: str
    scope: str
    reason: str
    person: Principal | None = None


def grants(settings: StackSettings) -> tuple[Grant, ...]:
    """Every grant of an estate, in the order of the table."""
    found: list[Grant] = []
    for rule in RULES:
        if not rule.when(settings):
            continue
        if rule.principal in PEOPLE:
            people: tuple[Principal, ...] = getattr(settings.principals, rule.principal)
            found += [Grant(f"{rule.principal} {one.id}", rule.role, rule.scope, rule.reason, one) for one in people]
        else:
            found.append(Grant(rule.principal, rule.role, rule.scope, rule.reason))
    return tuple(found)


def assignment_name(scope: str, principal_id: str, definition: str) -> str:
    """The GUID of an assignment: the same grant always has the same, so that Azure never sees it twice."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join((scope.lower(), principal_id.lower(), definition))))


def assignment_words(grant: Grant) -> str:
    """The program's own name of an assignment: `workspace-acrpull-on-registry`."""
    words = "-".join((grant.principal, grant.role, "on", grant.scope)).lower().replace(" ", "-")
    return re.sub("[^a-z0-9-]", "", words)


@dataclass(frozen=True)
class GrantsArgs:
    """Which grants, and what their words stand for.

    Attributes
    ----------
    principals: object ids of our identities, by their word. scopes: ARM ids, by their word.
    """

    grants: Sequence[Grant]
    principals: Mapping[str, Text]
    scopes: Mapping[str, Text]


class Grants(Component):
    """Role assignments.

    Attributes
    ----------
    made: all of them, for what must wait until its rights are there.
    """

    made: list[pulumi.Resource]

    def __init__(self, name: str, args: GrantsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Grants", name, opts)
        self.made = [self._assign(grant, args) for grant in args.grants]
        self.register_outputs({})

    def _assign(self, grant: Grant, args: GrantsArgs) -> pulumi.Resource:
        known = grant.person
        principal = pulumi.Output.from_input(known.id if known else args.principals[grant.principal])
        scope = pulumi.Output.from_input(args.scopes[grant.scope])
        definition = DEFINITIONS[grant.role]
        return authorization.RoleAssignment(
            assignment_words(grant),
            role_assignment_name=pulumi.Output.all(scope, principal).apply(
                lambda found: assignment_name(found[0], found[1], definition)
            ),
            scope=scope,
            principal_id=principal,
            # Told the type, Azure doesn't look the principal up, and so takes an identity made a moment ago.
            principal_type=PRINCIPAL_TYPES[known.kind if known else "service_principal"],
            role_definition_id=scope.apply(lambda found: definition_id(found, definition)),
            description=grant.reason,
            opts=self.options(delete_first=True),
        )


def definition_id(scope: str, definition: str) -> str:
    """A role's id in the subscription of the scope, which may be another than the stack's."""
    subscription = scope.split("/")[2]
    return f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{definition}"


def scope_ids(settings: StackSettings) -> dict[str, str]:
    """The ARM id behind each scope that is known from the settings alone."""
    addresses = Addresses(settings)
    found = {"group": addresses.group.id}
    if settings.encryption:
        found["encryption vault"] = address(settings.encryption.key_vault).id
    if settings.existing.serving_zone:
        found["serving zone"] = settings.existing.serving_zone
    for use in ("aci", "gateway"):
        theirs = getattr(settings.existing.subnets, use)
        if theirs:
            found[f"subnet {use}"] = theirs
    return found
