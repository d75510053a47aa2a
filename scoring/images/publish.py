"""An image of a proven folder in a registry, by digest: built and pushed only where none of its content is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from forestay import LOCAL
from forestay.errors import InputError
from scoring import proofs
from scoring.folder import ScoringFolder, open_folder
from scoring.images import build, builders, choice
from scoring.images.builders import AZURES_PLATFORM
from scoring.images.context import BASES, CONTENT_LABEL, SLIM, context
from scoring.images.registry import Registry, place_of

Say = Callable[[str], None]


def find(path: Path, repository: str, *, home: Path, say: Say = lambda _: None) -> str | None:
    """The image of a proven folder's content that a repository has, as REPOSITORY@DIGEST; None where it has none.

    Raises InputError when the folder is not proven, OutsideError when the registry can't be reached.
    """
    proven, folder_hash = proofs.require(home, path)
    with context(proven, folder_hash, SLIM, AZURES_PLATFORM, home, say) as given:
        content = given.content
    host, name = place_of(repository)
    tag = build.own_tag(f"{repository}:0", content).rpartition(":")[2]
    digest = Registry(host, name).labelled(tag, CONTENT_LABEL, content)
    return f"{repository}@{digest}" if digest else None


def publish(path: Path, repository: str, *, home: Path, env: str = LOCAL, say: Say = lambda _: None) -> str:
    """The image of a proven folder, REPOSITORY@DIGEST, in its registry, under a tag of its own that is never moved.

    Parameters
    ----------
    repository: as in contoso.azurecr.io/churn. env: whose registry builds where nothing here can.

    Raises InputError when the folder is not proven, and what build, push and the registry raise.
    """
    image = find(path, repository, home=home, say=say)
    if image is None:
        tag = builders.check_tag(f"{repository}:{open_folder(path).version}")
        made, _ = build.build(path, tag, builder=choice.choose(None, env, say), home=home, say=say)
        image = build.push(made, home=home, say=say).image
    else:
        say("the registry has an image of this content; nothing is built")
    keep(image)
    return image


def keep(image: str) -> None:
    """Give an image, REPOSITORY@DIGEST, its own tag that is never moved: no retention takes away what is deployed."""
    Registry(*place_of(image)).keep(image.partition("@")[2])


def require_of(image: str, proven: ScoringFolder, folder_hash: str, *, home: Path, say: Say = lambda _: None) -> None:
    """Raise InputError unless an image, REPOSITORY@DIGEST, was built for Azure of this proven folder, on any base."""
    registry, digest = Registry(*place_of(image)), image.partition("@")[2]
    if registry.digest(digest) is None:
        raise InputError(f"the registry has no {image}", where="--image", fix="push it: forestay image push TAG")
    content = registry.labels(digest).get(CONTENT_LABEL)
    for base in BASES:
        with context(proven, folder_hash, base, AZURES_PLATFORM, home, say) as given:
            if given.content == content:
                return
    raise InputError(
        f"{image} was not built of {proven.path}, which is what was proven",
        where="--image",
        fix=f"build and push that: forestay image build {proven.path} --tag {place_of(image)[0]}/NAME:TAG",
    )
