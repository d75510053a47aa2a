"""`forestay model predict|evaluate|compare|alias|delete` on the versions of one small job, as a user runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import command
from tests.runs_support import give_store
from tests.tables import write_job


class Trained:
    """A project with one job, whose first two trials are Sizes 1 and 2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".forestay"
        give_store(self.home)
        job = write_job(folder, rows=240, trials=3)
        done = self("job", "submit", job, process=True)
        assert done.returncode == 0, done.stderr
        for rank in ("1", "2"):
            assert self("model", "register", "latest", "--rank", rank, "--name", "Sizes").returncode == 0

    def __call__(self, *words: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
        return command(*words, cwd=self.folder, home=self.home, **more)

    def json(self, *words: str | Path, code: int = 0) -> Any:
        done = self(*words, "--output", "json")
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"))


def test_rows_are_predicted_on_the_screen_and_into_a_file(trained: Trained) -> None:
    rows = pd.read_csv(trained.folder / "test" / "data.csv")
    found = trained.json("model", "predict", "Sizes:1", "--data", "test", "--probabilities")
    assert len(found["predictions"]) == found["rows"] == len(rows)
    assert set(found["predictions"]) <= {"low", "middle", "high"}
    assert sum(found["probabilities"][label][0] for label in ("low", "middle", "high")) == pytest.approx(1.0)
    assert "rows more: --to FILE" in trained("model", "predict", "Sizes:1", "--data", "test/data.csv").stdout
    for name in ("said.csv", "said.parquet"):
        written = trained.json("model", "predict", "Sizes:1", "--data", "test/data.csv", "--to", name)
        assert written["predictions"] is None
        read = pd.read_csv if name.endswith(".csv") else pd.read_parquet
        assert read(trained.folder / name)["prediction"].tolist() == found["predictions"]


def test_scores_on_the_jobs_own_test_data_are_the_jobs(trained: Trained) -> None:
    job = trained.json("job", "show", "latest")
    chosen = job["best_trial"]["rank"]
    found = trained.json("model", "evaluate", f"Sizes:{chosen}", "--data", "test", "--by", "kind", "--to", "page.html")
    assert found["metrics"] == pytest.approx(job["test_metrics"])
    assert found["metric"] == "accuracy"
    assert set(found["intervals"]) == set(found["metrics"])
    assert sum(one["rows"] for one in found["slices"]) == found["rows"] == 60
    assert found["notes"] == []
    page = (trained.folder / "page.html").read_text(encoding="utf-8")
    assert "By kind" in page
    assert "Confusion matrix" in page
    shown = trained("model", "evaluate", f"Sizes:{chosen}", "--data", "train", "--metric", "AUC_weighted")
    assert "AUC_weighted" in shown.stdout
    assert "was trained on 240 of these rows (100%)" in shown.stderr


def test_versions_are_compared_on_the_test_data_of_their_job(trained: Trained) -> None:
    trained.json("model", "alias", "Sizes:2", "champion")
    found = trained.json("model", "compare", "Sizes:1", "Sizes@champion", "--threshold", "0.9", code=1)
    assert (found["challenger"], found["champion"], found["metric"]) == ("Sizes:1", "Sizes:2", "accuracy")
    assert found["difference"] == pytest.approx(found["scores"]["challenger"] - found["scores"]["champion"])
    assert found["interval"][0] <= found["difference"] <= found["interval"][1]
    assert (found["better"], found["threshold"], found["rows"]) == (False, 0.9, 60)
    assert found["notes"] == []
    assert found["data"].startswith("the test data of ")
    assert trained.json("model", "compare", "Sizes:1", "Sizes:1", "--threshold=-0.01", "--seed", "3")["better"] is True
    shown = trained("model", "compare", "Sizes:1", "Sizes:2", "--data", "valid", "--threshold", "0.9")
    assert shown.returncode == 1
    assert "is not shown to be better than" in shown.stdout
    assert "was trained on 120 of these rows" in shown.stderr


def test_the_card_tells_data_split_scores_and_environment(trained: Trained) -> None:
    text = trained.json("model", "show", "Sizes:1", "--card")["card"]
    for words in (
        "# Model card: Sizes:1",
        "| training_data | 240 |",
        "| test_data | 60 |",
        "day 2023-01-0",
        "- scikit-learn:",
    ):
        assert words in text
    trained("model", "download", "Sizes:1", "--to", "copy")
    assert (trained.folder / "copy" / "MODEL_CARD.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predict", "Sizes", "--data", "none.csv"), "none.csv"),
        (("predict", "Sizes", "--data", "test", "--to", "said.txt"), "end it in .csv or .parquet"),
        (("predict", "Sizes@nobody", "--data", "test"), "no alias 'nobody'"),
        (("predict", "Sizes:9", "--data", "test"), "no version 9"),
        (("evaluate", "Sizes", "--data", "job.yml"), "job.yml"),
        (("evaluate", "Sizes", "--data", "test", "--by", "kinds"), "did you mean kind"),
        (("evaluate", "Sizes", "--data", "test", "--metric", "wit"), "no metric of Azure's"),
        (("compare", "Sizes:1", "Other"), "Other"),
        (("alias", "Sizes:1", "v2"), "is not an alias"),
        (("delete", "Sizes"), "says no version"),
        (("delete", "Sizes:1"), "nobody said yes"),
    ],
)
def test_wrong_input_says_what_to_do(trained: Trained, words: tuple[str, ...], told: str) -> None:
    done = trained("model", *words)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""


def test_what_is_deployed_or_named_is_not_deleted(trained: Trained) -> None:
    trained.json("model", "register", "latest", "--rank", "3", "--name", "Boxes")
    trained.json("model", "alias", "Boxes:1", "champion")
    record = trained.home / "endpoints" / "boxes-api" / "deployments" / "d1" / "forestay.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"model": "Boxes", "version": "1"}), encoding="utf-8")
    assert (
        "served, or can be returned to, by boxes-api (local)" in trained("model", "delete", "Boxes:1", "--yes").stderr
    )
    record.unlink()
    assert "Boxes:1 is champion" in trained("model", "delete", "Boxes:1", "--yes").stderr
    for place in ("scoring/Boxes-1", "proofs/Boxes/1"):
        (trained.home / place).mkdir(parents=True)
    gone = trained.json("model", "delete", "Boxes:1", "--yes", "--force")
    assert gone["deleted"] is True
    assert len(gone["removed"]) == 2
    assert not (trained.home / "scoring" / "Boxes-1").exists()
    assert [one["name"] for one in trained.json("model", "list")] == ["Sizes", "Sizes"]
