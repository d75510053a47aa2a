"""Models: versions, their lineage, and copies of their files."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from automl_jobs.runs import RunStore, copy_files, registry
from automl_jobs.runs.source import ClientSource
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


def test_an_alias_is_had_by_one_version_and_moves(store: RunStore) -> None:
    store.register("latest", 1, "M")
    store.register("latest", 2, "M")
    found, before = registry.alias(store, "M:1", "champion")
    assert (found.version, found.aliases, before) == ("1", ("champion",), None)
    assert store.model("M@champion").version == store.model("local:M@champion").version == "1"
    assert str(store.client.get_model_version_by_alias("M", "champion").version) == "1"
    found, before = registry.alias(store, "M", "champion")
    assert (found.version, before) == ("2", "1")
    assert [(one.version, one.aliases) for one in store.models()] == [("2", ("champion",)), ("1", ())]
    assert registry.alias(store, "M:2", "champion")[1] == "2"
    with pytest.raises(InputError, match="'champion' is M:2, not M:1"):
        registry.drop_alias(store, "M:1", "champion")
    assert registry.drop_alias(store, "M", "champion").aliases == ()
    with pytest.raises(InputError, match="no alias 'champion'"):
        store.model("M@champion")


def test_an_unknown_alias_names_those_there_are(store: RunStore) -> None:
    store.register("latest", 1, "M")
    registry.alias(store, "M", "champion")
    with pytest.raises(InputError) as caught:
        store.model("M@champ")
    assert caught.value.problems[0].fix == "there are: champion (M:1)"
    for wrong in ("latest", "v1", "V12", "1", "a b", "", "@"):
        with pytest.raises(InputError, match="is not an alias"):
            registry.alias(store, "M", wrong)


def test_aliases_are_read_as_mlflow_has_them(store: RunStore) -> None:
    store.register("latest", 1, "M")
    store.register("latest", 2, "M")
    store.register("latest", 2, "Other")
    for name, alias in (("M:1", "champion"), ("M:2", "challenger"), ("M:2", "next"), ("Other", "champion")):
        registry.alias(store, name, alias)
    source = store.source
    assert source is not None
    assert source.aliases() == ClientSource(store.client).aliases()
    assert (
        source.aliases("M")
        == ClientSource(store.client).aliases("M")
        == {"M": {"champion": "1", "challenger": "2", "next": "2"}}
    )


def test_a_deleted_version_leaves_no_alias_and_its_number_is_not_given_again(store: RunStore) -> None:
    store.register("latest", 1, "M")
    second = store.register("latest", 2, "M")
    registry.alias(store, "M:2", "champion")
    registry.delete(store, "M", "2")
    assert [one.version for one in store.models()] == ["1"]
    source = store.source
    assert source is not None
    assert source.aliases() == {}
    assert second.path.is_dir()  # the trial's files stay with its job
    assert store.register("latest", 2, "M").version == "3"
    with pytest.raises(InputError, match="no version 2"):
        registry.delete(store, "M", "2")
    registry.delete(store, "M", "1")
    registry.delete(store, "M", "3")
    with pytest.raises(InputError, match="none is registered"):
        store.model("M")


def test_a_version_whose_files_are_gone_can_be_deleted(store: RunStore) -> None:
    found = store.register("latest", 1, "M")
    shutil.rmtree(found.path)
    assert registry.named(store, "M:1").version == "1"
    registry.delete(store, "M", "1")
    assert store.models() == []


def test_the_card_is_that_of_the_version_and_comes_when_a_kill_came_before(store: RunStore) -> None:
    first, second = store.register("latest", 1, "M"), store.register("latest", 1, "Other")
    assert first.card is not None
    assert second.card is not None
    assert "# Model card: M:1" in first.card
    assert "# Model card: Other:1" in second.card
    assert f"| {METRIC} | 0.90000 | 0.85000 |" in first.card
    assert store.model("M").card == first.card
    (card,) = store.place.artifacts.rglob("M-1/MODEL_CARD.md")
    card.unlink()
    assert store.model("M").card is None
    assert store.register("latest", 1, "M").card == first.card
    registry.delete(store, "M", "1")
    assert not list(store.place.artifacts.rglob("M-1"))
    assert store.model("Other").card == second.card
