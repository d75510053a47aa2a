"""An image of a proven folder in a registry, by digest: built and pushed only where none of its content is there."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from forestay import LOCAL
from scoring import proofs
from scoring.folder import open_folder
from scoring.images import build, builders, choice
from scoring.images.context import CONTENT_LABEL, SLIM, context
from scoring.images.registry import ANYBODY, AZURES, Registry, place_of, refresh_token, stored_login

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
        with logged_in(host):
            made, _ = build.build(path, tag, builder=choice.choose(None, env, say), home=home, say=say)
            image = build.push(made, home=home, say=say).image
    else:
        say("the registry has an image of this content; nothing is built")
    Registry(host, name).keep(image.partition("@")[2])
    return image


@contextlib.contextmanager
def logged_in(host: str) -> Iterator[None]:
    """Let builders show a registry of Azure's the login to Azure, where `docker login` left none for it.

    It lies in a file of ours, which they are led to; no command line and no file of the user's has it.
    """
    if not AZURES.fullmatch(host) or any(stored_login(host)):
        yield
        return
    names = ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE")
    before = {name: os.environ.get(name) for name in names}
    with tempfile.TemporaryDirectory() as scratch:
        shown = base64.b64encode(f"{ANYBODY}:{refresh_token(host)}".encode()).decode()
        file = Path(scratch) / "config.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps({"auths": {host: {"auth": shown}}}), encoding="utf-8")
        os.environ.update({"DOCKER_CONFIG": scratch, "REGISTRY_AUTH_FILE": str(file)})
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
