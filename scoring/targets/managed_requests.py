"""Online endpoints of Azure ML as they are, and the requests that change them.

What Forestay must know of an endpoint stands in its tags and in those of its deployments, so that every machine sees
the same: which model version each deployment serves, and in which order they were served. Traffic and that order are
written by one request.

azure-ai-ml would send the same bodies, but polls a deployment without bound and, once a request named a deployment,
adds that header to every later one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from automl_jobs.azure.arm import OPERATION_SECONDS, POLL_SECONDS, Arm
from forestay.errors import OutsideError
from scoring.targets.records import KEY_NAMES

ENDPOINTS, DEPLOYMENTS, AUTOSCALE = "2022-02-01-preview", "2023-04-01-preview", "2021-05-01-preview"
ORDER = "forestay.order"
"""The endpoint's tag with the names of its deployments, the one that was served last first."""
MODEL, VERSION, FOLDER = (f"forestay.{word}" for word in ("model", "version", "folder"))
"""A deployment's tags: of what, and the hash of the scoring folder that was proven."""
LONGEST_ORDER = 256
"""Characters of a tag's value, as Azure takes them."""
SETTLED = ("Succeeded", "Failed", "Canceled")
AUTH_MODES = {"keys": "Key", "token": "AADToken"}


@dataclass(frozen=True)
class OnlineEndpoint:
    """What an endpoint says of itself.

    Attributes
    ----------
    state: Azure's provisioningState. auth: keys or token. traffic, mirror: percent by deployment, without zeroes.
    order: see ORDER; None for an endpoint that was made by other means.
    """

    name: str
    state: str
    scoring_uri: str
    auth: str
    traffic: dict[str, int]
    mirror: dict[str, int]
    order: tuple[str, ...] | None
    document: Mapping[str, Any]


@dataclass(frozen=True)
class OnlineDeployment:
    """What a deployment says of itself.

    Attributes
    ----------
    model, version, folder: as its tags have it; "" for one that was made by other means.
    state: Azure's provisioningState. size: of its machines. instances: how many there are.
    """

    name: str
    model: str
    version: str
    folder: str
    state: str
    size: str
    instances: int
    document: Mapping[str, Any]


class Online:
    """The online endpoints of one workspace."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm

    def endpoints(self) -> list[OnlineEndpoint]:
        """Those that were made by us."""
        found = self.arm.pages(f"{self.arm.place.path}/onlineEndpoints", ENDPOINTS, "the online endpoints")
        read = [_endpoint(document) for document in found]
        return [one for one in read if one.order is not None]

    def find(self, name: str) -> OnlineEndpoint | None:
        document = self.arm.find(self._path(name), ENDPOINTS, f"the endpoint {name}")
        return None if document is None else _endpoint(document)

    def deployments(self, name: str) -> dict[str, OnlineDeployment]:
        """An endpoint's deployments, by name."""
        what = f"the deployments of {name}"
        found = self.arm.pages(f"{self._path(name)}/deployments", DEPLOYMENTS, what)
        return {one.name: one for one in map(_deployment, found)}

    def make(self, name: str, auth: str) -> OnlineEndpoint:
        """Make an endpoint without a deployment."""
        place = self.arm.place
        body = {
            "location": place.region,
            "tags": {ORDER: ""},
            "kind": "Managed",
            "identity": {"type": "UserAssigned", "userAssignedIdentities": {place.server: {}}},
            "properties": {
                "authMode": AUTH_MODES[auth],
                "publicNetworkAccess": "Disabled" if place.private else "Enabled",
                "description": "Made by forestay endpoint deploy",
                "properties": {},
                "traffic": {},
            },
        }
        return _endpoint(self.arm.put(self._path(name), ENDPOINTS, f"the endpoint {name}", body, wait=True))

    def move(
        self, found: OnlineEndpoint, traffic: Mapping[str, int], mirror: Mapping[str, int], order: tuple[str, ...]
    ) -> OnlineEndpoint:
        """Send callers elsewhere, and write down the order, in one request. Raises Conflict while Azure is at it."""
        document = found.document
        properties = document.get("properties") or {}
        kept = ("authMode", "publicNetworkAccess", "description", "properties", "compute")
        body = {
            "location": document.get("location") or self.arm.place.region,
            "tags": {**(document.get("tags") or {}), ORDER: _joined(order)},
            **{key: document[key] for key in ("kind", "sku") if document.get(key)},
            **_identity(document),
            "properties": {
                **{key: properties[key] for key in kept if properties.get(key) is not None},
                "traffic": {name: percent for name, percent in traffic.items() if percent},
                "mirrorTraffic": {name: percent for name, percent in mirror.items() if percent},
            },
        }
        what = f"the traffic of {found.name}"
        return _endpoint(self.arm.put(self._path(found.name), ENDPOINTS, what, body, wait=True))

    def deploy(self, name: str, deployment: str, body: Mapping[str, Any], seconds: float = OPERATION_SECONDS) -> None:
        """Make or change a deployment and wait for it. Raises OutsideError, Conflict while Azure is at it."""
        what = f"the deployment {deployment} of {name}"
        self.arm.put(
            f"{self._path(name)}/deployments/{deployment}", DEPLOYMENTS, what, body, wait=True, seconds=seconds
        )

    def settled(self, name: str, deployment: str, seconds: float = OPERATION_SECONDS) -> OnlineDeployment | None:
        """A deployment, once Azure has ended what somebody else began with it; None where there is none."""
        until = time.monotonic() + seconds
        path, what = f"{self._path(name)}/deployments/{deployment}", f"the deployment {deployment} of {name}"
        while True:
            document = self.arm.find(path, DEPLOYMENTS, what)
            if document is None:
                return None
            found = _deployment(document)
            if found.state in SETTLED:
                return found
            if time.monotonic() > until:
                raise OutsideError(f"{what} is still {found.state}", fix="look at it in the studio; deploy again later")
            time.sleep(POLL_SECONDS)

    def remove_deployment(self, name: str, deployment: str) -> None:
        """Remove a deployment that has no traffic, and what scales it."""
        self.unscale(name, deployment)
        what = f"the deployment {deployment} of {name}"
        self.arm.delete(f"{self._path(name)}/deployments/{deployment}", DEPLOYMENTS, what)

    def remove(self, name: str) -> None:
        """Remove an endpoint with its deployments."""
        for deployment in self.deployments(name):
            self.unscale(name, deployment)
        self.arm.delete(self._path(name), ENDPOINTS, f"the endpoint {name}")

    def keys(self, name: str) -> dict[str, str]:
        found = self.arm.post(f"{self._path(name)}/listKeys", ENDPOINTS, f"the keys of {name}") or {}
        return {which: str(found.get(f"{which}Key") or "") for which in KEY_NAMES}

    def rotate(self, name: str, which: str) -> None:
        """Let Azure make one of the keys anew."""
        body = {"keyType": which.capitalize()}
        self.arm.post(f"{self._path(name)}/regenerateKeys", ENDPOINTS, f"the keys of {name}", body, wait=True)

    def logs(self, name: str, deployment: str, lines: int, container: str = "InferenceServer") -> list[str]:
        """The last lines that a deployment's server wrote, or what loads its model (StorageInitializer)."""
        path, what = f"{self._path(name)}/deployments/{deployment}/getLogs", f"the log of {deployment}"
        found = self.arm.post(path, DEPLOYMENTS, what, {"containerType": container, "tail": lines}) or {}
        return str(found.get("content") or "").splitlines()

    def scale(self, name: str, deployment: str, least: int, most: int) -> None:
        """Let the number of a deployment's instances follow its load."""
        body = _autoscale(self.arm.place.region, f"{self._path(name)}/deployments/{deployment}", least, most)
        self.arm.put(self._scale_path(name, deployment), AUTOSCALE, f"the autoscale setting of {deployment}", body)

    def scaled(self, name: str, deployment: str) -> tuple[int, int] | None:
        """The fewest and the most instances, where they follow the load."""
        what = f"the autoscale setting of {deployment}"
        document = self.arm.find(self._scale_path(name, deployment), AUTOSCALE, what)
        if document is None:
            return None
        capacity = document["properties"]["profiles"][0]["capacity"]
        return int(capacity["minimum"]), int(capacity["maximum"])

    def unscale(self, name: str, deployment: str) -> None:
        self.arm.delete(self._scale_path(name, deployment), AUTOSCALE, f"the autoscale setting of {deployment}")

    def _path(self, name: str) -> str:
        return f"{self.arm.place.path}/onlineEndpoints/{name}"

    def _scale_path(self, name: str, deployment: str) -> str:
        place = self.arm.place
        group = f"/subscriptions/{place.subscription}/resourceGroups/{place.group}"
        return f"{group}/providers/Microsoft.Insights/autoscalesettings/{name}-{deployment}"


def _endpoint(document: Mapping[str, Any]) -> OnlineEndpoint:
    properties = document.get("properties") or {}
    order = (document.get("tags") or {}).get(ORDER)
    modes = {mode: auth for auth, mode in AUTH_MODES.items()}
    return OnlineEndpoint(
        name=str(document["name"]),
        state=str(properties.get("provisioningState") or ""),
        scoring_uri=str(properties.get("scoringUri") or ""),
        auth=modes.get(str(properties.get("authMode")), "token"),
        traffic=_shares(properties.get("traffic")),
        mirror=_shares(properties.get("mirrorTraffic")),
        order=None if order is None else tuple(part for part in str(order).split(",") if part),
        document=document,
    )


def _deployment(document: Mapping[str, Any]) -> OnlineDeployment:
    properties, tags = document.get("properties") or {}, document.get("tags") or {}
    return OnlineDeployment(
        name=str(document["name"]),
        model=str(tags.get(MODEL) or ""),
        version=str(tags.get(VERSION) or ""),
        folder=str(tags.get(FOLDER) or ""),
        state=str(properties.get("provisioningState") or ""),
        size=str(properties.get("instanceType") or ""),
        instances=int((document.get("sku") or {}).get("capacity") or 1),
        document=document,
    )


def _shares(traffic: Mapping[str, Any] | None) -> dict[str, int]:
    return {str(name): int(percent) for name, percent in (traffic or {}).items() if percent}


def _identity(document: Mapping[str, Any]) -> dict[str, Any]:
    """Its identity as it can be sent back: what Azure tells of each beside its id is refused."""
    identity = document.get("identity") or {}
    if not identity.get("type"):
        return {}
    ids: dict[str, Any] = {name: {} for name in identity.get("userAssignedIdentities") or ()}
    return {"identity": {"type": identity["type"], **({"userAssignedIdentities": ids} if ids else {})}}


def _joined(order: tuple[str, ...]) -> str:
    """The newest of them that fit into a tag."""
    text = ",".join(order)
    while len(text) > LONGEST_ORDER:
        text = text.rpartition(",")[0]
    return text


def _autoscale(region: str, target: str, least: int, most: int) -> dict[str, Any]:
    """Autoscale by CPU, as Azure's page on online endpoints does it: up quickly, down slowly.

    https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints
    """

    def rule(sign: str, threshold: int, window: str, direction: str, cooldown: str) -> dict[str, Any]:
        trigger = {
            "metricName": "CpuUtilizationPercentage",
            "metricResourceUri": target,
            "timeGrain": "PT1M",
            "statistic": "Average",
            "timeWindow": window,
            "timeAggregation": "Average",
            "operator": sign,
            "threshold": threshold,
        }
        action = {"direction": direction, "type": "ChangeCount", "value": "1", "cooldown": cooldown}
        return {"metricTrigger": trigger, "scaleAction": action}

    profile = {
        "name": "by load",
        "capacity": {"minimum": str(least), "maximum": str(most), "default": str(least)},
        "rules": [
            rule("GreaterThan", 70, "PT5M", "Increase", "PT5M"),
            rule("LessThan", 30, "PT15M", "Decrease", "PT10M"),
        ],
    }
    return {"location": region, "properties": {"enabled": True, "targetResourceUri": target, "profiles": [profile]}}
