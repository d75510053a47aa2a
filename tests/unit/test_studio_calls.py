"""Commands that the studio starts: what they write is kept, they can be stopped, and a later studio knows them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from studio import calls as module
from studio.calls import Call, Calls


def until(done: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_command_runs_and_what_it_wrote_is_kept(project: Path) -> None:
    calls = Calls(project / ".forestay")
    call = calls.run(["job", "list", "--output", "json"])
    assert (call.code, call.state, call.line) == (0, "Completed", "forestay job list --output json")
    assert calls.output(call).endswith("\n[]")
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


STOPPABLE = r"""#!{python}
import signal, subprocess, sys
ignoring = "ignoring" in sys.argv
child = (
    "import signal, sys, time\n"
    "def end(*_):\n"
    "    time.sleep(0.5)\n"
    "    sys.exit('child: its state is written')\n"
    f"signal.signal(signal.SIGINT, signal.SIG_IGN if {{ignoring}} else end)\n"
    "print('child: under way', flush=True)\n"
    "time.sleep(60)\n"
)
signal.signal(signal.SIGINT, lambda *_: print("parent: waits for its child", flush=True))
subprocess.run([sys.executable, "-c", child])
print("parent: ended")
sys.exit(130)
"""


@pytest.fixture
def stoppable(project: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Commands keep Ctrl-C until their child has ended, as those that change stacks do."""
    program = project / "program"
    program.write_text(STOPPABLE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return Calls(project / ".forestay")


def test_stop_reaches_what_a_command_started_and_lets_it_end(stoppable: Calls) -> None:
    call = stoppable.start(["endpoint", "rollback", "x"])
    until(lambda: "child: under way" in stoppable.output(call))
    stoppable.stop(call)
    assert stoppable.stops(call) == 1
    until(lambda: not stoppable.find(call.id).running)
    assert stoppable.find(call.id).state == "Canceled"
    said = stoppable.output(call)
    for line in ("child: its state is written", "parent: waits for its child", "parent: ended"):
        assert line in said


def test_what_does_not_stop_is_ended_by_force_with_all_it_started(stoppable: Calls) -> None:
    call = stoppable.start(["ignoring"])
    until(lambda: "child: under way" in stoppable.output(call))
    assert call.process is not None
    family = [call.process, *call.process.children(recursive=True)]
    assert len(family) == 2
    for _ in module.STOPS:
        assert stoppable.find(call.id).running
        stoppable.stop(call)
        time.sleep(0.2)
    until(lambda: not stoppable.find(call.id).running)
    assert stoppable.find(call.id).state == "Failed"
    until(lambda: not any(one.is_running() and one.status() != "zombie" for one in family))


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
