"""The processes that workers are forked from: safe to fork, and their memory shared by the workers for good."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")

LOOK = """
import gc, json, os, signal, sys, threading, time
from multiprocessing import Pipe
from automl_jobs.engine import nursery

def tell(pipe, word):
    pipe.send([word, os.getpid(), os.getppid(), signal.getsignal(signal.SIGINT) == 1])
    pipe.recv()
    os._exit(7)

def start(found, word):
    ours, theirs = Pipe()
    process = found.start(tell, (word,), theirs)
    theirs.close()
    return process, ours, ours.recv()

with nursery.at_hand() as open_it:
    open_it()
    found = nursery.current()
    seen = {"threads": threading.active_count(), "hidden": gc.get_freeze_count(), "collected": len(gc.get_objects())}
    unwanted = ("azureml", "azure", "mako.ext.pygmentplugin")
    seen["plugins"] = [name for name in sys.modules if name.split(".")[0] in unwanted or name in unwanted]
    seen["environment"] = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")}
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()  # what this process does later is its own
    one, pipe, seen["told"] = start(found, "one")
    two, other, _ = start(found, "two")
    seen["parent"] = found.pid
    seen["alive"] = one.is_alive()
    pipe.send(None)
    one.join(20)
    seen["ended"] = one.exitcode
    two.kill()
    two.join(20)
    seen["killed"] = two.exitcode
    third, _, (_, seen["left"], *_) = start(found, "three")
    os.kill(found.pid, signal.SIGKILL)
    try:
        start(found, "four")
    except OSError as error:
        seen["gone"] = type(error).__name__
    third.join(1)
    seen["taken as ended"] = third.exitcode
with nursery.at_hand() as open_it:
    open_it()
    seen["beside a thread"] = nursery.current() is not None
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What a command that opens the nursery sees."""
    ended = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_no_thread_runs_and_the_collector_sees_nothing_of_what_was_imported(seen: dict[str, Any]) -> None:
    assert seen["threads"] == 1
    assert seen["hidden"] > 100_000
    assert seen["collected"] < seen["hidden"] / 100
    assert seen["plugins"] == []


def test_a_forked_process_is_started_ended_and_killed_as_any_other(seen: dict[str, Any]) -> None:
    word, _, parent, deaf = seen["told"]
    assert (word, parent, deaf) == ("one", seen["parent"], True)
    assert seen["environment"] == {"OMP_NUM_THREADS": None, "OMP_WAIT_POLICY": None}
    assert (seen["alive"], seen["ended"], seen["killed"]) == (True, 7, -9)


def test_a_nursery_that_was_killed_is_told_and_none_is_forked_beside_a_thread(seen: dict[str, Any]) -> None:
    assert seen["gone"] in ("ConnectionError", "BrokenPipeError", "ConnectionResetError")
    assert seen["taken as ended"] == 1
    assert seen["beside a thread"] is False
    if psutil.pid_exists(seen["left"]):
        psutil.Process(seen["left"]).kill()
