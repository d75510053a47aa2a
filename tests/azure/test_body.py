"""Our request body against the one that azure-ai-ml makes of the same file, and both against the published schema."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl_jobs.azure.body import _camel, body, camel_name, minutes
from automl_jobs.spec import load_job
from tests.azure.standin.service import CHECKED, arm_check, no_floats
from tests.azure.test_load_job import BROKEN, PUBLISHED

ml = pytest.importorskip("azure.ai.ml")

# What the schema refuses in azure-ai-ml's own body, and `corrected` mends: see automl_jobs/azure/body.py.
IN_SNAKE_CASE = ("resources", "queueSettings")
NOT_ASKED_FOR = ("sweepConcurrentTrials", "sweepTrials", "slackAmount", "delayEvaluation", "evaluationInterval")
IN_LOWER_CASE = (
    *("mode", "samplingAlgorithm", "jobTier", "useStl", "shortSeriesHandlingConfig", "targetAggregateFunction"),
    *("featureLags", "optimizer", "learningRateScheduler"),
)
PRIORITIES = {"low": 1, "medium": 2, "high": 3}
TABLE: dict[str, Any] = {
    "name": st.just("job-1"),
    "experiment_name": st.just("an experiment"),
    "display_name": st.just("shown"),
    "description": st.text("abc: é", min_size=1, max_size=9),
    "compute": st.just("azureml:cpu"),
    "tags": st.just({"a": "b"}),
    "properties": st.just({"forestay.seed": "1"}),
    "log_verbosity": st.sampled_from(["debug", "info", "not_set", "critical"]),
    "weight_column_name": st.just("w"),
    "environment_variables": st.just({"A": "b"}),
    "identity": st.sampled_from(
        [{"type": "user_identity"}, {"type": "managed", "client_id": "11111111-1111-4111-8111-111111111111"}]
    ),
    "resources": st.fixed_dictionaries(
        {"instance_type": st.just("Standard_E4s_v3")},
        optional={"instance_count": st.integers(1, 5), "shm_size": st.just("2g")},
    ),
    "queue_settings": st.sampled_from([{"job_tier": "spot"}, {"job_tier": "standard", "priority": "high"}]),
    "outputs": st.sampled_from([{"default": {"type": "uri_folder", "mode": "upload"}}, {"default": None}]),
    "limits": st.fixed_dictionaries(
        {},
        optional={
            "max_trials": st.integers(1, 99),
            "timeout_minutes": st.integers(15, 9000),
            "trial_timeout_minutes": st.integers(1, 300),
            "max_concurrent_trials": st.integers(1, 9),
            "max_cores_per_trial": st.sampled_from([-1, 1, 4]),
            "max_nodes": st.integers(1, 9),
            "exit_score": st.floats(0.1, 0.9),
            "enable_early_termination": st.booleans(),
        },
    ),
    "featurization": st.fixed_dictionaries(
        {"mode": st.sampled_from(["auto", "custom", "off"])},
        optional={
            "blocked_transformers": st.lists(
                st.sampled_from(["TfIdf", "label_encoder", "WoETargetEncoder"]), min_size=1
            ),
            "column_name_and_types": st.just({"a": "Text"}),
            "dataset_language": st.just("deu"),
            "enable_dnn_featurization": st.booleans(),
            "transformer_params": st.just({"imputer": [{"fields": ["a"], "parameters": {"strategy": "mean"}}]}),
        },
    ),
}
TRAINING = {
    "enable_onnx_compatible_models": st.booleans(),
    "enable_dnn_training": st.booleans(),
    "enable_model_explainability": st.booleans(),
    "enable_stack_ensemble": st.booleans(),
    "enable_vote_ensemble": st.booleans(),
    "ensemble_model_download_timeout_minutes": st.integers(1, 90),
    "training_mode": st.sampled_from(["auto", "distributed", "non_distributed"]),
}
ALGORITHMS = {
    "classification": ["light_gbm", "KNN", "xg_boost_classifier", "linear_svm", "sgd"],
    "regression": ["light_gbm", "KNN", "xg_boost_regressor", "lasso_lars"],
    "forecasting": ["auto_arima", "tcn_forecaster", "prophet", "seasonal_naive"],
}
METRICS = {
    "classification": ["AUC_weighted", "accuracy", "norm_macro_recall", "average_precision_score_weighted"],
    "regression": ["r2_score", "spearman_correlation", "normalized_root_mean_squared_error"],
    "forecasting": ["normalized_mean_absolute_error", "r2_score"],
}
FORECAST = st.fixed_dictionaries(
    {"time_column_name": st.just("day")},
    optional={
        "time_series_id_column_names": st.sampled_from(["s", ["s", "t"]]),
        "forecast_horizon": st.sampled_from(["auto", 7]),
        "frequency": st.just("D"),
        "target_lags": st.sampled_from(["auto", 3, [1, 7]]),
        "feature_lags": st.sampled_from(["none", "auto"]),
        "target_rolling_window_size": st.sampled_from(["auto", 5]),
        "seasonality": st.sampled_from(["auto", 7]),
        "short_series_handling_config": st.sampled_from(["none", "auto", "pad", "drop"]),
        "use_stl": st.sampled_from(["none", "season"]),
        "target_aggregate_function": st.sampled_from(["none", "sum", "mean"]),
        "country_or_region_for_holidays": st.just("DE"),
        "cv_step_size": st.integers(1, 9),
        "features_unknown_at_forecast_time": st.just(["x"]),
    },
)
SWEEP = st.sampled_from(
    [
        {"sampling_algorithm": "random"},
        {"sampling_algorithm": "grid", "early_termination": {"type": "median_stopping", "evaluation_interval": 2}},
        {"sampling_algorithm": "bayesian", "early_termination": {"type": "bandit", "slack_factor": 0.2}},
        {
            "sampling_algorithm": "random",
            "early_termination": {"type": "truncation_selection", "truncation_percentage": 20},
        },
    ]
)
SPACE = st.lists(
    st.fixed_dictionaries(
        {"model_name": st.just({"type": "choice", "values": ["bert-base-cased", "roberta-base"]})},
        optional={
            "learning_rate": st.sampled_from(
                [
                    {"type": "uniform", "min_value": 0.00001, "max_value": 0.001},
                    {"type": "loguniform", "min_value": -6.0, "max_value": -1.0},
                    {"type": "choice", "values": [0.001, 0.00002]},
                ]
            ),
            "number_of_epochs": st.just({"type": "choice", "values": [3, 4]}),
        },
    ),
    min_size=1,
    max_size=2,
)


IMAGES = {
    "image_classification": "vitb16r224",
    "image_classification_multilabel": "resnet50",
    "image_object_detection": "yolov5",
    "image_instance_segmentation": "maskrcnn_resnet50_fpn",
}
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "optimizer": st.sampled_from(["sgd", "adam"]),
        "learning_rate": st.sampled_from([0.01, 0.00005]),
        "learning_rate_scheduler": st.sampled_from(["warmup_cosine", "step"]),
        "step_lr_gamma": st.just(0.5),
        "number_of_epochs": st.integers(1, 30),
        "early_stopping": st.booleans(),
        "weight_decay": st.just(0.0001),
    },
)


def image_job(draw: Any, found: dict[str, Any], task: str) -> dict[str, Any]:
    """A job on images: fixed parameters, a sweep over a search space, or both."""
    for name in ("weight_column_name", "featurization"):
        found.pop(name, None)
    for key in ("max_cores_per_trial", "exit_score", "enable_early_termination", "max_nodes", "trial_timeout_minutes"):
        found.get("limits", {}).pop(key, None)
    if draw(st.booleans()):
        found["training_parameters"] = draw(PARAMETERS) or {"early_stopping": True}
    if draw(st.booleans()):
        space = {
            "model_name": {"type": "choice", "values": [IMAGES[task]]},
            "learning_rate": {"type": "uniform", "min_value": 0.00001, "max_value": 0.01},
        }
        found |= {"sweep": draw(SWEEP), "search_space": [space]}
    return found


@st.composite
def jobs(draw: Any) -> dict[str, Any]:
    """Job files of all kinds that azure-ai-ml can serialise."""
    texts = ("text_classification", "text_classification_multilabel", "text_ner")
    task = draw(st.sampled_from([*ALGORITHMS, *texts, *IMAGES]))
    found = {
        "type": "automl",
        "task": task,
        "target_column_name": "y",
        "training_data": {"path": "azureml:data:1", "type": "mltable"},
    }
    keys = draw(st.sets(st.sampled_from(sorted(TABLE))))
    found |= {key: draw(TABLE[key]) for key in sorted(keys)}
    if task in IMAGES:
        return image_job(draw, found, task)
    if task.startswith("text"):
        found.pop("weight_column_name", None)
        found.pop("featurization", None)
        found["validation_data"] = {"path": "azureml:data:2", "type": "mltable"}
        if "limits" in found:
            for key in ("max_cores_per_trial", "exit_score", "enable_early_termination"):
                found["limits"].pop(key, None)
        if draw(st.booleans()):
            found |= {"sweep": draw(SWEEP), "search_space": draw(SPACE)}
        if draw(st.booleans()):
            found["training_parameters"] = {"learning_rate": 0.01, "learning_rate_scheduler": "cosine_with_restarts"}
        return found
    found["primary_metric"] = draw(st.sampled_from(METRICS[task]))
    if draw(st.booleans()):
        found["n_cross_validations"] = draw(st.sampled_from(["auto", 3]))
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(ALGORITHMS[task]), min_size=1, unique=True))
        found["training"] = {
            draw(st.sampled_from(["allowed_training_algorithms", "blocked_training_algorithms"])): names,
            **draw(st.fixed_dictionaries({}, optional=TRAINING)),
        }
    if task == "classification" and draw(st.booleans()):
        found["positive_label"] = "yes"
    if task == "forecasting":
        found["forecasting"] = draw(FORECAST)
    return found


def theirs(path: Path) -> Any:
    """What azure-ai-ml would send."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ml.load_job(path)._to_rest_object().as_dict()


def ours(path: Path) -> Any:
    spec = load_job(path).spec
    uris = {key: data.path.removeprefix("azureml:") for key, data in spec.inputs().items()}
    return body(spec, uris, spec.compute.removeprefix("azureml:") if spec.compute else None)


def corrected(document: Any, name: str = "") -> Any:
    """azure-ai-ml's body as the published schema wants it; nothing of what it means is changed."""
    if isinstance(document, list | tuple):
        return [corrected(item) for item in document]
    if isinstance(document, str):
        return camel_name(document) if name in IN_LOWER_CASE else document
    if not isinstance(document, dict):
        return document
    found = {
        key: corrected(item, key)
        for key, item in document.items()
        if item is not None and not (key in NOT_ASKED_FOR and item == 0)
    }
    if name in IN_SNAKE_CASE:
        found = {_camel(key): PRIORITIES.get(item, item) if key == "priority" else item for key, item in found.items()}
        found |= {"jobTier": camel_name(found["jobTier"])} if "jobTier" in found else {}
    return found


def plain(value: Any) -> Any:
    """What two bodies that mean the same have in common: nothing empty, no case."""
    if isinstance(value, dict):
        kept = {key: plain(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if item not in ({}, [])}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.lower() if isinstance(value, str) else value


def agree(path: Path, shared: Path) -> None:
    """Both bodies mean the same, and both fit the published schema."""
    mine, other = ours(path), corrected(theirs(path))
    other.pop("name", None)  # which stands in the address
    if "primaryMetric" not in mine["properties"]["taskDetails"]:  # of tasks that have but one
        other["properties"]["taskDetails"].pop("primaryMetric", None)
    assert plain(mine) == plain(other)
    assert fits(shared, mine) == []
    assert fits(shared, other) == []


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(job=jobs())
def test_generated_jobs_mean_the_same(tmp_path: Path, shared: Path, job: dict[str, Any]) -> None:
    path = tmp_path / "job.yml"
    path.write_text(yaml.safe_dump(job, sort_keys=False, allow_unicode=True), encoding="utf-8")
    agree(path, shared)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_jobs_mean_the_same(shared: Path, name: str) -> None:
    agree(shared / "data" / name, shared)


def test_no_published_job_is_left_out(shared: Path) -> None:
    there = {path.relative_to(shared / "data").as_posix() for path in (shared / "data").glob("*/*.yml")}
    assert there == {*PUBLISHED, BROKEN}


def fits(shared: Path, document: dict[str, Any]) -> list[str]:
    return [
        error
        for error in arm_check(shared).check_arm(*CHECKED["jobs"], {"name": "job1", **no_floats(document)})
        if not error.startswith("name:")
    ]


def test_what_azures_client_gets_wrong_is_right_here(tmp_path: Path, shared: Path) -> None:
    """Stack ensembles can't be serialised by it; resources and queue settings it writes as the schema does not know."""
    job = {
        "type": "automl",
        "task": "classification",
        "target_column_name": "y",
        "training_data": {"path": "azureml:data:1", "type": "mltable"},
        "training": {"stack_ensemble_settings": {"stack_meta_learner_type": "logistic_regression_cv"}},
        "resources": {"instance_type": "Standard_E4s_v3", "instance_count": 2},
        "queue_settings": {"job_tier": "spot"},
        "identity": {"type": "user_identity"},
    }
    path = tmp_path / "job.yml"
    path.write_text(yaml.safe_dump(job), encoding="utf-8")
    made = ours(path)
    assert fits(shared, made) == []
    assert made["properties"]["taskDetails"]["trainingSettings"]["stackEnsembleSettings"] == {
        "stackMetaLearnerType": "LogisticRegressionCV",
        "stackMetaLearnerTrainPercentage": 0.2,
    }
    assert made["properties"]["queueSettings"] == {"jobTier": "Spot"}
    job.pop("training")
    path.write_text(yaml.safe_dump(job), encoding="utf-8")
    assert any("instance_count" in error for error in fits(shared, theirs(path)))


def test_image_jobs_mean_the_same(tmp_path: Path, shared: Path) -> None:
    job = {
        "type": "automl",
        "task": "image_object_detection",
        "target_column_name": "label",
        "training_data": {"path": "azureml:data:1", "type": "mltable"},
        "limits": {"max_trials": 3, "timeout_minutes": 60, "max_concurrent_trials": 2},
        "training_parameters": {"optimizer": "sgd", "step_lr_gamma": 0.5, "early_stopping": True},
        "sweep": {"sampling_algorithm": "random", "early_termination": {"type": "bandit", "slack_factor": 0.2}},
        "search_space": [
            {
                "model_name": {"type": "choice", "values": ["yolov5"]},
                "learning_rate": {"type": "uniform", "min_value": 0.00001, "max_value": 0.01},
                "model_size": {"type": "choice", "values": ["small", "medium"]},
            }
        ],
    }
    path = tmp_path / "job.yml"
    path.write_text(yaml.safe_dump(job, sort_keys=False), encoding="utf-8")
    agree(path, shared)


@pytest.mark.parametrize(("count", "text"), [(20, "PT20M"), (90, "PT1H30M"), (180, "PT3H"), (10080, "P7D")])
def test_minutes_as_iso(count: int, text: str) -> None:
    assert minutes(count) == text
