"""What a subscription knows beside the workspace: its state, providers, quotas, roles, names that are kept or taken."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.azure.standin.service import CLIENT, Service, page, refused
from tests.azure.standin.service import ROUTES as OTHERS
from tests.azure.standin.wire import Request, Response

SUBSCRIPTION = "/subscriptions/11111111-1111-4111-8111-111111111111"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
SPACES = (
    "Microsoft.Authorization",
    "Microsoft.Compute",
    "Microsoft.Consumption",
    "Microsoft.ContainerInstance",
    "Microsoft.ContainerRegistry",
    "Microsoft.ContainerService",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.MachineLearningServices",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
)


@dataclass
class Subscription:
    """One subscription.

    Attributes
    ----------
    state: of the subscription. providers: state of registration by namespace. roles: (definition, scope) of the caller.
    deleted: whether it is protected against purging, by the name of a deleted vault. taken: names that are others'.
    quotas: used and granted by provider, then by family. there: ids of what lies in a resource group.
    """

    service: Service
    state: str = "Enabled"
    providers: dict[str, str] = field(default_factory=dict)
    roles: list[tuple[str, str]] = field(default_factory=list)
    deleted: dict[str, bool] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    quotas: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    there: list[str] = field(default_factory=list)

    def reset(self) -> None:
        self.state = "Enabled"
        self.providers = dict.fromkeys(SPACES, "Registered")
        self.roles = [(OWNER, SUBSCRIPTION)]
        self.quotas = {
            "Microsoft.Compute": {"standardDSv5Family": (0, 100)},
            "Microsoft.ContainerInstance": {"StandardCores": (0, 100)},
        }
        for kept in (self.deleted, self.taken, self.there):
            kept.clear()


def _of(service: Service) -> Subscription:
    found: Subscription = service.subscription
    return found


def _itself(service: Service, request: Request, _: re.Match[str]) -> Response:
    if request.path != SUBSCRIPTION:
        text = f"The subscription '{request.path.rpartition('/')[2]}' could not be found."
        return refused(404, "SubscriptionNotFound", text)
    return Response(200, {"id": SUBSCRIPTION, "displayName": "Contoso ML", "state": _of(service).state})


def _providers(service: Service, request: Request, _: re.Match[str]) -> Response:
    found = [
        {"id": f"{SUBSCRIPTION}/providers/{name}", "namespace": name, "registrationState": state}
        for name, state in _of(service).providers.items()
    ]
    return page(service, request, found)


def _roles(service: Service, request: Request, _: re.Match[str]) -> Response:
    if request.query.get("$filter") != f"assignedTo('{CLIENT}')":
        return service.refuse(400, "BadRequest", f"the filter {request.query.get('$filter')!r}")
    found = [
        {
            "properties": {
                "roleDefinitionId": f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{definition}",
                "principalId": CLIENT,
                "scope": scope,
            }
        }
        for definition, scope in _of(service).roles
    ]
    return Response(200, {"value": found})


def _deleted(service: Service, _: Request, match: re.Match[str]) -> Response:
    protected = _of(service).deleted.get(match["name"])
    if protected is None:
        return refused(404, "DeletedVaultNotFound", f"The specified deleted vault '{match['name']}' does not exist.")
    properties: dict[str, Any] = {"location": match["region"], "scheduledPurgeDate": "2026-12-24T10:00:00Z"}
    if protected:
        properties["purgeProtectionEnabled"] = True
    return Response(200, {"name": match["name"], "properties": properties})


def _quotas(service: Service, _: Request, match: re.Match[str]) -> Response:
    found = [
        {"name": {"value": name}, "currentValue": used, "limit": limit, "unit": "Count"}
        for name, (used, limit) in _of(service).quotas[match["space"]].items()
    ]
    return Response(200, {"value": found})


def _free(service: Service, request: Request, match: re.Match[str]) -> Response:
    """Whether a name is free; the types are spelled as each provider asks for."""
    body = request.json()
    types = {
        "Microsoft.Storage": "Microsoft.Storage/storageAccounts",
        "Microsoft.KeyVault": "Microsoft.KeyVault/vaults",
        "Microsoft.ContainerRegistry": "Microsoft.ContainerRegistry/registries",
    }
    if set(body) != {"name", "type"} or body["type"] != types[match["space"]]:
        return service.refuse(400, "BadRequest", f"checkNameAvailability: {body}")
    if body["name"] in _of(service).taken:
        return Response(200, {"nameAvailable": False, "reason": "AlreadyExists", "message": "The name is taken."})
    return Response(200, {"nameAvailable": True})


def _group(service: Service, request: Request, _: re.Match[str]) -> Response:
    return page(service, request, [{"id": one} for one in _of(service).there])


def _registry(service: Service, request: Request, match: re.Match[str]) -> Response:
    if request.path.lower() not in {one.lower() for one in _of(service).there}:
        return refused(404, "ResourceNotFound", f"The Resource '{match['name']}' was not found.")
    return Response(200, {"id": request.path, "properties": {"loginServer": f"{match['name']}.azurecr.io"}})


_S = r"/subscriptions/[^/]+"
_G = rf"{_S}/resourceGroups/[^/]+"
OTHERS.extend(
    [
        ("GET", _S, ("2022-12-01",), _itself),
        ("GET", rf"{_S}/providers", ("2021-04-01",), _providers),
        ("GET", rf"{_S}/providers/Microsoft\.Authorization/roleAssignments", ("2022-04-01",), _roles),
        (
            "GET",
            rf"{_S}/providers/Microsoft\.KeyVault/locations/(?P<region>[^/]+)/deletedVaults/(?P<name>[^/]+)",
            ("2024-11-01",),
            _deleted,
        ),
        ("GET", rf"{_S}/providers/(?P<space>Microsoft\.Compute)/locations/[^/]+/usages", ("2024-07-01",), _quotas),
        (
            "GET",
            rf"{_S}/providers/(?P<space>Microsoft\.ContainerInstance)/locations/[^/]+/usages",
            ("2023-05-01",),
            _quotas,
        ),
        ("POST", rf"{_S}/providers/(?P<space>Microsoft\.Storage)/checkNameAvailability", ("2024-01-01",), _free),
        ("POST", rf"{_S}/providers/(?P<space>Microsoft\.KeyVault)/checkNameAvailability", ("2024-11-01",), _free),
        (
            "POST",
            rf"{_S}/providers/(?P<space>Microsoft\.ContainerRegistry)/checkNameAvailability",
            ("2023-07-01",),
            _free,
        ),
        ("GET", rf"{_G}/resources", ("2021-04-01",), _group),
        (
            "GET",
            rf"{_G}/providers/Microsoft\.ContainerRegistry/registries/(?P<name>[^/]+)",
            ("2023-07-01",),
            _registry,
        ),
    ]
)
