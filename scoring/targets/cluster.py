"""The pods of a served model on the cluster, asked through Kubernetes' own API, as whoever is logged in to Azure."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import yaml

from forestay.errors import InputError, OutsideError
from infra.arm import Arm
from infra.services import SERVICE_LABEL, STATE_LABEL
from scoring.targets.watchers import LOOPING, Condition

SECONDS = 20
VERSION = "2024-09-01"
HOPELESS = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError")


@dataclass(frozen=True)
class Access:
    """The way into a cluster: address and certificate of its API, and a token."""

    server: str
    authority: str
    token: str = field(repr=False)


def access(arm: Arm, cluster_id: str) -> Access:
    """The way into a cluster of Azure's by its id. Raises OutsideError where Azure gives none."""
    from forestay.login import Login
    from infra.components.aks_home import AKS_SERVER_ID

    found = arm.post(f"{cluster_id}/listClusterUserCredential", VERSION)
    try:
        config = yaml.safe_load(base64.b64decode(found["kubeconfigs"][0]["value"]))
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster.get("certificate-authority-data", "")).decode()
    except (KeyError, IndexError, TypeError, ValueError, yaml.YAMLError) as error:
        raise OutsideError("Azure gives no way into the cluster", where=cluster_id.rpartition("/")[2]) from error
    return Access(str(cluster["server"]), authority, Login().get_token(f"{AKS_SERVER_ID}/.default").token)


@dataclass(frozen=True)
class Pods:
    """The pods of one state of a service; see scoring.targets.watchers.Watcher. `fewest` is how many always run."""

    access: Access
    service: str
    state: str
    fewest: int

    def condition(self) -> Condition:
        for pod in self._newest_first():
            for one in (pod.get("status") or {}).get("containerStatuses") or ():
                waiting = ((one.get("state") or {}).get("waiting")) or {}
                ended = ((one.get("lastState") or {}).get("terminated")) or {}
                if waiting.get("reason") in HOPELESS:
                    told = str(waiting.get("message") or "")[:200]
                    return Condition(problem=f"{waiting['reason']}: {told}")
                if int(one.get("restartCount") or 0) >= LOOPING and not one.get("ready"):
                    code, reason = ended.get("exitCode"), ended.get("reason", "")
                    return Condition(problem=f"the container ends again and again (exit code {code} {reason})".strip())
        return Condition()

    def logs(self, tail: int, *, timestamps: bool = False) -> list[str]:
        lines: list[str] = []
        for pod in reversed(self._newest_first()):
            name = pod["metadata"]["name"]
            asked = {"container": "scoring", "tailLines": str(tail), "timestamps": str(timestamps).lower()}
            lines += self._text(f"pods/{name}/log", asked).splitlines()
        if timestamps:
            lines.sort()
        return lines[-tail:] if tail else []

    def events(self) -> list[str]:
        names = {
            self.service,
            f"{self.service}-{self.state}",
            *(pod["metadata"]["name"] for pod in self._newest_first()),
        }
        found = [one for one in self._items("events", {}) if (one.get("involvedObject") or {}).get("name") in names]
        found.sort(key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""))
        return [f"{one.get('lastTimestamp') or ''} {one.get('reason')}: {one.get('message')}" for one in found]

    def stop(self) -> None:
        raise InputError(
            f"{self.service} is on the cluster, where idle copies go by themselves down to {self.fewest}",
            where="NAME",
            fix=f"let fewer run: forestay endpoint deploy {self.service} --replicas 1 with --model and --env",
        )

    def start(self) -> None:
        raise InputError(f"{self.service} is on the cluster and was never stopped", where="NAME", fix="just call it")

    def _newest_first(self) -> list[dict[str, Any]]:
        chosen = f"{SERVICE_LABEL}={self.service},{STATE_LABEL}={self.state}"
        found = self._items("pods", {"labelSelector": chosen})
        return sorted(found, key=lambda one: str(one["metadata"].get("creationTimestamp", "")), reverse=True)

    def _items(self, kind: str, asked: dict[str, str]) -> list[dict[str, Any]]:
        found = json.loads(self._text(kind, asked) or "{}").get("items") or []
        return [one for one in found if isinstance(one, dict)]

    def _text(self, path: str, asked: dict[str, str]) -> str:
        from infra.components.aks import NAMESPACE

        url = f"{self.access.server}/api/v1/namespaces/{NAMESPACE}/{path}?{urllib.parse.urlencode(asked)}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.access.token}"})  # noqa: S310
        trusted = ssl.create_default_context(cadata=self.access.authority or None)
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trusted))
        try:
            with opener.open(request, timeout=SECONDS) as answer:
                return str(answer.read().decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            with error:
                if path.endswith("/log") and error.code in (400, 404):
                    return ""  # a container that has not started has none
                raise OutsideError(
                    f"the cluster refuses with {error.code}", where=path,
                    fix="the role Azure Kubernetes Service RBAC Reader, or Writer to deploy, is needed on it",
                ) from error  # fmt: skip
        except OSError as error:
            raise OutsideError(
                f"the cluster can't be reached: {getattr(error, 'reason', error)}", where=self.access.server,
                fix="is this machine among its authorizedRanges, or inside of its network?",
            ) from error  # fmt: skip
