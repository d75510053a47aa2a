"""Stack files: what ships is right, what is wrong is told with file, line and example."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from forestay.errors import InputError
from infra import stackfile

ROOT = Path(__file__).parents[2]
GUID = "11111111-1111-4111-8111-111111111111"
DIGEST = "contoso.azurecr.io/churn@sha256:" + "a" * 64
HEAD = f"""config:
  azure-native:location: westeurope
  azure-native:subscriptionId: {GUID}
  forestay:stem: churn
"""


def read(tmp_path: Path, text: str, name: str = "dev") -> stackfile.Stack:
    (tmp_path / "stacks").mkdir(exist_ok=True)
    stackfile.stack_path(tmp_path, name).write_text(text, encoding="utf-8")
    return stackfile.load(tmp_path, name)


def problems(tmp_path: Path, text: str, name: str = "dev") -> list[tuple[str, str]]:
    """(line, message and fix) of each problem."""
    with pytest.raises(InputError) as error:
        read(tmp_path, text, name)
    assert error.value.exit_code == 2
    return [(one.where.rpartition(":")[2], f"{one.message}; {one.fix}") for one in error.value.problems]


def test_the_stacks_that_ship_are_right_and_differ_as_environments_do() -> None:
    stacks = {name: stackfile.load(ROOT, name).settings for name in stackfile.names_in(ROOT)}
    assert set(stacks) == {"dev", "dev-services", "test", "test-services", "prod", "prod-services"}
    assert {name for name, one in stacks.items() if one.layer == "services"} == {name for name in stacks if "-" in name}
    prod = stacks["prod"]
    assert prod.network.private
    assert (prod.lock, prod.protect, prod.storage.redundancy) == (True, True, "zrs")
    assert stacks["dev"].training.max_nodes < prod.training.max_nodes
    for name in ("dev", "test", "prod"):
        estate, services = stackfile.load(ROOT, name), stackfile.load(ROOT, f"{name}-services")
        assert estate.names == services.names


def test_what_pulumi_hands_over_is_read_like_the_file(tmp_path: Path) -> None:
    text = HEAD + "  forestay:training: {vmSize: Standard_D4s_v5, maxNodes: 3}\n  forestay:network: private\n"
    text += "  forestay:registry: {sku: premium}\n"
    config = {
        "azure-native:location": "westeurope",
        "azure-native:subscriptionId": GUID,
        "forestay:stem": "churn",
        "forestay:training": json.dumps({"vmSize": "Standard_D4s_v5", "maxNodes": 3}),
        "forestay:network": "private",
        "forestay:registry": json.dumps({"sku": "premium"}),
    }
    assert stackfile.from_pulumi(config, "dev") == read(tmp_path, text).settings


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("forestay:training: {vmSize: DS3}", "`training.vmSize` must be a VM size"),
        ("forestay:training: {minNodes: 5, maxNodes: 2}", "more minNodes (5) than maxNodes (2)"),
        ("forestay:training: {maxNode: 2}", "did you mean maxNodes"),
        ("forestay:trainng: {}", "did you mean training"),
        ("forestay:maxNodes: 2", "it belongs under `forestay:training:`"),
        ("forestay:network: privat", "did you mean private"),
        ("forestay:network: {access: private}", "registry that is not Premium"),
        ("forestay:network: {subnets: {aks: 10.20.0.0/20}}", "overlapping subnets: runners"),
        ("forestay:network: {addressSpace: 10.20.0.1/16}", "is not an address range"),
        ("forestay:network: {addressSpace: 10.9.0.0/16}", "outside of addressSpace"),
        ("forestay:budget: {amount: 5, startDate: '2026-01-15', mails: [a@b.co]}", "write 2026-01-01"),
        ("forestay:budget: {amount: 5, startDate: 2026-01-01, mails: [nobody]}", "must be a mail address"),
        ("forestay:existing: {storageAccount: mystore}", "must be a resource id"),
        (
            f"forestay:existing: {{storageAccount: /subscriptions/{GUID}/resourceGroups/g/providers/"
            "Microsoft.KeyVault/vaults/v}",
            "another type of resource",
        ),
        ("forestay:requiredTags: [owner]", "lacks the required tag 'owner'"),
        ("forestay:names: {storageAccount: Big-One}", "Azure does not take 'Big-One'"),
        ("forestay:location: westeurope", "write azure-native:location"),
        ("stem: churn", "write forestay:stem"),
        ("azure-native:clientSecret: hunter2", "`azure-native:clientSecret` is a secret in clear"),
        (
            f"forestay:services: {{api: {{target: aci, image: {DIGEST}, model: M, version: '1', auth: anonymous}}}}",
            "services stack",
        ),
        ("forestay:aks: {pools: [{name: system, mode: user}]}", "no system pool"),
        ("forestay:aks: {privateCluster: true, authorizedRanges: [10.0.0.0/8]}", "nothing public is there"),
    ],
)
def test_a_wrong_setting_is_told_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    found = problems(tmp_path, f"{HEAD}  {line}\n")
    assert len(found) == 1, found
    assert told in found[0][1]
    assert found[0][0] in ("5", "1")  # the setting's line; what lacks a line, the root's
    assert "``" not in found[0][1]


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ({"image": "contoso.azurecr.io/churn:latest"}, "must be an image by digest"),
        ({"target": "aks"}, "`services.api.target` is aks, and the stack has no cluster"),
        ({"environment": {"DB_PASSWORD": "abc"}}, "`services.api.environment.DB_PASSWORD` looks like a secret"),
        ({"environment": {"FORESTAY_KEY_PRIMARY": "abc"}}, "which auth and keys set"),
        ({"target": "acu"}, "did you mean aci"),
        ({"keys": {"primary": "abc", "secondary": "def"}}, "is a secret in clear"),
        ({"cpu": 0}, "asks for 0 cores"),
        ({"port": 99999}, "must be from 1 to 65535"),
        ({"auth": "keys"}, "has no keys"),
    ],
)
def test_a_wrong_service_is_told(tmp_path: Path, service: dict[str, Any], told: str) -> None:
    whole = {"target": "aci", "image": DIGEST, "model": "M", "version": "1", "auth": "anonymous", **service}
    if "keys" in service:
        whole["auth"] = "keys"
    found = problems(tmp_path, f"{HEAD}  forestay:services: {json.dumps({'api': whole})}\n", "dev-services")
    assert all(line in ("5", "1") for line, _ in found)
    assert any(told in text for _, text in found), found
    assert not any("abc" in text for _, text in found)  # a secret is not repeated


def test_another_providers_secret_may_be_there_encrypted(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + "  azure-native:clientSecret: {secure: v1:x}\n").settings.stem == "churn"
    config = {
        "azure-native:location": "westeurope",
        "azure-native:subscriptionId": GUID,
        "azure-native:clientSecret": "hunter2",
        "forestay:stem": "churn",
    }
    assert stackfile.from_pulumi(config, "dev", ["azure-native:clientSecret"]).stem == "churn"
    with pytest.raises(InputError, match="is a secret in clear"):
        stackfile.from_pulumi(config, "dev")


def test_a_stack_without_a_file_is_told_with_its_neighbours(tmp_path: Path) -> None:
    read(tmp_path, HEAD)
    with pytest.raises(InputError) as error:
        stackfile.load(tmp_path, "devv")
    assert "did you mean dev" in error.value.problems[0].fix


@pytest.mark.parametrize("text", ["", "- a\n", "config: 3\n", "config: {a: [}\n", "\0"])
def test_a_file_that_is_no_stack_file_is_refused(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_all_problems_are_told_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = HEAD.replace("westeurope", "West Europe").replace(GUID, "none") + "  forestay:locks: true\n"
    assert [line for line, _ in problems(tmp_path, text)] == ["2", "3", "5"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("stem: categorize", "stem: category", "`stem` is category, and categorize in Pulumi.dev.yaml"),
        (
            "network: public",
            "network: private\n  forestay:registry: {sku: premium}",
            "`network` is private, and public",
        ),
    ],
)
def test_both_stacks_of_an_environment_name_the_same_estate(tmp_path: Path, old: str, new: str, told: str) -> None:
    shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    path = tmp_path / "stacks" / "Pulumi.dev-services.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as error:
        stackfile.load(tmp_path, "dev-services")
    (problem,) = error.value.problems
    assert told in problem.message
    assert problem.where.startswith(f"{path}:")
    (tmp_path / "stacks" / "Pulumi.dev.yaml").unlink()
    assert stackfile.load(tmp_path, "dev-services").settings.layer == "services"
