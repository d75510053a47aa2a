"""An image of a proven folder in a registry, by digest: built and pushed only where none of its content is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from forestay import LOCAL
from scoring import proofs
from scoring.folder import open_folder
from scoring.images import build, builders, choice
from scoring.images.context import CONTENT_LABEL, SLIM, context
from scoring.images.registry import Registry, place_of

Say = Callable[[str], None]


def find(path: Path, repository: str, *, home: Path, say: Say = lambda _: None) -> str | None:
    """The image of a proven folder's content that a repository has, as REPOSITORY@DIGEST; None where it has none.

    Raises InputError when the folder is not proven, OutsideError when the registry can't be reached.
    """
    proven, folder_hash = proofs.require(home, path)
    with context(proven, folder_hash, SLIM, home, say) as given:
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
    host, name = place_of(repository)
    image = find(path, repository, home=home, say=say)
    if image is None:
        tag = builders.check_tag(f"{repository}:{open_folder(path).version}")
        made, _ = build.build(path, tag, builder=choice.choose(None, env, say), home=home, say=say)
        image = build.push(made, home=home, say=say).image
    else:
        say("the registry has an image of this content; nothing is built")
    Registry(host, name).keep(image.partition("@")[2])
    return image
