"""Jobs on texts as a user runs them: several labels a row, and the tasks that only Azure trains."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Run
from tests.scripts_support import scores_of
from tests.tables import MLTABLE

WORDS = {
    "sports": ["goal", "match", "team"],
    "real [red]estate": ["house", "rent", "garden"],
    "food": ["bread", "soup"],
}
JOB = "type: automl\ntask: {task}\ntarget_column_name: {target}\ntraining_data: {{path: ./train, type: mltable}}\n"


def articles(rows: int) -> pd.DataFrame:
    draw = random.Random(5)
    found = []
    for row in range(rows):
        labels = [label for label in WORDS if draw.random() < 0.45]
        words = [draw.choice(WORDS[label]) for label in labels for _ in range(2)] + draw.choices("abcd", k=3)
        draw.shuffle(words)
        found.append({"title": " ".join(words[:3]), "body": " ".join(words[3:]), "pages": row % 5, "tags": str(labels)})
    return pd.DataFrame(found)


def write(
    project: Path, frame: pd.DataFrame, task: str = "text_classification_multilabel", target: str = "tags"
) -> Path:
    folder = project / "train"
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / "data.csv", index=False)
    (folder / "MLTable").write_text(MLTABLE)
    path = project / "job.yml"
    path.write_text(JOB.format(task=task, target=target))
    return path


@pytest.mark.slow
def test_a_multilabel_job_from_the_file_to_lists_as_answers(clean: Run, project: Path) -> None:
    job = write(project, articles(120))
    words = ("--model", "Tags", "--endpoint", "tags-api", "--set", "limits.max_trials=5")
    done = clean("ship", job, *words, "--output", "json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Azure fine-tunes a pretrained language model") == 1
    shipped = json.loads(done.stdout)
    assert (shipped["verified"], shipped["endpoint"]["status"]) == (True, "Healthy")
    found = json.loads(clean("job", "show", shipped["job"], "--output", "json").stdout)
    assert (found["status"], found["primary_metric"]) == ("Completed", "accuracy")
    assert found["task"] == "text_classification_multilabel"
    board = json.loads(clean("job", "leaderboard", found["job"], "--output", "json").stdout)["trials"]
    assert {"Baseline", "LogisticRegression"} <= {trial["algorithm"] for trial in board}
    best = next(trial for trial in board if trial["rank"] == found["best_trial"]["rank"])
    assert best["score"] > 0.6
    assert best["metrics"]["iou"] > 0.6
    told = json.loads(clean("job", "code", found["job"], "--to", "script", "--output", "json").stdout)
    assert (told["rank"], told["score"]) == (best["rank"], best["score"])
    assert scores_of([project / "script"], "accuracy") == pytest.approx([best["score"]], abs=1e-6)
    shown = clean("job", "trial", found["job"], "--rank", "1")
    assert shown.returncode == 0, shown.stderr
    assert "rightly silent" in shown.stdout
    told = json.loads(clean("job", "explain", found["job"], "--output", "json").stdout)
    assert {one["column"] for one in told["importances"]} == {"title", "body", "pages"}
    assert told["importances"][-1]["column"] == "pages"
    outputs = Path(json.loads(clean("model", "show", "Tags", "--output", "json").stdout)["path"])
    schema = json.loads((outputs / "model_schema.json").read_text())
    assert schema["classes"] == ["food", "real [red]estate", "sports"]
    golden = json.loads((outputs / "golden.json").read_text())
    assert all(set(labels) <= set(schema["classes"]) for labels in golden["predictions"])
    rows = project / "rows.csv"
    rows.write_text("title,body,pages\ngoal match team,goal match,1\nsoup bread house,rent garden soup,2\n")
    asked = clean("endpoint", "invoke", "tags-api", "--data", rows)
    assert asked.returncode == 0, asked.stderr
    first, second = json.loads(asked.stdout)["Results"]
    assert first == ["sports"]
    assert second == ["food", "real [red]estate"]


def test_a_row_that_is_no_list_of_labels_is_named(forestay: Run, project: Path) -> None:
    frame = articles(60)
    frame.loc[7, "tags"] = "['sports'"
    done = forestay("job", "check", write(project, frame))
    assert done.returncode == 2
    assert "job.yml:3" in done.stderr
    assert "row 8" in done.stderr
    assert "['sports'" in done.stderr


@pytest.mark.parametrize("task", ["text_ner", "image_classification"])
def test_what_only_azure_trains_is_refused_with_the_way_there(forestay: Run, project: Path, task: str) -> None:
    done = forestay("job", "submit", write(project, articles(60), task), process=False)
    assert done.returncode == 2
    assert f"{task} jobs do not train on this machine" in done.stderr
    assert "--env" in done.stderr
    assert "job.yml:2" in done.stderr
    assert not list(project.glob(".forestay/artifacts/*"))
