"""`job new`: task and metric by the target, and a folder that reads back as the data was read."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl_jobs import advanced
from automl_jobs.data import ColumnType, ReadOptions, load_table
from automl_jobs.new import NewJob, Wishes, new_job, scalar, slug
from automl_jobs.spec import load_job
from automl_jobs.target import Target, about_target
from forestay.errors import InputError


def about(folder: Path, values: list[object], **given: str) -> Target:
    path = folder / "data.csv"
    path.write_text("x,y\n" + "".join(f"{i % 7},{value}\n" for i, value in enumerate(values)))
    return about_target(load_table(path), "y", **given)


@pytest.mark.parametrize(
    ("values", "task", "metric", "reason"),
    [
        (["yes", "no"] * 30, "classification", "accuracy", "equally frequent"),
        (["yes"] * 9 + ["no"] * 90, "classification", "auc_weighted", "accuracy 0.91"),
        (["a"] * 80 + ["b"] * 20 + ["c"] * 30, "classification", "norm_macro_recall", "unbalanced"),
        (["true", "false"] * 30, "classification", "accuracy", ""),
        ([0, 1] * 30, "classification", "accuracy", ""),
        ([1, 2, 3] * 20, "classification", "accuracy", ""),
        ([i / 3 for i in range(60)], "regression", "normalized_root_mean_squared_error", "relative to its range"),
        (list(range(60)), "regression", "normalized_root_mean_squared_error", ""),
        ([0.5, 1.25, 2.75, 3.5] * 20, "regression", "normalized_root_mean_squared_error", ""),
    ],
)
def test_task_and_metric(tmp_path: Path, values: list[object], task: str, metric: str, reason: str) -> None:
    target = about(tmp_path, values)
    assert (target.task, target.metric) == (task, metric)
    assert reason in target.metric_reason
    assert target.task_reason


def test_the_users_task_and_metric(tmp_path: Path) -> None:
    assert about(tmp_path, [0, 1] * 30, task="regression").metric == "normalized_root_mean_squared_error"
    assert about(tmp_path, ["a", "b"] * 30, metric="AUCWeighted").metric == "auc_weighted"
    with pytest.raises(InputError) as caught:
        about(tmp_path, ["a", "b"] * 30, metric="acuracy")
    assert "accuracy" in caught.value.problems[0].fix
    with pytest.raises(InputError, match="predicts a number"):
        about(tmp_path, ["a", "b"] * 30, task="regression")
    with pytest.raises(InputError, match="is no metric of regression"):
        about(tmp_path, list(range(60)), metric="accuracy")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["same"] * 30, "always the same value"),
        ([""] * 30, "never there"),
        ([f"2026-01-{1 + i % 28:02d}" for i in range(60)], "holds dates"),
        ([f"key-{i}" for i in range(60)], "no classes to learn"),
    ],
)
def test_targets_that_cannot_be_learned(tmp_path: Path, values: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        about(tmp_path, values)


def test_a_target_that_is_not_there_or_has_holes(tmp_path: Path) -> None:
    target = about(tmp_path, ["a", "", "b"] * 20)
    assert "20 rows without a target" in target.warnings[0]
    with pytest.raises(InputError) as caught:
        about_target(load_table(tmp_path / "data.csv"), "Y")
    assert caught.value.problems[0].where == "--target"
    assert "nearest: y" in caught.value.problems[0].fix


def make(folder: Path, content: str | bytes, name: str = "data.csv", target: str = "y", **given: object) -> NewJob:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    given.setdefault("to", folder / "job")
    force = bool(given.pop("force", False))
    return new_job(str(folder / name), Wishes(target, **given), force=force)  # type: ignore[arg-type]


def same(made: NewJob, source: Path, read: ReadOptions | None = None) -> None:
    """The MLTable reads back as the file was read, but for what was excluded."""
    before = load_table(source, read)
    after = load_table(made.mltable.parent)
    kept = [column for column in before.columns if column.name not in made.draft.excluded]
    assert [column.name for column in after.columns] == [column.name for column in kept]
    pd.testing.assert_frame_equal(after.frame, before.frame[[column.name for column in kept]])
    said = (read or ReadOptions()).types
    for mine, theirs in zip(after.columns, kept, strict=True):
        if theirs.name not in said:
            assert mine.type is theirs.type


CSV = "".join(
    ["id,zip,amount,paid,day,words,y\n"]
    + [
        f"{i},0{i % 9}234,{i}.25,{'True' if i % 2 else 'False'},2026-01-{1 + i % 28:02d},w{i % 3},{'ab'[i % 2]}\n"
        for i in range(60)
    ]
)


@pytest.mark.parametrize(
    ("content", "name", "copied"),
    [
        (CSV, "data.csv", True),
        (CSV.replace(",", "\t"), "data.tsv", True),
        (CSV.replace(",", ";").encode("utf-8-sig"), "data.csv", True),
        (CSV.replace("w1", "é").encode("cp1252"), "data.csv", True),
        (CSV.replace("w1", '"a\nb"'), "data.csv", True),
        (CSV.replace("2026-01-", "").replace(",y", ",y"), "data.csv", True),
        (CSV.replace("w1", "é").encode("utf-16"), "data.csv", False),
        (CSV.replace(",", ";").replace(".25", ",25"), "data.csv", False),
        (CSV.replace("17.25", "NA"), "data.csv", False),
        (CSV.replace("17.25", " 17.25"), "data.csv", False),
        (CSV.replace("id,", ",", 1), "data.csv", False),
        (gzip.compress(CSV.encode()), "data.csv.gz", False),
    ],
)
def test_the_folder_reads_back_as_the_file_did(tmp_path: Path, content: str | bytes, name: str, copied: bool) -> None:
    made = make(tmp_path, content, name, exclude=["words"])
    same(made, tmp_path / name)
    assert (made.data.read_bytes() == (tmp_path / name).read_bytes()) is copied
    assert bool(made.draft.rewritten) is not copied


@pytest.mark.parametrize(
    "read",
    [
        ReadOptions(day_first=True),
        ReadOptions(day_first=False),
        ReadOptions(decimal=","),
        ReadOptions(thousands=""),
        ReadOptions(keep_na=True),
        ReadOptions(na_values=("w",)),
        ReadOptions(header=False),
        ReadOptions(delimiter=","),
        ReadOptions(encoding="latin1"),
        ReadOptions(types={"z": ColumnType.NUMERIC, "n": ColumnType.CATEGORICAL, "b": ColumnType.BOOLEAN}),
    ],
)
def test_every_flag_goes_into_the_folder(tmp_path: Path, read: ReadOptions) -> None:
    rows = '03/04/2026,"1,234",NA,007,yes,w,a\n04/05/2026,"5,678",2,011,no,é,b\n' * 3
    content = f"d,p,n,z,b,w,y\n{rows}"
    target = "y" if read.header else "Column7"
    made = make(tmp_path, content, target=target, read=read)
    same(made, tmp_path / "data.csv", read)


def test_the_users_types_reach_the_job(tmp_path: Path) -> None:
    read = ReadOptions(types={"amount": ColumnType.CATEGORICAL, "words": ColumnType.TEXT, "zip": ColumnType.IDENTIFIER})
    made = make(tmp_path, CSV, read=read)
    spec = load_job(made.job).spec
    assert spec.featurization.column_name_and_types == {"amount": "Categorical", "words": "Text"}  # type: ignore[union-attr]
    assert made.draft.excluded == ("zip",)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_other_files(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame(
        {
            "n": [1, 2, 3] * 20,
            "s": ["1", "2", "x"] * 20,
            "d": ["2026-01-01", "2026-01-02", None] * 20,
            "y": list("ab") * 30,
        }
    )
    path = tmp_path / f"data.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True)
    read = ReadOptions(types={"n": ColumnType.CATEGORICAL})
    made = make(tmp_path, path.read_bytes(), path.name, exclude=["s"], read=read)
    same(made, path, read)
    assert not made.draft.rewritten


def test_an_mltable_becomes_a_plain_copy(tmp_path: Path) -> None:
    made = make(tmp_path, CSV)
    again = new_job(str(made.mltable.parent), Wishes("y", to=tmp_path / "again"))
    same(again, made.mltable.parent)
    assert again.draft.rewritten == ("the steps of an MLTable",)


_NAMES = st.lists(
    st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8),
        st.sampled_from(
            [
                "a: b",
                "#x",
                "- y",
                "'",
                '"',
                " lead",
                "trail ",
                "no",
                "1",
                "null",
                "~",
                "a\nb",
                "é\u2028x",
                "{{ x }}",
                "%d",
                "=",
                "\\t",
                "!!x",
                "\ufeffx",
                "y,z",
                "\x85",
                "a\r\nb",
            ]
        ),
    ).filter(lambda name: name.strip() != "" and not name.startswith("\ufeff")),
    min_size=3,
    max_size=5,
    unique=True,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_NAMES)
def test_hostile_names_come_through(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "data.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([[i, *["xyz"[i % 3]] * (len(names) - 2), "ab"[i % 2]] for i in range(12)])
    read = ReadOptions(delimiter=",", types={names[0]: ColumnType.CATEGORICAL})
    made = new_job(str(path), Wishes(names[-1], to=tmp_path / "job", exclude=[names[1]], read=read), force=True)
    loaded = load_job(made.job).spec
    assert loaded.target_column_name == names[-1]
    assert loaded.featurization.column_name_and_types == {names[0]: "Categorical"}  # type: ignore[union-attr]
    assert load_table(made.mltable.parent).frame.columns.tolist() == [names[0], *names[2:]]


@given(st.text())
def test_any_text_is_a_yaml_scalar_on_one_line(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert "\n" not in scalar(text)
    assert yaml.safe_load(f"key: {scalar(text)}") == {"key": text}


def test_the_job_loads_here_and_in_azures_client(tmp_path: Path) -> None:
    azure = pytest.importorskip("azure.ai.ml")
    made = make(tmp_path, CSV, exclude=["id"], metric="norm_macro_recall")
    job = azure.load_job(made.job)
    assert job.task_type == "Classification"
    assert job.target_column_name == "y"
    from azure.ai.ml.entities._data.mltable_metadata import MLTableMetadata

    assert MLTableMetadata.load(made.mltable).referenced_uris() == ["./data.csv"]
    loaded = load_job(made.job)
    assert loaded.warnings == ()
    assert loaded.spec.metric == "norm_macro_recall"


def test_forecasting_takes_the_one_column_of_dates(tmp_path: Path) -> None:
    text = "day,other,y\n" + "".join(f"2026-01-{1 + i:02d},2025-01-{1 + i:02d},{i * 1.5}\n" for i in range(28))
    made = make(tmp_path, text, exclude=["other"], task="forecasting")
    assert load_job(made.job).spec.forecasting.time_column_name == "day"  # type: ignore[union-attr]
    regression = make(tmp_path, text, exclude=["other"], to=tmp_path / "regression")
    assert any(hint.startswith("day ") and "--task forecasting" in hint for hint in regression.draft.hints)
    with pytest.raises(InputError, match="several columns hold dates: 'day', 'other'"):
        make(tmp_path, text, to=tmp_path / "two", task="forecasting")


@pytest.mark.parametrize(
    ("given", "where", "message"),
    [
        ({"exclude": ["amuont"]}, "--exclude", "'amuont'"),
        ({"exclude": ["y"]}, "--exclude", "is the target"),
        ({"exclude": ["id", "zip", "amount", "paid", "day", "words"]}, "--exclude", "no column is left"),
        ({"target": "yy"}, "--target", "'yy'"),
    ],
)
def test_wrong_flags_write_nothing(tmp_path: Path, given: dict[str, object], where: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make(tmp_path, CSV, **given)  # type: ignore[arg-type]
    assert caught.value.problems[0].where == where
    assert message in caught.value.problems[0].message
    assert sorted(item.name for item in tmp_path.iterdir()) == ["data.csv"]


def test_nothing_is_overwritten_without_a_word(tmp_path: Path) -> None:
    made = make(tmp_path, CSV)
    with pytest.raises(InputError, match="is there already"):
        make(tmp_path, CSV)
    made.job.write_text("mine")
    assert "target_column_name" in make(tmp_path, CSV, force=True).job.read_text()
    (made.folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt"):
        make(tmp_path, CSV, force=True)
    assert (made.folder / "notes.txt").read_text() == "mine"


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import automl_jobs.new

    def fail(*_: object) -> None:
        raise InputError("no space left", where="disk")

    monkeypatch.setattr(automl_jobs.new, "copy_file", fail)
    with pytest.raises(InputError, match="no space"):
        make(tmp_path, CSV)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["data.csv"]


def test_hints_name_what_is_not_trained_on(tmp_path: Path) -> None:
    made = make(tmp_path, CSV.replace("w0", "w").replace("w1", "w").replace("w2", "w"))
    assert [hint.split()[0] for hint in made.draft.hints] == ["id", "words"]


def test_slug() -> None:
    assert slug("Umsätze 2026 (final)") == "Ums-tze-2026-final"
    assert slug("___") == "job"


def test_time_budget_and_settings_stand_in_the_file(tmp_path: Path) -> None:
    settings = {
        "limits.max_trials": "3",
        "training.blocked_training_algorithms": "[svm, knn]",
        "n_cross_validations": "4",
        "properties.forestay.seed": "7",
    }
    made = make(tmp_path, CSV, time_budget=90.0, settings=settings)
    text = made.job.read_text()
    assert "# Used in Azure; on this machine the job runs here." in text
    spec = load_job(made.job).spec
    assert (spec.limits.max_trials, spec.limits.timeout_minutes, spec.limits.trial_timeout_minutes) == (3, 2, 2)
    assert spec.time_budget_seconds == 90
    assert spec.training.blocked_training_algorithms == ("SVM", "KNN")
    assert (spec.n_cross_validations, spec.forestay.seed) == (4, 7)
    assert load_job(made.job).warnings == ()
    hour = make(tmp_path, CSV, to=tmp_path / "hour", time_budget=3600.0)
    assert "forestay.time_budget" not in hour.job.read_text()


@pytest.mark.parametrize(
    ("settings", "where", "message"),
    [
        ({"limits.max_trails": "3"}, "--set limits.max_trails", "unknown key"),
        ({"limits.max_trials": "few"}, "--set limits.max_trials", "few"),
        ({"properties.forestay.seed": "x"}, "--set properties.forestay.seed", "seed"),
    ],
)
def test_settings_that_cannot_be_write_nothing(
    tmp_path: Path, settings: dict[str, str], where: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(tmp_path, CSV, settings=settings)
    assert caught.value.problems[0].where == where
    assert not (tmp_path / "job").exists()


@pytest.mark.parametrize("task", ["classification", "regression", "forecasting"])
def test_advanced_settings_are_keys_of_the_task(task: str, tmp_path: Path) -> None:
    dates = "day,size,y\n" + "".join(f"2026-01-{1 + i:02d},{i},{i * 1.5}\n" for i in range(28))
    values = {"limits.exit_score": "0.9", "validation_data_size": "0.2", "test_data_size": "0.1"}
    values |= {
        "positive_label": "yes",
        "forecasting.frequency": "D",
        "forecasting.time_series_id_column_names": "[size]",
    }
    data, target = (CSV, "y") if task == "classification" else (dates, "y")
    for one in advanced.settings(task):
        value = one.value(one.choices[:1] or (values.get(one.key, "2"),))
        made = make(tmp_path, data, target=target, task=task, settings={one.key: value}, force=True)
        assert one.key.rsplit(".", 1)[-1] in made.job.read_text()
