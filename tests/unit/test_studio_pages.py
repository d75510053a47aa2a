"""The studio's pages of stored jobs: what they show, that names are text, and that each action is a command."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import psutil
import pytest

from forestay import looking
from forestay.cli import TREE, leaves, load
from forestay.errors import InputError, OutsideError
from scoring import targets
from scoring.targets import DeploymentRecord
from studio import commands, files, models
from studio.calls import Call, Calls
from tests.report_support import DOCUMENTS, HOSTILE, METRICS, job_documents
from tests.runs_support import job_start, new_store, outputs_folder, trial
from tests.studio_support import Client
from tests.unit.test_report_page import Reader

CSV = f'id,"{HOSTILE}",size,y\n' + "".join(
    f"{i},{'ab'[i % 2]},{i % 17},{'yes' if i % 6 == 0 else 'no'}\n" for i in range(1, 121)
)
JOBS = {"calm_bay_aaaaaa": "classification", "warm_dune_bbbbbb": "regression", "keen_sail_cccccc": "forecasting"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished job of each task but the last, which goes on; and a model."""
    folder = tmp_path_factory.mktemp("studio")
    store = new_store(folder / ".forestay")
    outputs = outputs_folder(folder / ".outputs")
    for name, task in JOBS.items():
        metric = METRICS[task]
        documents = job_documents("t1", metric)
        begun = {"submit": documents.pop("submit"), "data_profile": documents.pop("data_profile")}
        parameters = {"rows": "1200", "columns": "2", "time_budget_seconds": "60"}
        start = job_start(
            name, task=task, primary_metric=metric, target=HOSTILE, experiment="boxes", parameters=parameters,
            documents=begun,
        )  # fmt: skip
        writer = store.start_job(start)
        writer.status("Running")
        for number in (1, 2, 3):
            artifacts = DOCUMENTS[task]()
            writer.log_trial(trial(f"t{number}", 0.9 - number / 100, outputs, artifacts=artifacts))
        writer.log_trial(trial("t4", None, status="Failed", error=f"it fell over {HOSTILE}", artifacts={}))
        for document, value in documents.items():
            writer.log_document(document, value)
        if task != "forecasting":
            writer.finish("Completed", test_metrics={metric: 0.8})
    store.register("calm_bay_aaaaaa", 1, "Boxes")
    (folder / "boxes.csv").write_text(CSV)
    (folder / "stacks").mkdir()
    (folder / "Pulumi.yaml").write_text("name: x\n")
    for stack in ("dev", "dev-services"):
        (folder / "stacks" / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    return folder


@pytest.fixture
def client(place: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.chdir(place)
    monkeypatch.setenv("FORESTAY_HOME", str(place / ".forestay"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Client(place / ".forestay")


@pytest.fixture
def started(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that would be started."""
    found: list[tuple[str, ...]] = []

    def start(self: Calls, words: Any, *, job: str = "", then: str = "", back: str = "") -> Call:
        found.append(tuple(words))
        return Call("1-abc", tuple(words), job, then, 0.0, ended=1.0, code=0, back=back)

    monkeypatch.setattr(Calls, "start", start)
    monkeypatch.setattr(Calls, "run", start)
    return found


PAGES = [
    "/",
    "/new",
    "/new?data=boxes.csv",
    *(f"/jobs/{name}" for name in JOBS),
    *(f"/jobs/{name}/trials/{rank}" for name in JOBS for rank in (1, 4)),
    "/models",
    "/models/Boxes",
    "/endpoints",
    "/calls",
]


@pytest.mark.parametrize("path", PAGES)
def test_names_from_data_are_text_and_commands_are_shown(client: Client, path: str) -> None:
    page = client.get(path)
    assert page.status == 200, page.text
    assert HOSTILE not in page.text
    read = Reader(page.text)
    assert read.open == []
    assert "<script>" not in page.text
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    sources = [a.get("src") or a.get("href") for tag, a in read.tags if tag in ("script", "link")]
    assert all(one is None or one == "data:," or one.startswith("/static/") for one in sources)
    if path != "/calls":
        assert "<code>forestay " in page.text
    for source in sources:
        if source and source.startswith("/static/"):
            asset = client.get(source)
            assert asset.status == 200
            assert "immutable" in asset.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/nope",
        "/jobs/calm_bay_aaaaaa/trials/9",
        "/models/Nope",
        "/endpoints/nope-nope",
        "/calls/1-x",
        "/x",
        "/?env=prod",
        "/new?data=nope.csv",
    ],
)
def test_what_is_not_there_is_said(client: Client, path: str) -> None:
    page = client.get(path)
    assert page.status in (400, 404)
    assert "Traceback" not in page.text
    assert 'role="alert"' in page.text


def test_a_file_that_needs_a_flag_of_reading_leads_on_to_a_terminal(client: Client, place: Path) -> None:
    data = place / "no header.csv"
    data.write_text("".join(f"{i % 7},{i % 7},{'yn'[i % 2]}\n" for i in range(60)))
    page = client.get("/new?data=no%20header.csv")
    data.unlink()
    assert page.status == 400
    assert 'role="alert"' in page.text
    texts = Reader(page.text).texts
    for line in ("forestay data show 'no header.csv'", "forestay job new 'no header.csv'"):
        assert line in texts
    assert "forestay data show" not in client.get("/new?data=nope.csv").text


def test_the_dashboard_filters_and_sorts(client: Client) -> None:
    def jobs(query: str) -> list[str]:
        return re.findall(r'<th scope="row"><a href="/jobs/(\w+)"', client.get(f"/{query}").text)

    assert jobs("") == list(reversed(JOBS))
    assert jobs("?sort=job") == sorted(JOBS)
    assert jobs("?sort=job&turned=1") == sorted(JOBS, reverse=True)
    assert jobs("?status=Completed&text=REGR") == ["warm_dune_bbbbbb"]
    assert jobs("?text=%3Cimg") == []
    assert jobs("?sort=nonsense&page=x") == list(reversed(JOBS))
    assert jobs("?page=99") == list(reversed(JOBS))


def test_a_running_job_asks_for_itself_again_and_can_be_canceled(client: Client) -> None:
    running, ended = client.get("/jobs/keen_sail_cccccc").text, client.get("/jobs/calm_bay_aaaaaa").text
    assert 'data-live="2000"' in running
    assert "/jobs/keen_sail_cccccc/cancel" in running
    assert 'data-live="2000"' not in ended
    assert "/cancel" not in ended


@contextmanager
def kept(client: Client, call: Call, said: str = "") -> Iterator[None]:
    """A command that some studio started."""
    folder = client.studio.calls.folder / call.id
    folder.mkdir(parents=True)
    (folder / "call.json").write_text(json.dumps(dataclasses.asdict(call)))
    (folder / "stderr").write_text(said)
    yield
    shutil.rmtree(folder)


def test_a_job_that_ended_before_it_began_says_why_and_leads_back_to_its_form(client: Client) -> None:
    words, back = ("job", "submit", "x.yml"), "/new?data=boxes.csv"
    call = Call("1-early", words, "early_job", "/jobs/early_job", 0.0, ended=1.0, code=2, back=back)
    with kept(client, call, f"error: {HOSTILE} is no column\n"):
        page, command = client.get("/jobs/early_job"), client.get("/calls/1-early")
    assert page.status == 200
    assert f"error: {HOSTILE} is no column" in Reader(page.text).texts
    assert "Failed" in page.text
    assert 'data-live="0"' in page.text
    for one in (page, command):
        assert f'<a class="button" href="{back}">Back</a>' in one.text
        assert "/calls/1-early/stop" not in one.text


def test_a_job_that_is_being_prepared_can_be_canceled(client: Client) -> None:
    process = psutil.Process()
    call = Call("1-soon", ("job", "submit", "x.yml"), "soon_job", "", 0.0, process.pid, process.create_time())
    with kept(client, call, "reading data\n"):
        page = client.get("/jobs/soon_job").text
        assert 'action="/calls/1-soon/stop"' in page
        assert ">Cancel</button>" in page
        (client.studio.calls.folder / call.id / "stops").write_text(".")
        page = client.get("/jobs/soon_job").text
        assert ">Stop at once</button>" in page
        assert "ends what is under way first" in page


def test_a_job_whose_log_is_gone_is_not_said_to_have_begun_elsewhere(client: Client) -> None:
    page = client.get("/jobs/calm_bay_aaaaaa").text
    assert "Its log is not kept here." in page
    assert "on a terminal, where" not in page


def draft(client: Client, *more: tuple[str, str], use: str = "size", target: str = "y") -> str:
    fields = [("data", "boxes.csv"), ("use", use), ("target", target), ("time_budget", "60m"), ("env", "local"), *more]
    page = client.post("/new/draft", fields)
    assert page.status == 200
    return page.text


def test_the_job_file_is_drafted_as_job_new_would_write_it(client: Client, place: Path) -> None:
    from automl_jobs.new import Wishes
    from automl_jobs.new import draft as made

    page = Reader(draft(client, ("time_budget", ""), ("set:limits.max_trials", "3"), ("name", "My boxes")))
    settings = {"limits.max_trials": "3"}
    wishes = Wishes("y", to=Path("jobs/My-boxes"), name="My boxes", exclude=("id", HOSTILE), settings=settings)
    assert made("boxes.csv", wishes).job_text in page.texts
    lines = [text for text in page.texts if text.startswith("forestay job ")]
    assert any("--set limits.max_trials=3" in line and f"--exclude '{HOSTILE}'" in line for line in lines)


def test_what_cannot_be_is_said_in_place_of_the_job_file(client: Client) -> None:
    for more, text in (
        ([("time_budget", "soon")], "is not a duration"),
        ([("set:limits.max_trials", "few")], "--set limits.max_trials"),
        ([("task", "regression")], "regression predicts a number"),
    ):
        fields = [("data", "boxes.csv"), ("use", "size"), ("target", "y"), *more]
        page = client.post("/new/draft", fields)
        assert page.status == 200
        assert text in page.text
        assert "disabled" in page.text
    assert "no column is left" in draft(client, use="y")


def test_a_column_that_is_not_there_is_never_left_out_without_a_word(client: Client) -> None:
    for fields in ([("use", "siez"), ("target", "y")], [("use", "size"), ("target", "nope")]):
        page = client.post("/new/draft", [("data", "boxes.csv"), *fields])
        assert page.status == 404
        assert "there is no column" in page.text


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_column_whose_name_holds_a_line_break_is_used_as_the_browser_sends_it(
    client: Client, place: Path, started: list[tuple[str, ...]], ending: str
) -> None:
    name = f"Total{ending}Amount"
    rows = "".join(f"{i},{i % 7},{'yn'[i % 2]}{ending}" for i in range(60))
    data = place / "breaks.csv"
    data.write_bytes(f'"{name}",b,y{ending}{rows}'.encode())
    sent = "Total\r\nAmount"
    given = [("data", "breaks.csv"), ("use", sent), ("use", "y"), ("target", "y")]
    assert client.post("/new/start", given).status == 303
    assert client.post("/new/start", [("data", "breaks.csv"), ("use", "b"), ("target", sent)]).status == 303
    data.unlink()
    assert started[0][:7] == ("job", "new", "breaks.csv", "--target", "y", "--exclude", "b")
    assert "--exclude" not in started[0][7:]
    assert started[2][3:7] == ("--target", name, "--exclude", "y")


def test_a_new_task_brings_its_own_metrics(client: Client) -> None:
    page = draft(client, ("task", "regression"), ("metric", "accuracy"), target="size", use="y")
    assert "r2_score" in page
    assert "is no metric" not in page
    assert "forecasting.forecast_horizon" not in page


def test_an_experiment_is_two_commands(client: Client, started: list[tuple[str, ...]]) -> None:
    fields = [("data", "boxes.csv"), ("use", "size"), ("target", "y"), ("time_budget", "90s"), ("env", "local")]
    answer = client.post("/new/start", [*fields, ("set:training.blocked_training_algorithms", "svm")])
    assert answer.status == 303
    assert answer.headers["location"].startswith("/jobs/")
    new, submit = started
    assert new == (
        "job", "new", "boxes.csv", "--target", "y", "--exclude", "id", "--exclude", HOSTILE, "--time-budget", "90s",
        "--set", "training.blocked_training_algorithms=[svm]", "--to", "jobs/boxes",
    )  # fmt: skip
    assert submit[:4] == ("job", "submit", "jobs/boxes/job.yml", "--set")


ACTIONS: list[tuple[str, dict[str, str]]] = [
    ("/jobs/keen_sail_cccccc/cancel", {}),
    ("/jobs/keen_sail_cccccc/cancel?env=dev", {}),
    ("/jobs/keen_sail_cccccc/watch", {}),
    ("/jobs/calm_bay_aaaaaa/resume", {"time_budget": "60s"}),
    ("/jobs/quiet_one/fetch?env=dev", {"rank": "2"}),
    ("/jobs/calm_bay_aaaaaa/trials/2/register", {"name": "Other"}),
    ("/models/Boxes/generate", {"version": "1"}),
    ("/models/Boxes/verify", {"version": "1"}),
    ("/models/Boxes/deploy", {"version": "1", "endpoint": "boxes-api", "auth": "keys"}),
    ("/endpoints/boxes-api/rollback", {}),
    ("/endpoints/boxes-api/rollback?env=dev", {}),
    ("/endpoints/boxes-api/stop", {}),
    ("/endpoints/boxes-api/start?env=dev", {}),
    ("/endpoints/boxes-api/traffic?env=dev", {"share:blue": "90", "share:green": " 10", "share:red": ""}),
    ("/endpoints/boxes-api/delete", {"sure": "boxes-api"}),
    ("/endpoints/boxes-api/delete?env=dev", {"sure": "boxes-api"}),
    ("/new/start", {"data": "boxes.csv", "use": "size", "target": "y"}),
]


@pytest.mark.parametrize(("path", "fields"), ACTIONS)
def test_every_action_is_a_command_line_that_the_cli_takes(
    client: Client, started: list[tuple[str, ...]], path: str, fields: dict[str, str]
) -> None:
    answer = client.post(path, fields)
    assert answer.status == 303, answer.text
    assert answer.headers["location"].startswith(("/calls/1-abc", "/jobs/"))
    commands = dict(leaves(TREE))
    assert started
    for words in started:
        name = " ".join(words[:2])
        command = load(commands[name])
        # Raises for an option that there is not, or an argument too many.
        with click.Context(command, info_name=name) as context:
            command.parse_args(context, list(words[2:]))


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/jobs/calm_bay_aaaaaa/trials/1/register", {"name": "--help"}),
        ("/jobs/calm_bay_aaaaaa/trials/1/register", {"name": " "}),
        ("/jobs/--yes/cancel", {}),
        ("/models/Boxes/deploy", {"version": "1", "endpoint": "-x"}),
        ("/models/Boxes/verify", {"version": "--golden"}),
        ("/endpoints/boxes-api/delete", {"sure": "no"}),
        ("/endpoints/boxes-api/traffic?env=dev", {"share:--mirror": "5"}),
        ("/endpoints/boxes-api/traffic?env=dev", {"share:blue": ""}),
        ("/endpoints/boxes-api/stop?env=prod", {}),
        ("/jobs/keen_sail_cccccc/cancel?env=prod", {}),
    ],
)
def test_what_would_be_a_flag_starts_nothing(
    client: Client, started: list[tuple[str, ...]], path: str, fields: dict[str, str]
) -> None:
    assert client.post(path, fields).status in (400, 404)
    assert started == []


@pytest.mark.parametrize(
    ("proven", "verified", "changes", "word", "note"),
    [
        (True, True, [], "Passed", "then UTC</p>"),
        (False, True, ["score.py was changed"], "Outdated", "then UTC; the folder was changed since"),
        (False, True, [], "Outdated", "then UTC; not proven on this machine"),
        (False, False, [], "Failed", "then UTC</p>"),
    ],
)
def test_a_proof_is_told_as_what_it_is(
    client: Client, monkeypatch: pytest.MonkeyPatch, proven: bool, verified: bool, changes: list[str], word: str,
    note: str,
) -> None:  # fmt: skip
    checks = [{"name": "files", "passed": verified, "detail": "as they are"}]
    proof = {"checks": checks, "verified": verified, "at": "2026-01-01T00:00:00+00:00"}
    found = {"proof": proof, "at": "then", "proven": proven, "changes": changes, "files": ["score.py"]}
    monkeypatch.setattr(models, "_scoring", lambda *_: found)
    page = client.get("/models/Boxes").text
    assert f'2. Proof <span class="status {word.lower()}">{word}</span>' in page
    assert note in page
    assert ("Deploy locally" in page) is proven


def test_lists_that_end_say_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, most in ((files, "MOST_FILES"), (commands, "SHOWN")):
        monkeypatch.setattr(module, most, 1)
    folder = Path("two  spaces")
    folder.mkdir()
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text(CSV)
    page = client.get("/new").text
    shutil.rmtree(folder)
    assert "These are the first 1 of 3." in page
    assert '<option value="boxes.csv" selected>' in page
    done = Call("1-a", ("job", "list"), "", "", 0.0, ended=1.0, code=0)
    with kept(client, done), kept(client, dataclasses.replace(done, id="1-b")):
        assert "The last 1 of 2" in client.get("/calls").text


def test_only_the_last_jobs_of_an_environment_are_said_to_be_the_last(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = looking.rows("local")
    monkeypatch.setattr(looking, "rows", lambda env: (rows * 40)[:100])
    assert "100 of the last 100 jobs" in client.get("/?env=dev").text
    assert "No job of the last 100 fits" in client.get("/?env=dev&text=nothing").text
    assert "100 of 100 jobs" in client.get("/").text


def test_a_file_is_chosen_by_its_name_as_it_is(client: Client, place: Path) -> None:
    data = place / "two  spaces.csv"
    data.write_text(CSV)
    page = client.get("/new").text
    data.unlink()
    assert '<option value="two  spaces.csv">' in page


def test_an_environment_is_asked_anew_once_a_command_was_started_only(
    client: Client, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[bool] = []
    monkeypatch.setattr(type(client.studio.asking), "forget", lambda _: forgotten.append(True))
    monkeypatch.setattr(targets, "targets_of", lambda *_: [])
    draft(client)
    client.post("/endpoints/boxes-api/invoke", {"body": "{}"})
    assert forgotten == []
    client.post("/endpoints/boxes-api/rollback")
    assert forgotten == [True]


class Place:
    """A target with one endpoint; one that nobody reaches where there is no record. See scoring.targets.Target."""

    def __init__(self, record: DeploymentRecord | None) -> None:
        self.record = record

    def names(self) -> list[str]:
        if self.record is None:
            raise OutsideError("nobody answers", where="dev", fix="wait")
        return [self.record.name]

    def status(self, name: str) -> DeploymentRecord:
        assert self.record is not None
        return self.record

    def assets(self, name: str) -> Path:
        raise InputError(f"the folder of {HOSTILE} is gone", fix="deploy it again")

    def logs(self, name: str, tail: int, follow: bool) -> Iterator[str]:
        yield "a line"
        raise OutsideError("the log can't be read", fix="ask for the role")


def test_an_endpoint_of_an_environment_shows_what_its_target_can(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = {f"blue-{HOSTILE}": 100}
    served = DeploymentRecord(
        "boxes-api", "aci", "dev", HOSTILE, "3", "blue", "Healthy", "https://x/score", traffic, "green", "keys",
        bills="1 core by the second", last_request="2026-02-03T04:05:06+00:00",
    )  # fmt: skip
    monkeypatch.setattr(targets, "targets_of", lambda *_: [Place(served), Place(None)])
    listed = client.get("/endpoints?env=dev")
    assert listed.status == 200
    texts = Reader(listed.text).texts
    for text in ("1 core by the second", "2026-02-03 04:05:06", "nobody answers; its endpoints are not listed"):
        assert any(text in one for one in texts), text
    assert HOSTILE not in listed.text
    page = client.get("/endpoints/boxes-api?env=dev").text
    assert HOSTILE not in page
    for act in ("stop", "rollback", "delete"):
        assert f"/endpoints/boxes-api/{act}?env=dev" in page
        assert f"forestay endpoint {act} boxes-api" in page
    assert "/traffic?env=dev" not in page
    assert "ask for the role" in page
    assert "is gone" in page
    served = dataclasses.replace(served, status="Stopped", bills=None)
    assert "/endpoints/boxes-api/start?env=dev" in client.get("/endpoints/boxes-api?env=dev").text

    other = client.get("/endpoints/other-api?env=dev")
    assert other.status == 404
    assert "were not asked: nobody answers" in other.text

    monkeypatch.setattr(targets, "targets_of", lambda *_: [Place(None)])
    for path in ("/endpoints?env=dev", "/endpoints/boxes-api?env=dev"):
        answer = client.get(path)
        assert answer.status == 502
        assert "nobody answers" in answer.text
        assert "Ask again" in answer.text


def test_a_report_and_a_model_can_be_saved(client: Client, place: Path) -> None:
    report = client.get("/jobs/calm_bay_aaaaaa/report")
    assert report.headers["content-disposition"] == 'attachment; filename="calm_bay_aaaaaa.html"'
    assert HOSTILE not in report.text
    model = client.get("/jobs/calm_bay_aaaaaa/trials/1/model.pkl")
    assert model.status == 200
    assert model.headers["content-length"] == str((place / ".outputs" / "model.pkl").stat().st_size)
    assert client.get("/jobs/calm_bay_aaaaaa/trials/4/model.pkl").status == 404
