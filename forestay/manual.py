"""Manual pages of the command tree: `forestay-job-submit.1`, made of what `--help` says.

The language is that of man(7). https://man7.org/linux/man-pages/man7/man.7.html
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence

import click

from forestay import __version__
from forestay.help import EXAMPLE

PROGRAM = "forestay"
SECTION = 1
STATUS = (
    ("0", "done"),
    ("1", "it ran and failed: a job, a proof, a smoke test, a policy"),
    ("2", "wrong input: the message names file, line, column or flag, and what to do"),
    ("3", "something outside of this machine can't be reached or refused us: login, network, quota"),
    ("130", "interrupted; state is kept"),
)
VARIABLES = (
    ("FORESTAY_HOME", "The folder of runs, environments and endpoints; by default .forestay beside Pulumi.yaml."),
    ("FORESTAY_PLAIN", "Set to 1: lines of text alone, nothing redrawn, no frames. So does TERM=dumb."),
    ("NO_COLOR, FORCE_COLOR", "No colour anywhere; colour also where the output is no terminal."),
    ("COLUMNS", "How wide the output is."),
    ("MLFLOW_TRACKING_URI", "Another run store than that of FORESTAY_HOME."),
    ("AZURE_*", "The login of a pipeline, as azure-identity reads it; people log in by az login."),
    ("HTTPS_PROXY, REQUESTS_CA_BUNDLE, SSL_CERT_FILE", "The way out through a proxy, and whom it is trusted by."),
    ("PULUMI_*", "The backend and the passphrase of a stack's state, as Pulumi reads them."),
)


def pages(root: click.Group) -> Iterator[tuple[str, str]]:
    """Every page: its file's name, and its text."""
    for words, command in _tree(root, ()):
        yield f"{'-'.join((PROGRAM, *words))}.{SECTION}", page(root, words, command)


def find(root: click.Group, words: Sequence[str]) -> click.Command | None:
    """The command of a path, `("job", "show")`; None where there is none."""
    found: click.Command = root
    for word in words:
        if not isinstance(found, click.Group):
            return None
        _, below, _ = found.resolve_command(click.Context(found, resilient_parsing=True), [word])
        if below is None:
            return None
        found = below
    return found


def _tree(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    for name in group.list_commands(click.Context(group)):
        command = find(group, [name])
        if isinstance(command, click.Group):
            yield from _tree(command, (*path, name))
        elif command is not None:
            yield (*path, name), command


def page(root: click.Group, words: Sequence[str], command: click.Command) -> str:
    """One page."""
    context = _context(root, words, command)
    text, _, example = inspect.cleandoc(command.help or "").partition(f"\n\n{EXAMPLE}")
    paragraphs = re.split(r"\n\s*\n", text)
    line = _joined(paragraphs[0]).partition(". ")[0].rstrip(".")
    name = "-".join((PROGRAM, *words))
    lines = [
        f'.TH {_escaped(name.upper())} {SECTION} "" "{PROGRAM} {__version__}" "Forestay"',
        ".SH NAME",
        f"{_escaped(name)} \\- {_escaped(line)}",
        ".SH SYNOPSIS",
        f".B {_escaped(context.command_path)}",
        _escaped(" ".join(command.collect_usage_pieces(context))),
    ]
    lines += [".SH DESCRIPTION", *_paragraphs(paragraphs)]
    if isinstance(command, click.Group):
        lines += [".SH COMMANDS", *_terms(_commands(command, context))]
    lines += [".SH OPTIONS", *_terms(_options(command, context))]
    if example:
        lines += [".SH EXAMPLE", ".nf", _escaped(_joined(example)), ".fi"]
    lines += [".SH EXIT STATUS", *_terms(STATUS)]
    if not words:
        lines += [".SH ENVIRONMENT", *_terms(VARIABLES)]
    beside = " ,\n".join(f".BR {_escaped(one)} ({SECTION})" for one in _beside(words, command, context))
    return "\n".join([*lines, ".SH SEE ALSO", beside]) + "\n"


def _context(root: click.Group, words: Sequence[str], command: click.Command) -> click.Context:
    """As if the command had been called by its path; nothing is parsed."""
    found = click.Context(root, info_name=PROGRAM, **root.context_settings)
    for place, word in enumerate(words):
        last = place == len(words) - 1
        found = click.Context(command if last else click.Group(word), info_name=word, parent=found)
    return found


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, str]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield name, command.get_short_help_str(limit=500)


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:  # an argument has a name alone, which the synopsis has, too
            yield record


def _beside(words: Sequence[str], command: click.Command, context: click.Context) -> list[str]:
    """The pages around this one: the group's, and those of its commands."""
    above = ["-".join((PROGRAM, *words[:-1]))] if words else []
    below = command.list_commands(context) if isinstance(command, click.Group) else []
    return [*above, *("-".join((PROGRAM, *words, name)) for name in below)]


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for place, text in enumerate(texts):
        if place:
            yield ".PP"
        yield _escaped(_joined(text))


def _terms(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in pairs:
        yield from (".TP", f".B {_escaped(term)}", _escaped(_joined(text)))


def _joined(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    """A text in which nothing is a request or an escape of roff's."""
    found = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{found}" if found[:1] in (".", "'") else found
