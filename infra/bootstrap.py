"""Where a team keeps an environment's state: a storage account and a vault's key, made before Pulumi can make anything.

`plan_for` says what is needed, from the settings alone; `carry_out` makes what is missing, and may be run again at any
time. Both lie in a resource group of their own, which no stack owns: destroying an estate leaves its state alone.

Pulumi finds the state by `backend: url:` of Pulumi.yaml, one for the whole project, and the key by `secretsprovider:`
of the stack file, one for each environment: whoever may read the state of prod still needs prod's key for its secrets.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forestay import project
from forestay.documents.document import parse
from forestay.documents.names import shown
from forestay.errors import InputError
from infra import stackedit
from infra.arm import Arm, Caller
from infra.policies.model import Facts
from infra.stackfile import STACK_FILE, SUFFIX, Stack, names_in, stack_path
from infra.state_store import CALLER, KEY, PART, Need, Right, group, rights, storage, vault_and_key

PASSPHRASE = "passphrase"  # noqa: S105 - the name of Pulumi's provider
FILE_STATE = ".forestay/state"
# Beside each file of a state Pulumi notes what no part of it needs (`.attrs`), and not in one go: killed there, it
# could not read the state again.
FILE_OPTIONS = "?metadata=skip"
BACKEND = ("backend", "url")
PROVIDER = ("secretsprovider",)
GRANT_API = "2022-04-01"


@dataclass(frozen=True)
class FileEdit:
    """A file and its text before and after."""

    path: Path
    key: str
    value: str
    before: str
    after: str

    def as_dict(self) -> dict[str, Any]:
        return {"file": str(self.path), "key": self.key, "value": self.value, "changed": self.before != self.after}


@dataclass(frozen=True)
class Bootstrap:
    """What an environment's state needs.

    Attributes
    ----------
    backend: where the state is kept. secrets_provider: what encrypts its secrets.
    needs, rights: in the order in which Azure takes them; none for a state on this machine.
    files: what is written once all of it is there. notes: what else is to be known.
    """

    env: str
    backend: str
    secrets_provider: str
    needs: tuple[Need, ...] = ()
    rights: tuple[Right, ...] = ()
    files: tuple[FileEdit, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        return {
            "env": self.env,
            "backend": self.backend,
            "secrets_provider": self.secrets_provider,
            "resources": [one.as_dict() for one in self.needs],
            "roles": [one.as_dict() for one in self.rights],
            "files": [one.as_dict() for one in self.files],
            "notes": list(self.notes),
        }


def plan_for(root: Path, stack: Stack, *, local: bool = False) -> Bootstrap:
    """What the state of an environment needs.

    Parameters
    ----------
    root: the folder with Pulumi.yaml. stack: the estate's. local: keep the state on this machine, with a passphrase.

    Raises InputError for a local state of anything but development, and where state or secrets already have a place
    that they would have to be moved from.
    """
    if stack.name.endswith(SUFFIX):
        raise InputError(
            "both stacks of an environment share its state",
            where=f"--env {stack.name}",
            fix=f"give the estate's: --env {stack.name.removesuffix(SUFFIX)}",
        )
    found = stackedit.get(stackedit.read(root / "Pulumi.yaml"), BACKEND)
    given = str(found) if found else None
    if local:
        return _local(root, stack, given)
    account, vault = stack.names.of("storageAccount", PART), stack.names.of("keyVault", PART)
    container = stack.names.of("stateContainer")
    own = f"azblob://{container}?storage_account={account}"
    provider = f"azurekeyvault://{vault}.vault.azure.net/keys/{KEY}"
    if given and given.startswith("file:"):
        raise InputError(
            f"Pulumi.yaml keeps the state of all stacks on this machine, in {given}",
            where=str(root / "Pulumi.yaml"),
            fix="move what is there (`pulumi stack export`, later `pulumi stack import`), remove `backend:`, run again",
        )
    keeps = given in (None, own)
    notes = () if keeps else (f"the state is kept in {given}, as Pulumi.yaml says; no storage account is made for it",)
    needs = [group(stack), *(storage(stack, account, container) if keeps else ()), *vault_and_key(stack, vault)]
    return Bootstrap(
        stack.name,
        given or own,
        provider,
        tuple(needs),
        tuple(rights(stack, account if keeps else None, container, vault)),
        _files(root, stack, own if keeps else None, provider),
        notes,
    )


def carry_out(found: Bootstrap, arm: Arm | None, say: Callable[[str], None]) -> dict[str, str]:
    """Make what is missing, then write the files.

    Parameters
    ----------
    arm: Azure; None for a state on this machine. say: takes one line of progress.

    Returns the state of each resource and grant: `made`, `changed` or `there`. Raises what Azure refuses; what was
    made before stays, and the files are written only when all of it is there.
    """
    states: dict[str, str] = {}
    if arm is not None:
        caller = arm.caller()
        for need in found.needs:
            states[need.id] = _make(arm, need, caller)
            say(f"{states[need.id]}: {need.what} {need.id.rpartition('/')[2]}")
        for right in found.rights:
            states[f"{right.principal}: {right.role[1]}"] = state = _grant(arm, right, caller)
            say(f"{state}: {right.role[1]} for {right.principal}: {right.reason}")
    if found.backend.startswith("file:"):
        project.ensure_folder(Path(FILE_STATE))
    for edit in found.files:
        stackedit.write(edit.path, edit.before, edit.after)
        if edit.before != edit.after:
            say(f"written: {edit.path}: {edit.key}: {edit.value}")
    return states


def _local(root: Path, stack: Stack, given: str | None) -> Bootstrap:
    facts = Facts.of(stack.settings)
    if not facts.development:
        raise InputError(
            "a passphrase and a folder on one machine are for development: nobody else could run this stack",
            where=f"--env {stack.name} --local",
            fix="leave out --local: state in a storage account, secrets under a vault's key",
        )
    others = [name for name in names_in(root) if name.removesuffix(SUFFIX) != stack.name]
    backend = f"file://{FILE_STATE}{FILE_OPTIONS}"
    if given not in (None, backend, f"file://{FILE_STATE}"):
        raise InputError(
            f"Pulumi.yaml keeps the state in {shown(str(given))}",
            where=str(root / "Pulumi.yaml"),
            fix="leave out --local: this environment's state goes there, too",
        )
    notes = ["set PULUMI_CONFIG_PASSPHRASE_FILE to a file that holds the passphrase, and run pulumi in this folder"]
    if others:
        notes.append("the other environments need a place for the team: remove `backend:` before their bootstrap")
    for name in (stack.name, f"{stack.name}{SUFFIX}"):
        _refuse_other_provider(root, name, PASSPHRASE)
    # A passphrase is what Pulumi takes by itself, and keeps in the stack file as `encryptionsalt`.
    edit = _edit(root / "Pulumi.yaml", BACKEND, backend)
    return Bootstrap(stack.name, backend, PASSPHRASE, files=(edit,), notes=tuple(notes))


def _files(root: Path, stack: Stack, backend: str | None, provider: str) -> tuple[FileEdit, ...]:
    """The edits, found before anything is made: what stands in their way is told then."""
    found = []
    for name in (stack.name, f"{stack.name}{SUFFIX}"):
        path = stack_path(root, name)
        if path.is_file():
            _refuse_other_provider(root, name, provider)
            found.append(_edit(path, PROVIDER, provider))
    if backend:
        found.append(_edit(root / "Pulumi.yaml", BACKEND, backend))
    return tuple(found)


def _edit(path: Path, key: tuple[str, ...], value: str) -> FileEdit:
    before = stackedit.read(path)
    after = before if stackedit.get(before, key) == value else stackedit.put(before, key, value)
    return FileEdit(path, ".".join(key), value, before, after)


def _refuse_other_provider(root: Path, name: str, provider: str) -> None:
    """Secrets that were encrypted by something else would be lost with it. Raises InputError."""
    path = stack_path(root, name)
    if not path.is_file():
        return
    document = parse(stackedit.read(path), str(path), STACK_FILE)
    given = document.data.get("secretsprovider") or (PASSPHRASE if document.data.get("encryptionsalt") else None)
    if given and given != provider:
        raise InputError(
            f"the secrets of {name} are encrypted by {shown(str(given))}",
            where=document.place(PROVIDER if "secretsprovider" in document.data else ("encryptionsalt",)),
            fix=f"let Pulumi encrypt them anew: pulumi stack change-secrets-provider {provider!r} --stack {name}",
        )


def _make(arm: Arm, need: Need, caller: Caller) -> str:
    body = _filled(need.body, caller.tenant)
    there = arm.get(need.id, need.api)
    if there is not None and ("/keys/" in need.id or _within(body, there)):
        return "there"  # a key's properties are fixed when it is made
    arm.put(need.id, need.api, body)
    return "made" if there is None else "changed"


def _grant(arm: Arm, right: Right, caller: Caller) -> str:
    mine = right.principal == CALLER
    principal = caller.id if mine else right.principal
    kind = caller.kind if mine else "".join(word.capitalize() for word in right.kind.split("_"))
    own = _assignment(right, principal)
    subscription = right.scope.split("/")[2]
    definition = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{right.role[0]}"
    properties = {
        "roleDefinitionId": definition,
        "principalId": principal,
        "principalType": kind,
        "description": right.reason,
    }
    if arm.get(own, GRANT_API) is not None:
        return "there"
    return "made" if arm.put(own, GRANT_API, {"properties": properties}, there_is="RoleAssignmentExists") else "there"


def _assignment(right: Right, principal: str) -> str:
    """The id of a grant: always the same for the same grant."""
    words = "|".join((right.scope.lower(), principal.lower(), right.role[0]))
    return f"{right.scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid5(uuid.NAMESPACE_URL, words)}"


def _filled(body: Mapping[str, Any], tenant: str) -> dict[str, Any]:
    """The body with the caller's directory in its place."""
    return {
        key: _filled(one, tenant) if isinstance(one, Mapping) else tenant if one == CALLER else one
        for key, one in body.items()
    }


def _within(wanted: Any, there: Any) -> bool:
    """Whether everything that is wanted is there; Azure answers with more, and with its own capitals."""
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(
            _within(one, there.get(key, {} if isinstance(one, Mapping) else None)) for key, one in wanted.items()
        )
    if isinstance(wanted, str) and isinstance(there, str):
        return wanted.lower() == there.lower()
    return bool(wanted == there)
