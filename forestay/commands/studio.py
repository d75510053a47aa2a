"""`forestay studio`: experiments, models and endpoints as pages in a browser."""

from __future__ import annotations

import sys

import click

from forestay.cli import Command, console


@click.command(cls=Command)
@click.option("--port", type=click.IntRange(1, 65535), help="On 127.0.0.1; by default the first free one from 8899.")
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@click.pass_context
def studio(context: click.Context, port: int | None, no_browser: bool) -> None:
    """Experiments, models and endpoints in a browser: what the commands show and do, with the commands beside it.

    It answers on this machine only, to whoever has the printed link. Ctrl-C ends it; a training that was started in it
    goes on.

    Example: forestay studio --port 8899 --no-browser
    """
    from studio.server import serve

    found = console(context)

    def ready(link: str) -> None:
        found.emit({"url": link}, f"the studio is at {link}", "Ctrl-C ends it; trainings go on")
        sys.stdout.flush()

    try:
        serve(ready, port=port, browser=not no_browser)
    except KeyboardInterrupt:
        found.note("stopped")
