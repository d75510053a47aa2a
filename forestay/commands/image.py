"""`forestay image`: build images of proven scoring folders, and push them."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forestay import LOCAL
from forestay.cli import Command, console

if TYPE_CHECKING:
    from scoring.images.build import Image


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--tag", required=True, metavar="NAME:TAG", help="The image's name, as in myregistry.azurecr.io/churn:3.")
@click.option(
    "--base",
    type=click.Choice(["slim", "azureml"]),
    default="slim",
    show_default=True,
    help="What it stands on: Debian with Python alone, or Microsoft's image for inference.",
)
@click.option(
    "--builder",
    type=click.Choice(["docker", "podman", "buildah", "acr"]),
    help="What builds it; by default the first program that runs here, else, with --env, the registry in Azure (acr).",
)
@click.option("--env", default=LOCAL, metavar="ENV", help="The environment whose registry builds and keeps it: `dev`.")
@click.pass_context
def build(context: click.Context, folder: Path, tag: str, base: str, builder: str | None, env: str) -> None:
    """Build the image of a proven scoring folder: the lock that was proven, no compiler, a user without rights.

    With a registry in NAME, or with --env, it is for linux/amd64, as Azure's machines are; else for this machine.
    Nothing is built where the builder, or the registry in NAME, has an image of the same content; it gets the tag.
    What is in the image is written as CycloneDX. Callers must show a key: see FORESTAY_KEY_PRIMARY in the folder's
    README.md.

    Example: forestay image build scoring --tag churn:3
    """
    from scoring.images import build as room
    from scoring.images import builders, choice

    found = console(context)
    started = time.monotonic()
    builders.check_tag(tag)
    chosen = choice.choose(builder, env, found.note, platform=choice.platform_of(tag, env))
    made, built = room.build(folder, tag, base=base, builder=chosen, say=found.note)
    document = {**asdict(made), "built": built, "duration_seconds": round(time.monotonic() - started, 1)}
    found.emit(document, lambda: _lines(made))
    if not made.pushed:
        found.note(f"push it: forestay image push {tag}")


@click.command(cls=Command)
@click.argument("tag", metavar="NAME:TAG")
@click.pass_context
def push(context: click.Context, tag: str) -> None:
    """Push an image that was built here to the registry in its name.

    The builder's own login is shown (docker login), or in Azure, where it has none, yours (az login).

    It also gets a tag of its content's own, content-..., which later builds leave alone: what runs by digest stays.

    Example: forestay image push myregistry.azurecr.io/churn:3
    """
    from scoring.images import build as room

    found = console(context)
    pushed = room.push(room.find(tag), say=found.note)
    found.emit({**asdict(pushed), "own_tag": pushed.own_tag}, lambda: _lines(pushed))


def _lines(made: Image) -> list[str]:
    return [
        f"{made.image}: {made.model} {made.version}, on {made.base}, by {made.builder}",
        f"  digest   {made.digest}",
        f"  content  {made.content}",
        f"  parts    {made.sbom}",
    ]
