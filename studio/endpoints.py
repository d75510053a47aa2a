"""Endpoints on this machine: whether they answer, a form to try them, logs, traffic, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import templates
from forestay import LOCAL, project
from forestay.errors import ForestayError, InputError
from scoring import tryit
from studio import web
from studio.calls import command_line
from studio.web import Form, address, argument, studio

if TYPE_CHECKING:
    from scoring.targets import DeploymentRecord, Target

LOG_LINES = 200
EVERY_MS = 3000


def target() -> Target:
    from scoring.targets import choose

    return choose("local", LOCAL, project.home())


def records() -> list[DeploymentRecord]:
    there = target()
    return [there.status(name) for name in there.names()]


def endpoints(request: Request) -> Response:
    return web.page(request, "endpoints", command=command_line(["endpoint", "list"]), rows=records(), every_ms=EVERY_MS)


def endpoint(request: Request) -> Response:
    """One endpoint."""
    name, there = argument(request.path_params["name"]), target()
    record = there.status(name)
    openapi, problem = None, ""
    try:
        openapi = templates.trusted(tryit.embedded(there.assets(name) / "openapi.json"))
    except ForestayError as error:
        problem = "; ".join(error.lines())
    return web.page(
        request,
        "endpoint",
        command=command_line(["endpoint", "show", name]),
        record=record,
        openapi=openapi,
        problem=problem,
        logs=list(there.logs(name, LOG_LINES, False)),
        every_ms=EVERY_MS,
        logs_line=command_line(["endpoint", "logs", name, "--tail", str(LOG_LINES)]),
        rollback_line=command_line(["endpoint", "rollback", name]),
        delete_line=command_line(["endpoint", "delete", name, "--yes"]),
        invoke_line=command_line(["endpoint", "invoke", name]),
    )


def invoke(request: Request, form: Form) -> Response:
    """Send a request as `endpoint invoke` does, keys included, and give the answer as it came."""
    name, body = argument(request.path_params["name"]), form.get("body")
    line = command_line(["endpoint", "invoke", name, "--request", body])
    try:
        answer = target().invoke(name, body.encode("utf-8", "surrogatepass"))
    except ForestayError as error:
        return JSONResponse({"error": " · ".join(error.lines()), "command": line}, 502)
    return JSONResponse({"status": answer.status, "body": answer.body.decode("utf-8", "replace"), "command": line})


def rollback(request: Request, form: Form) -> Response:
    name = argument(request.path_params["name"])
    words = ["endpoint", "rollback", name]
    return web.started(studio(request).calls.start(words, then=address("endpoints", name)))


def delete(request: Request, form: Form) -> Response:
    name = argument(request.path_params["name"])
    if form.get("sure") != name:
        raise InputError(f"{name} was not removed", where="name", fix=f"type {name} to remove it")
    words = ["endpoint", "delete", name, "--yes"]
    return web.started(studio(request).calls.start(words, then=address("endpoints")))
