"""What differs between two plans: of one environment before and after a change, or of two environments.

Between environments names, ids and principals always differ. There a value counts as the same when it differs in
nothing but the names of the same resources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forestay.errors import InputError

OPTIONS = ("protect", "aliases", "ignore_changes")
_ABSENT = object()
_Resources = Mapping[str, Mapping[str, Any]]
_Neutral = Callable[[Any], Any]


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes
    ----------
    kind: `added`, `removed` or `changed`. resource: its URN without the stack. path: the input that differs.
    old, new: None where there is none.
    """

    kind: str
    resource: str
    path: str = ""
    old: Any = None
    new: Any = None

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "resource": self.resource, "path": self.path, "old": self.old, "new": self.new}


def read(path: Path) -> dict[str, Any]:
    """A plan that `--save` wrote. Raises InputError."""
    fix = "make it with `forestay infra plan --env E --save FILE`"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the plan: {error.strerror}", where=str(path), fix=fix) from error
    except ValueError as error:
        raise InputError(f"this is no plan: {error}", where=str(path), fix=fix) from error
    resources = found.get("resources") if isinstance(found, dict) else None
    whole = isinstance(resources, list) and all(
        isinstance(one, dict) and isinstance(one.get("urn"), str) and isinstance(one.get("inputs"), dict)
        for one in resources
    )
    if not whole or not isinstance(found.get("env"), str):
        raise InputError("this is no plan: it has no env and resources", where=str(path), fix=fix)
    return found


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """The differences between two plans in JSON's form, by resource and input."""
    before, after = _by_place(old), _by_place(new)
    plain_old, plain_new = (_plain, _plain) if old["env"] == new["env"] else _neutral(old, new, before, after)
    found = [Change("added", place) for place in after.keys() - before.keys()]
    found += [Change("removed", place) for place in before.keys() - after.keys()]
    for place in before.keys() & after.keys():
        sides = {**_leaves(_seen(before[place])), **_leaves(_seen(after[place]))}
        one, other = _leaves(_seen(before[place])), _leaves(_seen(after[place]))
        for path in sides:
            was, now = one.get(path, _ABSENT), other.get(path, _ABSENT)
            if plain_old(was) != plain_new(now):
                found.append(Change("changed", place, path, _shown(was), _shown(now)))
    return tuple(sorted(found, key=lambda change: (change.resource, change.kind, change.path)))


def _by_place(plan: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(one["urn"]).split("::", 2)[-1]: one for one in plan["resources"] if not one.get("component")}


def _seen(one: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared: the inputs, and the options that change what Pulumi does."""
    return {**one["inputs"], **{f"({key})": one.get(key) for key in OPTIONS}}


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    return dict(_walk(value, path))


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, one in value.items():
            yield from _walk(one, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for place, one in enumerate(value):
            yield from _walk(one, f"{path}[{place}]")
    else:
        yield path, value


def _shown(value: Any) -> Any:
    return None if value is _ABSENT else value


def _plain(value: Any) -> Any:
    return value


def _neutral(
    old: Mapping[str, Any], new: Mapping[str, Any], before: _Resources, after: _Resources
) -> tuple[_Neutral, _Neutral]:
    """For each plan a function that puts the program's own names into a value in place of an environment's."""
    both = [(before[place], after[place]) for place in before.keys() & after.keys()]
    sides = []
    for plan, pairs in ((old, both), (new, [(other, one) for one, other in both])):
        words = {guid: f"<principal of {name}>" for guid, name in plan.get("principals", {}).items()}
        for one, other in pairs:
            words.update(_words(one, other))
        sides.append(_replacing(words))
    return sides[0], sides[1]


def _words(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, str]:
    """What is an environment's own in the id of a resource: the whole, its subscription, its name."""
    own, others = (str(side.get("id") or "").lower() for side in (one, other))
    if own == others or not own.startswith("/subscriptions/"):
        return {}
    words = {own: f"<id of {one['name']}>", own.split("/")[2]: "<subscription>"}
    name = own.rpartition("/")[2]
    if name != others.rpartition("/")[2]:
        words[name] = f"<{one['name']}>"
    return words


def _replacing(words: Mapping[str, str]) -> _Neutral:
    if not words:
        return _plain
    longest_first = sorted(words, key=len, reverse=True)
    pattern = re.compile("|".join(rf"(?<![\w-]){re.escape(word)}(?![\w-])" for word in longest_first), re.IGNORECASE)
    return lambda value: pattern.sub(lambda hit: words[hit[0].lower()], value) if isinstance(value, str) else value
