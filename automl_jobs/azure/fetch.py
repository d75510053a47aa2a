"""A trial's files from Azure into this machine's run store, where local runs lie too.

The whole job lands, its leaderboard and metrics included; the files only of the trial that was asked for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.azure import data, jobs, schema, storage
from automl_jobs.azure.arm import Arm
from automl_jobs.azure.jobs import Seen
from automl_jobs.runs.landing import Arrival, land
from automl_jobs.runs.read import no_model
from automl_jobs.runs.rows import TrialRow
from forestay.errors import ForestayError, InputError, OutsideError

if TYPE_CHECKING:
    from automl_jobs.azure.storage import Progress
    from automl_jobs.data import Table
    from automl_jobs.runs import RunStore

DOCUMENTS = ("confusion_matrix", "accuracy_table", "predicted_true", "residuals")
"""What Azure keeps of a trial's charts, as JSON under these names; the same that a local trial has."""
MODEL, MLFLOW_MODEL = "model.pkl", "mlflow-model/MLmodel"
"""What a trial on a table must have, and one on texts or images, which has no pickle of scikit-learn's."""
_MOST_ROWS_BYTES = 200 << 20
"""Training data of more is not downloaded to learn the columns of a model."""


def choose(seen: Seen, rank: int | None) -> TrialRow:
    """The trial of that rank, None for the one that Azure chose. Raises InputError."""
    rows = list(seen.trials)
    if not rows:
        raise InputError(f"{seen.row.job} has no trials", fix=f"forestay job show {seen.row.job} --env {seen.row.env}")
    if rank is None:
        return next((row for row in rows if row.chosen), rows[0])
    if not 1 <= rank <= len(rows):
        raise InputError(
            f"{seen.row.job} has no trial of rank {rank}: they go from 1 to {len(rows)}",
            where="--rank",
            fix=f"forestay job leaderboard {seen.row.job} --env {seen.row.env}",
        )
    return rows[rank - 1]


def fetch(
    arm: Arm, store: RunStore, given: str, rank: int | None, progress: Progress, say: Callable[[str], None]
) -> tuple[str, int]:
    """Fetch a trial; the job's name and the trial's rank in the store.

    A trial that is here already is not downloaded again. Raises InputError for one without a model, OutsideError.
    """
    seen = jobs.find(arm, given)
    row = choose(seen, rank)
    if row.score is None:
        raise no_model(seen.row, row)
    name = seen.row.job
    job_is_whole, trial_is_here = _what_is_here(store, name, row.id)
    if job_is_whole and trial_is_here:
        return name, row.rank
    arrival = Arrival(jobs.detail(arm, seen), jobs.with_metrics(arm, seen), _text(seen))
    with tempfile.TemporaryDirectory(prefix="forestay-fetch-") as scratch:
        if not trial_is_here:
            needed = MODEL if seen.row.task in jobs.TABLES else MLFLOW_MODEL
            outputs, documents = _download(arm, row, needed, Path(scratch), progress, say)
            _describe(arm, seen, row, outputs, say)
            arrival = replace(arrival, outputs={row.id: outputs}, documents={row.id: documents})
        land(store, arrival)
    return name, row.rank


def _what_is_here(store: RunStore, job: str, trial: str) -> tuple[bool, bool]:
    """Whether the store has the job as it ended, and the trial's files."""
    from automl_jobs.runs import tags

    parents = store.source.runs(tags.JOB, job) if store.source else []
    if store.source is None or not parents:
        return False, False
    runs = store.source.runs(tags.PARENT, parents[0].run_id)
    there = any(run.tags.get(tags.TRIAL) == trial and run.tags.get(tags.OUTPUTS) == "yes" for run in runs)
    return parents[0].ended is not None, there


def _download(
    arm: Arm, row: TrialRow, needed: str, to: Path, progress: Progress, say: Callable[[str], None]
) -> tuple[Path, dict[str, Any]]:
    """The trial's outputs folder, and its documents by name; `needed` must be among the outputs."""
    prefix = f"ExperimentRun/dcid.{row.run_id}/"
    store = storage.open_store(arm, storage.ARTIFACT_STORE)
    names = store.names(prefix)
    outputs = [name for name in names if name.startswith(f"{prefix}outputs/")]
    if f"{prefix}outputs/{needed}" not in outputs:
        raise OutsideError(
            f"trial {row.run_id} has no {needed} in the workspace's storage",
            where=store.account,
            fix="it may have been cleaned up; take another trial with --rank, or train again",
        )
    say(f"downloading {len(outputs)} files of trial {row.run_id}")
    folder = to / "outputs"
    folder.mkdir()
    store.download(f"{prefix}outputs/", folder, progress, outputs)
    documents = {}
    for name in DOCUMENTS:
        if prefix + name in names:
            try:
                documents[name] = json.loads(store.read(prefix + name))
            except ValueError:
                say(f"{name} of trial {row.run_id} is no JSON, and is left out")
    return folder, documents


def _describe(arm: Arm, seen: Seen, row: TrialRow, outputs: Path, say: Callable[[str], None]) -> None:
    """Write what a scoring folder needs to know of the model's columns beside it, where the data can be read."""
    if seen.row.task not in schema.TASKS:
        say(f"a model of {seen.row.task} can be fetched and registered, not served by forestay score generate")
        return
    try:
        schema.write(outputs, training_table(arm, seen), seen, row)
    except ForestayError as error:
        say(f"the columns of the training data can't be read ({error.problems[0].message}): no score generate without")


def training_table(arm: Arm, seen: Seen) -> Table:
    """The training data, read from where the job read it."""
    from automl_jobs.data import load_table

    uri = str(((seen.properties.get("taskDetails") or {}).get("trainingData") or {}).get("uri") or "")
    if "/data/" in uri and "/versions/" in uri:
        name, _, version = uri.rpartition("/data/")[2].partition("/versions/")
        asset = arm.get(arm.place.data_id(name, version), data.ASSETS, "the training data")
        uri = str((asset.get("properties") or {}).get("dataUri") or "")
    datastore, _, path = uri.partition("/datastores/")[2].partition("/paths/")
    if not datastore or not path:
        raise InputError(f"it lies at {uri or 'an unknown place'}")
    store = storage.open_store(arm, datastore)
    prefix = path.rstrip("/") + "/"
    names = store.names(prefix)
    sizes = sum(store.size(name) for name in names)
    if sizes > _MOST_ROWS_BYTES:
        raise InputError(f"it has {sizes / 1e6:,.0f} MB")
    with tempfile.TemporaryDirectory(prefix="forestay-data-") as scratch:
        folder = Path(scratch)
        store.download(prefix, folder, lambda _, __: None, names)
        return load_table(folder)


def _text(seen: Seen) -> str:
    """What was asked for, as Azure keeps it: kept with the job."""
    import yaml

    asked = {key: seen.properties.get(key) for key in ("experimentName", "computeId", "resources", "taskDetails")}
    return f"# as Azure ML keeps the job {seen.row.job}\n{yaml.safe_dump(asked, sort_keys=False, allow_unicode=True)}"
