"""A job against its data: what would run, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from automl_jobs.prepare import Prepared, ValidationPlan, prepare
from automl_jobs.prepare.plan import plan_validation
from automl_jobs.spec import load_job
from forestay.errors import InputError, OutsideError, Problem

ROWS = 60


def columns(**more: list[Any]) -> dict[str, list[Any]]:
    """A small table: two classes, a number, a category, an identifier, a constant."""
    data: dict[str, list[Any]] = {
        "customer_id": [f"c{n:04}" for n in range(ROWS)],
        "age": [20 + n % 37 for n in range(ROWS)],
        "job": [("cook", "clerk", "nurse")[n % 3] for n in range(ROWS)],
        "planet": ["earth"] * ROWS,
        "amount": [n * 1.5 + 0.25 for n in range(ROWS)],
        "y": [("no", "yes")[n % 4 == 0] for n in range(ROWS)],
    }
    return {**data, **more}


def write(path: Path, data: dict[str, list[Any]]) -> Path:
    rows = zip(*data.values(), strict=True)
    lines = [",".join(data), *(",".join("" if value is None else str(value) for value in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def job(tmp_path: Path, extra: str = "", *, task: str = "classification", target: str = "y", **data: list[Any]) -> Path:
    write(tmp_path / "train.csv", columns(**data))
    path = tmp_path / "job.yml"
    head = f"type: automl\ntask: {task}\ntarget_column_name: {target}\n"
    path.write_text(f"{head}training_data:\n  path: ./train.csv\n  type: mltable\n{extra}", encoding="utf-8")
    return path


def prepared(path: Path, **overrides: str) -> Prepared:
    return prepare(load_job(path, overrides))


def refused(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        prepare(load_job(path))
    assert all(problem.where and problem.fix for problem in caught.value.problems)
    return caught.value.problems


def texts(problems: tuple[Problem, ...]) -> str:
    return "\n".join(f"{problem.where} {problem.message} {problem.fix}" for problem in problems)


class TestColumns:
    def test_what_is_used_and_why_not(self, tmp_path: Path) -> None:
        found = prepared(job(tmp_path))
        assert found.rows == ROWS
        uses = {use.name: (str(use.type), use.used, use.reason) for use in found.columns}
        assert uses == {
            "customer_id": ("identifier", False, "an identifier"),
            "age": ("numeric", True, ""),
            "job": ("categorical", True, ""),
            "planet": ("constant", False, "constant"),
            "amount": ("numeric", True, ""),
            "y": ("categorical", False, "the target"),
        }

    def test_weight_and_fold_columns_are_no_features(self, tmp_path: Path) -> None:
        extra = "weight_column_name: w\ncv_split_column_names: [f1, f2]\n"
        marks = {
            "f1": [n % 2 for n in range(ROWS)],
            "f2": [(n + 1) % 2 for n in range(ROWS)],
            "w": [1.5] * (ROWS - 1) + [2],
        }
        found = prepared(job(tmp_path, extra, **marks))
        reasons = {use.name: use.reason for use in found.columns if not use.used}
        assert reasons["w"] == "the weight of each row"
        assert reasons["f1"] == reasons["f2"] == "marks the folds"
        assert found.plan == ValidationPlan("cross_validation", 2)

    def test_forced_types_change_the_values(self, tmp_path: Path) -> None:
        extra = "featurization: {column_name_and_types: {age: Categorical, job: Ignore, customer_id: Text}}\n"
        found = prepared(job(tmp_path, extra))
        uses = {use.name: use for use in found.columns}
        assert (str(uses["age"].type), uses["age"].used) == ("categorical", True)
        assert (str(uses["customer_id"].type), uses["customer_id"].used) == ("text", True)
        assert not uses["job"].used
        assert found.train is not None
        assert found.train.frame["age"].iloc[0] == "20"
        assert str(found.train.column("age").type) == "categorical"

    def test_numbers_with_gaps_as_categories_have_no_decimals(self, tmp_path: Path) -> None:
        extra = "featurization: {column_name_and_types: {age: categorical}}\n"
        found = prepared(job(tmp_path, extra, age=[None, *([1, 2] * ROWS)[: ROWS - 1]]))
        assert found.train is not None
        assert found.train.frame["age"].isna().sum() == 1
        assert set(found.train.frame["age"].dropna()) == {"1", "2"}

    def test_forced_type_that_does_not_fit(self, tmp_path: Path) -> None:
        (problem,) = refused(job(tmp_path, "featurization:\n  column_name_and_types: {job: Numeric}\n"))
        assert problem.where.endswith("job.yml:8")
        assert "'cook'" in problem.message
        assert "row 1" in problem.message

    def test_featurization_off_leaves_numbers(self, tmp_path: Path) -> None:
        found = prepared(job(tmp_path, 'featurization: {mode: "off"}\n'))
        assert [use.name for use in found.columns if use.used] == ["age", "amount"]
        assert any("job" in warning.message and "Azure" in warning.fix for warning in found.warnings)

    def test_text_task_reads_words_as_text_and_the_rest_as_it_is(self, tmp_path: Path) -> None:
        found = prepared(job(tmp_path, task="text_classification"))
        used = [(use.name, str(use.type)) for use in found.columns if use.used]
        assert used == [("age", "numeric"), ("job", "text"), ("amount", "numeric")]

    def test_text_task_needs_a_text(self, tmp_path: Path) -> None:
        numbers = [0.5 + n for n in range(ROWS)]
        path = job(tmp_path, task="text_classification", job=numbers, customer_id=numbers)
        assert "needs a column with text" in texts(refused(path))

    def test_nothing_left_to_learn_from(self, tmp_path: Path) -> None:
        path = job(tmp_path, 'featurization: {mode: "off", column_name_and_types: {age: Ignore, amount: Ignore}}\n')
        assert "no column is left" in texts(refused(path))


class TestTarget:
    def test_absent(self, tmp_path: Path) -> None:
        (problem,) = refused(job(tmp_path, target="Y_"))
        assert problem.where.endswith("job.yml:3")
        assert "did you mean y?" in problem.fix

    def test_rows_without_target_are_left_out(self, tmp_path: Path) -> None:
        labels = columns()["y"]
        found = prepared(job(tmp_path, y=[None, None, *labels[2:]]))
        assert found.train is not None
        assert len(found.train.frame) == ROWS - 2
        assert found.rows == ROWS
        assert any("2 of 60 rows" in warning.message for warning in found.warnings)

    def test_all_missing(self, tmp_path: Path) -> None:
        assert "missing in every row" in texts(refused(job(tmp_path, y=[None] * ROWS)))

    def test_one_class(self, tmp_path: Path) -> None:
        assert "one class only" in texts(refused(job(tmp_path, y=["a"] * ROWS)))

    def test_each_row_its_own_class(self, tmp_path: Path) -> None:
        assert "no classes" in texts(refused(job(tmp_path, target="customer_id")))

    def test_rare_class_is_a_warning(self, tmp_path: Path) -> None:
        found = prepared(job(tmp_path, y=["rare", "rare", *columns()["y"][2:]]))
        assert any("rare (2)" in warning.message for warning in found.warnings)

    def test_continuous_target_of_a_classification(self, tmp_path: Path) -> None:
        amounts = [n % 30 + 0.5 for n in range(ROWS)]
        found = prepared(job(tmp_path, y=amounts))
        assert any("continuous" in warning.message for warning in found.warnings)

    @pytest.mark.parametrize("target", ["job", "y"])
    def test_regression_on_words(self, tmp_path: Path, target: str) -> None:
        (problem,) = refused(job(tmp_path, task="regression", target=target))
        assert "must be numbers" in problem.message
        assert "classification" in problem.fix

    def test_regression_on_booleans(self, tmp_path: Path) -> None:
        flags = [("true", "false")[n % 2] for n in range(ROWS)]
        assert "must be numbers" in texts(refused(job(tmp_path, task="regression", target="flag", flag=flags)))

    def test_regression_on_a_constant(self, tmp_path: Path) -> None:
        assert "always 3" in texts(refused(job(tmp_path, task="regression", target="three", three=[3] * ROWS)))

    def test_positive_label(self, tmp_path: Path) -> None:
        assert "classes: yes" in texts(refused(job(tmp_path, 'positive_label: "Yess"\n')))
        for label, values in (("yes", columns()["y"]), ("1", [n % 2 for n in range(ROWS)])):
            found = prepared(job(tmp_path, f'positive_label: "{label}"\n', y=values))
            assert not [warning for warning in found.warnings if "positive_label" in warning.message]
        three = prepared(job(tmp_path, 'positive_label: "cook"\n', target="job"))
        assert "two classes" in three.warnings[-1].message

    def test_positive_label_is_read_as_the_classes_are(self, tmp_path: Path) -> None:
        for text, values in (("true", [n % 3 == 0 for n in range(ROWS)]), ("1", [1.0, 0.0, None] * (ROWS // 3))):
            prepared(job(tmp_path, f'positive_label: "{text}"\n', y=values))

    @pytest.mark.parametrize(
        ("lines", "target", "words"),
        [
            ("properties: {forestay.decision: '0.3'}\n", "job", "two classes"),
            ("properties: {forestay.decision: f1}\n", "job", "two classes"),
            ("properties: {forestay.decision: 'cost:FN=5,FP=1'}\n", "y", "positive_label"),
        ],
    )
    def test_a_decision_fits_the_classes(self, tmp_path: Path, lines: str, target: str, words: str) -> None:
        (problem,) = refused(job(tmp_path, lines, target=target))
        assert words in f"{problem.message} {problem.fix}"
        assert problem.where.endswith("job.yml:7")
        prepared(job(tmp_path, "properties: {forestay.decision: balanced}\n", target=target))

    def test_a_regression_decides_nothing(self, tmp_path: Path) -> None:
        found = refused(job(tmp_path, "properties: {forestay.decision: balanced}\n", task="regression", target="age"))
        assert "has none" in texts(found)


class TestRoles:
    @pytest.mark.parametrize(
        ("weights", "words"),
        [
            (["a"] * (ROWS - 1) + ["b"], "numbers"),
            ([-1.0] + [1.0] * (ROWS - 1), "negative in 1 rows"),
            ([None] + [1.0] * (ROWS - 1), "no value in 1 rows"),
            ([0] * ROWS, "zero in every row"),
        ],
    )
    def test_weights(self, tmp_path: Path, weights: list[Any], words: str) -> None:
        (problem,) = refused(job(tmp_path, "weight_column_name: w\n", w=weights))
        assert words in problem.message
        assert problem.where.endswith("job.yml:7")

    @pytest.mark.parametrize(("marks", "words"), [([0, 1, 2] * (ROWS // 3), "other than"), ([1] * ROWS, "only one")])
    def test_fold_marks(self, tmp_path: Path, marks: list[Any], words: str) -> None:
        (problem,) = refused(job(tmp_path, "cv_split_column_names: [fold]\n", fold=marks))
        assert words in problem.message

    def test_every_unknown_column_at_once(self, tmp_path: Path) -> None:
        extra = (
            "weight_column_name: weight\ncv_split_column_names: [fold]\nfeaturization:\n"
            "  column_name_and_types: {Age: Numeric}\n"
            "  transformer_params: {imputer: [{fields: [amuont], parameters: {strategy: median}}]}\n"
        )
        found = refused(job(tmp_path, extra))
        assert [problem.where.rpartition(":")[2] for problem in found] == ["7", "8", "10", "11"]
        assert "age" in found[2].fix
        assert "amount" in found[3].fix

    def test_a_column_has_one_role(self, tmp_path: Path) -> None:
        assert "two purposes" in texts(refused(job(tmp_path, "weight_column_name: y\n")))

    def test_time_column(self, tmp_path: Path) -> None:
        days = [f"2026-01-{n % 28 + 1:02}" for n in range(ROWS)]
        extra = "forecasting: {{time_column_name: {}, time_series_id_column_names: {}}}\n"
        found = prepared(job(tmp_path, extra.format("day", "job"), task="forecasting", target="amount", day=days))
        assert found.plan == ValidationPlan("rolling_origin", 5)
        assert found.outline is not None
        assert [one.key for one in found.outline.series] == [("clerk",), ("cook",), ("nurse",)]
        assert {use.name for use in found.columns if use.used} >= {"day", "job"}
        wrong = refused(job(tmp_path, extra.format("age", "joob"), task="forecasting", target="amount"))
        assert "joob" in texts(wrong)
        wrong = refused(job(tmp_path, extra.format("age", "job"), task="forecasting", target="amount"))
        assert "no dates" in texts(wrong)


class TestOtherTables:
    def both(self, tmp_path: Path, **validation: list[Any]) -> Path:
        path = job(tmp_path, "validation_data:\n  path: ./validation.csv\n")
        data = columns(**validation)
        write(tmp_path / "validation.csv", {name: values for name, values in data.items() if values})
        return path

    def test_used_with_the_types_of_the_training_data(self, tmp_path: Path) -> None:
        found = prepared(self.both(tmp_path, job=[7] * ROWS))
        assert found.plan == ValidationPlan("validation_data")
        assert found.validation is not None
        assert set(found.validation.frame["job"]) == {"7"}

    def test_missing_columns(self, tmp_path: Path) -> None:
        (problem,) = refused(self.both(tmp_path, age=[], customer_id=[], y=[]))
        assert problem.where.endswith("job.yml:7")
        assert "y, age" in problem.message
        assert "customer_id" not in problem.message

    def test_values_of_another_type(self, tmp_path: Path) -> None:
        (problem,) = refused(self.both(tmp_path, age=["old"] * ROWS))
        assert "'old'" in problem.message

    def test_unseen_classes(self, tmp_path: Path) -> None:
        found = prepared(self.both(tmp_path, y=["maybe", *columns()["y"][1:]]))
        assert any("maybe" in warning.message for warning in found.warnings)

    def test_data_that_is_not_there(self, tmp_path: Path) -> None:
        path = job(tmp_path)
        (tmp_path / "train.csv").rename(tmp_path / "trian.csv")
        (problem,) = refused(path)
        assert problem.where.endswith("job.yml:5")
        assert "trian.csv" in problem.fix

    def test_data_elsewhere_is_not_looked_at(self, tmp_path: Path) -> None:
        found = prepared(job(tmp_path), **{"training_data.path": "azureml:bank:1"})
        assert (found.train, found.rows, found.columns) == (None, None, ())
        assert found.plan.kind == "auto"
        with pytest.raises(OutsideError, match="azureml:bank:1"):
            found.require_local()

    def test_local_data_is_required_whole(self, tmp_path: Path) -> None:
        path = job(tmp_path, "test_data: {path: azureml:test:1}\n")
        found = prepared(path)
        assert found.rows == ROWS
        with pytest.raises(OutsideError, match="test_data"):
            found.require_local()
        assert len(prepared(path, test_data="null").require_local().frame) == ROWS


@pytest.mark.parametrize(
    ("extra", "rows", "expected"),
    [
        ("", 999, ValidationPlan("cross_validation", 10)),
        ("", 1000, ValidationPlan("cross_validation", 3)),
        ("n_cross_validations: auto\n", 20_000, ValidationPlan("cross_validation", 3)),
        ("", 20_001, ValidationPlan("holdout", None, 0.1)),
        ("", None, ValidationPlan("auto")),
        ("validation_data_size: 0.2\n", 50, ValidationPlan("holdout", None, 0.2)),
        ("n_cross_validations: 5\n", 50_000, ValidationPlan("cross_validation", 5)),
        ("n_cross_validations: 5\nvalidation_data_size: 0.2\n", 50, ValidationPlan("cross_validation", 5, 0.2)),
        ("cv_split_column_names: [a, b, c]\n", 50, ValidationPlan("cross_validation", 3)),
        ("validation_data: {path: v}\n", 50, ValidationPlan("validation_data")),
    ],
)
def test_azures_validation_rules(tmp_path: Path, extra: str, rows: int | None, expected: ValidationPlan) -> None:
    assert plan_validation(load_job(job(tmp_path, extra)).spec, rows) == expected


def test_too_few_rows(tmp_path: Path) -> None:
    path = job(tmp_path)
    lines = (tmp_path / "train.csv").read_text().splitlines()
    (tmp_path / "train.csv").write_text("\n".join(lines[:12]) + "\n")
    assert "11 rows are too few" in texts(refused(path))
    found = prepared(path, n_cross_validations="2")
    assert any("fewer than 50" in warning.message for warning in found.warnings)


def test_published_jobs(shared: Path) -> None:
    name = "classification-task-bankmarketing"
    found = prepared(shared / "data" / name / f"cli-automl-{name}.yml")
    assert (found.rows, found.plan.kind) == (29_999, "validation_data")
    assert sum(use.used for use in found.columns) == 20
    assert found.warnings == ()
    name = "regression-task-hardware-perf"
    found = prepared(shared / "data" / name / f"cli-automl-{name}.yml")
    assert found.plan == ValidationPlan("cross_validation", 5)
    assert {use.name: str(use.type) for use in found.columns}["CHMIN"] == "categorical"
