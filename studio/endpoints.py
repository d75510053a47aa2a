"""Endpoints of this machine or of an environment: what they serve, a form to try them, logs, traffic, the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import templates
from forestay import LOCAL, project
from forestay.errors import ForestayError, InputError, Problem
from forestay.words import when
from scoring import tryit
from studio import web
from studio.calls import command_line
from studio.web import Form, address, argument, studio, with_env

if TYPE_CHECKING:
    from scoring.targets import DeploymentRecord, Target

T = TypeVar("T")
LOG_LINES = 200
WARNING = "warning: "
"""What a target's words begin with that a reader shall not miss."""
EVERY_MS, EVERY_MS_AZURE = 3000, 60_000
SHARE = "share:"
"""What the names of the fields of a deployment's traffic begin with."""
ACTS = ("rollback", "stop", "start")
"""The commands that an endpoint's page starts with its name alone."""


def records(env: str = LOCAL, warn: Callable[[str], None] = lambda _: None) -> list[DeploymentRecord]:
    """As `endpoint list`."""
    from scoring.targets import listed, targets_of

    return listed(targets_of(env, project.home(), warn), warn)


def _target(name: str, env: str) -> Target:
    """Where an endpoint is. Raises InputError where it is nowhere, with what could not be asked."""
    from scoring.targets import find

    said: list[str] = []
    try:
        return find(name, None, env, project.home(), said.append)
    except InputError as error:
        told = [Problem("", one.removeprefix(WARNING)) for one in said if one.startswith(WARNING)]
        raise InputError.of([*error.problems, *told]) from error


def _every_ms(env: str) -> int:
    return EVERY_MS if env == LOCAL else EVERY_MS_AZURE


def endpoints(request: Request) -> Response:
    """The endpoints of this machine, or of an environment."""
    env = web.env_of(request)
    warnings: list[str] = []
    rows = records(env, warnings.append)
    return web.page(
        request,
        "endpoints",
        command=command_line(with_env(["endpoint", "list"], env)),
        env=env,
        envs=[LOCAL, *project.environments()],
        rows=[(one, when(one.last_request) if one.last_request else None) for one in rows],
        warnings=[one.removeprefix(WARNING) for one in warnings],
        every_ms=_every_ms(env),
    )


def endpoint(request: Request) -> Response:
    """One endpoint."""
    from scoring.targets import MANAGED, STOPPED

    env, name = web.env_of(request), argument(request.path_params["name"])
    there = _target(name, env)
    record = there.status(name)
    openapi, problem = _or_problem(lambda: templates.trusted(tryit.embedded(there.assets(name) / "openapi.json")))
    logs, logs_problem = _or_problem(lambda: list(there.logs(name, LOG_LINES, False)))

    def line(act: str, *more: str) -> str:
        return command_line(with_env(["endpoint", act, name, *more], env))

    lines: dict[str, Any] = {f"{act}_line": line(act) for act in ACTS}
    shares = [[SHARE + one, f"{one}="] for one in record.traffic]
    idle = [one for one, percent in record.traffic.items() if not percent and one != record.previous]
    return web.page(
        request,
        "endpoint",
        command=line("show"),
        record=record,
        env=env,
        last_request=when(record.last_request) if record.last_request else None,
        openapi=openapi,
        problem=problem,
        logs=logs or [],
        logs_problem=logs_problem,
        every_ms=_every_ms(env),
        shares=record.traffic if record.target == MANAGED and len(record.traffic) > 1 else {},
        share=SHARE,
        idle=idle if record.target == MANAGED else [],
        may_stop=record.target in STOPPED,
        keys_line=command_line(with_env(["endpoint", "keys", "show", name], env)),
        prune_line=line("prune"),
        traffic_line=line("traffic", *_shares(record.traffic.items())),
        traffic_words=["endpoint", "traffic", name, *shares, "--env", env],
        logs_line=line("logs", "--tail", str(LOG_LINES)),
        delete_line=line("delete", "--yes"),
        invoke_line=line("invoke"),
        **lines,
    )


def _or_problem(work: Callable[[], T]) -> tuple[T | None, str]:
    """What `work` gives, or why it gives nothing."""
    try:
        return work(), ""
    except ForestayError as error:
        return None, _told(error)


def _told(error: ForestayError) -> str:
    return " · ".join(line.strip() for line in error.lines())


def _shares(pairs: Iterable[tuple[str, object]]) -> list[str]:
    return [f"{deployment}={percent}" for deployment, percent in pairs]


def invoke(request: Request, form: Form) -> Response:
    """Send a request as `endpoint invoke` does, keys included, and give the answer as it came."""
    env, name, body = web.env_of(request), argument(request.path_params["name"]), form.get("body")
    line = command_line(with_env(["endpoint", "invoke", name, "--request", body], env))
    try:
        answer = _target(name, env).invoke(name, body.encode("utf-8", "surrogatepass"))
    except ForestayError as error:
        return JSONResponse({"error": _told(error), "command": line}, 502)
    return JSONResponse({"status": answer.status, "body": answer.body.decode("utf-8", "replace"), "command": line})


def traffic(request: Request, form: Form) -> Response:
    """Share callers among deployments; whether the percents make 100 is for the command to say."""
    given = [(name.removeprefix(SHARE), value.strip()) for name, value in form.pairs if name.startswith(SHARE)]
    shares = [argument(one) for one in _shares(pair for pair in given if pair[1])]
    if not shares:
        raise InputError("no deployment was given a share", where="traffic", fix="fill one in; together they make 100")
    return _started(request, "traffic", shares)


def acting(act: str) -> Callable[[Request, Form], Response]:
    """The handler of one of ACTS."""

    def handler(request: Request, form: Form) -> Response:
        return _started(request, act)

    return handler


def delete(request: Request, form: Form) -> Response:
    name = argument(request.path_params["name"])
    if form.get("sure") != name:
        raise InputError(f"{name} was not removed", where="name", fix=f"type {name} to remove it")
    return _started(request, "delete", ["--yes"], then=address("endpoints", env=web.env_of(request)))


def _started(request: Request, act: str, more: Sequence[str] = (), then: str = "") -> Response:
    env, name = web.env_of(request), argument(request.path_params["name"])
    words = with_env(["endpoint", act, name, *more], env)
    return web.started(studio(request).calls.start(words, then=then or address("endpoints", name, env=env)))
