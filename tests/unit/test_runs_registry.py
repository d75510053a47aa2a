"""Models: versions, their lineage, and copies of their files."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from automl_jobs.runs import RunStore, copy_files
from forestay.errors import InputError
from tests.runs_support import METRIC, finished_job, new_store, outputs_folder


@pytest.fixture
def store(project: Path) -> RunStore:
    store = new_store(project / ".forestay")
    finished_job(store, outputs_folder(project / "outputs"))
    return store


def test_versions_are_counted_up_and_know_where_they_came_from(store: RunStore) -> None:
    first = store.register("latest", 1, "M")
    second = store.register("calm", 2, "M")
    other = store.register("calm", 2, "Other")
    assert [model.version for model in (first, second, other)] == ["1", "2", "1"]
    document = second.as_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert {
        key: document[key] for key in ("name", "version", "job", "trial", "rank", "algorithm", "metric", "score")
    } == {
        "name": "M",
        "version": "2",
        "job": "calm_bay_aaaaaa",
        "trial": "t1",
        "rank": 2,
        "algorithm": "DummyClassifier",
        "metric": METRIC,
        "score": 0.7,
    }
    assert (Path(document["path"]) / "model.pkl").is_file()
    assert store.model("M") == second
    assert store.model("M:1") == store.model("local:M:1") == store.model("M", "1") == first
    assert [(model.name, model.version) for model in store.models()] == [("M", "2"), ("M", "1"), ("Other", "1")]


def test_a_trial_registered_again_keeps_its_version(store: RunStore) -> None:
    first = store.register("latest", 1, "M")
    store.register("latest", 2, "M")
    again = store.register("latest", 1, "local:M")
    assert (first.existing, again.existing, again.version) == (False, True, "1")
    assert len(store.models()) == 2


def test_a_version_of_another_trial_is_of_another_registry(store: RunStore) -> None:
    """A scoring folder of Azure's M:1 is not compared with what happens to be M:1 here."""
    from scoring.registry import registered

    first = store.register("latest", 1, "M")
    assert registered("M", "1", first.trial) == first
    assert registered("M", "1", "t9") is None
    assert registered("M", "7", first.trial) is None


def test_mlflow_finds_the_model_by_its_own_means(store: RunStore) -> None:
    store.register("latest", 1, "M")
    version = store.client.get_model_version("M", "1")
    assert version.source.endswith("/outputs/mlflow-model")
    assert version.run_id == store.leaderboard("latest")[0].run_id


def test_a_failed_trial_is_no_model(store: RunStore, project: Path) -> None:
    with pytest.raises(InputError, match="it ran out of memory"):
        store.register("latest", 3, "M")
    with pytest.raises(InputError, match="it ran out of memory"):
        store.download("latest", 3, project / "copy")
    assert store.models() == []


def test_unknown_models_and_versions_name_what_there_is(store: RunStore) -> None:
    with pytest.raises(InputError, match="none is registered"):
        store.model("M")
    store.register("latest", 1, "Transactions")
    with pytest.raises(InputError) as caught:
        store.model("Transaction")
    assert caught.value.problems[0].fix == "nearest: Transactions"
    with pytest.raises(InputError, match="no version 7") as caught:
        store.model("Transactions:7")
    assert caught.value.problems[0].fix == "there are: 1"


@pytest.mark.parametrize("name", ["a b", "M:1", "", "x/y", "é"])
def test_names_are_checked_before_anything_is_made(store: RunStore, name: str) -> None:
    with pytest.raises(InputError, match="not a model name"):
        store.register("latest", 1, name)
    assert store.models() == []


def test_models_whose_run_or_files_were_removed_say_so(store: RunStore) -> None:
    found = store.register("latest", 1, "M")
    (found.path / "model.pkl").unlink()
    for item in sorted(found.path.rglob("*"), reverse=True):
        item.rmdir() if item.is_dir() else item.unlink()
    found.path.rmdir()
    with pytest.raises(InputError, match="files of this trial are gone"):
        store.model("M")
    assert [model.path for model in store.models()] == [found.path]  # one that is broken does not hide the others
    with sqlite3.connect(store.place.folder / "runs.db") as connection:  # as `mlflow gc` does
        for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
            connection.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (found.run_id,))
    with pytest.raises(InputError, match="removed from MLflow"):
        store.model("M")
    assert store.models() == []


def test_a_model_outlives_the_mark_that_its_run_is_deleted(store: RunStore) -> None:
    found = store.register("latest", 1, "M")
    store.client.delete_run(found.run_id)
    assert store.model("M") == found


def test_a_copy_is_whole_and_overwrites_nothing(store: RunStore, project: Path) -> None:
    source = store.trial("latest", 1).outputs
    assert source is not None
    empty = project / "empty"
    empty.mkdir()
    assert "model.pkl" in copy_files(source, empty)
    assert (empty / "mlflow-model" / "MLmodel").is_file()
    (empty / "model.pkl").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="something here already"):
        store.download("latest", 1, empty)
    assert (empty / "model.pkl").read_text(encoding="utf-8") == "mine"
    with pytest.raises(InputError):
        copy_files(source, empty / "model.pkl" / "below-a-file")
    assert [path.name for path in project.iterdir() if path.name.startswith(".empty")] == []
