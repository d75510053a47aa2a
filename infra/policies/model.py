"""What a rule is given, and what it gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.settings import StackSettings

MANDATORY, ADVISORY = "mandatory", "advisory"
PRODUCTION = ("prod", "production", "prd", "live")
DEVELOPMENT = ("dev", "development", "sandbox")


@dataclass(frozen=True)
class Facts:
    """What rules know of the stack.

    Attributes
    ----------
    production, development: by a word of the environment's name: `prod`, `prod-eu`, `dev`.
    private: nothing answers to the internet. required_tags: what every resource must carry.
    """

    production: bool = False
    development: bool = False
    private: bool = False
    required_tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: StackSettings) -> Facts:
        words = re.split("[-_.]", settings.environment.lower())
        return cls(
            production=any(word in PRODUCTION for word in words),
            development=any(word in DEVELOPMENT for word in words),
            private=settings.network.private,
            required_tags=settings.required_tags,
        )


@dataclass(frozen=True)
class Subject:
    """A resource as a rule sees it; in a policy pack, inputs that are not known yet raise when they are read.

    Attributes
    ----------
    sources: input -> URNs of the resources that it comes from.
    id: in Azure; empty where it is not known.
    """

    type: str
    name: str
    inputs: Mapping[str, Any]
    urn: str = ""
    protect: bool = False
    id: str = ""
    sources: Mapping[str, Collection[str]] = field(default_factory=dict)

    def at(self, path: str, default: Any = None) -> Any:
        """A nested input, `sku.name`; `default` where there is none."""
        return at(self.inputs, path, default)


@dataclass(frozen=True)
class Violation:
    """What is wrong with one resource; no URN for the stack itself."""

    urn: str
    message: str


@dataclass(frozen=True)
class Rule:
    """A rule of single resources.

    Attributes
    ----------
    name: an id. level: mandatory or advisory. what: the rule in one line. fix: what to do, in one line.
    check: what is wrong with a resource, in words.
    """

    name: str
    level: str
    what: str
    fix: str
    check: Callable[[Subject, Facts], Iterable[str]]


@dataclass(frozen=True)
class StackRule:
    """A rule that sees all resources of a stack."""

    name: str
    level: str
    what: str
    fix: str
    check: Callable[[Sequence[Subject], Facts], Iterable[Violation]]


def at(value: Any, path: str, default: Any = None) -> Any:
    for key in path.split("."):
        if not isinstance(value, Mapping) or value.get(key) is None:
            return default
        value = value[key]
    return value
