"""What every page shares: rendering, forms, errors as pages, and the files beside them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

import templates
from forestay import LOCAL, __version__, project
from forestay.errors import ForestayError, InputError, OutsideError
from studio import asking
from studio.asking import Asking
from studio.calls import Call, Calls, command_line
from studio.guard import CSRF_HEADER, Pass

FORM_BYTES = 2_000_000
MEDIA = {"js": "text/javascript", "css": "text/css"}
CODES = {2: 400, 3: 502}
GONE = 499
"""What nginx notes for a browser that left before its answer; nobody gets it."""
WAITING_MS, WAITING_HEADER = 500, "X-Studio-Waiting"


@dataclass(frozen=True)
class Studio:
    """What handlers need: the project's `.forestay`, the secrets, the commands started here, what is asked of Azure."""

    home: Path
    passed: Pass
    calls: Calls = field(init=False)
    asking: Asking = field(init=False, default_factory=Asking)

    def __post_init__(self) -> None:
        object.__setattr__(self, "calls", Calls(self.home))


def studio(request: Request) -> Studio:
    found: Studio = request.app.state.studio
    return found


def page(request: Request, template: str, *, command: str = "", status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page. `command`: the command line that shows the same."""
    return HTMLResponse(
        templates.render(
            f"studio/{template}.html.j2",
            csrf=studio(request).passed.csrf,
            path=request.url.path,
            here=request.url.path.split("/")[1],
            command=command,
            assets=versions(),
            version=__version__,
            address=address,
            line=command_line,
            **values,
        ),
        status,
    )


def failed(request: Request, error: ForestayError, **more: Any) -> HTMLResponse:
    """An error as a page of its own."""
    message = error.problems[0].message
    missing = isinstance(error, InputError) and ("there is no" in message or message.startswith("no endpoint"))
    code = 404 if missing else CODES.get(error.exit_code, 500)
    return problem_page(request, error, code, "That did not work", **more)


def problem_page(request: Request, error: ForestayError, code: int, title: str, **more: Any) -> HTMLResponse:
    """An error with this status and title, and the ways on from there."""
    env = request.query_params.get("env") or LOCAL
    asked = env in project.environments()
    return page(
        request,
        "error",
        status=code,
        problems=error.problems,
        title=title,
        doctor_line=command_line(["doctor", "--env", env]) if asked else "",
        again=_asked(request) if asked and request.method == "GET" else "",
        **more,
    )


def _asked(request: Request) -> str:
    """The address of a request, with its query."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def shown(work: Callable[[Request], Response]) -> Callable[[Request], Any]:
    """A handler that reads, in a thread of its own; an error that a user can cause becomes a page."""

    @functools.wraps(work)
    async def handler(request: Request) -> Response:
        env = request.query_params.get("env") or LOCAL
        try:
            if env == LOCAL:
                return await studio(request).asking.here(lambda: work(request))
            answer = await studio(request).asking.answer(_asked(request), lambda: work(request))
            return answer or _waiting(request, env)
        except ForestayError as error:
            return failed(request, error)

    return handler


def _waiting(request: Request, env: str) -> Response:
    """The page for one that Azure has not answered yet."""
    fix = "it is asked on; if nothing comes, see what is wrong with the command below"
    error = OutsideError(f"has not answered for {asking.PATIENCE_SECONDS:g} seconds", where=env, fix=fix)
    answer = problem_page(request, error, 504, f"Asking {env}", every_ms=WAITING_MS)
    answer.headers[WAITING_HEADER] = "yes"
    return answer


class Form:
    """The fields of a form that was sent. The first value counts, but for `every`."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def get(self, name: str) -> str:
        return next(iter(self.every(name)), "")

    def required(self, name: str) -> str:
        """Raises InputError where it is empty."""
        value = self.get(name).strip()
        if not value:
            raise InputError("is missing", where=name, fix="fill it in")
        return value


def posted(work: Callable[[Request, Form], Response], *, starts: bool = True) -> Callable[[Request], Any]:
    """A handler of a form: who sent it is checked, and it is read, within bounds; then as `shown`.

    Parameters
    ----------
    starts: whether it starts commands. What was asked until now is then old, and it is not left half-way.
    """

    @functools.wraps(work)
    async def handler(request: Request) -> Response:
        try:
            form = await _form(request)
            if not studio(request).passed.is_csrf(request.headers.get(CSRF_HEADER) or form.get("csrf")):
                return problem_page(request, EXPIRED, 403, "Refused")
            if starts:
                studio(request).asking.forget()
            return await studio(request).asking.here(lambda: work(request, form), whole=starts)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except ForestayError as error:
            return failed(request, error)

    return handler


EXPIRED = InputError("this page is of an earlier studio, or none of it", fix="load the page again and repeat")


async def _form(request: Request) -> Form:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            raise InputError("the form is too large", fix="send less at once")
    try:
        return Form(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=20_000))
    except ValueError as error:
        raise InputError("this is not a form") from error


def started(call: Call) -> RedirectResponse:
    """To the page of a command that was just started."""
    return RedirectResponse(f"/calls/{call.id}", 303)


def argument(value: str) -> str:
    """A value that a command takes in a place of its own. Raises InputError for what it would take for a flag."""
    if value.startswith("-") or "\0" in value:
        raise InputError(f"{value!r} can't be a name", fix="begin it with a letter or a digit")
    return value


def env_of(request: Request) -> str:
    """The environment that a page is about. Raises InputError for one that the project does not have."""
    env = request.query_params.get("env") or LOCAL
    if env != LOCAL and env not in project.environments():
        raise InputError(f"there is no environment {env!r}", where="env")
    return env


def with_env(words: list[str], env: str) -> list[str]:
    return words if env == LOCAL else [*words, "--env", env]


def address(*parts: str, **query: str) -> str:
    """A path of the studio, with names as parts of it; without `env` it is of this machine."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    given = {name: value for name, value in query.items() if value and (name, value) != ("env", LOCAL)}
    more = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items())
    return f"{path}?{more}" if more else path


@functools.cache
def assets() -> dict[str, str]:
    """The files beside the pages, by name."""
    style = templates.render("report/style.css.j2") + templates.render("studio/style.css.j2")
    live = templates.render("studio/live.js.j2")
    return {
        "style.css": style,
        "sort.js": templates.render("report/sort.js.j2"),
        "live.js": live,
        "create.js": templates.render("studio/create.js.j2", live=_place("live.js", live)),
        "tryit.js": templates.render("scoring/tryit.js.j2"),
    }


@functools.cache
def versions() -> dict[str, str]:
    """Where each file is asked for."""
    return {name: _place(name, text) for name, text in assets().items()}


def _place(name: str, text: str) -> str:
    """An address that changes with the content, so that a browser may keep it."""
    return f"/static/{hashlib.sha256(text.encode()).hexdigest()[:12]}/{name}"


async def static(request: Request) -> Response:
    name = request.path_params["name"]
    text = assets().get(name)
    if text is None or versions()[name] != request.url.path:
        return Response(status_code=404)
    kind = MEDIA[name.rpartition(".")[2]]
    return Response(text, media_type=kind, headers={"Cache-Control": "private, max-age=31536000, immutable"})
