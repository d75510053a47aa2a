"""Experiments: all jobs, one job while it runs and after, and one trial."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from forestay import LOCAL, looking, project
from forestay.errors import InputError
from forestay.words import duration, number, short, when
from studio import web
from studio.calls import command_line
from studio.web import Form, address, argument, studio, with_env

if TYPE_CHECKING:
    from automl_jobs.runs import JobRow, RunStore
    from automl_jobs.runs.report.content import Content

ROWS_A_PAGE = 50
SORTS: dict[str, Callable[[Any], Any]] = {
    "created": lambda row: row.created,
    "job": lambda row: row.job,
    "experiment": lambda row: (row.experiment.lower(), row.created),
    "status": lambda row: row.status,
    "trials": lambda row: row.trials,
    "score": lambda row: (row.best is not None, row.best.score if row.best else 0.0),
    "took": lambda row: row.duration_seconds or 0.0,
}
FALLING = ("created", "trials", "score", "took")
"""Columns whose largest comes first, unless they are turned round."""
EVERY_MS, EVERY_MS_AZURE = 2000, 20_000


def store() -> RunStore:
    from automl_jobs.runs import RunStore

    return RunStore.open(create=False)


@dataclass(frozen=True)
class Choice:
    """What a dashboard is asked to show."""

    env: str
    text: str
    status: str
    sort: str
    turned: bool
    number: int

    def other(self, **changes: Any) -> str:
        """The address of the same with something else."""
        new = {**self.__dict__, **changes}
        return address(
            "",
            env=new["env"],
            text=new["text"],
            status=new["status"],
            sort="" if new["sort"] == "created" else new["sort"],
            turned="1" if new["turned"] else "",
            page="" if new["number"] == 1 else str(new["number"]),
        )

    def by(self, name: str) -> str:
        """The address of the same, sorted by a column, or turned round where it is already."""
        return self.other(sort=name, turned=self.sort == name and not self.turned, number=1)

    def direction(self, name: str) -> str:
        """For aria-sort."""
        if self.sort != name:
            return ""
        return "descending" if (name in FALLING) != self.turned else "ascending"


def dashboard(request: Request) -> Response:
    """The jobs of this machine, or of an environment."""
    asked = request.query_params
    sort = asked.get("sort", "created")
    page = asked.get("page", "1")
    choice = Choice(
        env=web.env_of(request),
        text=asked.get("text", "").strip(),
        status=asked.get("status", ""),
        sort=sort if sort in SORTS else "created",
        turned=asked.get("turned") == "1",
        number=max(1, int(page)) if page.isdigit() and len(page) < 6 else 1,
    )
    every = looking.rows(choice.env)
    rows = [row for row in every if _fits(row, choice)]
    rows.sort(key=SORTS[choice.sort], reverse=(choice.sort in FALLING) != choice.turned)
    pages = max(1, -(-len(rows) // ROWS_A_PAGE))
    choice = replace(choice, number=min(choice.number, pages))
    begin = (choice.number - 1) * ROWS_A_PAGE
    return web.page(
        request,
        "jobs",
        command=command_line(with_env(["job", "list"], choice.env)),
        choice=choice,
        envs=[LOCAL, *project.environments()],
        every=len(every),
        cut=choice.env != LOCAL and len(every) >= _listed(),
        found=len(rows),
        pages=pages,
        rows=[_line(row) for row in rows[begin : begin + ROWS_A_PAGE]],
        statuses=sorted({row.status for row in every}),
        every_ms=refresh_ms(choice.env, any(is_open(row.status) for row in every)),
    )


def _listed() -> int:
    """How many jobs of an environment are listed."""
    from automl_jobs.azure.jobs import LISTED

    return LISTED


def is_open(status: str) -> bool:
    """Whether a job of this status still changes."""
    from automl_jobs.runs.rows import ENDED

    return status not in ENDED


def refresh_ms(env: str, going_on: bool) -> int:
    """How often a page asks for itself again; 0 for never."""
    return 0 if not going_on else EVERY_MS if env == LOCAL else EVERY_MS_AZURE


def _fits(row: JobRow, choice: Choice) -> bool:
    words = f"{row.job} {row.experiment} {row.task} {row.primary_metric}".lower()
    return choice.text.lower() in words and choice.status in ("", row.status)


def _line(row: JobRow) -> dict[str, Any]:
    return {
        "row": row,
        "score": number(row.best.score) if row.best else None,
        "model": row.best.algorithm if row.best else None,
        "started": when(str(row.as_dict()["created"])),
        "took": duration(row.duration_seconds),
    }


def job(request: Request) -> Response:
    """One job: its chart and trials as they come, its log, and what can be done with it."""
    env, name = web.env_of(request), argument(request.path_params["job"])
    call = studio(request).calls.of_job(name)
    try:
        content = looking.content(env, name)
    except InputError:
        # Started here: it has a row once its file is checked and its data read, or ends before with a reason.
        if call is None:
            raise
        calls, every_ms = studio(request).calls, EVERY_MS if call.running else 0
        output, stops = calls.output(call), calls.stops(call)
        return web.page(
            request, "job_soon", name=name, env=env, call=call, output=output, stops=stops, every_ms=every_ms
        )
    from automl_jobs.runs.report import charts, page, views

    found = content.job
    columns, rows = views.leaderboard(content.trials, found.primary_metric)
    going_on = is_open(found.status)
    return web.page(
        request,
        "job",
        command=command_line(with_env(["job", "show", found.job], env)),
        job=found,
        env=env,
        call=call,
        going_on=going_on,
        every_ms=refresh_ms(env, going_on or bool(call and call.running)),
        tiles=views.tiles(content),
        summary=views.summary(content),
        left=_left(content) if going_on else None,
        trials_chart=charts.of_trials(content),
        columns=columns,
        board=[_linked(cells, found.job, row.rank, env) for cells, row in zip(rows, content.trials, strict=True)],
        right=(0, *range(3, len(columns) - 1)),
        output=studio(request).calls.output(call) if call else "",
        chosen=next((place for place, row in enumerate(content.trials) if row.chosen), None),
        failures=views.failures(content.trials),
        report=None if going_on else page.values(content),
        report_line=command_line(_report(found.job, env)),
        leaderboard_line=command_line(with_env(["job", "leaderboard", found.job], env)),
    )


def _linked(cells: list[Any], job: str, rank: int, env: str) -> list[Any]:
    """A row of the leaderboard that leads to its trial, where that is here."""
    if env != LOCAL:
        return cells
    href = address("jobs", job, "trials", str(rank))
    return [{"text": rank, "sort": rank, "href": href}, {"text": cells[1], "sort": cells[1], "href": href}, *cells[2:]]


def _left(content: Content) -> dict[str, Any] | None:
    """How much of the time budget of a running job is used, where it has one."""
    budget = content.job.parameters.get("time_budget_seconds")
    if budget is None or content.job.started is None:
        return None
    used = time.time() - content.job.started / 1000
    total = float(budget)
    return {"used": duration(used), "total": duration(total), "share": round(min(1.0, used / total) * 100)}


def _report(job: str, env: str) -> list[str]:
    return with_env(["job", "report", job, "--to", f"{job}.html"], env)


def report(request: Request) -> Response:
    """The report as a file to save: the same as `job report` writes."""
    from automl_jobs.runs.report import page

    env, name = web.env_of(request), argument(request.path_params["job"])
    content = looking.content(env, name)
    headers = {"Content-Disposition": f'attachment; filename="{content.job.job}.html"'}
    return Response(page.html(content), media_type="text/html", headers=headers)


def trial(request: Request) -> Response:
    """One trial: metrics, curves, parameters, files."""
    env, name = web.env_of(request), argument(request.path_params["job"])
    rank = request.path_params["rank"]
    if env != LOCAL:
        raise InputError(
            "a trial of Azure's is shown once its files are here",
            where=f"rank {rank}",
            fix=f"fetch it: {command_line(with_env(['job', 'download', name, '--rank', str(rank)], env))}",
        )
    from automl_jobs.runs.report import page
    from automl_jobs.runs.report.content import collect

    opened = store()
    content = replace(collect(opened, name), best=opened.trial(name, rank))
    assert content.best is not None
    row = content.best.row
    values = {**page.values(content), **page.of_charts(content)}
    for name_of in ("job", "tiles"):
        del values[name_of]
    return web.page(
        request,
        "trial",
        command=command_line(["job", "trial", content.job.job, "--rank", str(rank)]),
        job=content.job,
        row=row,
        tiles=_trial_tiles(content),
        last=len(content.trials),
        files=[(path, f"{size:,}") for path, size in content.best.files],
        model_name=_model_name(content.job.experiment),
        download_line=command_line(["job", "download", content.job.job, "--rank", str(rank), "--to", "model"]),
        versions=[one for one in opened.models() if (one.job, one.trial) == (content.job.job, row.id)],
        **values,
    )


def _trial_tiles(content: Content) -> list[Any]:
    from automl_jobs.runs.report.views import Tile

    assert content.best is not None
    row = content.best.row
    std = f"± {row.score_std:.2g} over the folds" if row.score_std is not None else ""
    found = [
        Tile(content.job.primary_metric, number(row.score) or "-", std),
        Tile("on training rows", number(row.train_score) or "-"),
        Tile("one row", f"{short(row.predict_ms)} ms", words=True),
        Tile("model.pkl", f"{short(row.model_mb)} MB", words=True),
        Tile("took", duration(row.duration_seconds) or "-", words=True),
    ]
    return [one for one in found if one.value.partition(" ")[0] != "-"]


def _model_name(experiment: str) -> str:
    import re

    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", experiment))[:60] or "Model"


def model_file(request: Request) -> Response:
    """A trial's model.pkl, as a file to save."""
    name, rank = argument(request.path_params["job"]), request.path_params["rank"]
    found = store().trial(name, rank)
    path = None if found.outputs is None else found.outputs / "model.pkl"
    if path is None or not path.is_file():
        raise InputError(f"there is no model.pkl of trial {rank} of {name}", where="--rank")
    return FileResponse(path, media_type="application/octet-stream", filename="model.pkl")


def cancel(request: Request, form: Form) -> Response:
    env, name = web.env_of(request), argument(request.path_params["job"])
    call = studio(request).calls.start(with_env(["job", "cancel", name], env), then=job_address(name, env))
    return web.started(call)


def watch(request: Request, form: Form) -> Response:
    """Follow a job that was started elsewhere: what `job watch` writes is its log here."""
    env, name = web.env_of(request), argument(request.path_params["job"])
    studio(request).calls.start(with_env(["job", "watch", name], env), job=name, then=job_address(name, env))
    return RedirectResponse(job_address(name, env), 303)


def resume(request: Request, form: Form) -> Response:
    name = argument(request.path_params["job"])
    words = ["job", "resume", name]
    if budget := form.get("time_budget").strip():
        words += ["--time-budget", argument(budget)]
    studio(request).calls.start(words, job=name, then=job_address(name, LOCAL))
    return RedirectResponse(job_address(name, LOCAL), 303)


def fetch(request: Request, form: Form) -> Response:
    """Bring a trial of Azure's into the run store here."""
    env, name = web.env_of(request), argument(request.path_params["job"])
    rank = argument(form.get("rank") or "1")
    words = with_env(["job", "download", name, "--rank", rank], env)
    return web.started(studio(request).calls.start(words, then=address("jobs", name, "trials", rank)))


def register(request: Request, form: Form) -> Response:
    name, rank = argument(request.path_params["job"]), request.path_params["rank"]
    model = argument(form.required("name"))
    words = ["model", "register", name, "--rank", str(rank), "--name", model]
    return web.started(studio(request).calls.start(words, then=address("models", model)))


def job_address(name: str, env: str) -> str:
    return address("jobs", name, env=env)
