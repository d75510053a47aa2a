"""The process that workers are forked from: safe to fork, and its memory shared by the workers for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")

SAY = """
import gc, threading
import automl_jobs.engine.preload
print(threading.active_count(), gc.get_freeze_count(), len(gc.get_objects()))
"""


def test_no_thread_runs_and_the_collector_sees_nothing_of_what_was_imported() -> None:
    ended = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True)
    threads, hidden, seen = map(int, ended.stdout.split())
    assert threads == 1
    assert hidden > 100_000
    assert seen < hidden / 100
