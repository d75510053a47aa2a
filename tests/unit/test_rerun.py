"""A job again: what is submitted, and what is told of new data, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from automl_jobs.data import load_table
from automl_jobs.rerun import RERUN_OF, compared, find
from automl_jobs.runs import RunStore
from automl_jobs.spec import load_job
from automl_jobs.submit import SubmitOptions
from forestay import training
from forestay.errors import InputError
from forestay.inline import screen_for
from tests.runs_support import job_start, new_store
from tests.tables import mixed, write_job

COLUMNS = {"kind": "categorical", "size": "numeric", "id": "identifier", "label": "categorical"}
USED = frozenset({"kind", "size", "label"})
PROFILE = {
    "columns": [
        {"name": name, "type": kind, "used": name not in ("label",)}
        for name, kind in {
            "kind": "categorical",
            "size": "numeric",
            "flag": "boolean",
            "words": "text",
            "day": "datetime",
            "label": "categorical",
        }.items()
    ]
}


@pytest.fixture
def job(project: Path) -> Path:
    return write_job(project / "first")


@pytest.fixture
def store(project: Path, job: Path) -> RunStore:
    """A job that ran, with what it was submitted with."""
    made = new_store(project / "home")
    options = SubmitOptions({"limits.max_trials": "7"}, time_budget=30, seed=5).as_dict()
    start = job_start(
        "calm_bay",
        spec_text=job.read_text(encoding="utf-8"),
        path=str(job),
        target="label",
        documents={"submit": {"options": options}, "data_profile": PROFILE},
    )
    made.start_job(start).finish("Completed")
    return made


def test_the_same_file_and_options_with_a_tag_and_a_name_of_its_own(store: RunStore, job: Path) -> None:
    found = find(store, "calm", SubmitOptions(), None, None)
    assert (found.job_file, found.written) == (job, None)
    assert (found.options.time_budget, found.options.seed) == (30, 5)
    overrides = dict(found.options.overrides)
    assert overrides.pop("name") != "calm_bay"
    assert overrides == {"limits.max_trials": "7", f"tags.{RERUN_OF}": '"calm_bay"'}
    assert load_job(job, found.options.overrides).spec.tags == {RERUN_OF: "calm_bay"}


def test_what_is_given_goes_over_what_was(store: RunStore) -> None:
    given = SubmitOptions({"limits.max_trials": "3", "name": "mine"}, seed=0, prefer="speed")
    found = find(store, "latest", given, None, None).options
    assert (found.seed, found.prefer, found.time_budget) == (0, "speed", 30)
    assert (found.overrides["limits.max_trials"], found.overrides["name"]) == ("3", "mine")


def test_new_data_is_read_as_the_old_was_and_lies_in_a_job_of_its_own(
    store: RunStore, job: Path, project: Path
) -> None:
    (job.parent / "train" / "MLTable").write_text(
        "# how our exports look\ntype: mltable\npaths:\n  - file: ./data.csv\ntransformations:\n"
        '  - read_delimited: {delimiter: ",", encoding: utf8}\n'
        "  - drop_columns: [remark]\n",
        encoding="utf-8",
    )
    mixed(90, 9).drop(columns="amount").assign(remark="x").to_csv(project / "march.csv", index=False)
    found = find(store, "calm_bay", SubmitOptions(), Path("march.csv"), None)
    assert found.written == Path("jobs/tests-2")
    made = load_job(found.job_file)
    table = load_table(made.spec.training_data.local(made.folder) or "")
    assert len(table.frame) == 90
    assert "remark" not in table.frame, "as the MLTable of the first job has it"
    text = (found.written / "training-mltable-folder" / "MLTable").read_text(encoding="utf-8")
    assert text.startswith("# how our exports look")
    for key, rows in (("validation_data", 200), ("test_data", 100)):
        assert len(load_table(made.spec.inputs()[key].local(made.folder) or "").frame) == rows
    assert find(store, "calm_bay", SubmitOptions(), Path("march.csv"), None).written == Path("jobs/tests-3")


def test_data_that_no_mltable_can_read_is_written_anew(store: RunStore, project: Path) -> None:
    frame = mixed(90, 9).drop(columns="amount")
    frame["extra"] = range(90)
    frame.to_csv(project / "march.csv", index=False, sep=";", decimal=",")
    found = find(store, "calm_bay", SubmitOptions(), Path("march.csv"), Path("again"))
    made = load_job(found.job_file)
    table = load_table(made.spec.training_data.local(made.folder) or "")
    assert sorted(table.frame.columns) == sorted({*frame.columns} - {"extra"})
    assert table.frame["size"].dtype.kind == "f"


def test_a_folder_with_an_mltable_stays_where_it_is(store: RunStore, job: Path) -> None:
    found = find(store, "calm_bay", SubmitOptions(), job.parent / "valid", None)
    made = load_job(found.job_file)
    assert (made.spec.training_data.local(made.folder) or Path()).resolve() == (job.parent / "valid").resolve()


def test_missing_columns_stop_it_before_anything_is_written(store: RunStore, project: Path) -> None:
    mixed(90, 9).drop(columns=["amount", "label", "size"]).to_csv(project / "march.csv", index=False)
    with pytest.raises(InputError, match="'size', 'label' missing, which the earlier job learned from"):
        find(store, "calm_bay", SubmitOptions(), Path("march.csv"), None)
    assert not (project / "jobs").exists()


def test_a_job_that_is_refused_leaves_no_folder_and_names_the_data(
    store: RunStore, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunStore, "open", classmethod(lambda cls, *_, **__: store))
    mixed(1, 9).to_csv(project / "march.csv", index=False)
    with pytest.raises(InputError, match=r"too few to train on|one class only") as caught:
        training.train_again(screen_for(False), "calm_bay", SubmitOptions(), Path("march.csv"))
    assert not list((project / "jobs").glob("*"))
    assert not any("jobs" in one.where for one in caught.value.problems)
    assert [row.job for row in store.jobs()] == ["calm_bay"]


def test_a_file_that_has_changed_since_is_written_as_it_was(store: RunStore, job: Path) -> None:
    then = yaml.safe_load(job.read_text(encoding="utf-8"))
    job.write_text(job.read_text(encoding="utf-8").replace("primary_metric: accuracy", "primary_metric: auc_weighted"))
    found = find(store, "calm_bay", SubmitOptions(), None, None)
    assert found.written is not None
    again = yaml.safe_load(found.job_file.read_text(encoding="utf-8"))
    assert again["primary_metric"] == then["primary_metric"] == "accuracy"
    made = load_job(found.job_file)
    assert (made.spec.training_data.local(made.folder) or Path()).resolve() == (job.parent / "train").resolve()


def test_a_path_set_at_submit_is_not_set_over_new_data(project: Path, job: Path) -> None:
    made = new_store(project / "home")
    options = SubmitOptions({"training_data.path": "./valid"}).as_dict()
    start = job_start(
        "calm_bay",
        spec_text=job.read_text(encoding="utf-8"),
        path=str(job),
        target="label",
        documents={"submit": {"options": options}},
    )
    made.start_job(start).finish("Completed")
    assert find(made, "calm_bay", SubmitOptions(), None, None).options.overrides["training_data.path"] == "./valid"
    found = find(made, "calm_bay", SubmitOptions(), job.parent / "test", None)
    assert "training_data.path" not in found.options.overrides


def test_a_job_of_azure_is_run_again_there(store: RunStore) -> None:
    store.start_job(job_start("far", env="dev")).finish("Completed")
    with pytest.raises(InputError, match="far ran in dev"):
        find(store, "far", SubmitOptions(), None, None)


@pytest.mark.parametrize("data", ["nothing.csv", "jobs"])
def test_data_that_is_not_there(store: RunStore, data: str) -> None:
    with pytest.raises(InputError, match="there is no such file or folder"):
        find(store, "calm_bay", SubmitOptions(), Path(data), None)


def told(**now: Any) -> list[str]:
    return compared(COLUMNS, USED, {**COLUMNS, **now}, "new.csv")


def test_changed_and_new_columns_are_told() -> None:
    assert told() == []
    assert told(size="text", town="text") == [
        "new.csv: column 'size' was numeric, is text",
        "new.csv: 'town' new, and learned from where it fits",
    ]
    without = {name: kind for name, kind in COLUMNS.items() if name != "id"}
    assert compared(COLUMNS, USED, without, "new.csv") == ["new.csv: 'id' missing; no model used it"]


def test_many_missing_columns_are_told_in_one_line() -> None:
    columns = {f"column{number}": "numeric" for number in range(20)}
    with pytest.raises(InputError, match="and 12 more missing"):
        compared(columns, frozenset(columns), {"y": "numeric"}, "new.csv")


def test_columns_are_compared_as_the_job_reads_them(store: RunStore, job: Path, project: Path) -> None:
    from automl_jobs.prepare import prepare

    frame = mixed(90, 9).drop(columns="amount")
    frame["size"] = [f"about {value}" for value in frame["size"]]
    frame.to_csv(project / "march.csv", index=False)
    found = find(store, "calm_bay", SubmitOptions(), Path("march.csv"), None)
    lines = found.check(prepare(load_job(found.job_file, found.options.overrides)))
    assert any(
        line.endswith(("column 'size' was numeric, is text", "column 'size' was numeric, is categorical"))
        for line in lines
    )
    assert isinstance(pd.read_csv(project / "march.csv"), pd.DataFrame)
