"""`ship`: from a job file to an answering endpoint in one command, and on from where it stopped."""

from __future__ import annotations

import json
import re
import shlex
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.tables import write_job

WORDS = ("--model", "Sizes", "--endpoint", "sizes-api", "--set", "limits.max_trials=3")


def test_the_whole_loop_twice_and_on_from_a_failed_step(clean: Run, project: Path) -> None:
    job = write_job(project)
    (project / ".forestay" / "scoring" / "Sizes-1").mkdir(parents=True)
    (project / ".forestay" / "scoring" / "Sizes-1" / "notes.txt").write_text("mine", encoding="utf-8")
    failed = clean("ship", job, *WORDS)
    assert failed.returncode == 2, failed.stderr
    assert "step generate" in failed.stderr
    assert "Traceback" not in failed.stderr
    again = re.search(r"forestay (ship .*)$", failed.stderr, re.MULTILINE)
    assert again is not None
    assert "--job" in again[1]

    (project / ".forestay" / "scoring" / "Sizes-1" / "notes.txt").unlink()
    done = clean(*shlex.split(again[1]), "--output", "json")
    assert done.returncode == 0, done.stderr
    shipped = json.loads(done.stdout)
    assert shipped["verified"] is True
    assert shipped["version"] == "1"
    assert shipped["endpoint"]["status"] == "Healthy"
    assert shipped["answer"]["Results"][0] in ("low", "middle", "high")
    assert [step["name"] for step in shipped["steps"]] == [
        "check", "train", "register", "generate", "verify", "deploy", "call",
    ]  # fmt: skip
    assert len(json.loads(clean("job", "list", "--output", "json").stdout)) == 1

    request = {"data": [{"kind": "red", "size": 14.2, "flag": True, "words": "large heavy crate", "day": "2023-03-01"}]}
    asked = urllib.request.Request(
        shipped["endpoint"]["scoring_uri"],
        data=json.dumps(request).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert json.load(answer) == {"Results": ["high"]}

    same = clean(*shlex.split(again[1]), "--output", "json")
    assert same.returncode == 0, same.stderr
    assert json.loads(same.stdout)["endpoint"]["deployment"] == shipped["endpoint"]["deployment"]
    assert json.loads(same.stdout)["endpoint"]["changed"] is False
    assert (Path(shipped["path"]) / "MODEL_CARD.md").is_file()

    another = ("--if-better", "--threshold", "0.9", "--set", "limits.max_trials=1", "--output", "json")
    kept = clean("ship", job, *WORDS[:-2], *another)
    assert kept.returncode == 1, kept.stderr
    told = json.loads(kept.stdout)
    assert (told["kept"], told["version"], told["endpoint"]["version"]) == (True, "2", "1")
    assert told["comparison"]["better"] is False
    assert [step["name"] for step in told["steps"]] == ["check", "train", "register", "compare"]
    assert json.loads(clean("endpoint", "show", "sizes-api", "--output", "json").stdout)["version"] == "1"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--model", "Sizes", "--endpoint", "NO"), "'NO'"),
        (("--model", "a b", "--endpoint", "sizes-api"), "'a b'"),
        (("--model", "Sizes", "--endpoint", "sizes-api", "--target", "aks"), "aks"),
        (("--model", "Sizes", "--endpoint", "sizes-api", "--job", "nothing_like_it"), "nothing_like_it"),
        (("--endpoint", "sizes-api"), "--model"),
    ],
)
def test_what_would_fail_late_is_told_before_training(
    forestay: Run, project: Path, words: tuple[str, ...], told: str
) -> None:
    job = write_job(project)
    done = forestay("ship", job, *words, process=False)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "trial" not in done.stderr


def test_a_wrong_word_is_not_repeated_as_the_remedy(forestay: Run, project: Path) -> None:
    job = write_job(project)
    good = ("--model", "Sizes", "--endpoint", "sizes-api")
    for words in (("--model", "Sizes", "--endpoint", "NO"), (*good, "--job", "nothing_like_it")):
        done = forestay("ship", job, *words, process=False)
        assert done.returncode == 2
        assert "step check: " in done.stderr
        assert "go on with" not in done.stderr
        assert "is trained" not in done.stderr  # what was not looked at is not told as done


@pytest.mark.parametrize(
    "words", [("--set", "limits.max_trials=1"), ("--time-budget", "5s"), ("--seed", "0"), ("--bagged-folds",)]
)
def test_options_of_a_training_are_refused_for_a_job_that_is_trained(
    forestay: Run, project: Path, words: tuple[str, ...]
) -> None:
    ship = ("ship", write_job(project), "--model", "Sizes", "--endpoint", "sizes-api", "--job", "latest")
    done = forestay(*ship, *words, process=False)
    assert done.returncode == 2
    assert f"{words[0]}: has no effect on a job that is trained" in done.stderr


def test_python_cli_py_is_forestay(project: Path) -> None:
    import subprocess

    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, str(root / "cli.py"), "--version"], capture_output=True, text=True, check=True, cwd=project
    )
    assert done.stdout.startswith("forestay, version ")
