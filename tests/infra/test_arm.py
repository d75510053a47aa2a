"""Every resource of every stack, and of the combinations of settings that matter, fits Azure's published schemas."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType

import pytest

from infra.settings import StackSettings
from tests.infra.conftest import Changed
from tests.infra.recording import Recorded, arm_check, arm_errors, record
from tests.infra.test_cluster import EVERYTHING, THEIR_CLUSTER
from tests.infra.test_estate import ESTATES, PRINCIPALS, THEIRS, existing_id
from tests.infra.test_network import THEIR_NETWORK
from tests.infra.test_serving import PLAIN, TLS, recorded_services, with_services

# Types that the checker has no schema of.
WITHOUT_SCHEMA = {
    "azure-native:resources:ResourceGroup",
    "azure-native:monitor:PrivateLinkScope",
    "azure-native:monitor:PrivateLinkScopedResource",
    "azure-native:trafficmanager:Profile",
    "azure-native:dns:RecordSet",
}
KEY = {"keyVault": existing_id("Microsoft.KeyVault/vaults", "keys"), "key": "forestay", "version": "a" * 32}
COMBINATIONS = {
    "people": ("dev", {"principals": PRINCIPALS}),
    "serverless": ("dev", {"training": {"serverless": True}}),
    "shared keys": ("dev", {"storage": {"sharedKeys": True, "redundancy": "gzrs"}}),
    "customer key of storage": ("dev", {"encryption": {**KEY, "storage": True}}),
    "customer key of the registry": (
        "prod",
        {"encryption": {**KEY, "registry": True}},
    ),
    "network of ours with zones of others": ("prod", {"existing": {"dnsZones": THEIR_NETWORK["dnsZones"]}}),
    "existing": ("dev", {"existing": THEIRS}),
    "existing private": ("prod", {"existing": THEIRS}),
    "cluster with everything": ("test", {"aks": EVERYTHING}),
    "public cluster in a private network": ("prod", {"aks": {"authorizedRanges": ["203.0.113.0/24"]}}),
    "names by a policy": ("prod", {"network": {"access": "private", "dnsZones": "none"}}),
    "network of others": ("prod", {"existing": THEIR_NETWORK}),
    "workspace of others": (
        "test",
        {"existing": {**THEIRS, "workspace": existing_id("Microsoft.MachineLearningServices/workspaces", "theirs")}},
    ),
    "deployers with gateways and a zone": (
        "prod",
        {
            "principals": PRINCIPALS,
            "network": {"access": "private", "gateways": True},
            "existing": {"servingZone": existing_id("Microsoft.Network/privateDnsZones", "contoso.com")},
        },
    ),
    "cluster of others": ("dev", {"existing": {"aks": THEIR_CLUSTER}, "aks": {}}),
    "approved": (
        "prod",
        {"network": {"access": "private", "outbound": "approved", "approvedHosts": ["a.contoso.com", "*.contoso.net"]}},
    ),
}


TLS_FRONT = {"front": "application_gateway", **TLS}
FRONTS: dict[str, tuple[str, dict[str, object], dict[str, object]]] = {
    "private record": (
        "prod-services",
        {"front": "dns", "host": "a.contoso.com"},
        {"servingZone": existing_id("Microsoft.Network/privateDnsZones", "contoso.com")},
    ),
    "public record": (
        "test-services",
        {"front": "dns", "host": "a.contoso.com", "public": True},
        {"servingZone": existing_id("Microsoft.Network/dnsZones", "contoso.com")},
    ),
    "public gateway": ("test-services", {**TLS_FRONT, "public": True}, {"subnets": THEIR_NETWORK["subnets"]}),
    "gateway in a network of others": ("prod-services", {**TLS_FRONT, "address": "10.9.9.9"}, THEIR_NETWORK),
}


@pytest.fixture(scope="session")
def checker() -> ModuleType:
    found = arm_check()
    if found is None:
        pytest.skip("shared/tools/arm_check.py is not here")
    return found


def problems(checker: ModuleType, found: Recorded) -> list[str]:
    told: list[str] = []
    for one in found.resources:
        if one.type.startswith("azure-native:"):
            errors = arm_errors(checker, one.type, one.inputs)
            if errors is None:
                assert one.type in WITHOUT_SCHEMA, one.type
            told += [f"{one.type} {one.name}: {error}" for error in errors or ()]
    return told


@pytest.mark.parametrize("name", ESTATES)
def test_what_ships_fits_the_schemas(checker: ModuleType, shipped: Callable[[str], Recorded], name: str) -> None:
    found = shipped(name)
    assert len(found.resources) > 30
    assert problems(checker, found) == []


@pytest.mark.parametrize("name", COMBINATIONS)
def test_combinations_of_settings_fit_the_schemas(checker: ModuleType, changed: Changed, name: str) -> None:
    stack, sections = COMBINATIONS[name]
    settings: StackSettings = changed(stack, **sections)
    assert problems(checker, record(settings)) == []


@pytest.mark.parametrize("name", ["test-services", "prod-services"])
def test_services_fit_the_schemas(checker: ModuleType, name: str) -> None:
    assert problems(checker, recorded_services(name)) == []


@pytest.mark.parametrize("name", FRONTS)
def test_every_front_fits_the_schemas(checker: ModuleType, name: str) -> None:
    stack, service, existing = FRONTS[name]
    found = record(with_services(stack, {"api": {**PLAIN, "target": "aci", "auth": "anonymous", **service}}, existing))
    assert problems(checker, found) == []


def test_a_seeded_typo_in_a_renamed_place_is_found(checker: ModuleType, changed: Changed) -> None:
    stack, sections = COMBINATIONS["customer key of storage"]
    account = record(changed(stack, **sections)).one("storage:StorageAccount")
    assert arm_errors(checker, account.type, account.inputs) == []
    wrong = copy.deepcopy(dict(account.inputs))
    wrong["encryption"]["encryptionIdentity"] = {"encryptionUserAssignedIdentity": ["not one"]}
    assert arm_errors(checker, account.type, wrong)


def test_a_seeded_typo_is_found(checker: ModuleType, shipped: Callable[[str], Recorded]) -> None:
    account = shipped("dev").one("storage:StorageAccount")
    wrong = copy.deepcopy(dict(account.inputs))
    wrong["networkRuleSet"]["defaultActoin"] = "Deny"
    wrong["minimumTlsVersion"] = "TLS9"
    told = checker.check_pulumi(account.type, wrong)
    assert any("defaultActoin" in one for one in told)
    assert any("TLS9" in one for one in told)
