"""`forestay ship`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.cli import Command, console
from forestay.commands.job_submit import (
    azure_options,
    read_options,
    refuse_azure_options,
    refuse_local_options,
    submit_options,
)
from forestay.errors import InputError

if TYPE_CHECKING:
    from forestay.ship import Shipment, Step
    from forestay.ship_gate import Gate


@click.command(cls=Command)
@click.argument("job_file", metavar="JOB.yml", type=click.Path(path_type=Path))
@click.option("--model", required=True, metavar="NAME", help="Register the trial under this name.")
@click.option("--endpoint", required=True, metavar="NAME", help="3-32 lower-case letters, digits, hyphens.")
@click.option(
    "--target",
    type=click.Choice(["local", "aci", "aks", "managed"]),
    default="local",
    show_default=True,
    help="Where it is served.",
)
@click.option("--job", metavar="JOB", default="", help="Ship this trained job instead of training anew.")
@click.option("--rank", type=click.IntRange(1), help="Which trial of the leaderboard; without it the chosen one.")
@click.option("--allow-breaking", is_flag=True, help="Also where callers of what the endpoint serves would break.")
@click.option("--if-better", is_flag=True, help="Deploy only what is better than what the endpoint serves.")
@click.option("--metric", metavar="M", help="With --if-better: the metric that counts, instead of the job's.")
@click.option("--threshold", type=float, help="With --if-better: by how much, as in model compare.  [default: 0]")
@click.option(
    "--test-data", type=click.Path(path_type=Path), metavar="DATA", help="With --if-better: rows, instead of the job's."
)
@submit_options
@azure_options
@click.pass_context
def ship(
    context: click.Context,
    job_file: Path,
    model: str,
    endpoint: str,
    target: str,
    job: str,
    rank: int | None,
    allow_breaking: bool,
    if_better: bool,
    metric: str | None,
    threshold: float | None,
    test_data: Path | None,
    overrides: tuple[str, ...],
    time_budget: str | None,
    seed: int | None,
    prefer: str | None,
    decision: str | None,
    bagged_folds: bool,
    env: str,
    force: bool,
    create_compute: bool,
) -> None:
    """From a job file to an answering endpoint: train, register, generate, prove, deploy, call.

    With --env of Azure the job is trained there, followed, and fetched; its model is registered in the workspace as
    well. Ctrl-C leaves such a job running. A failed step says which, why, and the command that goes on from there.

    With --if-better the new version is held against what the endpoint serves, on the job's test data, as `model
    compare` does it. What is not better is registered and not deployed: what is served is kept, and the exit code is
    1. An endpoint that serves nothing yet takes the first version as it is.

    Example: forestay ship job.yml --model CategorizeTransactions --endpoint categorize-transactions
    """
    from automl_jobs.engine import nursery
    from forestay.live import clock, listener_for
    from forestay.login import require_packages
    from forestay.ship import Shipment, steps
    from forestay.ship import ship as run
    from forestay.watching import progress_for, watcher_for

    screen = console(context)
    if job:
        _refuse_training_options(context)
    if env == LOCAL:
        refuse_azure_options(force=force, create_compute=create_compute)
    else:
        refuse_local_options(time_budget, seed, prefer, decision, bagged_folds)
        require_packages(env)
    shipment = Shipment(
        job_file=job_file,
        options=read_options(overrides, time_budget, seed, prefer, decision, bagged_folds, env),
        model=model,
        endpoint=endpoint,
        target=target,
        listeners=lambda metric, limit: listener_for(screen, metric, limit),
        watchers=lambda: watcher_for(screen),
        progress=lambda what: progress_for(screen, what),
        say=lambda text: screen.note(f"      {text}"),
        job=job,
        rank=rank,
        allow_breaking=allow_breaking,
        create_compute=create_compute,
        force=force,
        gate=_gate(if_better, metric, threshold, test_data),
    )
    count = len(steps(env, if_better))

    def done(number: int, step: Step, result: str, seconds: float) -> None:
        screen.note(f"[{number}/{count}] {step.name:<9} {clock(seconds):>5}  {result}")

    if env == LOCAL:
        with nursery.at_hand() as workers:
            shipment.before_data = workers
            run(shipment, done)
    else:
        run(shipment, done)
    if shipment.gate is not None and shipment.gate.kept:
        screen.emit(_kept(shipment), lambda: _kept_view(shipment))
        context.exit(1)
    screen.emit(_document(shipment), lambda: _view(shipment))


_OF_TRAINING = {"overrides": "--set"} | {
    name: f"--{name.replace('_', '-')}"
    for name in ("time_budget", "seed", "prefer", "decision", "bagged_folds", "create_compute", "force")
}


def _refuse_training_options(context: click.Context) -> None:
    """Raise InputError where a job that is trained is given options of a training."""
    for name, flag in _OF_TRAINING.items():
        given = context.params[name]
        if given is not None and given is not False and given != ():
            fix = "leave it out, or leave --job out to train anew"
            raise InputError("has no effect on a job that is trained", where=flag, fix=fix)


def _gate(if_better: bool, metric: str | None, threshold: float | None, test_data: Path | None) -> Gate | None:
    from forestay.ship_gate import Gate

    given = {"--metric": metric, "--threshold": threshold, "--test-data": test_data}
    alone = [flag for flag, value in given.items() if value is not None]
    if alone and not if_better:
        raise InputError("goes with --if-better", where=alone[0], fix="add --if-better, or leave it out")
    return Gate(metric, threshold or 0.0, test_data) if if_better else None


def _kept(shipment: Shipment) -> dict[str, Any]:
    """The JSON where what is served stays."""
    assert shipment.gate is not None
    assert shipment.gate.champion is not None
    assert shipment.gate.comparison is not None
    assert shipment.version is not None
    return {
        "job": shipment.job,
        "model": shipment.version.name,
        "version": shipment.version.version,
        "kept": True,
        "comparison": shipment.gate.comparison.as_dict(),
        "endpoint": shipment.gate.champion.as_dict(),
        "registered": None if shipment.registered is None else shipment.registered.as_dict(),
        "steps": _steps(shipment),
    }


def _steps(shipment: Shipment) -> list[dict[str, Any]]:
    return [{"name": name, "seconds": round(seconds, 2)} for name, seconds in shipment.seconds.items()]


def _kept_view(shipment: Shipment) -> Iterable[Any]:
    from forestay.commands.model_ask import compared_view

    assert shipment.gate is not None
    assert shipment.gate.champion is not None
    assert shipment.gate.comparison is not None
    yield from compared_view(shipment.gate.comparison)
    served = shipment.gate.champion
    yield f"kept: endpoint {served.name} goes on serving {served.model}:{served.version}"


def _document(shipment: Shipment) -> dict[str, Any]:
    assert shipment.version is not None
    assert shipment.proof is not None
    assert shipment.record is not None
    compared = shipment.gate.comparison if shipment.gate is not None else None
    return {
        "job": shipment.job,
        "model": shipment.version.name,
        "version": shipment.version.version,
        "path": str(shipment.folder),
        "verified": shipment.proof.verified,
        "kept": False,
        "comparison": None if compared is None else compared.as_dict(),
        "endpoint": shipment.record.as_dict(),
        "answer": shipment.answer,
        "registered": None if shipment.registered is None else shipment.registered.as_dict(),
        "steps": _steps(shipment),
    }


def _view(shipment: Shipment) -> Iterable[Any]:
    """Leaderboard, proof, address, a curl line, and the prediction for it."""
    import json
    import shlex

    from automl_jobs.runs import RunStore
    from forestay.commands.job_views import leaderboard_view
    from forestay.commands.score import proof_view

    assert shipment.proof is not None
    assert shipment.record is not None
    assert shipment.folder is not None
    store = RunStore.open()
    detail, rows = store.job(shipment.job), store.leaderboard(shipment.job)
    yield from leaderboard_view(rows, detail)
    if detail.test_metrics:
        score = detail.test_metrics.get(detail.primary_metric)
        yield f"best trial on the test data: {detail.primary_metric} {score:.5f}\n" if score is not None else ""
    yield from proof_view(shipment.proof)
    request = shlex.quote(f"@{shipment.folder / 'sample_request.json'}")
    yield f"\nendpoint {shipment.record.name} answers at {shipment.record.scoring_uri}\n"
    yield f"  curl -H 'Content-Type: application/json' --data {request} {shipment.record.scoring_uri}\n"
    yield json.dumps(shipment.answer, ensure_ascii=False)
