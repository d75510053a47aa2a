"""What Pulumi's engine, its state store and Azure refuse, said to a person: what is wrong and what to do.

Pulumi tells of failures in prose. The texts are those of its CLI 3.x and of Azure Resource Manager's error codes.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from forestay.errors import ForestayError, InputError, OutsideError, RunFailed

_COLOR = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
_LONGEST = 400


class Locked(OutsideError):
    """Another run holds the stack; `stale` when that was a process of this machine which is gone."""

    stale = False


@dataclass(frozen=True)
class Known:
    """A refusal that we can explain; `{env}` is the stack's name, and groups of the pattern fill both texts."""

    pattern: re.Pattern[str]
    kind: type[ForestayError]
    message: str
    fix: str


def _known(pattern: str, kind: type[ForestayError], message: str, fix: str) -> Known:
    return Known(re.compile(pattern, re.IGNORECASE | re.DOTALL), kind, message, fix)


KNOWN: tuple[Known, ...] = (
    _known(
        r"PULUMI_ACCESS_TOKEN must be set|not logged in|(run|try|please) .?pulumi login|no credentials",
        OutsideError,
        "not logged in to the place where the state is kept",
        "run `pulumi login azblob://CONTAINER?storage_account=NAME`, or set PULUMI_BACKEND_URL to it",
    ),
    _known(
        r"incorrect passphrase",
        InputError,
        "the passphrase is not that of this stack",
        "set PULUMI_CONFIG_PASSPHRASE_FILE to the file of the stack {env}",
    ),
    _known(
        r"passphrase must be set|PULUMI_CONFIG_PASSPHRASE",
        OutsideError,
        "the stack's secrets need their passphrase",
        "set PULUMI_CONFIG_PASSPHRASE_FILE to a file that holds it",
    ),
    _known(
        r"currently locked(?: by \d+ lock.*?created by (?P<lock>[^\n]+))?|Another update is currently in progress",
        OutsideError,
        "",  # said by _locked
        "",
    ),
    _known(
        r"no stack named",
        InputError,
        "the stack {env} was never made",
        "`forestay infra up --env {env}` makes it",
    ),
    _known(
        r"pending operation",
        RunFailed,
        "an earlier run was cut off, and what it was doing is not known",
        "run `forestay infra refresh --env {env}`",
    ),
    _known(
        r"(?P<what>QuotaExceeded|ClusterCoreQuotaReached|exceeding approved [^.\n]*quota"
        r"|OperationNotAllowed[^.\n]*quota|SubscriptionQuota\w*|ContainerGroupQuotaReached)",
        OutsideError,
        "Azure refused: the quota of the region is used up ({what})",
        "ask for more in the portal under Quotas (`forestay infra plan` says what the stack takes), or lower maxNodes",
    ),
    _known(
        r"is protected|cannot be deleted\b.*\bprotect",
        RunFailed,
        "a protected resource would be deleted or replaced",
        "to let it go write forestay:protect: false, run `forestay infra up --env {env}`, then do this again",
    ),
    _known(
        r"ScopeLocked",
        RunFailed,
        "a lock in Azure keeps a resource from being deleted",
        "write forestay:lock: false and run `forestay infra up --env {env}`; a lock of others is theirs to remove",
    ),
    _known(
        r"FlagMustBeSetForRestore|soft.?deleted|ConflictError.*vault|VaultAlreadyExists",
        RunFailed,
        "the name still belongs to a deleted resource, which Azure keeps for some days",
        "`forestay doctor --env {env}` names it with the command that frees or recovers it; or choose a name under"
        " forestay:names",
    ),
    _known(
        r"RoleAssignmentExists",
        RunFailed,
        "the same role was already given by somebody else",
        "remove that assignment, or adopt it with `pulumi import`",
    ),
    _known(
        r"AuthorizationFailed|does not have authorization|LinkedAuthorizationFailed",
        OutsideError,
        "Azure refused: whoever is logged in may not do this",
        "making roles and locks needs Owner, or Contributor with User Access Administrator, on the resource group",
    ),
    _known(
        r"az login|AADSTS\d+|DefaultAzureCredential|could not (?:create|build) authorizer|no valid azure credential",
        OutsideError,
        "not logged in to Azure",
        "run `az login` and `az account set`, or set ARM_CLIENT_ID, ARM_TENANT_ID and ARM_USE_OIDC in a pipeline",
    ),
    _known(
        r"(?:no|could not find|find) .{0,40}?(?P<what>(?:resource|language|analyzer) plugin|provider plugin)",
        OutsideError,
        "Pulumi lacks a plugin and could not fetch it",
        "run `pulumi install` where the network lets it, or put the plugin on PATH",
    ),
    _known(
        r"no such host|connection refused|i/o timeout|dial tcp|TLS handshake",
        OutsideError,
        "the network does not reach the state or Azure",
        "check proxy, DNS and PULUMI_BACKEND_URL; from outside of a private network nothing of it answers",
    ),
)


def explain(text: str, env: str, errors: Sequence[str] = ()) -> ForestayError:
    """The error of a run that failed.

    Parameters
    ----------
    text: what the CLI wrote. env: the stack. errors: the engine's diagnostics, `NAME: text`, nearest to the cause.
    """
    own = [shortened(error) for error in errors]
    for error in (*own, plain(text)):
        found = recognized(error, env, error.partition(": ")[0] if error in own else "")
        if found is not None:
            return found
    first = (
        own[0] if own else next((line for line in plain(text).splitlines() if "error:" in line), "it did not say why")
    )
    return RunFailed(
        f"Pulumi failed: {shortened(first)}",
        fix=f"what was made is in the state; mend the cause and run `forestay infra up --env {env}` again",
    )


def recognized(text: str, env: str, where: str = "") -> ForestayError | None:
    """The error of a refusal that can be explained; None for others. `where` is the resource's name."""
    for known in KNOWN:
        match = known.pattern.search(text)
        if match:
            words = {**{key: value or "" for key, value in match.groupdict().items()}, "env": env}
            if "lock" in words:
                return _locked(words["lock"], env)
            return known.kind(known.message.format(**words), where=where, fix=known.fix.format(**words))
    return None


def _locked(holder: str, env: str) -> Locked:
    """Who holds the lock; where that was this machine, whether the process is still there.

    The state's locks name their maker: `ada@laptop (pid 4711) at 2026-01-31T10:00:00Z` (pulumi/pkg/backend/diy).
    """
    holder = holder.strip()
    told = f": {holder}" if holder else ""
    match = re.search(r"@(?P<host>\S+) \(pid (?P<pid>\d+)\)", holder)
    cancel = f"`pulumi cancel --stack {env}` takes the lock away"
    if match and match["host"] == socket.gethostname() and not _runs(int(match["pid"])):
        gone = Locked(
            f"the stack is locked by a run that is gone{told}; its lock is stale",
            fix=f"{cancel}; then `forestay infra refresh --env {env}` says what that run had made",
        )
        gone.stale = True
        return gone
    return Locked(
        f"the stack is locked by another run{told}", fix=f"wait until it ends; when its process is gone, {cancel}"
    )


def _runs(process: int) -> bool:
    """Whether a process of this machine is still there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def plain(text: str) -> str:
    """A text of the engine without its colours."""
    return _COLOR.sub("", text)


def shortened(text: str) -> str:
    """A message in one line of bounded length, without the program's traceback."""
    line = " ".join(plain(text).partition("Traceback (most recent call last)")[0].split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
