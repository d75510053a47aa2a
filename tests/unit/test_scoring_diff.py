"""What `score diff` says of two versions: what it calls harmless is harmless, what it calls breaking breaks.

The verdicts are checked against score.py itself: a request that fits the old version, made from its schema, is sent to
the new one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from forestay.errors import InputError, RunFailed
from scoring import diff, requests
from scoring.diff import Version
from scoring.schema import ModelSchema
from tests import scoring_models

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> scoring_models.Model:
    return scoring_models.bank(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def version(bank: scoring_models.Model) -> Version:
    return diff.from_registry(bank)


@pytest.fixture(scope="module")
def score(bank: scoring_models.Model) -> ModuleType:
    module = scoring_models.load_score(bank.path)
    module.init()
    return module


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return diff.from_registry(scoring_models.forecasting(tmp_path_factory.mktemp("sales")))


def edited(version: Version, edit: Edit) -> Version:
    document = json.loads(version.schema.model_dump_json())
    edit(document)
    return replace(version, schema=ModelSchema.model_validate_json(json.dumps(document)))


def column(name: str, /, **values: Any) -> Edit:
    def edit(schema: dict[str, Any]) -> None:
        next(one for one in schema["columns"] if one["name"] == name).update(values)

    return edit


def without(name: str) -> Edit:
    return lambda schema: schema.update(columns=[one for one in schema["columns"] if one["name"] != name])


def values(**changed: Any) -> Edit:
    return lambda schema: schema.update(changed)


def test_a_version_equals_itself(version: Version, sales: Version) -> None:
    assert diff.compare(version, version).changes == ()
    assert diff.compare(sales, sales).changes == ()


# The old version is the edited one, the new version is the one that score.py serves: what it answers to a row that fits
# the old version decides.
@pytest.mark.parametrize(
    ("edit", "what", "name", "breaking"),
    [
        (without("age"), "column_added", "age", True),
        (without("id"), "column_added", "id", False),
        (column("age", name="years"), "column_removed", "years", True),
        (column("id", name="number"), "column_removed", "number", True),
        (column("age", used=False), "column_used", "age", True),
        (column("id", used=True, type="text"), "column_ignored", "id", False),
        (column("age", integer=False, minimum=0.5, maximum=0.6), "column_retyped", "age", True),
        (column("balance", integer=True), "column_retyped", "balance", False),
        (column("note", type="categorical"), "column_retyped", "note", False),
        (column("job", type="text", values=None), "column_retyped", "job", False),
        (column("note", type="datetime"), "column_retyped", "note", False),
        (column("opened", type="text", minimum=None, maximum=None), "column_retyped", "opened", True),
        (column("active", type="numeric"), "column_retyped", "active", True),
        (column("age", type="text"), "column_retyped", "age", True),
        (column("balance", nullable=False), "nullable_changed", "balance", False),
        (column("age", minimum=1000, maximum=2000), "range_changed", "age", False),
        (column("opened", minimum="1900-01-01", maximum="1901-01-01"), "range_changed", "opened", False),
        (column("note", max_length=99), "max_length_changed", "note", False),
        (column("job", values=["sailor", "admin", "baker", "clerk"]), "categories_removed", "job", False),
        (column("job", values=["admin"]), "categories_added", "job", False),
    ],
)
def test_verdicts_on_columns_are_those_of_score_py(
    version: Version, score: ModuleType, edit: Edit, what: str, name: str, breaking: bool
) -> None:
    old = edited(version, edit)
    found = {(change.what, change.name): change for change in diff.compare(old, version).changes}
    assert found[what, name].breaking is breaking
    assert found[what, name].reason
    row = requests.sample_row(old.schema)
    for one in old.schema.columns:
        if not one.used:
            row[one.name] = "sent, though it is ignored"
    if what == "column_used":
        del row[name]
    answer = score.run(data=[row])
    assert (answer.status != 200) is breaking, answer.body


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (values(classes=["no", "maybe", "yes"]), {("label_removed", "maybe", True)}),
        (values(classes=["no"]), {("label_added", "yes", True)}),
        (values(classes=["yes", "no"]), set()),
        (values(task="text_classification"), {("task_changed", "task", False)}),
        (
            values(task="regression", classes=None, target_type="number"),
            {
                ("task_changed", "task", True),
                ("method_added", "predict_proba", False),
                ("target_type_changed", "y", True),
            },
        ),
        (values(target="z"), {("target_renamed", "z", False)}),
        (values(algorithm="SVM"), {("algorithm_changed", "algorithm", False)}),
        (values(decision={"classes": ["no"], "weights": [2]}), {("decision_changed", "decision", False)}),
    ],
)
def test_verdicts_on_answers(version: Version, edit: Edit, expected: set[tuple[str, str, bool]]) -> None:
    changes = diff.compare(edited(version, edit), version).changes
    assert {(change.what, change.name, change.breaking) for change in changes} == expected


def test_labels_are_compared_with_their_types(version: Version) -> None:
    old = edited(version, values(classes=[0, 1], target_type="integer"))
    new = edited(version, values(classes=[False, True], target_type="boolean"))
    changes = diff.compare(old, new).changes
    assert [change.what for change in changes].count("label_added") == 2
    assert {change.what for change in changes} == {"label_added", "label_removed", "target_type_changed"}


def test_verdicts_on_forecasts(sales: Version) -> None:
    store = next(one for one in sales.schema.columns if one.name == "store")
    cases: list[tuple[Edit, str, bool]] = [
        (values(frequency="W"), "frequency_changed", True),
        (values(target="revenue"), "target_renamed", True),
        (values(series_columns=[]), "series_columns_changed", True),
        (values(horizon=99), "horizon_changed", False),
        (column("visitors", nullable=False), "column_optional", False),
    ]
    for edit, what, breaking in cases:
        old = edited(sales, edit)
        assert {change.what: change.breaking for change in diff.compare(old, sales).changes}[what] is breaking
    old = edited(sales, column("store", values=[*(store.values or ("north", "7")), "south"]))
    new = edited(sales, column("store", values=list(store.values or ("north", "7"))))
    assert [(one.what, one.breaking) for one in diff.compare(old, new).changes] == [("series_removed", True)]
    assert sales.quantiles
    [change] = diff.compare(sales, replace(sales, quantiles=False)).changes
    assert (change.what, change.breaking) == ("quantiles_removed", True)


def test_a_forecast_that_starts_later_is_told_with_what_callers_see(sales: Version) -> None:
    assert sales.schema.time_column
    earlier = edited(
        sales, column(sales.schema.time_column, minimum="2020-01-01T00:00:00", maximum="2020-01-07T00:00:00")
    )
    [later] = diff.compare(earlier, sales).changes
    assert (later.what, later.name, later.breaking) == ("forecast_start_moved", sales.schema.time_column, False)
    assert "passed over with a target, and refused without one" in later.reason
    assert str(later.new) in later.reason
    [back] = diff.compare(sales, earlier).changes
    assert (back.old, back.new) == (later.new, later.old)
    assert "must be sent" in back.reason


def test_nulls_that_are_refused_from_now_on_break_callers(version: Version) -> None:
    strict = edited(version, column("balance", nulls=False))
    [refused] = diff.compare(version, strict).changes
    assert (refused.what, refused.name, refused.breaking) == ("nulls_refused", "balance", True)
    [taken] = diff.compare(strict, version).changes
    assert (taken.what, taken.breaking) == ("nulls_taken", False)


def test_styles_are_compared_by_the_requests_they_take(version: Version, tmp_path: Path) -> None:
    full, simple, mlflow = (replace(version, style=style) for style in ("azureml", "simple", "mlflow"))
    expected = [
        (full, simple, True, "requests as Inputs, input_data are refused"),
        (simple, full, False, "requests of the old style are still taken"),
        (full, mlflow, True, "requests as data, Inputs, input_data are refused"),
        (mlflow, full, True, "requests as no_code are refused"),
    ]
    for old, new, breaking, reason in expected:
        [change] = [one for one in diff.compare(old, new).changes if one.what == "style_changed"]
        assert (change.breaking, change.reason) == (breaking, reason)
    methods = [(one.what, one.name, one.breaking) for one in diff.compare(full, simple).breaking]
    assert ("method_removed", "predict_proba", True) in methods
    assert diff.compare(version, simple).changes[0].what == "method_removed"
    arrays = diff.from_registry(scoring_models.plain_arrays(tmp_path))
    named = replace(arrays, style="azureml")
    assert diff.compare(replace(arrays, style="simple"), named).breaking[0].reason == "requests as array are refused"


def test_environments_are_told_and_break_nobody(version: Version) -> None:
    packages = {**version.packages, "numpy": "1.0", "left": "2"}
    del packages["pandas"]
    found = diff.compare(version, replace(version, python="3.12.1", packages=packages))
    assert {change.what for change in found.changes} == {
        "python_changed",
        "package_added",
        "package_changed",
        "package_removed",
    }
    assert found.breaking == ()
    assert found.as_dict()["breaking"] is False
    served = replace(version, packages=packages, generated=True)
    assert {change.name for change in diff.compare(served, version).changes} == {"numpy"}


class Served:
    """What the gate asks of a target."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        return ["bank-api"]

    def assets(self, _: str) -> Path:
        if self.folder is None:
            raise InputError("the deployed folder is gone")
        return self.folder


def test_the_gate_refuses_what_breaks(
    bank: scoring_models.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scoring.generate import generate

    home = tmp_path / "home"
    scoring_models.keep_lock(bank.path, home)
    old = generate(bank, tmp_path / "old", home=home).path
    other = scoring_models.bank(tmp_path / "outputs", labels=["no", "{{ perhaps }}"], version="2")
    new = generate(other, tmp_path / "new", home=home).path
    with pytest.raises(RunFailed) as caught:
        diff.guard(Served(old), "bank-api", new, allow_breaking=False)  # type: ignore[arg-type]
    text = "\n".join(caught.value.lines())
    assert "breaks callers of Bank 1" in text
    assert '"{{ perhaps }}": callers get a label that they have never seen' in text
    assert "--allow-breaking" in text
    for served, name, folder, allowed in (
        (Served(old), "bank-api", new, True),
        (Served(old), "other-api", new, False),
        (Served(old), "bank-api", old, False),
        (Served(None), "bank-api", new, False),
    ):
        diff.guard(served, name, folder, allowed)  # type: ignore[arg-type]
    assert diff.read(str(old)) == diff.from_folder(old)


def test_a_folder_that_is_called_like_a_model_is_not_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the folder of a job often is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Bank").mkdir()
    model = scoring_models.bank(tmp_path / "outputs")
    monkeypatch.setattr("scoring.registry.model_version", lambda given: {"Bank": model}[given])
    assert diff.read("Bank").name == "Bank 1"

    def unknown(given: str) -> None:
        raise InputError(f"there is no model {given!r}")

    monkeypatch.setattr("scoring.registry.model_version", unknown)
    with pytest.raises(InputError, match="not a scoring folder"):
        diff.read("Bank")
    with pytest.raises(InputError, match="no model 'Other'"):
        diff.read("Other")
