"""The studio's addresses."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from forestay.errors import InputError
from studio import commands, create, endpoints, experiments, files, models, web
from studio.guard import Guard
from studio.web import Studio, posted, shown

POST = ["POST"]


def make_app(studio: Studio) -> Starlette:
    """The ASGI app."""
    app = Starlette(
        routes=[
            Route("/", shown(experiments.dashboard)),
            Route("/new", shown(create.new)),
            Route("/new/draft", posted(create.drafted, starts=False), methods=POST),
            Route("/new/start", posted(create.start), methods=POST),
            Route("/uploads", files.upload, methods=POST),
            Route("/jobs/{job}", shown(experiments.job)),
            Route("/jobs/{job}/report", shown(experiments.report)),
            Route("/jobs/{job}/cancel", posted(experiments.cancel), methods=POST),
            Route("/jobs/{job}/watch", posted(experiments.watch), methods=POST),
            Route("/jobs/{job}/resume", posted(experiments.resume), methods=POST),
            Route("/jobs/{job}/fetch", posted(experiments.fetch), methods=POST),
            Route("/jobs/{job}/trials/{rank:int}", shown(experiments.trial)),
            Route("/jobs/{job}/trials/{rank:int}/model.pkl", shown(experiments.model_file)),
            Route("/jobs/{job}/trials/{rank:int}/register", posted(experiments.register), methods=POST),
            Route("/models", shown(models.models)),
            Route("/models/{name}", shown(models.model)),
            Route("/models/{name}/generate", posted(models.generate), methods=POST),
            Route("/models/{name}/verify", posted(models.verify), methods=POST),
            Route("/models/{name}/deploy", posted(models.deploy), methods=POST),
            Route("/endpoints", shown(endpoints.endpoints)),
            Route("/endpoints/{name}", shown(endpoints.endpoint)),
            Route("/endpoints/{name}/invoke", posted(endpoints.invoke, starts=False), methods=POST),
            Route("/endpoints/{name}/traffic", posted(endpoints.traffic), methods=POST),
            Route("/endpoints/{name}/delete", posted(endpoints.delete), methods=POST),
            *(
                Route(f"/endpoints/{{name}}/{act}", posted(endpoints.acting(act)), methods=POST)
                for act in endpoints.ACTS
            ),
            Route("/calls", shown(commands.calls)),
            Route("/calls/{id}", shown(commands.call)),
            Route("/calls/{id}/stop", posted(commands.stop), methods=POST),
            Route("/static/{version}/{name}", web.static),
        ],
        middleware=[Middleware(Guard, passed=studio.passed)],
        exception_handlers={404: _not_found, 500: _fault},
    )
    app.state.studio = studio
    return app


async def _not_found(request: Request, _: Exception) -> Response:
    return web.failed(request, InputError("there is no such page", where=request.url.path))


async def _fault(request: Request, error: Exception) -> Response:
    """A fault of ours; its traceback goes to the terminal, not to the page."""
    problem = InputError(f"internal: {type(error).__name__}", fix="this is a fault of forestay; see the terminal")
    return web.problem_page(request, problem, 500, "Something is broken")
