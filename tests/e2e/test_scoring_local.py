"""From a registered model to an answering endpoint on this machine, with the real server, and what can go wrong.

One home with one environment serves the whole module; what a test changes, it changes in its own copy.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import psutil
import pytest
import skops.io

from automl_jobs.runs import JobStart, RunStore, TrialResult
from forestay.errors import InputError, RunFailed
from scoring import checks, environment, proofs, server
from scoring.folder import ScoringFolder, open_folder
from scoring.generate import generate
from scoring.targets import DeployOptions
from scoring.targets.local import LocalTarget
from scoring.verify import verify
from tests import scoring_models
from tests.conftest import command
from tests.runs_support import give_store
from tests.scoring_models import Model

CLI = Callable[..., "subprocess.CompletedProcess[str]"]


def variables(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return {**kept, "FORESTAY_HOME": str(home)}


def start(home: Path, *words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "forestay", *map(str, words)],
        env=variables(home),
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    yield folder
    target = LocalTarget(folder)
    for name in target.names():
        target.delete(name)


@pytest.fixture(scope="module")
def cli(home: Path) -> CLI:
    return partial(command, cwd=home, home=home)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return scoring_models.bank(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def proven(home: Path, cli: CLI, bank: Model) -> Path:
    """The scoring folder of Bank 1, registered, generated and proven by the CLI; the first build is killed."""
    give_store(home)
    store = RunStore.open(home)
    job = JobStart(None, "bank", "classification", "AUC_weighted", "", "y")
    writer = store.start_job(job)
    writer.log_trial(
        TrialResult(
            "t0", "LogisticRegression", "InputFrame", "Completed", 0.8, 1.0, {"AUC_weighted": 0.8}, outputs=bank.path
        )
    )
    writer.finish("Completed")
    store.register(writer.job, 1, "Bank")
    folder = home / "bank"
    made = cli("score", "generate", "Bank:1", "--to", folder, "--output", "json", process=True)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["model"] == "Bank"
    killed = start(home, "score", "verify", folder)
    wait_for(lambda: list((home / "envs").glob(".*.new-*/bin/python")), 60)
    kill(killed)
    assert open_folder(folder).proof is None
    assert not [path for path in (home / "envs").iterdir() if not path.name.startswith(".")]
    cold = cli("score", "verify", folder, "--output", "json", process=True)
    assert cold.returncode == 0, cold.stdout + cold.stderr
    assert "removing what an interrupted build of this environment left" in cold.stderr
    assert json.loads(cold.stdout)["duration_seconds"] < 60
    return folder


@pytest.fixture
def copy(proven: Path, tmp_path: Path) -> Path:
    shutil.copytree(proven, tmp_path / "copy")
    return tmp_path / "copy"


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("did not come true in time")


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def servers(home: Path, word: str) -> list[psutil.Process]:
    """The gunicorn processes from this home's environments whose command line holds a word that starts so."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if line and line[0].startswith(str(home)) and "gunicorn" in line:
            found += [process] if any(part.startswith(word) for part in line) else []
    return found


def supervisors(name: str) -> list[psutil.Process]:
    """The processes that stay with an endpoint."""
    lines = [(process, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [process for process, line in lines if any(word.startswith(f"forestay:supervisor:{name}:") for word in line)]


def edit(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


# ---- verify ----


def test_a_warm_proof_is_quick_and_recorded(home: Path, proven: Path, cli: CLI) -> None:
    done = cli("score", "verify", proven, "--output", "json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["verified"] is True
    assert document["path"] == str(proven)
    assert document["duration_seconds"] < 15
    assert {check["name"] for check in document["checks"]} == {
        "files",
        "registered_model",
        "lock",
        "environment",
        "start",
        "health",
        "openapi",
        "sample_request",
        "readme",
        "golden_data",
        "golden_inputs",
        "golden_input_data",
        "bad_requests",
    }
    details = {check["name"]: check["detail"] for check in document["checks"]}
    assert details["registered_model"] == "the model is Bank 1 of the registry"
    assert document["p50_ms"] > 0
    folder = open_folder(proven)
    assert folder.proof == document
    assert proofs.find(home, "Bank", "1", folder.hash()) == document
    assert servers(home, "forestay:verify") == []
    assert list((home / "copies").iterdir()) == []


def test_the_environment_has_no_forestay_and_is_locked(home: Path, proven: Path) -> None:
    lock = (proven / "requirements.lock").read_text()
    assert "http" not in lock.replace("azureml-inference-server-http", "")
    made = environment.ensure(
        lock, environment.read_pins((proven / "conda_env.yaml").read_text(), "").python, home, print
    )
    installed, has_forestay = environment.installed_versions(made)
    assert not made.built
    assert not has_forestay
    assert installed == environment.locked_versions(lock)


def test_a_changed_golden_value_fails_and_is_shown(copy: Path, cli: CLI) -> None:
    edit(copy / "golden.json", lambda golden: golden["predictions"].__setitem__(3, "maybe"))
    done = cli("score", "verify", copy, "--output", "json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    failed = {check["name"]: check["detail"] for check in document["checks"] if not check["passed"]}
    assert document["verified"] is False
    assert set(failed) == {"files", "golden_data", "golden_inputs", "golden_input_data"}
    assert failed["files"].startswith("golden.json: sha256 is")
    assert 'row 3: golden.json has "maybe", the server answers "' in failed["golden_data"]
    assert "forestay score generate" in failed["golden_data"]
    assert open_folder(copy).proof == document


def test_a_slightly_changed_probability_fails(copy: Path, home: Path) -> None:
    def nudge(golden: dict[str, Any]) -> None:
        golden["probabilities"][5][1] *= 1 + 1e-8

    edit(copy / "golden.json", nudge)
    [detail] = [check.detail for check in verify(copy, home=home).failed if check.name == "golden_data"]
    assert detail.startswith('row 5, class "yes": golden.json has 0.')


def test_a_changed_weight_fails(copy: Path, home: Path) -> None:
    scoring_models.change_weight(copy / "model")
    proof = verify(copy, home=home)
    failed = {check.name: check.detail for check in proof.failed}
    assert not proof.verified
    assert set(failed) == {"files", "start"}
    assert "model.pkl is not the file that was recorded" in failed["start"]


def test_a_changed_weight_fails_even_with_hashes_made_to_fit(copy: Path, home: Path, bank: Model) -> None:
    scoring_models.change_weight(copy / "model")
    # The served model is the skops one: it has to lie as well.
    skops.io.dump(joblib.load(copy / "model" / "model.pkl"), copy / "model" / "model.skops")
    scoring_models.rehash(copy / "model")
    folder = open_folder(copy)
    hashes = {name: environment.project.sha256(copy / name) for name in folder.files}
    replace(folder, files=hashes).write_proof(None)
    failed = {check.name: check.detail for check in verify(copy, home=home, registered=bank).failed}
    assert set(failed) == {"registered_model", "golden_data", "golden_inputs", "golden_input_data"}
    assert failed["golden_data"].startswith("row ")
    assert "is not the one registered as Bank 1" in failed["registered_model"]


def test_a_lock_that_misses_a_pin_fails_before_anything_is_installed(copy: Path, home: Path) -> None:
    lock = copy / "requirements.lock"
    lock.write_text(lock.read_text().replace("joblib==", "joblib==0."))
    failed = {check.name: check.detail for check in verify(copy, home=home).failed}
    assert set(failed) == {"files", "lock"}
    assert "joblib: conda_env.yaml asks for" in failed["lock"]


@pytest.mark.parametrize("make", [scoring_models.hostile, scoring_models.regression])
def test_other_models_prove_too(home: Path, proven: Path, tmp_path: Path, make: Callable[[Path], Model]) -> None:
    source = make(tmp_path / "outputs")
    folder = generate(source, tmp_path / "folder", home=home)
    proof = verify(folder.path, home=home)
    assert proof.verified, proof.failed


def test_verify_killed_midway_leaves_no_server(home: Path, copy: Path, cli: CLI) -> None:
    edit(copy / "forestay.json", lambda record: record.__setitem__("proof", None))
    before = (copy / "forestay.json").read_bytes()
    running = start(home, "score", "verify", copy)
    wait_for(lambda: servers(home, "forestay:verify"))
    kill(running)
    wait_for(lambda: not servers(home, "forestay:verify"))
    assert (copy / "forestay.json").read_bytes() == before
    done = cli("score", "verify", copy)
    assert done.returncode == 0, done.stderr
    assert "removing what an interrupted command left" in done.stderr


def test_serve_until_interrupted(home: Path, proven: Path) -> None:
    running = start(home, "score", "serve", proven, "--output", "json")
    try:
        assert running.stdout is not None
        document = json.loads("".join(iter(lambda: running.stdout.readline(), "}\n")) + "}")
        url = document["scoring_uri"].removesuffix("/score")
        assert server.ask(url, "GET", "/").body == b"Healthy"
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
        assert servers(home, "forestay:serve") == []
    finally:
        kill(running)


CHUNKED = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDED = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}"
BEFORE_RUN = {
    "chunks that are none": (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", 400, "bad_body"),
    "chunks of too large a body": (CHUNKED + b"100000\r\n" + b" " * 2**20 + b"\r\n", 413, "body_too_large"),
    "a body that ends early": (ENDED, 400, "bad_body"),
    "another method": (b"GET /score?data=[1] HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"),
    "no such address": (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"),
    "no HTTP at all": (b"\x16\x03\x01 <b>\r\n\r\n", 400, "bad_request"),
    "an endless header": (b"GET / HTTP/1.1\r\nx: " + b"x" * 10_000 + b"\r\n\r\n", 431, "header_too_long"),
}


def test_what_fails_before_run_is_refused_in_one_form(
    home: Path, proven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real connection, from a folder whose path gunicorn's own options would split."""
    folder = tmp_path / "a, b"
    shutil.copytree(proven, folder)
    lock = (folder / "requirements.lock").read_text()
    made = environment.ensure(
        lock, environment.read_pins((folder / "conda_env.yaml").read_text(), "").python, home, print
    )
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("SCORING_MAX_BODY_BYTES", str(2**20 - 1))
    running = server.start(
        made.python, folder, server.listen(), log=tmp_path / "log", work=tmp_path / "work", tag="forestay:wsgi"
    )
    try:
        server.wait_healthy(running)
        for what, (sent, status, code) in BEFORE_RUN.items():
            with socket.create_connection((server.HOST, running.port), timeout=20) as connection:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                got = b"".join(iter(lambda: connection.recv(65536), b""))
            head, _, body = got.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status), (what, got)
            assert json.loads(body)["error"]["code"] == code, what
            assert b"x-request-id: " in head, what
            assert b"Traceback" not in got, what
            assert b"<html" not in got, what
            told = [line for line in head.lower().split(b"\r\n") if line.startswith(b"server:")]
            assert told in ([], [b"server: gunicorn"]), what  # no version
        sample = json.loads((folder / "sample_request.json").read_text())
        answer = server.post(running.url, {**sample, "ids": ["a"]})
        assert answer.json["ids"] == ["a"]
        served = server.ask(running.url, "GET", "/openapi.json")
        assert served.body == (folder / "openapi.json").read_bytes()
    finally:
        running.stop()


ENGINE = """\
#!{python} -I
# A container engine as far as a proof needs one: an image is its build's folder, a container a server in {clean}.
import os, socket, sys
from pathlib import Path

sys.path.insert(0, {tree!r})
words, state = sys.argv[1:], Path({state!r})
with (state / "calls").open("a") as calls:
    calls.write(" ".join(words[:2]) + "\\n")
if words[0] == "build":
    (state / "context").write_text(words[-1])
    if "--iidfile" in words:
        Path(words[words.index("--iidfile") + 1]).write_text("sha256:" + 64 * "0")
elif words[0] == "run" and "--entrypoint" in words:
    os.execv({clean!r}, [{clean!r}, *words[words.index("-I") :]])
elif words[0] == "run":
    from scoring import server

    host, port, inside = words[words.index("--publish") + 1].split(":")
    assert inside == "5001"
    bound = socket.create_server((host, int(port)))
    bound.set_inheritable(True)
    folder = Path((state / "context").read_text())
    command = server.command(Path({clean!r}), folder, [bound.fileno()], "forestay:container")
    os.execve(command[0], command, server.variables(folder))
elif words[0] == "stats":
    print("100MiB / 1GiB")
"""


def test_a_python_that_is_not_here_is_proven_in_a_container(
    home: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = (copy / "requirements.lock").read_text()
    python = environment.read_pins((copy / "conda_env.yaml").read_text(), "").python
    clean = environment.ensure(lock, python, home, print).python
    engine = tmp_path / "bin" / "docker"
    engine.parent.mkdir()
    tree = str(Path(environment.__file__).parents[1])
    script = ENGINE.format(python=sys.executable, clean=str(clean), tree=tree, state=str(tmp_path))
    engine.write_text(script)
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engine.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(environment, "_interpreter", lambda _: "3.99.0")
    said: list[str] = []
    elsewhere = tmp_path / "home"  # where no environment is kept
    proof = verify(copy, home=elsewhere, say=said.append)
    assert proof.verified, proof.failed
    assert f"Python {python} is not on this machine; the proof runs in a container" in said
    details = {check.name: check.detail for check in proof.checks}
    assert details["environment"].endswith("without forestay; in a container of docker")
    assert proof.memory_mb == 104.9
    calls = (tmp_path / "calls").read_text().split("\n")
    assert [call.split()[0] for call in calls if call] == ["info", "build", "run", "run", "stats", "rm", "rmi"]
    assert servers(home, "forestay:container") == []


# ---- endpoints ----


def test_what_is_not_proven_is_refused(home: Path, copy: Path, cli: CLI) -> None:
    (copy / "README.md").write_text("changed")
    done = cli("endpoint", "deploy", "refused", "--model", "Bank", "--from", copy, process=False)
    assert done.returncode == 2
    assert "not proven as it is now (README.md: sha256" in done.stderr
    assert f"forestay score verify {copy}" in done.stderr
    assert not (home / "endpoints" / "refused").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["score", "generate", "Nobody"], 2, "Nobody"),
        (["score", "generate", "Bank:9"], 2, "no version 9"),
        (["score", "verify", "nowhere"], 2, "not a scoring folder"),
        (["score", "serve", "nowhere"], 2, "not a scoring folder"),
        (["endpoint", "deploy", "Bad_Name", "--model", "Bank"], 2, "lower-case"),
        (["endpoint", "deploy", "bank-api", "--model", "Bank", "--target", "aks"], 2, "an environment in Azure"),
        (["endpoint", "deploy", "bank-api", "--model", "Bank", "--env", "dev"], 2, "no Pulumi.yaml"),
        (["endpoint", "invoke", "nowhere"], 2, "no endpoint 'nowhere'"),
        (["endpoint", "logs", "../bank"], 2, "can't name an endpoint"),
    ],
)
def test_wrong_input_is_told(proven: Path, cli: CLI, words: list[str], code: int, says: str) -> None:
    done = cli(*words, process=False)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) > 1


def test_an_endpoint_from_deploy_to_delete(home: Path, proven: Path, cli: CLI) -> None:
    first = cli("endpoint", "deploy", "bank-api", "--model", "Bank", "-o", "json")
    assert first.returncode == 0, first.stderr
    record = json.loads(first.stdout)
    assert record["status"] == "Healthy"
    assert record["traffic"] == {record["deployment"]: 100}
    assert record["previous"] is None
    assert record["scoring_uri"].startswith("http://127.0.0.1:")
    written = (home / "endpoints" / "bank-api" / "endpoint.json").read_bytes()

    again = cli("endpoint", "deploy", "bank-api", "--model", "Bank:1", "-o", "json")
    assert again.returncode == 0
    assert "nothing changed" in again.stderr
    assert json.loads(again.stdout) == {**record, "changed": False}
    assert (home / "endpoints" / "bank-api" / "endpoint.json").read_bytes() == written

    assert json.loads(cli("endpoint", "invoke", "bank-api").stdout) == {"Results": ["yes"]}
    rows = "age,balance,job,note,opened,active,id,y\n41,,NA,good client,2021-02-03,true,007,no\n"
    rows += "20,10.5,baker,,,false,,\n"
    answered = cli("endpoint", "invoke", "bank-api", "--data", "-", text=rows)
    assert answered.returncode == 0, answered.stderr
    assert len(json.loads(answered.stdout)["Results"]) == 2
    refused = cli("endpoint", "invoke", "bank-api", "--request", '{"data": [{"age": 4.5}]}')
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["error"]["code"] == "bad_rows"
    assert 'row 0, column "job": is missing' in refused.stderr
    repeated = cli("endpoint", "invoke", "bank-api", "--request", '{"data": [], "data": []}')
    assert json.loads(repeated.stdout)["error"]["code"] == "repeated_key"
    stray = cli("endpoint", "invoke", "bank-api", "--request", '{"data": [], "params": {}}')
    assert json.loads(stray.stdout)["error"]["code"] == "unknown_key"

    listed = json.loads(cli("endpoint", "list", "-o", "json").stdout)
    assert [one["name"] for one in listed] == ["bank-api"]
    assert "POST /score 200" in cli("endpoint", "logs", "bank-api", "--tail", "5000").stdout
    assert len(cli("endpoint", "logs", "bank-api", "--tail", "2").stdout.splitlines()) == 2

    # The supervisor first: else it starts the server again.
    for process in (*supervisors("bank-api"), *servers(home, "forestay:bank-api")):
        process.kill()
    wait_for(lambda: not servers(home, "forestay:bank-api"))
    shown = cli("endpoint", "show", "bank-api", "-o", "json")
    assert json.loads(shown.stdout)["status"] == "Stopped"
    unreachable = cli("endpoint", "invoke", "bank-api")
    assert unreachable.returncode == 3
    assert "forestay endpoint start bank-api" in unreachable.stderr
    restarted = json.loads(cli("endpoint", "deploy", "bank-api", "--model", "Bank", "-o", "json").stdout)
    assert {**restarted, "changed": True} == record

    assert cli("endpoint", "delete", "bank-api").returncode == 2
    assert cli("endpoint", "delete", "bank-api", "--yes").returncode == 0
    assert supervisors("bank-api") == []
    assert servers(home, "forestay:bank-api") == []
    gone = cli("endpoint", "show", "bank-api")
    assert gone.returncode == 2
    assert "no endpoint 'bank-api'" in gone.stderr


@pytest.fixture
def target(home: Path, proven: Path) -> Iterator[LocalTarget]:
    """An endpoint `other` that serves Bank 1."""
    said: list[str] = []
    target = LocalTarget(home, said.append)
    target.deploy("other", proven)
    yield target
    target.delete("other")
    assert servers(home, "forestay:other") == []


def keep_proof(folder: ScoringFolder, home: Path) -> None:
    """A proof as verify() leaves it, without the work."""
    proof = proofs.Proof(
        str(folder.path), folder.model, folder.version, folder.hash(), True, (), "2024-01-31T00:00:00+00:00", 1.0
    )
    proofs.keep(proof, home)


def test_a_bad_deployment_leaves_the_good_one(target: LocalTarget, copy: Path) -> None:
    before = target.status("other")
    edit(copy / "golden.json", lambda golden: golden["predictions"].__setitem__(0, "maybe"))
    keep_proof(open_folder(copy), target.home)
    with pytest.raises(RunFailed, match=r'the smoke test failed: row 0: golden\.json has "maybe"'):
        target.deploy("other", copy)
    assert target.status("other") == before
    assert target.invoke("other", (copy / "sample_request.json").read_bytes()).status == 200


def test_what_was_served_comes_back_when_the_switch_fails(
    target: LocalTarget, bank: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new deployment passes beside the old one, then fails in its place."""
    before = target.status("other")
    newer = generate(replace(bank, version="2"), tmp_path / "two", home=target.home)
    keep_proof(newer, target.home)
    real, outcomes = checks.golden, iter([True, False])

    def golden(*arguments: Any, **named: Any) -> proofs.Check:
        found = real(*arguments, **named)
        assert found.passed
        return replace(found, passed=next(outcomes), detail="made to fail")

    monkeypatch.setattr(checks, "golden", golden)
    with pytest.raises(RunFailed, match="the smoke test failed: made to fail"):
        target.deploy("other", newer.path)
    assert target.status("other") == before
    assert target.invoke("other", (newer.path / "sample_request.json").read_bytes()).status == 200
    wait_for(lambda: len({process.ppid() for process in servers(target.home, "forestay:other")}) == 2)


def test_versions_follow_each_other_and_back(target: LocalTarget, bank: Model, tmp_path: Path) -> None:
    first = target.status("other")
    newer = generate(replace(bank, version="2"), tmp_path / "two", home=target.home)
    keep_proof(newer, target.home)
    second = target.deploy("other", newer.path)
    assert (second.version, second.previous, second.status) == ("2", first.deployment, "Healthy")
    assert second.scoring_uri == first.scoring_uri
    back = target.rollback("other")
    assert (back.version, back.previous, back.deployment) == ("1", second.deployment, first.deployment)
    assert back.scoring_uri == first.scoring_uri


def test_a_taken_port_leaves_the_endpoint_alone(target: LocalTarget, proven: Path) -> None:
    before = target.status("other")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(InputError, match="can't be used"):
            target.deploy("other", proven, DeployOptions(port=held.getsockname()[1]))
    assert target.status("other") == before


def test_a_first_deploy_killed_midway_is_taken_up_by_the_next(home: Path, proven: Path, cli: CLI) -> None:
    running = start(home, "endpoint", "deploy", "killed", "--model", "Bank")
    wait_for(lambda: servers(home, "forestay:killed"), 60)
    kill(running)
    assert json.loads((home / "endpoints" / "killed" / "endpoint.json").read_bytes())["tested"] is False
    done = cli("endpoint", "deploy", "killed", "--model", "Bank", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "Healthy"
    assert json.loads((home / "endpoints" / "killed" / "endpoint.json").read_bytes())["tested"] is True
    assert cli("endpoint", "delete", "killed", "--yes").returncode == 0
    wait_for(lambda: not servers(home, "forestay:killed"))
    assert supervisors("killed") == []
