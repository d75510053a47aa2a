"""The served model: history, gaps, quantiles, what is refused; metrics by series; the order of trials; the files."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from automl_jobs.engine import explain, outputs
from automl_jobs.engine.ensemble import EnsemblePlan, Member, NoBetter
from automl_jobs.engine.forecasting import after, backtest, ensemble
from automl_jobs.engine.forecasting.backtest import Forecasts
from automl_jobs.engine.forecasting.catalogue import CATALOGUE
from automl_jobs.engine.forecasting.search import ForecastSearch
from automl_jobs.engine.forecasting.trainer import MODULES, ForecastTrainer
from automl_jobs.engine.progress import Limits
from automl_jobs.engine.trial import BASELINE, TrialPlan
from forestay_forecasting import ForecastInputError, ForecastModel, SeriesEnd, Spread, Task
from tests.forecasting_support import daily, problem, stores

RIDGE = {"steps": "recursive", "offset": "season", "log": False, "alpha": 1.0, "l1_ratio": 0}
IDS = "  time_series_id_column_names: store\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a trial on two series."""
    folder = tmp_path_factory.mktemp("forecast")
    trainer = ForecastTrainer(problem(folder, stores(), IDS), 1)
    return trainer.run(TrialPlan("1", "ElasticNet", RIDGE), folder / "1").outputs


@pytest.fixture
def model(trained: Path) -> ForecastModel:
    found: ForecastModel = joblib.load(trained / "model.pkl")
    return found


class Rising:
    """Says how many periods ahead a value is."""

    def predict(self, tasks: list[Task]) -> list[np.ndarray]:
        return [np.arange(1.0, task.ahead + 1) for task in tasks]


def future(days: list[str], store: str = "north", **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"day": days, "store": store, "promotion": 0, **more})


def test_one_row_later_equals_the_whole_way_there(model: ForecastModel) -> None:
    """Training ends on 29 April: a gap is walked through, with features as they were last known."""
    days = [str(day)[:10] for day in pd.date_range("2024-04-30", periods=5)]
    last = int(stores().query("store == 'north'")["promotion"].iloc[-1])
    whole = model.predict(future(days).assign(promotion=[last] * 4 + [0]))
    assert model.predict(future(days[-1:])) == pytest.approx(whole[-1:])
    assert model.predict(future(days[::-1]).assign(promotion=[0] + [last] * 4)) == pytest.approx(whole[::-1])


def test_recent_history_moves_the_forecast_and_is_given_back(model: ForecastModel) -> None:
    # The model repeats the season: what came a week before the third day is what the first day brought.
    days = ["2024-04-30", "2024-05-01", "2024-05-07"]
    plain = model.predict(future(days))
    with_history = model.predict(future(days, sales=[plain[0] + 50, plain[1] + 50, None]))
    assert with_history[:2] == pytest.approx(plain[:2] + 50)
    assert with_history[2] > plain[2] + 5
    apart = model.forecast(future(days[2:]), history=future(days[:2], sales=with_history[:2]))
    assert apart["forecast"].tolist() == pytest.approx(with_history[2:].tolist())


def test_a_day_that_is_written_with_an_offset_is_that_day(model: ForecastModel) -> None:
    day = model.predict(future(["2024-05-01"]))
    moment = pd.Timestamp("2024-05-01", tz="Europe/Berlin")
    offset = ["2024-05-01T00:00:00+02:00", "2024-05-01 00:00-0500", moment, moment.to_pydatetime(), "2024-05-01T00:00Z"]
    for written in (*offset, pd.Timestamp("2024-05-01")):
        assert model.predict(future([written])) == pytest.approx(day)  # type: ignore[list-item]
    column = pd.DatetimeIndex([moment])
    assert model.predict(future(["2024-05-01"]).assign(day=column)) == pytest.approx(day)
    # Any other time is a moment, wherever it is told from.
    assert model.predict(future(["2024-05-01T02:00:00+02:00"])) == pytest.approx(day)
    with pytest.raises(ForecastInputError, match="not a time of the series"):
        model.predict(future(["2024-05-01T01:00:00+02:00"]))


def test_an_hour_that_is_written_with_an_offset_is_taken_in_utc() -> None:
    end = SeriesEnd(np.arange(3.0), pd.Timestamp("2024-01-01"), pd.DataFrame(index=range(3)))
    hours = ForecastModel(Rising(), {(): end}, "t", (), "y", (), "h")
    for written in ("2024-01-01T02:00:00", "2024-01-01T00:00:00-02:00", "2024-01-01T04:00:00+02:00"):
        assert hours.predict(pd.DataFrame({"t": [written]})).tolist() == [2.0]


def test_rows_of_series_do_not_mix(model: ForecastModel) -> None:
    both = pd.concat([future(["2024-04-30"]), future(["2024-04-30"], "7")], ignore_index=True)
    small, large = model.predict(both)
    assert small < 300 < 900 < large
    assert model.predict(both.assign(store=["north", 7])) == pytest.approx([small, large])


def test_a_new_series_needs_history(model: ForecastModel) -> None:
    days = [str(day)[:10] for day in pd.date_range("2024-06-01", periods=15)]
    with pytest.raises(ForecastInputError, match="no such series"):
        model.predict(future(days[-1:], "south"))
    sales: list[float | None] = [500.0 + 10 * (day % 7) for day in range(14)]
    found = model.predict(future(days, "south", sales=[*sales, None]))
    assert 450 < found[-1] < 600


@pytest.mark.parametrize(
    ("rows", "row", "column", "text"),
    [
        (future(["2024-04-29"]), 0, "day", "no later than"),
        (future(["2020-01-01"]), 0, "day", "no later than"),
        (future(["2024-05-01", "2024-05-01"]), 1, "day", "twice"),
        (future(["2024-05-01 07:00"]), 0, "day", "frequency D"),
        (future(["2099-05-01"]), 0, "day", "periods after"),
        (future(["9999-12-31"]), 0, "day", "periods after"),
        (future([None]), 0, "day", "must hold"),  # type: ignore[list-item]
    ],
)
def test_rows_that_can_not_be_forecast_are_named(
    model: ForecastModel, rows: pd.DataFrame, row: int, column: str, text: str
) -> None:
    with pytest.raises(ForecastInputError, match=text) as refused:
        model.predict(rows)
    assert refused.value.details[0][:2] == (row, column)


def test_many_series_can_not_be_walked_far_at_once(model: ForecastModel) -> None:
    names = [f"new {number}" for number in range(60)]
    history = pd.DataFrame({"day": "2024-05-01", "store": names, "promotion": 0, "sales": 5.0})
    rows = pd.concat([history, history.assign(day="2029-05-01", sales=np.nan)], ignore_index=True)
    with pytest.raises(ForecastInputError, match="109560 periods ahead in all") as refused:
        model.predict(rows)
    assert refused.value.details[0][:2] == (60, "day")


def test_quantiles_are_ordered_and_never_below_zero_here(model: ForecastModel) -> None:
    days = [str(day)[:10] for day in pd.date_range("2024-04-30", periods=7)]
    found = model.forecast(future(days), quantiles=[0.1, 0.5, 0.9])
    assert (found[0.1] <= found[0.5]).all()
    assert (found[0.5] < found[0.9]).all()
    assert (found[0.1] >= 0).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        model.forecast(future(days), quantiles=[1.0])


def test_a_conformal_quantile_covers_what_it_says() -> None:
    draw = np.random.default_rng(0)
    spread = Spread(np.ones(5), np.sort(draw.normal(size=399)), {}, 2.0)
    truth = 2.0 * draw.normal(size=20_000)
    for level in (0.05, 0.5, 0.9):
        limit = spread.offset((), np.array([1]), level)[0]
        assert (truth <= limit).mean() == pytest.approx(level, abs=0.05)
    assert spread.offset((), np.array([20]), 0.9)[0] == pytest.approx(2 * spread.offset((), np.array([5]), 0.9)[0])


def test_normalised_metrics_are_by_series_and_averaged(tmp_path: Path) -> None:
    """As azureml-metrics: each series' error over its own range, then the mean; plain errors over all rows."""
    found = problem(tmp_path, stores(), IDS)
    spans = [high - low for low, high in (found.spans[one.key] for one in found.series)]
    truth, offsets = np.array([1000.0, 1000.0, 100.0, 100.0]), np.array([10.0, 10.0, 3.0, 3.0])
    forecasts = Forecasts(np.array([0, 0, 1, 1]), np.array([1, 2, 1, 2]), truth, truth + offsets)
    scores = backtest.scores(forecasts, found.series, found)
    assert scores["mean_absolute_error"] == pytest.approx(6.5)
    assert scores["normalized_root_mean_squared_error"] == pytest.approx((10 / spans[0] + 3 / spans[1]) / 2)
    units = [found.scales[one.key] for one in found.series]
    assert scores["mean_absolute_scaled_error"] == pytest.approx((10 / units[0] + 3 / units[1]) / 2)


def test_golden_rows_come_back_in_a_process_with_nothing_but_the_files_beside(trained: Path) -> None:
    code = (
        "import json, sys\n"
        "class Absent:\n"  # pyarrow is here, and not where a model is served
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] == 'pyarrow': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import joblib, pandas as pd\n"
        "golden = json.load(open('golden.json'))\n"
        "found = joblib.load('model.pkl').predict(pd.DataFrame(golden['rows'])).tolist()\n"
        "print(json.dumps([found, golden['predictions']]))\n"
        "assert not any(name.split('.')[0] in ('forestay', 'automl_jobs') for name in sys.modules)\n"
        "assert sys.modules['forestay_forecasting'].__file__.startswith(sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(trained)], cwd=trained, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found, expected = json.loads(done.stdout)
    assert found == pytest.approx(expected, rel=1e-12)
    assert len(found) > 10


def test_the_end_of_a_series_is_kept_without_pyarrow() -> None:
    features = pd.DataFrame({"kind": pd.array(["a", None, "b"], dtype="str"), "size": [1.0, np.nan, 3.0]})
    end = SeriesEnd(np.array([1.0, 2.0]), pd.Timestamp("2024-04-29"), features)
    written = pickle.dumps(end)
    assert b"pyarrow" not in written
    pd.testing.assert_frame_equal(pickle.loads(written).features, features)
    bare = SeriesEnd(end.values, end.last, features[[]])
    assert pickle.loads(pickle.dumps(bare)).features.shape == (3, 0)


def test_the_schema_tells_time_series_and_a_row_that_can_be_forecast(trained: Path, model: ForecastModel) -> None:
    schema = json.loads((trained / outputs.SCHEMA).read_text(encoding="utf-8"))
    assert (schema["task"], schema["time_column"], schema["series_columns"]) == ("forecasting", "day", ["store"])
    columns = {column["name"]: column for column in schema["columns"]}
    assert columns["day"]["minimum"] == "2024-04-30T00:00:00"
    assert columns["store"]["values"] == ["7", "north"]
    assert set(schema["files"]) == {"model.pkl", *(Path(str(module.__file__)).name for module in MODULES)}
    row = {name: column.get("sample", 0) for name, column in columns.items() if column["used"]}
    assert np.isfinite(model.predict(pd.DataFrame([row]))).all()


def searching(names: tuple[str, ...], limits: Limits, **of_series: bool) -> list[TrialPlan]:
    """The trials of a search in which each is a little worse than the one before."""
    search = ForecastSearch(
        names=names, rows=500, higher=False, limits=limits, seed=0, **{"positive": True, **of_series}
    )
    plans: list[TrialPlan] = []
    while (plan := search.next()) is not None:
        plans.append(plan)
        search.finished(plan, float(len(plans)), 0.01)
    assert search.stop_reason
    return plans


NAMES = tuple(algorithm.name for algorithm in CATALOGUE)


def test_every_algorithm_has_its_turn_before_settings_are_drawn() -> None:
    plans = searching(NAMES, Limits(60, 60, 45, early_termination=False))
    assert [plan.id for plan in plans] == [str(number) for number in range(45)]
    assert plans[0].algorithm == BASELINE
    assert {plan.algorithm for plan in plans} == {BASELINE, *NAMES}
    assert len(searching(NAMES, Limits(60, 60, 1000))) < 50  # enable_early_termination


def test_models_of_the_target_alone_come_later_where_features_are_known_ahead() -> None:
    alone = {"ExponentialSmoothing", "AutoArima"}
    limits = Limits(60, 60, 5)
    assert alone <= {plan.algorithm for plan in searching(NAMES, limits)}
    assert not alone & {plan.algorithm for plan in searching(NAMES, limits, features=True)}


def test_settings_are_those_that_the_series_allow() -> None:
    limits = Limits(60, 60, 60, early_termination=False)
    plans = searching(NAMES, limits, positive=False, multiplicative=False, direct=False)
    assert not any(plan.parameters.get("log") for plan in plans)
    assert not any(plan.parameters.get("steps") == "direct" for plan in plans)
    first = searching(("ExponentialSmoothing",), Limits(60, 60, 2), multiplicative=True)[1]
    other = searching(("ExponentialSmoothing",), Limits(60, 60, 2), multiplicative=False)[1]
    assert (first.parameters, other.parameters) == ({"log": True}, {"log": False})


def test_the_scale_of_the_swings_is_told_from_the_series(tmp_path: Path) -> None:
    steady, grown = daily(), daily()
    wave = 1 + 0.3 * np.sin(2 * np.pi * np.arange(120) / 7)
    grown["sales"] = (50 * 1.01 ** np.arange(120) * wave).round(2)
    for name, frame, expected in (("steady", steady, False), ("grown", grown, True)):
        folder = tmp_path / name
        folder.mkdir()
        assert problem(folder, frame).multiplicative is expected


def test_an_ensemble_is_the_mean_of_the_best_of_each_algorithm(tmp_path: Path) -> None:
    made = problem(tmp_path, daily())
    trainer = ForecastTrainer(made, 1)
    weak = {**RIDGE, "alpha": 3.0}
    plans = [("ElasticNet", RIDGE), ("Prophet", {"log": False}), ("ElasticNet", weak), ("Average", {})]
    done = [
        trainer.run(TrialPlan(str(number), name, parameters), tmp_path / str(number))
        for number, (name, parameters) in enumerate(plans)
    ]
    best_first = sorted(done, key=lambda one: one.score)
    members = tuple(Member(one.plan.id, tmp_path / one.plan.id, one.preprocessor) for one in best_first)
    both = ensemble.run(made, EnsemblePlan("9", members), tmp_path / "9")
    near = [one for one in best_first if one.score <= 1.5 * best_first[0].score]
    used = {one.plan.algorithm: one for one in reversed(near)}
    assert set(used) == {"ElasticNet", "Prophet"}
    assert both.preprocessor == f"{len(used)} models"
    assert set(both.parameters) == {f"trial {one.plan.id}" for one in used.values()}
    row = pd.DataFrame({"day": ["2024-05-02"], "promotion": [0]})
    each = [joblib.load(one.outputs / "model.pkl").predict(row)[0] for one in used.values()]
    assert joblib.load(both.outputs / "model.pkl").predict(row)[0] == pytest.approx(np.mean(each))
    with pytest.raises(NoBetter):
        ensemble.run(made, EnsemblePlan("10", members[:1]), tmp_path / "10")


def test_importances_are_measured_by_a_forecaster_that_did_not_see_the_last_fold(tmp_path: Path) -> None:
    made = problem(tmp_path, daily())
    trainer = ForecastTrainer(made, 1)
    plans = [TrialPlan("1", "ElasticNet", RIDGE), TrialPlan("2", "Prophet", {"log": False})]
    done = [trainer.run(plan, tmp_path / plan.id) for plan in plans]
    members = tuple(Member(one.plan.id, tmp_path / one.plan.id, one.preprocessor) for one in done)
    blended = ensemble.run(made, EnsemblePlan("9", members), tmp_path / "9")
    for outcome in (done[0], blended):
        folder = tmp_path / outcome.plan.id
        told = after.explain(made, explain.load(folder / "outputs"), 5.0, explain.load_last_fold(folder))
        assert (told.data, told.rows) == ("validation", 7)
        assert told.score == pytest.approx(outcome.folds[-1])
        assert told.importances[0].mean > 0.01


def test_the_interval_of_a_score_draws_whole_runs_of_forecasts(tmp_path: Path) -> None:
    found = problem(tmp_path, stores(), IDS)
    draw = np.random.default_rng(0)
    series, steps = np.repeat([0, 1], 35), np.tile(np.arange(1, 8), 10)
    truth = 100 + draw.normal(0, 1, 70)
    forecasts = Forecasts(series, steps, truth, truth + np.repeat(draw.normal(0, 5, 10), 7))
    told = backtest.interval(forecasts, found.series, found, 5.0)[found.metric]
    score = backtest.scores(forecasts, found.series, found)[found.metric]
    assert told["low"] < score < told["high"]
    assert (told["rows"], told["level"]) == (70, 0.95)
    few = Forecasts(*(values[:14] for values in (series, steps, truth, truth)))
    assert backtest.interval(few, found.series, found, 5.0) == {}
