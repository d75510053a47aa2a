"""Names that Azure keeps after a deletion, or that somebody else has: they stop an `up` in its middle."""

from __future__ import annotations

from collections.abc import Iterator

from forestay.doctor.environment import Environment
from forestay.doctor.model import Finding, ok, problem, warning

GROUP_API, VAULT_API, STORAGE_API, REGISTRY_API = "2021-04-01", "2024-11-01", "2024-01-01", "2023-07-01"
# What must be unique in the world: the kind of its name, and where Azure is asked whether one is free.
UNIQUE = {
    "storageAccount": ("Microsoft.Storage", STORAGE_API, "storageAccounts"),
    "keyVault": ("Microsoft.KeyVault", VAULT_API, "vaults"),
    "containerRegistry": ("Microsoft.ContainerRegistry", REGISTRY_API, "registries"),
}


def kept(environment: Environment) -> Iterator[Finding]:
    """Deleted workspaces and vaults whose names are still taken; names of the estate that are others'."""
    from infra.addresses import Addresses

    addresses = Addresses(environment.stack.settings)
    there = _in_group(environment)
    found = list(_workspace(environment))
    deleted: set[str] = set()
    for name in _vaults(environment):
        told = _vault(environment, name)
        if told is not None:
            deleted.add(name)
            found.append(told)
    for kind in UNIQUE:
        one = addresses.of(kind)
        if addresses.existing(kind) is None and one.id.lower() not in there and one.name not in deleted:
            found += _others(environment, kind, one.name)
    if found:
        yield from found
    else:
        yield ok("names", "none is kept by something deleted, none is another's")


def _in_group(environment: Environment) -> set[str]:
    """The ids of what lies in the estate's group, in lower case; none where there is no group yet."""
    from automl_jobs.azure.refusals import NotMade
    from infra.addresses import Addresses

    group = Addresses(environment.stack.settings).group
    try:
        listed = environment.arm.pages(f"{group.id}/resources", GROUP_API, f"the resource group {group.name}")
        return {str(one["id"]).lower() for one in listed}
    except NotMade:
        return set()


def _workspace(environment: Environment) -> Iterator[Finding]:
    from automl_jobs.azure.refusals import NotMade, SoftDeleted
    from infra.kept_names import workspace_kept

    arm = environment.arm
    try:
        arm.workspace  # noqa: B018 - asks for it
    except NotMade:
        return
    except SoftDeleted:
        stays, purge = workspace_kept(arm.place.path)
        yield problem(
            "names",
            f"the workspace was deleted: {stays}, until it is purged here or recovered in the portal",
            purge,
            outside=True,
        )


def _vaults(environment: Environment) -> list[str]:
    """The vaults that the environment makes: the estate's, and the one of its state."""
    from infra.addresses import Addresses
    from infra.state_store import PART

    stack = environment.stack
    own = [] if stack.settings.existing.key_vault else [Addresses(stack.settings).of("keyVault").name]
    return [*own, stack.names.of("keyVault", PART)]


def _vault(environment: Environment, name: str) -> Finding | None:
    from infra.kept_names import vault_kept

    region = environment.stack.settings.location
    path = f"{environment.subscription}/providers/Microsoft.KeyVault/locations/{region}/deletedVaults/{name}"
    found = environment.arm.find(path, VAULT_API, f"the deleted vault {name}")
    if found is None:
        return None
    properties = found.get("properties") or {}
    stays, command = vault_kept(name, region, bool(properties.get("purgeProtectionEnabled")))
    until = str(properties.get("scheduledPurgeDate") or "")[:10]
    when = f" (until {until})" if until else ""
    return problem("names", f"the key vault was deleted: {stays}{when}", command, outside=True)


def _others(environment: Environment, kind: str, name: str) -> Iterator[Finding]:
    """A name that is not in our group, and not free either."""
    provider, version, type_ = UNIQUE[kind]
    answer = environment.arm.post(
        f"{environment.subscription}/providers/{provider}/checkNameAvailability",
        version,
        f"the name {name}",
        {"name": name, "type": f"{provider}/{type_}"},
    )
    if answer.get("nameAvailable") is False:
        yield warning(
            "names",
            f"{name} is taken in another group, subscription or company: {answer.get('message') or answer['reason']}",
            f"choose another: forestay:names: {{{kind}: NAME}} in {environment.stack.path.name}",
        )
