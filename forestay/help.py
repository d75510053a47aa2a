"""What click would print, as forestay prints it: help pages, and usage errors in two lines.

On a terminal help is drawn by rich-click; elsewhere, in a narrow window, and where plain lines are asked for, it is
click's plain text, which needs no drawing library.
"""

from __future__ import annotations

import inspect
import os
import shutil
import sys
from collections.abc import Iterable

import click

from forestay.console import plain

EXAMPLE = "Example: "
FRAMED = 60
"""Columns of a window in which frames and columns still leave room for the words."""
LEAST = 24
"""Columns of the narrowest window that is written for."""


class Narrow(click.HelpFormatter):
    """Leaves most of a narrow window to what options and commands do: long names have a line of their own."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(list(rows), min(col_max, self.width // 3), col_spacing)


class Page(click.Command):
    """A command with a help page; the page's example stays on one line, ready to be copied."""

    def get_help(self, ctx: click.Context) -> str:
        wanted, columns = sys.stdout.isatty() or os.environ.get("FORCE_COLOR"), shutil.get_terminal_size().columns
        if wanted and not plain() and columns >= FRAMED:
            from forestay.rich_help import drawn

            ctx.color = ctx.color or bool(os.environ.get("FORCE_COLOR")) or None  # else click takes it out in a pipe
            return drawn(self, ctx)
        if columns < FRAMED:
            ctx.terminal_width = max(columns - 1, LEAST)
            ctx.formatter_class = Narrow
        return super().get_help(ctx)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        text, mark, example = inspect.cleandoc(self.help or "").partition(f"\n\n{EXAMPLE}")
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)
            if mark:
                formatter.write_paragraph()
                formatter.write(f"{'':>{formatter.current_indent}}{EXAMPLE}{example}\n")


class NoSuchCommand(click.UsageError):
    """A word where a command's name should be.

    Parameters
    ----------
    name: the word.
    context: of the group that was asked.
    here: the group's commands.
    paths: the paths of all commands below the root, each as words with blanks between.
    """

    def __init__(self, name: str, context: click.Context, here: Iterable[str], paths: Iterable[str]) -> None:
        super().__init__(f"No such command {name!r}.", context)
        self.here = list(here)
        self.nearest = _nearest(name, self.here, list(paths))


def _nearest(name: str, here: list[str], paths: list[str]) -> list[str]:
    """The commands that `name` may stand for: of the group, else full paths of commands elsewhere."""
    from difflib import get_close_matches

    word = name.lower()
    near = [known for known in here if known.startswith(word)] or get_close_matches(word, here, n=2)
    return near or [path for path in paths if path.split()[-1] == word]


def usage_error(error: click.ClickException) -> tuple[str, str]:
    """A usage error in two lines: what is wrong, and what to do."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "forestay"
    what, near, see = " ".join(error.format_message().split()), [], f"See {path} --help"
    if isinstance(error, NoSuchCommand):
        near = error.nearest
        see = see if near else f"Commands: {', '.join(error.here)}. {see}"
    elif isinstance(error, click.NoSuchOption):
        what, near = error.message, list(error.possibilities or ())
    question = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return what, question + see
