"""Trying again while Azure spreads new rights.

A role assignment answers at once, and holds everywhere only after some minutes (Azure: "up to 10 minutes"). What needs
it waits for the assignment, and where it is still refused with 403 it is tried again: by the engine, through an error
hook, so that `pulumi up` by hand does the same.
"""

from __future__ import annotations

import asyncio
import re

import pulumi
from pulumi.runtime import is_dry_run
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import monitor_supports_feature

WAIT_SECONDS = 20.0
TRIES = 30  # ten minutes
# What Azure says of rights that are not there yet. A refusal by a policy of the company is 403, too, and stays one.
_REFUSED = re.compile(
    r"AuthorizationFailed|AuthorizationPermissionMismatch|LinkedAuthorizationFailed|does not have (?:authorization|"
    r"permission)|Caller is not authorized|PrincipalNotFound|\b403\b|Forbidden",
    re.IGNORECASE,
)
_FINAL = re.compile(r"RequestDisallowedByPolicy|ScopeLocked|ReadOnlyDisabledSubscription|quota", re.IGNORECASE)


def retrying(name: str) -> pulumi.ResourceHookBinding | None:
    """What a resource is bound to so that 403 is tried again; None in a preview, where nothing is made, and for an
    engine that knows no such hooks.

    Parameters
    ----------
    name: the resource's, which makes the hook's name unique.
    """
    if is_dry_run() or not monitor_supports_feature(resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS):
        return None
    return pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(f"{name}-fresh-grants", _again)])


async def _again(failed: pulumi.ErrorHookArgs) -> bool:
    """Whether the engine shall try again; waits before it says so."""
    if not is_spreading(failed.errors):
        return False
    pulumi.log.info(f"{failed.name}: Azure still spreads its rights, trying again in {WAIT_SECONDS:g} s")
    await asyncio.sleep(WAIT_SECONDS)
    return True


def is_spreading(errors: list[str]) -> bool:
    """Whether the newest of the errors, which come first, may go away by itself, and was not waited for enough."""
    newest = errors[0] if errors else ""
    return len(errors) < TRIES and bool(_REFUSED.search(newest)) and not _FINAL.search(newest)
