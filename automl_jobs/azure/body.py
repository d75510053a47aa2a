"""A job as Azure ML's REST API has it (2024-01-01-preview), from our own models of the job file.

What azure-ai-ml 1.35 sends differs in four ways, none of which the published schema knows: `resources` and
`queueSettings` in snake_case, `mode` and sampling in lower case, limits of sweeps that are not asked for, every null.
A test compares the two over the published jobs and generated ones.
https://learn.microsoft.com/rest/api/azureml/jobs/create-or-update
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from automl_jobs.azure.expressions import expression, free_expression
from automl_jobs.spec.jobs import ImageJob, TextJob

if TYPE_CHECKING:
    from automl_jobs.spec.common import EarlyTermination, Output, Sweep
    from automl_jobs.spec.jobs import JobSpec
    from automl_jobs.spec.sections import Featurization, Forecasting, StackEnsembleSettings, Training

# Names in the REST API whose parts are not simply capitalised.
_METRICS = {"auc_weighted": "AUCWeighted", "iou": "IOU"}
_TASKS = {"text_ner": "TextNER"}
_IDENTITIES = {
    "managed": "Managed",
    "managed_identity": "Managed",
    "user_identity": "UserIdentity",
    "aml_token": "AMLToken",
}
_META_LEARNERS = {
    "logistic_regression_cv": "LogisticRegressionCV",
    "light_gbm_classifier": "LightGBMClassifier",
    "light_gbm_regressor": "LightGBMRegressor",
    "elastic_net_cv": "ElasticNetCV",
}
_MODES = {
    "ro_mount": "ReadOnlyMount",
    "rw_mount": "ReadWriteMount",
    "mount": "ReadWriteMount",
    "download": "Download",
    "upload": "Upload",
    "direct": "Direct",
    "eval_mount": "EvalMount",
    "eval_download": "EvalDownload",
}
_PRIORITIES = {"low": 1, "medium": 2, "high": 3}
# Parameters of image models that are words of an enumeration, and those with LR in their names.
_IMAGE_WORDS = ("optimizer", "learning_rate_scheduler", "model_size", "validation_metric_type")
_LR = re.compile(r"(?<=step|sine)Lr(?=[A-Z])")
NO_METRIC = ("text_ner", "text_classification_multilabel")
"""Tasks whose metric is always the same and has no place in the request."""


def body(
    spec: JobSpec, uris: Mapping[str, str], compute_id: str | None, tags: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The body of the request that makes the job.

    Parameters
    ----------
    uris: the address of each input by its key in the job file: training_data, validation_data, test_data.
    compute_id: the ARM id of the cluster; None for serverless compute.
    tags: added to those of the file.
    """
    given: dict[str, Any] = {
        "jobType": "AutoML",
        "displayName": spec.display_name,
        "description": spec.description,
        "experimentName": spec.experiment_name,
        "isArchived": False,
        "computeId": compute_id,
        "tags": {**_texts(spec.tags), **(tags or {})},
        "properties": _texts(spec.properties),
        "environmentId": spec.environment_id,
        "environmentVariables": dict(spec.environment_variables) or None,
        "outputs": {name: _output(one) for name, one in spec.outputs.items()},
        "identity": _identity(spec),
        "resources": _resources(spec),
        "queueSettings": _queue(spec),
        "taskDetails": _task(spec, uris),
    }
    return {"properties": _present(given)}


def _task(spec: JobSpec, uris: Mapping[str, str]) -> dict[str, Any]:
    metric = None if spec.task in NO_METRIC else _METRICS.get(spec.primary_metric, camel_name(spec.primary_metric))
    given: dict[str, Any] = {
        "taskType": _TASKS.get(spec.task, camel_name(spec.task)),
        "primaryMetric": metric,
        "logVerbosity": camel_name(spec.log_verbosity),
        "targetColumnName": None if spec.task == "text_ner" else spec.target_column_name,
        "positiveLabel": spec.positive_label,
        "weightColumnName": spec.weight_column_name,
        "validationDataSize": spec.validation_data_size,
        "testDataSize": spec.test_data_size,
        "cvSplitColumnNames": _list(spec.cv_split_column_names),
        "nCrossValidations": _auto(spec.n_cross_validations),
        **{_camel(key): _input(spec, key, uri) for key, uri in uris.items()},
    }
    if "limits" in spec.model_fields_set or isinstance(spec, TextJob | ImageJob):  # which must have some
        given["limitSettings"] = _limits(spec)
    if isinstance(spec, TextJob):
        given |= _text(spec)
    elif isinstance(spec, ImageJob):
        given |= _image(spec)
    else:
        if "featurization" in spec.model_fields_set:
            given["featurizationSettings"] = _featurization(spec.featurization)
        if "training" in spec.model_fields_set:
            given["trainingSettings"] = _training(spec.training)
        if spec.forecasting is not None:
            given["forecastingSettings"] = _forecasting(spec.forecasting)
    return _present(given)


def _input(spec: JobSpec, key: str, uri: str) -> dict[str, Any]:
    """Every table of an AutoML job is an MLTable to Azure."""
    data = spec.inputs()[key]
    mode = _MODES[data.mode] if data.mode else None
    return _present({"jobInputType": "mltable", "uri": uri, "mode": mode, "pathOnCompute": data.path_on_compute})


def _limits(spec: JobSpec) -> dict[str, Any]:
    """What the file gives; of a text task also its one trial and node, which Azure's client says for it."""
    found = _set(spec.limits)
    if isinstance(spec, TextJob):
        found = {"max_trials": spec.limits.max_trials, "max_nodes": spec.limits.max_nodes, **found}
    return _renamed(
        found,
        {
            "max_trials": "maxTrials",
            "max_concurrent_trials": "maxConcurrentTrials",
            "max_cores_per_trial": "maxCoresPerTrial",
            "max_nodes": "maxNodes",
            "exit_score": "exitScore",
            "enable_early_termination": "enableEarlyTermination",
            "timeout_minutes": ("timeout", minutes),
            "trial_timeout_minutes": ("trialTimeout", minutes),
        },
    )


def _featurization(given: Featurization) -> dict[str, Any]:
    found = _set(given)
    return _renamed(
        found,
        {
            "mode": ("mode", camel_name),
            "blocked_transformers": ("blockedTransformers", list),
            "column_name_and_types": ("columnNameAndTypes", dict),
            "dataset_language": "datasetLanguage",
            "enable_dnn_featurization": "enableDnnFeaturization",
            "transformer_params": (
                "transformerParams",
                lambda params: {
                    name: [
                        _present({"fields": list(entry.fields_) or None, "parameters": dict(entry.parameters)})
                        for entry in entries
                    ]
                    for name, entries in params.items()
                },
            ),
        },
    )


def _training(given: Training) -> dict[str, Any]:
    return _renamed(
        _set(given),
        {
            "allowed_training_algorithms": ("allowedTrainingAlgorithms", list),
            "blocked_training_algorithms": ("blockedTrainingAlgorithms", list),
            "enable_onnx_compatible_models": "enableOnnxCompatibleModels",
            "enable_dnn_training": "enableDnnTraining",
            "enable_model_explainability": "enableModelExplainability",
            "enable_stack_ensemble": "enableStackEnsemble",
            "enable_vote_ensemble": "enableVoteEnsemble",
            "ensemble_model_download_timeout_minutes": ("ensembleModelDownloadTimeout", minutes),
            "stack_ensemble_settings": ("stackEnsembleSettings", _stack),
            "training_mode": ("trainingMode", camel_name),
        },
    )


def _stack(given: StackEnsembleSettings) -> dict[str, Any]:
    learner = given.stack_meta_learner_type
    return _present(
        {
            "stackMetaLearnerType": _META_LEARNERS.get(learner, camel_name(learner)),
            "stackMetaLearnerKWargs": given.stack_meta_learner_kwargs,
            "stackMetaLearnerTrainPercentage": given.stack_meta_learner_train_percentage,
        }
    )


def _forecasting(given: Forecasting) -> dict[str, Any]:
    words = {"seasontrend": "SeasonTrend"}
    return _renamed(
        _set(given),
        {
            "time_column_name": "timeColumnName",
            "time_series_id_column_names": ("timeSeriesIdColumnNames", list),
            "forecast_horizon": ("forecastHorizon", _auto),
            "frequency": "frequency",
            "target_lags": ("targetLags", _lags),
            "feature_lags": ("featureLags", camel_name),
            "target_rolling_window_size": ("targetRollingWindowSize", _auto),
            "seasonality": ("seasonality", _auto),
            "short_series_handling_config": ("shortSeriesHandlingConfig", camel_name),
            "use_stl": ("useStl", lambda name: words.get(name, camel_name(name))),
            "target_aggregate_function": ("targetAggregateFunction", camel_name),
            "country_or_region_for_holidays": "countryOrRegionForHolidays",
            "cv_step_size": "cvStepSize",
            "features_unknown_at_forecast_time": ("featuresUnknownAtForecastTime", list),
        },
    )


def _text(spec: TextJob) -> dict[str, Any]:
    found: dict[str, Any] = {"sweepSettings": _sweep(spec.sweep)}
    if spec.featurization.dataset_language is not None:
        found["featurizationSettings"] = {"datasetLanguage": spec.featurization.dataset_language}
    if spec.training_parameters is not None:
        words = _set(spec.training_parameters)
        found["fixedParameters"] = {
            _camel(key): camel_name(value) if key == "learning_rate_scheduler" else value
            for key, value in words.items()
        }
    if spec.search_space is not None:
        found["searchSpace"] = [
            {_camel(key): expression(value) for key, value in _set(one).items()} for one in spec.search_space
        ]
    return found


def _image(spec: ImageJob) -> dict[str, Any]:
    found: dict[str, Any] = {"sweepSettings": _sweep(spec.sweep)}
    if spec.training_parameters is not None:
        found["modelSettings"] = {
            _image_key(key): camel_name(value) if key in _IMAGE_WORDS and isinstance(value, str) else value
            for key, value in spec.training_parameters.items()
        }
    if spec.search_space is not None:
        found["searchSpace"] = [
            {_image_key(key): free_expression(value) for key, value in one.items()} for one in spec.search_space
        ]
    return found


def _image_key(key: str) -> str:
    return _LR.sub("LR", _camel(key))


def _sweep(sweep: Sweep | None) -> dict[str, Any] | None:
    if sweep is None:
        return None
    return _present(
        {
            "samplingAlgorithm": camel_name(sweep.sampling_algorithm.type),
            "earlyTermination": _early(sweep.early_termination),
        }
    )


def _early(policy: EarlyTermination | None) -> dict[str, Any] | None:
    if policy is None:
        return None
    found = _set(policy)
    return {"policyType": camel_name(found.pop("type")), **{_camel(key): value for key, value in found.items()}}


def _identity(spec: JobSpec) -> dict[str, Any] | None:
    if spec.identity is None:
        return None
    kind = _IDENTITIES[spec.identity.type]
    if kind != "Managed":
        return {"identityType": kind}
    return _present(
        {
            "identityType": kind,
            "clientId": spec.identity.client_id,
            "objectId": spec.identity.object_id,
            "resourceId": spec.identity.msi_resource_id,
        }
    )


def _resources(spec: JobSpec) -> dict[str, Any] | None:
    if spec.resources is None:
        return None
    return {
        _camel(key): list(value) if isinstance(value, tuple) else value for key, value in _set(spec.resources).items()
    }


def _queue(spec: JobSpec) -> dict[str, Any] | None:
    if spec.queue_settings is None:
        return None
    found = spec.queue_settings
    tier = camel_name(found.job_tier) if found.job_tier else None
    return _present({"jobTier": tier, "priority": _PRIORITIES.get(str(found.priority).lower())})


def _output(given: Output | None) -> dict[str, Any]:
    """An output of the job; the file's words for type and mode are those of the REST API, but for the modes' case."""
    if given is None:
        return {"jobOutputType": "uri_folder"}
    return _present(
        {
            "jobOutputType": given.type or "uri_folder",
            "mode": _MODES[given.mode] if given.mode else None,
            "uri": given.path,
            "assetName": given.name,
            "assetVersion": given.version,
        }
    )


def _lags(value: Any) -> dict[str, Any]:
    if value == "auto":
        return {"mode": "Auto"}
    return {"mode": "Custom", "values": list(value) if isinstance(value, tuple) else [value]}


def _auto(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    return {"mode": "Auto"} if value == "auto" else {"mode": "Custom", "value": value}


def minutes(count: int) -> str:
    """A number of minutes as ISO 8601 has it: 90 -> PT1H30M, 10080 -> P7D."""
    days, rest = divmod(count, 24 * 60)
    hours, left = divmod(rest, 60)
    clock = (f"{hours}H" if hours else "") + (f"{left}M" if left else "")
    return "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")


def camel_name(name: str) -> str:
    """`text_classification` -> `TextClassification`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _camel(name: str) -> str:
    """`training_data` -> `trainingData`."""
    first, *rest = name.split("_")
    return first + camel_name("_".join(rest))


def _set(section: Any) -> dict[str, Any]:
    """What the file gives of a section, by its fields' names."""
    return {
        name: getattr(section, name)
        for name in type(section).model_fields
        if name in section.model_fields_set and getattr(section, name) is not None
    }


def _renamed(found: Mapping[str, Any], names: Mapping[str, str | tuple[str, Callable[[Any], Any]]]) -> dict[str, Any]:
    """What is given, under the REST API's names; keys that are missing in `names` would be lost: a KeyError."""
    result = {}
    for key, value in found.items():
        target = names[key]
        name, turn = (target, None) if isinstance(target, str) else target
        result[name] = turn(value) if turn else value
    return result


def _present(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


def _texts(given: Mapping[str, str | None]) -> dict[str, str]:
    """Tags and properties; the service takes texts only."""
    return {key: value or "" for key, value in given.items()}


def _list(given: tuple[str, ...] | None) -> list[str] | None:
    return None if given is None else list(given)
