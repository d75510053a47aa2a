"""The whole loop: job file -> trials -> registered model -> scoring folder -> proof -> endpoint -> prediction.

A list of named steps. Each is a command of its own and leaves what the next one reads, so a failed loop goes on from
where it stopped: everything but the training is done again only when something changed. The training is this machine's,
or Azure's with its own first steps (ship_azure); all steps after it are the same.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay import LOCAL
from forestay.errors import ForestayError, InputError, Interrupted, RunFailed
from forestay.project import home

if TYPE_CHECKING:
    from automl_jobs.azure.models import AzureModel
    from automl_jobs.azure.storage import Progress
    from automl_jobs.engine.loop import Listener
    from automl_jobs.prepare import Prepared
    from automl_jobs.runs import ModelVersion
    from automl_jobs.submit import SubmitOptions
    from automl_jobs.watch import Watcher
    from forestay.ship_azure import InAzure
    from forestay.ship_gate import Gate
    from scoring.proofs import Proof
    from scoring.targets import DeploymentRecord, Target

Say = Callable[[str], None]


@dataclass
class Shipment:
    """What is to be shipped, and what each step has made of it so far.

    Attributes
    ----------
    job_file, options, model, endpoint, target: what was asked for.
    job: the trained job's name; given from the start, it is not trained again.
    rank: which trial of the leaderboard is shipped; None for the chosen one.
    allow_breaking: deploy also where callers of what the endpoint serves would break.
    listeners: makes the listener of the training, from the metric and the seconds that it may take.
    watchers: makes what is told of a training in Azure. progress: makes what is told of bytes, from what moves them.
    say: told of each stage inside a step.
    before_data: called before the data of a training is read, see `prepare_job`.
    create_compute, force: of a training in Azure, as `job submit` has them.
    gate: what the new version must pass before it is deployed; None lets every one pass.
    azure: what the steps in Azure have made of it. registered: the version in the workspace's registry.
    held: what is let go when the loop ends.
    """

    job_file: Path
    options: SubmitOptions
    model: str
    endpoint: str
    target: str
    listeners: Callable[[str, float], AbstractContextManager[Listener]]
    watchers: Callable[[], AbstractContextManager[Watcher]]
    progress: Callable[[str], AbstractContextManager[Progress]]
    say: Say
    job: str = ""
    rank: int | None = None
    allow_breaking: bool = False
    before_data: Callable[[], None] | None = None
    create_compute: bool = False
    force: bool = False
    gate: Gate | None = None
    prepared: Prepared | None = None
    azure: InAzure | None = None
    registered: AzureModel | None = None
    version: ModelVersion | None = None
    folder: Path | None = None
    proof: Proof | None = None
    record: DeploymentRecord | None = None
    answer: Any = None
    seconds: dict[str, float] = field(default_factory=dict)
    held: ExitStack = field(default_factory=ExitStack)

    def place(self) -> Target:
        """Where it is served. Raises InputError for a target that this installation can't deploy to."""
        from scoring.targets import choose

        # A server on this machine is of no environment, wherever its model was trained.
        env = LOCAL if self.target == LOCAL else self.options.env
        return choose(self.target, env, home(), self.say)

    def check(self) -> None:
        """What would fail only after the training is asked before it. Raises InputError."""
        from automl_jobs.runs.names import check_model_name
        from scoring.targets import check_name

        check_name(self.endpoint)
        check_model_name(self.model)
        self.place()

    def command(self) -> str:
        """The command that goes on from where this loop stands."""
        words = ["forestay", "ship", str(self.job_file), "--model", self.model, "--endpoint", self.endpoint]
        words += ["--target", self.target, "--env", self.options.env]
        if self.job:
            words += ["--job", self.job]
        else:
            words += [word for key, value in self.options.overrides.items() for word in ("--set", f"{key}={value}")]
            if self.options.time_budget is not None:
                words += ["--time-budget", f"{self.options.time_budget:g}s"]
            if self.options.seed is not None:
                words += ["--seed", str(self.options.seed)]
            if self.options.prefer is not None:
                words += ["--prefer", self.options.prefer]
            if self.options.bagged_folds:
                words += ["--bagged-folds"]
            if self.options.decision is not None:
                words += ["--decision", str(self.options.decision)]
            words += ["--create-compute"] * self.create_compute + ["--force"] * self.force
        if self.rank is not None:
            words += ["--rank", str(self.rank)]
        if self.allow_breaking:
            words += ["--allow-breaking"]
        if self.gate is not None:
            words += self.gate.words()
        return shlex.join(words)


@dataclass(frozen=True)
class Step:
    """One named step: `run` does it and returns, in one line, what came of it."""

    name: str
    run: Callable[[Shipment], str]


def check(shipment: Shipment) -> str:
    from automl_jobs.runs import RunStore
    from automl_jobs.submit import prepare_job
    from forestay import ship_gate

    shipment.check()
    if shipment.job:
        shipment.job = RunStore.open(create=False).job(shipment.job).job
        ship_gate.check(shipment, None)
        return f"job {shipment.job} is trained"
    shipment.prepared = prepare_job(shipment.job_file, shipment.options, shipment.say, shipment.before_data)
    for warning in shipment.prepared.warnings:
        shipment.say(f"warning: {warning.where}: {warning.message}" if warning.where else f"warning: {warning.message}")
    train = shipment.prepared.require_local()
    ship_gate.check(shipment, shipment.prepared.loaded)
    used = sum(column.used for column in shipment.prepared.columns)
    return f"{len(train.frame):,} rows, {used} columns used, validated by {shipment.prepared.plan}"


def train(shipment: Shipment) -> str:
    from automl_jobs.runs import RunStore
    from automl_jobs.submit import budget, meaning_here, submit

    if not shipment.job:
        assert shipment.prepared is not None
        limit = budget(shipment.prepared.loaded, shipment.options)
        for line in meaning_here(shipment.prepared, limit):
            shipment.say(line)
        with shipment.listeners(shipment.prepared.loaded.spec.metric, limit) as listener:
            try:
                shipment.job = submit(shipment.prepared, shipment.options, listener)
            except Interrupted as error:
                shipment.job = error.job
                raise
    detail = RunStore.open().job(shipment.job)
    shipment.job = detail.job
    if detail.best is None:
        raise RunFailed(f"job {detail.job} has no model", fix=f"see why: forestay job show {detail.job}")
    best = detail.best
    return f"job {detail.job}: {detail.trials} trials, best {best.algorithm} {detail.primary_metric} {best.score:.5f}"


def register(shipment: Shipment) -> str:
    from automl_jobs.runs import RunStore

    shipment.version = RunStore.open().register(shipment.job, shipment.rank, shipment.model)
    return f"{shipment.version.name}:{shipment.version.version} is trial {shipment.version.trial}"


def generate(shipment: Shipment) -> str:
    from scoring.generate import default_folder
    from scoring.generate import generate as write

    assert shipment.version is not None
    to = default_folder(home(), shipment.version.name, shipment.version.version)
    shipment.folder = write(shipment.version, to, home=home(), say=shipment.say).path
    return str(shipment.folder)


def verify(shipment: Shipment) -> str:
    from scoring.verify import verify as prove

    assert shipment.folder is not None
    shipment.proof = prove(shipment.folder, home=home(), say=shipment.say, registered=shipment.version)
    if not shipment.proof.verified:
        first = shipment.proof.failed[0]
        raise RunFailed(
            f"the proof failed at {first.name}: {first.detail}",
            fix=f"see all checks: forestay score verify {shlex.quote(str(shipment.folder))}",
        )
    return f"proven: {len(shipment.proof.checks)} checks passed"


def deploy(shipment: Shipment) -> str:
    from scoring.diff import guard

    assert shipment.folder is not None
    target = shipment.place()
    guard(target, shipment.endpoint, shipment.folder, shipment.allow_breaking)
    shipment.record = target.deploy(shipment.endpoint, shipment.folder)
    return shipment.record.scoring_uri


def call(shipment: Shipment) -> str:
    """The sample request, sent the way a caller would."""
    import json

    assert shipment.folder is not None
    sample = (shipment.folder / "sample_request.json").read_bytes()
    answer = shipment.place().invoke(shipment.endpoint, sample)
    if answer.status != 200:
        raise RunFailed(
            f"{shipment.endpoint} answers the sample request with {answer.status}",
            fix=f"see its log: forestay endpoint logs {shipment.endpoint}",
        )
    shipment.answer = json.loads(answer.body)
    return f"answered {answer.status}"


SERVED = (Step("generate", generate), Step("verify", verify), Step("deploy", deploy), Step("call", call))
"""From a registered model on: the same wherever it was trained."""
STEPS = (Step("check", check), Step("train", train), Step("register", register))


def steps(env: str, gated: bool = False) -> tuple[Step, ...]:
    """The steps of an environment; with a gate before the deploy where one is asked for."""
    from forestay import ship_azure, ship_gate

    gate = (Step("compare", ship_gate.compare),) if gated else ()
    return (*(STEPS if env == LOCAL else ship_azure.STEPS), *gate, *SERVED)


def ship(shipment: Shipment, done: Callable[[int, Step, str, float], None]) -> None:
    """Run all steps; `done(number, step, result, seconds)` is called after each. What does not pass the gate ends them.

    A failed step's error is raised again with the step's name, and the command that goes on from there.
    """
    with shipment.held:
        for number, step in enumerate(steps(shipment.options.env, shipment.gate is not None), start=1):
            started = time.monotonic()
            try:
                result = step.run(shipment)
            except ForestayError as error:
                raise _failed(shipment, step, error) from error
            shipment.seconds[step.name] = time.monotonic() - started
            done(number, step, result, shipment.seconds[step.name])
            if shipment.gate is not None and shipment.gate.kept:
                return


def _failed(shipment: Shipment, step: Step, error: ForestayError) -> ForestayError:
    """The same kind of error, naming the step and how to go on; a wrong word is not to be repeated."""
    from dataclasses import replace

    first, *rest = error.problems
    if step.name == "check" and isinstance(error, InputError):
        return type(error).of([replace(first, message=f"step {step.name}: {first.message}"), *rest])
    again = f"then go on with: {shipment.command()}"
    told = replace(
        first, message=f"step {step.name}: {first.message}", fix=f"{first.fix}; {again}" if first.fix else again
    )
    return type(error).of([told, *rest])
