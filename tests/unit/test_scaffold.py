"""What `init` makes and updates: answers, files over nothing, the record, three-way merges; kills in between."""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forestay import __version__
from forestay.errors import InputError, OutsideError
from forestay.scaffold import answers as known
from forestay.scaffold import files as templates
from forestay.scaffold import record as records
from forestay.scaffold import update as updates
from forestay.scaffold.answers import Answers
from forestay.scaffold.place import place, refuse_clashes
from forestay.scaffold.record import Record

GUID = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
FILES = {"README.md": "one\n", "stacks/a.yaml": "two\n", "stacks/b.yaml": "three\n", "jobs/x/job.yml": "four\n"}


def answers(**changes: Any) -> Answers:
    given: dict[str, Any] = {
        "stem": "churn",
        "location": "westeurope",
        "subscriptions": dict.fromkeys(known.ENVIRONMENTS, GUID),
        "mail": "ml-team@contoso.com",
        "ci": "none",
        "target": "managed",
        "example": False,
        "since": "2026-01-01",
    }
    return Answers(**{**given, **changes})


def tree(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in found}


# Answers


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("stem", "Churn", "3 to 20 lower-case letters"),
        ("stem", "a--b", "3 to 20 lower-case letters"),
        ("location", "West Europe", "a region's short name"),
        ("subscription", "my-subscription", "a GUID"),
        ("mail", "nobody", "a mail address"),
        ("mail", "", "is empty"),
        ("ci", "gitlab", "'gitlab' is not known"),
        ("target", "vm", "'vm' is not known"),
    ],
)
def test_an_answer_that_cannot_be_is_told_with_what_to_write(key: str, value: str, told: str) -> None:
    with pytest.raises(InputError) as refused:
        known.checked(key, value, f"--{key}")
    (problem,) = refused.value.problems
    assert told in problem.message
    assert problem.where == f"--{key}"
    assert problem.fix


def test_subscriptions_are_for_all_or_for_one() -> None:
    assert known.subscriptions((GUID,)) == dict.fromkeys(("dev", "test", "prod"), GUID)
    assert known.subscriptions((f"prod={OTHER}", GUID)) == {"dev": GUID, "test": GUID, "prod": OTHER}
    assert known.subscriptions((f"prod={OTHER}",)) == {"prod": OTHER}
    with pytest.raises(InputError, match="no environment 'prd'") as refused:
        known.subscriptions((f"prd={GUID}",))
    assert "did you mean prod" in refused.value.problems[0].fix


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("churn", "churn"),
        ("Customer Churn (2026)", "customer-churn-2026"),
        ("a", "forestay"),
        ("2026", "forestay"),
        ("x" * 30, "x" * 20),
        ("customers-of-bank-12-x", "customers-of-bank-12"),
    ],
)
def test_the_folder_s_name_gives_the_stem(name: str, stem: str, tmp_path: Path) -> None:
    assert known.stem_of(tmp_path / name) == stem
    assert known.checked("stem", stem, "") == stem


def test_a_budget_begins_with_the_month() -> None:
    assert known.this_month(dt.date(2026, 12, 31)) == "2026-12-01"


def test_the_subscription_of_az_is_read_from_its_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    assert known.chosen_subscription() is None
    profile = {"subscriptions": [{"id": OTHER}, {"id": GUID, "isDefault": True}]}
    path = tmp_path / "azureProfile.json"
    path.write_text(json.dumps(profile), encoding="utf-8-sig")  # az writes a byte-order mark
    assert known.chosen_subscription() == GUID
    for text in ("[]", "{", '{"subscriptions": [{"id": "no guid", "isDefault": true}]}', '{"subscriptions": null}'):
        path.write_text(text, encoding="utf-8")
        assert known.chosen_subscription() is None


def test_what_follows_from_the_answers() -> None:
    own, example = answers(stem="card-fraud"), answers(example=True)
    assert (own.job, own.model, own.endpoint) == ("jobs/card-fraud/job.yml", "CardFraud", "card-fraud-api")
    assert (example.model, example.endpoint) == ("CategorizeTransactions", "categorize-transactions")
    assert example.job in templates.files(example)


# Files over nothing


@pytest.mark.parametrize("there", [False, True])
def test_files_are_placed_and_nothing_else_is_left(tmp_path: Path, there: bool) -> None:
    target = tmp_path / "new" / "project" if not there else tmp_path / "there"
    if there:
        (target / "stacks").mkdir(parents=True)
        (target / "mine.txt").write_text("mine", encoding="utf-8")
    place(target, FILES)
    assert tree(target) == {**FILES, **({"mine.txt": "mine"} if there else {})}
    assert all((target / path).stat().st_mode & 0o777 == 0o644 for path in FILES)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert not [path for path in target.iterdir() if path.name.startswith(".forestay-init")]


def test_everything_in_the_way_is_named(tmp_path: Path) -> None:
    refuse_clashes(tmp_path, FILES, "move them away")
    refuse_clashes(tmp_path / "new", FILES, "move them away")
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    (tmp_path / "stacks").write_text("a file where a folder must be", encoding="utf-8")
    (tmp_path / "jobs" / "x").mkdir(parents=True)
    (tmp_path / "jobs" / "x" / "job.yml").symlink_to("nothing")
    with pytest.raises(InputError) as refused:
        refuse_clashes(tmp_path, FILES, "move them away")
    named = [problem.where for problem in refused.value.problems]
    assert named == [str(tmp_path / name) for name in ("README.md", "stacks", "jobs/x/job.yml")]
    assert refused.value.problems[-1].fix == "move them away"
    for path in (tmp_path / "README.md", tmp_path / "jobs" / "x" / "job.yml"):
        with pytest.raises(InputError):
            refuse_clashes(path, FILES, "")


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def late(source: Path, target: Path) -> None:
        if target.name == "b.yaml":
            target.write_text("mine", encoding="utf-8")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(InputError, match="File exists"):
        place(tmp_path, FILES)
    assert tree(tmp_path) == {"stacks/b.yaml": "mine"}


def test_ctrl_c_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, count = os.link, iter(range(9))

    def interrupted(source: Path, target: Path) -> None:
        if next(count) == 2:
            raise KeyboardInterrupt
        link(source, target)

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        place(tmp_path, FILES)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    place(tmp_path, FILES)
    assert tree(tmp_path) == FILES


KILLED = """
import os, sys
from pathlib import Path
from forestay.scaffold.place import place
real, left = getattr(os, sys.argv[1]), int(sys.argv[2])
def killed(*words, **more):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    return real(*words, **more)
setattr(os, sys.argv[1], killed)
place(Path(sys.argv[3]), dict(zip(sys.argv[4::2], sys.argv[5::2])))
"""


@pytest.mark.parametrize(
    ("there", "call", "after"),
    [(True, "link", 0), (True, "link", 3), (True, "replace", 2), (False, "rename", 0), (False, "replace", 2)],
)
def test_killed_at_any_moment_the_next_one_begins_anew(tmp_path: Path, there: bool, call: str, after: int) -> None:
    target = tmp_path / "project"
    if there:
        target.mkdir()
    words = [word for pair in FILES.items() for word in pair]
    killed = subprocess.run([sys.executable, "-c", KILLED, call, str(after), str(target), *words], check=False)
    assert killed.returncode == -9
    assert target.exists() is there
    changed = {**FILES, "README.md": "one, changed since\n"}
    place(target, changed)
    assert tree(target) == changed
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_two_at_once_are_told(tmp_path: Path) -> None:
    stage = tmp_path / ".forestay-init"
    stage.mkdir()
    handle = os.open(stage, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(OutsideError, match="another `forestay init`"):
            place(tmp_path, FILES)
    finally:
        os.close(handle)
    place(tmp_path, FILES)
    assert tree(tmp_path) == FILES


# The record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    texts = {
        "a": "one\n",
        "b": "no end",
        "c": "trailing  \n\tTab: é \u2028\n",
        "d": "",
        "e": "x" * 60_000,
        "f": "- no\n",
    }
    record = Record.of(answers(), texts, {"a": "00"})
    records.save(tmp_path, record)
    assert records.load(tmp_path) == record
    assert set(record.large) == {"e"}


@pytest.mark.parametrize(
    ("old", "new", "kind", "told"),
    [
        (f"version: {__version__}", "version: 99.1.0", OutsideError, "made by Forestay 99.1.0"),
        (f"version: {__version__}", "version: none", InputError, "`version`"),
        ("  a: |", "  ../a: |", InputError, "no path in the project"),
        ("  a: |", "  /a: |", InputError, "no path in the project"),
        ("location: westeurope", "location: West", InputError, "a region's short name"),
        ("location: westeurope", "region: westeurope", InputError, "Field required"),
        (f"    prod: {GUID}\n", "", InputError, "not one of each environment"),
    ],
)
def test_a_record_that_is_not_ours_is_refused(
    tmp_path: Path, old: str, new: str, kind: type[Exception], told: str
) -> None:
    text = Record.of(answers(), {"a": "one\n"}).text()
    assert old in text
    (tmp_path / records.FILE).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(kind, match=told) as refused:
        records.load(tmp_path)
    assert records.FILE in refused.value.problems[0].where  # type: ignore[attr-defined]
    assert refused.value.problems[0].fix  # type: ignore[attr-defined]


def test_a_folder_without_a_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not made by `forestay init`"):
        updates.plan(tmp_path)


# Updates

OLD = "a\nb\nc\nd\ne\nf\ng\n"
NEW = "a\nb\nc\nd\ne\nf\nG\n"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A project that an older version made of `before`, which this one makes of `after`."""

    def make(before: dict[str, str], after: dict[str, str]) -> Path:
        monkeypatch.setattr(templates, "files", lambda _: after)
        place(tmp_path, before)
        records.save(tmp_path, replace(Record.of(answers(), before), version="0.0.1"))
        return tmp_path

    return make


def kinds(update: updates.Update) -> dict[str, str]:
    return {change.path: change.kind for change in update.changes}


def test_what_the_user_left_alone_follows_and_the_rest_is_merged(old: Callable[..., Path]) -> None:
    before = {"same": OLD, "plain": OLD, "mine": OLD, "both": OLD, "gone": OLD, "gone-mine": OLD, "removed": OLD}
    after = {"same": OLD, "plain": NEW, "mine": OLD, "both": NEW, "removed": NEW, "added": NEW, "alike": NEW}
    folder = old(before, after)
    mine = OLD.replace("a\n", "A\n")
    for name in ("mine", "both", "gone-mine"):
        (folder / name).write_text(mine, encoding="utf-8")
    (folder / "removed").unlink()
    (folder / "alike").write_text(NEW, encoding="utf-8")
    found = updates.plan(folder)
    assert kinds(found) == {
        "plain": "changed",
        "both": "merged",
        "gone": "removed",
        "gone-mine": "kept",
        "removed": "kept",
        "added": "added",
    }
    lines = [line for change in found.changes for line in change.diff()]
    assert "--- a/gone" in lines
    assert "+++ /dev/null" in lines
    assert "+++ b/added" in lines
    assert tree(folder)["plain"] == OLD  # nothing is written before it is agreed to
    updates.carry_out(found)
    assert {name: text for name, text in tree(folder).items() if name != records.FILE} == {
        "same": OLD,
        "plain": NEW,
        "mine": mine,
        "both": NEW.replace("a\n", "A\n"),
        "gone-mine": mine,
        "added": NEW,
        "alike": NEW,
    }
    assert records.load(folder) == Record.of(answers(), after)
    assert not updates.plan(folder).needed


def test_lines_that_both_changed_stand_marked_and_must_be_chosen_from(old: Callable[..., Path]) -> None:
    folder = old({"file": OLD, "own": OLD}, {"file": NEW, "own": OLD, "new": NEW})
    (folder / "file").write_text(OLD.replace("g\n", "mine\n"), encoding="utf-8")
    (folder / "new").write_text("mine\n", encoding="utf-8")
    found = updates.plan(folder)
    assert found.conflicts == ("file", "new")
    updates.carry_out(found)
    text = (folder / "file").read_text(encoding="utf-8")
    assert text == (
        "a\nb\nc\nd\ne\nf\n<<<<<<< yours\nmine\n=======\nG\n>>>>>>> Forestay " + __version__ + "\n"
    )  # fmt: skip
    with pytest.raises(InputError, match="still marked") as refused:
        updates.plan(folder)
    assert [problem.where for problem in refused.value.problems] == [f"{folder / 'file'}:7", f"{folder / 'new'}:1"]
    for name in ("file", "new"):
        (folder / name).write_text("mine\n", encoding="utf-8")
    assert not updates.plan(folder).needed


def test_a_file_changed_since_the_plan_is_not_overwritten(old: Callable[..., Path]) -> None:
    folder = old({"a": OLD, "b": OLD}, {"a": NEW, "b": NEW})
    found = updates.plan(folder)
    (folder / "b").write_text("mine\n", encoding="utf-8")
    with pytest.raises(InputError, match="has changed meanwhile"):
        updates.carry_out(found)
    assert tree(folder)["a"] == OLD


@pytest.mark.parametrize("after", range(5))
def test_an_update_killed_at_any_moment_is_finished_by_the_next(
    old: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """The record, three files and the record are five writes."""
    folder = old({"a": OLD, "b": OLD, "c": OLD}, {"a": NEW, "b": NEW, "c": NEW})
    (folder / "a").write_text(OLD.replace("a\n", "A\n"), encoding="utf-8")
    (folder / "b").write_text(OLD.replace("g\n", "mine\n"), encoding="utf-8")
    replaced, count = os.replace, iter(range(99))

    def killed(*words: Any) -> None:
        if next(count) == after:
            raise SystemExit
        replaced(*words)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(SystemExit):
            updates.carry_out(updates.plan(folder))
    updates.carry_out(updates.plan(folder))
    found = tree(folder)
    assert (found["a"], found["c"]) == (NEW.replace("a\n", "A\n"), NEW)
    assert found["b"].count("<<<<<<<") == 1
    assert records.load(folder) == Record.of(answers(), {"a": NEW, "b": NEW, "c": NEW})


def test_data_is_replaced_or_left_never_merged(old: Callable[..., Path]) -> None:
    before, after = "1\n" * 60_000, "2\n" * 60_000
    folder = old({"mine.csv": before, "theirs.csv": before}, {"mine.csv": after, "theirs.csv": after})
    (folder / "mine.csv").write_text(before + "3\n", encoding="utf-8")
    found = updates.plan(folder)
    assert kinds(found) == {"mine.csv": "kept", "theirs.csv": "changed"}
    assert [list(change.diff()) for change in found.changes] == [[], ["theirs.csv differs"]]
    updates.carry_out(found)
    assert tree(folder)["mine.csv"] == before + "3\n"
    assert tree(folder)["theirs.csv"] == after
    assert not updates.plan(folder).needed


def test_bytes_that_are_no_text_survive_a_merge(old: Callable[..., Path]) -> None:
    folder = old({"file": OLD}, {"file": NEW})
    (folder / "file").write_bytes(OLD.encode().replace(b"a\n", b"\xff\xfe\n"))
    updates.carry_out(updates.plan(folder))
    assert (folder / "file").read_bytes() == NEW.encode().replace(b"a\n", b"\xff\xfe\n")


def test_a_link_out_of_the_project_is_left_alone(
    old: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = old({"file": OLD, "dir/file": OLD}, {"file": NEW, "dir/file": NEW})
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").write_text(OLD, encoding="utf-8")
    (folder / "file").unlink()
    (folder / "file").symlink_to(outside / "file")
    (folder / "dir" / "file").unlink()
    (folder / "dir").rmdir()
    (folder / "dir").symlink_to(outside)
    found = updates.plan(folder)
    assert {change.path: change.why for change in found.changes} == dict.fromkeys(
        ("file", "dir/file"), "it lies outside of the project"
    )
    updates.carry_out(found)
    assert (outside / "file").read_text(encoding="utf-8") == OLD


def test_without_git_a_merge_says_so(old: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = old({"file": OLD, "plain": OLD}, {"file": NEW, "plain": NEW})
    monkeypatch.setenv("PATH", "")
    assert kinds(updates.plan(folder)) == {"file": "changed", "plain": "changed"}  # needs none
    (folder / "file").write_text("mine\n", encoding="utf-8")
    with pytest.raises(OutsideError, match="git"):
        updates.plan(folder)


def test_other_answers_change_the_files_and_keep_what_the_user_wrote(tmp_path: Path) -> None:
    made = templates.files(answers())
    place(tmp_path, {**made, records.FILE: Record.of(answers(), made).text()})
    stack = tmp_path / "stacks" / "Pulumi.dev.yaml"
    stack.write_text(stack.read_text().replace("maxNodes: 2", "maxNodes: 20"), encoding="utf-8")
    changed = known.with_changes(answers(), {"location": "northeurope", "subscriptions": {"prod": OTHER}})
    found = updates.plan(tmp_path, changed)
    assert set(kinds(found).values()) == {"changed", "merged"}
    updates.carry_out(found)
    text = stack.read_text(encoding="utf-8")
    assert "location: northeurope" in text
    assert "maxNodes: 20" in text
    assert OTHER in (tmp_path / "stacks" / "Pulumi.prod.yaml").read_text(encoding="utf-8")
    assert records.load(tmp_path).answers == changed
