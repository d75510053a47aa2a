"""Commands that the studio starts: what they write is kept, they can be stopped, and a later studio knows them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from studio import calls as module
from studio.calls import Call, Calls


def until(done: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_command_runs_and_what_it_wrote_is_kept(project: Path) -> None:
    calls = Calls(project / ".forestay")
    call = calls.run(["job", "list", "--output", "json"])
    assert (call.code, call.state, call.line) == (0, "Completed", "forestay job list --output json")
    assert calls.document(call) == []
    wrong = calls.run(["job", "show", "; touch x"])
    assert (wrong.code, wrong.state) == (2, "Failed")
    assert wrong.line == "forestay job show '; touch x'"
    assert "there is no job '; touch x'" in calls.output(wrong)
    assert not (project / "x").exists()
    again = Calls(project / ".forestay")
    assert [one.id for one in again.all()] == [wrong.id, call.id]


def test_what_runs_goes_on_without_the_studio_and_can_be_stopped(project: Path) -> None:
    first = Calls(project / ".forestay")
    call = first.start(["studio", "--no-browser"], job="calm_bay")
    later = Calls(project / ".forestay")
    found = later.of_job("calm_bay")
    assert found is not None
    assert found.running
    until(lambda: "the studio is at" in later.output(found))
    later.stop(found)
    until(lambda: not later.find(call.id).running)


def test_a_process_of_the_same_number_is_not_taken_for_it(project: Path) -> None:
    import os

    call = Call("1-a", ("job", "list"), "", "", 0.0, pid=os.getpid(), created=1.0)
    assert call.process is None
    assert call.state == "Ended"


def test_old_commands_are_forgotten(project: Path, monkeypatch: object) -> None:
    calls = Calls(project / ".forestay")
    for number in range(module.KEPT + 3):
        (calls.folder / f"{number:05}-a").mkdir(parents=True)
    calls.run(["--version"])
    assert len(list(calls.folder.iterdir())) == module.KEPT
