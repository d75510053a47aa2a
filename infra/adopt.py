"""Taking over what is there already: resources that the program declares, that Azure has, and that the state lacks.

They are found by their ids: those that the program would give them, or ids that the user names. A resource that has
another name keeps it: the name is written under `forestay:names`, from which the program takes it. Pulumi reads each as
it is (`pulumi import`); what differs from the settings is changed by the next `up`, and shown by `preview` before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from forestay.documents.document import parse
from forestay.documents.names import shown, suggest
from forestay.errors import InputError
from infra import stackedit, stackfile
from infra.arm import Arm
from infra.bootstrap import FileEdit
from infra.components.roles import assignment_name
from infra.naming import RULES
from infra.operate import Held
from infra.plan.arm import AZURE
from infra.plan.model import Plan, PlannedResource
from infra.policies.roles import guid_of
from infra.stackfile import PROJECT, STACK_FILE, SUFFIX, Stack
from infra.values import RESOURCE_ID

PROVIDERS_API = "2021-04-01"
GRANT = f"{AZURE}authorization:RoleAssignment"
IDENTITY = f"{AZURE}managedidentity:UserAssignedIdentity"
_LAST = re.compile(r".*/providers/([^/]+)((?:/[^/]+/[^/]+)+)$", re.IGNORECASE)


@dataclass(frozen=True)
class Adoption:
    """What is taken over.

    Attributes
    ----------
    stack: with the names that the resources have. resources: those that are taken over, with their ids.
    absent: names of what Azure lacks, which the next `up` makes. files: what is written for the names.
    """

    stack: Stack
    resources: tuple[PlannedResource, ...]
    absent: tuple[str, ...]
    files: tuple[FileEdit, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "env": self.stack.name,
            "adopted": [{"name": one.name, "type": one.type, "id": one.id} for one in self.resources],
            "absent": list(self.absent),
            "files": [one.as_dict() for one in self.files],
        }


def with_names(root: Path, stack: Stack, plan: Plan, ids: Mapping[str, str]) -> tuple[Stack, tuple[FileEdit, ...]]:
    """The stack with the names of resources that the user named by id, and the edits that write them.

    Raises InputError for an id that no setting can lead to.
    """
    given = {key: name for name, id_ in ids.items() for key, name in _renamed(stack, _planned(plan, name), id_)}
    if not given:
        return stack, ()
    edits = []
    for file in (stack.name, f"{stack.name.removesuffix(SUFFIX)}{SUFFIX}"):
        path = stackfile.stack_path(root, file)
        if not path.is_file():
            continue
        before = after = stackedit.read(path)
        for kind, name in given.items():
            after = stackedit.put(after, ("config", f"{PROJECT}:names", kind), name)
        words = ", ".join(f"{kind}: {name}" for kind, name in given.items())
        edits.append(FileEdit(path, f"{PROJECT}:names", words, before, after))
    return stackfile.check(parse(edits[0].after, str(stack.path), STACK_FILE), stack.name, stack.path), tuple(edits)


def find(
    stack: Stack,
    plan: Plan,
    held: Iterable[Held],
    arm: Arm,
    ids: Mapping[str, str],
    files: tuple[FileEdit, ...] = (),
) -> Adoption:
    """What can be taken over.

    Parameters
    ----------
    plan: of the stack with the names that the resources have. held: what the state has. ids: by the program's name;
        where some are given only these are taken over, otherwise all that are there.

    Raises InputError where a named resource is not there or is held already, and what Azure refuses.
    """
    known = {one.urn for one in held}
    asker = _Asker(arm, stack)
    for name, id_ in ids.items():
        one = _planned(plan, name)
        if one.urn in known:
            raise InputError(f"{name} is in the state already", where=f"--id {name}", fix="leave it out")
        if one.id.lower() != id_.lower():
            raise InputError(
                f"{name} would be {one.id}, not {id_}",
                where=f"--id {name}",
                fix=f"where {_place(id_)} lies can't be set",
            )
    found, absent = [], []
    for one in _with_principals(plan, asker):
        if not _adoptable(one) or one.urn in known or (ids and one.name not in ids):
            continue
        if asker.get(one.id) is not None:
            found.append(one)
        elif ids:
            raise InputError(
                f"Azure has no {one.id}", where=f"--id {one.name}", fix="check the id, and who is logged in"
            )
        else:
            absent.append(one.name)
    return Adoption(stack, tuple(found), tuple(absent), files)


def import_file(adoption: Adoption, plan: Plan, held: Iterable[Held]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What `pulumi import` is given: the resources, their components before them; and names of components that the
    state has already."""
    by_urn = {one.urn: one for one in plan.resources}
    known = {one.urn for one in held}
    table = {f"held{place}": urn for place, urn in enumerate(sorted(known))}
    names = {urn: name for name, urn in table.items()}
    entries: list[dict[str, Any]] = []
    plugin = version("pulumi-azure-native")

    def add(one: PlannedResource, more: Mapping[str, Any]) -> str:
        """Put a resource into the file, after the component that it belongs to; returns its name there."""
        if one.urn not in names:
            above = {"parent": add(by_urn[one.parent], {"component": True})} if one.parent else {}
            names[one.urn] = f"new{len(entries)}"
            entries.append({"type": one.type, "name": names[one.urn], "logicalName": one.name, **above, **more})
        return names[one.urn]

    for one in adoption.resources:
        add(one, {"id": one.id, "version": plugin})
    used = {entry.get("parent") for entry in entries}
    return entries, {name: urn for name, urn in table.items() if name in used}


def parse_ids(given: Iterable[str]) -> dict[str, str]:
    """`NAME=ID` of the command line. Raises InputError."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, id_ = text.partition("=")
        if not equals or not RESOURCE_ID.fullmatch(id_):
            raise InputError(
                f"is not NAME=ID: {shown(text)}",
                where="--id",
                fix="write --id storage=/subscriptions/.../resourceGroups/.../providers/Microsoft.Storage/"
                "storageAccounts/NAME, with a name of `forestay infra plan`",
            )
        found[name] = id_
    return found


def _adoptable(one: PlannedResource) -> bool:
    own = not one.component and not one.external and not one.provider
    return own and one.type.startswith(AZURE)


def _planned(plan: Plan, name: str) -> PlannedResource:
    fitting = [one for one in plan.resources if one.name == name and not one.component]
    for one in fitting:
        if one.type == GRANT:
            fix = "leave it out: import without --id finds it; where it has another GUID, remove it and let up make it"
            raise InputError(f"{name} is a grant, whose GUID can't be chosen", where=f"--id {name}", fix=fix)
        if _adoptable(one):
            return one
    if fitting:
        raise InputError(f"{name} is not ours", where=f"--id {name}", fix="leave it out")
    names = [one.name for one in plan.resources if _adoptable(one) and one.type != GRANT]
    raise InputError(f"no resource {shown(name)!r} in the plan", where=f"--id {name}", fix=suggest(name, names))


def _renamed(stack: Stack, one: PlannedResource, id_: str) -> Iterable[tuple[str, str]]:
    """The kind of name and the name that lead to an id. Raises InputError."""
    where = f"--id {one.name}"
    if _kinds(id_) != _kinds(one.id):
        raise InputError(
            f"is the id of another type than {one.name}'s, {one.type.removeprefix(AZURE)}",
            where=where,
            fix="check the id",
        )
    if id_.lower() == one.id.lower():
        return
    own, planned = id_.rpartition("/"), one.id.rpartition("/")
    if own[0].lower() != planned[0].lower():
        raise InputError(
            f"{one.name} lies in {_place(id_)}, and everything of {stack.name} lies in {_place(one.id)}",
            where=where,
            fix="move it there (`az resource move`), write its group under forestay:existing: {resourceGroup: ...}, or"
            " keep it as someone else's under forestay:existing",
        )
    kind = next((kind for kind in RULES if stack.names.of(kind) == planned[2]), None)
    if kind is None:
        raise InputError(f"the name of {one.name} can't be chosen, it is {planned[2]}", where=where, fix="leave it out")
    yield kind, own[2]


def _kinds(id_: str) -> tuple[str, ...]:
    match = _LAST.match(id_)
    return (match[1].lower(), *match[2].lower().split("/")[1::2]) if match else tuple(id_.lower().split("/")[1::2])


def _place(id_: str) -> str:
    """The subscription and group of an id, shortened to what a person looks for."""
    match = RESOURCE_ID.fullmatch(id_)
    return f"group {match['group']} of subscription {match['subscription']}" if match else id_.rpartition("/")[0]


def _with_principals(plan: Plan, asker: _Asker) -> tuple[PlannedResource, ...]:
    """The planned resources, grants with the ids that the identities of Azure give them.

    A plan makes principals up; a grant's GUID comes from the principal, and its id from that.
    """
    real: dict[str, str] = {}
    by_name = {one.name: one for one in plan.resources if one.type == IDENTITY}
    for made_up, name in plan.principals.items():
        identity = by_name.get(name)
        there = asker.get(identity.id) if identity else None
        principal = (there or {}).get("properties", {}).get("principalId")
        if principal:
            real[made_up] = str(principal)

    def told(one: PlannedResource) -> PlannedResource:
        if one.type != GRANT:
            return one
        scope, given = str(one.inputs["scope"]), str(one.inputs["principalId"])
        own = assignment_name(scope, real.get(given, given), guid_of(str(one.inputs["roleDefinitionId"])))
        return replace(one, id=f"{scope}/providers/Microsoft.Authorization/roleAssignments/{own}")

    return tuple(told(one) for one in plan.resources)


class _Asker:
    """Asks for resources, each with an API version that its provider knows; for each resource once.

    Parameters
    ----------
    stack: whose subscription lists the providers.
    """

    def __init__(self, arm: Arm, stack: Stack) -> None:
        self._arm, self._stack = arm, stack
        self._versions: dict[str, str] = {}
        self._found: dict[str, dict[str, Any] | None] = {}

    def get(self, id_: str) -> dict[str, Any] | None:
        """A resource as it is; None where there is none. Raises what Azure refuses."""
        if id_.lower() not in self._found:
            self._found[id_.lower()] = self._arm.get(id_, self._version(id_))
        return self._found[id_.lower()]

    def _version(self, id_: str) -> str:
        """The newest that is no preview, as the provider lists them. Raises InputError for an unknown type."""
        match = _LAST.match(id_)
        if match is None:
            return PROVIDERS_API  # a resource group
        kind = "/".join(match[2].split("/")[1::2]).lower()
        key = f"{match[1]}/{kind}".lower()
        if key not in self._versions:
            path = f"/subscriptions/{self._stack.settings.subscription_id}/providers/{match[1]}"
            for one in (self._arm.get(path, PROVIDERS_API) or {}).get("resourceTypes", ()):
                stable = sorted(one["apiVersions"], key=lambda found: ("preview" not in found, found))
                self._versions[f"{match[1]}/{one['resourceType']}".lower()] = stable[-1]
        if key not in self._versions:
            raise InputError(
                f"the subscription does not know {match[1]}/{kind}",
                where=self._stack.name,
                fix=f"register it: az provider register --namespace {match[1]}",
            )
        return self._versions[key]


def carry_out(adoption: Adoption, run: Callable[[], None], say: Callable[[str], None]) -> None:
    """Let Pulumi take the resources over, then write the names that they have."""
    run()
    for edit in adoption.files:
        stackedit.write(edit.path, edit.before, edit.after)
        say(f"written: {edit.path}: {edit.key}: {edit.value}")
