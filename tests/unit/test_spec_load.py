"""Job files that are right: defaults, casing, overrides, lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from automl_jobs.spec import load_job
from automl_jobs.spec.jobs import BY_TASK
from forestay.errors import InputError

HEAD = "type: automl\ntask: {task}\ntarget_column_name: y\ntraining_data:\n  path: ./data\n  type: mltable\n"


def load(tmp_path: Path, extra: str = "", task: str = "classification", **overrides: str):
    path = tmp_path / "job.yml"
    path.write_text(HEAD.format(task=task) + extra, encoding="utf-8")
    return load_job(path, {key.replace("__", "."): value for key, value in overrides.items()})


def test_importing_the_spec_imports_nothing_heavy() -> None:
    code = (
        "import sys, automl_jobs.spec, automl_jobs.spec.metrics; "
        "heavy = {'pandas', 'numpy', 'sklearn', 'azure', 'mlflow'} & {name.split('.')[0] for name in sys.modules}; "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("folder", "metric", "algorithms", "trials", "target"),
    [
        ("classification-task-bankmarketing", "accuracy", ("LogisticRegression", "GradientBoosting"), 40, "y"),
        ("regression-task-hardware-perf", "r2_score", ("LightGBM", "XGBoostRegressor"), 10, "ERP"),
    ],
)
def test_published_jobs(
    shared: Path, folder: str, metric: str, algorithms: tuple[str, ...], trials: int, target: str
) -> None:
    spec = load_job(shared / "data" / folder / f"cli-automl-{folder}.yml").spec
    assert (spec.metric, spec.algorithms, spec.limits.max_trials) == (metric, algorithms, trials)
    assert spec.target_column_name == target
    assert spec.limits.timeout_minutes == 180


def test_published_forecast(shared: Path) -> None:
    path = shared / "data/forecasting-bike-share/cli-automl-forecasting-task-bike-share.yml"
    loaded = load_job(path)
    assert loaded.spec.forecasting is not None
    assert loaded.spec.forecasting.forecast_horizon == 14
    assert loaded.spec.forecasting.target_lags == "auto"
    assert "ExtremeRandomTrees" not in loaded.spec.algorithms
    assert "AutoArima" in loaded.spec.algorithms
    lines = path.read_text(encoding="utf-8").splitlines()
    line = loaded.line_of("forecasting.forecast_horizon")
    assert line is not None
    assert lines[line - 1].strip().startswith("forecast_horizon:")


def test_malformed_serverless_job_is_refused_at_its_resources(shared: Path) -> None:
    name = "classification-task-bankmarketing"
    path = shared / "data" / name / f"cli-automl-{name}-serverless.yml"
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if text.startswith("resources:"))
    with pytest.raises(InputError) as caught:
        load_job(path)
    (problem,) = caught.value.problems
    assert problem.where == f"{path}:{line}"
    assert "resources" in problem.message
    assert "colon" in problem.fix


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("classification", "AUC_weighted"),
        ("regression", "normalized_root_mean_squared_error"),
        ("text_classification", "accuracy"),
        ("text_classification_multilabel", "accuracy"),
        ("text_ner", "accuracy"),
        ("image_classification", "accuracy"),
        ("image_classification_multilabel", "iou"),
        ("image_object_detection", "mean_average_precision"),
        ("image_instance_segmentation", "mean_average_precision"),
    ],
)
def test_default_metric_of_each_task(tmp_path: Path, task: str, metric: str) -> None:
    assert load(tmp_path, task=task).spec.metric == metric


def test_defaults_are_the_services(tmp_path: Path) -> None:
    spec = load(tmp_path).spec
    assert spec.limits.model_dump() == {
        "max_trials": 1000,
        "timeout_minutes": 360,
        "trial_timeout_minutes": 30,
        "max_concurrent_trials": 1,
        "max_cores_per_trial": -1,
        "max_nodes": None,
        "exit_score": None,
        "enable_early_termination": True,
    }
    assert spec.featurization.mode == "auto"
    assert len(spec.algorithms) == 13
    assert spec.time_budget_seconds == 6 * 3600
    assert load(tmp_path, task="text_classification").spec.limits.max_trials == 1


@pytest.mark.parametrize("name", ["AUCWeighted", "AUC_weighted", "auc_weighted"])
def test_metric_in_any_spelling_of_azures(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, f"primary_metric: {name}\n").spec.metric == "AUC_weighted"


@pytest.mark.parametrize("imputer", ["imputer", "Imputer"])
@pytest.mark.parametrize("algorithm", ["LightGBM", "light_gbm"])
@pytest.mark.parametrize("blocked", ["WoETargetEncoder", "wo_e_target_encoder"])
def test_names_in_camel_or_snake_case(tmp_path: Path, imputer: str, algorithm: str, blocked: str) -> None:
    spec = load(
        tmp_path,
        f"training: {{allowed_training_algorithms: [{algorithm}]}}\n"
        f"featurization: {{mode: Custom, blocked_transformers: [{blocked}], column_name_and_types: {{a: categorical}},"
        f" transformer_params: {{{imputer}: [{{fields: [a], parameters: {{strategy: median}}}}]}}}}\n",
    ).spec
    assert spec.algorithms == ("LightGBM",)
    assert spec.featurization.mode == "custom"
    assert spec.featurization.blocked_transformers == ("WoETargetEncoder",)
    assert spec.featurization.column_name_and_types == {"a": "Categorical"}
    (entry,) = spec.featurization.transformer_params["Imputer"]
    assert (entry.fields_, entry.parameters) == (("a",), {"strategy": "median"})


def test_blocked_algorithms_are_left_out(tmp_path: Path) -> None:
    spec = load(tmp_path, "training: {blocked_training_algorithms: [LightGBM, knn]}\n").spec
    assert len(spec.algorithms) == 11
    assert not {"LightGBM", "KNN"} & set(spec.algorithms)


def test_unquoted_off_is_off_with_a_warning(tmp_path: Path) -> None:
    loaded = load(tmp_path, "featurization:\n  mode: off\n")
    assert loaded.spec.featurization.mode == "off"
    (warning,) = loaded.warnings
    assert warning.where.endswith("job.yml:8")
    assert load(tmp_path, 'featurization:\n  mode: "off"\n').warnings == ()


def test_what_surrounds_a_job(tmp_path: Path) -> None:
    spec = load(
        tmp_path,
        "$schema: https://example.test/s.json\nid: x\nstatus: Completed\nname: job_1-a\ncompute: azureml:cpu\n"
        "resources: {instance_type: Standard_E4s_v3, instance_count: 2}\nqueue_settings: {job_tier: Spot}\n"
        "identity: {type: UserIdentity}\nenvironment_variables: {A: b}\ntags: {team: ml, empty: }\n"
        "outputs: {default: {type: uri_folder, mode: upload, version: 1.0}}\nlog_verbosity: NotSet\n"
        "properties: {anything: goes}\n",
    ).spec
    assert spec.resources is not None
    assert spec.resources.instance_count == 2
    assert spec.queue_settings is not None
    assert spec.queue_settings.job_tier == "spot"
    assert spec.identity is not None
    assert spec.identity.type == "user_identity"
    assert spec.log_verbosity == "not_set"
    assert spec.tags == {"team": "ml", "empty": None}
    assert spec.properties == {"anything": "goes"}


def test_text_task_sweeps(tmp_path: Path) -> None:
    spec = load(
        tmp_path,
        "limits: {max_trials: 3, max_nodes: 2}\nfeaturization: {dataset_language: deu}\n"
        "training_parameters: {model_name: bert-base-cased, learning_rate_scheduler: CosineWithRestarts}\n"
        "search_space:\n- model_name: {type: choice, values: [a, b]}\n  number_of_epochs: 3\n"
        "sweep:\n  sampling_algorithm: random\n  early_termination: {type: bandit, slack_amount: 0.1}\n",
        task="text_classification",
    ).spec
    assert spec.sweep is not None
    assert spec.sweep.sampling_algorithm.type == "random"
    assert spec.training_parameters.learning_rate_scheduler == "cosine_with_restarts"
    assert spec.search_space[0].number_of_epochs.values == [3]


@pytest.mark.parametrize(
    ("path", "remote"),
    [
        ("./data", False),
        ("file:./data", False),
        ("azureml:bank:1", True),
        ("azureml:bank@latest", True),
        ("azureml://datastores/d/paths/p", True),
        ("azureml:/subscriptions/s/resourceGroups/r", True),
        ("https://example.test/x", True),
        ("wasbs://c@a.blob.core.windows.net/x", True),
    ],
)
def test_forms_of_a_path(tmp_path: Path, path: str, remote: bool) -> None:
    data = load(tmp_path, training_data__path=path).spec.training_data
    assert data.path == path
    assert data.remote is remote
    assert data.local(tmp_path) == (None if remote else tmp_path / "data")


def test_anchors_and_merges(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "validation_data: &other\n  type: mltable\n  path: ./validation\ntest_data:\n  <<: *other\n  path: ./test\n",
    )
    assert loaded.spec.test_data is not None
    assert loaded.spec.test_data.path == "./test"
    assert loaded.line_of("test_data.path") == 12
    assert loaded.line_of("test_data.type") == 8


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "job.yml"
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.format(task="regression").replace("\n", "\r\n").encode())
    loaded = load_job(path)
    assert loaded.spec.task == "regression"
    assert loaded.line_of("target_column_name") == 3


class TestForestayProperties:
    def test_settings(self, tmp_path: Path) -> None:
        spec = load(
            tmp_path,
            'properties: {forestay.time_budget: "30s", forestay.seed: "7", forestay.prefer: speed, other: x}\n',
        ).spec
        assert (spec.forestay.time_budget_seconds, spec.forestay.seed, spec.forestay.prefer) == (30.0, 7, "speed")
        assert spec.time_budget_seconds == 30.0

    @pytest.mark.parametrize(
        ("text", "seconds"), [("5m", 300), ("1h", 3600), ("1h30m", 5400), ("90", 90), ("1.5h", 5400)]
    )
    def test_durations(self, tmp_path: Path, text: str, seconds: float) -> None:
        assert load(tmp_path, f'properties: {{forestay.time_budget: "{text}"}}\n').spec.time_budget_seconds == seconds

    @pytest.mark.parametrize(("written", "fixes"), [("true", ['write forestay.bagged_folds: "true"']), ('"true"', [])])
    def test_a_truth_value_is_taken_as_text(self, tmp_path: Path, written: str, fixes: list[str]) -> None:
        loaded = load(tmp_path, f"properties: {{forestay.bagged_folds: {written}}}\n")
        assert loaded.spec.properties == {"forestay.bagged_folds": "true"}
        assert loaded.spec.forestay.bagged_folds is True
        assert [warning.fix for warning in loaded.warnings] == fixes

    def test_a_number_is_taken_with_a_warning(self, tmp_path: Path) -> None:
        loaded = load(tmp_path, "properties:\n  forestay.seed: 7\n")
        assert loaded.spec.properties == {"forestay.seed": "7"}
        assert [warning.where.rpartition(":")[2] for warning in loaded.warnings] == ["8"]

    @pytest.mark.parametrize(
        ("line", "fix"),
        [
            ('forestay.sed: "7"', "forestay.seed"),
            ('forestay.seed: "-1"', "whole number"),
            ('forestay.time_budget: "soon"', "30s"),
            ('forestay.time_budget: "0s"', "1s"),
            ("forestay.prefer: sped", "speed"),
            ("forestay.bagged_folds: often", "true or false"),
            ("forestay.time_budget:", "30s"),
            ("forestay.decision: argmin", "balanced"),
            ('forestay.decision: "1.5"', "0.3"),
            ('forestay.decision: "cost:FN=1"', "cost:FN=5,FP=1"),
        ],
    )
    def test_bad_ones(self, tmp_path: Path, line: str, fix: str) -> None:
        with pytest.raises(InputError) as caught:
            load(tmp_path, f"properties:\n  {line}\n")
        (problem,) = caught.value.problems
        assert problem.where.endswith("job.yml:8")
        assert "properties.forestay." in problem.message
        assert fix in problem.fix


class TestOverrides:
    def test_they_lie_over_the_file_and_leave_it(self, tmp_path: Path) -> None:
        loaded = load(
            tmp_path,
            "limits:\n  max_trials: 5\n",
            limits__max_trials="7",
            limits__exit_score="0.5",
            training__allowed_training_algorithms="[LightGBM]",
            featurization__mode="off",
            properties__forestay__seed="3",
            featurization__column_name_and_types__a__b="Numeric",
        )
        assert loaded.spec.limits.max_trials == 7
        assert loaded.spec.limits.exit_score == 0.5
        assert loaded.spec.algorithms == ("LightGBM",)
        assert loaded.spec.featurization.mode == "off"
        assert loaded.spec.forestay.seed == 3
        assert loaded.spec.featurization.column_name_and_types == {"a.b": "Numeric"}
        assert "max_trials: 5" in loaded.path.read_text()
        assert loaded.where("limits.max_trials") == "--set limits.max_trials"
        assert loaded.line_of("limits.max_trials") is None

    def test_null_removes_a_key(self, tmp_path: Path) -> None:
        loaded = load(tmp_path, "validation_data: {path: ./v}\n", validation_data="null", n_cross_validations="3")
        assert loaded.spec.validation_data is None

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("limits.foo", "1", "unknown key"),
            ("limits.foo", "null", "unknown key"),
            ("limts.max_trials", "1", "limits"),
            ("limits.max_trials", "many", "number"),
            ("limits.max_trials", "[", "not YAML"),
            ("task.x", "1", "not a mapping"),
            ("", "1", "not a key"),
            ("limits..x", "1", "not a key"),
        ],
    )
    def test_bad_ones_are_named(self, tmp_path: Path, key: str, value: str, words: str) -> None:
        with pytest.raises(InputError) as caught:
            load(tmp_path, **{key.replace(".", "__"): value})
        problem = caught.value.problems[0]
        assert problem.where == f"--set {key}"
        assert words in problem.message + problem.fix


def test_every_task_has_a_class() -> None:
    from automl_jobs.spec.metrics import PRIMARY_METRICS

    assert set(BY_TASK) == set(PRIMARY_METRICS)
