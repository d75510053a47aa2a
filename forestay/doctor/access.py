"""The way into an environment: its stack file, the login, the subscription and its providers, the roles held."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from forestay.doctor.environment import Environment
from forestay.doctor.model import Finding, ok, problem, told, warning
from forestay.errors import InputError

if TYPE_CHECKING:
    from infra.settings import StackSettings

SUBSCRIPTION_API, PROVIDERS_API, ASSIGNMENTS_API = "2022-12-01", "2021-04-01", "2022-04-01"
# What contains what the others may do. Data is in none of them: https://learn.microsoft.com/azure/role-based-access-control
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
ACCESS_ADMINISTRATORS = ("18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "f58310d9-a9f6-439a-9e8d-f62e7b41a168")
"""User Access Administrator, and Role Based Access Control Administrator."""
DATA_ROLES = (
    "Storage Blob Data Contributor",
    "Storage File Data Privileged Contributor",
    "Azure Kubernetes Service RBAC Cluster Admin",
)
"""Of the roles that people need, those over data: no Owner has what they give."""


def stack(environment: Environment) -> Iterator[Finding]:
    """The stack file, and the one of the served models beside it."""
    from infra import stackfile

    environment.stack = stackfile.load(environment.root, environment.name)
    settings = environment.stack.settings
    yield ok("stack", f"{environment.stack.path}: {settings.stem} in {settings.location}, {settings.network.access}")
    services = f"{environment.name}{stackfile.SUFFIX}"
    if stackfile.stack_path(environment.root, services).is_file():
        try:
            found = stackfile.load(environment.root, services)
        except InputError as error:
            yield from told("stack", error)
        else:
            yield ok("stack", f"{found.path}: {len(found.settings.services)} served models")


def offline_login() -> Finding:
    """Where a login would come from; nothing is asked."""
    from forestay.login import az_profile, given_by_environment

    given = given_by_environment()
    if given:
        return ok("login", f"would be {given}; not tried without --env")
    if shutil.which("az") and az_profile().is_file():
        return ok("login", "would be that of az; not tried without --env")
    return ok("login", "none; only --env needs one (az login)")


def login(environment: Environment) -> Finding:
    """A token of whoever is logged in, and who that is."""
    from forestay.login import SCOPE
    from infra.arm import caller_of

    arm = environment.arm
    token = arm.login.get_token(SCOPE)
    environment.caller = caller = caller_of(token.token)
    kind = "a user" if caller.kind == "User" else "a service principal or managed identity"
    return ok("login", f"{arm.login.source}: {kind}, {caller.id}, of tenant {caller.tenant}")


def subscription(environment: Environment) -> Finding:
    """Whether the login sees the subscription, and whether it works."""
    found = environment.arm.get(environment.subscription, SUBSCRIPTION_API, "the subscription")
    name, state = found.get("displayName") or "", found.get("state") or ""
    fix = "have its owner look: portal, Subscriptions"
    if state in ("Disabled", "Deleted"):
        return problem("subscription", f"{name} is {state}: Azure changes nothing in it", fix, outside=True)
    if state != "Enabled":
        return warning("subscription", f"{name} is {state}", fix)
    return ok("subscription", f"{name} ({environment.stack.settings.subscription_id})")


def providers(environment: Environment) -> Iterator[Finding]:
    """Whether the subscription has been told of each service that the stack takes; Azure refuses the others."""
    if not environment.plans:
        return
    path = f"{environment.subscription}/providers"
    known = {
        str(one.get("namespace")).lower(): str(one.get("registrationState"))
        for one in environment.arm.pages(path, PROVIDERS_API, "the resource providers")
    }
    planned = {space for one in environment.resources if (space := _namespace(one.id))}
    wanted = sorted(planned | ({"Microsoft.ContainerInstance"} if environment.stack.settings.aci else set()))
    missing = [one for one in wanted if known.get(one.lower()) not in ("Registered", "Registering")]
    if missing:
        register = f"az provider register --subscription {environment.stack.settings.subscription_id} --namespace"
        one_by_one = f"for name in {' '.join(missing)}; do {register} $name; done"
        fix = one_by_one if len(missing) > 1 else f"{register} {missing[0]}"
        yield problem("providers", f"not registered: {', '.join(missing)}", fix, outside=True)
    else:
        yield ok("providers", f"{len(wanted)} are registered")


def _namespace(resource_id: str) -> str:
    """`Microsoft.Storage` of a resource's id; empty for a resource group, or an object of Kubernetes."""
    _, mark, own = resource_id.rpartition("/providers/")
    space = own.partition("/")[0] if mark else ""
    return "" if space.lower() == "microsoft.authorization" else space  # that one is everybody's


def roles(environment: Environment) -> Iterator[Finding]:
    """Whether whoever is logged in holds what submitting, deploying and changing the estate need."""
    if not environment.plans:
        return
    held = _held(environment)
    settings = environment.stack.settings
    answers = []
    for people, use in (("submitters", "submit jobs"), ("deployers", "deploy models")):
        missing = _missing(settings, people, held)
        if missing:
            fix = (
                f"add {environment.caller.id} to forestay:principals: {people}: in {environment.stack.path.name}, "
                f"then forestay infra up --env {environment.name} by an owner"
            )
            answers.append(warning("roles", f"to {use} it lacks {'; '.join(missing)}", fix))
        else:
            answers.append(ok("roles", f"may {use}"))
    answers.append(_may_change(environment, held))
    if not any(one.status == "ok" for one in answers):
        yield problem(
            "roles",
            f"{environment.caller.id} may neither submit jobs nor deploy models nor change the estate",
            answers[0].fix,
            outside=True,
        )
        return
    yield from answers


def _held(environment: Environment) -> list[tuple[str, str]]:
    """The roles of whoever is logged in, groups included: the definition's GUID and the scope, in lower case."""
    path = f"{environment.subscription}/providers/Microsoft.Authorization/roleAssignments"
    asked = {"$filter": f"assignedTo('{environment.caller.id}')"}
    found: list[tuple[str, str]] = []
    for one in environment.arm.pages(path, ASSIGNMENTS_API, "the roles", **asked):
        properties: dict[str, Any] = one.get("properties") or {}
        definition = str(properties.get("roleDefinitionId") or "").rpartition("/")[2].lower()
        found.append((definition, str(properties.get("scope") or "").lower().rstrip("/")))
    return found


def _covers(scope: str, resource_id: str) -> bool:
    """Whether a role on `scope` holds on a resource: the root and management groups cover all of a subscription."""
    own = resource_id.lower()
    return scope in ("", own) or own.startswith(f"{scope}/") or "/managementgroups/" in scope


def _holds(held: Sequence[tuple[str, str]], definitions: Sequence[str], resource_id: str) -> bool:
    return any(definition in definitions and _covers(scope, resource_id) for definition, scope in held)


def _missing(settings: StackSettings, people: str, held: Sequence[tuple[str, str]]) -> list[str]:
    """What of the roles that the program gives to `people` is not held: "ROLE on SCOPE"."""
    from infra.components.roles import DEFINITIONS, RULES

    # Grants on what lies in another subscription are not in the list that was asked for.
    own = f"/subscriptions/{settings.subscription_id}/".lower()
    scopes = {word: one for word, one in _scopes(settings).items() if one.lower().startswith(own)}
    found = []
    for rule in RULES:
        if rule.principal != people or not rule.when(settings) or rule.scope not in scopes:
            continue
        enough = [DEFINITIONS[rule.role]]
        if rule.role not in DATA_ROLES:
            enough += [OWNER, DEFINITIONS["Contributor"]]
        if not _holds(held, enough, scopes[rule.scope]):
            found.append(f"{rule.role} on {scopes[rule.scope].rpartition('/')[2]}")
    return found


def _scopes(settings: StackSettings) -> dict[str, str]:
    """The ARM id behind each word that the program's roles use as a scope."""
    from infra.addresses import Addresses, names_of
    from infra.components.identities import KINDS
    from infra.components.roles import scope_ids

    addresses = Addresses(settings)
    words = {
        "workspace": "workspace",
        "storage": "storageAccount",
        "registry": "containerRegistry",
        "vault": "keyVault",
        "cluster": "aks",
    }
    found = {word: addresses.of(kind).id for word, kind in words.items()}
    identities = f"{addresses.group.id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
    found |= {f"identity {who}": f"{identities}/{names_of(settings).of(kind)}" for who, kind in KINDS.items()}
    found |= {f"subnet {use}": addresses.subnet(use) for use in ("aci", "gateway")}
    return found | scope_ids(settings)


def _may_change(environment: Environment, held: Sequence[tuple[str, str]]) -> Finding:
    """Whether `infra up` may make resources and give roles: Owner, or Contributor with one that gives roles."""
    from infra.addresses import Addresses
    from infra.components.roles import DEFINITIONS

    group = Addresses(environment.stack.settings).group
    makes = _holds(held, [OWNER, DEFINITIONS["Contributor"]], group.id)
    gives = _holds(held, [OWNER, *ACCESS_ADMINISTRATORS], group.id)
    if makes and gives:
        return ok("roles", "may change the estate")
    lacks = [
        role
        for role, there in (("Contributor", makes), ("Role Based Access Control Administrator", gives))
        if not there
    ]
    # The first `up` makes the group itself, in the subscription.
    scope = group.id if environment.made else environment.subscription
    give = f"az role assignment create --assignee {environment.caller.id} --role '{lacks[0]}' --scope {scope}"
    return warning("roles", f"to change the estate (infra up) it lacks {' and '.join(lacks)}", f"by an owner: {give}")
