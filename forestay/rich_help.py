"""Help pages on a terminal, drawn by rich-click; a module of its own so that it is imported only there."""

from __future__ import annotations

import inspect

import click
from rich_click import RichCommand, RichContext, RichGroup

from forestay.help import EXAMPLE


class _InOrder(RichGroup):
    """A group that lists its commands as they were given, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def drawn(command: click.Command, context: click.Context) -> str:
    """The help page of `command` with colours and frames.

    rich-click draws commands of its own classes, whose import would slow every start; so it is given a double.
    """
    # \b tells rich-click not to wrap a paragraph: the example is there to be copied.
    text = inspect.cleandoc(command.help or "").replace(f"\n\n{EXAMPLE}", f"\n\n\b\n{EXAMPLE}")
    double: RichCommand
    if isinstance(command, click.Group):
        listed: dict[str, click.Command] = {
            name: RichCommand(name=name, short_help=found.get_short_help_str(limit=200))
            for name in command.list_commands(context)
            if (found := command.get_command(context, name)) is not None
        }
        double = _InOrder(name=command.name, params=list(command.params), help=text, commands=listed)
    else:
        double = RichCommand(name=command.name, params=list(command.params), help=text)
    page = RichContext(
        double,
        info_name=context.command_path,
        help_option_names=context.help_option_names,
        max_content_width=context.max_content_width,
        terminal_width=context.terminal_width,
        rich_help_config={"text_paragraph_linebreaks": "\n\n"},
    )
    return double.get_help(page)
