"""Which endpoints serve a model version, or can return to it: what must not lose it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from forestay import LOCAL, project
from forestay.errors import ForestayError
from scoring.folder import RECORD


def endpoints(home: Path, model: str, version: str) -> list[str]:
    """Endpoints that files here know of, each as `churn-api (local)`: of this machine, and of the services stacks."""
    found = [f"{name} ({LOCAL})" for name in _here(home, model, version)]
    for env in project.environments():
        found += [f"{name} ({env})" for name in _services(env, model, version)]
    return found


def managed(env: str, home: Path, model: str, versions: Collection[str], say: Callable[[str], None]) -> list[str]:
    """The managed endpoints of an environment that have one of the versions. Raises ForestayError if it can't be asked.

    A deployment that gets no requests counts: a rollback returns to it.
    """
    from scoring.targets.managed import ManagedTarget

    target = ManagedTarget(env, home, say)

    def has(name: str) -> bool:
        return any(one.model == model and one.version in versions for one in target.online.deployments(name).values())

    return [f"{name} ({env})" for name in target.names() if has(name)]


def _here(home: Path, model: str, version: str) -> Iterator[str]:
    """Those on this machine, the deployments that they can return to among what they hold."""
    for endpoint in sorted((home / "endpoints").glob("[!.]*")):
        for record in endpoint.glob(f"deployments/*/{RECORD}"):
            with contextlib.suppress(OSError, ValueError):
                document = json.loads(record.read_bytes())
                if (document.get("model"), document.get("version")) == (model, version):
                    yield endpoint.name
                    break


def _services(env: str, model: str, version: str) -> Iterator[str]:
    from infra import settings, stackfile
    from infra.services import Served, Service

    name = f"{env}-{settings.SERVICES}"
    if not stackfile.stack_path(project.root(), name).is_file():
        return
    with contextlib.suppress(ForestayError):  # a file that is wrong serves nothing that it could tell of
        for service, one in stackfile.load(project.root(), name).settings.services.items():
            every: list[Service | Served] = [one, *([one.candidate] if one.candidate else []), *one.earlier]
            if any((part.model, part.version) == (model, version) for part in every):
                yield service
