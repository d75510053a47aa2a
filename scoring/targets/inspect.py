"""What is known of an environment's services without a change: where they are, what one would do, who watches."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from forestay import project
from forestay.errors import InputError
from infra.addresses import Addresses, names_of
from infra.services import Service, part_of, state_of
from infra.settings import SERVICES, StackSettings
from scoring.images.registry import place_of
from scoring.targets import ACI, watchers

if TYPE_CHECKING:
    from infra.plan.model import Plan


def root_of(env: str) -> Path:
    """The project's folder. Raises InputError where there is none, or `env` names the services stack itself."""
    if env.endswith(f"-{SERVICES}"):
        raise InputError(
            f"{env!r} is the stack of an environment's services", where="--env", fix=f"say {env.rpartition('-')[0]}"
        )
    return project.root()


def repository(settings: StackSettings, old: Service | None, model: str, given: str | None) -> str:
    """Where the images of a model go: what was said, where the endpoint's are, else the environment's registry."""
    word = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-") or "model"
    if given:
        return f"{given.rstrip('/')}/{word}"
    if old is not None:
        host, path = place_of(old.image)
        above = path.rpartition("/")[0]
        return "/".join(part for part in (host, above, word) if part)
    return f"{Addresses(settings).of('containerRegistry').name.lower()}.azurecr.io/{word}"


def file_changes(path: Path, before: str, after: str) -> list[str]:
    """The lines that an edit takes away and puts in."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    kept = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return [f"{path.name}: {line}" for line in kept]


def resource_changes(before: Plan, after: Plan) -> list[str]:
    """The resources that `up` would make, change and delete, by the plans of both."""
    from infra.plan import changes

    found: dict[tuple[str, str], list[str]] = {}
    for one in changes.compare(before.as_dict(), after.as_dict()):
        found.setdefault((one.kind, one.resource), []).append(one.path)
    words = {"added": "make", "removed": "delete", "changed": "change"}
    lines = []
    for (kind, urn), paths in found.items():
        told = f": {', '.join(dict.fromkeys(paths))}" if kind == "changed" else ""
        name, type_ = urn.rpartition("::")[2], urn.rpartition("::")[0].rpartition("$")[2].rpartition("::")[2]
        if not type_.startswith(("forestay:", "pulumi:")):
            lines.append(f"{words.get(kind, kind)} {type_.removeprefix('azure-native:')} {name}{told}")
    return lines


def outage(plan: Plan, name: str) -> str | None:
    """How long callers of a service get no answer while it changes; None where they don't notice."""
    found = next((one for one in plan.outages if one.resource.rpartition("::")[2] == name), None)
    return found.reason if found else None


def watcher(env: str, settings: StackSettings, name: str, service: Service) -> watchers.Watcher:
    """Who can be asked about the containers of a service. Raises OutsideError where Azure can't be reached."""
    from infra import arm

    azure = arm.connect(env)
    addresses = Addresses(settings)
    if service.target == ACI:
        from scoring.targets.container_group import ContainerGroup

        own = names_of(settings).of("containerGroup", part_of(name, service))
        path = f"{addresses.group.id}/providers/Microsoft.ContainerInstance/containerGroups/{own}"
        return ContainerGroup(azure, path, name)
    from scoring.targets import cluster

    return cluster.Pods(cluster.access(azure, addresses.of("aks").id), name, state_of(service), service.replicas.min)
