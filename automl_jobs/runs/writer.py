"""Writing a job: one writer, each write whole.

A trial's files are copied first and its run is marked as finished last, so that a kill at any moment leaves either
the whole trial or none that a reader would use. The parent run carries the best trial so far, which lets a list of
jobs be one query.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import math
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_jobs.runs import choice, files, liveness, names, tags
from automl_jobs.runs.database import ARTIFACTS_TAG
from automl_jobs.runs.rows import ENDED, JOB_DOCUMENTS, BestTrial, JobStart, TrialResult, TrialRow, finite
from forestay.errors import ForestayError, InputError

if TYPE_CHECKING:
    from automl_jobs.runs.store import RunStore

MLFLOW_STATUS = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
TEST = "test_"
"""Before the name of a metric on the job's test data, in the parent run."""
SCORE_STD, SCORE_SE, TRAIN_SCORE = "score_std", "score_se", "train_score"
"""Of the primary metric: its standard deviation and standard error over the folds, and its value on training rows."""
PREDICT_MS, FEATURES_MS, MODEL_MB = "predict_ms", "features_ms", "model_mb"
"""What a trial's model costs to serve: milliseconds of predicting one row, and of making its features; megabytes."""
QUALITY = ("minority_recall", "minority_average_precision", "expected_calibration_error", "brier_score")
"""Of a classifier: how it does on the rarest class, and how far its probabilities hold (see engine/quality)."""
TRAIN_ROWS = "train_rows"
"""How many rows a trial's model was fitted on."""
COSTS = (PREDICT_MS, MODEL_MB, TRAIN_ROWS)
AGAIN = "refit_"
"""Before the name of one of COSTS: of the model that was fitted again. The choice goes by those of what was judged."""
NOT_AZURES = (
    *(SCORE_STD, SCORE_SE, TRAIN_SCORE, FEATURES_MS),
    *COSTS,
    *(AGAIN + name for name in COSTS),
    *QUALITY,
)
"""Numbers of a trial that are no metrics of Azure's: they have keys of their own in JSON."""
REFIT = "refit"
"""The document of a trial that says whether its model was fitted again on all rows."""
PREFER = "prefer"
"""The parameter of a job that says what its choice among the trials goes by."""
JOB_FILE = "job.yml"
"""The artifact of a job with the text of its job file."""
CANCEL_POLL_SECONDS = 0.5
_BATCH = 100  # MLflow's limit of parameters and tags a request
_LONG = 5000  # characters; MLflow refuses parameters over 6000 and tags over 8000
_IN_SUMMARY = 400  # characters of each word in the summary of the best trial, so that all fit in one tag
_KEY = re.compile(r"[^\w.\- :/]")


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def start_job(store: RunStore, start: JobStart) -> JobWriter:
    """See `RunStore.start_job`."""
    from automl_jobs.spec.metrics import higher_is_better

    higher = higher_is_better(start.primary_metric)
    if start.name is not None:
        names.check_job_name(start.name)
    with store.writing() as client:
        name = start.name or names.new_job_name()
        experiment_id = experiment(store, start.experiment)
        if store.source is not None and store.source.runs(tags.JOB, name):
            raise InputError(
                f"there is a job {name!r} already", where="name", fix="choose another name, or leave it out to get one"
            )
        begun = now()
        run = client.create_run(
            experiment_id,
            start_time=begun,
            run_name=name,
            tags={
                **kept_tags(start.tags),
                tags.KIND: "job",
                tags.JOB: name,
                tags.TASK: start.task,
                tags.PRIMARY_METRIC: start.primary_metric,
                tags.DIRECTION: "maximize" if higher else "minimize",
                tags.TARGET: start.target,
                tags.ENV: start.env,
                tags.PATH: start.path,
                tags.STATUS: "Preparing",
                tags.CREATED: str(begun),
                tags.SESSION: str(begun),
                tags.TRIALS: "0",
                **origin(),
                **liveness.own_tags(),
            },
        )
        log(client, run.info.run_id, parameters={**start.parameters, PREFER: start.prefer})
    writer = JobWriter(
        store, name, run.info.run_id, experiment_id, start.primary_metric, higher, start.prefer, task=start.task
    )
    writer.forget_cancel()
    store.client.log_text(run.info.run_id, start.spec_text, JOB_FILE)
    for document, content in start.documents.items():
        writer.log_document(document, content)
    return writer


def experiment(store: RunStore, name: str) -> str:
    """The id of an experiment by its name, made if there is none."""
    client = store.client
    found = client.get_experiment_by_name(name)
    if found is None:
        if store.place.database is None:
            return str(client.create_experiment(name))
        folder = f"{_slug(name)}-{now():x}"
        location = (store.place.artifacts / folder).as_uri()
        return str(client.create_experiment(name, artifact_location=location, tags={ARTIFACTS_TAG: folder}))
    if found.lifecycle_stage == "deleted":
        raise InputError(
            f"the experiment {name!r} was deleted in MLflow",
            where="experiment_name",
            fix="choose another name, or restore it: mlflow experiments restore",
        )
    return str(found.experiment_id)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:40] or "experiment"


def origin() -> dict[str, str]:
    """MLflow's own tags for who ran what."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "unknown"
    return {tags.USER: user, tags.SOURCE_NAME: "forestay", tags.SOURCE_TYPE: "LOCAL"}


def kept_tags(given: Mapping[str, str]) -> dict[str, str]:
    """Tags of a user's as MLflow takes them."""
    return {_key(key): _short(value) for key, value in given.items()}


def _key(key: str) -> str:
    """A key that MLflow takes."""
    return _KEY.sub("_", key)[:250] or "_"


def _short(value: object, longest: int = _LONG) -> str:
    text = str(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def log(
    client: Any,
    run_id: str,
    *,
    metrics: Mapping[str, float] | None = None,
    parameters: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    step: int = 0,
) -> None:
    """Metrics, parameters and tags in as few requests as MLflow takes; values that are not finite are left out."""
    from mlflow.entities import Metric, Param, RunTag

    stamp = now()
    measured = [
        Metric(_key(key), float(value), stamp, step)
        for key, value in (metrics or {}).items()
        if value is not None and math.isfinite(value)
    ]
    named = [Param(_key(key), _short(value)) for key, value in (parameters or {}).items()]
    marks = [RunTag(_key(key), _short(value)) for key, value in (labels or {}).items()]
    for part in _parts(named, _BATCH):
        client.log_batch(run_id, params=part)
    if measured or marks:
        client.log_batch(run_id, metrics=measured, tags=marks)


def _parts(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


class JobWriter:
    """The one writer of a job; its methods may be called from several threads.

    Attributes
    ----------
    job: the job's name.
    run_id: MLflow's id of the parent run.
    """

    def __init__(
        self,
        store: RunStore,
        job: str,
        run_id: str,
        experiment_id: str,
        primary_metric: str,
        higher: bool,
        prefer: str = choice.BALANCED,
        earlier: Sequence[tuple[TrialRow, int]] = (),
        task: str = "",
    ) -> None:
        self.job = job
        self.run_id = run_id
        self._store = store
        self._experiment_id = experiment_id
        self._metric = primary_metric
        self._higher = higher
        self._prefer = prefer
        self._task = task
        self._trials = max((order for _, order in earlier), default=0)
        self._rows = list(earlier)
        chosen = self._choose()
        self._best = chosen.as_best() if chosen else None
        self._guard = threading.Lock()
        self._asked = False
        self._looked = 0.0

    def status(self, status: str) -> None:
        """Preparing or Running. Running is also when training is said to have started."""
        values = {tags.STATUS: status}
        if status == "Running":
            values[tags.STARTED] = str(now())
        with self._guard, self._store.writing() as client:
            log(client, self.run_id, labels=values)

    def log_trial(self, result: TrialResult) -> None:
        """Record a trial that has ended, its files first. A score that is not a finite number counts as failed.

        Raises InputError when the files can't be copied; the trial is then there as failed.
        """
        score = finite(result.score)
        status, error = result.status, result.error
        if status == "Completed" and score is None:
            status, error = "Failed", error or f"no value of {self._metric}"
        with self._guard:
            self._trials += 1
            run_id = self._begin(result)
            try:
                self._copy(run_id, result)
            except BaseException as problem:
                message = f"its files could not be kept: {type(problem).__name__}"
                with contextlib.suppress(ForestayError):
                    self._end(run_id, result, "Failed", None, message)
                raise
            self._end(run_id, result, status, score, error)

    def log_refit(self, trial: BestTrial, document: Mapping[str, Any], outputs: Path | None) -> None:
        """Record what came of fitting a trial's model again on all rows.

        Its files lie beside the first ones, and are the trial's from the moment its tag says so: a kill before leaves
        the trial as it was.

        Parameters
        ----------
        document: which rows the model has seen, or why it stays as it is; what it costs, by the names of COSTS.
        outputs: its files, None where it stays.
        """
        with self._guard:
            client = self._store.client
            if outputs is not None:
                client.log_artifacts(trial.run_id, str(outputs), files.REFITTED)
            client.log_text(trial.run_id, json.dumps(document, allow_nan=False), REFIT)
            if outputs is not None:
                costs = {AGAIN + name: document[name] for name in COSTS if name in document}
                with self._store.writing() as writing:
                    log(writing, trial.run_id, metrics=costs, labels={tags.REFITTED: "yes"})

    def is_refitted(self, trial: BestTrial) -> bool:
        """Whether a trial's model was fitted again on all rows, in an earlier session perhaps."""
        run = self._store.source.run(trial.run_id) if self._store.source else None
        return run is not None and tags.REFITTED in run.tags

    def log_document(self, name: str, document: Any) -> None:
        """Keep a JSON document with the job, under a name of `rows.JOB_DOCUMENTS`; again with one replaces it."""
        if name not in JOB_DOCUMENTS:
            raise ValueError(f"{name!r} is no document of a job")
        with self._guard:
            self._store.client.log_text(self.run_id, json.dumps(document, allow_nan=False), f"{name}.json")

    def _begin(self, result: TrialResult) -> str:
        with self._store.writing() as client:
            run = client.create_run(
                self._experiment_id,
                start_time=now() - int(result.duration_seconds * 1000),
                run_name=result.id,
                tags={
                    tags.PARENT: self.run_id,
                    tags.KIND: "trial",
                    tags.TRIAL: result.id,
                    tags.OF_JOB: self.job,
                    tags.ORDER: str(self._trials),
                    tags.ALGORITHM: result.algorithm,
                    tags.PREPROCESSOR: _short(result.preprocessor),
                    tags.DURATION: f"{result.duration_seconds:.3f}",
                    **origin(),
                },
            )
        return str(run.info.run_id)

    def _copy(self, run_id: str, result: TrialResult) -> None:
        client = self._store.client
        if result.outputs is not None:
            if not result.outputs.is_dir():  # of which MLflow would copy nothing, without a word
                raise InputError("the trial's outputs folder is not there", where=str(result.outputs))
            client.log_artifacts(run_id, str(result.outputs), "outputs")
        for file in result.files:
            client.log_artifact(run_id, str(file))
        for name, document in result.artifacts.items():
            client.log_text(run_id, json.dumps(document, allow_nan=False), name)

    def _end(self, run_id: str, result: TrialResult, status: str, score: float | None, error: str | None) -> None:
        labels = {tags.STATUS: status, tags.OUTPUTS: "no" if result.outputs is None else "yes"}
        if error:
            labels[tags.ERROR] = error
        metrics = dict(result.metrics)
        if score is not None:
            metrics[self._metric] = score
        before, self._best = self._best, None
        self._rows.append((_row(result, run_id, status, score, metrics), self._trials))
        chosen = self._choose()
        # The parent run shows the metrics of the trial that is the job's model so far.
        current: Mapping[str, float] = {}
        if chosen is not None:
            self._best = chosen.as_best()
            current = chosen.row.metrics if before is None or before.id != chosen.row.id else {}
        summary = {tags.TRIALS: str(self._trials), **best_tags(self._best)}
        with self._store.writing() as client:
            log(client, run_id, metrics=metrics, parameters=result.parameters, labels=labels)
            client.set_terminated(run_id, MLFLOW_STATUS[status])
            log(client, self.run_id, metrics=current, labels=summary, step=self._trials)

    def _choose(self) -> choice.Choice | None:
        return choice.choose(choice.ranked(self._rows, self._higher), self._prefer, self._higher, self._task)

    def chosen(self) -> BestTrial | None:
        """The trial that is the job's model so far."""
        return self._best

    def outputs(self, trial: str) -> Path:
        """The files of the model that the score of a trial of this job is of, as they lie in the store."""
        run_id = next(row.run_id for row, _ in self._rows if row.id == trial)
        run = self._store.source.run(run_id) if self._store.source else None
        if run is None:
            raise InputError("this trial was deleted while the job ran", where=trial)
        return files.outputs(self._store, run, files.FIRST)

    def finish(self, status: str, error: str | None = None, test_metrics: Mapping[str, float] | None = None) -> None:
        """Completed, Failed or Canceled, and nothing more after it.

        Parameters
        ----------
        error: what went wrong, in one line.
        test_metrics: the best trial's metrics on the job's test data, under Azure's names.
        """
        if status not in ENDED:
            raise ValueError(f"{status!r} does not end a job")
        labels = {tags.STATUS: status}
        metrics: dict[str, float] = {}
        if error:
            labels[tags.ERROR] = error
        if test_metrics is not None:
            labels[tags.TESTED] = "yes"
            metrics = {TEST + name: value for name, value in test_metrics.items()}
        with self._guard:
            with self._store.writing() as client:
                labels.update(self._summary())
                log(client, self.run_id, metrics=metrics, labels=labels)
                client.set_terminated(self.run_id, MLFLOW_STATUS[status])
            self.forget_cancel()
            alive_file(self._store, self.job).unlink(missing_ok=True)

    def _summary(self) -> dict[str, str]:
        """The parent's summary from the leaderboard as it is, so that ties fall as they do there."""
        from automl_jobs.runs.read import best_of, trial_rows

        source = self._store.source
        parent = source.run(self.run_id) if source else None
        rows = trial_rows(source, parent) if parent else []
        return {tags.TRIALS: str(len(rows)), **best_tags(best_of(rows, parent) if parent else None)}

    def cancel_requested(self) -> bool:
        """Whether somebody has asked for this job to stop; looks at most twice a second, and leaves a sign of life."""
        if not self._asked and time.monotonic() - self._looked >= CANCEL_POLL_SECONDS:
            self._looked = time.monotonic()
            self._sign()
            if self._store.place.database is not None:
                self._asked = cancel_file(self._store, self.job).exists()
            else:
                self._asked = tags.CANCEL in self._store.client.get_run(self.run_id).data.tags
        return self._asked

    def _sign(self) -> None:
        """The time of a file, by which a reader knows until when a job ran that was killed."""
        path = alive_file(self._store, self.job)
        with contextlib.suppress(OSError):  # a full disk is told by what must be written
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def forget_cancel(self) -> None:
        """Remove a request to stop this job: it was heard, or was meant for an older job of that name."""
        if self._store.place.database is not None:
            cancel_file(self._store, self.job).unlink(missing_ok=True)


def _row(result: TrialResult, run_id: str, status: str, score: float | None, metrics: Mapping[str, float]) -> TrialRow:
    """What the choice needs to know of a trial that has ended."""
    return TrialRow(
        rank=0,
        id=result.id,
        run_id=run_id,
        algorithm=result.algorithm,
        preprocessor=result.preprocessor,
        score=score,
        status=status,
        duration_seconds=round(result.duration_seconds, 3),
        metrics=metrics,
        error=None,
        has_model=result.outputs is not None,
        score_se=metrics.get(SCORE_SE),
        predict_ms=metrics.get(PREDICT_MS),
        model_mb=metrics.get(MODEL_MB),
        rows=int(metrics[TRAIN_ROWS]) if TRAIN_ROWS in metrics else None,
    )


def cancel_file(store: RunStore, job: str) -> Any:
    """The file that asks a job on this machine to stop."""
    return store.place.folder / "cancel" / job


def alive_file(store: RunStore, job: str) -> Path:
    """The file whose time says when the job's writer was last seen alive on this machine."""
    return store.place.folder / "alive" / job


def best_tags(best: BestTrial | None) -> dict[str, str]:
    """The parent run's tags for its best trial."""
    if best is None:
        return {}
    words = {name: _short(getattr(best, name), _IN_SUMMARY) for name in ("id", "algorithm", "preprocessor", "reason")}
    return {tags.BEST: json.dumps({**best.as_dict(), **words}), tags.BEST_CHILD: best.run_id}
