"""The names of the tags that the run store writes; names without a prefix are Azure's or MLflow's own."""

from __future__ import annotations

KIND = "forestay.kind"  # "job", "trial", or "file" of a model that was registered from one
JOB = "forestay.job"
TASK = "forestay.task"
PRIMARY_METRIC = "forestay.primary_metric"
DIRECTION = "forestay.direction"  # "maximize" or "minimize": which way the primary metric is better
TARGET = "forestay.target"
ENV = "forestay.env"
PATH = "forestay.path"
STATUS = "forestay.status"
CREATED = "forestay.created"  # milliseconds since 1970
STARTED = "forestay.started"  # milliseconds since 1970, when training began
SESSION = "forestay.session"  # milliseconds since 1970, when the job was started or last resumed
USED = "forestay.used_seconds"  # of the sessions before this one
ERROR = "forestay.error"
TRIALS = "forestay.trials"  # how many there are so far, failed ones included
BEST = "forestay.best_trial"  # JSON of the trial that is the job's model so far
TESTED = "forestay.tested"  # there where the job has metrics on its test data: those that start with "test_"
CANCEL = "forestay.cancel"  # set from outside, where no file can reach the writer

WRITER_HOST = "forestay.writer.host"
WRITER_PID = "forestay.writer.pid"
WRITER_AGE = "forestay.writer.started"  # seconds from the machine's start to the process's

TRIAL = "forestay.trial"
OF_JOB = "forestay.of_job"
DURATION = "forestay.duration_seconds"
OUTPUTS = "forestay.outputs"  # "yes" where the trial has a model
REFITTED = "forestay.refitted"  # there where the trial's model was fitted again on all rows, or a version is that model
REMOTE = "forestay.remote"  # the id of a trial's run where it ran, for one that was fetched
ORDER = "forestay.order"  # a trial's place in the job, counted from 1

BEST_CHILD = "automl_best_child_run_id"  # Azure's: the run id of the best trial
ALGORITHM = "run_algorithm"  # Azure's
PREPROCESSOR = "run_preprocessor"  # Azure's

PARENT = "mlflow.parentRunId"
USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"

RANK = "forestay.rank"
SCORE = "forestay.score"
FILE = "forestay.file"  # what a model was registered from, where that is no trial
CONTENT = "forestay.content"  # the hash of the schema of such a model, which has that of its file
