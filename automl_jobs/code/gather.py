"""What a trial's script is made of: its pipelines, the rows and folds that they learned from, the score they had."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from automl_jobs.engine.decide import Decision
    from automl_jobs.engine.problem import Problem
    from automl_jobs.engine.records import TrialRecord
    from automl_jobs.engine.stack import MetaLearner
    from automl_jobs.runs import JobDetail, RunStore, TrialDetail
    from automl_jobs.spec.jobs import JobSpec

# The score that the job had and the one that its held-out predictions give today differ by less than this, or the data
# is no longer the job's.
SAME_SCORE = 1e-6


@dataclass(frozen=True)
class Pipeline:
    """A trial's pipeline, or that of a member of an ensemble.

    Attributes
    ----------
    layout: how its features are made. parameters: of its algorithm. rows: how many training rows of the only split it
        saw, None for all. rounds: at which its booster stopped, on average.
    weight: what it counts for in an ensemble's mean; 1 for a single trial.
    calibration: see forestay_transformers.calibrated; None for none.
    """

    trial: str
    algorithm: str
    preprocessor: str
    layout: str
    parameters: Mapping[str, Any]
    rows: int | None
    rounds: int | None
    weight: float
    calibration: Mapping[str, Any] | None


@dataclass(frozen=True)
class Retold:
    """A trial to be told as a script.

    Attributes
    ----------
    found: the trial. pipelines: its own, or an ensemble's members.
    score: the primary metric of its held-out predictions. decision: how these became labels; None for regression.
    threads: that it was trained with. packages: distribution to version, of its model.
    learner: of a StackEnsemble, whose members the pipelines are then; else None.
    """

    job: JobDetail
    found: TrialDetail
    problem: Problem
    pipelines: tuple[Pipeline, ...]
    score: float
    decision: Decision | None
    threads: int
    packages: Mapping[str, str]
    learner: MetaLearner | None = None


def gather(store: RunStore, detail: JobDetail, found: TrialDetail, warn: Callable[[str], None]) -> Retold:
    """A trial of the run store, with the rows of its job read again.

    Parameters
    ----------
    warn: told when the data has changed since.

    Raises InputError for a trial whose files are gone, or whose data is not what it was.
    """
    from automl_jobs.engine import tasks
    from automl_jobs.engine.ensemble import STACK
    from automl_jobs.engine.judging import held_rows
    from automl_jobs.engine.run import shares
    from automl_jobs.explain import rebuilt_problem

    records = records_of(store, detail)
    weights = _weights(records[found.row.id])
    # Rebuilding reads the data: only now.
    problem: Any = rebuilt_problem(detail, None, warn)
    pipelines = tuple(_pipeline(problem, records[trial], weight) for trial, weight in weights.items())
    spec = spec_of(store, detail)
    learner = tasks.of(detail.task).learner(problem, spec) if found.row.algorithm == STACK else None
    answers = held_out(records, weights)
    rows = len(held_rows(problem))
    if len(answers[0]) != rows:
        raise changed(detail, found, f"{len(answers[0])} rows judged it, there are {rows} now")
    score, decision = _judged(problem, answers, list(weights.values()), learner, found, detail)
    threads = shares(spec, problem.rows)[1]
    return Retold(detail, found, problem, pipelines, score, decision, threads, packages_of(found), learner)


def check(detail: JobDetail, found: TrialDetail) -> None:
    """Raise InputError where there is nothing to tell."""
    from forestay import LOCAL

    other = f"choose another trial: forestay job leaderboard {detail.job}"
    if detail.env != LOCAL:
        raise InputError(
            f"{detail.job} was trained in {detail.env}, by Azure's own code",
            where="JOB",
            fix="train the same file here, and ask for the code of that: forestay job rerun JOB --env local",
        )
    if found.outputs is None:
        raise InputError(
            f"trial {found.row.rank} of {detail.job} has no model: {found.row.error or 'none was kept'}",
            where="--rank",
            fix=other,
        )


def records_of(store: RunStore, detail: JobDetail) -> dict[str, TrialRecord]:
    """The trials of a job by their ids."""
    from automl_jobs.engine.records import TrialRecord
    from automl_jobs.runs.reopen import earlier_trials

    records = (TrialRecord.of(one) for one in earlier_trials(store, detail.job))
    return {one.plan.id: one for one in records}


def _weights(record: TrialRecord) -> dict[str, float]:
    """The trials that a trial is made of, each with its weight."""
    from automl_jobs.engine.ensemble import MEMBERS, STACK, VOTING

    if record.plan.algorithm not in (VOTING, STACK):
        return {record.plan.id: 1.0}
    return {str(trial): float(weight) for trial, weight in record.plan.parameters[MEMBERS].items()}


def _pipeline(problem: Problem, record: TrialRecord, weight: float) -> Pipeline:
    from automl_jobs.engine import algorithms, outputs
    from automl_jobs.engine.calibrate import Calibration
    from automl_jobs.engine.matrices import NO_FEATURES
    from automl_jobs.engine.trial import BASELINE

    plan = record.plan
    schema = outputs.read_schema(_folder(record) / "outputs")
    baseline = plan.algorithm == BASELINE
    first = NO_FEATURES if baseline else algorithms.by_name(plan.algorithm, problem.classification).layouts[0]
    rounds = record.result.parameters.get("rounds")
    return Pipeline(
        trial=plan.id,
        algorithm=plan.algorithm,
        preprocessor=record.result.preprocessor,
        layout=plan.layout or first,
        parameters=plan.parameters,
        rows=plan.rows,
        rounds=int(rounds) if rounds else None,
        weight=weight,
        calibration=Calibration.of(schema.get("calibration")).rule,
    )


def _folder(record: TrialRecord) -> Path:
    if record.folder is None:
        raise InputError(
            f"the files of trial {record.plan.id} are gone", where="--rank", fix="choose another trial, or train again"
        )
    return record.folder


def held_out(records: Mapping[str, TrialRecord], trials: Iterable[str]) -> list[np.ndarray]:
    """What each of these trials said of the validation rows."""
    import numpy as np

    from automl_jobs.engine.trial import HELD_OUT

    found = []
    for trial in trials:
        path = _folder(records[trial]) / HELD_OUT
        if not path.is_file():
            raise InputError(
                f"what trial {trial} said of its validation rows was not kept", where="--rank", fix="train again"
            )
        found.append(np.load(path))
    return found


def _judged(
    problem: Problem,
    answers: list[np.ndarray],
    weights: list[float],
    learner: MetaLearner | None,
    found: TrialDetail,
    detail: JobDetail,
) -> tuple[float, Decision | None]:
    """The score of held-out predictions on the rows as they are now. Raises InputError where it is another."""
    from automl_jobs.engine.ensemble import blend, cross_fitted
    from automl_jobs.engine.judging import held_rows, judge

    rows = held_rows(problem)
    if learner is None:
        said = blend(answers, dict(enumerate(weights)))
    else:
        said = cross_fitted(problem, learner, rows, answers)
    if problem.multilabel:
        _check_labels(problem, said, found, detail)
        assert found.row.score is not None
        return found.row.score, None
    judged = judge(problem, said)
    return same_score(judged.metrics.get(problem.metric), found, detail), judged.decision


def same_score(score: float | None, found: TrialDetail, detail: JobDetail) -> float:
    """What a trial's predictions score today. Raises InputError where it had another score."""
    if score is None or found.row.score is None or abs(score - found.row.score) > SAME_SCORE:
        raise changed(detail, found, f"it would score {score}")
    return score


def _check_labels(problem: Problem, said: np.ndarray, found: TrialDetail, detail: JobDetail) -> None:
    """Raise InputError where probabilities of labels have another log loss than they had.

    The thresholds of each part of the rows, which the score rests on, are not kept: a script chooses them again.
    """
    from automl_jobs.engine.ensemble import by_fold, held_folds
    from automl_jobs.engine.judging import held_rows
    from automl_jobs.engine.multilabel import metrics

    each = by_fold(lambda truth, told: metrics.multilabel(truth, told, told > 0.5)["log_loss"], held_folds(problem))
    loss = each(problem.target[held_rows(problem)], said)
    then = found.row.metrics.get("log_loss")
    if then is None or abs(loss - then) > SAME_SCORE:
        raise changed(detail, found, f"its log loss would be {loss}, and was {then}")


def changed(detail: JobDetail, found: TrialDetail, told: str) -> InputError:
    """The error for data that is no longer the job's; `told` is what differs."""
    return InputError(
        f"the data of {detail.job} is no longer what trial {found.row.rank} learned from: {told}",
        where=detail.path,
        fix="put the data back as it was, or train again: forestay job rerun " + detail.job,
    )


def spec_of(store: RunStore, detail: JobDetail) -> JobSpec:
    """The job file as it was trained, with what was given at submit."""
    from automl_jobs.spec.loader import read_job
    from automl_jobs.submit import SubmitOptions, submitted_options

    options = submitted_options(detail) or SubmitOptions()
    return read_job(store.job_file(detail.job), Path(detail.path), options.overrides).spec


def packages_of(found: TrialDetail) -> dict[str, str]:
    from automl_jobs.engine import outputs

    assert found.outputs is not None
    return dict(outputs.read_schema(found.outputs)["packages"])
