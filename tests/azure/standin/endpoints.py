"""Online endpoints: each deployment is a process on loopback that really serves what was uploaded.

As strict as the rest: bodies fit the published schemas, a deployment refers to assets that are there, traffic to
deployments that are there and makes 100, an endpoint that Azure is changing refuses other changes. What is asked of an
endpoint is led by its traffic, by the header that names a deployment, and copied where it is mirrored.
"""

from __future__ import annotations

import random
import secrets
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from scoring import process, server
from tests.azure.standin.blobs import DATA
from tests.azure.standin.service import ROUTES as OTHERS
from tests.azure.standin.service import Service, arm_check, claims_of, no_floats, page, refused, thing
from tests.azure.standin.wire import Request, Response

if TYPE_CHECKING:
    import re

ML = "Microsoft.MachineLearningServices/workspaces"
HOST = ".inference.ml.azure.com"
SERVER = "azureml_inference_server_http.server.entry:app"
ENDED = ("Succeeded", "Failed")
SCHEMAS = {
    "onlineEndpoints": (f"{ML}/onlineEndpoints", "2022-02-01-preview"),
    "deployments": (f"{ML}/onlineEndpoints/deployments", "2023-04-01-preview"),
    "codes": (f"{ML}/codes/versions", "2023-04-01-preview"),
    "environments": (f"{ML}/environments/versions", "2023-04-01-preview"),
    "autoscalesettings": ("Microsoft.Insights/autoscalesettings", "2021-05-01-preview"),
}


@dataclass
class Deployment:
    """One deployment and its process."""

    document: dict[str, Any]
    folder: Path
    running: server.Server | None = None

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def stop(self) -> None:
        if self.running is not None:
            process.stop(self.running.process)


@dataclass
class Endpoint:
    """One endpoint: its document, its deployments, its keys, and what it was asked."""

    document: dict[str, Any]
    keys: dict[str, str] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    copied: Counter[str] = field(default_factory=Counter)

    @property
    def properties(self) -> dict[str, Any]:
        return dict(self.document["properties"])


class Endpoints:
    """All online endpoints of a workspace.

    Attributes
    ----------
    python: what starts a server, as an environment's interpreter would. application: what it serves; "" for what the
        folder says. change_seconds: how long Azure takes for a change. busy: endpoints that it is changing.
    images: what is in each, by its name with the digest.
    aside: more files to put beside the uploaded ones, by name, for a server that needs them.
    """

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.folder = service, folder
        self.guard = threading.RLock()
        self.number = 0
        self.all: dict[str, Endpoint] = {}
        self.reset()

    def reset(self) -> None:
        for endpoint in self.all.values():
            for one in endpoint.deployments.values():
                one.stop()
        self.all.clear()
        self.busy: dict[str, float] = {}
        self.scales: dict[str, dict[str, Any]] = {}
        self.random = random.Random(7)
        self.python, self.application, self.change_seconds = Path(sys.executable), SERVER, 0.0
        self.aside: Callable[[Path], None] = lambda _: None
        self.images: dict[str, Path] = {}

    close = reset

    # ---- Resource Manager ----

    def make(self, name: str, body: dict[str, Any]) -> Response:
        wrong = self.check("onlineEndpoints", name, body) or self.changing(name)
        if wrong is not None:
            return wrong
        found = self.all.get(name)
        properties = body["properties"]
        for kind, whole in (("traffic", True), ("mirrorTraffic", False)):
            shares = properties.get(kind) or {}
            missing = [one for one in shares if found is None or one not in found.deployments]
            if missing:
                return self.service.refuse(400, "UserError", f"{kind} names {missing}, which is not there")
            if whole and shares and sum(shares.values()) != 100:
                return self.service.refuse(400, "UserError", f"{kind} makes {sum(shares.values())}, not 100")
            if not whole and (len(shares) > 1 or any(percent > 50 for percent in shares.values())):
                return self.service.refuse(400, "UserError", f"{kind} is {shares}")
            if not whole and set(shares) & set(properties.get("traffic") or {}):
                return self.service.refuse(400, "UserError", "mirrored and live traffic for one deployment")
        if found is not None and found.properties["authMode"] != properties["authMode"]:
            return self.service.refuse(400, "UserError", "authMode can't be changed")
        document = {
            "id": f"{self.service.root}/onlineEndpoints/{name}",
            "name": name,
            **body,
            "properties": {
                **properties,
                "provisioningState": "Succeeded",
                "scoringUri": f"https://{name}.{self.service.region}{HOST}/score",
                "swaggerUri": f"https://{name}.{self.service.region}{HOST}/swagger.json",
                "compute": None,
            },
        }
        if found is None:
            self.all[name] = Endpoint(
                document, {which: secrets.token_urlsafe(24) for which in ("primary", "secondary")}
            )
        else:
            found.document = document
        return self.operation(name, 200 if found else 201, document)

    def deploy(self, name: str, deployment: str, body: dict[str, Any]) -> Response:
        wrong = self.check("deployments", deployment, body) or self.changing(name)
        if wrong is not None:
            return wrong
        endpoint = self.all.get(name)
        if endpoint is None:
            return self.service.refuse(404, "UserError", f"no endpoint {name}")
        missing = self.missing(body["properties"])
        if missing:
            return self.service.refuse(400, "UserError", f"{missing} is not there")
        found = endpoint.deployments.get(deployment)
        path = f"{self.service.root}/onlineEndpoints/{name}/deployments/{deployment}"
        document = {"id": path, "name": deployment, **body}
        document["properties"] = {**body["properties"], "provisioningState": "Creating"}
        if found is not None and _runs(found.document) == _runs(document):
            found.document = document
            self.settle(document, "Succeeded")
            return self.operation(name, 200, document)
        if found is not None:
            found.stop()
        self.number += 1
        made = endpoint.deployments[deployment] = Deployment(document, self.folder / f"{self.number}")
        begun = threading.Thread(target=self.start, args=(made,), daemon=True)
        begun.start()
        return self.operation(name, 201, document, until=made)

    def start(self, made: Deployment) -> None:
        """Bring up what was uploaded, by the environment's own words."""
        properties = made.document["properties"]
        work = made.folder / "work"
        work.mkdir(parents=True)
        try:
            folder = self.unpack(made.folder / "code", properties)
            self.aside(folder)
            made.running = server.start(
                self.python,
                folder,
                server.listen(),
                log=made.log,
                work=work,
                tag=f"standin:{made.document['name']}:{self.number}",
                application=self.application,
                detached=True,  # else it would end with this thread
            )
            server.wait_healthy(made.running)
        except Exception as error:  # noqa: BLE001 - Azure says that it failed, whatever it was
            with made.log.open("a", encoding="utf-8") as log:
                log.write(f"{error}\n")
            made.stop()
            self.settle(made.document, "Failed")
            return
        self.settle(made.document, "Succeeded")

    def unpack(self, folder: Path, properties: dict[str, Any]) -> Path:
        """Code and model as Azure lays them down, from where the assets say that they are."""
        things = self.service.things
        environment = things[_thing(properties["environmentId"])]["properties"]
        if "codeConfiguration" not in properties:
            assert environment["inferenceConfig"]["scoringRoute"] == {"path": "/score", "port": 5001}
            assert properties["environmentVariables"]["FORESTAY_AUTH"] == "none"
            assert environment["inferenceConfig"]["livenessRoute"]["path"] == "/openapi.json"
            shutil.copytree(self.images[environment["image"]], folder)
            return folder
        blobs = self.service.blobs()
        code = things[_thing(properties["codeConfiguration"]["codeId"])]["properties"]["codeUri"]
        model = things[_thing(properties["model"])]["properties"]["modelUri"]
        prefixes = {code.partition(f"/{DATA}/")[2].rstrip("/") + "/": folder}
        prefixes[model.partition("/paths/")[2].rstrip("/") + "/"] = folder / "model"
        for prefix, target in prefixes.items():
            names = blobs.names(DATA, prefix)
            assert names, f"nothing lies under {prefix}"
            for one in names:
                path = target / one.removeprefix(prefix)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(blobs.get(DATA, one))
        assert (folder / properties["codeConfiguration"]["scoringScript"]).is_file()
        pins = yaml.safe_load(environment["condaFile"])["dependencies"]
        assert any(isinstance(one, dict) and len(one["pip"]) > 3 for one in pins), "an environment of nothing"
        return folder

    def missing(self, properties: dict[str, Any]) -> str:
        """What a deployment refers to and is not there."""
        wanted = [properties["environmentId"]]
        if "codeConfiguration" in properties:
            wanted += [properties["codeConfiguration"]["codeId"], properties["model"]]
        return next((one for one in wanted if _thing(one) not in self.service.things), "")

    def remove(self, name: str, deployment: str | None) -> Response:
        wrong = self.changing(name)
        if wrong is not None:
            return wrong
        endpoint = self.all.get(name)
        if endpoint is None or (deployment is not None and deployment not in endpoint.deployments):
            return Response(204)
        if deployment is None:
            for one in self.all.pop(name).deployments.values():
                one.stop()
        elif endpoint.properties.get("traffic", {}).get(deployment) or deployment in (
            endpoint.properties.get("mirrorTraffic") or {}
        ):
            return self.service.refuse(400, "UserError", f"{deployment} has traffic")
        else:
            endpoint.deployments.pop(deployment).stop()
        return self.operation(name, 202, None)

    def settle(self, document: dict[str, Any], state: str) -> None:
        document["properties"]["provisioningState"] = state

    def changing(self, name: str) -> Response | None:
        """The refusal while Azure changes this endpoint, which tests don't count as one."""
        endpoint = self.all.get(name)
        creating = endpoint and any(
            one.document["properties"]["provisioningState"] not in ENDED for one in endpoint.deployments.values()
        )
        if creating or time.monotonic() < self.busy.get(name, 0.0):
            return refused(409, "Conflict", f"Another operation on {name} is in progress. Try again later.")
        return None

    def check(self, kind: str, name: str, body: dict[str, Any]) -> Response | None:
        errors = arm_check(self.service.shared).check_arm(*SCHEMAS[kind], {"name": name, **no_floats(body)})
        found = [error for error in errors if not error.startswith("name:")]
        return self.service.refuse(400, "UserError", "; ".join(found)) if found else None

    def operation(self, name: str, status: int, document: Any, until: Deployment | None = None) -> Response:
        """An operation that ends once the change is done."""
        self.busy[name] = time.monotonic() + self.change_seconds
        number = f"endpoint-{len(self.service.operations)}"
        self.service.operations[number] = 0

        def state() -> str:
            if time.monotonic() < self.busy.get(name, 0.0):
                return "InProgress"
            found = until.document["properties"]["provisioningState"] if until else "Succeeded"
            return found if found in ENDED else "InProgress"

        self.service.states[number] = state
        where = f"https://management.azure.com{self.service.root}/operations/{number}?api-version=2023-08-01-preview"
        return Response(status, document, {"Azure-AsyncOperation": where, "retry-after-ms": "30"})

    # ---- the endpoints themselves ----

    def score(self, request: Request) -> Response:
        """What callers of an endpoint get."""
        endpoint = self.all.get(request.host.split(".")[0])
        if endpoint is None:
            return Response(404, {"message": "no such endpoint"})
        if not self.may_call(endpoint, request.headers.get("authorization", "")):
            return Response(401, {"message": "key_auth_access_denied"})
        shares = dict(endpoint.properties.get("traffic") or {})
        chosen = request.headers.get("azureml-model-deployment")
        if chosen is None:
            if not shares:
                return Response(404, {"message": "no deployment has traffic"})
            with self.guard:
                [chosen] = self.random.choices(list(shares), list(shares.values()))
        deployment = endpoint.deployments.get(chosen)
        if deployment is None or deployment.running is None:
            return Response(404, {"message": f"no deployment {chosen}"})
        endpoint.asked[chosen] += 1
        for mirror, percent in (endpoint.properties.get("mirrorTraffic") or {}).items():
            if self.random.random() * 100 < percent:
                endpoint.copied[mirror] += 1
                running = endpoint.deployments[mirror].running
                assert running is not None
                server.ask(running.url, "POST", "/score", request.body, headers=server.json_headers())
        answer = server.ask(deployment.running.url, "POST", "/score", request.body, headers=server.json_headers())
        return Response(answer.status, answer.body, {"azureml-model-deployment": chosen})

    def may_call(self, endpoint: Endpoint, shown: str) -> bool:
        if endpoint.properties["authMode"] == "Key":
            return shown.removeprefix("Bearer ") in endpoint.keys.values()
        return (claims_of(shown) or {}).get("aud") == "https://ml.azure.com"


def _thing(path: str) -> str:
    """A workspace's asset by the part of its id that the stand-in keeps it under."""
    return path.partition("/workspaces/")[2].partition("/")[2]


def _runs(document: dict[str, Any]) -> Any:
    """What a deployment runs; the number of its instances is not part of it."""
    return {**document["properties"], "provisioningState": ""}


# ---- the routes ----


def _endpoints(service: Service) -> Endpoints:
    assert service.endpoints is not None
    return service.endpoints


def _get(service: Service, _: Request, match: re.Match[str]) -> Response:
    found = _endpoints(service).all.get(match["name"])
    if found is None:
        return refused(404, "UserError", f"endpoint {match['name']} was not found")
    return Response(200, found.document)


def _list(service: Service, request: Request, _: re.Match[str]) -> Response:
    return page(service, request, [one.document for one in _endpoints(service).all.values()])


def _put(service: Service, request: Request, match: re.Match[str]) -> Response:
    return _endpoints(service).make(match["name"], request.json())


def _delete(service: Service, _: Request, match: re.Match[str]) -> Response:
    return _endpoints(service).remove(match["name"], match.groupdict().get("deployment"))


def _deployment_get(service: Service, _: Request, match: re.Match[str]) -> Response:
    endpoint = _endpoints(service).all.get(match["name"])
    found = endpoint and endpoint.deployments.get(match["deployment"])
    if not found:
        return refused(404, "UserError", f"deployment {match['deployment']} was not found")
    return Response(200, found.document)


def _deployment_list(service: Service, request: Request, match: re.Match[str]) -> Response:
    endpoint = _endpoints(service).all.get(match["name"])
    if endpoint is None:
        return refused(404, "UserError", f"endpoint {match['name']} was not found")
    return page(service, request, [one.document for one in endpoint.deployments.values()])


def _deployment_put(service: Service, request: Request, match: re.Match[str]) -> Response:
    return _endpoints(service).deploy(match["name"], match["deployment"], request.json())


def _keys(service: Service, request: Request, match: re.Match[str]) -> Response:
    endpoint = _endpoints(service).all[match["name"]]
    if endpoint.properties["authMode"] != "Key":
        return service.refuse(400, "UserError", "no keys")
    if match["what"] == "regenerateKeys":
        body = request.json()
        if set(body) != {"keyType"} or body["keyType"] not in ("Primary", "Secondary"):
            return service.refuse(400, "UserError", f"{body}")
        endpoint.keys[body["keyType"].lower()] = secrets.token_urlsafe(24)
        return _endpoints(service).operation(match["name"], 202, None)
    return Response(200, {f"{which}Key": key for which, key in endpoint.keys.items()})


def _logs(service: Service, request: Request, match: re.Match[str]) -> Response:
    found = _endpoints(service).all[match["name"]].deployments.get(match["deployment"])
    if found is None:
        return refused(404, "UserError", f"deployment {match['deployment']} was not found")
    body = request.json()
    if set(body) != {"containerType", "tail"}:
        return service.refuse(400, "UserError", f"{body}")
    return Response(200, {"content": server.log_tail(found.log, int(body["tail"])) + "\n"})


def _asset_put(service: Service, request: Request, match: re.Match[str]) -> Response:
    asset, body = match["thing"], request.json()
    wrong = _endpoints(service).check(asset.split("/")[0], asset.split("/")[-1], body)
    if wrong is not None:
        return wrong
    before = service.things.get(asset)
    if before is not None and before["properties"] != body["properties"]:
        return service.refuse(409, "Conflict", f"{asset} exists already and can't be changed")
    service.things[asset] = {"id": f"{service.root}/{asset}", "name": asset.split("/")[-1], **body}
    return Response(200 if before else 201, service.things[asset])


def _scale(service: Service, request: Request, match: re.Match[str]) -> Response:
    scales, name = _endpoints(service).scales, match["name"]
    if request.method == "DELETE":
        return Response(200 if scales.pop(name, None) else 204)
    if request.method == "PUT":
        body = request.json()
        wrong = _endpoints(service).check("autoscalesettings", name, body)
        if wrong is not None:
            return wrong
        scales[name] = {"name": name, **body}
        return Response(200, scales[name])
    return Response(200, scales[name]) if name in scales else refused(404, "ResourceNotFound", f"{name} was not found")


_W = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.MachineLearningServices/workspaces/[^/]+"
_E, _D = rf"{_W}/onlineEndpoints/(?P<name>[^/]+)", r"/deployments/(?P<deployment>[^/]+)"
_S = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Insights/autoscalesettings/(?P<name>[^/]+)"
_ENDPOINTS, _DEPLOYMENTS, _SCALES = ("2022-02-01-preview",), ("2023-04-01-preview",), ("2021-05-01-preview",)
ROUTES = [
    ("GET", rf"{_W}/onlineEndpoints", _ENDPOINTS, _list),
    ("GET", _E, _ENDPOINTS, _get),
    ("PUT", _E, _ENDPOINTS, _put),
    ("DELETE", _E, _ENDPOINTS, _delete),
    ("POST", rf"{_E}/(?P<what>listKeys|regenerateKeys)", _ENDPOINTS, _keys),
    ("GET", rf"{_E}/deployments", _DEPLOYMENTS, _deployment_list),
    ("GET", rf"{_E}{_D}", _DEPLOYMENTS, _deployment_get),
    ("PUT", rf"{_E}{_D}", _DEPLOYMENTS, _deployment_put),
    ("DELETE", rf"{_E}{_D}", _DEPLOYMENTS, _delete),
    ("POST", rf"{_E}{_D}/getLogs", _DEPLOYMENTS, _logs),
    *(
        ("GET", rf"{_W}/(?P<thing>{kind}/[^/]+/versions/[^/]+)", _DEPLOYMENTS, thing)
        for kind in ("codes", "environments")
    ),
    *(
        ("PUT", rf"{_W}/(?P<thing>{kind}/[^/]+/versions/[^/]+)", _DEPLOYMENTS, _asset_put)
        for kind in ("codes", "environments")
    ),
    *((method, _S, _SCALES, _scale) for method in ("GET", "PUT", "DELETE")),
]

OTHERS.extend(ROUTES)
