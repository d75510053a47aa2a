"""The policy pack as the engine runs it: a process that answers on Pulumi's analyzer protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from forestay import __version__
from forestay.errors import InputError
from infra.policies.estate import STACK_RULES
from infra.policies.model import Facts
from infra.policies.pulumi_pack import facts, facts_of_file, stack_in
from infra.policies.rules import RULES

ROOT = Path(__file__).parents[2]
PACK = ROOT / "infra" / "policies" / "pack"
CONFIG = {
    "azure-native:location": "westeurope",
    "azure-native:subscriptionId": "11111111-1111-4111-8111-111111111111",
    "forestay:stem": "churn",
    "forestay:services": json.dumps({"api": {"keys": {"primary": "in clear"}}}),
}
STORE = "azure-native:storage:StorageAccount"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@pytest.fixture(scope="module")
def pack() -> Iterator[Any]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PULUMI_CONFIG": json.dumps(CONFIG),
        "PULUMI_STACK": "prod",
        "PULUMI_PROJECT": "forestay",
        "PULUMI_DRY_RUN": "true",
    }
    command = [sys.executable, "__main__.py"]
    with subprocess.Popen(command, cwd=PACK, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            process.kill()


def struct(value: dict[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(value)
    return made


def test_the_pack_has_every_rule_at_its_level(pack: Any) -> None:
    info = pack.GetAnalyzerInfo(empty_pb2.Empty())
    levels = {one.name: analyzer_pb2.EnforcementLevel.Name(one.enforcementLevel).lower() for one in info.policies}
    assert levels == {one.name: one.level for one in (*RULES, *STACK_RULES)}
    written = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text(encoding="utf-8"))
    assert (written["name"], written["version"]) == (info.name, __version__)


def test_a_resource_is_judged_before_it_is_made(pack: Any) -> None:
    good = {"allowBlobPublicAccess": False, "allowSharedKeyAccess": False, "minimumTlsVersion": "TLS1_2"}

    def found(inputs: dict[str, Any]) -> list[tuple[str, str]]:
        request = analyzer_pb2.AnalyzeRequest(type=STORE, name="store", urn="urn:store", properties=struct(inputs))
        return [(one.policyName, one.message) for one in pack.Analyze(request).diagnostics]

    assert not found(good)
    ((rule, message),) = found({**good, "allowBlobPublicAccess": True})
    assert rule == "no-public-blob"
    assert "store allows blobs to be read without a login" in message
    ((rule, message),) = found({**good, "minimumTlsVersion": UNKNOWN})
    assert rule == "tls-floor"
    assert "can't be known during preview" in message


def test_the_stack_is_judged_as_a_whole(pack: Any) -> None:
    """In a preview a lock's scope is not known yet, and counts by what it comes from."""

    def found(*resources: analyzer_pb2.AnalyzerResource) -> list[str]:
        answer = pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=list(resources)))
        return [one.policyName for one in answer.diagnostics]

    options = analyzer_pb2.AnalyzerResourceOptions(protect=True)
    store = analyzer_pb2.AnalyzerResource(type=STORE, name="store", urn="urn:store", options=options)
    lock = analyzer_pb2.AnalyzerResource(
        type="azure-native:authorization:ManagementLockByScope",
        name="lock",
        urn="urn:lock",
        properties=struct({"scope": UNKNOWN, "level": "CanNotDelete"}),
        propertyDependencies={"scope": analyzer_pb2.AnalyzerPropertyDependencies(urns=["urn:store"])},
    )
    assert found(store) == ["locked-data"]
    assert not found(store, lock)
    assert found(analyzer_pb2.AnalyzerResource(type=STORE, name="store", urn="urn:store"), lock) == ["protected"]


def test_facts_come_from_what_the_engine_hands_over() -> None:
    assert facts(CONFIG, "prod").production


def test_facts_come_from_the_stacks_file_where_the_engine_hands_over_nothing() -> None:
    urn = f"urn:pulumi:prod::forestay::{STORE}::store"
    assert facts_of_file(stack_in(urn)) == Facts(
        production=True, private=True, required_tags=("owner", "costCenter", "dataClass")
    )
    with pytest.raises(InputError, match="no stack 'elsewhere'"):
        facts_of_file("elsewhere")
