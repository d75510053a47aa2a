"""From rows to series: frequencies, gaps, aggregation, and what is refused with its line and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl_jobs.engine.forecasting import frequency
from automl_jobs.engine.forecasting.problem import build
from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job
from forestay.errors import InputError
from tests.forecasting_support import JOB, daily, prepared, problem, stores


@pytest.mark.parametrize(
    ("written", "read"),
    [("D", "D"), ("H", "h"), ("M", "ME"), ("15min", "15min"), ("W", "W-SUN"), ("daily", "D"), ("MS", "MS")],
)
def test_frequencies_in_old_and_new_spelling(written: str, read: str) -> None:
    assert frequency.read(written) == read


@pytest.mark.parametrize("written", ["", "often", "0D", "-1D"])
def test_what_is_no_frequency(written: str) -> None:
    assert frequency.read(written) is None


@pytest.mark.parametrize("name", ["D", "h", "MS", "ME", "W-WED", "QS-FEB", "YS-JAN", "B", "15min", "YE-JUN"])
def test_a_grid_is_detected_also_with_a_hole(name: str) -> None:
    times = pd.date_range("2020-01-01", periods=40, freq=name)
    assert frequency.fits(times, str(frequency.detect(times)))
    holed = times.delete([7, 8])
    found = frequency.detect(holed)
    assert found is not None
    assert len(pd.date_range(times[0], times[-1], freq=found)) == len(times)


def test_a_given_week_takes_the_weekday_of_the_data() -> None:
    assert frequency.detect(pd.date_range("2024-01-03", periods=9, freq="7D"), "W-SUN") == "W-WED"
    assert frequency.detect(pd.date_range("2024-01-01", periods=9, freq="MS"), "ME") == "MS"
    assert frequency.detect(pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-02T05:00"]), "D") is None


def test_gaps_are_filled_and_not_observed(tmp_path: Path) -> None:
    found = problem(tmp_path, daily().drop(index=[50, 51]))
    (one,) = found.series
    assert len(one) == 120
    assert np.flatnonzero(~one.observed).tolist() == [50, 51]
    assert one.values[49] < one.values[50] < one.values[52] or one.values[49] > one.values[50] > one.values[52]


def test_a_gap_before_an_origin_is_not_filled_from_the_other_side(tmp_path: Path) -> None:
    """Only every third day has a row: what is known at any origin stays the same whatever comes after it."""
    frame = daily()
    told = frame.assign(sales=frame["sales"].where(frame.index < 60, 9e9))
    one, other = (problem(tmp_path, rows[rows.index % 3 == 0], "  frequency: D\n").series[0] for rows in (frame, told))
    assert one.values[59] != other.values[59]
    for origin in range(1, 61):
        assert one.task(origin, 7).values.tolist() == other.task(origin, 7).values.tolist()
        assert one.cut(origin).values.tolist() == other.cut(origin).values.tolist()
        assert one.task(origin, 7).values[-1] == one.values[:origin][one.observed[:origin]][-1]


def test_no_fold_begins_before_the_first_value_of_a_padded_series(tmp_path: Path) -> None:
    frame = pd.concat([daily().assign(store="long"), daily(8, start="2024-04-21").assign(store="short")])
    ids = "  time_series_id_column_names: store\n  short_series_handling_config: pad\n"
    found = problem(tmp_path, frame, ids)
    windows = [window for split in found.splits for window in split]
    assert len(windows) == 3
    assert all(found.series[window.series].observed[: window.fit].any() for window in windows)


def test_series_are_told_apart_by_id(tmp_path: Path) -> None:
    found = problem(tmp_path, stores(), "  time_series_id_column_names: store\n")
    assert [one.key for one in found.series] == [("7",), ("north",)]
    assert found.spans[("7",)][0] > found.spans[("north",)][1]


def test_repeated_times_are_refused_with_line_and_advice(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        problem(tmp_path, stores())
    (wrong,) = refused.value.problems
    assert wrong.where is not None
    assert wrong.where.endswith("job.yml:7")
    assert "2024-01-01" in wrong.message
    assert wrong.fix is not None
    assert "time_series_id_column_names" in wrong.fix
    assert "target_aggregate_function" in wrong.fix


def test_irregular_times_are_refused_and_joined_when_asked(tmp_path: Path) -> None:
    frame = daily()
    frame.loc[10, "day"] = "2024-01-11 05:30:00"
    with pytest.raises(InputError, match="2024-01-11T05:30"):
        problem(tmp_path, frame, "  frequency: D\n")
    frame = daily(400)
    frame.loc[10, "day"] = "2024-01-11 05:30:00"
    joined = problem(tmp_path, frame, "  frequency: W\n  target_aggregate_function: sum\n")
    assert joined.frequency == "W-SUN"
    assert joined.series[0].values[:-1].sum() == pytest.approx(frame["sales"][: 7 * (len(joined.series[0]) - 1)].sum())


def test_a_series_too_short_for_the_horizon_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="9 periods: too few to forecast 7") as refused:
        problem(tmp_path, daily(9))
    assert "forecast_horizon to 2" in str(refused.value.problems[0].fix)


@pytest.mark.parametrize(("handling", "kept"), [("auto", 1), ("drop", 1), ("pad", 2), ("none", 2)])
def test_short_series(tmp_path: Path, handling: str, kept: int) -> None:
    frame = pd.concat([daily().assign(store="long"), daily(12).assign(store="short")])
    extra = f"  time_series_id_column_names: store\n  short_series_handling_config: {handling}\n"
    found = problem(tmp_path, frame, extra)
    assert len(found.series) == kept
    if handling == "pad":
        assert min(len(one) for one in found.series) == 1 + 7 + 7 + 7
        assert sum(int(one.observed.sum()) for one in found.series) == 132
    warned = [one for one in prepared(tmp_path, frame, extra).warnings if "series are" in one.message]
    assert [str(one.where).endswith("job.yml:10") for one in warned] == [True] * (handling != "none")


def test_folds_roll_by_horizon_or_step(tmp_path: Path) -> None:
    found = problem(tmp_path, daily())
    assert [(window.fit, window.start, window.stop) for (window,) in found.splits] == [(106, 106, 113), (113, 113, 120)]
    stepped = problem(tmp_path, daily(), "  cv_step_size: 3\n")
    assert [window.start for (window,) in stepped.splits] == [110, 113]


def test_what_is_not_known_ahead_is_used_only_with_feature_lags(tmp_path: Path) -> None:
    unknown = "  features_unknown_at_forecast_time: promotion\n"
    found = problem(tmp_path, daily(), unknown)
    assert found.columns == ()
    (use,) = [use for use in prepared(tmp_path, daily(), unknown).columns if use.name == "promotion"]
    assert not use.used
    assert "feature_lags" in use.reason
    lagged = problem(tmp_path, daily(), unknown + "  feature_lags: auto\n")
    assert lagged.columns == (("promotion", "numeric"),)
    assert lagged.known == ()
    (task,) = [lagged.series[0].task(100, 7, hidden=lagged.hidden)]
    assert task.features["promotion"].iloc[100:].isna().all()
    assert task.features["promotion"].iloc[:100].notna().all()


@pytest.mark.parametrize(
    ("top", "key"),
    [
        ("weight_column_name: promotion\n", "weight_column_name"),
        ("featurization: {blocked_transformers: [TfIdf]}\n", "featurization.blocked_transformers"),
        ("featurization: {transformer_params: {imputer: [{fields: [promotion]}]}}\n", "transformer_params"),
    ],
)
def test_what_no_forecast_goes_by_is_said(tmp_path: Path, top: str, key: str) -> None:
    warnings = [one for one in prepared(tmp_path, daily(), top=top).warnings if "no effect" in one.message]
    assert len(warnings) == 1
    assert key in warnings[0].message
    assert str(warnings[0].where).endswith("job.yml:9")


def zoned(count: int = 120, hour: str = "00:00:00") -> pd.DataFrame:
    """The days as Berlin writes them, in winter and in summer."""
    frame = daily(count)
    winter = frame["day"] <= "2024-03-31"
    return frame.assign(day=frame["day"] + f"T{hour}" + np.where(winter, "+01:00", "+02:00"))


@pytest.mark.parametrize("kind", ["csv", "mltable", "parquet"])
def test_days_that_are_written_with_an_offset_stay_those_days(kind: str, tmp_path: Path) -> None:
    frame = zoned()
    if kind == "parquet":
        frame["day"] = pd.to_datetime(frame["day"], utc=True).dt.tz_convert("Europe/Berlin")
        frame.to_parquet(tmp_path / "train.parquet")
    else:
        frame.to_csv(tmp_path / "train.csv", index=False)
    if kind == "mltable":
        (tmp_path / "MLTable").write_text(
            "paths: [{file: ./train.csv}]\ntransformations:\n  - read_delimited: {delimiter: ','}\n"
            '  - convert_column_types: [{columns: day, column_type: {datetime: {formats: ["%Y-%m-%dT%H:%M:%S%z"]}}}]\n'
        )
    data = {"csv": "./train.csv", "parquet": "./train.parquet", "mltable": "."}[kind]
    job = tmp_path / "job.yml"
    extra = "  country_or_region_for_holidays: DE\n"
    job.write_text(JOB.format(extra=extra).replace("./train.csv", data), encoding="utf-8")
    looked_at = prepare(load_job(job))
    assert not [one for one in looked_at.warnings if "offset" in one.message]
    found = build(looked_at, 0)
    assert found.frequency == "D"
    assert found.series[0].times.tolist() == pd.date_range("2024-01-01", periods=120).tolist()
    assert found.schema["columns"][0]["days"] is True


def test_hours_that_are_written_with_an_offset_are_taken_in_utc_and_told(tmp_path: Path) -> None:
    frame = zoned(60, "09:00:00")
    found = prepared(tmp_path, frame)
    (told,) = [one for one in found.warnings if "offset" in one.message]
    assert "in UTC" in told.message
    assert str(told.where).endswith("job.yml:7")
    assert found.outline is not None
    assert found.outline.series[0].times[0] == pd.Timestamp("2024-01-01 08:00")
    in_utc = prepared(tmp_path, frame.assign(day=frame["day"].str.replace("+01:00", "Z")))
    assert not [one for one in in_utc.warnings if "offset" in one.message]
