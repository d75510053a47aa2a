"""What we make of a job file is what azure-ai-ml makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from automl_jobs.spec import algorithms, load_job, metrics
from forestay.documents.names import snake
from forestay.documents.problems import keys
from forestay.errors import InputError

ml = pytest.importorskip("azure.ai.ml")

PUBLISHED = (
    "classification-task-bankmarketing/cli-automl-classification-task-bankmarketing.yml",
    "regression-task-hardware-perf/cli-automl-regression-task-hardware-perf.yml",
    "forecasting-bike-share/cli-automl-forecasting-task-bike-share.yml",
)
LIMITS = (
    "max_trials",
    "timeout_minutes",
    "trial_timeout_minutes",
    "max_concurrent_trials",
    "max_cores_per_trial",
    "max_nodes",
    "exit_score",
    "enable_early_termination",
)
BROKEN = "classification-task-bankmarketing/cli-automl-classification-task-bankmarketing-serverless.yml"
"""Its `resources` is a text."""
HEAD = "type: automl\ntask: classification\ntarget_column_name: y\ntraining_data: {path: ./data, type: mltable}\n"


def names(values: Any) -> list[str] | None:
    return None if values is None else [str(getattr(value, "value", value)) for value in values]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_jobs_mean_the_same(shared: Path, name: str) -> None:
    path = shared / "data" / name
    ours, theirs = load_job(path).spec, ml.load_job(path)
    assert ours.target_column_name == theirs.target_column_name
    assert ours.primary_metric == snake(theirs.primary_metric.value)
    assert ours.n_cross_validations == theirs.n_cross_validations
    assert (ours.compute or "").removeprefix("azureml:") == theirs.compute
    for name in LIMITS:
        if name in ours.limits.model_fields_set:
            assert getattr(ours.limits, name) == getattr(theirs.limits, name), name
        else:
            assert getattr(theirs.limits, name) is None, name
    for name in ("allowed_training_algorithms", "blocked_training_algorithms"):
        given = getattr(ours.training, name)
        assert (None if given is None else list(given)) == names(getattr(theirs.training, name)), name
    for name in ("training_data", "validation_data", "test_data"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert (mine and mine.path) == (other and str(other.path)), name
    if theirs.featurization:
        assert ours.featurization.mode == theirs.featurization.mode
        assert list(ours.featurization.blocked_transformers) == (names(theirs.featurization.blocked_transformers) or [])
        assert {name: snake(kind) for name, kind in ours.featurization.column_name_and_types.items()} == {
            name: snake(kind) for name, kind in (theirs.featurization.column_name_and_types or {}).items()
        }
        assert {
            name: [(list(entry.fields_), entry.parameters) for entry in entries]
            for name, entries in ours.featurization.transformer_params.items()
        } == {
            name: [(entry.fields, entry.parameters) for entry in entries]
            for name, entries in theirs.featurization.transformer_params.items()
        }


def test_the_published_job_that_is_broken_is_refused_by_both(shared: Path) -> None:
    with pytest.raises(InputError, match="`resources` must be a mapping"):
        load_job(shared / "data" / BROKEN)
    with pytest.raises(Exception, match="resources"):
        ml.load_job(shared / "data" / BROKEN)


def test_forecast_means_the_same(shared: Path) -> None:
    path = shared / "data" / PUBLISHED[-1]
    ours, theirs = load_job(path).spec.forecasting, ml.load_job(path).forecasting_settings
    assert ours is not None
    for name in ("time_column_name", "forecast_horizon", "frequency", "target_lags", "country_or_region_for_holidays"):
        assert getattr(ours, name) == getattr(theirs, name), name


@pytest.mark.parametrize(
    ("task", "schema"),
    [
        ("classification", "table_vertical.classification.AutoMLClassificationSchema"),
        ("regression", "table_vertical.regression.AutoMLRegressionSchema"),
        ("forecasting", "table_vertical.forecasting.AutoMLForecastingSchema"),
        ("text_classification", "nlp_vertical.text_classification.TextClassificationSchema"),
        (
            "text_classification_multilabel",
            "nlp_vertical.text_classification_multilabel.TextClassificationMultilabelSchema",
        ),
        ("text_ner", "nlp_vertical.text_ner.TextNerSchema"),
        ("image_classification", "image_vertical.image_classification.ImageClassificationSchema"),
        ("image_object_detection", "image_vertical.image_object_detection.ImageObjectDetectionSchema"),
    ],
)
def test_keys_metrics_and_sections_are_those_of_the_schema(task: str, schema: str) -> None:
    import importlib

    from automl_jobs.spec.jobs import BY_TASK
    from forestay.documents.problems import section_at

    module, _, name = schema.rpartition(".")
    theirs = getattr(importlib.import_module(f"azure.ai.ml._schema.automl.{module}"), name)(context={"base_path": "."})
    fields = {field.data_key or key: field for key, field in theirs.fields.items()}
    model = BY_TASK[task]
    assert set(keys(model)) == set(fields)
    assert set(fields["primary_metric"].allowed_values) == set(metrics.PRIMARY_METRICS[task])
    assert fields["primary_metric"].load_default == metrics.PRIMARY_METRICS[task][0]
    for section in ("limits", "featurization", "training", "forecasting"):
        ours = section_at(model, [section])
        if section in fields:
            assert ours is not None, section
            nested = fields[section].schema.fields
            assert set(keys(ours)) == {field.data_key or key for key, field in nested.items()}, section
            if section == "training":
                allowed = nested["allowed_training_algorithms"].inner.allowed_values
                assert set(allowed) == set(algorithms.by_snake(task))


@pytest.mark.parametrize(
    "extra",
    [
        "primary_metric: AUCWeighted\n",
        "primary_metric: AUC_weighted\n",
        "limits: {timeout_minutes: '5', enable_early_termination: 'yes'}\n",
        "training: {allowed_training_algorithms: [XGBoostClassifier, light_gbm]}\n",
        "featurization: {mode: 'Off', blocked_transformers: [WoETargetEncoder, tf_idf]}\n",
        "featurization: {transformer_params: {TfIdf: [{fields: [a]}], hash_one_hot_encoder: [{parameters: {x: 1}}]}}\n",
        "n_cross_validations: Auto\n",
        "n_cross_validations: 5\nvalidation_data_size: 0.2\n",
        "identity: {type: UserIdentity}\n",
        "identity: {type: managed}\n",
        "outputs: {default: {type: uri_folder, mode: upload}}\n",
        "queue_settings: {job_tier: Spot, priority: High}\n",
        "id: x\nstatus: s\n$schema: s\n",
        "training: {training_mode: distributed, ensemble_model_download_timeout_minutes: 3}\n",
        "training: {stack_ensemble_settings: {stack_meta_learner_type: LogisticRegression}}\n",
    ],
)
def test_both_take_it(tmp_path: Path, extra: str) -> None:
    path = tmp_path / "job.yml"
    path.write_text(HEAD + extra)
    ml.load_job(path)
    load_job(path)


@pytest.mark.parametrize(
    "extra",
    [
        "primary_metric: recall\n",
        "positive_label: 1\n",
        "tags: {a: 1}\n",
        "limits:\n",
        "limits: {timeout_minutes: true}\n",
        "training: {allowed_training_algorithms: [lightgbm]}\n",
        "featurization: {blocked_transformers: [woe_target_encoder]}\n",
        "forecasting: {}\n",
        "validation_data: azureml:foo:1\n",
        "test_data: {path: azureml:foo:1, type: uri_file}\n",
        "cv_split_column_names: a\n",
        "weight_column_name: true\n",
        "training: {ensemble_model_download_timeout: 3}\n",
        "resources: {instances: 3}\n",
    ],
)
def test_both_refuse_it(tmp_path: Path, extra: str) -> None:
    path = tmp_path / "job.yml"
    path.write_text(HEAD + extra)
    with pytest.raises(InputError):
        load_job(path)
    with pytest.raises(Exception):  # noqa: B017, PT011 - azure-ai-ml raises marshmallow's, its own and KeyError
        ml.load_job(path)
