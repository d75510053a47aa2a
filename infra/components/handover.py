"""Handing callers over from one container group to the next.

Azure calls a group made as soon as its containers start; the model is loaded some time later. So a front is moved only
when the new group answers, and the old group goes only when nobody is led to it any more. Both waits are the engine's,
through hooks of the front, so that `pulumi up` by hand does the same.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import pulumi
from pulumi.runtime import is_dry_run
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import monitor_supports_feature

from infra.components.aci import READINESS

READY_SECONDS = float(READINESS.seconds)
ASK_SECONDS, PAUSE_SECONDS = 5.0, 3.0
UNREACHABLE_SECONDS = 30.0  # a private address that gave no sign for so long can't be reached from here
READY, NOT_YET, NO_SIGN = "ready", "not yet", "no sign"
Inputs = Mapping[str, Any]


def moving(name: str, group: Callable[[Inputs], str], linger_seconds: float) -> pulumi.ResourceHookBinding | None:
    """What a front is bound to; None in a preview, and for an engine that knows no hooks.

    Parameters
    ----------
    name: the front's, which makes the hooks' names unique. group: where the front leads, as a URL, from its inputs.
    linger_seconds: how long callers may still come to the old group after the front was moved.
    """
    if is_dry_run() or not monitor_supports_feature(resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS):
        return None

    async def wait_for_new(args: pulumi.ResourceHookArgs) -> None:
        old, new = group(args.old_inputs or {}), group(args.new_inputs or {})
        if old != new:
            await _ready(name, new)

    async def wait_for_callers(args: pulumi.ResourceHookArgs) -> None:
        if group(args.old_inputs or {}) != group(args.new_inputs or {}):
            pulumi.log.info(f"{name}: moved; the old group stays for {linger_seconds:g} s more")
            await asyncio.sleep(linger_seconds)

    return pulumi.ResourceHookBinding(
        before_update=[pulumi.ResourceHook(f"{name}-ready", wait_for_new)],
        after_update=[pulumi.ResourceHook(f"{name}-moved", wait_for_callers)],
    )


async def _ready(name: str, url: str) -> None:
    """Wait until a group answers. Raises TimeoutError, which keeps the front where it is."""
    began, seen = time.monotonic(), False
    while True:
        found = await asyncio.to_thread(ask, url)
        waited = time.monotonic() - began
        if found == READY:
            return
        seen = seen or found == NOT_YET
        if not seen and inside(url) and waited > UNREACHABLE_SECONDS:
            pulumi.log.warn(f"{name}: {url} can't be reached from here, so it is moved without asking the new group")
            return
        if waited > READY_SECONDS:
            raise TimeoutError(
                f"the new group does not answer at {url} after {waited:.0f} s: {name} still leads to the old one."
                " Look at the new one's logs; put the old lines back and run up again to remove it"
            )
        await asyncio.sleep(PAUSE_SECONDS)


def ask(url: str) -> str:
    """Whether a group answers: READY, NOT_YET where something does, or NO_SIGN."""
    # What is inside of the network is not asked by way of a proxy.
    proxies = urllib.request.ProxyHandler({} if inside(url) else None)
    try:
        with urllib.request.build_opener(proxies).open(url, timeout=ASK_SECONDS) as answer:
            return READY if answer.status == 200 else NOT_YET
    except (urllib.error.HTTPError, ConnectionError):
        return NOT_YET
    except urllib.error.URLError as error:
        return NOT_YET if isinstance(error.reason, ConnectionError) else NO_SIGN
    except OSError:
        return NO_SIGN


def inside(url: str) -> bool:
    """Whether a URL's host is a private address."""
    try:
        return ipaddress.ip_address(urlsplit(url).hostname or "").is_private
    except ValueError:
        return False
