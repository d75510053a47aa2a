"""Which model versions endpoints serve, or keep for a rollback: what is known here, nobody is asked."""

from __future__ import annotations

from pathlib import Path

from forestay import project
from forestay.errors import ForestayError
from scoring.folder import open_folder


def versions(home: Path) -> dict[tuple[str, str], list[str]]:
    """(model, version) to the endpoints that serve or keep it: those of this machine, and those of the stacks' files.

    Managed endpoints are not among them: only Azure knows what they serve.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for folder in sorted((home / "endpoints").glob("[!.]*/deployments/[!.]*")):
        try:
            opened = open_folder(folder)
        except ForestayError:
            continue  # no deployment any more: it can't be served either
        _note(found, opened.model, opened.version, folder.parent.parent.name)
    for env in project.environments():
        for name, model, version in _in_stack(env):
            _note(found, model, version, f"{name} of {env}")
    return found


def _note(found: dict[tuple[str, str], list[str]], model: str, version: str, endpoint: str) -> None:
    names = found.setdefault((model, version), [])
    if endpoint not in names:
        names.append(endpoint)


def _in_stack(env: str) -> list[tuple[str, str, str]]:
    """(endpoint, model, version) of what an environment's services file says; nothing where it can't be read."""
    from infra import settings, stackfile

    root, name = project.root(), f"{env}-{settings.SERVICES}"
    if not stackfile.stack_path(root, name).is_file():
        return []
    try:
        services = stackfile.load(root, name).settings.services
    except ForestayError:
        return []
    return [
        (name, served.model, served.version)
        for name, service in services.items()
        for served in (service, *service.earlier)
    ]
