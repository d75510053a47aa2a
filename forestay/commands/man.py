"""`forestay man`: manual pages."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from forestay.cli import Command, console, root
from forestay.errors import InputError


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.option("--to", "to", type=click.Path(path_type=Path), metavar="DIR", help="Write every page into this folder.")
@click.pass_context
def man(context: click.Context, words: tuple[str, ...], to: Path | None) -> None:
    """The manual page of a command, read by man on a terminal; elsewhere the page itself.

    With --to all pages are written, for `man forestay-job-submit`: into ~/.local/share/man/man1.

    Example: forestay man job submit
    """
    from forestay import manual, project

    if to is not None:
        if words:
            raise InputError("writes every page", where="--to", fix="leave out the command, or --to")
        written = []
        for name, text in manual.pages(root):
            project.write_atomic(to / name, text)
            written.append(str(to / name))
        console(context).emit({"files": written}, f"{len(written)} pages in {to}")
        return
    command = manual.find(root, words)
    if command is None:
        known = "forestay --help lists the commands"
        raise InputError(f"no command {' '.join(words)!r}", where="forestay man", fix=known)
    text = manual.page(root, words, command)
    reader = shutil.which("man")
    if console(context).json:
        console(context).emit({"command": " ".join(("forestay", *words)), "page": text})
    elif reader is not None and sys.stdout.isatty():
        with tempfile.NamedTemporaryFile("w", suffix=".1", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            subprocess.run([reader, "-l", file.name], check=False)
    else:
        sys.stdout.write(text)
