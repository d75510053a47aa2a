"""Where things lie, and that they are written whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forestay import project
from forestay.errors import InputError, OutsideError

HOLD = """
import sys, time
from pathlib import Path
from forestay import project
with project.lock(Path(sys.argv[1]), "the thing"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_home_is_beside_pulumi_yaml_else_here_else_where_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORESTAY_HOME", raising=False)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert project.home() == deep / ".forestay"
    (tmp_path / "Pulumi.yaml").touch()
    assert project.home() == tmp_path / ".forestay"
    monkeypatch.setenv("FORESTAY_HOME", str(tmp_path / "else"))
    assert project.home() == tmp_path / "else"


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file.json"
    project.write_json(path, {"a": 1})
    assert path.stat().st_mode & 0o777 == 0o644

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(InputError, match="No space"):
        project.write_json(path, {"a": 2})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]
    with pytest.raises(ValueError, match="JSON"):
        project.write_json(path, float("nan"))


def test_a_write_killed_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")
    code = (
        "import os, signal, sys; from pathlib import Path; from forestay import project;"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL);"
        "project.write_atomic(Path(sys.argv[1]), 'new' * 100_000)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text(encoding="utf-8") == "old"
    project.write_atomic(path, "newer")  # what the kill left is in nobody's way
    assert path.read_text(encoding="utf-8") == "newer"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_folder_that_takes_no_file_is_told() -> None:
    with pytest.raises(InputError) as caught:  # where the superuser can't write either
        project.write_atomic(Path("/proc/forestay"), "x")
    assert caught.value.lines()[0].startswith("/proc/forestay: cannot write: ")
    with pytest.raises(InputError, match="cannot write here"), project.new_folder(Path("/proc/forestay")):
        pass


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        project.ensure_folder(tmp_path / "file" / "folder")
    assert "file/folder" in caught.value.lines()[0]


def test_a_new_folder_comes_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with project.new_folder(target) as scratch:
        (scratch / "one").write_text("1", encoding="utf-8")
        assert not target.exists()

    def fails() -> None:
        with project.new_folder(target) as scratch:
            (scratch / "two").write_text("2", encoding="utf-8")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert [entry.name for entry in target.iterdir()] == ["one"]
    with project.new_folder(target) as scratch:
        (scratch / "three").write_text("3", encoding="utf-8")
    assert [entry.name for entry in target.iterdir()] == ["three"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["made"]


def test_a_lock_says_who_holds_it_and_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(OutsideError) as caught, project.lock(path, "the thing", wait_seconds=0.2):
        pass
    assert str(holder.pid) in caught.value.lines()[0]
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    started = time.monotonic()
    with project.lock(path, "the thing", wait_seconds=5):
        assert time.monotonic() - started < 5


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = HOLD.replace("60", "0.7")
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with project.lock(path, "the thing", wait_seconds=20):
        pass
    assert holder.wait(timeout=20) == 0  # it was left to end by itself
    holder.stdout.close()
