"""What a shell offers at TAB: commands and options as click has them, names of jobs, models, endpoints, environments.

Every TAB starts an interpreter, so names are read from the files themselves, without the rooms that own them: what they
import takes longer than a person waits. Only names that no shell would take for anything else are offered.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import click
from click.shell_completion import (
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    shell_complete,
    split_arg_string,
)

from forestay import LOCAL, project

PROGRAM, VARIABLE = "forestay", "_FORESTAY_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
MOST = 50
"""Newest first; nobody reads more."""
_PLAIN = re.compile(r"[\w.][\w.@:-]*", re.ASCII)
_BUSY_SECONDS = 0.2


@add_completion_class
class Bash(ShellComplete):
    """Bash from 3.2 on, which is the one of macOS; click's own wants 4.4, and gets no name with a colon in it right.

    Bash takes a colon for the end of a word, so what stands before it must not be in the answer again.
    """

    name = "bash"
    source_template = r"""
%(complete_func)s() {
    local IFS=$'\n' answer type value
    local line="${COMP_LINE:0:COMP_POINT}"
    local word="${line##*[[:space:]]}" cut=""
    word="${word##*=}"
    [[ $COMP_WORDBREAKS == *:* && $word == *:* ]] && cut="${word%%"${word##*:}"}"
    COMPREPLY=()
    for answer in $(COMP_LINE="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null); do
        type="${answer%%%%,*}"
        value="${answer#*,}"
        case $type in
            dir) compopt -o dirnames 2>/dev/null || COMPREPLY=($(compgen -d -- "$word")) ;;
            file) compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$word")) ;;
            plain) COMPREPLY+=("${value#"$cut"}") ;;
        esac
    done
}

complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null || complete -F %(complete_func)s %(prog_name)s
""".lstrip()

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE")
        if line is None:  # a script of click's own, from an earlier version
            words, position = split_arg_string(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
            return words[1:position], words[position] if position < len(words) else ""
        words = split_arg_string(line)
        incomplete = words.pop() if len(words) > 1 and not line[-1:].isspace() else ""
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{item.value}"


class _WholeWord(ShellComplete):
    """For shells to which `--env=d` is one word: what is offered in its place must be all of it."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        found = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if not (option.startswith("-") and equals):
            return found
        return [CompletionItem(f"{option}={one.value}", one.type, one.help) for one in found]


@add_completion_class
class Zsh(_WholeWord, ZshComplete):
    """Zsh, as click has it."""


@add_completion_class
class Fish(_WholeWord, FishComplete):
    """Fish, as click has it, but for descriptions, which end at their first comma there."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')


def script(shell: str, root: click.Command) -> str:
    """What a shell is to read once, so that it asks at each TAB."""
    made = get_completion_class(shell)
    assert made is not None, shell
    return made(root, {}, PROGRAM, VARIABLE).source()


def answer(root: click.Command, settings: object, instruction: str) -> int:
    """Answer a shell, which has asked by a variable. It shows what we write, so that a fault stays unseen."""
    with contextlib.suppress(Exception):
        return shell_complete(root, {"obj": settings}, PROGRAM, VARIABLE, instruction)
    return 1


class Name(click.types.StringParamType):
    """A text that a shell completes with names of one kind.

    Parameters
    ----------
    kind: a word of KINDS.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        env = str(ctx.params.get("env") or LOCAL)
        found = (name for name in KINDS[self.kind](env) if name.startswith(incomplete) and _PLAIN.fullmatch(name))
        return [CompletionItem(name) for _, name in zip(range(MOST), found, strict=False)]


def complete_names(parameters: Iterable[click.Parameter]) -> None:
    """Let texts that are names be completed, by what they are called all over the command tree."""
    for parameter in parameters:
        kind = _PARAMETERS.get((parameter.param_type_name, str(parameter.name)))
        if kind is not None and parameter.type is click.STRING:
            parameter.type = Name(kind)


def _environments(_: str) -> Iterator[str]:
    yield LOCAL
    yield from project.environments()


def _jobs(env: str) -> Iterator[str]:
    if env != LOCAL:
        return
    yield "latest"
    newest = (
        "SELECT job.value FROM tags job JOIN tags kind ON kind.run_uuid = job.run_uuid AND kind.key = 'forestay.kind'"
        " JOIN runs ON runs.run_uuid = job.run_uuid WHERE job.key = 'forestay.job' AND kind.value = 'job'"
        " AND runs.lifecycle_stage = 'active' ORDER BY runs.start_time DESC"
    )
    for (name,) in _asked(newest):
        yield str(name)


def _models(env: str) -> Iterator[str]:
    if env != LOCAL:
        return
    versions: dict[str, list[int]] = {}
    for name, version in _asked(
        "SELECT name, version FROM model_versions WHERE current_stage <> 'Deleted_Internal'"
        " ORDER BY creation_time DESC, version DESC"
    ):
        versions.setdefault(str(name), []).append(version)
    yield from versions
    for name, known in versions.items():
        yield from (f"{name}:{version}" for version in known)


def _model_names(env: str) -> Iterator[str]:
    return (name for name in _models(env) if ":" not in name)


def _endpoints(env: str) -> Iterator[str]:
    home = project.home()
    folder, mark = (home / "endpoints", "endpoint.json") if env == LOCAL else (home / "services" / env, "")
    yield from sorted(path.name for path in folder.glob("[!.]*") if (path / mark).exists())


def _asked(query: str) -> Iterator[tuple[Any, ...]]:
    """Rows of the run store's database; none where there is none, or somebody writes it for long."""
    import sqlite3

    given = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if given and not given.startswith("sqlite:///"):
        return  # a server, which may take its time
    file = Path(unquote(given.removeprefix("sqlite:///").partition("?")[0])) if given else project.home() / "runs.db"
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(
            sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        ) as opened,
    ):
        yield from opened.execute(f"{query} LIMIT {10 * MOST}").fetchall()


KINDS: dict[str, Callable[[str], Iterator[str]]] = {
    "environment": _environments,
    "job": _jobs,
    "model": _models,
    "model name": _model_names,
    "endpoint": _endpoints,
}
# By what an argument or option is called.
_PARAMETERS = {
    ("option", "env"): "environment",
    ("argument", "job"): "job",
    ("option", "job"): "job",
    ("argument", "one"): "job",  # of `job compare`
    ("argument", "other"): "job",
    ("argument", "model"): "model",
    ("option", "model"): "model",
    ("argument", "old"): "model",  # of `score diff`
    ("argument", "new"): "model",
    ("argument", "challenger"): "model",
    ("argument", "champion"): "model",
    ("option", "name"): "model name",  # under which `model register` registers
    ("argument", "name"): "endpoint",
    ("option", "endpoint"): "endpoint",
}
