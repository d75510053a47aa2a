"""The entry of a served model in a services stack's file: what a deploy or a rollback writes there, key by key.

Only lines of keys that change are touched; a person's comments and settings stay.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from infra import stackedit
from infra.services import Earlier, Keys, Served, Service
from scoring.generate import safe_name
from scoring.targets import AKS, DeployOptions

KEPT_EARLIER = 4
AUTH = {"keys": "keys", "none": "anonymous"}
SAID = {written: said for said, written in AUTH.items()}
KEYS_SINCE = "keysSince"


def deployment_of(served: Served | Service) -> str:
    """How a state of an endpoint is called: model, version, and the beginning of its image's digest."""
    return f"{safe_name(served.model)}-{served.version}-{served.image.rpartition(':')[2][:8]}"


def served_of(service: Service | Served) -> Served:
    return Served(image=service.image, model=service.model, version=service.version)


def earlier_of(service: Service) -> Earlier:
    """A service as an entry keeps it when it serves something else."""
    told = {"image", "model", "version", "cpu", "memory_gb", "auth", "public"}
    if service.target == AKS:
        told.add("replicas")
    return Earlier.model_validate(service.model_dump(by_alias=True, include=told))


def options_back(old: Service, to: Earlier) -> DeployOptions:
    """What a deploy must be told so that `old` is again as it was with `to`; what is so already is left to its lines.

    Whether it is public stays where a front is: a front is written by hand, and takes groups of one kind.
    """
    copies = (to.replicas.min, to.replicas.max) if to.replicas else None
    return DeployOptions(
        auth=SAID[to.auth] if to.auth and to.auth != old.auth else None,
        cpu=to.cpu if to.cpu != old.cpu else None,
        memory_gb=to.memory_gb if to.memory_gb != old.memory_gb else None,
        public=to.public if to.public != old.public and old.front == "none" else None,
        replicas=copies if copies != (old.replicas.min, old.replicas.max) else None,
    )


def kept_keys(service: Service) -> dict[str, Any]:
    """The keys that callers of a service showed last, where it asks for none now; encrypted, empty without any."""
    keys = _last_keys(service)
    return keys.model_dump(by_alias=True) if keys else {}


def _last_keys(service: Service) -> Keys | None:
    return next((one.keys for one in service.earlier if one.keys), None)


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
            found["replicas"] |= old.replicas.model_dump(by_alias=True, include={"cpu_percent"}, exclude_defaults=True)
    if old is not None:
        before = [earlier_of(old), *old.earlier]
        earlier = [one for one in before if one.image != new.image][:KEPT_EARLIER]
        closed = keys or (old.keys and found.get("auth") != AUTH["none"])
        last = None if closed else old.keys or _last_keys(old)
        found["earlier"] = [_plain(one) for one in _with_keys(earlier, last)] or None
    return found


def _with_keys(earlier: Sequence[Earlier], keys: Keys | None) -> list[Earlier]:
    """Earlier states with `keys` in the newest that asks for some, and no others: a rotated one never opens again."""
    found = [one.model_copy(update={"keys": None}) for one in earlier]
    place = next((place for place, one in enumerate(found) if one.auth == "keys"), None)
    if place is not None:
        found[place] = found[place].model_copy(update={"keys": keys})
    return found


def now() -> str:
    """What `keysSince` says of keys that are made now."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def as_candidate(new: Served, options: DeployOptions) -> dict[str, Any]:
    """What an entry must hold to try `new` beside what serves."""
    amounts = {"cpu": options.cpu, "memoryGb": options.memory_gb}
    return {"candidate": {**_plain(served_of(new)), **{key: one for key, one in amounts.items() if one is not None}}}


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
