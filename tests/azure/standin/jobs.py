"""A job over time: queued, prepared, trial after trial, done; with real models made by scikit-learn.

Nothing runs beside the requests: what has happened by now follows from the clock when somebody asks.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.azure.standin.blobs import ARTIFACTS, DATA

if TYPE_CHECKING:
    import pandas as pd

    from tests.azure.standin.service import Service

ROWS = 400
CLASSIFICATION_METRICS = (
    *("AUC_macro", "AUC_micro", "AUC_weighted", "accuracy", "average_precision_score_macro"),
    *("average_precision_score_micro", "average_precision_score_weighted", "balanced_accuracy", "f1_score_macro"),
    *("f1_score_micro", "f1_score_weighted", "log_loss", "matthews_correlation", "norm_macro_recall"),
    *("precision_score_macro", "precision_score_micro", "precision_score_weighted", "recall_score_macro"),
    *("recall_score_micro", "recall_score_weighted", "weighted_accuracy"),
)
REGRESSION_METRICS = (
    *("explained_variance", "mean_absolute_error", "mean_absolute_percentage_error", "median_absolute_error"),
    *("normalized_mean_absolute_error", "normalized_median_absolute_error", "normalized_root_mean_squared_error"),
    *("normalized_root_mean_squared_log_error", "r2_score", "root_mean_squared_error"),
    *("root_mean_squared_log_error", "spearman_correlation"),
)
LOWER = ("log_loss", "error")
MODELS = ("bert-base-cased", "roberta-base")
"""Which the trials of a sweep take in turn."""
ENDED = ("Completed", "Failed", "Canceled")


@dataclass(frozen=True)
class Script:
    """What a job will do.

    Attributes
    ----------
    queued, trial_seconds: how long it waits, and each trial takes. trials: how many there are.
    failed: which of them fail. error: what the job fails with in the end, as code and message; None for success.
    log: what its log says then. canceled_after: trials after which somebody cancels it from elsewhere.
    failing_step: the child run that the error is of: "setup", and the log is its; "" for the job itself.
    conda: the trials' conda file; None for one like Azure's. model: a pickle of all its trials; None fits some.
    """

    queued: float = 0.05
    trial_seconds: float = 0.05
    trials: int = 3
    failed: tuple[int, ...] = ()
    error: tuple[str, str] | None = None
    log: str = ""
    canceled_after: int | None = None
    failing_step: str = ""
    conda: str | None = None
    model: bytes | None = None


CONDA = """\
channels:
- anaconda
- conda-forge
dependencies:
- python=3.10.18
- pip:
  - scikit-learn==1.5.1
  - joblib==1.2.0
- numpy==1.26.4
- pandas==1.5.3
name: project_environment
"""


class Job:
    """One job of the workspace."""

    def __init__(self, name: str, properties: dict[str, Any], service: Service) -> None:
        self.name, self.properties, self.service, self.script = name, properties, service, service.script
        self.begun = time.monotonic()
        self.created = datetime.now(UTC)
        self.canceled_at: float | None = None
        self.frame: pd.DataFrame | None = None
        self.made: set[int] = set()
        self.logged = False

    @property
    def task(self) -> dict[str, Any]:
        return dict(self.properties["taskDetails"])

    @property
    def tabular(self) -> bool:
        return self.task["taskType"] in ("Classification", "Regression") and self._asset() in self.service.things

    @property
    def on_table(self) -> bool:
        return str(self.task["taskType"]) in ("Classification", "Regression", "Forecasting")

    @property
    def parent(self) -> str:
        """The run that its trials are children of: those on texts and images are of a sweep below it."""
        return self.name if self.on_table else f"{self.name}_HD"

    def cancel(self) -> None:
        if self.status() not in ENDED:
            self.canceled_at = time.monotonic()

    def _elapsed(self) -> float:
        return (self.canceled_at or time.monotonic()) - self.begun

    def trials_done(self) -> int:
        passed = (self._elapsed() - 2 * self.script.queued) / self.script.trial_seconds
        done = max(0, min(self.script.trials, math.floor(passed)))
        if self.script.canceled_after is not None:
            done = min(done, self.script.canceled_after)
        return done

    def status(self) -> str:
        if self.canceled_at is not None:
            return "Canceled"
        elapsed, script = self._elapsed(), self.script
        if script.canceled_after is not None and self.trials_done() >= script.canceled_after:
            return "Canceled"
        if elapsed < script.queued:
            return "Queued"
        if elapsed < 2 * script.queued:
            return "Preparing"
        if self.trials_done() < script.trials:
            return "Running"
        return "Failed" if script.error or len(script.failed) >= script.trials else "Completed"

    def trials(self) -> list[dict[str, Any]]:
        """What the finished trials came to, by number."""
        names = (
            [("MaxAbsScaler", "LogisticRegression"), ("StandardScalerWrapper", "DecisionTree"), ("", "RandomForest")]
            if self.task["taskType"] == "Classification"
            else [("MaxAbsScaler", "ElasticNet"), ("StandardScalerWrapper", "DecisionTree"), ("", "RandomForest")]
        )
        found = []
        for number in range(self.trials_done()):
            preprocessor, algorithm = names[number % len(names)]
            seed = zlib.crc32(f"{number}".encode()) / 2**32
            failed = number in self.script.failed
            found.append(
                {
                    "number": number,
                    "id": f"{self.parent}_{number}",
                    "algorithm": "VotingEnsemble" if number == self.script.trials - 1 else algorithm,
                    "preprocessor": "" if number == self.script.trials - 1 else preprocessor,
                    "status": "Failed" if failed else "Completed",
                    "metrics": {} if failed else self._metrics(seed),
                }
            )
            if not failed:
                self._write(number, algorithm)
        return found

    @property
    def metric(self) -> str:
        given = str(self.task.get("primaryMetric") or "Accuracy")
        names = (*CLASSIFICATION_METRICS, *REGRESSION_METRICS, "mean_average_precision")
        return {name.replace("_", "").lower(): name for name in names}.get(given.lower(), given)

    def _metrics(self, seed: float) -> dict[str, float]:
        names = REGRESSION_METRICS if self.task["taskType"] in ("Regression", "Forecasting") else CLASSIFICATION_METRICS
        names = names if self.on_table else ()
        return {
            name: round((0.1 + 0.2 * seed) if name.endswith(LOWER) else (0.7 + 0.2 * seed), 6)
            for name in dict.fromkeys((*names, self.metric))
        }

    def tags(self) -> dict[str, str]:
        tags = dict(self.properties.get("tags") or {})
        found = self.trials()
        if not found:
            return tags
        scores = [trial["metrics"].get(self.metric, math.nan) for trial in found]
        joined = {
            "iteration": [str(trial["number"]) for trial in found],
            "score": ["nan" if math.isnan(score) else repr(score) for score in scores],
            "run_algorithm": [trial["algorithm"] for trial in found],
            "run_preprocessor": [trial["preprocessor"] for trial in found],
        }
        if self.on_table:
            tags |= {f"{name}_000": ";".join(values) for name, values in joined.items()}
        good = [(score, trial["id"]) for score, trial in zip(scores, found, strict=True) if not math.isnan(score)]
        if good:
            best = min(good) if self.metric.endswith(LOWER) else max(good)
            tags["automl_best_child_run_id"] = best[1]
        return tags

    def document(self) -> dict[str, Any]:
        properties = {
            **self.properties,
            "status": self.status(),
            "displayName": self.properties.get("displayName") or self.name,
            "experimentName": self.properties.get("experimentName") or "Default",
            "tags": self.tags(),
            "services": {"Studio": {"endpoint": f"https://ml.azure.com/runs/{self.name}"}},
        }
        return {
            "id": f"{self.service.root}/jobs/{self.name}",
            "name": self.name,
            "type": "Microsoft.MachineLearningServices/workspaces/jobs",
            "properties": properties,
            "systemData": {"createdAt": self.created.isoformat(), "createdBy": "tests"},
        }

    def children(self, of: str) -> list[dict[str, Any]]:
        """The runs below a run as the run history has them: steps, trials, the test of the best trial."""
        found: list[dict[str, Any]] = []
        if of == self.name:
            found.append(self._setup())
        if of == self.tags().get("automl_best_child_run_id") and self.task.get("testData"):
            found.append({"runId": f"{of}_test", "runType": "azureml.scriptrun", "status": "Completed"})
            found.append({"runId": f"{of}_modeltest", "runType": "automl.model_test", "status": "Completed"})
        for number, trial in enumerate(self.trials() if of == self.parent else ()):
            document: dict[str, Any] = {"runId": trial["id"], "parentRunId": of, "status": trial["status"]}
            document["createdUtc"] = f"2026-01-01T00:{number + 1:02d}:00Z"
            if trial["status"] == "Failed":
                inner = {"code": "OutOfMemory"}
                document["error"] = {"error": {"code": "UserError", "message": "out of memory", "innerError": inner}}
            found.append(document)
        return found

    def _setup(self) -> dict[str, Any]:
        failed = self.status() == "Failed" and self.script.failing_step == "setup"
        document = {"runId": f"{self.name}_setup", "createdUtc": "2026-01-01T00:00:00Z", "status": "Completed"}
        return {**document, "status": "Failed", **self._error()} if failed else document

    def _error(self) -> dict[str, Any]:
        """Why it failed; the log is written when somebody asks."""
        code, message = self.script.error or ("UserError", "All trials failed")
        if not self.logged:
            self.logged = True
            run = f"{self.name}_{self.script.failing_step}" if self.script.failing_step else self.name
            self._put(run, "user_logs/std_log.txt", (self.script.log or "nothing was said\n").encode())
        return {"error": {"error": {"code": "UserError", "message": message, "innerError": {"code": code}}}}

    def details(self) -> dict[str, Any]:
        status = self.status()
        document: dict[str, Any] = {
            "runId": self.name,
            "status": status,
            "startTimeUtc": self.created.isoformat(),
            "endTimeUtc": datetime.now(UTC).isoformat() if status in ENDED else None,
            "logFiles": {},
        }
        return {**document, **self._error()} if status == "Failed" else document

    def runs(self, with_parent: bool = False) -> list[dict[str, Any]]:
        """MLflow's runs of the trials, and of the job itself where it is asked for."""
        words = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
        start = int(self.created.timestamp() * 1000)
        step = int(self.script.trial_seconds * 1000)
        found = [
            _run(
                trial["id"],
                words[trial["status"]],
                (start + trial["number"] * step, start + (trial["number"] + 1) * step),
                trial["metrics"],
                {"mlflow.parentRunId": self.parent, "mlflow.rootRunId": self.name},
                {} if self.on_table else {"model_name": MODELS[trial["number"] % len(MODELS)]},
            )
            for trial in self.trials()
        ]
        if with_parent:
            status, tags = words.get(self.status(), "RUNNING"), self.tags()
            found.append(_run(self.name, status, (start, start), {}, dict(tags)))
            best = tags.get("automl_best_child_run_id")
            if best and self.task.get("testData"):
                parent = {"mlflow.parentRunId": best}
                found.append(_run(f"{best}_modeltest", "FINISHED", (start, start), self._metrics(0.5), parent))
        return found

    def _put(self, run: str, name: str, data: bytes) -> None:
        self.service.blobs().put(ARTIFACTS, f"ExperimentRun/dcid.{run}/{name}", data)

    def _write(self, number: int, algorithm: str) -> None:
        """A trial's files, written once."""
        if number in self.made:
            return
        self.made.add(number)
        run = f"{self.parent}_{number}"
        self._put(run, "outputs/conda_env_v_1_0_0.yml", (self.script.conda or CONDA).encode())
        self._put(run, "outputs/scoring_file_v_2_0_0.py", b"def init():\n    pass\n")
        self._put(run, "outputs/mlflow-model/MLmodel", b"flavors: {}\n")
        self._put(run, "logs/azureml/azureml_automl.log", b"trained\n")
        if not self.on_table:  # a language or vision model has no pickle of scikit-learn's
            self._put(run, "outputs/mlflow-model/artifacts/model.bin", b"weights")
            return
        model, charts = (self.script.model or b"\x80\x04N.", {}) if not self.tabular else self._fitted(algorithm)
        self._put(run, "outputs/model.pkl", self.script.model or model)
        for name, chart in charts.items():
            self._put(run, name, json.dumps(chart).encode())

    def _fitted(self, algorithm: str) -> tuple[bytes, dict[str, Any]]:
        """A pipeline that takes the raw columns, as a pickle, and its charts' data."""
        from sklearn.compose import make_column_selector, make_column_transformer
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import ElasticNet, LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        from automl_jobs.engine import metrics  # Azure's documents; compared with Azure's own package in tests/oracle

        frame = self._table()
        target = frame.pop(self.task["targetColumnName"])
        classes = self.task["taskType"] == "Classification"
        kinds: Mapping[str, Any] = (
            {
                "LogisticRegression": LogisticRegression(max_iter=200),
                "DecisionTree": DecisionTreeClassifier(max_depth=4, random_state=0),
                "RandomForest": RandomForestClassifier(8, max_depth=4, random_state=0),
            }
            if classes
            else {
                "ElasticNet": ElasticNet(),
                "DecisionTree": DecisionTreeRegressor(max_depth=4, random_state=0),
                "RandomForest": RandomForestRegressor(8, max_depth=4, random_state=0),
            }
        )
        features = make_column_transformer(
            (SimpleImputer(), make_column_selector(dtype_include="number")),
            (
                OneHotEncoder(handle_unknown="ignore", max_categories=20),
                make_column_selector(dtype_exclude=["number", "datetime"]),
            ),
        )
        model = make_pipeline(features, kinds[algorithm]).fit(frame, target)
        # Not by joblib: dill, which Pulumi imports, leaves itself in what Python's own pickler writes from then on.
        pickled = pickle.dumps(model)
        if not classes:
            truth, said = target.to_numpy(dtype=float), model.predict(frame)
            charts = {"residuals": metrics.residuals, "predicted_true": metrics.predicted_true}
            return pickled, {name: chart(truth, said) for name, chart in charts.items()}
        labels = list(model.classes_)
        truth = target.map({label: number for number, label in enumerate(labels)}).to_numpy()
        chances = model.predict_proba(frame)
        return pickled, {
            "confusion_matrix": metrics.confusion_matrix(truth, chances.argmax(axis=1), labels),
            "accuracy_table": metrics.accuracy_table(truth, chances, labels),
        }

    def _asset(self) -> str:
        """The asset of the training data; an address of another kind is nobody's here."""
        return str(self.task["trainingData"]["uri"]).removeprefix(f"{self.service.root}/")

    def _table(self) -> pd.DataFrame:
        """The first rows of the training data, which lies in the blobs."""
        import pandas as pd
        import yaml

        if self.frame is None:
            uri = self.service.things[self._asset()]["properties"]["dataUri"]
            prefix = uri.partition("/paths/")[2]
            blobs = self.service.blobs()
            names = blobs.names(DATA, prefix)
            data = next(name for name in names if not name.endswith("MLTable"))
            table = yaml.safe_load(blobs.get(DATA, next(name for name in names if name.endswith("MLTable"))))
            frame = pd.read_csv(io.BytesIO(blobs.get(DATA, data)), nrows=ROWS)
            for step in table.get("transformations") or ():
                if "drop_columns" in step:
                    dropped = step["drop_columns"]
                    frame = frame.drop(columns=dropped if isinstance(dropped, list) else [dropped])
            for name in frame.select_dtypes(exclude=["number", "bool"]):
                if frame[name].dropna().astype(str).str.fullmatch(r"\d{4}-\d\d-\d\d").all():
                    frame[name] = pd.to_datetime(frame[name])  # as Azure reads what looks like dates
            self.frame = frame
        return self.frame.copy()


def _run(
    name: str,
    status: str,
    times: tuple[int, int],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    params: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    return {
        "info": {
            "run_id": name,
            "run_uuid": name,
            "experiment_id": "55555555-5555-4555-8555-555555555555",
            "status": status,
            "start_time": times[0],
            "end_time": times[1],
            "lifecycle_stage": "active",
        },
        "data": {
            "metrics": [
                {"key": key, "value": value, "timestamp": times[1], "step": 0} for key, value in metrics.items()
            ],
            "params": [{"key": key, "value": value} for key, value in (params or {}).items()],
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        },
    }
