"""Guardrails: each finds what it is for, and an ordinary table raises no alarm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl_jobs.engine import guardrails, problem
from automl_jobs.engine.guardrails import ALERTED, DONE, PASSED, Guardrail, leaks
from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job
from forestay.errors import InputError
from tests.tables import write_job

JOB = """\
type: automl
experiment_name: x
task: {task}
target_column_name: y
{more}training_data: {{path: ./data.csv, type: mltable}}
"""


def check(folder: Path, frame: pd.DataFrame, task: str = "classification", more: str = "") -> dict[str, Guardrail]:
    frame.to_csv(folder / "data.csv", index=False)
    (folder / "job.yml").write_text(JOB.format(task=task, more=more), encoding="utf-8")
    found = guardrails.check(prepare(load_job(folder / "job.yml")))
    json.dumps([one.as_dict() for one in found], allow_nan=False)
    return {one.name: one for one in found}


def ordinary(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({f"n{number}": draw.normal(size=rows) for number in range(4)})
    frame["kind"] = draw.choice(["red", "green", "blue"], rows)
    frame["y"] = np.where(frame["n0"] + (frame["kind"] == "red") + draw.normal(0, 0.5, rows) > 0.3, "yes", "no")
    return frame


def test_an_ordinary_table_passes_everything(tmp_path: Path) -> None:
    found = check(tmp_path, ordinary())
    assert {one.status for one in found.values()} <= {PASSED, DONE}
    assert set(found) == {
        "Validation split handling",
        "Missing feature values imputation",
        "High cardinality feature detection",
        "Class balancing detection",
        "Constant target detection",
        "Target leakage detection",
        "Repeated rows detection",
        "Repeated entity detection",
        "Time order detection",
        "Memory issues detection",
    }


def test_the_validation_that_the_job_leaves_open_is_told(tmp_path: Path) -> None:
    assert check(tmp_path, ordinary())["Validation split handling"].status == DONE
    said = check(tmp_path, ordinary(), more="n_cross_validations: 4\n")["Validation split handling"]
    assert (said.status, said.details[0]["folds"]) == (PASSED, 4)


def test_missing_values_are_counted_by_column(tmp_path: Path) -> None:
    frame = ordinary()
    frame.loc[:59, "n1"] = np.nan
    found = check(tmp_path, frame)["Missing feature values imputation"]
    assert (found.status, found.details) == (DONE, ({"column": "n1", "missing": 60, "share": 0.1},))


def test_identifiers_are_told_as_high_cardinality(tmp_path: Path) -> None:
    frame = ordinary().assign(row=[f"R{number:05}" for number in range(600)])
    found = check(tmp_path, frame)["High cardinality feature detection"]
    assert found.status == DONE
    assert [row["column"] for row in found.details] == ["row"]


def test_a_fifth_of_the_largest_class_is_imbalanced(tmp_path: Path) -> None:
    frame = ordinary()
    frame["y"] = ["no"] * 500 + ["yes"] * 100
    assert check(tmp_path, frame)["Class balancing detection"].status == ALERTED
    frame["y"] = ["no"] * 499 + ["yes"] * 101
    assert check(tmp_path, frame)["Class balancing detection"].status == PASSED


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("primary_metric: norm_macro_recall", "class weights"),
        ("properties: {forestay.decision: balanced}", "class weights"),
        ("properties: {forestay.decision: 'cost:FN=5,FP=1'}", "cost:FN=5,FP=1"),
    ],
)
def test_imbalance_that_the_job_looks_after_is_handled(tmp_path: Path, more: str, what: str) -> None:
    frame = ordinary()
    frame["y"] = ["no"] * 550 + ["yes"] * 50
    found = check(tmp_path, frame, more=f"positive_label: 'yes'\n{more}\n")["Class balancing detection"]
    assert (found.status, found.fix) == (DONE, "")
    assert what in found.description
    assert found.details[-1] == {"class": "yes", "rows": 50, "positive": True}


@pytest.mark.parametrize("leak", ["a copy", "a code", "a score", "missing unless yes"])
def test_a_column_that_tells_the_class_is_named(tmp_path: Path, leak: str) -> None:
    frame = ordinary()
    yes = frame["y"] == "yes"
    frame["outcome [red]"] = {
        "a copy": frame["y"],
        "a code": np.where(yes, "A", "C"),
        "a score": np.where(yes, 2.0, 1.0) + frame["n3"].abs() / 10,
        "missing unless yes": np.where(yes, frame["n3"] * 100, np.nan),
    }[leak]
    found = check(tmp_path, frame)["Target leakage detection"]
    assert found.status == ALERTED
    assert [row["column"] for row in found.details] == ["outcome [red]"]
    assert "outcome [red]" in found.description


def test_a_column_that_tells_the_value_is_named(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    frame = ordinary()
    frame["y"] = np.exp(frame["n0"] + draw.normal(0, 0.4, 600))
    assert check(tmp_path, frame, "regression")["Target leakage detection"].status == PASSED
    frame["taxed"] = frame["y"] * 1.19 + draw.normal(0, 0.01, 600)
    found = check(tmp_path, frame, "regression")["Target leakage detection"]
    assert [row["column"] for row in found.details] == ["taxed"]


def test_a_strong_honest_feature_is_no_leak(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    frame = ordinary()
    frame["y"] = np.where(frame["n0"] + draw.normal(0, 0.1, 600) > 0, "yes", "no")
    assert check(tmp_path, frame)["Target leakage detection"].status == PASSED


def test_validation_rows_taken_from_the_training_data_are_counted(tmp_path: Path) -> None:
    frame = ordinary()
    pd.concat([frame.iloc[:30], ordinary(170, seed=9)]).to_csv(tmp_path / "valid.csv", index=False)
    more = "validation_data: {path: ./valid.csv, type: mltable}\n"
    found = check(tmp_path, frame, more=more)["Repeated rows detection"]
    assert found.status == ALERTED
    assert found.details == ({"data": "validation_data", "rows": 30, "share": 0.15},)


def test_rows_that_are_there_twice_are_counted(tmp_path: Path) -> None:
    frame = pd.concat([ordinary(), ordinary().iloc[:100]])
    found = check(tmp_path, frame)["Repeated rows detection"]
    assert found.status == ALERTED
    assert found.details == ({"data": "training_data", "rows": 200, "share": round(200 / 700, 6)},)


def test_equal_rows_of_a_few_categories_are_no_wonder(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    frame = pd.DataFrame({name: draw.choice(["a", "b", "c"], 2000) for name in ("p", "q", "r", "y")})
    assert check(tmp_path, frame)["Repeated rows detection"].status == PASSED


def narrow(rows: int, seed: int) -> pd.DataFrame:
    """Few columns of few values each: no row alone is much of a surprise."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": draw.integers(0, 60, rows), "b": draw.integers(0, 40, rows)})
    frame["kind"] = draw.choice(["red", "green", "blue"], rows)
    return frame.assign(y=np.where(frame["a"] + draw.normal(0, 9, rows) > 30, "yes", "no"))


def categories(rows: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame({name: draw.choice(["a", "b", "c"], rows) for name in ("p", "q", "r", "y")})


def towns(rows: int, seed: int) -> pd.DataFrame:
    """Columns that follow from each other: each for itself they would seem to tell rows apart."""
    place = np.random.default_rng(seed).integers(0, 50, rows)
    return pd.DataFrame({name: [f"{name}{one // size}" for one in place] for name, size in
                         (("street", 1), ("town", 2), ("y", 5))})  # fmt: skip


def prices(rows: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame({"a": draw.normal(size=rows), "y": draw.choice(["yes", "no"], rows)})


@pytest.mark.parametrize("table", [narrow, prices, lambda rows, seed: ordinary(rows, seed)])
def test_rows_met_before_are_counted_also_in_a_narrow_table(table: Callable[[int, int], pd.DataFrame]) -> None:
    learned, new = table(160, 1), table(40, 2)
    assert leaks.repeated(pd.concat([learned, new]), learned) >= 160
    assert leaks.repeated(pd.concat([learned.head(60), table(140, 3)]), learned) >= 60
    assert leaks.repeated(new, learned) < leaks.REPEATED_LEAST


@pytest.mark.parametrize("table", [categories, towns])
def test_new_rows_of_a_few_values_are_not_taken_for_rows_met_before(
    table: Callable[[int, int], pd.DataFrame],
) -> None:
    for seed in range(5):
        learned, new = table(300, seed), table(200, 100 + seed)
        assert leaks.repeated(new, learned) == 0
    assert leaks.repeated(categories(200, 1), categories(300, 2).drop_duplicates()) == 0


def visits(groups: int = 80, each: int = 6) -> pd.DataFrame:
    draw = np.random.default_rng(6)
    who = np.repeat(np.arange(groups), each)
    frame = pd.DataFrame({f"n{number}": draw.normal(size=groups * each) for number in range(3)})
    frame["PatientID"] = [f"P{number:03}" for number in who]
    frame["y"] = np.where(draw.random(groups)[who] > 0.5, "ill", "well")
    return frame.sample(frac=1, random_state=0)


def test_an_entity_whose_rows_share_the_target_is_named_and_a_group_split_offered(tmp_path: Path) -> None:
    found = check(tmp_path, visits())["Repeated entity detection"]
    assert found.status == ALERTED
    assert found.details[0]["column"] == "PatientID"
    assert (found.details[0]["entities"], found.details[0]["agreement"]) == (80, 1.0)
    assert "--group PatientID" in found.fix
    assert "cv_split_column_names" in found.fix


def test_an_entity_that_says_nothing_of_the_target_passes(tmp_path: Path) -> None:
    frame = visits()
    frame["y"] = np.random.default_rng(7).choice(["ill", "well"], len(frame))
    assert check(tmp_path, frame)["Repeated entity detection"].status == PASSED


def test_folds_that_keep_entities_together_pass(tmp_path: Path) -> None:
    frame = visits()
    number = frame["PatientID"].str[1:].astype(int)
    frame["fold1"], frame["fold2"] = (number % 2).astype(int), 1 - (number % 2).astype(int)
    found = check(tmp_path, frame, more="cv_split_column_names: [fold1, fold2]\n")
    assert found["Repeated entity detection"].status == PASSED
    assert found["Repeated rows detection"].status == PASSED


def test_an_ordinary_category_is_no_entity(tmp_path: Path) -> None:
    draw = np.random.default_rng(8)
    frame = ordinary()
    frame["town"] = draw.choice([f"town {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"], 600)
    frame["y"] = np.where((frame["town"] < "town n") ^ (draw.random(600) < 0.1), "yes", "no")
    assert check(tmp_path, frame)["Repeated entity detection"].status == PASSED


def test_dated_rows_split_at_random_are_told_and_a_time_split_offered(tmp_path: Path) -> None:
    frame = ordinary()
    frame["sold"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(600), unit="h")
    found = check(tmp_path, frame)["Time order detection"]
    assert found.status == ALERTED
    assert "--time sold" in found.fix
    frame["fold"] = (np.arange(600) < 500).astype(int)
    assert check(tmp_path, frame, more="cv_split_column_names: [fold]\n")["Time order detection"].status == PASSED


def test_a_date_of_birth_says_nothing_of_when_a_row_happened(tmp_path: Path) -> None:
    frame = ordinary()
    frame["BirthDate"] = pd.Timestamp("1960-01-01") + pd.to_timedelta(np.arange(600), unit="D")
    assert check(tmp_path, frame)["Time order detection"].status == PASSED


def test_a_split_with_one_class_is_told(tmp_path: Path) -> None:
    frame = ordinary()
    frame["fold"] = ((frame["y"] == "no") | (frame.index % 3 > 0)).astype(int)
    frame.to_csv(tmp_path / "data.csv", index=False)
    job = JOB.format(task="classification", more="cv_split_column_names: [fold]\n")
    (tmp_path / "job.yml").write_text(job, encoding="utf-8")
    prepared = prepare(load_job(tmp_path / "job.yml"))
    found = {one.name: one for one in guardrails.check(prepared, problem.build(prepared, 0))}
    constant = found["Constant target detection"]
    assert (constant.status, constant.details[0]["side"]) == (ALERTED, "validation")


def series(step: str = "D", drop: tuple[int, ...] = ()) -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=120, freq=step)
    frame = pd.DataFrame({"day": days, "y": np.arange(120.0)})
    return frame.drop(index=list(drop))


FORECAST = "forecasting: {time_column_name: day, forecast_horizon: 7}\n"


def test_a_series_on_its_frequency_passes_gaps_included(tmp_path: Path) -> None:
    for step in ("D", "h", "MS", "W"):
        found = check(tmp_path, series(step), "forecasting", FORECAST)
        assert {one.status for one in found.values()} <= {PASSED, DONE}, step
        assert found["Frequency detection"].status == PASSED, step
    gap = check(tmp_path, series(drop=(40, 41)), "forecasting", FORECAST)["Frequency detection"]
    assert (gap.status, gap.details[0]["gaps"]) == (PASSED, 1)


def test_what_no_forecast_can_bear_is_refused_before(tmp_path: Path) -> None:
    frame = series()
    frame.loc[50, "day"] += pd.Timedelta("5h")
    with pytest.raises(InputError, match="regular frequency"):
        check(tmp_path, frame, "forecasting", FORECAST)
    with pytest.raises(InputError, match="stand twice"):
        check(tmp_path, pd.concat([series(), series()]), "forecasting", FORECAST)


def test_what_a_forecast_handles_is_told(tmp_path: Path) -> None:
    long, short = series(drop=(40, 41)).assign(store="a"), series().head(9).assign(store="b")
    section = "forecasting: {time_column_name: day, forecast_horizon: 7, time_series_id_column_names: store%s}\n"
    found = check(tmp_path, pd.concat([long, short]), "forecasting", section % ", target_lags: [1, 7]")
    assert {name for name, one in found.items() if one.status == DONE} == {
        "Cross validation",  # the job leaves the number of folds open
        "Missing target values",
        "Short series handling",
        "Lags and rolling windows",
    }
    assert found["Missing target values"].details == ({"series": "a", "missing": 2, "periods": 120},)
    assert found["Short series handling"].details == ({"series": "b"},)
    assert len(found["Cross validation"].details) == 5
    assert found["Cross validation"].details[-1] == {
        "fold": 5,
        "from": "2024-04-23T00:00:00",
        "to": "2024-04-29T00:00:00",
        "series": 1,
    }
    kept = check(tmp_path, pd.concat([long, short]), "forecasting", section % ", short_series_handling_config: none")
    assert kept["Short series handling"].status == ALERTED


def test_the_published_kinds_of_table_raise_no_alarm(tmp_path: Path) -> None:
    """The mixed table that training is tested on: its dates are split at random, nothing else is wrong."""
    prepared = prepare(load_job(write_job(tmp_path, rows=300)))
    alerted = guardrails.alerts(guardrails.check(prepared, problem.build(prepared, 0)))
    assert [one.name for one in alerted] == ["Time order detection"]
