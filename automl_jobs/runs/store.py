"""Opening the run store: where it lies, what protects it, and MLflow's errors told as ours."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from automl_jobs.runs import database as databases
from automl_jobs.runs.source import ClientSource, NotThere, Source, SqliteSource
from forestay import project
from forestay.errors import ForestayError, InputError, OutsideError

if TYPE_CHECKING:
    from automl_jobs.runs.reopen import Reopened
    from automl_jobs.runs.rows import JobDetail, JobRow, JobStart, ModelVersion, TrialDetail, TrialRow
    from automl_jobs.runs.writer import JobWriter

PROBE_SECONDS = (3.05, 5)
"""To connect, and to answer: a tracking server that takes longer counts as unreachable."""

_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # MLflow reports its use to its makers by default
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # of 7, with pauses that double: minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # who names a folder of runs in MLFLOW_TRACKING_URI means it
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # else a line in the middle of our JSON
    "GIT_PYTHON_REFRESH": "quiet",
}


def quiet_mlflow() -> None:
    """Settings that MLflow reads while it is imported; call this before any `import mlflow`.

    No telemetry, no log lines of its own, and requests that give up within seconds. What the user has set stays.
    """
    set_environment()
    import mlflow  # noqa: F401  (its import installs the log handler that is silenced next)

    for name in ("mlflow", "alembic", "sqlalchemy.engine"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def set_environment() -> None:
    """The same settings alone, without importing MLflow: for this process and those that it starts."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


@dataclass(frozen=True)
class Place:
    """Where a run store lies.

    Attributes
    ----------
    uri: MLflow's tracking URI; may hold credentials: print `shown`.
    database: the SQLite file, None for a server or another kind of store.
    folder: for locks, cancel requests and downloaded copies; beside the database where there is one.
    """

    uri: str
    database: Path | None
    folder: Path

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def shown(self) -> str:
        return redacted(self.uri)

    @property
    def is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))


def redacted(text: str) -> str:
    """`text` without the user and password of any URL in it."""
    return re.sub(r"(\w+://)[^/\s]*@", r"\1", text)


def place(home: Path | None = None) -> Place:
    """MLFLOW_TRACKING_URI wins over `.forestay/runs.db`. Raises InputError for a URI that MLflow can't use."""
    folder = home or project.home()
    given = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if home is not None or not given:
        return Place(_sqlite_uri(folder / "runs.db"), folder / "runs.db", folder)
    if given.startswith("sqlite:///"):
        file = Path(unquote(given.removeprefix("sqlite:///").partition("?")[0])).absolute()
        return Place(_sqlite_uri(file), file, file.parent)
    return Place(given, None, folder)


def _sqlite_uri(database: Path) -> str:
    # SQLAlchemy takes the rest of the URI as it is up to a question mark: no quoting.
    if "?" in str(database):
        raise InputError("the path of the run store must not hold a question mark", where=str(database))
    return f"sqlite:///{database}"


class RunStore:
    """The run store of a project, or the one that MLFLOW_TRACKING_URI names.

    Attributes
    ----------
    place: where it lies.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    @classmethod
    def open(cls, home: Path | None = None, create: bool = True) -> RunStore:
        """Open the store.

        Parameters
        ----------
        home: a `.forestay` folder, which then wins over MLFLOW_TRACKING_URI; None looks for the project's.
        create: make the database if it is missing; False, for reading, leaves the disk as it is.

        Raises InputError for a file that is not a run store or can't be written, OutsideError for a server that can't
        be reached.
        """
        set_environment()
        store = cls(place(home))
        database = store.place.database
        if database is None:
            _probe(store.place)
        elif databases.exists(database):
            databases.check(database)
            if create:
                databases.relocate(database, store.place.artifacts)
        elif create:
            quiet_mlflow()
            databases.create(database, store.place.artifacts)
        return store

    @functools.cached_property
    def client(self) -> Any:
        """MlflowClient, whose errors come as ours; made at the first use, since it takes two seconds to import."""
        quiet_mlflow()
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        registry = self.place.uri if self.place.database else None
        try:
            return _Client(MlflowClient(tracking_uri=self.place.uri, registry_uri=registry), self.place)
        except (MlflowException, ValueError, ImportError) as error:
            raise _told(error, self.place) from error

    @functools.cached_property
    def source(self) -> Source | None:
        """What rows are read from; None while there is no database."""
        if self.place.database is None:
            return ClientSource(self.client)
        if not databases.exists(self.place.database):
            return None
        return SqliteSource(self.place.database)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Any]:
        """The client, for one write: this process is the database's only writer meanwhile, and ends what it began."""
        if self.place.database is None:
            yield self.client
            return
        client = self.client
        try:
            with project.lock(databases.lock_path(self.place.database), "the run store"), project.uninterrupted():
                yield client
        except OSError as error:
            raise _disk(error, self.place) from error

    def start_job(self, start: JobStart) -> JobWriter:
        """Record a job as Preparing. Raises InputError when its name is taken."""
        from automl_jobs.runs.writer import start_job

        return start_job(self, start)

    def reopen(self, name: str) -> Reopened:
        """Go on with a job that has ended, by its whole name. Raises OutsideError when another process runs it."""
        from automl_jobs.runs.reopen import reopen

        return reopen(self, name)

    def require_ended(self, name: str) -> None:
        """Raise OutsideError, saying who holds it, when the job of this very name is running."""
        from automl_jobs.runs.reopen import require_ended

        require_ended(self, name)

    def job_file(self, name: str) -> str:
        """The job file as it was when the job was submitted. Raises InputError when it was removed."""
        from automl_jobs.runs.read import job_file

        return job_file(self, name)

    def jobs(self) -> list[JobRow]:
        """All jobs, newest first."""
        from automl_jobs.runs.read import jobs

        return jobs(self)

    def job(self, name: str) -> JobDetail:
        """One job by its name, a unique prefix of it, or `latest`. Raises InputError."""
        from automl_jobs.runs.read import job

        return job(self, name)

    def leaderboard(self, name: str) -> list[TrialRow]:
        """The trials of a job, best first, failed ones last."""
        return self.job_and_trials(name)[1]

    def job_and_trials(self, name: str) -> tuple[JobRow, list[TrialRow]]:
        """A job and its leaderboard."""
        from automl_jobs.runs.read import job_and_trials

        return job_and_trials(self, name)

    def trial(self, name: str, rank: int | None = None) -> TrialDetail:
        """One trial of a job with its files; without a rank the job's choice.

        Raises InputError for a rank that is not there.
        """
        from automl_jobs.runs.read import trial

        return trial(self, name, rank)

    def download(self, name: str, rank: int | None, to: Path) -> tuple[TrialDetail, tuple[str, ...]]:
        """Copy a trial's outputs to the new folder `to`; the trial, and the files copied. Raises InputError."""
        from automl_jobs.runs.read import download

        return download(self, name, rank, to)

    def cancel(self, name: str) -> tuple[JobDetail, bool]:
        """Ask a job's writer to stop; the job, and whether there was anything to stop."""
        from automl_jobs.runs.read import cancel

        return cancel(self, name)

    def register(self, name: str, rank: int | None, model: str) -> ModelVersion:
        """Register a trial, without a rank the job's choice, as the next version of `model`.

        A trial already registered there gives that version.
        """
        from automl_jobs.runs.registry import register

        return register(self, name, rank, model)

    def register_file(self, outputs: Path, model: str, file: str, algorithm: str) -> ModelVersion:
        """Register an outputs folder that no job made as the next version of `model`; one like it gives that version.

        Parameters
        ----------
        outputs: copied. file: the name of the file that the model was in. algorithm: the estimator's class.
        """
        from automl_jobs.runs.foreign import register

        return register(self, outputs, model, file, algorithm)

    def model(self, name: str, version: str | None = None) -> ModelVersion:
        """A version of a model, None for the newest; `name` may be `M:3`, `M@alias`, `local:M`. Raises InputError."""
        from automl_jobs.runs.registry import model

        return model(self, name, version)

    def models(self) -> list[ModelVersion]:
        """All versions of all models, by name, newest version first; files are neither fetched nor looked for."""
        from automl_jobs.runs.registry import models

        return models(self)


class _Client:
    """MlflowClient whose errors are told as ours; a moment's lock by another program is waited out."""

    def __init__(self, client: Any, place: Place) -> None:
        self._client = client
        self._place = place

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            from mlflow.exceptions import MlflowException

            for pause in (0.05, 0.2, 0.5, 1.0, None):
                try:
                    return method(*args, **kwargs)
                except MlflowException as error:
                    if pause is None or "database is locked" not in str(error):
                        raise _told(error, self._place) from error
                    time.sleep(pause)
                except OSError as error:
                    raise _disk(error, self._place) from error
            raise AssertionError("unreachable")

        return call


def _disk(error: OSError, place: Place) -> ForestayError:
    if error.errno is None and place.is_server:  # of the requests library, whose errors are OSErrors
        return _unreachable(urlsplit(place.uri), type(error).__name__)
    return InputError(
        f"cannot read or write the run store: {error.strerror or type(error).__name__}",
        where=str(error.filename or place.shown),
        fix="check the rights and the free space there",
    )


def _told(error: Exception, place: Place) -> ForestayError:
    """An error of MLflow as one for the user."""
    text = redacted(str(error)).strip().splitlines()[0]
    if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
        return NotThere(text, where=place.shown)
    if place.database is not None:
        if "malformed" in text or "not a database" in text:
            return databases.told(place.database, "SQLite finds it malformed")
        if "out-of-date database schema" in text:
            return InputError(
                "the run store was made by an older MLflow",
                where=str(place.database),
                fix=f"copy the file, then: mlflow db upgrade {place.shown}",
            )
        if "readonly" in text:
            return databases.told(place.database, "readonly database")
        if getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE":
            return InputError(f"MLflow does not take this: {text}")
        return OutsideError(f"the run store refused: {text}", where=str(place.database))
    if place.is_server:
        return OutsideError(
            f"the tracking server refused or did not answer: {text}",
            where=place.shown,
            fix="check MLFLOW_TRACKING_URI and the credentials for it",
        )
    return InputError(
        f"MLflow cannot use this run store: {text}",
        where="MLFLOW_TRACKING_URI",
        fix="http(s)://HOST:PORT of a tracking server, sqlite:///FILE, or unset it to use .forestay/runs.db",
    )


def _probe(place: Place) -> None:
    """Raise OutsideError within seconds when nothing answers; MLflow itself tries for minutes.

    Any answer of a web server will do, `/health` is MLflow's own. A database server must accept a connection.
    """
    parts = urlsplit(place.uri)
    if place.is_server:
        import requests

        try:
            requests.get(place.uri.rstrip("/") + "/health", timeout=PROBE_SECONDS)
        except requests.exceptions.SSLError as error:
            raise _unreachable(parts, "its certificate is not trusted") from error
        except requests.Timeout as error:
            raise _unreachable(parts, "no answer in time") from error
        except requests.RequestException as error:
            raise _unreachable(parts, "no connection") from error
    port = _DATABASE_PORTS.get(parts.scheme.partition("+")[0])
    if port and parts.hostname:
        try:
            socket.create_connection((parts.hostname, parts.port or port), timeout=PROBE_SECONDS[0]).close()
        except OSError as error:
            raise _unreachable(parts, "no connection") from error


def _unreachable(parts: SplitResult, reason: str) -> OutsideError:
    return OutsideError(
        f"cannot reach the tracking server {parts.netloc.rpartition('@')[2]}: {reason}",
        where="MLFLOW_TRACKING_URI",
        fix="start it, correct the address, or unset MLFLOW_TRACKING_URI to use .forestay/runs.db",
    )
