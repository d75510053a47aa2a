"""Where rows are read from: MLflow's SQLite tables directly, or a server through MlflowClient.

Importing MLflow and its database layer takes two seconds, the queries a hundredth of one. So what is only read from
a database on this machine is read by SQL, from eight tables whose shape is checked against MlflowClient in the tests;
everything is written through MlflowClient.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from automl_jobs.runs.database import opened
from forestay.errors import InputError

PAGE = 1000
_HEADS = (
    "SELECT r.run_uuid, r.experiment_id, e.name, r.status, r.end_time, r.artifact_uri"
    " FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id"
)
# A JSON list of ids.
_IDS = "(SELECT value FROM json_each(?))"
_ACTIVE = " AND r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'"


@dataclass(frozen=True)
class Run:
    """A run of MLflow's. Times are milliseconds since 1970; `ended` is None until it has ended, or goes on again.

    Attributes
    ----------
    status: MLflow's word: RUNNING, SCHEDULED, FINISHED, FAILED, KILLED.
    metrics: the last value of each; none that is not a finite number.
    """

    run_id: str
    experiment_id: str
    experiment: str
    status: str
    ended: int | None
    artifact_uri: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Version:
    """A version of a model in MLflow's registry."""

    name: str
    version: str
    created: int
    run_id: str
    tags: Mapping[str, str]


class NotThere(InputError):
    """The store has nothing of that name or id."""


class Source(Protocol):
    """What reading needs of a run store."""

    def runs(self, tag: str, value: str) -> list[Run]:
        """The runs that have this tag with this value; deleted ones are left out."""
        ...

    def run(self, run_id: str) -> Run | None:
        """One run, also one that is marked as deleted, whose files are still there; None when it is gone."""
        ...

    def versions(self, name: str | None = None) -> list[Version]:
        """The versions of a model, or of all."""
        ...

    def aliases(self, name: str | None = None) -> dict[str, dict[str, str]]:
        """The aliases of a model, or of all: for each model the version of each."""
        ...


class SqliteSource:
    """Reads MLflow's tables; a connection a call, each a consistent view."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def runs(self, tag: str, value: str) -> list[Run]:
        return self._runs("SELECT run_uuid FROM tags WHERE key = ? AND value = ?", (tag, value))

    def run(self, run_id: str) -> Run | None:
        found = self._runs("SELECT ?", (run_id,), deleted=True)
        return found[0] if found else None

    def _runs(self, chosen: str, values: tuple[str, ...], deleted: bool = False) -> list[Run]:
        """The runs whose ids the query `chosen`, one of those above, gives."""
        with self._reading() as connection:
            # Tags have no index by value: they are gone through once, not for each of the tables.
            ids = (json.dumps([run_id for (run_id,) in connection.execute(chosen, values)]),)
            heads = connection.execute(
                f"{_HEADS} WHERE r.run_uuid IN {_IDS}{'' if deleted else _ACTIVE}", ids
            ).fetchall()
            tags = _by_run(connection.execute(_details("tags"), ids))
            params = _by_run(connection.execute(_details("params"), ids))
            metrics = _by_run(connection.execute(_details("latest_metrics") + " AND is_nan = 0", ids))
        return [
            Run(
                run_id=run_id,
                experiment_id=str(experiment_id),
                experiment=experiment,
                status=status,
                ended=_ended(status, ended),
                artifact_uri=artifact_uri,
                tags=tags.get(run_id, {}),
                params=params.get(run_id, {}),
                metrics=_finite(metrics.get(run_id, {})),
            )
            for run_id, experiment_id, experiment, status, ended, artifact_uri in heads
        ]

    def versions(self, name: str | None = None) -> list[Version]:
        with self._reading() as connection:
            heads = connection.execute(
                "SELECT name, version, creation_time, run_id FROM model_versions"
                " WHERE current_stage <> 'Deleted_Internal' AND (? IS NULL OR name = ?)",
                (name, name),
            ).fetchall()
            tags: dict[tuple[str, int], dict[str, str]] = {}
            for model, version, key, value in connection.execute(
                "SELECT name, version, key, value FROM model_version_tags WHERE ? IS NULL OR name = ?", (name, name)
            ):
                tags.setdefault((model, version), {})[key] = value
        return [
            Version(model, str(version), created, run_id, tags.get((model, version), {}))
            for model, version, created, run_id in heads
        ]

    def aliases(self, name: str | None = None) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        with self._reading() as connection:
            for model, alias, version in connection.execute(
                "SELECT name, alias, version FROM registered_model_aliases WHERE ? IS NULL OR name = ?", (name, name)
            ):
                found.setdefault(model, {})[alias] = str(version)
        return found

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with opened(self._database) as connection:
            connection.execute("BEGIN")
            yield connection


def _details(table: str) -> str:
    return f"SELECT run_uuid, key, value FROM {table} WHERE run_uuid IN {_IDS}"  # noqa: S608  (names of ours)


def _by_run(rows: Iterable[tuple[str, str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for run_id, key, value in rows:
        found.setdefault(run_id, {})[key] = value
    return found


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in sorted(metrics.items()) if math.isfinite(value)}


class ClientSource:
    """Reads through MlflowClient, page by page."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._experiments: dict[str, str] = {}

    def runs(self, tag: str, value: str) -> list[Run]:
        for found in _pages(self._client.search_experiments):
            self._experiments[str(found.experiment_id)] = str(found.name)
        if not self._experiments:
            return []
        query = f"tags.`{tag}` = '{value}'"
        return [
            _run(run, self._experiments[str(run.info.experiment_id)])
            for run in _pages(self._client.search_runs, experiment_ids=list(self._experiments), filter_string=query)
        ]

    def run(self, run_id: str) -> Run | None:
        try:
            found = self._client.get_run(run_id)
        except NotThere:
            return None
        experiment = str(found.info.experiment_id)
        if experiment not in self._experiments:
            self._experiments[experiment] = str(self._client.get_experiment(experiment).name)
        return _run(found, self._experiments[experiment])

    def versions(self, name: str | None = None) -> list[Version]:
        query = {} if name is None else {"filter_string": f"name = '{name}'"}
        return [
            Version(found.name, str(found.version), found.creation_timestamp, found.run_id, dict(found.tags))
            for found in _pages(self._client.search_model_versions, **query)
        ]

    def aliases(self, name: str | None = None) -> dict[str, dict[str, str]]:
        query = {} if name is None else {"filter_string": f"name = '{name}'"}
        return {
            found.name: {alias: str(version) for alias, version in found.aliases.items()}
            for found in _pages(self._client.search_registered_models, **query)
        }


def _ended(status: str, moment: int | None) -> int | None:
    """MLflow keeps the old end of a run that goes on again."""
    return None if status in ("RUNNING", "SCHEDULED") else moment


def _pages(search: Any, **query: Any) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = search(max_results=PAGE, page_token=token, **query)
        found.extend(page)
        token = page.token
        if not token:
            return found


def _run(run: Any, experiment: str) -> Run:
    return Run(
        run_id=run.info.run_id,
        experiment_id=str(run.info.experiment_id),
        experiment=experiment,
        status=run.info.status,
        ended=_ended(run.info.status, run.info.end_time),
        artifact_uri=run.info.artifact_uri,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=_finite(run.data.metrics),
    )
