"""Rules of single resources. Each is a plain function of a resource and what is known of its stack."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from infra.policies.model import ADVISORY, MANDATORY, Facts, Rule, Subject
from infra.policies.roles import ROLES, guid_of, name_of, scope_type

AZURE = "azure-native:"
STORAGE = f"{AZURE}storage:StorageAccount"
CONTAINER = f"{AZURE}storage:BlobContainer"
VAULT = f"{AZURE}keyvault:Vault"
REGISTRY = f"{AZURE}containerregistry:Registry"
WORKSPACE = f"{AZURE}machinelearningservices:Workspace"
COMPUTE = f"{AZURE}machinelearningservices:Compute"
CLUSTER = f"{AZURE}containerservice:ManagedCluster"
POOL = f"{AZURE}containerservice:AgentPool"
GROUP = f"{AZURE}containerinstance:ContainerGroup"
GATEWAY = f"{AZURE}network:ApplicationGateway"
ASSIGNMENT = f"{AZURE}authorization:RoleAssignment"
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
# Azure's own sets of protocols and ciphers that begin below TLS 1.2 ("Application Gateway TLS policy overview").
OLD_TLS = ("AppGwSslPolicy20150501", "AppGwSslPolicy20170401")
# Tags cost nothing to carry on these; what has no tags in Azure (grants, locks, settings of a parent) is not here.
TAGGED = frozenset(
    AZURE + kind
    for kind in (
        "resources:ResourceGroup",
        "storage:StorageAccount",
        "keyvault:Vault",
        "containerregistry:Registry",
        "operationalinsights:Workspace",
        "applicationinsights:Component",
        "managedidentity:UserAssignedIdentity",
        "machinelearningservices:Workspace",
        "machinelearningservices:Compute",
        "containerservice:ManagedCluster",
        "containerinstance:ContainerGroup",
        "network:VirtualNetwork",
        "network:NetworkSecurityGroup",
        "network:NatGateway",
        "network:PublicIPAddress",
        "network:PrivateEndpoint",
        "network:ApplicationGateway",
        "privatedns:PrivateZone",
        "monitor:ActionGroup",
        "monitor:PrivateLinkScope",
        "monitor:ScheduledQueryRule",
        "applicationinsights:WebTest",
        "trafficmanager:Profile",
    )
)


def no_public_blob(one: Subject, _: Facts) -> Iterable[str]:
    if one.type == STORAGE and one.at("allowBlobPublicAccess") is not False:
        yield "allows blobs to be read without a login"
    if one.type == CONTAINER and one.at("publicAccess", "None") != "None":
        yield f"is a container that anybody can read: publicAccess is {one.at('publicAccess')}"


def no_admin_registry(one: Subject, _: Facts) -> Iterable[str]:
    if one.type == REGISTRY and one.at("adminUserEnabled", False):
        yield "has the admin user, one password for everybody"
    if one.type == REGISTRY and one.at("anonymousPullEnabled", False):
        yield "gives images to anybody"


def no_quarantine(one: Subject, _: Facts) -> Iterable[str]:
    """Quarantine keeps Azure ML from pulling until a scanner releases the image."""
    if one.type == REGISTRY and str(one.at("policies.quarantinePolicy.status", "disabled")).lower() == "enabled":
        yield "puts images into quarantine, and Azure ML can't pull them"


def identity_instead_of_keys(one: Subject, _: Facts) -> Iterable[str]:
    if one.type == VAULT and one.at("properties.enableRbacAuthorization") is not True:
        yield "has access policies instead of roles"
    if one.type == CLUSTER and one.at("disableLocalAccounts") is not True:
        yield "has local accounts, which pass by Entra"
    nodes_of_others = one.at("properties.computeType") == "Kubernetes"  # an attached cluster
    if one.type == COMPUTE and not nodes_of_others and one.at("properties.disableLocalAuth") is not True:
        yield "has nodes that take SSH keys"
    if one.type == GROUP and any(held.get("password") for held in one.at("imageRegistryCredentials") or ()):
        yield "pulls its image with a password"


def no_shared_keys(one: Subject, _: Facts) -> Iterable[str]:
    if one.type == STORAGE and one.at("allowSharedKeyAccess") is not False:
        yield "can be read with an account key, which no role limits"
    if one.type == WORKSPACE and str(one.at("systemDatastoresAuthMode", "AccessKey")).lower() == "accesskey":
        yield "reads its datastores with the account's key"


def tls_floor(one: Subject, _: Facts) -> Iterable[str]:
    if one.type == STORAGE and one.at("minimumTlsVersion") not in ("TLS1_2", "TLS1_3"):
        yield f"takes TLS below 1.2: minimumTlsVersion is {one.at('minimumTlsVersion', 'not set')}"
    if one.type == STORAGE and one.at("enableHttpsTrafficOnly", True) is not True:
        yield "takes HTTP without TLS"
    if one.type == GATEWAY and one.at("sslPolicy.minProtocolVersion", "TLSv1_2") not in ("TLSv1_2", "TLSv1_3"):
        yield f"takes TLS below 1.2: minProtocolVersion is {one.at('sslPolicy.minProtocolVersion')}"
    if one.type == GATEWAY and one.at("sslPolicy.policyName") in OLD_TLS:
        yield f"takes TLS below 1.2: policyName is {one.at('sslPolicy.policyName')}"


def pinned_digests(one: Subject, _: Facts) -> Iterable[str]:
    for name, image in _images(one):
        if not DIGEST.search(image):
            yield f"runs {image} in {name}: a tag may point to something else tomorrow"


def required_tags(one: Subject, facts: Facts) -> Iterable[str]:
    if one.type in TAGGED:
        missing = [tag for tag in facts.required_tags if tag not in (one.at("tags") or {})]
        if missing:
            yield f"lacks the tags {', '.join(missing)}"


def development_scales_to_zero(one: Subject, facts: Facts) -> Iterable[str]:
    if not facts.development:
        return
    if one.type == COMPUTE and one.at("properties.properties.scaleSettings.minNodeCount", 0) > 0:
        yield "keeps nodes on while nothing trains"
    for pool in _pools(one):
        least = pool.get("minCount") if pool.get("enableAutoScaling") else pool.get("count")
        if str(pool.get("mode")).lower() == "user" and (least or 0) > 0:
            yield f"keeps nodes of the pool {pool.get('name') or one.name} on while nothing runs"


def private_means_private(one: Subject, facts: Facts) -> Iterable[str]:
    if not facts.private:
        return
    if one.type == REGISTRY and one.at("sku.name") != "Premium":
        yield f"is {one.at('sku.name')}: only a Premium registry has private endpoints"
    if one.type == WORKSPACE and not one.at("imageBuildCompute"):
        yield "has no imageBuildCompute: the registry's own builders can't reach a private registry"
    if one.type in (STORAGE, REGISTRY, WORKSPACE) and one.at("publicNetworkAccess", "Enabled") != "Disabled":
        yield "answers to the internet: publicNetworkAccess is not Disabled"
    if one.type == VAULT and str(one.at("properties.publicNetworkAccess", "enabled")).lower() != "disabled":
        yield "answers to the internet: publicNetworkAccess is not Disabled"
    if one.type == GROUP and one.at("ipAddress.type") == "Public":
        yield "has a public address"


def listed_roles(one: Subject, _: Facts) -> Iterable[str]:
    if one.type != ASSIGNMENT:
        return
    definition, scope = str(one.at("roleDefinitionId", "")), str(one.at("scope", ""))
    role, kind = ROLES.get(guid_of(definition)), scope_type(scope)
    if role is None:
        yield f"gives {name_of(definition)}, which is not in the list of roles"
    elif kind.lower() not in (scope.lower() for scope in role.scopes):
        yield f"gives {role.name} on {kind}, broader than {' or '.join(role.scopes)}"


def closed_cluster_api(one: Subject, facts: Facts) -> Iterable[str]:
    if facts.production and one.type == CLUSTER:
        ranges = one.at("apiServerAccessProfile.authorizedIPRanges") or ()
        private = one.at("apiServerAccessProfile.enablePrivateCluster", False)
        if not private and (not len(ranges) or "0.0.0.0/0" in list(ranges)):
            yield "has an API that the whole internet reaches"


def purge_protection(one: Subject, facts: Facts) -> Iterable[str]:
    if facts.production and one.type == VAULT and one.at("properties.enablePurgeProtection") is not True:
        yield "can be purged, and its secrets with it"


def _images(one: Subject) -> Iterator[tuple[str, str]]:
    """The containers of a group or of a Kubernetes object that makes pods: name and image."""
    if one.type == GROUP:
        yield from _named(one.at("containers"))
        yield from _named(one.at("initContainers"))
    elif one.type.startswith("kubernetes:"):
        for path in ("spec.template.spec", "spec.jobTemplate.spec.template.spec", "spec"):
            spec = one.at(path)
            if isinstance(spec, Mapping) and "containers" in spec:
                yield from _named(spec.get("containers"))
                yield from _named(spec.get("initContainers"))


def _named(containers: Sequence[Mapping[str, Any]] | None) -> Iterator[tuple[str, str]]:
    for container in containers or ():
        yield str(container.get("name")), str(container.get("image", ""))


def _pools(one: Subject) -> Iterator[Mapping[str, Any]]:
    if one.type == POOL:
        yield one.inputs
    elif one.type == CLUSTER:
        yield from one.at("agentPoolProfiles") or ()


RULES: tuple[Rule, ...] = (
    Rule(
        "no-public-blob",
        MANDATORY,
        "Blobs are read with a login.",
        "set allowBlobPublicAccess: false, and publicAccess: None on containers",
        no_public_blob,
    ),
    Rule(
        "no-admin-registry",
        MANDATORY,
        "Registries have no admin user and no anonymous pulls.",
        "set adminUserEnabled and anonymousPullEnabled to false; give AcrPull and AcrPush to identities",
        no_admin_registry,
    ),
    Rule(
        "no-quarantine",
        MANDATORY,
        "Registries have no quarantine.",
        "set policies.quarantinePolicy.status: disabled",
        no_quarantine,
    ),
    Rule(
        "identity-instead-of-keys",
        MANDATORY,
        "Where an identity works, there is no key.",
        "set enableRbacAuthorization on the vault, disableLocalAccounts on the cluster, disableLocalAuth on computes,"
        " an identity in imageRegistryCredentials",
        identity_instead_of_keys,
    ),
    Rule(
        "no-shared-keys",
        ADVISORY,
        "Storage is read with roles, not with account keys.",
        "write forestay:storage: {sharedKeys: false}; Azure ML then needs identity-based datastores, a preview",
        no_shared_keys,
    ),
    Rule("tls-floor", MANDATORY, "TLS is 1.2 or newer.", "set minimumTlsVersion: TLS1_2 and HTTPS only", tls_floor),
    Rule(
        "pinned-digests",
        MANDATORY,
        "Images are named by digest.",
        "write image: REGISTRY/NAME@sha256:...; `forestay endpoint deploy` does",
        pinned_digests,
    ),
    Rule(
        "required-tags",
        MANDATORY,
        "Resources carry the tags of forestay:requiredTags.",
        "add them under forestay:tags, and hand tags to the resource",
        required_tags,
    ),
    Rule(
        "development-scales-to-zero",
        MANDATORY,
        "In development no cluster keeps nodes while idle.",
        "write minNodes: 0",
        development_scales_to_zero,
    ),
    Rule(
        "private-means-private",
        MANDATORY,
        "In a private environment nothing answers to the internet, and images can be built.",
        "write forestay:network: private and forestay:registry: {sku: premium}; see the message for what is left",
        private_means_private,
    ),
    Rule(
        "listed-roles",
        MANDATORY,
        "Roles are those of the list, on what the list says.",
        "give a narrower role, or the same one on a single resource; the list is infra/policies/roles.py",
        listed_roles,
    ),
    Rule(
        "closed-cluster-api",
        MANDATORY,
        "In production the cluster's API is private or limited to address ranges.",
        "write forestay:aks: {privateCluster: true} or authorizedRanges: [203.0.113.0/24]",
        closed_cluster_api,
    ),
    Rule(
        "purge-protection",
        MANDATORY,
        "In production a vault can't be purged.",
        "write forestay:purgeProtection: true",
        purge_protection,
    ),
)
