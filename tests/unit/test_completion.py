"""What is offered at TAB: names as the run store has them, and nothing that a shell would take for more than a name."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

from automl_jobs.runs import RunStore
from forestay import cli, completion
from tests.runs_support import finished_job, job_start, new_store, outputs_folder

LEAVES = dict(cli.leaves())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    folder = tmp_path_factory.mktemp("completed")
    store = new_store(folder / ".forestay")
    outputs = outputs_folder(folder / "outputs")
    for name in ("calm_bay_aaaaaa", "brave_hill_bbbbbb"):
        finished_job(store, outputs, name)
        store.register(name, None, "Churn")
    store.start_job(job_start("cold_lake_cccccc"))
    store.register("calm_bay_aaaaaa", 2, "Sales")
    return store


def offered(kind: str, env: str = "local") -> list[str]:
    return list(completion.KINDS[kind](env))


def test_names_are_those_of_the_run_store(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESTAY_HOME", str(store.place.folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert offered("job") == ["latest", *(row.job for row in store.jobs())]
    known = {(one.name, one.version) for one in store.models()}
    assert set(offered("model")) == {name for name, _ in known} | {f"{name}:{version}" for name, version in known}
    assert set(offered("model name")) == {"Churn", "Sales"}
    assert offered("job", "dev") == offered("model", "dev") == []  # they are Azure's to tell
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store.place.database}")
    monkeypatch.setenv("FORESTAY_HOME", "/nowhere")
    assert "calm_bay_aaaaaa" in offered("job")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert offered("job") == ["latest"]


def test_a_store_that_is_busy_missing_or_none_is_not_waited_for(
    store: RunStore, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered("job") == ["latest"]
    assert not (project / ".forestay").exists()
    (project / ".forestay").mkdir()
    (project / ".forestay" / "runs.db").write_text("no database", encoding="utf-8")
    assert offered("job") == ["latest"]
    monkeypatch.setenv("FORESTAY_HOME", str(store.place.folder))
    with closing(sqlite3.connect(store.place.folder / "runs.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert offered("job")[0] == "latest"
        writer.execute("ROLLBACK")


def test_endpoints_here_and_of_an_environment(project: Path) -> None:
    for name in ("churn-api", "sales"):
        (project / ".forestay" / "endpoints" / name).mkdir(parents=True)
        (project / ".forestay" / "endpoints" / name / "endpoint.json").touch()
    (project / ".forestay" / "endpoints" / "half-made").mkdir()
    (project / ".forestay" / "services" / "dev" / "prices").mkdir(parents=True)
    assert offered("endpoint") == ["churn-api", "sales"]
    assert offered("endpoint", "dev") == ["prices"]


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("plain", "$(reboot)", "`id`", "a b", "*", "-rf", "x,y", "new\nline", "'q'", "\x1b[2J", "é", "a;b", "~")
    monkeypatch.setitem(completion.KINDS, "job", lambda _: iter(names))
    monkeypatch.setenv("_FORESTAY_COMPLETE", "bash_complete")


@pytest.mark.usefixtures("hostile")
def test_a_name_that_a_shell_would_obey_is_not_offered(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", "forestay job show ")
    with pytest.raises(SystemExit):
        cli.main([])
    assert capsys.readouterr().out == "plain,plain\n"


def test_a_fault_is_never_seen_at_the_prompt(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> Iterator[str]:
        raise RuntimeError("oh")

    monkeypatch.setitem(completion.KINDS, "job", fail)
    monkeypatch.setenv("_FORESTAY_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_LINE", "forestay job show ")
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("path", "parameter", "kind"),
    [
        ("job show", "job", "job"),
        ("job leaderboard", "job", "job"),
        ("job compare", "other", "job"),
        ("model show", "model", "model"),
        ("model register", "name", "model name"),
        ("score generate", "model", "model"),
        ("endpoint deploy", "name", "endpoint"),
        ("endpoint deploy", "model", "model"),
        ("endpoint invoke", "name", "endpoint"),
        ("ship", "endpoint", "endpoint"),
    ],
)
def test_which_names_a_command_takes(path: str, parameter: str, kind: str) -> None:
    found = next(one for one in cli.load(LEAVES[path]).params if one.name == parameter)
    before = found.type
    completion.complete_names([found])
    try:
        assert isinstance(found.type, completion.Name)
        assert found.type.kind == kind
        assert found.type.convert("as it is", found, None) == "as it is"
    finally:
        found.type = before


def test_every_environment_can_be_completed() -> None:
    """Options called --env take stacks, whichever command has them; a path stays one."""
    for path, leaf in LEAVES.items():
        for parameter in cli.load(leaf).params:
            if "--env" in parameter.opts:
                assert (parameter.param_type_name, parameter.name) in completion._PARAMETERS, path
                assert isinstance(parameter.type, click.types.StringParamType), path


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_script_as_text_and_as_json(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "_FORESTAY_COMPLETE" not in os.environ
    with pytest.raises(SystemExit):
        cli.main(["completion", shell])
    text = capsys.readouterr().out
    assert f"_FORESTAY_COMPLETE={shell}_complete" in text
    assert text == completion.script(shell, cli.root)
