"""The served models: containers that Azure and Kubernetes run as the settings say, secrets kept, digests rolled."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from forestay.errors import InputError
from infra import stackfile
from infra.components.aks_home import kubeconfig
from infra.existing import PRIVATE_ZONE, PUBLIC_ZONE
from infra.services import state_of
from infra.settings import StackSettings
from tests.infra.conftest import Changed
from tests.infra.recording import ROOT, SECRET, Recorded, Resource, record
from tests.infra.test_estate import existing_id

IMAGE = "contoso.azurecr.io/churn@sha256:" + "a" * 64
OTHER = "contoso.azurecr.io/churn@sha256:" + "b" * 64
HIDDEN = {"primary": {"secure": "v1:x"}, "secondary": {"secure": "v1:y"}}
CLEAR = {"primary": "first-key-in-clear", "secondary": "second-key-in-clear"}
PLAIN = {"image": IMAGE, "model": "Churn model", "version": "3"}
TLS = {"host": "a.contoso.com", "certificate": "scoring"}
SERVICES: dict[str, dict[str, Any]] = {
    "test-services": {
        "fronted": {**PLAIN, "target": "aci", "keys": HIDDEN, "public": True, "front": "traffic_manager"},
        "plain": {**PLAIN, "target": "aci", "auth": "anonymous", "public": True, "environment": {"A": "b"}},
        "kube": {**PLAIN, "target": "aks", "keys": HIDDEN},
        "gate": {**PLAIN, "target": "aks", "keys": HIDDEN, "tls": "gateway", **TLS},
        "single": {**PLAIN, "target": "aks", "auth": "anonymous", "public": True, "replicas": {"min": 1, "max": 1}},
    },
    "prod-services": {
        "fronted": {
            **PLAIN,
            "target": "aci",
            "keys": HIDDEN,
            "front": "application_gateway",
            "address": "10.20.3.10",
            **TLS,
        },
        "plain": {**PLAIN, "target": "aci", "auth": "anonymous"},
        "kube": {**PLAIN, "target": "aks", "keys": HIDDEN},
    },
}


def with_services(stack: str, services: Mapping[str, Any], existing: Mapping[str, Any] | None = None) -> StackSettings:
    data = stackfile.load(ROOT, stack).settings.model_dump(by_alias=True, exclude_none=True)
    return StackSettings.model_validate({**data, "services": services, "existing": dict(existing or {})})


@cache
def recorded_services(stack: str) -> Recorded:
    """What a services stack declares, its keys decrypted as Pulumi hands them over."""
    services = SERVICES[stack]
    clear = {name: {**one, "keys": CLEAR} if "keys" in one else one for name, one in services.items()}
    return record(with_services(stack, services), {"forestay:services": json.dumps(clear)})


def pods_of(name: str, stack: str = "test-services", **more: Any) -> str:
    """What the program calls the pods of a service's state, or of the state that has other settings."""
    services = {name: {**SERVICES[stack][name], **more}}
    return f"{name}-{state_of(with_services(stack, services).services[name])}"


def spec(found: Recorded, kind: str, name: str) -> Any:
    return found.one(f"kubernetes:{kind}", name).inputs["spec"]


def secrets_in(value: Any) -> list[Any]:
    """The values that carry Pulumi's mark of a secret."""
    if isinstance(value, dict):
        if SECRET in value.values():
            return [value["value"]]
        return [found for one in value.values() for found in secrets_in(one)]
    if isinstance(value, list):
        return [found for one in value for found in secrets_in(one)]
    return []


def test_nothing_is_served_at_first() -> None:
    assert not record(stackfile.load(ROOT, "dev-services").settings).resources


def test_nothing_of_the_estate_is_declared() -> None:
    found = recorded_services("test-services")
    for kind in ("resources:ResourceGroup", "storage:StorageAccount", "containerservice:ManagedCluster"):
        assert not found.of(kind)
    assert not found.of("authorization:RoleAssignment")


def test_a_container_group_pulls_by_identity_and_is_probed() -> None:
    group = recorded_services("test-services").one("containerinstance:ContainerGroup", "plain").inputs
    container = group["containers"][0]
    assert container["image"] == IMAGE
    assert container["resources"]["requests"] == {"cpu": 1, "memoryInGB": 2}
    assert container["environmentVariables"] == [
        {"name": "A", "value": "b"},
        {"name": "FORESTAY_AUTH", "value": "none"},
    ]
    assert {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} == {"/"}
    credential = group["imageRegistryCredentials"][0]
    assert credential["server"] == "contoso.azurecr.io"
    assert (
        credential["identity"].endswith("userAssignedIdentities/id-serve-categorize-test-ogyau")
        or "id-serve-" in (credential["identity"])
    )
    assert "password" not in credential
    assert group["ipAddress"]["dnsNameLabel"]


def test_a_private_group_has_an_address_in_the_subnet_and_no_name() -> None:
    group = recorded_services("prod-services").one("containerinstance:ContainerGroup", "plain").inputs
    assert group["ipAddress"]["type"] == "Private"
    assert "dnsNameLabel" not in group["ipAddress"]
    assert group["subnetIds"][0]["id"].endswith("/subnets/aci")


def test_keys_are_secret_on_the_whole_way() -> None:
    for stack in SERVICES:
        found = recorded_services(stack)
        for one in found.resources:
            text = json.dumps(one.inputs)
            if any(key in text for key in CLEAR.values()):
                assert set(CLEAR.values()) & set(secrets_in(one.inputs)), one.name
    service = with_services("test-services", SERVICES["test-services"]).services["fronted"]
    group = f"fronted-{state_of(service)}"
    variables = recorded_services("test-services").one("containerinstance:ContainerGroup", group).inputs
    keys = variables["containers"][0]["environmentVariables"]
    assert [(one["name"], secrets_in(one["secureValue"])) for one in keys] == [
        ("FORESTAY_KEY_PRIMARY", ["first-key-in-clear"]),
        ("FORESTAY_KEY_SECONDARY", ["second-key-in-clear"]),
    ]
    vault = recorded_services("test-services").one("keyvault:Secret", "kube-key-primary").inputs
    assert secrets_in(vault) == ["first-key-in-clear"]


def test_behind_a_front_a_new_digest_is_a_new_group_beside_the_old() -> None:
    groups: list[Resource] = []
    for image in (IMAGE, OTHER):
        services = {"api": {**PLAIN, "image": image, "target": "aci", "auth": "anonymous", "public": True}}
        fronted = {"api": {**services["api"], "front": "traffic_manager"}}
        found = record(with_services("test-services", fronted))
        groups.append(found.one("containerinstance:ContainerGroup"))
        assert groups[-1].name in found.one("trafficmanager:Profile").depends_on
        plain = record(with_services("test-services", services)).one("containerinstance:ContainerGroup")
        groups.append(plain)
    first, plain_first, second, plain_second = groups
    assert first.inputs["containerGroupName"] != second.inputs["containerGroupName"]
    assert first.inputs["ipAddress"]["dnsNameLabel"] != second.inputs["ipAddress"]["dnsNameLabel"]
    assert not first.options.deleteBeforeReplace
    # Without one, the group keeps its name, and restarts.
    assert plain_first.inputs["containerGroupName"] == plain_second.inputs["containerGroupName"]
    assert plain_first.options.deleteBeforeReplace


def test_an_application_gateway_ends_tls_with_the_vaults_certificate() -> None:
    gateway = recorded_services("prod-services").one("network:ApplicationGateway").inputs
    assert gateway["sslCertificates"][0]["keyVaultSecretId"].endswith(".vault.azure.net/secrets/scoring")
    assert gateway["httpListeners"][0]["protocol"] == "Https"
    private = next(one for one in gateway["frontendIPConfigurations"] if one["name"] == "private")
    assert private["privateIPAddress"] == "10.20.3.10"
    assert gateway["httpListeners"][0]["frontendIPConfiguration"]["id"].endswith("/private")
    assert recorded_services("prod-services").exports["services"]["fronted"] == "https://a.contoso.com"


@pytest.mark.parametrize(
    ("stack", "kind", "inside"), [("test-services", PUBLIC_ZONE, False), ("prod-services", PRIVATE_ZONE, True)]
)
def test_a_record_in_a_zone_of_others_leads_to_the_group(stack: str, kind: str, inside: bool) -> None:
    zone = existing_id(kind, "ml.contoso.com")
    service = {**PLAIN, "target": "aci", "auth": "anonymous", "front": "dns", "host": "churn.api.ml.contoso.com"}
    found = record(with_services(stack, {"api": {**service, "public": not inside}}, {"servingZone": zone}))
    (record_set,) = found.of("privatedns:PrivateRecordSet" if inside else "dns:RecordSet")
    given = record_set.inputs
    assert (given["relativeRecordSetName"], given["ttl"]) == ("churn.api", 30)
    assert given["resourceGroupName"] == "theirs"
    if inside:
        assert given["aRecords"] == [{"ipv4Address": "10.20.2.4"}]
    else:
        assert given["cnameRecord"]["cname"].endswith(".azurecontainer.io")
    assert "api-zone-subscription" in record_set.options.provider
    assert found.one("containerinstance:ContainerGroup").name in record_set.depends_on
    assert found.exports["services"]["api"] == "http://churn.api.ml.contoso.com:5001"
    assert not found.one("containerinstance:ContainerGroup").options.deleteBeforeReplace


def test_a_public_gateway_ends_tls_before_a_group_inside() -> None:
    """An estate that answers in public, with subnets that others gave for its models."""
    subnets = {
        use: existing_id("Microsoft.Network/virtualNetworks", "hub") + f"/subnets/{use}" for use in ("aci", "gateway")
    }
    service = {**PLAIN, "target": "aci", "auth": "anonymous", "front": "application_gateway", "public": True, **TLS}
    found = record(with_services("test-services", {"api": service}, {"subnets": subnets}))
    group = found.one("containerinstance:ContainerGroup").inputs
    assert (group["ipAddress"]["type"], group["subnetIds"]) == ("Private", [{"id": subnets["aci"]}])
    gateway = found.one("network:ApplicationGateway").inputs
    assert [one["name"] for one in gateway["frontendIPConfigurations"]] == ["public"]
    assert gateway["httpListeners"][0]["frontendIPConfiguration"]["id"].endswith("/public")
    assert found.one("network:PublicIPAddress").inputs["dnsSettings"]["domainNameLabel"]
    test = found.one("applicationinsights:WebTest").inputs
    assert test["request"]["requestUrl"] == "https://a.contoso.com"
    assert test["validationRules"]["sSLCheck"] is True


def test_a_deployment_rolls_without_an_outage() -> None:
    found = recorded_services("test-services")
    deployment = spec(found, "apps/v1:Deployment", pods_of("kube"))
    assert deployment["replicas"] == 2  # to begin with; then they are the autoscaler's
    assert found.one("kubernetes:apps/v1:Deployment", pods_of("kube")).options.ignoreChanges == ["spec.replicas"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    pod = deployment["template"]["spec"]
    container = pod["containers"][0]
    assert container["image"] == IMAGE
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    assert "preStop" in container["lifecycle"]
    assert {one["topologyKey"] for one in pod["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    scaler = spec(found, "autoscaling/v2:HorizontalPodAutoscaler", f"{pods_of('kube')}-copies")
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 4)
    assert scaler["scaleTargetRef"]["name"] == pods_of("kube")
    assert spec(found, "policy/v1:PodDisruptionBudget", f"{pods_of('kube')}-floor")["minAvailable"] == 1
    assert not [one for one in found.of("kubernetes:policy/v1:PodDisruptionBudget") if "single" in one.name]


@pytest.mark.parametrize("name", ["kube", "gate"])
def test_a_candidate_has_pods_and_an_address_where_no_caller_comes(name: str) -> None:
    """Afterwards its pods serve, as they are: the program calls them the same."""
    service = SERVICES["test-services"][name]
    new, clear = {"image": OTHER, "version": "4"}, {"forestay:services": json.dumps({name: {"keys": CLEAR}})}
    tried, then = (
        record(with_services("test-services", {name: {**service, **more}}), clear)
        for more in ({"candidate": {**PLAIN, **new}}, new)
    )
    kind, old, candidate = "kubernetes:apps/v1:Deployment", pods_of(name), pods_of(name, **new)
    assert {one.name for one in tried.of(kind)} == {old, candidate}
    assert [one.name for one in then.of(kind)] == [candidate]
    assert (then.one(kind).urn, then.one(kind).inputs) == (
        tried.one(kind, candidate).urn,
        tried.one(kind, candidate).inputs,
    )

    def leads_to(found: Recorded, service: str) -> str:
        """The pods that a Service leads to, which must be one Deployment's alone."""
        selector = spec(found, "core/v1:Service", service)["selector"].items()
        [deployment] = [
            one for one in found.of(kind) if selector <= one.inputs["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert deployment.name in found.one("kubernetes:core/v1:Service", service).depends_on
        return deployment.name

    assert leads_to(tried, f"{name}-service") == old
    assert leads_to(tried, f"{candidate}-trial") == candidate
    assert leads_to(then, f"{name}-service") == candidate
    url = tried.exports["candidates"][name]
    if name == "kube":
        assert url == "http://203.0.113.10:5001"
        return
    assert url == f"https://a.contoso.com/forestay-trial/{candidate}"
    first, second = spec(tried, "gateway.networking.k8s.io/v1:HTTPRoute", "gate-route")["rules"]
    assert first == {"backendRefs": [{"name": "gate", "port": 5001}]}
    assert second["matches"] == [{"path": {"type": "PathPrefix", "value": f"/forestay-trial/{candidate}"}}]
    assert second["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] == "/"
    assert second["backendRefs"] == [{"name": candidate, "port": 5001}]
    assert spec(then, "gateway.networking.k8s.io/v1:HTTPRoute", "gate-route")["rules"] == [first]


def test_a_pod_may_write_nowhere_and_be_nobody() -> None:
    pod = spec(recorded_services("test-services"), "apps/v1:Deployment", pods_of("kube"))["template"]["spec"]
    security = pod["containers"][0]["securityContext"]
    assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
    assert security["capabilities"]["drop"] == ["ALL"]
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 1001)
    assert pod["automountServiceAccountToken"] is False
    resources = pod["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"] == {"cpu": "1000m", "memory": "2048Mi"}


def test_keys_reach_a_pod_by_the_secrets_driver() -> None:
    found = recorded_services("test-services")
    given = spec(found, "secrets-store.csi.x-k8s.io/v1:SecretProviderClass", "kube-secrets")
    names = [yaml.safe_load(one)["objectName"] for one in yaml.safe_load(given["parameters"]["objects"])["array"]]
    assert names == ["kube-key-primary", "kube-key-secondary"]
    assert given["parameters"]["clientID"]
    pod = spec(found, "apps/v1:Deployment", pods_of("kube"))["template"]["spec"]
    assert any(one.get("csi", {}).get("driver") == "secrets-store.csi.k8s.io" for one in pod["volumes"])
    references = [one["valueFrom"]["secretKeyRef"] for one in pod["containers"][0]["env"] if "valueFrom" in one]
    (kept,) = given["secretObjects"]
    assert references == [{"name": kept["secretName"], "key": which} for which in ("primary", "secondary")]
    (volume,) = [one for one in pod["volumes"] if "csi" in one]
    provider = found.one("kubernetes:secrets-store.csi.x-k8s.io/v1:SecretProviderClass", "kube-secrets").inputs
    assert volume["csi"]["volumeAttributes"] == {"secretProviderClass": provider["metadata"]["name"]}
    assert "kube-secrets" in found.one("kubernetes:apps/v1:Deployment", pods_of("kube")).depends_on


def test_pods_are_rolled_when_their_keys_change() -> None:
    """A container keeps the variables that it was started with: another key is another Secret."""
    named = set()
    for key in ("a first key", "another key"):
        clear = {"kube": {**PLAIN, "target": "aks", "keys": {**CLEAR, "primary": key}}}
        services = {"kube": {**PLAIN, "target": "aks", "keys": HIDDEN}}
        found = record(with_services("test-services", services), {"forestay:services": json.dumps(clear)})
        pod = spec(found, "apps/v1:Deployment", pods_of("kube"))["template"]["spec"]
        (reference, _) = [
            one["valueFrom"]["secretKeyRef"]["name"] for one in pod["containers"][0]["env"] if "valueFrom" in one
        ]
        assert not secrets_in(pod)  # the name is a hash, and readable
        assert key not in json.dumps(pod)
        named.add(reference)
    assert len(named) == 2


def test_the_namespace_is_closed_but_for_what_is_let_in() -> None:
    found = recorded_services("test-services")
    closed = spec(found, "networking.k8s.io/v1:NetworkPolicy", "home-closed")
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    allowed = spec(found, "networking.k8s.io/v1:NetworkPolicy", "kube-allowed")
    assert allowed["ingress"][0]["ports"] == [{"port": 5001, "protocol": "TCP"}]
    space = found.one("kubernetes:core/v1:Namespace").inputs["metadata"]["labels"]
    assert space["pod-security.kubernetes.io/enforce"] == "restricted"


def test_callers_come_by_a_load_balancer_or_by_a_gateway() -> None:
    found = recorded_services("test-services")
    internal = found.one("kubernetes:core/v1:Service", "kube-service").inputs
    assert internal["metadata"]["annotations"] == {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}
    public = found.one("kubernetes:core/v1:Service", "single-service").inputs
    assert "annotations" not in public["metadata"]
    assert spec(found, "core/v1:Service", "gate-service")["type"] == "ClusterIP"
    gateway = spec(found, "gateway.networking.k8s.io/v1:Gateway", "gate-gateway")
    assert gateway["listeners"][0]["tls"]["certificateRefs"] == [{"kind": "Secret", "name": "gate-tls"}]
    assert gateway["gatewayClassName"] == "azure-alb-external"
    route = spec(found, "gateway.networking.k8s.io/v1:HTTPRoute", "gate-route")
    assert route["hostnames"] == ["a.contoso.com"]


def test_public_services_are_asked_from_outside_and_pods_are_watched() -> None:
    found = recorded_services("test-services")
    assert {one.name for one in found.of("applicationinsights:WebTest")} == {
        f"alerts-{name}-test" for name in ("fronted", "plain", "single")
    }
    rules = {one.name for one in found.of("monitor:ScheduledQueryRule")}
    assert {"alerts-kube-restarts", "alerts-fronted-unreachable"} <= rules
    assert not recorded_services("prod-services").of("applicationinsights:WebTest")


def test_the_way_into_the_cluster_takes_the_login_that_is_there() -> None:
    given = {"clusters": [], "users": [{"name": "u", "user": {"token": "t"}}], "contexts": []}
    found = yaml.safe_load(kubeconfig(base64.b64encode(yaml.safe_dump(given).encode()).decode()))
    assert found["users"][0]["user"]["exec"]["command"] == "kubelogin"
    assert "token" not in found["users"][0]["user"]
    nowhere = yaml.safe_load(kubeconfig(None))
    assert nowhere["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:9"


def test_secrets_that_pulumi_decrypted_are_no_settings() -> None:
    open_ = {**PLAIN, "target": "aci", "auth": "anonymous", "earlier": [{**PLAIN, "auth": "keys", "keys": CLEAR}]}
    services = {"api": {**PLAIN, "target": "aci", "keys": CLEAR}, "open": open_}
    config = {
        "azure-native:location": "westeurope",
        "azure-native:subscriptionId": "11111111-1111-4111-8111-111111111111",
        "forestay:stem": "churn",
        "forestay:services": json.dumps(services),
    }
    found = stackfile.from_pulumi(config, "dev-services", ["forestay:services"])
    assert "in-clear" not in found.model_dump_json()
    with pytest.raises(InputError, match="is a secret in clear"):
        stackfile.from_pulumi(config, "dev-services")


@pytest.mark.parametrize(
    ("stack", "service", "told"),
    [
        ("prod-services", {"target": "aci", "public": True}, "is public in a private network"),
        ("test-services", {"target": "aci", "front": "traffic_manager"}, "only leads to public addresses"),
        ("test-services", {"target": "aci", "front": "application_gateway", **TLS}, "without an address"),
        ("test-services", {"target": "aci", "tls": "gateway", **TLS}, "which is for AKS"),
        ("test-services", {"target": "aks", "tls": "gateway", "host": "a.contoso.com"}, "no certificate"),
        ("test-services", {"target": "aks", "host": "a b"}, "must be a host name"),
        (
            "prod-services",
            {"target": "aci", "front": "application_gateway", "address": "10.20.9.9", **TLS},
            "outside of the gateway's subnet",
        ),
        (
            "test-services",
            {"target": "aci", "front": "application_gateway", "address": "10.20.3.10", **TLS},
            "there is no network for it",
        ),
        ("test-services", {"target": "aci", "front": "dns", "public": True}, "has no host name"),
        ("test-services", {"target": "aci", "front": "dns", "host": "a.contoso.com"}, "no zone is named for it"),
        (
            "test-services",
            {"target": "aci", "front": "application_gateway", "public": True, "address": "10.20.3.10", **TLS},
            "its gateway answers in public",
        ),
    ],
)
def test_a_service_that_fits_no_network_is_refused(stack: str, service: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        with_services(stack, {"api": {**PLAIN, "auth": "anonymous", **service}})


@pytest.mark.parametrize(
    ("host", "kind", "told"),
    [
        ("a.contoso.net", PUBLIC_ZONE, "is not a name in the zone contoso.com"),
        ("a.contoso.com", PRIVATE_ZONE, "the zone is of the other kind"),
    ],
)
def test_a_name_that_the_zone_can_not_hold_is_refused(host: str, kind: str, told: str) -> None:
    service = {**PLAIN, "target": "aci", "auth": "anonymous", "front": "dns", "host": host, "public": True}
    with pytest.raises(ValidationError, match=told):
        with_services("test-services", {"api": service}, {"servingZone": existing_id(kind, "contoso.com")})


def test_a_stack_of_services_knows_the_cluster_by_name(changed: Changed) -> None:
    provider = recorded_services("test-services").one("pulumi:providers:kubernetes").inputs
    assert "managedClusters/aks-categorize-test" in provider["clusterIdentifier"]
    assert changed("test-services").aks is not None
