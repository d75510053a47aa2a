"""Registered models asked and judged on rows: predictions, metrics, intervals, slices, two models compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from automl_jobs import fingerprint
from automl_jobs.engine import metrics, problem, spread
from automl_jobs.evaluate import LoadedModel, ahead, compare, evaluate, loading, met, predict, rows, scores
from automl_jobs.evaluate.judged import parted
from forestay.errors import InputError
from tests import scoring_models
from tests.scoring_models import Model


def opened(model: Model, **kept: Any) -> LoadedModel:
    """A model of these tests as a registry would give it; `kept` is what its job says its scores are measured by."""
    found: Any = SimpleNamespace(name=model.name, version=model.version, metric="")
    document = {"positive": None, "sizes": None, "span": None, "series": None, **kept}
    detail: Any = SimpleNamespace(documents={"submit": {"measured_by": document}}, primary_metric="") if kept else None
    schema = loading._schema(model.path, found)
    measure = loading._measure(schema, found, detail)
    return LoadedModel(model.name, model.version, model.path, schema, joblib.load(model.path / "model.pkl"), measure)


def truth_of(frame: pd.DataFrame) -> np.ndarray:
    high = (frame["age"] + frame["balance"].fillna(1000) / 40 + np.where(frame["job"] == "baker", 20, 0)) > 75
    return np.array(["no", "yes"])[high.astype(int)]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand resamples take seconds, and show no more here."""
    monkeypatch.setattr(spread, "RESAMPLES", 80)
    monkeypatch.setattr(spread, "FEWEST_RESAMPLES", 60)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluated")


@pytest.fixture(scope="module")
def bank(place: Path) -> LoadedModel:
    return opened(scoring_models.bank(place / "bank"), sizes=[75, 125], positive="yes")


@pytest.fixture(scope="module")
def price(place: Path) -> LoadedModel:
    return opened(scoring_models.regression(place / "price"), span=[0.0, 1000.0])


@pytest.fixture(scope="module")
def tags(place: Path) -> LoadedModel:
    return opened(scoring_models.multilabel(place / "tags"))


@pytest.fixture
def clients() -> pd.DataFrame:
    frame = scoring_models.bank_frame()
    return frame.assign(y=truth_of(frame))


@pytest.fixture
def prices() -> pd.DataFrame:
    frame = scoring_models.bank_frame().drop(columns=["note", "id"])
    return frame.assign(y=frame["age"] * 2.5 + frame["balance"].fillna(0) / 7)


@pytest.fixture
def tagged() -> pd.DataFrame:
    draw = np.random.default_rng(2)
    notes = [" ".join(draw.choice(["bread", "goal", "and"], 3)) for _ in range(60)]
    said = [[label for label, word in (("food", "bread"), ("sports", "goal")) if word in note] for note in notes]
    return pd.DataFrame({"note": notes, "pages": draw.integers(1, 9, 60), "y": [json.dumps(labels) for labels in said]})


@pytest.mark.parametrize(
    ("kind", "learned", "written", "read"),
    [
        ("categorical", ["2023-01-02", "2023-06-03"], ["2023-06-03", "2023-01-02"], ["2023-06-03", "2023-01-02"]),
        ("categorical", ["2023-06-03 00:00:00"], ["2023-06-03", "2023-01-02"], ["2023-06-03 00:00:00", None]),
        ("categorical", ["true", "maybe"], ["true", "false"], ["true", "false"]),
        ("categorical", ["1.50", "none"], ["1.50", "2.25"], ["1.50", "2.25"]),
        ("categorical", ["3", "4"], ["3.0", "4.0"], ["3", "4"]),
        ("text", None, ["2023-06-03", "2023-01-02"], ["2023-06-03", "2023-01-02"]),
    ],
)
def test_words_of_a_file_stay_what_the_model_learned(
    tmp_path: Path, kind: str, learned: list[str] | None, written: list[str], read: list[str | None]
) -> None:
    columns = [{"name": "code", "type": kind, "used": True, "nullable": False, "values": learned}]
    model: Any = SimpleNamespace(schema={"columns": columns}, columns=["code"], target="y")
    pd.DataFrame({"code": written}).to_csv(tmp_path / "new.csv", index=False)
    found = [rows.category_text(value) for value in rows.read(model, tmp_path / "new.csv", target=False).frame["code"]]
    assert all(one == wanted for one, wanted in zip(found, read, strict=True) if wanted is not None)


def test_predictions_stand_beside_the_rows(bank: LoadedModel, clients: pd.DataFrame) -> None:
    found = predict(bank, clients, probabilities=True)
    assert list(found.columns) == [*clients.columns, "prediction", "probability_no", "probability_yes"]
    assert found["prediction"].tolist() == bank.model.predict(clients).tolist()
    assert found["probability_yes"].tolist() == bank.model.predict_proba(clients)[:, 1].tolist()


def test_lists_of_labels_and_numbers_are_predicted(tags: LoadedModel, tagged: pd.DataFrame, price: LoadedModel) -> None:
    assert predict(tags, tagged)["prediction"].tolist() == tags.model.predict(tagged).tolist()
    with pytest.raises(InputError, match="gives no probabilities"):
        predict(price, scoring_models.bank_frame(), probabilities=True)


def test_all_metrics_of_a_classifier_are_the_engines_own(bank: LoadedModel, clients: pd.DataFrame) -> None:
    found = evaluate(bank, clients, seconds=60.0)
    truth = (clients["y"] == "yes").astype(int).to_numpy()
    expected = metrics.classification(truth, bank.model.predict_proba(clients), None, 1)
    assert expected.items() <= found.metrics.items()
    assert found.metrics["minority_recall"] == pytest.approx(
        np.mean(bank.model.predict(clients[clients["y"] == "no"]) == "no")
    )
    assert found.metric == "AUC_weighted"
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["rows"] == len(clients)
    assert found.charts["confusion_matrix"]["data"]["class_labels"] == ["no", "yes"]
    assert found.intervals.keys() == found.metrics.keys()
    for name, interval in found.intervals.items():
        assert interval["low"] <= interval["high"]
        if name == found.metric:
            assert interval["resamples"] >= 60
            assert interval["low"] <= found.metrics[name] <= interval["high"]


def test_the_same_seed_gives_the_same_interval(price: LoadedModel, prices: pd.DataFrame) -> None:
    first, same, other = (evaluate(price, prices, seed=seed, seconds=20.0).intervals for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_what_a_classifier_decides_is_what_counts(bank: LoadedModel, clients: pd.DataFrame) -> None:
    wary = joblib.load(bank.path / "model.pkl")
    wary.steps[-1] = ("model", SimpleNamespace(**vars(wary[-1])))
    never = replace(
        bank, model=SimpleNamespace(predict_proba=bank.model.predict_proba, predict=lambda frame: ["no"] * len(frame))
    )
    found = evaluate(never, clients, seconds=0.0)
    assert found.metrics["accuracy"] == pytest.approx((clients["y"] == "no").mean())
    assert found.metrics["AUC_weighted"] == evaluate(bank, clients, seconds=0.0).metrics["AUC_weighted"]


def test_a_class_that_training_never_saw_counts_as_missed(bank: LoadedModel, clients: pd.DataFrame) -> None:
    clients.loc[:19, "y"] = "perhaps"
    found = evaluate(bank, clients, seconds=0.0)
    right = (bank.model.predict(clients) == clients["y"]).mean()
    assert found.metrics["accuracy"] == pytest.approx(right)
    assert any("20 rows have a class that training never saw" in note for note in found.notes)


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        ([1.0, 2.0, 3.0], [1, 2], [0, 1, -1]),
        (["1", "2", "x"], [1, 2], [0, 1, -1]),
        ([7, 8], ["7", "8"], [0, 1]),
        ([True, False], [False, True], [1, 0]),
        (["true", "false"], [False, True], [1, 0]),
    ],
)
def test_labels_are_found_however_they_are_spelled(labels: list[Any], classes: list[Any], expected: list[int]) -> None:
    assert rows._class_numbers(pd.Series(labels), classes).tolist() == expected


def test_errors_are_divided_by_the_range_of_the_training(price: LoadedModel, prices: pd.DataFrame) -> None:
    found = evaluate(price, prices, seconds=0.0)
    expected = metrics.regression(prices["y"].to_numpy(), price.model.predict(prices), 0.0, 1000.0)
    assert found.metrics == expected
    assert not any("range of the training" in note for note in found.notes)
    unknown = replace(price, measure=loading.Measure("regression", "r2_score"))
    assert any(
        "range of the training target is not known" in note for note in evaluate(unknown, prices, seconds=0.0).notes
    )


@pytest.fixture(scope="module")
def weighted(place: Path) -> dict[str, tuple[LoadedModel, pd.DataFrame]]:
    """Models whose job weighs rows, and rows of which every third counts nothing."""
    frame = scoring_models.bank_frame()
    shares = np.where(np.arange(len(frame)) % 3 == 0, 0, 2.5)
    amounts = frame["age"] * 2.5 + frame["balance"].fillna(0) / 7 + 50 * (shares == 0)
    return {
        "classification": (
            opened(scoring_models.bank(place / "weighted"), sizes=[75, 125], positive="yes", weights="w"),
            frame.assign(w=shares, y=np.where(shares > 0, truth_of(frame), np.resize(["no", "yes"], len(frame)))),
        ),
        "regression": (
            opened(scoring_models.regression(place / "weighted-prices"), span=[0.0, 1000.0], weights="w"),
            frame.drop(columns=["note", "id"]).assign(w=shares, y=amounts),
        ),
    }


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("classification", ["AUC_weighted", "accuracy", "log_loss", "minority_recall", "expected_calibration_error"]),
        ("regression", ["normalized_root_mean_squared_error", "mean_absolute_error", "r2_score"]),
    ],
)
def test_rows_count_by_the_weights_of_the_job(
    weighted: dict[str, tuple[LoadedModel, pd.DataFrame]], task: str, names: list[str]
) -> None:
    model, frame = weighted[task]
    found = evaluate(model, frame, seconds=0.5)
    counted = evaluate(model, frame[frame["w"] > 0].reset_index(drop=True), seconds=0.0)
    plain = evaluate(model, frame.drop(columns="w"), seconds=0.0)
    for name in names:
        assert found.metrics[name] == pytest.approx(counted.metrics[name]), name
        assert found.metrics[name] != pytest.approx(plain.metrics[name]), name
    assert "rows count by their weight in 'w'" in found.notes
    assert "there is no column 'w' with the rows' weights: each row counts one" in plain.notes
    interval = found.intervals[found.metric]
    assert interval["low"] <= found.metrics[found.metric] <= interval["high"]
    unweighted = replace(model, measure=replace(model.measure, weights=""))
    both = [evaluate(unweighted, part, seconds=0.0).metrics[found.metric] for part in (frame, frame[frame["w"] > 0])]
    assert compare(model, unweighted, frame, seconds=0.5).scores == pytest.approx((both[1], both[1]))
    assert compare(unweighted, model, frame, seconds=0.5).scores == pytest.approx((both[0], both[0]))


def test_rows_without_weight_alone_have_no_score(weighted: dict[str, tuple[LoadedModel, pd.DataFrame]]) -> None:
    for model, frame in weighted.values():
        parts = {
            one.value: one for one in evaluate(model, frame.assign(kind=frame["w"] > 0), "kind", seconds=0.0).slices
        }
        assert model.measure.metric in parts["True"].metrics
        assert parts["False"].metrics == {}
        assert "has no value here" in parts["False"].warning


@pytest.mark.parametrize(
    ("value", "told"), [(-1.0, "is negative in 1 rows"), (np.nan, "has no value in 1 rows"), ("x", "must hold numbers")]
)
def test_what_is_no_weight_is_told(
    weighted: dict[str, tuple[LoadedModel, pd.DataFrame]], value: object, told: str
) -> None:
    model, frame = weighted["regression"]
    wrong = frame.astype({"w": object})
    wrong.loc[3, "w"] = value
    with pytest.raises(InputError, match=f"the weight column 'w' {told}"):
        evaluate(model, wrong.infer_objects())


def test_several_labels_a_row(tags: LoadedModel, tagged: pd.DataFrame) -> None:
    found = evaluate(tags, tagged, seconds=0.0)
    same = [
        sorted(said) == json.loads(true) for said, true in zip(tags.model.predict(tagged), tagged["y"], strict=True)
    ]
    assert found.metrics["accuracy"] == pytest.approx(np.mean(same))
    tagged.loc[3, "y"] = "[food"
    with pytest.raises(InputError, match="row 4 of 'y' is no list of labels"):
        evaluate(tags, tagged)


def test_slices_part_all_rows_and_warn_of_small_ones(bank: LoadedModel, clients: pd.DataFrame) -> None:
    found = evaluate(bank, clients, by="job", metric="accuracy", seconds=0.01)
    counts = {**clients["job"].value_counts().to_dict(), "(missing)": int(clients["job"].isna().sum())}
    assert {one.value: one.rows for one in found.slices} == counts
    by_value = {one.value: one for one in found.slices}
    assert "too few" in by_value["(missing)"].warning
    baker = clients[clients["job"] == "baker"]
    assert by_value["baker"].metrics["accuracy"] == pytest.approx((bank.model.predict(baker) == baker["y"]).mean())
    interval = by_value["baker"].interval
    assert interval is not None
    assert interval[0] <= interval[1]
    same = clients.assign(y=np.where(clients["job"] == "baker", "yes", clients["y"]))
    slices = {one.value: one for one in evaluate(bank, same, by="job", seconds=0.0).slices}
    assert "of one class" in slices["baker"].warning
    assert slices["clerk"].interval is None


def test_numbers_and_times_are_parted_into_ranges() -> None:
    parts = parted(pd.Series([*range(100), None], dtype="float64"))
    assert [(name, len(part)) for name, part in parts] == [
        ("0 to 24.75", 25), ("24.75 to 49.5", 25), ("49.5 to 74.25", 25), ("74.25 to 99", 25), ("(missing)", 1),
    ]  # fmt: skip
    days = parted(pd.Series(pd.date_range("2024-01-01", periods=41)))
    assert days[0][0] == "2024-01-01 to 2024-01-11"
    assert sum(len(part) for _, part in days) == 41
    many = parted(pd.Series([f"v{number}" for number in range(30)]))
    assert many[-1][0] == "(others)"
    assert len(many[-1][1]) == 10
    assert [name for name, _ in parted(pd.Series([3, 3, 5]))] == ["3", "5"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="age"), "lacks columns of the model: age"),
        (lambda frame: frame.drop(columns="y"), "lacks the target: y"),
        (lambda frame: frame.assign(y=None), "no row has a value of 'y'"),
    ],
)
def test_rows_that_can_not_be_judged_say_why(
    bank: LoadedModel, clients: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        evaluate(bank, change(clients))


@pytest.mark.parametrize(
    ("kind", "value", "read", "told"),
    [
        ("numeric", "12 EUR", "12", "3 values of 'code' are no numbers: they count as missing"),
        ("numeric", "inf", "1", "3 values of 'code' are no numbers: they count as missing"),
        ("datetime", "soon", "2024-02-29", "3 values of 'code' are no times: they count as missing"),
        ("boolean", "maybe", "yes", "3 values of 'code' are neither true nor false: they count as missing"),
    ],
)
def test_values_that_can_not_be_read_are_told_and_refused_where_it_is_every_one(
    kind: str, value: str, read: str, told: str
) -> None:
    column = {"name": "code", "type": kind, "used": True, "nullable": True, "values": None}
    model: Any = SimpleNamespace(schema={"columns": [column]}, columns=["code"], target="y")
    few = rows.read(model, pd.DataFrame({"code": [value, read, value, None, value]}), target=False)
    assert few.notes == (told,)
    assert rows.read(model, pd.DataFrame({"code": [read, None, None]}), target=False).notes == ()
    assert rows.read(model, pd.DataFrame({"code": [None, None]}), target=False).notes == ()
    with pytest.raises(InputError, match=f"no value of 'code' is .*: row 2 has '{value}'") as caught:
        rows.read(model, pd.DataFrame({"code": [None, value, value]}), target=False)
    assert caught.value.problems[0].where == "the frame"


def test_what_can_not_be_read_is_told_with_predictions_and_scores(bank: LoadedModel, clients: pd.DataFrame) -> None:
    some = clients.assign(age=clients["age"].astype("object"))
    some.loc[[3, 4], "age"] = "old"
    told = "2 values of 'age' are no numbers: they count as missing"
    said: list[str] = []
    assert len(predict(bank, some, say=said.append)) == len(some)
    assert said == [told]
    assert told in evaluate(bank, some, seconds=0.0).notes
    assert told in compare(bank, bank, some, seconds=0.01).notes


def test_a_renamed_column_is_guessed(bank: LoadedModel, clients: pd.DataFrame) -> None:
    with pytest.raises(InputError) as caught:
        evaluate(bank, clients.rename(columns={"balance": "Balance_"}))
    assert "rename 'Balance_' to 'balance'" in caught.value.problems[0].fix


def test_unknown_columns_and_metrics_are_told(bank: LoadedModel, clients: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="there is no column 'jobs'"):
        evaluate(bank, clients, by="jobs")
    with pytest.raises(InputError, match="no metric of Azure's"):
        evaluate(bank, clients, metric="cleverness")
    with pytest.raises(InputError, match="r2_score has no value"):
        evaluate(bank, clients, metric="r2_score", seconds=0.0)
    assert evaluate(bank, clients, metric="accuracy", seconds=0.0).metric == "accuracy"


def test_a_model_without_a_known_task_is_told(tmp_path: Path) -> None:
    found: Any = SimpleNamespace(name="M", version="1")
    (tmp_path / "model_schema.json").write_text('{"task": "text_ner"}', encoding="utf-8")
    with pytest.raises(InputError, match="has the task 'text_ner', which is not known"):
        loading._schema(tmp_path, found)
    (tmp_path / "model_schema.json").unlink()
    with pytest.raises(InputError, match="does not say which columns"):
        loading._schema(tmp_path, found)


def worse(model: LoadedModel, noise: float) -> LoadedModel:
    """The same model with errors added, row by row the same each time."""

    def predicted(frame: pd.DataFrame) -> np.ndarray:
        return np.asarray(model.model.predict(frame) + noise * np.random.default_rng(5).normal(size=len(frame)))

    return replace(model, version="0", model=SimpleNamespace(predict=predicted))


def test_a_model_is_not_better_than_itself(bank: LoadedModel, clients: pd.DataFrame) -> None:
    found = compare(bank, bank, clients)
    assert found.interval == (0.0, 0.0)
    assert (found.better, found.difference, found.resamples) == (False, 0.0, 80)
    assert compare(bank, bank, clients, threshold=-0.01).better is True


def test_less_error_is_better_and_the_threshold_counts(price: LoadedModel, prices: pd.DataFrame) -> None:
    found = compare(price, worse(price, 60.0), prices)
    assert found.metric == "normalized_root_mean_squared_error"
    assert found.better is True
    assert found.interval is not None
    assert found.interval[0] < found.difference < found.interval[1] < 0
    document = found.as_dict()
    assert document["difference"] == pytest.approx(document["scores"]["challenger"] - document["scores"]["champion"])
    assert document["higher_is_better"] is False
    assert compare(price, worse(price, 60.0), prices, threshold=0.9).better is False
    assert compare(worse(price, 60.0), price, prices).better is False


def test_the_difference_is_paired(price: LoadedModel, prices: pd.DataFrame) -> None:
    """Both are wrong on the same rows: each score's own interval is wide, that of the difference is not."""
    shifted = replace(price, version="0", model=SimpleNamespace(predict=lambda frame: price.model.predict(frame) + 5.0))
    found = compare(price, shifted, prices, metric="mean_absolute_error")
    assert found.interval is not None
    alone = evaluate(price, prices, metric="mean_absolute_error", seconds=1.0).intervals["mean_absolute_error"]
    assert found.interval[1] - found.interval[0] < (alone["high"] - alone["low"]) / 2


def test_the_same_seed_gives_the_same_comparison(bank: LoadedModel, price: LoadedModel, prices: pd.DataFrame) -> None:
    one, same, other = (compare(price, worse(price, 9.0), prices, seed=seed) for seed in (3, 3, 4))
    assert one == same
    assert one.interval != other.interval
    with pytest.raises(InputError, match="they can't be compared"):
        compare(bank, price, prices)
    with pytest.raises(InputError, match="nan is no improvement"):
        compare(price, price, prices, threshold=float("nan"))


def test_labels_are_compared_by_any_metric(tags: LoadedModel, tagged: pd.DataFrame) -> None:
    nothing = replace(
        tags,
        version="0",
        model=SimpleNamespace(predict=lambda frame: [[]] * len(frame), predict_proba=tags.model.predict_proba),
    )
    assert compare(tags, nothing, tagged).better is True
    assert compare(tags, nothing, tagged, metric="recall_score_micro", seconds=0.0).better is True


def test_rows_met_in_training_are_told(
    bank: LoadedModel, clients: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    detail: Any = SimpleNamespace(job="calm_bay", documents={})
    trained = replace(bank, detail=detail)
    table = SimpleNamespace(frame=clients.iloc[:150].assign(age=clients["age"].astype("float64")))
    spec = SimpleNamespace(test_data_size=None, task="classification")
    prepared: Any = SimpleNamespace(
        test=None, validation=None, require_local=lambda: table, loaded=SimpleNamespace(spec=spec), columns=()
    )
    jobs = met.Jobs()
    monkeypatch.setattr(met.Jobs, "data", lambda self, model: (prepared, 0))
    met_rows = list(met.remarks(jobs, [trained, trained], rows.Rows(clients, "new.csv")))
    assert met_rows == [f"{bank.label} was trained on 150 of these rows (75%): its score on them is too good"]
    assert list(met.remarks(jobs, [trained], rows.Rows(clients.iloc[150:], "new.csv"))) == []
    with pytest.raises(InputError, match="calm_bay has no test data"):
        compare(trained, trained)


def test_the_table_that_a_model_was_trained_on_is_told_even_where_chance_would_explain_its_rows(
    bank: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(3)
    frame = pd.DataFrame({name: draw.choice(["a", "b"], 200) for name in (*bank.columns, "y")})
    detail: Any = SimpleNamespace(
        job="calm_bay", documents={"submit": {"data": {"training_data": fingerprint.mark(frame)}}}
    )
    trained = replace(bank, detail=detail)
    spec = SimpleNamespace(test_data_size=0.2, task="regression")
    prepared: Any = SimpleNamespace(
        train=SimpleNamespace(frame=frame),
        test=None,
        validation=None,
        require_local=lambda: SimpleNamespace(frame=frame),
        loaded=SimpleNamespace(spec=spec),
    )
    monkeypatch.setattr(problem, "test_rows", lambda *_: np.arange(40))
    monkeypatch.setattr(met.Jobs, "data", lambda self, model: (prepared, 0))
    told = list(met.remarks(met.Jobs(), [trained], rows.Rows(frame, "train.csv")))
    assert told == [f"{bank.label} was trained on 160 of these rows (80%): its score on them is too good"]
    new = frame.sample(150, random_state=1).reset_index(drop=True)
    assert list(met.remarks(met.Jobs(), [trained], rows.Rows(new, "new.csv"))) == []


def test_data_that_changed_or_is_gone_is_told(
    bank: LoadedModel, clients: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"training_data": fingerprint.mark(clients)}
    detail: Any = SimpleNamespace(job="calm_bay", documents={"submit": {"data": kept}})
    trained, jobs = replace(bank, detail=detail), met.Jobs()

    def gone(self: met.Jobs, model: LoadedModel) -> Any:
        raise InputError("the job file is gone")

    monkeypatch.setattr(met.Jobs, "data", gone)
    (told,) = met.remarks(jobs, [trained], rows.Rows(clients, "train.csv"))
    assert "was trained on just these rows" in told
    (told,) = met.remarks(jobs, [trained], rows.Rows(clients.head(9), "new.csv"))
    assert "can't be told: the job file is gone" in told
    table = SimpleNamespace(frame=clients.iloc[20:])
    spec = SimpleNamespace(test_data_size=None, task="classification")
    prepared: Any = SimpleNamespace(
        train=table, test=None, validation=None, require_local=lambda: table, loaded=SimpleNamespace(spec=spec)
    )
    monkeypatch.setattr(met.Jobs, "data", lambda self, model: (prepared, 0))
    told = next(iter(met.remarks(jobs, [trained], rows.Rows(clients.head(9), "new.csv"))))
    assert "training_data has 180 rows, had 200" in told


def test_forecasts_are_drawn_in_runs_or_series() -> None:
    def answers(series: int, periods: int, horizon: int) -> rows.Answers:
        numbers = np.repeat(np.arange(series), periods)
        steps = np.tile(np.arange(periods) % horizon + 1, series)
        values = np.arange(len(numbers), dtype=float)
        keys = tuple((f"s{one}",) for one in range(series))
        return rows.Answers(np.arange(len(numbers)), values, values, series=numbers, steps=steps, keys=keys)

    few = scores.blocks(answers(2, 6, 3))
    assert few is not None
    assert [part.tolist() for part in few] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    many = scores.blocks(answers(12, 6, 3))
    assert many is not None
    assert [len(part) for part in many] == [6] * 12
    assert list(scores.draws(answers(1, 6, 3), 0)) == []


class TestForecasts:
    """Of two series with a feature that is known ahead and one that is not; the job has test data of 17 days."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, pd.DataFrame, dict[str, float]]:
        from automl_jobs.engine import yardstick
        from automl_jobs.engine.forecasting.trainer import ForecastTrainer, test_metrics
        from automl_jobs.engine.trial import TrialPlan
        from tests.forecasting_support import problem, stores

        folder = tmp_path_factory.mktemp("forecast")
        frame = stores()
        frame["visitors"] = (frame["sales"] * 3).round()
        later = frame.groupby("store").tail(17)
        later.to_csv(folder / "test.csv", index=False)
        extra = "  time_series_id_column_names: store\n"
        extra += "  feature_lags: auto\n  features_unknown_at_forecast_time: visitors\n"
        found = problem(folder, frame.drop(later.index), extra, "test_data: {path: ./test.csv, type: mltable}\n")
        ridge = {"steps": "recursive", "offset": "season", "log": False, "alpha": 1.0, "l1_ratio": 0}
        outcome = ForecastTrainer(found, 1).run(TrialPlan("1", "ElasticNet", ridge), folder / "trial")
        model = opened(Model("Sales", "1", "", "", outcome.outputs), **yardstick.of(found, None))
        return model, later.reset_index(drop=True), test_metrics(found, outcome.outputs)

    def test_scores_are_those_of_the_jobs_own_test(
        self, trained: tuple[LoadedModel, pd.DataFrame, dict[str, float]]
    ) -> None:
        model, later, expected = trained
        found = evaluate(model, later, by="store", seconds=1.0)
        assert found.metrics == pytest.approx(expected)
        assert found.rows == 34
        assert [one.rows for one in found.slices] == [17, 17]
        table = found.charts["forecast_table"]["data"]
        assert table["grain_value_list"] == [["7"], ["north"]]
        assert len(table["y_true"][0]) == 17
        assert found.intervals[found.metric]["resamples"] >= 60
        for metric in ("normalized_mean_absolute_error", "r2_score", found.metric):
            whole = ahead.answers(model, rows.read(model, later, True))
            assert scores.quick(model.measured_by(metric), whole)(whole) == pytest.approx(expected[metric])

    def test_days_that_are_written_with_an_offset_are_those_days(
        self, trained: tuple[LoadedModel, pd.DataFrame, dict[str, float]], tmp_path: Path
    ) -> None:
        model, later, expected = trained
        zoned = later.assign(day=later["day"] + "T00:00:00+02:00")
        zoned.to_csv(tmp_path / "later.csv", index=False)
        for data in (zoned, tmp_path / "later.csv"):
            assert evaluate(model, data, seconds=1.0).metrics == pytest.approx(expected)

    def test_what_training_has_seen_is_history(
        self, trained: tuple[LoadedModel, pd.DataFrame, dict[str, float]]
    ) -> None:
        from tests.forecasting_support import stores

        model, _, expected = trained
        whole = stores()
        whole["visitors"] = (whole["sales"] * 3).round()
        found = evaluate(model, whole.sample(frac=1.0, random_state=1), seconds=0.0)
        assert found.metrics == pytest.approx(expected)
        assert any("206 rows that are history" in note for note in found.notes)
        with pytest.raises(InputError, match="no row lies after the training"):
            evaluate(model, whole[whole["day"] < "2024-03-01"])

    def test_a_series_never_seen_begins_with_history(
        self, trained: tuple[LoadedModel, pd.DataFrame, dict[str, float]]
    ) -> None:
        model, later, _ = trained
        found = evaluate(model, later.assign(store="south").drop_duplicates("day"), seconds=0.0)
        assert found.rows == 17 - 7

    def test_rows_without_a_target_are_forecast_with_bounds(
        self, trained: tuple[LoadedModel, pd.DataFrame, dict[str, float]]
    ) -> None:
        model, later, _ = trained
        due = later[later["day"] < "2024-04-20"].drop(columns="sales")
        found = predict(model, due)
        assert (found["prediction_0.1"] <= found["prediction"]).all()
        assert (found["prediction"] <= found["prediction_0.9"]).all()
        with pytest.raises(InputError, match="stands twice") as caught:
            predict(model, due.assign(day=["2024-04-16", "2024-04-17", "2024-04-17", *due["day"][3:]]))
        assert "row " in caught.value.problems[0].where

    def test_two_trainings_are_asked_from_the_later_end(
        self, trained: tuple[LoadedModel, pd.DataFrame, dict[str, float]]
    ) -> None:
        model, later, expected = trained
        same = compare(model, model, later, seconds=0.01)
        assert same.rows == 34
        assert same.difference == 0.0
        assert same.scores[0] == pytest.approx(expected[model.measure.metric])
        short = SimpleNamespace(
            **{**vars(model.model), "series": {}, "forecast": model.model.forecast, "in_days": model.model.in_days}
        )  # it knows no series: a horizon of rows is its history, and so the other's too
        found = compare(model, replace(model, version="0", model=short), later, seconds=0.01)
        assert found.rows == 20
        assert found.difference == pytest.approx(0.0)
