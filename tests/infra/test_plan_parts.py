"""What follows from a plan's resources: costs, quota, roles, graphs, changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forestay.errors import InputError
from infra.plan import changes, graph, prices, sizes
from infra.plan.costs import idle_costs, standing_of
from infra.plan.model import Plan, PlannedResource
from infra.plan.outages import outages_of
from infra.plan.quota import quota_of
from infra.plan.roles import grants_of
from infra.services import Service


def made(kind: str, inputs: dict[str, Any], name: str = "one", **more: Any) -> PlannedResource:
    token = f"azure-native:{kind}"
    given: dict[str, Any] = {"id": f"/subscriptions/s-{name}/x/{name}", "parent": None, "depends_on": (), **more}
    return PlannedResource(
        urn=f"urn:pulumi:dev::forestay::{token}::{name}", type=token, name=name, inputs=inputs, **given
    )


def cluster(least: int, priority: str = "Dedicated") -> dict[str, Any]:
    scaling = {"scaleSettings": {"minNodeCount": least, "maxNodeCount": 4}}
    return {"properties": {"properties": {"vmSize": "Standard_DS3_v2", "vmPriority": priority, **scaling}}}


POOLS = [
    {"name": "system", "vmSize": "Standard_D4s_v5", "enableAutoScaling": True, "minCount": 2, "maxCount": 5},
    {"name": "fixed", "vmSize": "Standard_E8s_v5", "count": 1, "osDiskType": "Ephemeral"},
]
DEFENDED = {"defender": {"securityMonitoring": {"enabled": True}}}


@pytest.mark.parametrize(
    ("name", "cores", "family"),
    [
        ("Standard_DS3_v2", 4, "standardDSv2Family"),
        ("Standard_D14_v2", 16, "standardDv2Family"),
        ("Standard_D4s_v5", 4, "standardDSv5Family"),
        ("Standard_D4ads_v5", 4, "standardDADSv5Family"),
        ("Standard_E16-4s_v5", 16, "standardESv5Family"),
        ("Standard_B2ms", 2, "standardBSFamily"),
        ("Standard_F4s_v2", 4, "standardFSv2Family"),
        ("Standard_NC24ads_A100_v4", 24, "standardNCADSA100v4Family"),
        ("Standard_NC6s_v3", 6, "standardNCSv3Family"),
        ("nonsense", None, "nonsense"),
    ],
)
def test_a_size_says_its_cores_and_family(name: str, cores: int | None, family: str) -> None:
    assert sizes.size_of(name) == sizes.Size(cores, family)


@pytest.mark.parametrize(
    ("kind", "inputs", "amounts"),
    [
        ("containerregistry:Registry", {"sku": {"name": "Premium"}}, [50.7]),
        ("machinelearningservices:Compute", cluster(0), []),
        ("machinelearningservices:Compute", cluster(2), [397.12]),
        (
            "containerservice:ManagedCluster",
            {
                "sku": {"tier": "Standard"},
                "agentPoolProfiles": POOLS,
                "networkProfile": {"outboundType": "userDefinedRouting"},
            },
            [443.84, 335.8, 73.0, 39.42],
        ),
        ("containerservice:ManagedCluster", {"agentPoolProfiles": []}, [18.25, 3.65]),
        (
            "containerinstance:ContainerGroup",
            {"containers": [{"resources": {"requests": {"cpu": 1, "memoryInGB": 2}}}]},
            [35.48, 7.74],
        ),
        ("network:NatGateway", {}, [32.85]),
        ("network:PrivateEndpoint", {}, [7.3]),
        ("privatedns:PrivateZone", {}, [0.5]),
        ("network:ApplicationGateway", {"sku": {"tier": "WAF_v2"}}, [323.39]),
        ("applicationinsights:WebTest", {"locations": [1, 2], "frequency": 600}, [5.26]),
        ("monitor:ScheduledQueryRule", {"evaluationFrequency": "PT15M"}, [0.5]),
        (
            "machinelearningservices:Workspace",
            {"managedNetwork": {"outboundRules": {"a": {"type": "FQDN"}, "b": {"type": "PrivateEndpoint"}}}},
            [912.5, 7.3],
        ),
        ("storage:StorageAccount", {}, []),
    ],
)
def test_what_bills_while_idle(kind: str, inputs: dict[str, Any], amounts: list[float]) -> None:
    found = idle_costs([made(kind, inputs)], prices.load())
    assert [cost.amount for cost in found] == amounts
    assert all(cost.reason and cost.currency == "USD" for cost in found)


def test_defender_bills_by_core_of_the_nodes_that_stay() -> None:
    inputs = {"agentPoolProfiles": POOLS, "securityProfile": DEFENDED}
    (cost,) = [
        one
        for one in idle_costs([made("containerservice:ManagedCluster", inputs)], prices.load())
        if "16" in one.reason
    ]
    assert cost.amount == pytest.approx(6.87 * 16)


def test_a_missing_price_is_said_and_what_others_own_is_not_billed() -> None:
    inputs = cluster(1)
    inputs["properties"]["properties"]["vmSize"] = "Standard_M64"
    (cost,) = idle_costs([made("machinelearningservices:Compute", inputs)], prices.load())
    assert cost.amount is None
    assert "has no price for Standard_M64" in cost.reason
    assert not idle_costs([made("network:NatGateway", {}, external=True)], prices.load())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "source: x\ndate: '2026-01-01'\ncurrency: EUR\nregion: x\nmeters: {natGateway: {amount: -1, per: hour}}",
            "below 0",
        ),
        (
            "source: x\ndate: '2026-01-01'\ncurrency: EUR\nregion: x\nmeters: {natGateway: {amount: 1, per: hor}}",
            "did you mean hour",
        ),
        ("source: x\ndate: soon\ncurrency: EUR\nregion: x\nmeters: {}", "is not a date"),
        ("sorce: x\n", "did you mean source"),
        ("- a\n", "a price file is a mapping"),
    ],
)
def test_a_wrong_price_file_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        prices.load(path)
    assert any(told in f"{one.message} {one.fix}" for one in error.value.problems), error.value.problems
    assert all(one.where.startswith(str(path)) for one in error.value.problems)


def test_a_group_without_a_front_is_away_while_it_changes() -> None:
    probe = {"initialDelaySeconds": 5, "periodSeconds": 10, "failureThreshold": 30}
    groups = [
        made("containerinstance:ContainerGroup", {"containers": [{"readinessProbe": probe}]}, name)
        for name in ("plain", "fronted")
    ]
    common = {"target": "aci", "image": "a.io/b@sha256:" + "a" * 64, "model": "M", "version": "1", "auth": "anonymous"}
    services = {
        "plain": Service.model_validate(common),
        "fronted": Service.model_validate({**common, "front": "traffic_manager", "public": True}),
    }
    (outage,) = outages_of(groups, services)
    assert outage.resource == groups[0].urn
    assert (outage.at_least, outage.at_most) == (35, 425)
    assert "35 s to 8 minutes (estimated" in outage.reason
    assert "front: dns, traffic_manager" in outage.fix


def test_an_endpoint_of_a_traffic_manager_is_checked_all_the_time() -> None:
    (standing,) = standing_of("azure-native:trafficmanager:Profile", {"endpoints": [{"name": "api"}]})
    assert (standing.meter, standing.count) == ("trafficManagerEndpoint", 1)
    assert not standing_of("azure-native:trafficmanager:Profile", {})


def test_quota_is_summed_by_provider_and_family() -> None:
    found = quota_of(
        [
            made("machinelearningservices:Compute", cluster(0)),
            made("machinelearningservices:Compute", cluster(0), "two"),
            made("machinelearningservices:Compute", cluster(0, "LowPriority"), "cheap"),
            made("containerservice:ManagedCluster", {"agentPoolProfiles": POOLS}, "aks"),
            made(
                "containerinstance:ContainerGroup", {"containers": [{"resources": {"requests": {"cpu": 1.5}}}]}, "aci"
            ),
        ]
    )
    assert [(one.provider, one.family, one.cores, len(one.resources)) for one in found] == [
        ("Microsoft.Compute", "standardDSv5Family", 20, 1),
        ("Microsoft.Compute", "standardESv5Family", 8, 1),
        ("Microsoft.ContainerInstance", "StandardCores", 2, 1),
        ("Microsoft.MachineLearningServices", "lowPriorityCores", 16, 1),
        ("Microsoft.MachineLearningServices", "standardDSv2Family", 32, 2),
    ]


def test_grants_are_told_in_names() -> None:
    assignment = {
        "principalId": "p-1",
        "roleDefinitionId": "/x/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d",
        "scope": "/SUBSCRIPTIONS/s-registry/x/registry",
        "description": "pulls images",
    }
    stack = [
        made("containerregistry:Registry", {}, "registry"),
        made("authorization:RoleAssignment", assignment, "grant"),
    ]
    (grant,) = grants_of(stack, {"p-1": "identity"})
    assert (grant.principal, grant.role, grant.scope, grant.reason) == (
        "identity",
        "AcrPull",
        "registry",
        "pulls images",
    )
    (unknown,) = grants_of(stack[1:], {})
    assert (unknown.principal, unknown.scope) == ("p-1", assignment["scope"])


def plan(env: str = "dev", **more: Any) -> Plan:
    group = made("resources:ResourceGroup", {"location": "westeurope"}, "group")
    account = made("storage:StorageAccount", {"sku": {"name": "LRS"}}, 'st"<ore>', depends_on=(group.urn,))
    blobs = made("storage:BlobContainer", {}, "blobs", depends_on=(group.urn, account.urn))
    resources = tuple(more.get("resources", (group, account, blobs)))
    return Plan(env=env, location="westeurope", resources=resources)


def test_graphs_show_direct_edges_and_quote_names() -> None:
    mermaid, dot = graph.draw(plan(), "mermaid"), graph.draw(plan(), "dot")
    assert mermaid.startswith("flowchart LR\n")
    assert '"StorageAccount st&quot;&lt;ore&gt;"' in mermaid
    assert [line.strip() for line in mermaid.splitlines() if "-->" in line] == ["r0 --> r1", "r1 --> r2"]
    assert 'label="StorageAccount st\\"<ore>"' in dot
    assert dot.count("->") == 2


def test_components_are_boxes() -> None:
    box = made("x:Box", {}, "box", component=True, id="")
    inner = made("storage:BlobContainer", {}, "inner", parent=box.urn)
    text = graph.draw(plan(resources=(box, inner)), "mermaid")
    assert 'subgraph r0["Box box"]\n    r1["BlobContainer inner"]\n  end' in text
    assert "subgraph cluster_r0" in graph.draw(plan(resources=(box, inner)), "dot")


def test_changes_of_one_environment_show_every_input(tmp_path: Path) -> None:
    old = plan()
    group, account, _ = old.resources
    other = made("storage:StorageAccount", {"sku": {"name": "ZRS"}}, account.name, protect=True)
    new = plan(resources=(group, other, made("storage:BlobContainer", {}, "models")))
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(old.as_dict()), encoding="utf-8")
    found = changes.compare(changes.read(path), new.as_dict())
    assert [
        (change.kind, change.resource.rpartition("::")[2], change.path, change.old, change.new) for change in found
    ] == [
        ("removed", "blobs", "", None, None),
        ("added", "models", "", None, None),
        ("changed", account.name, "(protect)", False, True),
        ("changed", account.name, "sku.name", "LRS", "ZRS"),
    ]
    assert not changes.compare(old.as_dict(), old.as_dict())


def test_between_environments_names_and_ids_are_no_difference() -> None:
    def environment(env: str, nodes: int) -> Plan:
        subscription = f"/subscriptions/{env}-subscription/resourceGroups/rg-{env}"
        store = made("storage:StorageAccount", {"accountName": f"st{env}"}, "store", id=f"{subscription}/x/st{env}")
        compute = made("ml:Compute", {"store": store.id, "nodes": nodes, "who": f"{env}-guid"}, "compute", id="")
        principals = {f"{env}-guid": "identity"}
        return Plan(env=env, location="x", resources=(store, compute), principals=principals)

    found = changes.compare(environment("dev", 2).as_dict(), environment("prod", 9).as_dict())
    assert [(one.path, one.old, one.new) for one in found] == [("nodes", 2, 9)]


@pytest.mark.parametrize("text", ["{", "[]", '{"env": "dev", "resources": [{}]}', '{"resources": []}'])
def test_a_file_that_is_no_plan_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="this is no plan") as error:
        changes.read(path)
    assert "--save FILE" in error.value.problems[0].fix
    with pytest.raises(InputError, match="cannot read"):
        changes.read(tmp_path / "none.json")
