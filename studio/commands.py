"""The commands that this studio started: one with what it writes, and all of them."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from forestay.words import duration, when
from studio import web
from studio.calls import KEPT, Call
from studio.web import Form, address, studio

EVERY_MS = 700
SHOWN = 50


def calls(request: Request) -> Response:
    every = studio(request).calls.all()
    rows = [(call, moment(call.began), took(call)) for call in every[:SHOWN]]
    every_ms = 3000 if any(one[0].running for one in rows) else 0
    return web.page(request, "calls", rows=rows, every=len(every), kept=KEPT, every_ms=every_ms)


def call(request: Request) -> Response:
    found = studio(request).calls.find(request.path_params["id"])
    return web.page(
        request,
        "call",
        command=found.line,
        call=found,
        output=studio(request).calls.output(found),
        began=moment(found.began),
        took=took(found),
        stops=studio(request).calls.stops(found),
        every_ms=EVERY_MS if found.running else 0,
    )


def stop(request: Request, form: Form) -> Response:
    found = studio(request).calls.find(request.path_params["id"])
    studio(request).calls.stop(found)
    return RedirectResponse(address("calls", found.id), 303)


def moment(seconds: float) -> str:
    return when(datetime.fromtimestamp(seconds, UTC).isoformat("T", "seconds"))


def took(found: Call) -> str | None:
    return None if found.ended is None else duration(found.ended - found.began)
