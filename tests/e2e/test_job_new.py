"""`forestay job new`, as a user starts it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pexpect

from tests.conftest import Run

CSV = "id,name,size,y\n" + "".join(f"{i},n{i},{i % 17},{'yes' if i % 6 == 0 else 'no'}\n" for i in range(1, 121))


def test_a_job_from_a_csv(forestay: Run, project: Path) -> None:
    (project / "My sales.csv").write_text(CSV)
    done = forestay("job", "new", "My sales.csv", "--target", "y", "--exclude", "id", "--exclude", "name")
    assert done.returncode == 0, done.stderr
    assert "left out: id, name" in done.stdout
    assert "task classification: the target is categorical" in done.stdout
    assert "metric auc_weighted: the classes are unbalanced" in done.stdout
    assert "forestay job check jobs/My-sales/job.yml" in done.stdout
    shown = forestay("data", "show", "jobs/My-sales/training-mltable-folder", "-o", "json")
    assert [column["name"] for column in json.loads(shown.stdout)["columns"]] == ["size", "y"]


def test_what_it_suggests_runs(forestay: Run, project: Path) -> None:
    (project / "data.csv").write_text(CSV)
    done = forestay("job", "new", "data.csv", "--target", "y", "--to", "a job", "-o", "json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["job"] == "a job/job.yml"
    assert made["next"][0] == "forestay job check 'a job/job.yml'"
    assert made["task"] == "classification"
    assert any(hint.startswith("id ") for hint in made["hints"])
    check = forestay("job", "check", made["job"], "-o", "json")
    assert check.returncode == 0, check.stdout + check.stderr
    checked = json.loads(check.stdout)
    assert checked["valid"] is True
    assert checked["target"] == "y"
    assert checked["rows"] == 120


def test_what_cannot_be_told_to_azure_is_rewritten_and_said(forestay: Run, project: Path) -> None:
    (project / "data.csv").write_text("p;y\n1,5;a\n2,5;b\n3,5;a\n")
    done = forestay("job", "new", "data.csv", "--target", "y")
    assert done.returncode == 0, done.stderr
    assert "since it has decimal commas" in done.stdout
    assert (project / "jobs/data/training-mltable-folder/data.csv").read_text() == "p,y\n1.5,a\n2.5,b\n3.5,a\n"


def test_errors_write_nothing(forestay: Run, project: Path) -> None:
    (project / "data.csv").write_text(CSV)
    (project / "full").mkdir()
    (project / "full/notes.txt").write_text("mine")
    for arguments, text in (
        (("--target", "yy"), "--target: there is no column 'yy'"),
        (("--target", "y", "--exclude", "sise"), "nearest: size"),
        (("--target", "y", "--to", "full"), "full: is there already"),
        (("--target", "y", "--to", "full", "--force"), "holds notes.txt"),
        (("--target", "y", "--to", "."), "--to .: is the current folder"),
        (("--target", "y", "--to", "data.csv"), "is not a folder"),
        (("--target", "y", "--metric", "r2"), "is no metric of classification"),
    ):
        done = forestay("job", "new", "data.csv", *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert text in done.stderr
    assert sorted(item.name for item in project.iterdir()) == ["data.csv", "full"]


def test_on_a_terminal_what_is_not_given_is_asked_for(project: Path) -> None:
    (project / "data.csv").write_text(CSV)
    (project / "Pulumi.yaml").write_text("name: sales\n")
    (project / "stacks").mkdir()
    for stack in ("dev", "dev-services"):
        (project / "stacks" / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    with pexpect.spawn(
        sys.executable, ["-m", "forestay", "job", "new"], dimensions=(60, 120), encoding="utf-8", timeout=60
    ) as screen:
        for question, answer in (
            ("data file", "dat.csv"),
            ("data file", "data.csv"),
            ("columns to leave out", "id, nam"),
            ("nearest: name", "id, name"),
            ("column to predict", ""),
            ("task ", "regression"),
            ("say --task classification", ""),
            ("primary metric", "accuracy"),
            (r"compute: here \(local\), or an environment \(dev\)", "prod"),
            ("one of: local, dev", ""),
            ("time budget", "soon"),
            ("is not a duration", "90s"),
            ("advanced settings", "yes"),
            ("explain the best model", ""),
            ("blocked algorithms", "svn"),
            ("did you mean svm", "svm, knn"),
            ("exit score", ""),
            ("minutes of one trial", ""),
            (r"trials; at most", "7"),
            ("trials at a time", ""),
            ("folds", ""),
            ("validate on", ""),
            ("test on", ""),
            ("voting", ""),
            ("stack", ""),
            ("prefer", ""),
            ("seed", "3"),
            ("positive label", "yes"),
        ):
            screen.expect(question)
            screen.sendline(answer)
        screen.expect(r"job new data.csv\s+--target y\s+--exclude id\s+--exclude\s+name\s+--metric\s+accuracy")
        screen.expect(r"--time-budget\s+90s")
        screen.expect(r"limits.max_trials=7")
        screen.expect("task classification: the target is categorical")
        screen.expect("metric accuracy: as asked")
        screen.expect(pexpect.EOF)
    assert screen.exitstatus == 0
    text = (project / "jobs/data/job.yml").read_text()
    for line in (
        'target_column_name: "y"',
        "max_trials: 7",
        'forestay.seed: "3"',
        "timeout_minutes: 2",
        "positive_label:",
    ):
        assert line in text


def test_the_line_that_asks_nothing_keeps_every_flag_that_was_given(project: Path, forestay: Run) -> None:
    (project / "dünn.csv").write_bytes("größe,straße,y\n".encode("latin1") + b"1,K\xf6ln,a\n2,Ulm,b\n3,Bonn,a\n" * 9)
    flags = ["--encoding", "latin1", "--month-first", "--na-value", "?", "--name", "my exp", "--to", "jobs/zz"]
    words = [sys.executable, "-m", "forestay", "job", "new", "dünn.csv", *flags, "--type", "größe=numeric"]
    with pexpect.spawn(words[0], words[1:], dimensions=(60, 400), encoding="utf-8", timeout=60) as screen:
        for question in (
            "columns to leave out",
            "column to predict",
            "task ",
            "primary metric",
            "time budget",
            "advanced",
        ):
            screen.expect(question)
            screen.sendline("")
        screen.expect(r"the same without questions: forestay\s+(job new (?s:.*?))Wrote")  # in lines of the screen
        said = shlex.split(screen.match.group(1))
        screen.expect(pexpect.EOF)
    assert said[:5] == ["job", "new", "dünn.csv", "--target", "y"]
    for flag in flags:
        assert flag in said
    job = project / "jobs/zz/job.yml"
    text = job.read_text()
    assert "experiment_name: my-exp" in text
    done = forestay(*said, "--force")
    assert done.returncode == 0, done.stderr
    assert job.read_text() == text


def test_flags_that_leave_no_column_are_refused_before_any_question(project: Path) -> None:
    (project / "data.csv").write_text(CSV)
    for columns, told in ((("id", "name", "size", "y"), "no column would be left"), (("sise",), "nearest: size")):
        flags = [word for name in columns for word in ("--exclude", name)]
        words = ["-m", "forestay", "job", "new", "data.csv", *flags]
        with pexpect.spawn(sys.executable, words, dimensions=(60, 200), encoding="utf-8", timeout=60) as screen:
            screen.expect("--exclude")
            screen.expect(told)
            screen.expect(pexpect.EOF)
        assert screen.exitstatus == 2


def test_without_a_terminal_nothing_is_asked(forestay: Run, project: Path) -> None:
    (project / "data.csv").write_text(CSV)
    for arguments, text in ((("data.csv",), "--target"), (("--target", "y"), "DATA")):
        done = forestay("job", "new", *arguments)
        assert done.returncode == 2
        assert text in done.stderr
