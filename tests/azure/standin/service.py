"""What answers for Azure's hosts: the login, Resource Manager's part of Azure ML, the run history, MLflow.

Strict where Azure is: a bearer token that holds, the API version that is known to work for each request, bodies that
fit the published schema with no property that it does not know.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.azure.standin.blobs import ACCOUNT, ARTIFACTS, DATA, KEY, Blobs
from tests.azure.standin.jobs import Job, Script
from tests.azure.standin.wire import Request, Response

TENANT = "22222222-2222-4222-8222-222222222222"
CLIENT = "33333333-3333-4333-8333-333333333333"
SECRET = "a-secret-of-the-tests"
ML = "Microsoft.MachineLearningServices/workspaces"
PAGE = 3
CHECKED = {
    "jobs": (f"{ML}/jobs", "2024-01-01-preview"),
    "computes": (f"{ML}/computes", "2023-08-01-preview"),
    "data": (f"{ML}/data/versions", "2023-04-01-preview"),
    "models": (f"{ML}/models/versions", "2023-08-01-preview"),
    "schedules": (f"{ML}/schedules", "2024-01-01-preview"),
}
Handler = Callable[["Service", Request, "re.Match[str]"], Response]


def refused(status: int, code: str, message: str, **headers: str) -> Response:
    """Azure's error document."""
    return Response(
        status, {"error": {"code": code, "message": message}}, {k.replace("_", "-"): v for k, v in headers.items()}
    )


def token(audience: str, seconds: float, tenant: str = TENANT) -> str:
    """An unsigned JWT as Entra ID's look."""
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{tenant}/",
        "tid": tenant,
        "oid": CLIENT,
        "nbf": now - 300,
        "iat": now - 300,
        "exp": int(now + seconds),
        "ver": "1.0",
    }
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".c2ln"
    )


@dataclass
class Service:
    """One workspace and its neighbours.

    Attributes
    ----------
    root: the workspace's ARM id. secrets: how its datastores are opened: "Sas", "AccountKey" or "None".
    script: what the next job will do. token_seconds: how long tokens hold.
    kinds: what a job of another type than AutoML is made of, by its type.
    states: how operations stand that take as long as what they do. endpoints, registry: of the workspace.
    gone: why the workspace is not there: "", "missing", "group" or "soft". forbidden: paths that answer 403, a pattern.
    """

    root: str
    region: str
    blobs: Callable[[], Blobs]
    shared: Path
    secrets: str = "Sas"
    gone: str = ""
    forbidden: str = ""
    token_seconds: float = 3600
    script: Script = field(default_factory=Script)
    jobs: dict[str, Job] = field(default_factory=dict)
    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)
    states: dict[str, Callable[[], str]] = field(default_factory=dict)
    kinds: dict[str, Callable[..., Any]] = field(default_factory=dict)
    endpoints: Any = None
    registry: Any = None
    quota: dict[str, tuple[int, int]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """As new; blobs stay, since names of jobs and marks of data never come twice."""
        self.jobs.clear()
        self.things.clear()
        self.refusals.clear()
        self.states.clear()
        for part in (self.endpoints, self.registry):
            if part is not None:
                part.reset()
        self.secrets, self.gone, self.forbidden, self.token_seconds = "Sas", "", "", 3600
        self.script = Script()
        self.quota = {"standardDSv2Family": (0, 100), "lowPriorityCores": (0, 100)}
        self.cluster("cpu-cluster")

    def cluster(self, name: str) -> None:
        self.things[f"computes/{name}"] = {
            "id": f"{self.root}/computes/{name}",
            "name": name,
            "location": self.region,
            "properties": {
                "computeType": "AmlCompute",
                "provisioningState": "Succeeded",
                "properties": {
                    "vmSize": "Standard_DS3_v2",
                    "vmPriority": "Dedicated",
                    "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 4},
                },
            },
        }

    def answer(self, request: Request) -> Response:
        if request.host == "login.microsoftonline.com":
            return _login(self, request)
        wrong = _unauthorised(request)
        if wrong is not None:
            return wrong
        for method, pattern, versions, handler in ROUTES:
            match = re.fullmatch(pattern, request.path, re.IGNORECASE)
            if match is None or method != request.method:
                continue
            if versions and request.version not in versions:
                return self.refuse(
                    400,
                    "InvalidApiVersionParameter",
                    f"{request.version!r} is none for {request.method} {request.path}",
                )
            if request.host == "management.azure.com":
                missing = _missing(self, request)
                if missing is not None:
                    return missing
            return handler(self, request, match)
        return self.refuse(404, "NotFound", f"the stand-in knows no {request}")

    def refuse(self, status: int, code: str, message: str) -> Response:
        """An answer that means that the product asked for something wrong; tests look at these."""
        self.refusals.append(f"{status} {code}: {message}")
        return refused(status, code, message)

    def check(self, kind: str, name: str, body: dict[str, Any]) -> Response | None:
        """A refusal when a body doesn't fit the published schema."""
        arm_type, version = CHECKED[kind]
        errors = arm_check(self.shared).check_arm(arm_type, version, {"name": name, **no_floats(body)})
        found = [error for error in errors if not error.startswith("name:")]
        return self.refuse(400, "UserError", "; ".join(found)) if found else None

    def running(self, url_path: str) -> Response:
        """An operation that ends at its second poll."""
        name = f"op-{len(self.operations)}"
        self.operations[name] = 2
        where = f"https://management.azure.com{self.root}/operations/{name}?api-version=2023-08-01-preview"
        return Response(201, self.things.get(url_path), {"Azure-AsyncOperation": where, "retry-after-ms": "50"})


def arm_check(shared: Path) -> Any:
    if "module" not in _LOADED:
        spec = importlib.util.spec_from_file_location("arm_check", shared / "tools" / "arm_check.py")
        assert spec is not None
        assert spec.loader is not None
        _LOADED["module"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(_LOADED["module"])
    return _LOADED["module"]


_LOADED: dict[str, Any] = {}


def no_floats(value: Any) -> Any:
    """The schema language of templates has no fractions: its numbers are integers."""
    if isinstance(value, float):
        return int(value)
    if isinstance(value, dict):
        return {key: no_floats(item) for key, item in value.items()}
    return [no_floats(item) for item in value] if isinstance(value, list) else value


def _login(service: Service, request: Request) -> Response:
    base = f"https://{request.host}"
    if request.path.endswith("/discovery/instance"):
        return Response(
            200,
            {
                "tenant_discovery_endpoint": f"{base}/{TENANT}/v2.0/.well-known/openid-configuration",
                "metadata": [
                    {
                        "preferred_network": request.host,
                        "preferred_cache": "login.windows.net",
                        "aliases": [request.host],
                    }
                ],
            },
        )
    tenant = request.path.split("/")[1]
    if tenant != TENANT:
        text = f"AADSTS90002: Tenant '{tenant}' not found."
        return Response(400, {"error": "invalid_tenant", "error_description": text})
    if request.path.endswith("openid-configuration"):
        return Response(
            200,
            {
                "issuer": f"{base}/{TENANT}/v2.0",
                "authorization_endpoint": f"{base}/{TENANT}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/{TENANT}/oauth2/v2.0/token",
            },
        )
    from urllib.parse import parse_qs

    form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
    secret, assertion = form.get("client_secret"), form.get("client_assertion")
    if secret != SECRET and assertion is None:
        text = "AADSTS7000215: Invalid client secret provided."
        return Response(401, {"error": "invalid_client", "error_description": text})
    if assertion == "expired":
        text = "AADSTS700024: Client assertion is not within its valid time range."
        return Response(401, {"error": "invalid_client", "error_description": text})
    audience = form.get("scope", "").removesuffix(".default").rstrip("/")
    lasts = service.token_seconds
    return Response(
        200,
        {"token_type": "Bearer", "expires_in": max(int(lasts), 3600), "access_token": token(audience, lasts)},
    )


def claims_of(shown: str) -> Any:
    """What the token in an Authorization header says; None where there is none."""
    try:
        return json.loads(base64.urlsafe_b64decode(shown.removeprefix("Bearer ").split(".")[1] + "=="))
    except (IndexError, ValueError):
        return None


def _unauthorised(request: Request) -> Response | None:
    claims = claims_of(request.headers.get("authorization", ""))
    if claims is None:
        return refused(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
    if claims["exp"] <= time.time():
        return refused(401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than now.")
    if claims["tid"] != TENANT:
        return refused(401, "InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer.")
    if claims["aud"] != "https://management.azure.com":
        return refused(401, "InvalidAuthenticationTokenAudience", f"The audience is {claims['aud']}.")
    return None


def _missing(service: Service, request: Request) -> Response | None:
    if service.forbidden and re.search(service.forbidden, f"{request.method} {request.path}"):
        action = re.sub(r"^.*/workspaces/[^/]+", ML, request.path)
        text = f"The client '{CLIENT}' does not have authorization to perform action '{action}/write' over scope."
        return refused(403, "AuthorizationFailed", text)
    if service.gone == "group":
        return refused(404, "ResourceGroupNotFound", "Resource group could not be found.")
    if service.gone == "soft":
        text = "The workspace is soft-deleted. Recover or purge it."
        return refused(404, "WorkspaceSoftDeleted", text)
    other = request.path.lower().startswith("/subscriptions/") and not request.path.lower().startswith(
        service.root.lower()
    )
    if service.gone == "missing" or (other and f"/providers/{ML}/" in request.path):
        name = request.path.split("/workspaces/")[-1].split("/")[0]
        return refused(404, "ResourceNotFound", f"The Resource '{ML}/{name}' under resource group was not found.")
    return None


def _workspace(service: Service, _: Request, __: re.Match[str]) -> Response:
    host = f"{service.region}.api.azureml.ms"
    properties = {
        "discoveryUrl": f"https://{host}/discovery",
        "mlFlowTrackingUri": f"azureml://{host}/mlflow/v1.0{service.root}",
        "workspaceId": "44444444-4444-4444-8444-444444444444",
        "storageAccount": f"/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}",
        "provisioningState": "Succeeded",
    }
    name = service.root.rsplit("/", 1)[1]
    return Response(
        200, {"id": service.root, "name": name, "location": service.region, "properties": properties}, {"ETag": '"1"'}
    )


def thing(service: Service, request: Request, match: re.Match[str]) -> Response:
    found = service.things.get(match["thing"])
    if found is None:
        return refused(404, "UserError", f"{match['thing']} was not found")
    return Response(200, found, {"ETag": f'"{found.get("etag", 1)}"'})


def _list(service: Service, request: Request, match: re.Match[str]) -> Response:
    """Members of one kind, a page at a time."""
    prefix, depth = match["thing"] + "/", match["thing"].count("/") + 1
    names = [name for name in service.things if name.startswith(prefix) and name.count("/") == depth]
    return page(service, request, [service.things[name] for name in names])


def page(service: Service, request: Request, found: list[Any]) -> Response:
    start = int(request.query.get("$skip", 0))
    document: dict[str, Any] = {"value": found[start : start + PAGE]}
    if start + PAGE < len(found):
        document["nextLink"] = (
            f"https://{request.host}{request.path}?api-version={request.version}&$skip={start + PAGE}"
        )
    return Response(200, document)


def _put(service: Service, request: Request, match: re.Match[str]) -> Response:
    thing = match["thing"]
    kind, *names = thing.split("/")
    body = request.json()
    wrong = service.check(kind, names[-1], body)
    if wrong is not None:
        return wrong
    before = service.things.get(thing)
    if request.headers.get("if-match") not in (None, "*", f'"{(before or {}).get("etag")}"'):
        return refused(412, "PreconditionFailed", "The ETag is another.")
    if before is not None and kind in ("data", "models") and _content(before) != _content(body):
        return refused(409, "Conflict", f"{thing} exists already and can't be changed")
    made = {
        "id": f"{service.root}/{thing}",
        "name": names[-1],
        **body,
        "etag": (before or {}).get("etag", 0) + 1,
        "systemData": {"createdAt": datetime.now(UTC).isoformat()},
    }
    if kind == "models":
        made["properties"] = {"flavors": {}, "provisioningState": "Succeeded", **body["properties"]}
    if kind in ("data", "models"):
        container = service.things.setdefault(f"{kind}/{names[0]}", {"name": names[0], "properties": {}})
        container["properties"] |= {"latestVersion": names[-1], "nextVersion": _next(names[-1])}
    service.things[thing] = made
    if kind in ("computes", "schedules"):
        made["properties"]["provisioningState"] = "Succeeded"
        return service.running(thing)
    return Response(200 if before else 201, made, {"ETag": f'"{made["etag"]}"'})


def _put_container(service: Service, request: Request, match: re.Match[str]) -> Response:
    """A model's own document, whose tags can be changed and whose versions' numbers can't."""
    found = service.things.get(match["thing"])
    if found is None:
        return refused(404, "NotFound", f"{match['thing']} is not there")
    given = request.json()["properties"]
    found["properties"] |= {key: given[key] for key in ("description", "properties", "tags") if key in given}
    return Response(200, found)


def _content(document: dict[str, Any]) -> Any:
    properties = document.get("properties") or {}
    return properties.get("dataUri"), properties.get("modelUri")


def _next(version: str) -> str:
    return str(int(version) + 1) if version.isdigit() else "1"


def _delete(service: Service, request: Request, match: re.Match[str]) -> Response:
    if service.things.pop(match["thing"], None) is None:
        return Response(204)
    done = service.running(match["thing"])
    return Response(202, None, done.headers)


def _operation(service: Service, _: Request, match: re.Match[str]) -> Response:
    state = service.states.get(match["name"])
    if state is not None:
        error = {"error": {"code": "UserError", "message": "the container has crashed or does not answer"}}
        return Response(200, {"status": state(), **(error if state() == "Failed" else {})}, {"retry-after-ms": "30"})
    left = service.operations[match["name"]] = service.operations[match["name"]] - 1
    return Response(200, {"status": "InProgress" if left > 0 else "Succeeded"}, {"retry-after-ms": "50"})


def _datastore(service: Service, request: Request, match: re.Match[str]) -> Response:
    containers = {"workspaceblobstore": DATA, "workspaceartifactstore": ARTIFACTS}
    if match["name"] not in containers:
        return refused(404, "UserError", "no such datastore")
    if request.method == "POST":
        if service.secrets == "None":
            return refused(400, "UserError", "No secrets for credentials of type None.")
        if service.secrets == "Sas":
            return Response(200, {"secretsType": "Sas", "sasToken": service.blobs().sas(containers[match["name"]])})
        return Response(200, {"secretsType": "AccountKey", "key": KEY})
    properties = {
        "datastoreType": "AzureBlob",
        "accountName": ACCOUNT,
        "containerName": containers[match["name"]],
        "endpoint": "core.windows.net",
        "protocol": "https",
        "isDefault": match["name"] == "workspaceblobstore",
        "credentials": {"credentialsType": service.secrets},
    }
    return Response(
        200, {"id": f"{service.root}/datastores/{match['name']}", "name": match["name"], "properties": properties}
    )


def _job_put(service: Service, request: Request, match: re.Match[str]) -> Response:
    name, body = match["name"], request.json()
    wrong = service.check("jobs", name, body)
    if wrong is not None:
        return wrong
    if name in service.jobs:
        return refused(409, "UserError", "A job with this name already exists. Use a different name.")
    compute = str(body["properties"].get("computeId") or "")
    if compute and f"computes/{compute.rsplit('/', 1)[1]}" not in service.things:
        return service.refuse(400, "UserError", f"Unknown compute target {compute}")
    kind = service.kinds.get(body["properties"]["jobType"], Job)
    service.jobs[name] = kind(name, body["properties"], service)
    return Response(201, service.jobs[name].document())


def _job_get(service: Service, _: Request, match: re.Match[str]) -> Response:
    found = service.jobs.get(match["name"])
    if found is None:
        return refused(404, "UserError", f"Run {match['name']} not found")
    return Response(200, found.document())


def _job_delete(service: Service, request: Request, match: re.Match[str]) -> Response:
    found = service.jobs.get(match["name"])
    if found is None:
        return Response(204)
    if found.document()["properties"]["status"] not in ("Completed", "Failed", "Canceled"):
        return refused(400, "UserError", f"Run {match['name']} is not in a terminal state and can't be deleted")
    del service.jobs[match["name"]]
    return Response(202, None, service.running(match["name"]).headers)


def _job_list(service: Service, request: Request, _: re.Match[str]) -> Response:
    return page(service, request, [job.document() for job in reversed(service.jobs.values())])


def _job_cancel(service: Service, request: Request, match: re.Match[str]) -> Response:
    found = service.jobs.get(match["name"])
    if found is None:
        return refused(404, "UserError", f"Run {match['name']} not found")
    found.cancel()
    where = (
        f"https://management.azure.com{service.root}/operations/cancel-{match['name']}?api-version={request.version}"
    )
    service.operations[f"cancel-{match['name']}"] = 1
    return Response(202, None, {"Location": where, "retry-after-ms": "50"})


def _usages(service: Service, _: Request, __: re.Match[str]) -> Response:
    found = [
        {"name": {"value": name}, "currentValue": used, "limit": limit, "unit": "Count"}
        for name, (used, limit) in service.quota.items()
    ]
    return Response(200, {"value": found})


def _children(service: Service, request: Request, match: re.Match[str]) -> Response:
    run = match["name"]
    job = next((job for job in service.jobs.values() if run == job.name or run.startswith(f"{job.name}_")), None)
    return refused(404, "UserError", "no such run") if job is None else page(service, request, job.children(run))


def _run_details(service: Service, _: Request, match: re.Match[str]) -> Response:
    return Response(200, service.jobs[match["name"]].details())


def _mlflow_get(service: Service, request: Request, _: re.Match[str]) -> Response:
    for job in service.jobs.values():
        for run in job.runs(with_parent=True):
            if run["info"]["run_id"] == request.query.get("run_id"):
                return Response(200, {"run": run})
    return Response(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"})


def _mlflow_search(service: Service, request: Request, _: re.Match[str]) -> Response:
    body = request.json()
    match = re.fullmatch(r"tags\.`?mlflow\.parentRunId`? = '([^']+)'", body.get("filter", ""))
    if match is None or not body.get("experiment_ids"):
        return Response(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "filter"})
    job = next((job for job in service.jobs.values() if match[1] in (job.name, job.parent)), None)
    found = job.runs() if job is not None and match[1] == job.parent else []
    start, size = int(body.get("page_token") or 0), int(body.get("max_results", 1000))
    document: dict[str, Any] = {"runs": found[start : start + size]}
    if start + size < len(found):
        document["next_page_token"] = str(start + size)
    return Response(200, document)


_W = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.MachineLearningServices/workspaces/[^/]+"
_JOBS, _ASSETS, _MODELS = ("2024-01-01-preview",), ("2023-04-01-preview",), ("2023-08-01-preview",)
_STORES = ("2024-10-01-preview",)
_NEW = ("2023-06-01-preview",)
ROUTES: list[tuple[str, str, tuple[str, ...], Handler]] = [
    ("GET", _W, _STORES, _workspace),
    ("GET", rf"{_W}/(?P<thing>computes/[^/]+)", _MODELS, thing),
    ("PUT", rf"{_W}/(?P<thing>computes/[^/]+)", _MODELS, _put),
    ("GET", rf"{_W}/(?P<thing>data/[^/]+)", _ASSETS, thing),
    ("GET", rf"{_W}/(?P<thing>data/[^/]+/versions/[^/]+)", _ASSETS, thing),
    ("PUT", rf"{_W}/(?P<thing>data/[^/]+/versions/[^/]+)", _ASSETS, _put),
    ("GET", rf"{_W}/datastores/(?P<name>[^/]+)", _STORES, _datastore),
    ("POST", rf"{_W}/datastores/(?P<name>[^/]+)/listSecrets", _STORES, _datastore),
    ("GET", rf"{_W}/jobs", _JOBS, _job_list),
    ("GET", rf"{_W}/jobs/(?P<name>[^/]+)", _JOBS, _job_get),
    ("PUT", rf"{_W}/jobs/(?P<name>[^/]+)", _JOBS, _job_put),
    ("DELETE", rf"{_W}/jobs/(?P<name>[^/]+)", _JOBS, _job_delete),
    ("POST", rf"{_W}/jobs/(?P<name>[^/]+)/cancel", _ASSETS, _job_cancel),
    ("GET", rf"{_W}/(?P<thing>models)", _MODELS, _list),
    ("GET", rf"{_W}/(?P<thing>models/[^/]+)", _MODELS, thing),
    ("GET", rf"{_W}/(?P<thing>models/[^/]+/versions)", _MODELS, _list),
    ("GET", rf"{_W}/(?P<thing>models/[^/]+/versions/[^/]+)", _MODELS, thing),
    ("PUT", rf"{_W}/(?P<thing>models/[^/]+)", _MODELS, _put_container),
    ("PUT", rf"{_W}/(?P<thing>models/[^/]+/versions/[^/]+)", _MODELS, _put),
    ("DELETE", rf"{_W}/(?P<thing>models/[^/]+/versions/[^/]+)", _MODELS, _delete),
    ("GET", rf"{_W}/(?P<thing>schedules)", _NEW, _list),
    ("GET", rf"{_W}/(?P<thing>schedules/[^/]+)", _NEW, thing),
    ("PUT", rf"{_W}/(?P<thing>schedules/[^/]+)", _NEW, _put),
    ("DELETE", rf"{_W}/(?P<thing>schedules/[^/]+)", _NEW, _delete),
    ("GET", rf"{_W}/operations/(?P<name>[^/]+)", (), _operation),
    (
        "GET",
        r"/subscriptions/[^/]+/providers/Microsoft\.MachineLearningServices/locations/[^/]+/usages",
        _MODELS,
        _usages,
    ),
    ("GET", rf"/history/v1\.0{_W}/runs/(?P<name>[^/]+)/children", (), _children),
    ("GET", rf"/history/v1\.0{_W}/runs/(?P<name>[^/]+)/details", (), _run_details),
    ("GET", rf"/mlflow/v1\.0{_W}/api/2\.0/mlflow/runs/get", (), _mlflow_get),
    ("POST", rf"/mlflow/v1\.0{_W}/api/2\.0/mlflow/runs/search", (), _mlflow_search),
]
