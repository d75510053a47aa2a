"""Job files that are wrong: every problem at once, each with its line, its key and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_jobs.spec import load_job
from forestay.errors import InputError, Problem

HEAD = "type: automl\ntask: {task}\ntarget_column_name: y\ntraining_data:\n  path: ./data\n  type: mltable\n"
FORECAST = "forecasting: {time_column_name: date}\n"


def problems(tmp_path: Path, text: str) -> tuple[Problem, ...]:
    path = tmp_path / "job.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_job(path)
    assert all(problem.fix for problem in caught.value.problems), caught.value.problems
    return caught.value.problems


@pytest.mark.parametrize(
    ("extra", "line", "message", "fix"),
    [
        ("limts: {}\n", 7, "limts", "limits"),
        ("limits:\n  max_trial: 5\n", 8, "limits.max_trial", "max_trials"),
        ("limits:\n  max_trials: 0\n", 8, "limits.max_trials", "1 or more"),
        ("limits:\n  timeout_minutes: -5\n", 8, "limits.timeout_minutes", "1 or more"),
        ("limits:\n  timeout_minutes: 2.5\n", 8, "whole number", "whole number"),
        ("limits:\n  timeout_minutes: many\n", 8, "must be a number, not 'many'", "whole number"),
        ("limits:\n  max_trials: true\n", 8, "true", "number"),
        ("limits:\n  exit_score: .nan\n", 8, "limits.exit_score", "number"),
        ("limits:\n  max_cores_per_trial: 0\n", 8, "limits.max_cores_per_trial", "-1"),
        ("limits:\n  enable_early_termination: maybe\n", 8, "maybe", "true or false"),
        ("limits:\n", 7, "limits", "remove the line"),
        ("limits: [1]\n", 7, "a list", "key: value"),
        ("max_trials: 5\n", 7, "max_trials", "limits"),
        ("limits:\n  compute: x\n", 8, "limits.compute", "top of the file"),
        ("primary_metric: r2_score\n", 7, "classification", "auc_weighted"),
        ("primary_metric: acuracy\n", 7, "acuracy", "accuracy"),
        ("primary_metric: 3\n", 7, "primary_metric", "accuracy"),
        ("featurization:\n  mode: automatic\n", 8, "automatic", "auto"),
        ("featurization:\n  mode: on\n", 8, "featurization.mode", "auto"),
        ("featurization:\n  blocked_transformers: [TfIDFF]\n", 8, "TfIDFF", "tf_idf"),
        ("featurization:\n  column_name_and_types: {a: Category}\n", 8, "Category", "Categorical"),
        ("featurization:\n  transformer_params:\n    Imputr: []\n", 8, "Imputr", "imputer"),
        ("featurization:\n  transformer_params:\n    imputer:\n    - felds: [a]\n", 10, "felds", "fields"),
        ("featurization:\n  drop_columns: [a]\n", 8, "drop_columns", "mode"),
        ("training:\n  allowed_training_algorithms: [LightGBN]\n", 8, "LightGBN", "light_gbm"),
        ("training:\n  allowed_training_algorithms:\n  - LightGBM\n  - prophet\n", 10, "prophet", "light_gbm"),
        ("training:\n  allowed_training_algorithms: []\n", 8, "no algorithm", "at least one"),
        ("training:\n  allowed_training_algorithms: LightGBM\n", 8, "list", "[LightGBM]"),
        (
            "training:\n  allowed_training_algorithms: [knn, svm]\n  blocked_training_algorithms: [SVM]\n",
            9,
            "svm is also in allowed",
            "remove",
        ),
        ("training:\n  ensemble_model_download_timeout: 3\n", 8, "ensemble_model_download_timeout", "timeout_minutes"),
        ("forecasting: {time_column_name: d}\n", 7, "forecasting", "valid"),
        ("n_cross_validations: 1\n", 7, "n_cross_validations", "2 or more"),
        ("validation_data: {path: v}\nn_cross_validations: 3\n", 8, "validation_data", "one of the two"),
        ("validation_data_size: 0.2\nvalidation_data: {path: v}\n", 7, "validation_data", "one of the two"),
        ("validation_data_size: 1.5\n", 7, "between 0 and 1", "less than 1"),
        ("test_data: {path: t}\ntest_data_size: 0.2\n", 8, "test_data", "one of the two"),
        ("cv_split_column_names: fold\n", 7, "must be a list", "[fold]"),
        ("weight_column_name: yes\n", 7, "true", "quotes"),
        ("positive_label: 1\n", 7, "positive_label", "quotes"),
        ("validation_data: azureml:v:1\n", 7, "mapping", "path: azureml:v:1"),
        ("validation_data:\n  path: azureml:v\n", 8, "version", "azureml:v:1"),
        ("validation_data:\n  type: mltable\n", 7, "validation_data.path", "path:"),
        ("validation_data:\n  path: v\n  type: uri_file\n", 9, "uri_file", "mltable"),
        ("tags: {a: 1}\n", 7, "tags.a", "quotes"),
        ("name: a b\n", 7, "a b", "letters"),
        ("identity: {type: system}\n", 7, "system", "managed"),
        ("compute:\n", 7, "compute", "remove the line"),
        ("resources: {instance_count: 0}\n", 7, "instance_count", "1 or more"),
        ("1: x\n", 7, "`1`", "quotes"),
        ("? [a, b]\n: x\n", 7, "key", "name"),
        ("description: a\ndescription: b\n", 8, "given twice, first in line 7", "one of the two"),
        ("description: !!python/name:os.system x\n", 7, "python/name", "quotes"),
        ("description: 2026-99-99\n", 7, "2026-99-99", "quotes"),
        ("description: &a [*a]\n", 7, "itself", "write"),
        ("tags: {a: b\n", 8, "not YAML", "indentation"),
        ("\tx: 1\n", 7, "not YAML", "indentation"),
        ("description: a\n---\ntask: b\n", 8, "not YAML", "indentation"),
    ],
)
def test_each_problem_has_line_key_and_fix(tmp_path: Path, extra: str, line: int, message: str, fix: str) -> None:
    found = problems(tmp_path, HEAD.format(task="classification") + extra)
    assert len(found) == 1, found
    assert found[0].where == f"{tmp_path / 'job.yml'}:{line}"
    assert message in found[0].message
    assert fix in found[0].fix


@pytest.mark.parametrize(
    ("task", "extra", "message", "fix"),
    [
        ("regression", "positive_label: a\n", "positive_label", "valid"),
        (
            "regression",
            "training: {allowed_training_algorithms: [XGBoostClassifier]}\n",
            "XGBoostClassifier",
            "xg_boost_regressor",
        ),
        ("text_classification", "training: {}\n", "training", "training_data"),
        ("text_classification", "limits: {exit_score: 0.9}\n", "limits.exit_score", "max_trials"),
        ("text_classification", "n_cross_validations: 3\n", "n_cross_validations", "valid"),
        ("text_ner", "primary_metric: auc_weighted\n", "auc_weighted", "accuracy"),
        ("image_classification", "limits: {trial_timeout_minutes: 3}\n", "trial_timeout_minutes", "timeout_minutes"),
        ("forecasting", "", "forecasting", "time_column_name"),
        ("forecasting", "forecasting: {forecast_horizon: 3}\n", "forecasting.time_column_name", "time_column_name"),
        ("forecasting", "forecasting: {time_column_name: d, forecast_horizon: 0}\n", "forecast_horizon", "1 or more"),
        ("forecasting", "forecasting: {time_column_name: d, use_stl: trend}\n", "trend", "seasontrend"),
    ],
)
def test_keys_of_other_tasks(tmp_path: Path, task: str, extra: str, message: str, fix: str) -> None:
    (problem,) = problems(tmp_path, HEAD.format(task=task) + extra)
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize("task", ["Classification", "clasification", "42", "[a]"])
def test_task_that_is_none(tmp_path: Path, task: str) -> None:
    (problem,) = problems(tmp_path, HEAD.format(task=task))
    assert problem.where.endswith(":2")
    assert "classification" in problem.fix


def test_everything_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "type: automl\ntask: classification\ntarget_colum_name: y\nprimary_metric: r2\n"
        "limits:\n  max_trials: -1\n  foo: 1\n"
        "properties:\n  forestay.sede: '1'\ntraining:\n  allowed_training_algorithms: [a, LightGBM]\n",
    )
    lines = [int(problem.where.rpartition(":")[2]) for problem in found]
    assert lines == sorted(lines)
    # Keys that are missing are at the line of their parent, the root.
    assert [line for line in lines if line == 1] == [1, 1]
    assert {3, 4, 6, 7, 9, 11} <= set(lines)
    missing = next(problem for problem in found if "`target_column_name` is missing" in problem.message)
    assert "target_colum_name" in missing.fix


def test_blocking_every_algorithm(tmp_path: Path) -> None:
    from automl_jobs.spec.algorithms import REGRESSION

    text = HEAD.format(task="regression") + f"training: {{blocked_training_algorithms: [{', '.join(REGRESSION)}]}}\n"
    (problem,) = problems(tmp_path, text)
    assert "blocks every algorithm" in problem.message


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "message", "line"),
        [
            (b"", "empty", 1),
            (b"# nothing\n", "empty", 1),
            (b"- a\n- b\n", "a list", 1),
            (b"\nhello\n", "hello", 2),
            (b"type: automl\ndescription: caf\xe9\n", "UTF-8", 2),
            ("type: automl\n".encode("utf-16"), "UTF-8", 1),
            (b"type: automl\nname: \x00\n", "control character", 2),
            (b"[" * 5000, "", 1),
            (b"a: " + b"[" * 200 + b"]" * 200, "larger", 1),
            (b"%PDF-1.4\n", "not YAML", 1),
        ],
    )
    def test_not_a_job(self, tmp_path: Path, content: bytes, message: str, line: int) -> None:
        path = tmp_path / "job.yml"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load_job(path)
        (problem,) = caught.value.problems
        assert message in problem.message
        assert problem.where.startswith(f"{path}:")
        assert int(problem.where.rpartition(":")[2]) >= line

    def test_many_aliases_end_soon(self, tmp_path: Path) -> None:
        lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
        (tmp_path / "job.yml").write_text("\n".join(lines))
        with pytest.raises(InputError, match="larger"):
            load_job(tmp_path / "job.yml")

    def test_missing_file_names_the_nearest(self, tmp_path: Path) -> None:
        (tmp_path / "job.yml").write_text("")
        with pytest.raises(InputError) as caught:
            load_job(tmp_path / "jop.yml")
        assert "job.yml" in caught.value.problems[0].fix

    def test_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError) as caught:
            load_job(tmp_path / "nowhere" / "job.yml")
        assert "nowhere" in caught.value.problems[0].fix

    def test_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a.yml").write_text("")
        with pytest.raises(InputError) as caught:
            load_job(tmp_path)
        assert "folder" in caught.value.problems[0].message
        assert "a.yml" in caught.value.problems[0].fix

    def test_impossible_path(self) -> None:
        with pytest.raises(InputError):
            load_job(Path("a\0b"))

    def test_control_characters_are_not_printed(self, tmp_path: Path) -> None:
        text = HEAD.format(task="classification") + 'primary_metric: "\\e[31mred"\n'
        (problem,) = problems(tmp_path, text)
        assert "\x1b" not in problem.message + problem.fix
