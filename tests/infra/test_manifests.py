"""What is sent to the cluster, as manifests: Kubernetes' own schemas of the newest versions, and a linter's checks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.environments import environment
from tests.infra.test_serving import recorded_services

SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
NEWEST = sorted({tuple(map(int, path.name[1:].split("-")[0].split("."))) for path in SCHEMAS.glob("v*-strict")})[-3:]
CHECKOV = "checkov-3.3.30"
# Checks that do not hold here, each with the reason.
NOT_OURS = {
    "CKV_K8S_35": "the keys come as files by the vault's driver; the server takes them from the environment",
    "CKV_K8S_40": "the image's user is 1001, which the base image of Azure ML has, too",
    "CKV_K8S_43": "images are named by digest",
}


def manifests() -> list[dict[str, Any]]:
    found = recorded_services("test-services")
    return [
        _plain({**one.inputs, "metadata": {**one.inputs.get("metadata", {})}})
        for one in found.resources
        if one.type.startswith("kubernetes:") and "kind" in one.inputs
    ]


def _plain(value: Any) -> Any:
    """Whole numbers, which travel as floats, and no marks of secrets."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@pytest.mark.parametrize("version", [f"{major}.{minor}" for major, minor, _ in NEWEST])
def test_manifests_are_valid(version: str) -> None:
    checked = 0
    for manifest in manifests():
        group = manifest["apiVersion"].rpartition("/")[0]
        if ("." in group and not group.endswith(".k8s.io")) or "gateway" in group or "csi" in group:
            continue  # custom resources have no schema of Kubernetes'
        kubernetes_validate.validate(manifest, version, strict=True)
        checked += 1
    assert checked >= 15


@pytest.mark.timeout(900)
def test_a_linter_has_nothing_to_say(tmp_path: Path) -> None:
    checkov = environment(CHECKOV, "3.11", ("checkov==3.3.30",)) / "checkov"
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(manifests()))
    done = subprocess.run(
        [checkov, "--file", file, "--framework", "kubernetes", "--output", "json", "--compact", "--quiet",
         "--skip-check", ",".join(NOT_OURS), "--skip-download"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout)
    failed = [f"{one['check_id']} {one['check_name']}: {one['resource']}" for one in found["results"]["failed_checks"]]
    assert failed == []
