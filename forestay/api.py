"""The Python API: jobs, models and endpoints from a script or a notebook, by the functions that the commands call.

    import forestay

    job = forestay.submit(frame, target="churned", max_trials=20)
    forestay.leaderboard(job)
    forestay.charts(job)
    model = forestay.load_model(job)
    forestay.predict(model, new_rows)

What it does is kept where the commands keep it: a job that was submitted here is listed by `forestay job list`. Errors
are those of forestay.errors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay import LOCAL
from forestay.errors import InputError
from forestay.inline import Charts, Job, Scores, screen_for

if TYPE_CHECKING:
    import pandas as pd

    from automl_jobs.code.write import Written
    from automl_jobs.evaluate import LoadedModel
    from automl_jobs.runs import ModelVersion
    from automl_jobs.submit import SubmitOptions
    from scoring.folder import ScoringFolder
    from scoring.proofs import Proof
    from scoring.targets import DeploymentRecord

JOB_FILES = (".yml", ".yaml")


def submit(
    data: str | Path | pd.DataFrame,
    target: str | None = None,
    *,
    task: str | None = None,
    metric: str | None = None,
    exclude: str | Sequence[str] = (),
    env: str = LOCAL,
    time_budget: float | str | None = None,
    max_trials: int | None = None,
    seed: int | None = None,
    prefer: str | None = None,
    decision: str | None = None,
    bagged_folds: bool = False,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    to: str | Path | None = None,
    wait: bool = True,
    force: bool = False,
    progress: bool = True,
) -> Job:
    """Train the models of a job file, or of a table, here or in Azure ML; the job.

    Parameters
    ----------
    data: a job file (.yml), a data file, a folder with an MLTable, or a DataFrame. Of data a job folder is written, as
        `forestay job new` does, so that it can be submitted again by its file.
    target: the column to predict; with data only, as are task, metric, exclude, name and to.
    task: classification, regression or forecasting; by what the target holds. metric: the primary one; by the task.
    exclude: a column to leave out, or several.
    env: "local", or a stack for Azure.
    time_budget: for the whole run: seconds, or "5m". max_trials: over the job file's.
    seed, prefer, decision, bagged_folds: as `forestay job submit` has them.
    settings: dotted keys of the job file to values, as --set takes them.
    name: the experiment's. to: the job folder to make; by default jobs/NAME, or the first free jobs/NAME-2, ...
    wait: in Azure: follow the job until it has ended. force: in Azure: also where an equal job is there.
    progress: whether it is told.

    Raises InputError, OutsideError, RunFailed, and Interrupted, whose job can go on by `forestay job resume`.
    """
    from forestay import training

    over = _settings(settings, max_trials)
    seconds = _seconds(time_budget)
    path = _job_file(data)
    screen = screen_for(progress)
    if path is None:
        if target is None:
            raise InputError("is missing: the column to predict", where="target", fix='submit(data, target="...")')
        _check_text("target", target)
        # What is said here is written into the file, so that it can be run again by itself.
        said = over | _properties(seed, prefer, decision, bagged_folds)
        path = _new_job(data, target, task, metric, exclude, env, seconds, said, name, to)
        screen.note(f"wrote {path}")
        over, seconds, seed, prefer, decision, bagged_folds = {}, None, None, None, None, False
    else:
        given = {"target": target, "task": task, "metric": metric, "name": name, "to": to}
        wrong = [key for key, value in {**given, "exclude": exclude or None}.items() if value is not None]
        if wrong:
            raise InputError("the job file says that", where=wrong[0], fix="use settings to change a key of it")
    options = _options(over, seconds, seed, prefer, decision, bagged_folds)
    if env == LOCAL:
        return Job(training.train_here(screen, path, options))
    _refuse_local(seconds, options)
    sent = training.send(screen, path, over, env, stream=wait, force=force)
    if wait:
        training.require_completed(screen, sent)
    return Job(sent.job)


def rerun(
    job: str | Job = "latest",
    data: str | Path | pd.DataFrame | None = None,
    *,
    env: str | None = None,
    time_budget: float | str | None = None,
    max_trials: int | None = None,
    seed: int | None = None,
    prefer: str | None = None,
    decision: str | None = None,
    bagged_folds: bool = False,
    settings: Mapping[str, Any] | None = None,
    to: str | Path | None = None,
    wait: bool = True,
    force: bool = False,
    progress: bool = True,
) -> Job:
    """Run a job again, on its own data or on new; the new job. See `forestay job rerun` and `submit`."""
    from forestay import training

    place = env or _env(job)
    over, seconds = _settings(settings, max_trials), _seconds(time_budget)
    options = _options(over, seconds, seed, prefer, decision, bagged_folds)
    screen = screen_for(progress)
    with _as_file(data, "data") as file:
        if place == LOCAL:
            return Job(training.train_again(screen, _name(job), options, file, None if to is None else Path(to)))
        _refuse_local(seconds, options)
        if over or to is not None:
            raise InputError("has no place in a job that is sent again as it was", where="settings" if over else "to")
        sent = training.send_again(screen, _name(job), place, file, stream=wait, force=force)
        if wait:
            training.require_completed(screen, sent)
        return Job(sent.job)


def job(name: str = "latest", env: str = LOCAL) -> Job:
    """A job by its name, the beginning of only one name, or `latest`."""
    from forestay import looking

    return Job(looking.detail(env, name))


def jobs(env: str = LOCAL) -> pd.DataFrame:
    """The jobs, newest first: job, experiment, status, task, best_score, created; of Azure's the last hundred."""
    import pandas as pd

    from forestay import looking

    return pd.DataFrame([row.as_dict() for row in looking.rows(env)])


def leaderboard(job: str | Job = "latest", env: str | None = None) -> pd.DataFrame:
    """The trials of a job by rank, best first: id, algorithm, preprocessor, score and more, and every metric.

    `frame.attrs` has the job and its primary metric.
    """
    import pandas as pd

    from forestay import looking

    found, rows = looking.trials(env or _env(job), _name(job))
    documents = [row.as_dict() for row in rows]
    metrics = [document.pop("metrics") for document in documents]
    table = pd.DataFrame(documents)
    if documents:
        measured = pd.DataFrame(metrics).rename(columns=lambda name: f"{name}_metric" if name in table else name)
        table = table.join(measured).set_index("rank")
    table.attrs = {"job": found.job, "primary_metric": found.primary_metric}
    return table


def charts(job: str | Job | Scores = "latest", rank: int | None = None) -> Charts:
    """The charts of a job and of its chosen trial, or of that of `rank`, shown by a notebook; of what `evaluate` gave.

    A job in Azure must have been fetched: forestay job download JOB --env ENV.
    """
    if isinstance(job, Scores):
        return job.charts
    from automl_jobs.runs import RunStore

    return Charts.of_job(RunStore.open(create=False), _name(job), rank)


def load_model(model: str | Job, rank: int | None = None) -> LoadedModel:
    """A fitted model that `predict` and `evaluate` take; `.model` is the pipeline itself.

    Parameters
    ----------
    model: a job, whose chosen trial it is, or that of `rank`; or a registered model: "M:3", "M@champion", "M" for its
        newest version. A name that is a job's is taken for the job.
    """
    from automl_jobs.evaluate import open_model, open_trial
    from automl_jobs.runs import RunStore
    from automl_jobs.runs.names import is_job_name

    store = RunStore.open(create=False)
    name = _name(model)
    is_job = not isinstance(model, str) or rank is not None or name == "latest"
    if not is_job and is_job_name(name):
        is_job = any(row.job == name for row in store.jobs())
    screen = screen_for(True)
    return open_trial(store, name, rank, screen.note) if is_job else open_model(store, name, screen.note)


def predict(
    model: str | Job | LoadedModel, data: str | Path | pd.DataFrame, *, probabilities: bool = False
) -> pd.DataFrame:
    """The rows with what a model says of each: `prediction`, and `probability_CLASS` where these are asked for.

    Parameters
    ----------
    model: from `load_model`, or what it takes. data: a data file, a folder with an MLTable, or a DataFrame.
    """
    from automl_jobs.evaluate import predict as asked

    return asked(_loaded(model), data, probabilities, screen_for(True).warn)


def evaluate(
    model: str | Job | LoadedModel,
    data: str | Path | pd.DataFrame,
    *,
    by: str | None = None,
    metric: str | None = None,
) -> Scores:
    """All metrics of a model on rows with its target, each with its interval; by slices of the column `by`."""
    from automl_jobs.evaluate import evaluate as judged

    return Scores(judged(_loaded(model), data, by=by, metric=metric))


def register(job: str | Job, name: str, rank: int | None = None) -> ModelVersion:
    """Register a job's chosen trial, or that of `rank`, as the next version of a model; one that is there stays it."""
    from automl_jobs.runs import RunStore

    if _env(job) != LOCAL:
        fix = f"forestay model register {_name(job)} --name {name} --env {_env(job)}"
        raise InputError("is a job of Azure", where=_name(job), fix=fix)
    return RunStore.open(create=False).register(_name(job), rank, name)


def code(job: str | Job = "latest", rank: int | None = None, to: str | Path | None = None) -> Written:
    """Write a trial's training script into a new folder; see `forestay job code`."""
    from automl_jobs.code.write import code as write
    from automl_jobs.runs import RunStore

    screen = screen_for(True)
    return write(RunStore.open(create=False), _name(job), rank, None if to is None else Path(to), screen.warn)


def generate(
    model: str | ModelVersion, to: str | Path | None = None, *, style: str = "azureml", progress: bool = True
) -> ScoringFolder:
    """Write the scoring folder of a registered model; see `forestay score generate`."""
    from forestay import project
    from scoring import generate as room

    home, source = project.home(), _version(model)
    folder = Path(to) if to is not None else room.default_folder(home, source.name, source.version, style)
    screen = screen_for(progress)
    return room.generate(source, folder, style=style, home=home, say=screen.note)


def verify(folder: str | Path | ScoringFolder, *, progress: bool = True) -> Proof:
    """Prove a scoring folder: a clean environment, the real server, the predictions of the training process.

    The proof says whether it is `verified`, and has the checks; a check that failed raises nothing.
    """
    from forestay import project
    from scoring.folder import open_folder
    from scoring.registry import registered
    from scoring.verify import verify as prove

    path = _path(folder)
    opened = open_folder(path)
    screen = screen_for(progress)
    source = registered(opened.model, opened.version, opened.trial)
    return prove(path, home=project.home(), say=screen.note, registered=source)


def deploy(
    name: str,
    model: str | ModelVersion,
    *,
    target: str | None = None,
    env: str = LOCAL,
    folder: str | Path | ScoringFolder | None = None,
    allow_breaking: bool = False,
    progress: bool = True,
    **options: Any,
) -> DeploymentRecord:
    """Serve a proven model version under a name; see `forestay endpoint deploy`.

    Parameters
    ----------
    target: aci, aks or managed, for an endpoint that is new in Azure. folder: a proven scoring folder of that model.
    options: fields of `scoring.targets.DeployOptions`: port, auth, cpu, memory_gb, replicas, traffic, ...
    """
    from forestay import project
    from scoring.targets import DeployOptions, to_deploy

    spec = model if isinstance(model, str) else f"{model.name}:{model.version}"
    try:
        chosen = DeployOptions(**options)
    except TypeError as error:
        raise InputError(str(error).partition(") ")[2] or str(error), where="options") from None
    screen = screen_for(progress)
    there, proven = to_deploy(
        name,
        spec,
        None if folder is None else _path(folder),
        target,
        env,
        project.home(),
        allow_breaking,
        screen.note,
    )
    return there.deploy(name, proven, chosen)


# ---- what callers may give, as the rooms take it ----


def _name(job: str | Job) -> str:
    return job if isinstance(job, str) else job.name


def _env(job: str | Job) -> str:
    return LOCAL if isinstance(job, str) else job.env


def _path(folder: str | Path | ScoringFolder) -> Path:
    return Path(folder) if isinstance(folder, str | Path) else folder.path


def _version(model: str | ModelVersion) -> Any:
    from scoring.registry import model_version

    return model_version(model) if isinstance(model, str) else model


def _loaded(model: str | Job | LoadedModel) -> LoadedModel:
    return load_model(model) if isinstance(model, str | Job) else model


def _job_file(data: Any) -> Path | None:
    """The job file that is given; None for data."""
    if isinstance(data, str | Path) and Path(data).suffix.lower() in JOB_FILES:
        return Path(data)
    return None


def _settings(settings: Mapping[str, Any] | None, max_trials: int | None) -> dict[str, str]:
    """Settings as `--set` takes them: dotted keys to YAML."""
    import json

    found = {key: value if isinstance(value, str) else json.dumps(value) for key, value in (settings or {}).items()}
    return found if max_trials is None else {**found, "limits.max_trials": str(max_trials)}


def _seconds(time_budget: float | str | None) -> float | None:
    from automl_jobs.submit import duration

    return duration(time_budget) if isinstance(time_budget, str) else time_budget


def _options(
    over: Mapping[str, str],
    seconds: float | None,
    seed: int | None,
    prefer: str | None,
    decision: str | None,
    bagged_folds: bool,
) -> SubmitOptions:
    from automl_jobs.submit import SubmitOptions
    from automl_jobs.submit import decision as decided

    if prefer not in (None, "speed", "balanced", "score"):
        raise InputError(f"{prefer!r} is none of speed, balanced, score", where="prefer")
    return SubmitOptions(
        overrides=over,
        time_budget=seconds,
        seed=seed,
        prefer=prefer,
        decision=None if decision is None else decided(decision),
        bagged_folds=bagged_folds,
    )


def _properties(seed: int | None, prefer: str | None, decision: str | None, bagged_folds: bool) -> dict[str, str]:
    """The same options as properties of a job file."""
    given = {"seed": seed, "prefer": prefer, "decision": decision, "bagged_folds": "true" if bagged_folds else None}
    return {f"properties.forestay.{key}": str(value) for key, value in given.items() if value is not None}


def _refuse_local(seconds: float | None, options: SubmitOptions) -> None:
    given = {
        "time_budget": seconds,
        "seed": options.seed,
        "prefer": options.prefer,
        "decision": options.decision,
        "bagged_folds": options.bagged_folds or None,
    }
    for name, value in given.items():
        if value is not None:
            fix = 'leave it out; Azure has settings={"limits.timeout_minutes": 30}'
            raise InputError("is for runs on this machine", where=name, fix=fix)


def _new_job(
    data: Any,
    target: str,
    task: str | None,
    metric: str | None,
    exclude: str | Sequence[str],
    env: str,
    seconds: float | None,
    over: Mapping[str, str],
    name: str | None,
    to: str | Path | None,
) -> Path:
    """Write a job folder for data, as `job new` does; the job file."""
    from automl_jobs.new import Wishes, free_folder_of, new_job, slug

    columns = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    for column in columns:
        _check_text("exclude", column)
    with _as_file(data, slug(name or f"predict-{target}")) as file:
        assert file is not None
        folder = Path(to) if to is not None else free_folder_of(slug(name or file.name.split(".")[0]))
        wishes = Wishes(target, folder, name, columns, task, metric, env, seconds, over)
        return new_job(str(file), wishes).job


def _check_text(where: str, name: Any) -> None:
    if not isinstance(name, str):
        raise InputError(
            f"a column's name is text, not {name!r}", where=where, fix="frame.columns.map(str) makes it so"
        )


@contextlib.contextmanager
def _as_file(data: Any, name: str) -> Iterator[Path | None]:
    """A table as a file: the one that is named, or one with the rows of a DataFrame until the block ends."""
    if data is None or isinstance(data, str | Path):
        yield None if data is None else Path(data)
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="forestay-frame-") as scratch:
        file = Path(scratch, f"{name}.parquet")
        _write_frame(data, file)
        yield file


def _write_frame(frame: Any, file: Path) -> None:
    import pandas as pd
    import pyarrow as pa

    if not isinstance(frame, pd.DataFrame):
        kind = type(frame).__name__
        raise InputError(f"takes no {kind}", where="data", fix="give a job file, a data file, or a pandas DataFrame")
    names = [name for name in frame.columns if not isinstance(name, str)]
    if names:
        raise InputError(f"the column {names[0]!r} has no text as its name", where="data", fix="frame.columns.map(str)")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"two columns are called {twice!r}", where="data", fix="rename one of them")
    try:
        frame.to_parquet(file, index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"the rows can't be kept: {reason}", where="data", fix="give each column values of one type"
        ) from error
