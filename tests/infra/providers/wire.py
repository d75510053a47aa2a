"""Values as they travel between the engine and a provider (pulumi/sdk/proto: "special signature")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def unpack(found: struct_pb2.Struct) -> dict[str, Any]:
    """A message as JSON; secrets and unknown values keep their marks."""
    return json_format.MessageToDict(found)


def pack(value: Mapping[str, Any]) -> struct_pb2.Struct:
    found = struct_pb2.Struct()
    json_format.ParseDict(dict(value), found)
    return found


def secret(value: Any) -> dict[str, Any]:
    return value if is_secret(value) else {SIGNATURE: SECRET, "value": value}


def is_secret(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get(SIGNATURE) == SECRET


def plain(value: Any) -> Any:
    """A value without marks of secrets, whole numbers as integers; nulls left out, as no body has them."""
    if is_secret(value):
        return plain(value.get("value"))
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == RESOURCE:
            return value["urn"]
        return {key: plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def unknown(value: Any) -> bool:
    """Whether a value is not known yet, or holds one that is not."""
    if isinstance(value, Mapping):
        return any(unknown(one) for one in value.values())
    if isinstance(value, list):
        return any(unknown(one) for one in value)
    return value == UNKNOWN


def without(value: Any, names: frozenset[str]) -> Any:
    """A value without the members of these names, wherever they are."""
    if isinstance(value, Mapping):
        return {key: without(one, names) for key, one in value.items() if key not in names}
    if isinstance(value, list):
        return [without(one, names) for one in value]
    return value


def differing(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The places in which two plain values differ, as the engine writes paths, with `add`, `delete` or `update`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            part = key if key.isidentifier() else f'["{key}"]'
            joint = "" if not path or part.startswith("[") else "."
            yield from _member(old, new, key, f"{path}{joint}{part}")
    elif isinstance(old, list) and isinstance(new, list):
        for place in range(max(len(old), len(new))):
            where = f"{path}[{place}]"
            if place >= len(old):
                yield where, "add"
            elif place >= len(new):
                yield where, "delete"
            else:
                yield from differing(old[place], new[place], where)
    elif old != new:
        yield path, "update"


def _member(old: Mapping[str, Any], new: Mapping[str, Any], key: str, path: str) -> Iterator[tuple[str, str]]:
    if key not in old:
        yield path, "add"
    elif key not in new:
        yield path, "delete"
    else:
        yield from differing(old[key], new[key], path)
