"""The real server under requests that nobody would send, and forty hostile names from a CSV to an endpoint."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring import environment, openapi, server
from scoring.generate import generate
from scoring.schema import read_schema
from tests import scoring_fuzz, scoring_models
from tests.conftest import command
from tests.runs_support import give_store
from tests.scoring_fuzz import Oracle, Progress

EXAMPLES = int(os.environ.get("FORESTAY_FUZZ_EXAMPLES", "50"))
# Of schemathesis, for each way of asking; a number of requests in all instead where one is set (`make fuzz`).
FEW_REQUESTS = "40"
REQUESTS = os.environ.get("FORESTAY_FUZZ_REQUESTS", "")
# A server may refuse what a schema allows; it may never fail, and a refusal has a status and a form that are declared.
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, share_environments: Callable[[Path], None]) -> Path:
    folder = tmp_path_factory.mktemp("home")
    share_environments(folder)
    give_store(folder)
    return folder


@contextlib.contextmanager
def serving(folder: Path, home: Path) -> Iterator[str]:
    pins = environment.read_pins((folder / "conda_env.yaml").read_text(), "conda_env.yaml")
    made = environment.ensure((folder / "requirements.lock").read_text(), pins.python, home, print)
    work = folder.parent / f"{folder.name}-work"
    work.mkdir()
    running = server.start(
        made.python, folder, server.listen(), log=work / "server.log", work=work, tag="forestay:fuzz"
    )
    try:
        server.wait_healthy(running)
        yield running.url
    finally:
        running.stop()


@pytest.fixture(scope="module", params=["bank", "forecasting"])
def served(
    request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Oracle, str, Path]]:
    place = tmp_path_factory.mktemp(request.param)
    source = getattr(scoring_models, request.param)(place / "outputs")
    folder = generate(source, place / "folder", home=home).path
    with serving(folder, home) as url:
        yield Oracle(source.path), url, folder


@pytest.fixture
def progress(request: pytest.FixtureRequest) -> Progress:
    return Progress(request.node.name, EXAMPLES)


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_any_body_is_refused_or_rightly_answered(
    served: tuple[Oracle, str, Path], progress: Progress, data: st.DataObject
) -> None:
    progress.one()
    oracle, url, _ = served
    body = data.draw(scoring_fuzz.bodies(oracle))
    answer = server.ask(url, "POST", "/score", body, headers={"Content-Type": "application/json"})
    if answer.status == 200:
        assert scoring_fuzz.agrees(oracle.answer(scoring_fuzz.parsed(body)), answer.json["Results"])
    else:
        assert 400 <= answer.status < 500, (answer, body[:300])
        assert answer.json["error"]["message"]


@pytest.mark.slow
def test_schemathesis_finds_no_server_error(served: tuple[Oracle, str, Path], tmp_path: Path) -> None:
    """Requests made from the folder's OpenAPI document, those that fit it and those that do not."""
    _, url, folder = served
    bound = ["--max-examples", REQUESTS or FEW_REQUESTS]
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", str(folder / "openapi.json"), "--url", url),
            *("--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--mode", "all", "--seed", "7"),
            *("--generation-database", "none", "--no-color", "--report-json-path", str(report)),
            *bound,
        ],
        cwd=tmp_path,
        stdout=None if REQUESTS else subprocess.PIPE,
        stderr=None if REQUESTS else subprocess.STDOUT,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, (done.stdout or "")[-6000:]
    cases = json.loads(report.read_bytes())["test_cases"]
    print(f"\n{cases['generated']:,} requests, {cases['with_failures']} with a failure")
    assert cases["generated"] >= int(REQUESTS or FEW_REQUESTS)
    assert cases["errored"] == 0
    assert server.is_healthy(url)


# ---- forty hostile names ----

COLUMNS = [
    "it's", 'a "quote"', "back\\slash\\", "{braces}", "}{", "two\nlines", "tab\there", "carriage\rreturn",
    "{{ 7 * 7 }}", "{% raw %}", "{# note #}", "${HOME}", "$(touch pwned)", "`touch pwned`", "%(name)s", "%s%n",
    "__class__", "__proto__", "constructor", "class", "None", "'); DROP TABLE models; --", "<script>alert(1)</script>",
    "&lt;b&gt;", "\u202egnp.exe", "zero\u200bwidth", "\U0001f4b6 price", "x" * 2000, " leading", "trailing ",
    "data", "Inputs", "input_data", "GlobalParameters", "method", "Stra\u00dfe", "STRASSE", "caf\u00e9", "cafe\u0301",
    "../../etc/passwd",
]  # fmt: skip
LABELS = [f"{name}!" for name in COLUMNS]


def hostile_csv(path: Path) -> list[dict[str, str]]:
    """Ten rows a label; the first column tells the label well enough."""
    rows = []
    for number in range(10 * len(LABELS)):
        label = number % len(LABELS)
        row: dict[str, Any] = {name: (number * 7 + place * 13) % 97 / 7 for place, name in enumerate(COLUMNS)}
        row[COLUMNS[0]] = label + number / 1000
        row[COLUMNS[1]] = LABELS[label]
        rows.append({**row, "the {{ target }}": LABELS[label]})
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return rows


@pytest.mark.slow
def test_forty_hostile_names_from_a_table_to_an_endpoint(home: Path, tmp_path: Path) -> None:
    place = tmp_path / "it's a $(folder) {{ x }} \u00e9 \U0001f4b6"
    place.mkdir()
    table = place / "-- `data` $(x) {{ y }}.csv"
    rows = hostile_csv(table)

    def run(*words: str | Path) -> Any:
        done = command(*words, "--output", "json", cwd=place, home=home)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return json.loads(done.stdout)

    folder = place / "job 'one' {{ z }}"
    run("job", "new", table, "--target", "the {{ target }}", "--to", folder)
    job = next(folder.glob("*.yml"))
    job = job.rename(folder / "job $(y) 'a'.yml")
    settings_ = ["--set", "limits.max_trials=1", "--set", "training.allowed_training_algorithms=[logistic_regression]"]
    settings_ += ["--set", "n_cross_validations=2"]
    trained = run("job", "submit", job, *settings_, "--seed", "1")
    assert trained["status"] == "Completed"
    run("model", "register", trained["job"], "--name", "Hostile")
    assets = place / "assets ; rm -rf & {{ w }}"
    run("score", "generate", "Hostile", "--to", assets)
    assert run("score", "verify", assets)["verified"] is True
    schema = read_schema(assets / "model")
    assert {column.name for column in schema.columns} == set(COLUMNS)
    assert set(schema.classes or ()) == set(LABELS)
    assert openapi.document(schema, "Hostile", "1")["info"]["title"] == "Hostile"
    try:
        deployed = run("endpoint", "deploy", "hostile-api", "--model", "Hostile", "--from", assets)
        assert deployed["status"] == "Healthy"
        sent = [{name: value for name, value in row.items() if name in COLUMNS} for row in rows[: len(LABELS)]]
        request = place / "rows 'of' $(u).json"
        request.write_text(json.dumps({"data": sent}))
        answered = run("endpoint", "invoke", "hostile-api", "--data", request)
        right = sum(got == row["the {{ target }}"] for got, row in zip(answered["Results"], rows, strict=False))
        assert right > len(LABELS) / 2
        chances = {"data": sent[:1], "GlobalParameters": {"method": "predict_proba"}}
        got = server.post(deployed["scoring_uri"].removesuffix("/score"), chances)
        assert set(got.json["Results"][0]) == set(LABELS)
    finally:
        run("endpoint", "delete", "hostile-api", "--yes")
    assert not list(tmp_path.rglob("pwned*"))
