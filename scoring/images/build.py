"""Build an image of a proven scoring folder, and push it.

An image's label names its content. Where the builder, or the registry in the tag, has an image of the same content,
that gets the tag, and nothing is built. `.forestay/images/` remembers what was built, by content, beside what is in it
(a CycloneDX document).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from forestay import project
from forestay.errors import InputError
from scoring import proofs
from scoring.images import builders, indexes, sbom
from scoring.images.builders import ImageBuilder
from scoring.images.context import CONTENT_LABEL, SLIM, context

Say = Callable[[str], None]


@dataclass(frozen=True)
class Image:
    """An image in a builder's store.

    Attributes
    ----------
    image: the name to use: the tag, or REPOSITORY@DIGEST once it is pushed.
    digest: the image's id, or what the registry knows it by once it is pushed.
    id: the image's id in the store; a name may be another image's by now.
    content: the SHA-256 of what it was built from.
    sbom: the file that says what is in it.
    """

    image: str
    digest: str
    id: str
    tag: str
    builder: str
    base: str
    content: str
    model: str
    version: str
    labels: dict[str, str]
    sbom: str
    pushed: bool = False

    @property
    def own_tag(self) -> str:
        return own_tag(self.tag, self.content)


def own_tag(tag: str, content: str) -> str:
    """The tag, beside `tag`, that no other content ever gets, under which a rollback still finds it."""
    return f"{tag.rpartition(':')[0]}:content-{content[:16]}"


def build(
    path: Path,
    tag: str,
    *,
    base: str = SLIM,
    builder: ImageBuilder,
    home: Path | None = None,
    say: Say = lambda _: None,
) -> tuple[Image, bool]:
    """The image of a proven scoring folder, and whether it had to be built.

    Parameters
    ----------
    base: one of context.BASES.
    say: told of each stage, and every line that the builder writes.

    Raises InputError when the folder is not proven as it is now, and what Builder.build() raises.
    """
    home = home or project.home()
    builders.check_tag(tag)
    proven, folder_hash = proofs.require(home, path)
    with context(proven, folder_hash, base, builder.platform, home, say) as given:
        digest = builder.find(CONTENT_LABEL, given.content)
        if digest is None and builder.fetch(own_tag(tag, given.content)):
            digest = builder.find(CONTENT_LABEL, given.content)
        built = digest is None
        if digest is None:
            say(f"building {tag} with {builder.name} for {builder.platform}")
            with tempfile.TemporaryDirectory() as scratch:
                secrets = indexes.secrets(os.environ, Path(scratch))
                digest = builder.build(given.folder, tag, given.labels, secrets, say)
        else:
            say("an image of this content is there already; nothing is built")
            builder.tag(digest, tag)
        if builder.pushes:
            builder.tag(digest, own_tag(tag, given.content))
        place = home / "images"
        parts = place / f"{given.content}.cdx.json"
        project.write_atomic(parts, sbom.document(proven, tag, digest))
        made = Image(
            image=_by_digest(tag, digest) if builder.pushes else tag, digest=digest, id=digest, tag=tag,
            builder=builder.name, base=base, content=given.content, model=proven.model, version=proven.version,
            labels=given.labels, sbom=str(parts), pushed=builder.pushes,
        )  # fmt: skip
        _keep(made, home)
    return made, built


def push(made: Image, *, home: Path | None = None, say: Say = lambda _: None) -> Image:
    """Push an image that build() made, under its tag and under one of its content's own, by which it is known then.

    Raises OutsideError when the registry can't be reached or refuses.
    """
    if made.pushed and made.builder not in builders.NAMES:
        say(f"{made.tag} was pushed when it was built")
        return made
    builder = builders.choose(made.builder)
    say(f"pushing {made.tag} with {builder.name}")
    builder.tag(made.id, made.own_tag)
    digest = builder.push(made.own_tag, say)
    builder.tag(made.id, made.tag)
    builder.push(made.tag, say)
    pushed = replace(made, image=_by_digest(made.tag, digest), digest=digest, pushed=True)
    _keep(pushed, home or project.home())
    return pushed


def _by_digest(tag: str, digest: str) -> str:
    return f"{tag.rpartition(':')[0]}@{digest}"


def find(tag: str, home: Path | None = None) -> Image:
    """What was last built with this tag. Raises InputError when nothing was."""
    builders.check_tag(tag)
    place = (home or project.home()) / "images"
    records = sorted(place.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in records:
        if path.name.endswith(".cdx.json"):
            continue
        known: dict[str, Any] = json.loads(path.read_bytes())
        if known.get("tag") == tag and "id" in known:
            return Image(**known)
    raise InputError(
        f"no image {tag} was built here", where="TAG", fix=f"build it: forestay image build DIR --tag {tag}"
    )


def _keep(made: Image, home: Path) -> None:
    project.write_json(home / "images" / f"{made.content}.json", asdict(made))
