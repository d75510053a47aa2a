"""What Azure refuses, and what can't be reached, as errors for the user: what, why, and what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from automl_jobs.azure import network
from automl_jobs.azure.place import Place
from forestay.errors import InputError, OutsideError, Unreachable
from infra.kept_names import workspace_kept

SUBMITS = "AzureML Data Scientist"
"""The role on the workspace of who submits jobs and registers models."""
WRITES_BLOBS = "Storage Blob Data Contributor"
"""The role on the storage account of who uploads data."""
MAKES_COMPUTE = "AzureML Compute Operator"
"""The role on the workspace of who makes and changes clusters, beside that of who submits."""
_SOFT = re.compile(r"soft[ -]?deleted", re.IGNORECASE)
_QUOTA = re.compile(r"quota", re.IGNORECASE)


class NotThere(InputError):
    """Azure has nothing of that name."""


class NotMade(OutsideError):
    """The environment's resource group or workspace is not there."""


class SoftDeleted(OutsideError):
    """The workspace was deleted, and Azure keeps it and its name for some days."""


class Conflict(InputError):
    """Something else of that name is there, or somebody else changes it at this moment."""


def of(response: Any, what: str, place: Place, method: str = "GET") -> InputError | OutsideError:
    """The error of an answer of 400 or more."""
    status, code, message = response.status_code, *_said(response)
    if _SOFT.search(f"{code} {message}"):
        return soft_deleted(place)
    if status == 401:
        return _login(code, message)
    if status == 403:
        return _forbidden(code, message, what, place)
    if status == 404:
        return _missing(code, message, what, place)
    if status in (409, 412):
        return Conflict(
            f"{what}: {message or 'it is there already, and other'}",
            fix="choose another name; what is there stays as it is",
        )
    if status in (408, 429) or status >= 500:
        why = "is busy" if status == 429 else f"answers {status}"
        fix = "nothing is lost; run this again in some minutes"
        return Unreachable(f"{what}: Azure {why} after several tries{_tail(message)}", fix=fix)
    if _QUOTA.search(f"{code} {message}"):
        return OutsideError(
            f"{what}: the quota is used up: {message}",
            fix="ask for more in the portal (Quotas), take another VM size, or fewer nodes",
        )
    return InputError(f"{what}: Azure refuses it: {message or code or status}", fix="correct what it names")


def _said(response: Any) -> tuple[str, str]:
    """Code and message of Azure's error document, the innermost where errors are nested."""
    try:
        document = json.loads(response.text())
    except ValueError:
        return "", ""
    error = document.get("error", document) if isinstance(document, dict) else {}
    return said(error) if isinstance(error, dict) else ("", str(error))


def said(error: Mapping[str, Any]) -> tuple[str, str]:
    """Code and one line of message of an error document."""
    inner: Any = error
    while isinstance(inner.get("innerError"), dict) and inner["innerError"].get("code"):
        inner = inner["innerError"]
    code = str(inner.get("code") or error.get("code") or error.get("error_code") or "")
    details = [part.get("message") for part in error.get("details") or () if isinstance(part, dict)]
    message = str(error.get("message") or next((text for text in details if text), ""))
    return code, " ".join(message.split())[:500]


def _login(code: str, message: str) -> OutsideError:
    if "tenant" in f"{code} {message}".lower():
        return OutsideError(
            "the login is of another tenant than the subscription",
            where="the login",
            fix="az login --tenant TENANT, or set AZURE_TENANT_ID to the subscription's",
        )
    return OutsideError(
        f"Azure does not take the login{_tail(message)}",
        where="the login",
        fix="az login again; where it persists, compare this machine's clock with the right time",
    )


def _forbidden(code: str, message: str, what: str, place: Place) -> OutsideError:
    if "firewall" in message.lower() or "private endpoint" in message.lower() or "network" in code.lower():
        return private_only(what, place)
    role, scope = SUBMITS, f"the workspace {place.workspace}"
    if "/computes/" in message and "/write" in message:
        role = f"{SUBMITS} and {MAKES_COMPUTE}"
    return OutsideError(
        f"{what}: this login may not do it{_tail(message)}",
        where=place.workspace,
        fix=f"it needs the role {role} on {scope}; a grant takes some minutes to work",
    )


def _missing(code: str, message: str, what: str, place: Place) -> InputError | OutsideError:
    if code == "ResourceGroupNotFound":
        return NotMade(
            f"there is no resource group {place.group}",
            where=place.stack_file,
            fix=f"make the estate: forestay infra up --env {place.env}; or log in to the right subscription",
        )
    if code == "SubscriptionNotFound":
        return OutsideError(
            f"this login sees no subscription {place.subscription}",
            where=f"{place.stack_file}: azure-native:subscriptionId",
            fix="correct it, or az login with an account of that subscription",
        )
    whole = f"workspaces/{place.workspace}'" in message or what.startswith("the workspace")
    if whole or code == "WorkspaceNotFound":
        return NotMade(
            f"there is no workspace {place.workspace} in {place.group}",
            where=place.stack_file,
            fix=f"make it: forestay infra up --env {place.env}; one deleted in the last 14 days keeps its name: "
            f"forestay doctor --env {place.env} tells, with the command that frees it",
        )
    return NotThere(f"there is no such thing as {what} in {place.workspace}")


def soft_deleted(place: Place) -> SoftDeleted:
    """The workspace was deleted less than 14 days ago."""
    _, purge = workspace_kept(place.path)
    return SoftDeleted(
        f"the workspace {place.workspace} was deleted and can still be recovered",
        where=place.stack_file,
        fix=f"recover it in the portal (Azure Machine Learning, Recently deleted), or free its name for good: {purge}",
    )


def private_only(what: str, place: Place, host: str = "") -> OutsideError:
    """What answers inside a private network only was asked from outside.

    Parameters
    ----------
    host: what its name comes to here is told, so that it is seen which of the two it is, network or DNS.
    """
    found = network.addresses(host) if host and network.is_outside(host) is not None else ()
    seen = f": {host} is {found[0]} here" if found else ""
    return OutsideError(
        f"{what}: answers inside its private network only, and this machine is outside{seen}",
        where=place.stack_file,
        fix="run this from a machine in the network that asks its private DNS zones, such as the pipeline's runner in "
        "the subnet `runners`",
    )


def require_inside(what: str, place: Place, host: str) -> None:
    """Raise OutsideError, before anything is sent, where `host` is private and has a public address here."""
    if place.private and network.is_outside(host):
        raise private_only(what, place, host)


def failed(error: Mapping[str, Any], what: str) -> OutsideError:
    """A long-running operation that ended badly."""
    code, message = said(error)
    fix = "look at it in the studio, then run this again"
    if _QUOTA.search(f"{code} {message}"):
        fix = "ask for more quota in the portal, take another VM size, or fewer nodes"
    return OutsideError(f"{what}: Azure could not do it: {message or code or 'no reason given'}", fix=fix)


def unreachable(host: str, error: Exception, place: Place) -> OutsideError:
    """No answer at all."""
    text = " ".join(str(error).split())
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return OutsideError(
            f"the certificate of {host} is not trusted here",
            where=host,
            fix="behind a proxy that opens TLS, name its authority: REQUESTS_CA_BUNDLE and SSL_CERT_FILE",
        )
    if place.private and not host.startswith(("management.", "login.")) and network.is_outside(host) is not False:
        return private_only(host, place, host)
    return Unreachable(
        f"{host} can't be reached: {_why(text)}", where=host, fix="check the network and HTTPS_PROXY, then run it again"
    )


def _why(text: str) -> str:
    for mark, why in (
        ("getaddrinfo", "the name is not known"),
        ("Name or service not known", "the name is not known"),
        ("403", "the proxy refuses it"),
        ("timed out", "no answer in time"),
        ("refused", "nothing listens there"),
        ("reset", "the connection was cut"),
        ("RemoteDisconnected", "the connection was cut"),
        ("aborted", "the connection was cut"),
    ):
        if mark in text:
            return why
    return text[:200]


def _tail(message: str) -> str:
    return f": {message}" if message else ""
