"""Columns as they come: each kind of trouble in a table of its own, from the file to a fitted model's answers.

What becomes of the column is told in the featurization summary, the guardrails or the notes, and the pipelines of a
linear model and of trees answer for rows with values that training never saw.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from automl_jobs.data import load_table
from automl_jobs.engine import algorithms, guardrails, problem, summary
from automl_jobs.engine.fits import fit
from automl_jobs.engine.trial import Trainer
from automl_jobs.prepare import Prepared, prepare
from automl_jobs.spec import load_job
from forestay_transformers import ServedPipeline
from tests.tables import MLTABLE

ROWS = 240
JOB = """\
type: automl
task: classification
primary_metric: accuracy
target_column_name: outcome
training_data: {path: ./train, type: mltable}
validation_data_size: 0.2
featurization:
  mode: auto
"""
draw = np.random.default_rng(0)
SIGNAL = draw.random(ROWS) < 0.5


@dataclass
class Checked:
    prepared: Prepared
    problem: problem.Problem
    models: dict[str, ServedPipeline]

    @property
    def guards(self) -> dict[str, Any]:
        return {one.name: one for one in guardrails.check(self.prepared, self.problem)}

    def told(self, column: str = "x", model: str = "LogisticRegression") -> dict[str, Any]:
        rows = summary.summarise(self.prepared.columns, self.models[model])
        return next(row for row in rows if row["RawFeatureName"] == column)

    def answers(self, values: Sequence[Any]) -> None:
        """Every model answers for rows with these values: few and many, with probabilities that sum to one."""
        for name, model in self.models.items():
            for times in (1, 40):
                rows = pd.DataFrame({"x": list(values) * times, "size": 0.5}).astype({"x": "object"})
                told = model.predict_proba(rows)
                assert told.shape == (len(rows), 2), name
                assert np.isfinite(told).all(), name
                assert np.allclose(told.sum(axis=1), 1.0), name
                few = model.predict_proba(rows.iloc[: len(values)])
                assert np.allclose(few, told[: len(values)], atol=1e-5), name


def check(folder: Path, values: Any, extra: str = "", times: int = 1) -> Checked:
    """The column `x` of `times` ROWS values beside a number, through the loader, and two models fitted on them."""
    (folder / "train").mkdir(parents=True)
    signal = np.tile(SIGNAL, times)
    size = np.where(signal, 0.3, -0.3) + draw.normal(size=len(signal))
    table = pd.DataFrame({"x": values, "size": size.round(3), "outcome": np.where(signal, "yes", "nope")})
    table.to_csv(folder / "train" / "data.csv", index=False)
    (folder / "train" / "MLTable").write_text(MLTABLE, encoding="utf-8")
    (folder / "job.yml").write_text(JOB + extra, encoding="utf-8")
    prepared = prepare(load_job(folder / "job.yml"))
    made = problem.build(prepared, 0)
    trainer = Trainer(made, 1)
    models = {}
    for name in ("LogisticRegression", "LightGBM"):
        algorithm = algorithms.by_name(name, True)
        layout = algorithm.layouts[0]
        used = trainer.matrices.of(layout, 0)
        train, _ = made.splits[0]
        parameters = algorithm.portfolio[0].parameters
        fitted = fit(made, 1, algorithm, layout, parameters, used.matrix, train, None, rounds=5)
        steps = [("input", trainer.matrices.reader), ("features", used.transformer)]
        models[name] = ServedPipeline([*steps, ("model", trainer.labelled(fitted, None, None))])
    return Checked(prepared, made, models)


def levels(count: int) -> list[str]:
    """So many levels, most of which have several rows."""
    return [f"level{number}" for number in draw.integers(0, count, ROWS)]


def test_hundreds_of_levels_are_counted_one_by_one(tmp_path: Path) -> None:
    many = [f"level{number % 300}" for number in range(5 * ROWS)]
    found = check(tmp_path, many, "  column_name_and_types: {x: Categorical}\n", times=5)
    told = found.told()
    assert told["Transformations"] == ["OneHotEncoder"]
    assert 200 < told["EngineeredFeatureCount"] <= 300
    assert found.told(model="LightGBM")["Transformations"] == ["CategoryCodes"]
    found.answers(["level3", "never seen", None])


MANY = [f"shop{number:04}" for number in np.arange(5 * ROWS) // 1.08 // 1]


def test_thousands_of_levels_are_hashed_where_the_file_says_so_and_told(tmp_path: Path) -> None:
    extra = "  column_name_and_types: {x: Categorical}\n  transformer_params:\n"
    extra += "    hash_one_hot_encoder: [{parameters: {number_of_bits: 9}}]\n"
    found = check(tmp_path, MANY, extra, times=5)
    assert found.prepared.train is not None
    assert next(one.distinct for one in found.prepared.train.columns if one.name == "x") > 1000
    told = found.told()
    assert told["Transformations"] == ["HashOneHotEncoder"]
    assert told["EngineeredFeatureCount"] == 512
    assert found.told(model="LightGBM")["Transformations"] == ["CategoryCodes"]
    guard = found.guards["High cardinality feature detection"]
    assert "hashed" in str(guard.details)
    found.answers(["shop0001", "never seen", None, 7])


@pytest.mark.parametrize("blocked", ["", "  blocked_transformers: [hash_one_hot_encoder]\n"])
def test_else_the_frequent_levels_of_thousands_are_counted(tmp_path: Path, blocked: str) -> None:
    found = check(tmp_path, MANY, f"  column_name_and_types: {{x: Categorical}}\n{blocked}", times=5)
    told = found.told()
    assert told["Transformations"] == ["OneHotEncoder"]
    assert told["EngineeredFeatureCount"] <= 1000
    assert "the most frequent" in str(found.guards["High cardinality feature detection"].details)
    found.answers(["shop0001", "never seen", None])


def test_an_identifier_is_left_out_with_its_reason(tmp_path: Path) -> None:
    found = check(tmp_path, [f"c-{number:05x}" for number in draw.permutation(ROWS)])
    told = found.told()
    assert (told["Dropped"], told["Reason"]) == ("Yes", "an identifier")
    assert "identifier" in str(found.guards["High cardinality feature detection"].details)
    found.answers(["c-00001", None])


def test_a_hashed_column_has_the_places_that_the_file_says(tmp_path: Path) -> None:
    extra = "  column_name_and_types: {x: CategoricalHash}\n  transformer_params:\n"
    extra += "    hash_one_hot_encoder: [{fields: [x], parameters: {number_of_bits: 4}}]\n"
    found = check(tmp_path, levels(12), extra)
    assert found.told()["EngineeredFeatureCount"] == 16
    assert not [one for one in found.prepared.warnings if "hash" in one.message.lower()]
    found.answers(["level3", "never seen", None])


def test_numbers_and_words_in_one_column_are_categories(tmp_path: Path) -> None:
    found = check(tmp_path, [("3", "3.5", "unknown", "many")[number % 4] for number in range(ROWS)])
    assert found.told()["TypeDetected"] == "Categorical"
    # A caller's 3 is the file's "3".
    rows = [pd.DataFrame({"x": [value], "size": [0.1]}) for value in ("3", 3, 3.0)]
    told = [found.models["LogisticRegression"].predict_proba(row) for row in rows]
    assert np.array_equal(told[0], told[1])
    assert np.array_equal(told[0], told[2])
    found.answers(["3", 3, "few", None, True])


def test_truths_and_words_in_one_column_are_categories(tmp_path: Path) -> None:
    found = check(tmp_path, [("true", "false", "perhaps")[number % 3] for number in range(ROWS)])
    assert found.told()["TypeDetected"] == "Categorical"
    found.answers(["true", True, "no idea", None])


def test_infinite_numbers_count_as_missing(tmp_path: Path) -> None:
    values = draw.normal(size=ROWS).round(3).astype(object)
    values[::10], values[5::10] = "inf", "-inf"
    found = check(tmp_path, values)
    assert found.told()["TypeDetected"] == "Numeric"
    assert "MedianImputer" in found.told()["Transformations"]
    assert found.told()["EngineeredFeatureCount"] == 2
    found.answers([1.0, float("inf"), float("-inf"), "inf", None])


@pytest.mark.parametrize("largest", [2**53 - 1, 2**53, 2**62])
def test_whole_numbers_too_large_to_be_exact_are_numbers_in_a_schema_that_can_be_written(
    tmp_path: Path, largest: int
) -> None:
    values = draw.integers(0, 40, ROWS)
    found = check(tmp_path, [largest if value == 0 else int(value) for value in values])
    column = next(column for column in found.problem.schema["columns"] if column["name"] == "x")
    assert json.loads(json.dumps(column)) == column
    assert column["integer"] is (largest < 2**53)
    assert column["maximum"] == largest
    found.answers([3, largest, None])


@pytest.mark.parametrize(
    ("values", "reason"), [([None] * ROWS, "constant"), (["same"] * ROWS, "constant"), ([7] * ROWS, "constant")]
)
def test_what_says_nothing_is_left_out(tmp_path: Path, values: list[Any], reason: str) -> None:
    found = check(tmp_path, values)
    assert (found.told()["Dropped"], found.told()["Reason"]) == ("Yes", reason)
    found.answers([None, "other", 3])


@pytest.mark.parametrize("value", ["paid", 7])
def test_one_value_and_missing_says_whether_it_is_there(tmp_path: Path, value: Any) -> None:
    found = check(tmp_path, [value if there else None for there in SIGNAL])
    assert found.told()["Dropped"] == "No"
    for name, model in found.models.items():
        rows = pd.DataFrame({"x": pd.Series([value, None], dtype="object"), "size": [0.0, 0.0]})
        there, missing = model.predict_proba(rows)[:, 1]
        assert there > missing, name
    found.answers([value, None, "other"])


def test_rare_levels_are_one(tmp_path: Path) -> None:
    values = ["often", "also often"] * (ROWS // 2)
    values[:6] = [f"once{number}" for number in range(6)]
    found = check(tmp_path, values)
    model = found.models["LogisticRegression"]
    told = model.predict_proba(pd.DataFrame({"x": ["once1", "once2", "never seen"], "size": [0.0] * 3}))
    assert np.allclose(told, told[0])
    found.answers(["often", "once1", "never seen", None])


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ("%Y-%m-%d", "2024-02-03"),
        ("%d/%m/%Y", "2024-02-03"),
        ("%d.%m.%Y %H:%M", "2024-02-03T04:05:00"),
        ("%b %d, %Y", "2024-02-03"),
        ("%Y-%m-%dT%H:%M:%SZ", "2024-02-03T04:05:00Z"),
        ("%Y%m%d", None),
    ],
)
def test_dates_in_several_forms(tmp_path: Path, form: str, asked: str | None) -> None:
    moments = pd.Timestamp("2023-01-01") + pd.to_timedelta(draw.integers(0, 500 * 24, ROWS), unit="h")
    found = check(tmp_path, moments.strftime(form))
    if asked is None:
        # Eight digits are a number to every reader of the file.
        assert found.told()["TypeDetected"] == "Numeric"
        found.answers([20240203, None])
        return
    assert found.told()["TypeDetected"] == "DateTime"
    assert "DateParts" in found.told()["Transformations"]
    assert found.told()["EngineeredFeatureCount"] > 4
    found.answers([asked, pd.Timestamp("2024-02-03"), None, "no date", "2031-01-01"])


def test_a_very_long_text(tmp_path: Path) -> None:
    words = np.array(["harbour", "sail", "mast", "anchor", "rope", "tide"])
    values = [" ".join(draw.choice(words, 12)) for _ in range(ROWS)]
    values[3] = " ".join(draw.choice(words, 8_000))
    found = check(tmp_path, values)
    assert found.told()["TypeDetected"] == "Text"
    found.answers(["sail", values[3], "words of no text before", "", None, 5])


def test_numbers_with_thousands_marks(tmp_path: Path) -> None:
    """A plain file's are numbers, and that is told; an MLTable is read as Azure reads it, which knows no such marks."""
    values = [f"{1_000 + 977 * (number // 2):,}" for number in range(ROWS)]
    pd.DataFrame({"x": values, "size": SIGNAL / 7}).to_csv(tmp_path / "plain.csv", index=False)
    table = load_table(tmp_path / "plain.csv")
    assert any("thousands mark" in note for note in table.notes)
    assert table.frame["x"].max() == 1_000 + 977 * (ROWS // 2 - 1)
    found = check(tmp_path, values)
    assert found.told()["TypeDetected"] == "Categorical"
    found.answers(["1,000", 1000, "9,999,999", None])
