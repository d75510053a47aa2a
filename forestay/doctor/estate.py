"""What an environment is made of: its plan, the quota for it, workspace and registry, and the network they are in."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from forestay.doctor.environment import Environment
from forestay.doctor.model import PROBLEM, WARNING, Finding, ok, problem, warning
from forestay.errors import InputError
from forestay.words import some

if TYPE_CHECKING:
    from infra.plan.model import Quota

REGISTRY_API = "2023-07-01"
ASK_MORE = "ask for more: portal, Quotas"


def plan(environment: Environment) -> Finding:
    """Whether the program takes the stack, and the policies its plan."""
    if find_spec("pulumi_azure_native") is None:
        return warning(
            "plan",
            "not looked at without the extra infra, and neither are providers, quota and roles",
            "pip install 'forestay[infra]'",
        )
    from infra import stackfile
    from infra.plan import build, prices
    from infra.program import declare

    amounts = prices.load()
    made = [build.plan(environment.stack, amounts, declare)]
    services = f"{environment.name}{stackfile.SUFFIX}"
    if stackfile.stack_path(environment.root, services).is_file():
        made.append(build.plan(stackfile.load(environment.root, services), amounts, declare))
    environment.plans = tuple(made)
    violated = [one for each in made for one in each.policy if one.level == "mandatory"]
    count = sum(not one.component for one in environment.resources)
    if violated:
        return warning(
            "plan",
            f"{count} resources; mandatory policies are violated: {', '.join(sorted({one.rule for one in violated}))}",
            f"forestay infra plan --env {environment.name} says where",
        )
    return ok("plan", f"{count} resources, no mandatory policy is violated")


def quota(environment: Environment) -> Iterator[Finding]:
    """Whether the region has room for what the stacks take at most, and for a first managed endpoint."""
    if not environment.plans:
        return
    from infra.plan.quota import LEARNING
    from infra.plan.sizes import size_of
    from scoring.targets.managed_machines import RESERVE, SIZE

    taken: dict[tuple[str, str], list[Quota]] = {}
    for each in environment.plans:
        for one in each.quota:
            taken.setdefault((one.provider, one.family), []).append(one)
    for (provider, family), parts in sorted(taken.items()):
        cores = None if any(one.cores is None for one in parts) else sum(one.cores or 0 for one in parts)
        names = sorted({urn.rpartition("::")[2] for one in parts for urn in one.resources})
        if cores is None:
            yield warning(
                "quota", f"{family}: how many cores its size has is not known", f"compare it by hand ({ASK_MORE})"
            )
        else:
            yield _room(environment, provider, family, cores, names)
    size = size_of(SIZE)
    cores = math.ceil(RESERVE) * (size.cores or 0)
    if (LEARNING, size.family) not in taken:
        first = _room(environment, LEARNING, size.family, cores, ["an instance of a managed endpoint"])
        # Nobody may want one.
        yield replace(first, status=WARNING, outside=False) if first.status == PROBLEM else first


def _room(environment: Environment, provider: str, family: str, cores: int, names: Sequence[str]) -> Finding:
    from automl_jobs.azure.cost import usage

    arm = environment.arm
    what = f"{family} of {provider} in {arm.place.region}"
    found = usage(arm, provider, family)
    if found is None:
        return warning("quota", f"{what}: Azure has no such quota here", "take a VM size that the region offers")
    used, limit = found
    told = f"{what}: {some(names, 3)} take up to {cores} cores, {limit} are granted, {used} in use"
    if cores > limit:
        return problem("quota", told, f"{ASK_MORE}; or take another VM size, or fewer nodes", outside=True)
    if cores > limit - used:
        return warning("quota", f"{told} (by this environment itself, it may be)", ASK_MORE)
    return ok("quota", told)


def workspace(environment: Environment) -> Iterator[Finding]:
    """Whether the workspace is there, and whether its own service answers from here."""
    from automl_jobs.azure.refusals import NotMade, SoftDeleted

    arm = environment.arm
    try:
        found = arm.workspace
    except NotMade as error:
        fix = f"forestay infra up --env {environment.name}"
        yield warning("workspace", f"{error}", fix)
        return
    except SoftDeleted:
        return  # told, with its command, by the look at names
    environment.made = True
    state = str((found.get("properties") or {}).get("provisioningState") or "")
    if state not in ("", "Succeeded"):
        fix = f"forestay infra refresh --env {environment.name}, then infra up"
        yield problem("workspace", f"{arm.place.workspace} is there, and its state is {state}", fix, outside=True)
        return
    with contextlib.suppress(InputError):  # that it has no such run is an answer, too
        arm.history("runs/none/children", "the run history")
    yield ok("workspace", f"{arm.place.workspace} answers at {arm.services.removeprefix('https://')}")


def registry(environment: Environment) -> Finding:
    """Whether the registry is there, and whether it answers from here."""
    from automl_jobs.azure import refusals
    from scoring.images.registry import Registry

    arm = environment.arm
    name = arm.place.registry.rpartition("/")[2]
    try:
        found = arm.find(arm.place.registry, REGISTRY_API, f"the registry {name}")
    except refusals.NotMade:
        found = None
    if found is None:
        return warning("registry", f"there is no registry {name} yet", f"forestay infra up --env {environment.name}")
    host = str((found.get("properties") or {}).get("loginServer") or f"{name}.azurecr.io")
    refusals.require_inside(f"the registry {name}", arm.place, host)
    # A repository that nobody has: only a registry that answers, to a login that holds, can say so.
    Registry(host, "forestay/doctor").digest("none")
    return ok("registry", f"{host} answers to this login")


def network(environment: Environment) -> Finding:
    """Whether this machine is inside the environment's network."""
    from automl_jobs.azure.network import addresses, is_outside
    from infra.addresses import Addresses

    place = environment.arm.place
    if not place.private:
        return ok("network", "public: everything answers from anywhere, to who may")
    storage = Addresses(environment.stack.settings).of("storageAccount").name
    # Names of this environment alone: the workspace's own service has the whole region's.
    hosts = (f"{storage}.blob.core.windows.net", f"{place.registry.rpartition('/')[2]}.azurecr.io")
    seen = {host: is_outside(host) for host in hosts}
    outside = [host for host, answer in seen.items() if answer]
    if outside:
        return warning(
            "network",
            f"private, and this machine is outside: {outside[0]} is {addresses(outside[0])[0]} here; nothing can be "
            "uploaded, pushed or invoked from here",
            "run it from a machine in the network that asks its private DNS zones, as the runner in the subnet "
            "`runners`",
        )
    if all(answer is None for answer in seen.values()):
        return warning(
            "network",
            "private, and whether this machine is inside can't be told: the names are not known here, or a proxy "
            "looks them up",
            "try it from a machine in the network",
        )
    return ok("network", "private, and this machine is inside")
