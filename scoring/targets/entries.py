"""The entry of a served model in a services stack's file: what a deploy or a rollback writes there, key by key.

Only lines of keys that change are touched; a person's comments and settings stay.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from infra import stackedit
from infra.services import Served, Service
from scoring.generate import safe_name
from scoring.targets import DeployOptions

KEPT_EARLIER = 4
AUTH = {"keys": "keys", "none": "anonymous"}
KEYS_SINCE = "keysSince"


def deployment_of(served: Served | Service) -> str:
    """How a state of an endpoint is called: model, version, and the beginning of its image's digest."""
    return f"{safe_name(served.model)}-{served.version}-{served.image.rpartition(':')[2][:8]}"


def served_of(service: Service) -> Served:
    return Served(image=service.image, model=service.model, version=service.version)


def changes(
    old: Service | None, target: str, new: Served, options: DeployOptions, keys: Mapping[str, Any]
) -> dict[str, Any]:
    """What an entry must hold to serve `new`, by key; None for a key that goes. The other keys stay as they are.

    Parameters
    ----------
    old: the entry as it is, None for a new one. keys: encrypted ones to write; empty where they stay.
    """
    found: dict[str, Any] = {} if old else {"target": target}
    found |= {"image": new.image, "model": new.model, "version": new.version}
    if options.auth is not None or old is None:
        found["auth"] = AUTH[options.auth or "keys"]
    if keys:
        found |= {"keys": dict(keys), KEYS_SINCE: now()}
    elif found.get("auth") == AUTH["none"]:
        found |= {"keys": None, KEYS_SINCE: None}
    if options.cpu is not None:
        found["cpu"] = options.cpu
    if options.memory_gb is not None:
        found["memoryGb"] = options.memory_gb
    if options.public is not None:
        found["public"] = options.public
    if options.replicas is not None:
        found["replicas"] = {"min": options.replicas[0], "max": options.replicas[1]}
    if old is not None:
        before = [served_of(old), *old.earlier]
        earlier = [one for one in before if one.image != new.image][:KEPT_EARLIER]
        found["earlier"] = [_plain(one) for one in earlier] or None
    return found


def now() -> str:
    """What `keysSince` says of keys that are made now."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def as_candidate(new: Served, options: DeployOptions) -> dict[str, Any]:
    """What an entry must hold to try `new` beside what serves."""
    amounts = {"cpu": options.cpu, "memoryGb": options.memory_gb}
    return {"candidate": {**_plain(new), **{key: one for key, one in amounts.items() if one is not None}}}


def put(text: str, name: str, found: Mapping[str, Any]) -> str:
    """The text of a stack's file with keys of a service's entry set, or removed where they are None.

    Raises InputError when the file holds the entry in a form that can't be edited by lines.
    """
    path = stackedit.service_path(name)
    entry = stackedit.get(text, path)
    if entry is None:
        return stackedit.put(text, path, {key: value for key, value in found.items() if value is not None})
    for key, value in found.items():
        if entry.get(key) == value:
            continue
        text = stackedit.remove(text, (*path, key)) if value is None else stackedit.put(text, (*path, key), value)
    return text


def _plain(served: Served) -> dict[str, Any]:
    return served.model_dump(by_alias=True, exclude_none=True)
