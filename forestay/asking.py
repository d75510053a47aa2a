"""Questions on a terminal: put again until the answer can be taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from forestay.console import Console
from forestay.errors import InputError

Answer = TypeVar("Answer")


def until(screen: Console, question: str, default: str, take: Callable[[str], Answer]) -> Answer:
    """What `take` makes of the first answer that it takes."""
    while True:
        try:
            text = screen.ask(question, default)
        except EOFError:
            raise click.Abort from None
        try:
            return take(text)
        except InputError as error:
            for line in error.lines():
                screen.err.print(line, style="yellow")


def require_yes(
    screen: Console, yes: bool, question: str, otherwise: str, fix: str = "say --yes to do it without being asked"
) -> None:
    """Go on where --yes was said or somebody on a terminal agrees. Raises InputError, which says `otherwise`, else."""
    if not (yes or screen.confirm(question)):
        raise InputError(otherwise, where="--yes", fix=fix)


def yes_or_no(text: str) -> bool:
    if text.lower() not in ("y", "yes", "n", "no"):
        raise InputError(f"{text!r} is neither yes nor no", fix="answer yes or no")
    return text.lower().startswith("y")
