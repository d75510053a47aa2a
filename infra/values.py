"""The types of values in a stack file: each says in its message what to write.

Rules are those of Azure Resource Manager and of the resource providers' naming pages.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from forestay.documents.names import refuse, shown
from forestay.documents.values import AsList, AsMapping, Name, Text, taking, whole

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
EXAMPLE_GUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
REGION = re.compile(r"[a-z]{4,20}\d?[a-z]{0,4}")
VM_SIZE = re.compile(r"Standard_[A-Z]{1,3}\d{1,4}(-\d{1,3})?[a-z]{0,5}(_[A-Za-z0-9]+)*(_v\d)?")
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
RESOURCE_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"(/providers/(?P<namespace>[^/]+)(?P<path>(/[^/]+/[^/]+)+))?",
    re.IGNORECASE,
)


def matching(pattern: re.Pattern[str], what: str, example: str) -> Callable[[str], str]:
    """A check for a text of one form; the message gives the form and an example."""

    @taking(f"{what}, such as `{example}`")
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise refuse(f"must be {what}, not {shown(value)!r}", f"write it like {example}")
        return value

    return check


def between(least: int, most: int) -> Callable[[Any], int]:
    """A check for a whole number in a range, both ends included."""

    @taking(f"a whole number from {least:,} to {most:,}")
    def check(value: Any) -> int:
        number = whole(value)
        if not least <= number <= most:
            raise refuse(f"must be from {least} to {most}, not {number}", f"allowed: {least} to {most}")
        return number

    return check


def resource_of(arm_type: str, *others: str) -> Callable[[str], str]:
    """A check for the ARM id of one type of resource, such as Microsoft.Storage/storageAccounts, or of others."""
    namespace, *kinds = arm_type.split("/")
    path = "".join(f"/{kind}/NAME" for kind in kinds)
    provider = f"/providers/{namespace}{path}" if kinds else ""
    example = f"/subscriptions/{EXAMPLE_GUID}/resourceGroups/GROUP{provider}"

    @taking(f"the id of one of {' or '.join((arm_type, *others)) if kinds else 'your resource groups'}")
    def check(value: str) -> str:
        match = RESOURCE_ID.fullmatch(value)
        if not match or not GUID.fullmatch(match["subscription"]):
            raise refuse(f"must be a resource id, not {shown(value)!r}", f"write it like {example}")
        found = "/".join([match["namespace"] or "", *(match["path"] or "").split("/")[1::2]])
        allowed = [one if "/" in one else "" for one in (arm_type, *others)]  # a resource group has no provider
        if found.lower() not in [one.lower() for one in allowed]:
            told = " or ".join((arm_type, *others))
            raise refuse(f"is the id of another type of resource than {told}", f"write it like {example}")
        return value

    return check


@taking("an IPv4 range, such as `10.20.0.0/16`")
def network_range(value: str) -> str:
    """An IPv4 range in CIDR form, host bits zero."""
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError as error:
        raise refuse(f"is not an address range: {error}", "write it like 10.20.0.0/16") from None


@taking("an IPv4 address, such as `10.20.3.10`")
def one_address(value: str) -> str:
    """One IPv4 address."""
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise refuse(f"is not an address: {shown(value)}", "write it like 10.20.3.10") from None


@taking('the first of a month, such as `"2026-01-01"`')
def first_of_month(value: str) -> str:
    try:
        day = dt.date.fromisoformat(value)
    except ValueError:
        raise refuse(f"must be a date, not {shown(value)!r}", "write it like 2026-01-01, in quotes") from None
    if day.day != 1:
        raise refuse("must be the first of a month: Azure refuses other days", f"write {day.replace(day=1)}")
    return value


def dated(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


Guid = Annotated[Name, AfterValidator(matching(GUID, "a GUID", EXAMPLE_GUID))]
Region = Annotated[Name, AfterValidator(matching(REGION, "a region's short name", "westeurope"))]
VmSize = Annotated[Name, AfterValidator(matching(VM_SIZE, "a VM size", "Standard_DS3_v2"))]
Mail = Annotated[Name, AfterValidator(matching(MAIL, "a mail address", "ml-team@contoso.com"))]
Range = Annotated[Name, AfterValidator(network_range)]
Mails = Annotated[tuple[Mail, ...], AsList]
Ranges = Annotated[tuple[Range, ...], AsList]
Tags = Annotated[dict[str, Text], AsMapping]


def arm_id(arm_type: str, *others: str) -> AfterValidator:
    """The id of a resource of one type, or of others, as part of an annotation."""
    return AfterValidator(resource_of(arm_type, *others))


class Section(BaseModel):
    """A mapping of a stack file: unknown keys are refused, and it doesn't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)
