"""The first steps of the loop where Azure trains: check and submit, follow, fetch, register there and here.

What they leave is what a training on this machine leaves: a job in the run store, and a version of the model in its
registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestay.errors import InputError, Interrupted, RunFailed
from forestay.ship import Shipment, Step

if TYPE_CHECKING:
    from automl_jobs.azure.arm import Arm
    from automl_jobs.azure.submit import Ready


@dataclass
class InAzure:
    """Attributes: arm: the way there. ready: the job that is to be sent, None for one that is there already."""

    arm: Arm
    ready: Ready | None = None


def check(shipment: Shipment) -> str:
    """Everything that would stop the loop later, and what the job can cost; nothing is sent."""
    from automl_jobs.azure import jobs, schema
    from automl_jobs.azure import submit as azure
    from automl_jobs.azure.arm import Arm
    from forestay import ship_gate

    shipment.check()
    arm = Arm.of(shipment.options.env)
    shipment.azure = InAzure(arm)
    if shipment.job:
        row = jobs.find(arm, shipment.job).row
        shipment.job = row.job
        _refuse_gate(shipment, row.task)
        ship_gate.check(shipment, None)
        return f"job {shipment.job} is in {arm.place.workspace}"
    checked = azure.checked(
        shipment.job_file,
        shipment.options.overrides,
        shipment.say,
        lambda text: shipment.say(f"warning: {text}"),
    )
    loaded, tables = shipment.held.enter_context(checked)
    if loaded.spec.task not in schema.TASKS:
        raise InputError(
            f"a model of {loaded.spec.task} is trained by Azure and served otherwise",
            where=loaded.where("task"),
            fix=f"forestay job submit {shipment.job_file} --env {arm.place.env}, then forestay job download",
        )
    _refuse_gate(shipment, loaded.spec.task)
    ship_gate.check(shipment, loaded)
    ready = azure.look(arm, loaded, tables, shipment.create_compute, shipment.say)
    if ready.twin is not None and not shipment.force:
        shipment.job = ready.twin.job
        return f"the equal job {ready.twin.job} is {ready.twin.status}: it is shipped (--force trains anew)"
    if ready.quota:
        shipment.say(f"warning: {ready.quota}")
    shipment.azure.ready = ready
    return f"at most {ready.estimate.line()}"


def _refuse_gate(shipment: Shipment, task: str) -> None:
    """Raise InputError, before anything is spent, where the model could not be compared in the end."""
    if shipment.gate is not None and task == "forecasting":
        raise InputError(
            "a forecast that Azure trains can't be compared here: it is asked at an endpoint only",
            where="--if-better",
            fix="leave it out, or train here: without --env",
        )


def train(shipment: Shipment) -> str:
    """Send the job, if it is not there yet, and follow it until it has completed."""
    from automl_jobs.azure import follow
    from automl_jobs.azure import submit as azure

    assert shipment.azure is not None
    arm, ready = shipment.azure.arm, shipment.azure.ready
    if ready is not None and not shipment.job:
        with shipment.progress("uploading") as progress:
            shipment.job = azure.send(arm, ready, progress, shipment.say)
    try:
        with shipment.watchers() as watcher:
            found = follow.follow(arm, shipment.job, watcher)
    except Interrupted as error:
        shipment.job = error.job or shipment.job
        raise
    follow.require_completed(arm, found, shipment.say)
    if found.best is None:
        raise RunFailed(
            f"job {found.job} has no model", fix=f"see why: forestay job leaderboard {found.job} --env {found.env}"
        )
    best = found.best
    return f"job {found.job}: {found.trials} trials, best {best.algorithm} {found.primary_metric} {best.score:.5f}"


def fetch(shipment: Shipment) -> str:
    """The trial's files, its job and leaderboard into the run store of this machine."""
    from automl_jobs.azure.fetch import fetch as get
    from automl_jobs.runs import RunStore

    assert shipment.azure is not None
    with shipment.progress("fetching") as progress:
        name, rank = get(shipment.azure.arm, RunStore.open(), shipment.job, shipment.rank, progress, shipment.say)
    return f"trial of rank {rank} of {name} is in the run store here"


def register(shipment: Shipment) -> str:
    """A version in the workspace's registry, its files where they lie, and one of the same trial here."""
    from automl_jobs.azure import models
    from automl_jobs.runs import RunStore

    assert shipment.azure is not None
    arm = shipment.azure.arm
    shipment.version = RunStore.open().register(shipment.job, shipment.rank, shipment.model)
    shipment.registered = models.register(arm, shipment.job, shipment.rank, shipment.model)
    here, there = shipment.version, shipment.registered
    return (
        f"{here.name}:{here.version} here and {there.name}:{there.version} in {arm.place.workspace} is trial "
        f"{here.trial}"
    )


STEPS = (Step("check", check), Step("train", train), Step("fetch", fetch), Step("register", register))
