"""A container group of Azure Container Instances, asked through Azure Resource Manager.

https://learn.microsoft.com/rest/api/container-instances/container-groups and its `containers/listLogs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.arm import Arm
from scoring.targets.watchers import LOOPING, Condition

VERSION = "2023-05-01"
STOPPED = ("Stopped", "Terminated")


@dataclass(frozen=True)
class ContainerGroup:
    """A group with one container; see scoring.targets.watchers.Watcher. `id` is its ARM id, `container` its name."""

    arm: Arm
    id: str
    container: str

    def condition(self) -> Condition:
        group, view = self._views()
        if str(group.get("state", "")) in STOPPED:
            return Condition(stopped=True)
        current = view.get("currentState") or {}
        restarts, detail = int(view.get("restartCount") or 0), str(current.get("detailStatus") or "")
        code = current.get("exitCode", (view.get("previousState") or {}).get("exitCode"))
        if restarts >= LOOPING:
            return Condition(problem=f"the container ends again and again (exit code {code}, {restarts} restarts)")
        if group.get("state") == "Failed":
            return Condition(problem=f"the group failed: {detail or 'its events say more'}")
        return Condition()

    def logs(self, tail: int, *, timestamps: bool = False) -> list[str]:
        asked = {"tail": str(max(tail, 1)), "timestamps": str(timestamps).lower()}
        found = self.arm.get(f"{self.id}/containers/{self.container}/logs", VERSION, asked) or {}
        lines = str(found.get("content") or "").splitlines()
        return lines[-tail:] if tail else []

    def events(self) -> list[str]:
        group, view = self._views()
        found = [*(group.get("events") or ()), *(view.get("events") or ())]
        found.sort(key=lambda one: str(one.get("lastTimestamp", "")))
        return [f"{one.get('lastTimestamp', '')} {one.get('name', '')}: {one.get('message', '')}" for one in found]

    def stop(self) -> None:
        self.arm.post(f"{self.id}/stop", VERSION)

    def start(self) -> None:
        self.arm.post(f"{self.id}/start", VERSION)

    def _views(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The instance views of the group and of its container; empty before Azure has any."""
        found = (self.arm.get(self.id, VERSION) or {}).get("properties") or {}
        containers = found.get("containers") or [{}]
        inner = (containers[0].get("properties") or {}).get("instanceView") or {}
        return found.get("instanceView") or {}, inner
