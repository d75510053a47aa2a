"""Rules that need to see the whole stack: what is locked by another resource, what is protected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infra.policies.model import MANDATORY, Facts, StackRule, Subject, Violation
from infra.policies.rules import AZURE, CLUSTER, REGISTRY, STORAGE, VAULT, WORKSPACE

LOCKS = (f"{AZURE}authorization:ManagementLockByScope", f"{AZURE}authorization:ManagementLockAtResourceGroupLevel")
BY_SCOPE = LOCKS[0]
DATA_HOLDERS = (STORAGE, VAULT, REGISTRY)
KEPT = (*DATA_HOLDERS, WORKSPACE, CLUSTER)


def locked_data(stack: Sequence[Subject], facts: Facts) -> Iterable[Violation]:
    locks = [one for one in stack if one.type == BY_SCOPE]
    for holder in stack:
        if facts.production and holder.type in DATA_HOLDERS and not any(_covers(lock, holder) for lock in locks):
            yield Violation(holder.urn, "holds data and has no CanNotDelete lock")


def protected(stack: Sequence[Subject], facts: Facts) -> Iterable[Violation]:
    for one in stack:
        if facts.production and one.type in KEPT and not one.protect:
            yield Violation(one.urn, "is not protected: a changed setting may replace it")


def narrow_locks(stack: Sequence[Subject], _: Facts) -> Iterable[Violation]:
    groups = [one for one in stack if one.type == f"{AZURE}resources:ResourceGroup"]
    for lock in stack:
        if lock.type == LOCKS[1] or (lock.type == BY_SCOPE and any(_covers(lock, group) for group in groups)):
            yield Violation(lock.urn, "locks a whole resource group: endpoints could not be deleted, nothing replaced")
        if lock.type in LOCKS and lock.at("level") == "ReadOnly":
            yield Violation(lock.urn, "is ReadOnly, which breaks listing keys")


def _covers(lock: Subject, holder: Subject) -> bool:
    """Whether a lock's scope is this resource; where the id is not known yet, by what the scope comes from."""
    if holder.urn in lock.sources.get("scope", ()):
        return True
    return bool(holder.id) and str(lock.at("scope", "")).lower() == holder.id.lower()


STACK_RULES: tuple[StackRule, ...] = (
    StackRule(
        "locked-data",
        MANDATORY,
        "In production what holds data is locked against deletion.",
        "write forestay:lock: true",
        locked_data,
    ),
    StackRule(
        "protected",
        MANDATORY,
        "In production Pulumi refuses to delete or replace what lives long.",
        "write forestay:protect: true",
        protected,
    ),
    StackRule(
        "narrow-locks",
        MANDATORY,
        "Locks lie on single resources.",
        "lock what holds data, with CanNotDelete",
        narrow_locks,
    ),
)
