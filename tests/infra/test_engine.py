"""The commands against Pulumi's real engine, with providers that stand for Azure and a cluster.

One lab serves the whole file, and everything lies in one subscription. The stacks `test` (an estate), `test-services`
(what it serves) and `prod` are made once; a test that changes one puts it back. `dev` runs small programs of tests.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from infra import arm
from tests.infra.arm_standin import serve
from tests.infra.engine import Ended, Lab, binary, lab
from tests.infra.providers import schemas
from tests.infra.test_operate import run

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

KEYS = {"primary": "primary-key-in-clear-" + "p" * 20, "secondary": "secondary-key-in-clear-" + "s" * 20}
DIGEST, OTHER = "a" * 64, "b" * 64
SERVICES = f"""\
  forestay:services:
    api:
      {{target: aci, image: contoso.azurecr.io/churn@sha256:{DIGEST}, model: churn, version: "3", public: true}}
    kube:
      {{target: aks, image: contoso.azurecr.io/churn@sha256:{"c" * 64}, model: churn, version: "3"}}
"""
PACK = ("--policy-pack", "infra/policies/pack")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    path = binary()
    if path is None:
        pytest.skip("no engine in .tools: `make engine` builds it where Go and its modules are at hand")
    with lab(tmp_path_factory.mktemp("engine"), path) as found:
        found.edit("prod", "33333333-3333-4333-8333-333333333333", "22222222-2222-4222-8222-222222222222")
        yield found


@pytest.fixture(scope="module")
def twice(engine: Lab) -> tuple[Ended, set[str], set[str], Ended]:
    """The estate `test`, made in two runs: a create fails in the first one. Both ends; ids in the state and in the
    cloud between them."""
    engine.cloud.fail("create", "registry", "Code=QuotaExceeded Message=no more registries")
    first = engine.infra("up", "--env", "test", "--yes")
    between = (ids(engine, "test"), in_cloud(engine))
    return first, *between, engine.infra("up", "--env", "test", "--yes")


@pytest.fixture(scope="module")
def estate(engine: Lab, twice: tuple[Ended, set[str], set[str], Ended]) -> Lab:
    assert twice[-1].code == 0, twice[-1].err
    return engine


@pytest.fixture(scope="module")
def services(estate: Lab) -> tuple[Lab, Ended]:
    """What `test` serves: one model on ACI, one on the cluster, with keys."""
    stack = "test-services"
    assert estate.pulumi("stack", "init", stack).code == 0
    estate.edit(stack, "  forestay:network: public\n", f"  forestay:network: public\n{SERVICES}")
    for service in ("api", "kube"):
        for which, key in KEYS.items():
            path = f"forestay:services.{service}.keys.{which}"
            done = estate.pulumi("config", "set", "--secret", "--path", path, key, "--stack", stack)
            assert done.code == 0, done.err
    estate.cloud.forget()
    return estate, estate.infra("up", "--env", stack, "--yes")


@pytest.fixture(scope="module")
def prod(estate: Lab) -> Lab:
    done = estate.infra("up", "--env", "prod", "--yes")
    assert done.code == 0, done.err
    return estate


@pytest.fixture
def scratch(engine: Lab) -> Iterator[Lab]:
    """The stack `dev` for small programs; in the end it is gone, and what they made too."""
    engine.cloud.forget()
    before = set(engine.cloud.resources)
    yield engine
    engine.cloud.forget()
    engine.pulumi("cancel", "--yes", "--stack", "dev")
    engine.pulumi("stack", "rm", "--force", "--preserve-config", "--yes", "--stack", "dev")
    with engine.cloud.open() as content:
        content["resources"] = {key: one for key, one in content["resources"].items() if key in before}


def ids(lab: Lab, stack: str) -> set[str]:
    """The ids of what the state says is in the cloud."""
    resources = lab.state(stack).get("resources", [])
    return {one["id"].lower() for one in resources if one.get("id") and not one["type"].startswith("pulumi:")}


def in_cloud(lab: Lab) -> set[str]:
    return {one["id"].lower() for one in lab.cloud.resources.values()}


def test_a_run_that_failed_midway_is_completed_by_the_next(
    engine: Lab, twice: tuple[Ended, set[str], set[str], Ended]
) -> None:
    first, state, cloud, second = twice
    assert first.code == 3
    assert "registry: Azure refused: the quota of the region is used up (QuotaExceeded)" in first.err
    assert state == cloud  # nothing was made that the state does not know
    assert state
    assert second.code == 0, second.err
    assert ids(engine, "test") == in_cloud(engine) > state
    made = Counter(line for line in engine.cloud.journal if line.startswith("create") and "FAILED" not in line)
    assert set(made.values()) == {1}
    assert len(made) == len(in_cloud(engine))
    assert second.document["changes"] == {"create": len(in_cloud(engine) - state)}


def test_then_nothing_is_left_to_do(estate: Lab) -> None:
    estate.cloud.forget()
    found = estate.infra("preview", "--env", "test")
    assert found.code == 0, found.err
    assert found.document["changes"] == {}
    assert not estate.cloud.journal


def test_pulumi_up_by_hand_does_the_same_and_runs_the_policies(estate: Lab) -> None:
    """`infra/__main__.py`, started by a language host, and the pack, started by the engine."""
    estate.cloud.forget()
    done = estate.pulumi("up", "--yes", "--skip-preview", "--stack", "test", *PACK)
    assert done.code == 0, done.out + done.err
    assert "unchanged" in done.out
    assert "forestay@v0.1.0" in done.out
    assert not estate.cloud.journal


def test_a_violated_policy_ends_pulumi_up(engine: Lab) -> None:
    """The pack knows that this stack is one of development, though the engine hands over no configuration."""
    assert engine.pulumi("stack", "select", "--create", "dev").code == 0
    engine.edit("dev", "minNodes: 0", "minNodes: 1")
    try:
        done = engine.pulumi("preview", "--stack", "dev", *PACK)
    finally:
        engine.edit("dev", "minNodes: 1", "minNodes: 0")
    assert done.code != 0
    assert "development-scales-to-zero" in done.out
    assert "mandatory" in done.out


def test_a_component_renamed_in_code_keeps_its_resources(estate: Lab) -> None:
    found = program(estate, "preview", "renamed", "test")
    assert found.code == 0, found.err
    assert found.document["changes"] == {}


def test_a_changed_stem_on_a_live_stack_is_refused(estate: Lab) -> None:
    estate.cloud.forget()
    estate.edit("test", "stem: categorize", "stem: category")
    try:
        done = estate.infra("up", "--env", "test", "--yes")
    finally:
        estate.edit("test", "stem: category", "stem: categorize")
    assert done.code == 2
    assert "would be lost" in done.err
    assert not estate.cloud.journal


def test_what_others_changed_is_told_and_put_back(estate: Lab) -> None:
    """Somebody took a tag away, and deleted a budget."""
    with estate.cloud.open() as content:
        there = content["resources"]
        store = next(one for one in there.values() if one["type"].endswith("storage:StorageAccount"))
        for part in ("inputs", "outputs"):
            del store[part]["tags"]["owner"]
        there.pop(next(key for key, one in there.items() if one["type"].endswith(":Budget")))
    found = estate.infra("refresh", "--env", "test", "--yes")
    assert found.code == 0, found.err
    steps = {one["name"]: one for one in found.document["resources"]}
    assert {name: one["op"] for name, one in steps.items()} == {
        "storage": "update",
        "budget": "delete",
        "aks": "update",
    }
    # Azure lists the further pool in the cluster, too: nobody's change, and nothing that ends a preview.
    assert {one["owner"] for one in steps["aks"]["differences"]} == {"azure"}
    before = estate.infra("preview", "--env", "test")
    assert before.code == 0, before.err
    (listed,) = [one["differences"] for one in before.document["resources"] if one["name"] == "aks"]
    assert {one["owner"] for one in listed} == {"azure"}
    estate.cloud.forget()
    assert estate.infra("up", "--env", "test", "--yes").code == 0
    assert sorted(estate.cloud.journal) == [
        "create consumption:Budget budget",
        "update containerservice:ManagedCluster aks",
        "update storage:StorageAccount storage",
    ]


def test_secrets_are_nowhere_in_clear(services: tuple[Lab, Ended]) -> None:
    lab, done = services
    assert done.code == 0, done.err
    folders = [lab.folder / "stacks", lab.folder.parent / "state"]
    written = "".join(path.read_text() for folder in folders for path in folder.rglob("*") if path.is_file())
    written += done.out + done.err + lab.infra("outputs", "--env", "test-services").out
    for key in KEYS.values():
        assert key not in written
    held = {one["name"]: one["inputs"] for one in lab.cloud.resources.values()}
    variables = held["api"]["containers"][0]["environmentVariables"]
    assert {one.get("secureValue") for one in variables} >= set(KEYS.values())
    assert held["kube-key-primary"]["properties"]["value"] == KEYS["primary"]


PODS = ("apps/v1:Deployment kube-STATE", "autoscaling/v2:HorizontalPodAutoscaler kube-STATE-copies",
        "policy/v1:PodDisruptionBudget kube-STATE-floor")  # fmt: skip


@pytest.mark.parametrize(
    ("digest", "changed"),
    [
        (DIGEST, ["update containerinstance:ContainerGroup api"]),
        # The pods of one state go after those of the next have come and callers are led to them.
        ("c" * 64, [*(f"create {one}" for one in PODS), "update core/v1:Service kube-service"]
         + [f"delete {one}" for one in PODS]),
    ],
    ids=["aci", "aks"],
)  # fmt: skip
def test_a_new_digest_changes_its_service_alone(services: tuple[Lab, Ended], digest: str, changed: list[str]) -> None:
    lab, _ = services
    lab.cloud.forget()
    lab.edit("test-services", digest, OTHER)
    done = lab.infra("up", "--env", "test-services", "--yes")
    assert done.code == 0, done.err
    journal = [re.sub("kube-[0-9a-f]{8}", "kube-STATE", line) for line in lab.cloud.journal]
    assert sorted(journal) == sorted(changed)
    acts = [line.partition(" ")[0] for line in journal]
    assert acts == sorted(acts, key=["create", "update", "delete"].index)


def test_two_environments_side_by_side(prod: Lab) -> None:
    assert ids(prod, "prod").isdisjoint(ids(prod, "test"))
    assert ids(prod, "prod") <= in_cloud(prod)
    assert ids(prod, "test") <= in_cloud(prod)
    tests = {one["id"] for one in prod.cloud.resources.values() if "/rg-categorize-test-" in one["id"]}
    assert len(tests) >= 40


def test_protect_holds(prod: Lab) -> None:
    """Ours says it before anything starts; the engine keeps it for who goes round us."""
    held = prod.state("prod")["resources"]
    protected = {one["id"].lower() for one in held if one.get("protect") and one.get("id")}
    assert len(protected) >= 10
    prod.cloud.forget()
    ours = prod.infra("destroy", "--env", "prod", "--yes")
    assert ours.code == 1
    assert "resources are protected" in ours.err
    assert not prod.cloud.journal
    engines = prod.pulumi("destroy", "--yes", "--skip-preview", "--stack", "prod")
    assert engines.code != 0
    assert "protect" in engines.out + engines.err
    assert protected <= in_cloud(prod)


@pytest.mark.parametrize(
    ("name", "typo", "failed"),
    [
        ("wrong_store", "bypas", "create storage:StorageAccount store FAILED"),
        ("wrong_map", "lables", "create core/v1:ConfigMap map FAILED"),
    ],
)
def test_a_wrong_body_is_refused(scratch: Lab, name: str, typo: str, failed: str) -> None:
    if name == "wrong_store" and schemas.arm() is None:
        pytest.skip("ARM's published schemas are not here: ../shared/tools/arm_check.py")
    done = program(scratch, "up", name, "dev")
    assert done.code == 1
    assert "InvalidRequestContent" in done.err
    assert typo in done.err
    assert scratch.cloud.journal[-1] == failed


def test_a_run_that_was_killed_is_found_out_about(scratch: Lab) -> None:
    """Killed while Azure made a group: the group is there, and the state does not know."""
    scratch.cloud.fail("create", "first", "", seconds=6)
    stopped(scratch, signal.SIGKILL)
    wait_for(lambda: scratch.cloud.journal == ["create resources:ResourceGroup first"])
    assert [one["type"] for one in scratch.state("dev")["pending_operations"]] == ["creating"]
    told = scratch.infra("up", "--env", "dev", "--yes")
    assert told.code == 1
    assert "dev: an earlier run was cut off while: creating first" in told.err
    assert "forestay infra refresh --env dev" in told.err
    locked = program(scratch, "refresh", "pair", "dev")
    assert locked.code == 3
    assert "pulumi cancel --stack dev" in locked.err
    assert scratch.pulumi("cancel", "--yes", "--stack", "dev").code == 0
    assert program(scratch, "refresh", "pair", "dev").code == 0
    done = program(scratch, "up", "pair", "dev")
    assert done.code == 0, done.err
    assert [one["name"] for one in done.document["resources"]] == ["second"]
    assert scratch.cloud.journal == [f"create resources:ResourceGroup {name}" for name in ("first", "second")]


def test_ctrl_c_lets_end_what_is_under_way(scratch: Lab) -> None:
    scratch.cloud.fail("create", "first", "", seconds=3)
    done = stopped(scratch, signal.SIGINT)
    assert done.code == 130, done.err
    assert "what was under way has ended and is in the state" in done.err
    assert scratch.cloud.journal == ["create resources:ResourceGroup first"]
    assert not scratch.state("dev").get("pending_operations")
    assert ids(scratch, "dev") == {one for one in in_cloud(scratch) if one.endswith("/first")}


def test_a_front_is_moved_when_the_new_group_answers(scratch: Lab) -> None:
    """A new group that does not answer leaves callers with the old one, and the old lines bring all of it back."""

    def up(digest: str, answer: str) -> Ended:
        scratch.cloud.forget()
        return program(scratch, "up", "fronted", "dev", FORESTAY_DIGEST=digest, FORESTAY_ANSWER=answer)

    def groups() -> set[str]:
        there = [one for one in scratch.cloud.resources.values() if "-dev-" in one["id"]]  # not what `test` serves
        return {one["inputs"]["containers"][0]["image"][-1] for one in there if one["type"].endswith(":ContainerGroup")}

    def led_to() -> str:
        there = scratch.cloud.resources.values()
        (profile,) = [one["inputs"] for one in there if one["type"].endswith(":Profile")]
        return str(profile["endpoints"][0]["target"])

    assert up(DIGEST, "ready").code == 0
    first = led_to()
    failed = up(OTHER, "not yet")
    assert failed.code == 1
    assert "does not answer" in failed.err
    assert (groups(), led_to()) == ({"a", "b"}, first)
    back = up(DIGEST, "ready")
    assert back.code == 0, back.err
    assert scratch.cloud.journal == ["delete containerinstance:ContainerGroup api"]
    assert (groups(), led_to()) == ({"a"}, first)
    moved = up(OTHER, "ready")
    assert moved.code == 0, moved.err
    assert scratch.cloud.journal == [
        "create containerinstance:ContainerGroup api",
        "update trafficmanager:Profile api-front",
        "delete containerinstance:ContainerGroup api",
    ]
    assert groups() == {"b"}
    assert led_to() != first
    assert "the old group stays for 1 s more" in moved.err


def test_an_estate_whose_state_was_lost_is_taken_over_as_it_is(
    estate: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`infra import` through the engine: all of it, grants too, is found by its id; nothing is made a second time."""
    before = ids(estate, "test")
    assert estate.pulumi("stack", "rm", "--yes", "--force", "--preserve-config", "--stack", "test").code == 0
    estate.cloud.forget()
    for key, value in estate.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(estate.folder)
    with serve() as azure:
        for key, one in estate.cloud.resources.items():
            azure.there[key] = {"id": one["id"], "properties": one["outputs"]}
        monkeypatch.setattr(arm, "connect", lambda env: azure.connect(env))
        code, out, err = run(capsys, "import", "--env", "test", "--yes", "-o", "json")
    assert code == 0, err
    document = json.loads(out)
    assert document["absent"] == []
    assert {one["id"].lower() for one in document["adopted"]} == before == ids(estate, "test")
    assert estate.infra("up", "--env", "test", "--yes").code == 0
    # The list of pools is cut to the cluster's own; that the others stay is Azure's rule.
    assert estate.cloud.journal == ["update containerservice:ManagedCluster aks"]
    found = estate.infra("preview", "--env", "test")
    assert found.code == 0, found.err
    assert found.document["changes"] == {}


def test_destroy_empties(services: tuple[Lab, Ended]) -> None:
    """The last of the file: what the other tests share goes here."""
    lab, _ = services
    before = {key for key in in_cloud(lab) if "-prod-" in key}
    for stack in ("test-services", "test"):
        done = lab.infra("destroy", "--env", stack, "--yes")
        assert done.code == 0, done.err
        assert done.document["lost"]
        assert not ids(lab, stack)
    assert {key for key in in_cloud(lab) if "-test-" in key} == set()
    assert {key for key in in_cloud(lab) if "-prod-" in key} == before


def program(lab: Lab, command: str, name: str, stack: str, **more: str) -> Ended:
    return lab.run(sys.executable, "-m", "tests.infra.engine_programs", command, name, stack, **more)


def stopped(lab: Lab, number: signal.Signals) -> Ended:
    """A run of the program `pair` that gets a signal, with all that it started, once a slow request is under way."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.infra.engine_programs", "up", "pair", "dev"],
        cwd=lab.folder,
        env=lab.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_for(lambda: not lab.cloud.faults)
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=300)
    return Ended(process.returncode, out, err)


def wait_for(true: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1200):
        if true():
            return
        pause.wait(0.1)
    raise AssertionError("it did not come")
