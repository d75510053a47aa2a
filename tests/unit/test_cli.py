"""The command tree: every command is there, says what it does, and takes the common options wherever they stand."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from forestay import cli
from forestay.errors import InputError, Interrupted, OutsideError, RunFailed

LEAVES = dict(cli.leaves())


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_has_help_with_an_example_that_is_a_command(path: str) -> None:
    command = cli.load(LEAVES[path])
    assert isinstance(command, cli.Command)
    text = command.help or ""
    examples = re.findall(r"^\s*Example: (forestay .*)$", text, re.MULTILINE)
    assert examples, path
    for example in examples:
        assert shlex.split(example)[1:][: len(path.split())] == path.split()
        words = shlex.split(example.split(" | ")[0])[1 + len(path.split()) :]
        context = command.make_context(path, list(words), resilient_parsing=False)
        assert context.params is not None
    assert LEAVES[path].help.endswith(".")


@pytest.mark.parametrize("path", LEAVES)
def test_every_option_says_what_it_is_for(path: str) -> None:
    for parameter in cli.load(LEAVES[path]).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def groups(entries: dict[str, Any], above: str = "") -> Iterator[str]:
    """The paths of all groups, `endpoint keys`; the root is empty."""
    yield above
    for name, entry in entries.items():
        if isinstance(entry, tuple):
            yield from groups(entry[1], f"{above} {name}".strip())


@pytest.mark.parametrize("path", list(groups(cli.TREE)))
def test_every_group_has_an_example_that_is_one_of_its_commands(path: str) -> None:
    group: Any = cli.root
    for name in path.split():
        group = group.get_command(click.Context(group), name)
    (example,) = re.findall(r"^Example: forestay (.*)$", inspect.cleandoc(group.help or ""), re.MULTILINE)
    words = shlex.split(example)
    leaf = next(" ".join(words[:size]) for size in range(1, len(words) + 1) if " ".join(words[:size]) in LEAVES)
    assert f"{leaf} ".startswith(f"{path} ".lstrip())
    assert cli.load(LEAVES[leaf]).make_context(leaf, words[len(leaf.split()) :]).params is not None


@pytest.mark.parametrize("words", [(), *((name,) for name, entry in cli.TREE.items() if isinstance(entry, tuple))])
def test_a_group_lists_its_commands_in_the_tree_s_order_one_line_each(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(*words, "--help") == 0
    lines = capsys.readouterr().out.split("Commands:\n")[1].splitlines()
    known: Any = cli.TREE[words[0]][1] if words else cli.TREE
    assert [line.split()[0] for line in lines] == list(known)
    assert all(line.endswith(".") for line in lines)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    return int(ended.value.code or 0)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[click.Context], Any]], None]:
    """Put a body in the place of `job list`."""

    def put(body: Callable[[click.Context], Any]) -> None:
        command = cli.Command("list", callback=click.pass_context(body), params=[])
        monkeypatch.setattr(cli, "load", lambda _: command)

    return put


PLACES = [
    ("--output", "json", "--quiet", "job", "list"),
    ("job", "--output", "json", "--quiet", "list"),
    ("job", "list", "--output", "json", "--quiet"),
    ("--quiet", "job", "-o", "json", "list"),
]


@pytest.mark.parametrize("words", PLACES)
def test_common_options_stand_anywhere(
    words: tuple[str, ...], stub: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def body(context: click.Context) -> None:
        screen = cli.console(context)
        screen.note("not to be seen")
        screen.emit({"name": "[bold]é"}, "for a person")

    stub(body)
    assert run(*words) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"name": "[bold]é"}
    assert shown.err == ""


@pytest.mark.parametrize("words", [("-v", "job", "list"), ("job", "--verbose", "list"), ("job", "list", "-v")])
def test_details_are_shown_wherever_they_are_asked_for(
    words: tuple[str, ...], stub: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    stub(lambda context: cli.console(context).detail("a detail"))
    assert run(*words) == 0
    assert capsys.readouterr().err == "a detail\n"
    assert run("job", "list") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_takes_the_common_options(path: str) -> None:
    taken = {name for parameter in cli.load(LEAVES[path]).params for name in parameter.opts}
    assert {"--output", "-o", "--quiet", "-q", "--verbose", "-v"} <= taken


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunFailed("it failed", fix="mend it"), 1),
        (InputError("it is wrong", where="file:3", fix="mend it"), 2),
        (OutsideError("no answer", fix="mend it"), 3),
        (Interrupted("stopped", fix="mend it"), 130),
    ],
)
def test_errors_are_two_lines_and_a_code(
    error: Exception, code: int, stub: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def body(_: click.Context) -> None:
        raise error

    stub(body)
    assert run("job", "list") == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: ")
    assert lines[1] == "  mend it"


def test_a_code_of_ones_own_and_ctrl_c(stub: Callable[..., None]) -> None:
    stub(lambda context: context.exit(1))
    assert run("job", "list") == 1

    def interrupted(_: click.Context) -> None:
        raise KeyboardInterrupt

    stub(interrupted)
    assert run("job", "list") == 130


def test_a_fault_of_ours_is_a_line_and_a_traceback_only_when_asked(
    stub: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def body(_: click.Context) -> None:
        raise ZeroDivisionError("by \x1b[31mzero")

    stub(body)
    assert run("job", "list") == 1
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert "Traceback" not in told
    assert "\x1b" not in told
    with pytest.raises(ZeroDivisionError):
        cli.main(["--verbose", "job", "list"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("jbo", "list"), "job"),
        (("job", "lst"), "list"),
        (("job", "list", "--outptu", "json"), "--output"),
        (("job", "list", "--output", "xml"), "json"),
        (("job", "submit"), "JOB.yml"),
    ],
)
def test_usage_errors_name_what_is_near(words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (("jbo",), ("No such command 'jbo'.", "Did you mean 'job'? See forestay --help")),
        (("score", "gen"), ("No such command 'gen'.", "Did you mean 'generate'? See forestay score --help")),
        (("submit", "job.yml"), ("No such command 'submit'.", "Did you mean 'job submit'? See forestay --help")),
        (
            ("score", "xyz"),
            (
                "No such command 'xyz'.",
                "Commands: generate, verify, serve, batch, diff, prune. See forestay score --help",
            ),
        ),
        (("job", "list", "--quite"), ("No such option '--quite'.", "Did you mean '--quiet'? See forestay job list")),
        (("job", "show"), ("Missing argument 'JOB'.", "See forestay job show --help")),
        (("job", "-q"), ("Missing command.", "See forestay job --help")),
        (("job", "\x1b[31m"), ("No such command '\\x1b[31m'.", "Commands: new, ")),
    ],
)
def test_a_usage_error_says_in_one_line_what_and_in_one_what_to_do(
    words: tuple[str, ...], lines: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    what, fix = capsys.readouterr().err.splitlines()
    assert what == f"error: {lines[0]}"
    assert fix.startswith(f"  {lines[1]}")


@pytest.mark.parametrize("words", [(), ("job",)])
def test_a_group_alone_shows_its_help_on_stderr(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Usage: forestay")


def test_hostile_names_neither_style_nor_steer_a_terminal(
    stub: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    from forestay.console import table

    name = "[red]x[/red]\x1b[2J\u202e"

    def body(context: click.Context) -> None:
        screen = cli.console(context)
        screen.warn(name)
        screen.emit({}, table([name], [[name]], title=name))

    stub(body)
    assert run("job", "list") == 0
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert "[red]x[/red]" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\\x1b[2J" in text
