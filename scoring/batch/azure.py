"""Score a file in Azure ML: a job on the environment's cluster, on several nodes at once, and its parts put together.

Stages: the work is looked at as for this machine -> the proven folder, the file and our reader are uploaded, each once
by its content -> a job runs azure_entry on every node, started by MPI -> its answers come back and are written beside
the rows of the file, in their order, as what workers on this machine answer. The job runs in the environment of the
lock, as a managed endpoint does, which may have nothing that reads Parquet: rows of such a file are sent as JSON.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forestay
import scoring
from automl_jobs.azure import failures, storage, submit
from automl_jobs.azure.arm import Arm
from automl_jobs.azure.jobs import CANCEL, JOBS
from automl_jobs.azure.storage import Datastore
from automl_jobs.runs import names
from automl_jobs.runs.rows import ENDED
from forestay import project
from forestay.errors import InputError, Interrupted, OutsideError, RunFailed
from scoring.batch import azure_entry
from scoring.batch.pool import Scored
from scoring.batch.run import Done, Progress, Say, Work, look, write
from scoring.batch.tables import Block, CsvTable
from scoring.folder import scratch_folder
from scoring.targets.managed_assets import ASSETS, Storehouse, folder_address

LOOK_SECONDS, PATIENCE_SECONDS = 5.0, 900.0
# What runs there of ours: readers and workers, which need nothing but Python.
SENT = {
    forestay: ("__init__.py", "errors.py"),
    scoring: (
        *("__init__.py", "cells.py", "process.py", "server.py"),
        *(f"batch/{name}.py" for name in ("__init__", "azure_entry", "pool", "tables", "worker")),
    ),
}


@dataclass(frozen=True)
class Asked:
    """What a job is asked for. `mark` of the file's content; `nodes` at once; `workers` on each, 0 for one a core."""

    work: Work
    source: Path
    mark: str
    nodes: int
    workers: int


def score_file(
    arm: Arm,
    path: Path,
    source: Path,
    output: Path,
    *,
    rejects: Path | None = None,
    probabilities: bool = False,
    nodes: int = 1,
    workers: int | None = None,
    home: Path,
    say: Say = lambda _: None,
    progress: Progress = lambda rows, share: None,
) -> Done:
    """Score the file `source` in Azure into `output`, whole or not at all; the rows keep their order.

    Parameters as of scoring.batch.run.score_file(); `nodes` is how many of the cluster score at once.

    Raises InputError, OutsideError as that and Azure's clients do; RunFailed when the job fails, no row was scored or
    the file was changed meanwhile; Interrupted at Ctrl-C, after the job was asked to end.
    """
    started = time.monotonic()
    work = look(path, source, output, rejects, probabilities, home)
    store = storage.open_store(arm)
    asked = Asked(work, source, project.sha256(source), nodes, workers or 0)
    job = _send(arm, store, asked, home, say, progress)
    say(f"job {job}: {arm.place.studio}")
    try:
        _follow(arm, job, say)
    except KeyboardInterrupt as error:
        arm.post(f"{arm.place.path}/jobs/{job}/cancel", CANCEL, f"the job {job}")
        raise Interrupted(f"{job} was asked to end; nothing was written", fix="run the same command again") from error
    with scratch_folder(home, say) as scratch:
        say("fetching what was scored")
        store.download(_outputs(job), scratch, lambda *_: None)
        if project.sha256(source) != asked.mark:
            fix = "let it be as it is, and run the same command again"
            raise RunFailed("was changed while it was scored; nothing was written", where=str(source), fix=fix)
        return write(work, source, output, _answers(asked, scratch), progress, started)


def _send(arm: Arm, store: Datastore, asked: Asked, home: Path, say: Say, progress: Progress) -> str:
    """Upload what Azure lacks and make the job; its name."""
    work, place = asked.work, arm.place
    compute = place.compute_id(place.cluster)
    if arm.find(compute, submit.COMPUTES, f"the cluster {place.cluster}") is None:
        fix = f"make it: forestay infra up --env {place.env}"
        raise InputError(f"there is no cluster {place.cluster} in {place.workspace}", where=place.stack_file, fix=fix)
    storehouse = Storehouse(arm, store, home, say)
    environment = storehouse.ensure(work.folder, work.folder_hash, None).environment
    with scratch_folder(home, say) as scratch:
        rows = _readable(asked, scratch, say)
        mark = asked.mark if rows is asked.source else project.sha256(rows)
        prefix = f"forestay/batch/rows/{mark[:32]}"
        say(f"uploading {asked.source.name}, {rows.stat().st_size / 1e6:,.1f} MB")
        store.upload(rows.parent.absolute(), [rows.name], prefix, lambda done, total: progress(0, 0.0))
    job = names.new_job_name()
    body = _body(arm, asked, _code(arm, store), environment, compute, job, f"{prefix}/{rows.name}")
    arm.put(f"{place.path}/jobs/{job}", JOBS, f"the job {job}", body)
    return job


def _readable(asked: Asked, scratch: Path, say: Say) -> Path:
    """The file as the job can read it: itself, or its rows."""
    if isinstance(asked.work.table, CsvTable):
        return asked.source
    say(f"packing the rows of {asked.source.name}")
    packed = scratch / azure_entry.PACKED
    azure_entry.pack(asked.work.table, [one["name"] for one in asked.work.settings["columns"]], packed)
    return packed


def _code(arm: Arm, store: Datastore) -> str:
    """The asset of our own modules that the job runs."""
    with tempfile.TemporaryDirectory() as scratch:
        for package, files in SENT.items():
            root = Path(package.__file__ or "").parent
            for name in files:
                target = Path(scratch, root.name, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, target)
        there = storage.files_below(Path(scratch))
        mark = storage.content_mark(Path(scratch), there)
        prefix = f"forestay/batch/code/{mark}"
        path = f"{arm.place.path}/codes/forestay-batch-{mark}/versions/1"
        if arm.find(path, ASSETS, "the code of the job") is None:
            store.upload(Path(scratch), there, prefix, lambda *_: None)
            about = {"isAnonymous": True, "isArchived": False, "description": "Made by forestay", "properties": {}}
            arm.put(
                path,
                ASSETS,
                "the code of the job",
                {"properties": {"codeUri": store.address(prefix), **about, "tags": {}}},
            )
    return path


def _body(arm: Arm, asked: Asked, code: str, environment: str, compute: str, job: str, rows: str) -> dict[str, Any]:
    work, place = asked.work, arm.place

    def address(path: str) -> str:
        return place.datastore_uri(storage.DATA_STORE, path)

    settings = {"settings": work.settings, "workers": asked.workers}
    several = {"distribution": {"distributionType": "Mpi", "processCountPerInstance": 1}} if asked.nodes > 1 else {}
    return {
        "properties": {
            "jobType": "Command",
            "displayName": f"score {asked.source.name} with {work.folder.model} {work.folder.version}",
            "experimentName": "forestay-batch",
            "computeId": compute,
            "codeId": code,
            "environmentId": environment,
            "command": "python -m scoring.batch.azure_entry ${{inputs.folder}} ${{inputs.rows}} ${{outputs.scored}}",
            "environmentVariables": {"FORESTAY_BATCH": json.dumps(settings)},
            "inputs": {
                "folder": {
                    "jobInputType": "uri_folder", "mode": "Download", "uri": address(folder_address(work.folder_hash))
                },
                "rows": {"jobInputType": "uri_file", "mode": "ReadOnlyMount", "uri": address(rows)},
            },
            "outputs": {"scored": {"jobOutputType": "uri_folder", "mode": "Upload", "uri": address(_outputs(job))}},
            "resources": {"instanceCount": asked.nodes},
            **several,
            "tags": {"forestay.model": work.folder.model, "forestay.version": work.folder.version},
            "properties": {},
        }
    }  # fmt: skip


def _follow(arm: Arm, job: str, say: Callable[[str], None]) -> None:
    """Wait until the job has ended. Raises RunFailed, with the end of its log, when it did not complete."""
    told, away = "", time.monotonic()
    while True:
        try:
            found = arm.get(f"{arm.place.path}/jobs/{job}", JOBS, f"the job {job}")
            away = time.monotonic()
        except OutsideError:
            if time.monotonic() - away > PATIENCE_SECONDS:
                raise
            found = {}
        status = str((found.get("properties") or {}).get("status") or told)
        if status != told:
            say(f"{job}: {status}")
            told = status
        if status == ENDED[0]:
            return
        if status in ENDED:
            for line in failures.last_lines(arm, job)[1]:
                say(f"  log | {line}")
            raise RunFailed(f"{job} ended as {status}", where=arm.place.studio, fix="see its log, above")
        time.sleep(LOOK_SECONDS)


def _answers(asked: Asked, parts: Path) -> Iterator[tuple[Block, Scored]]:
    """The blocks of the file, each with what the node in whose turn it was answers. Raises RunFailed for a lack."""
    there = len(list(parts.glob("index-*.json")))
    if there != asked.nodes:
        raise _lacking(asked, f"{there} of the job's {asked.nodes} nodes gave their part")
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context((parts / f"scored-{rank:04}.jsonl").open("rb")) for rank in range(there)]
        for number, block in enumerate(asked.work.table.blocks()):
            line = streams[number % there].readline()
            if not line:
                raise _lacking(asked, f"node {number % there} of the job gave no answer to row {block.first}")
            results, rejects = json.loads(line)
            yield block, Scored(results, dict(rejects))


def _lacking(asked: Asked, told: str) -> RunFailed:
    return RunFailed(told, where=str(asked.source), fix="run the same command again")


def _outputs(job: str) -> str:
    return f"forestay/batch/scored/{job}/"
