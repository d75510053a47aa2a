"""`forestay completion`: let a shell complete what is typed."""

from __future__ import annotations

import sys

import click

from forestay.cli import Command, console, root
from forestay.completion import SHELLS, script


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """What a shell reads to complete commands, options, files, and names of jobs, models, endpoints and environments.

    bash: forestay completion bash > ~/.local/share/bash-completion/completions/forestay

    zsh: forestay completion zsh > ~/.zfunc/_forestay, with `fpath+=~/.zfunc` before compinit in ~/.zshrc

    fish: forestay completion fish > ~/.config/fish/completions/forestay.fish

    Example: forestay completion bash
    """
    text = script(shell, root)
    if console(context).json:
        console(context).emit({"shell": shell, "script": text})
        return
    sys.stdout.write(text)  # as it is, however wide the terminal
