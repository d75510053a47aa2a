"""Jobs that only Azure trains, on texts and images: sent as they are, and their trials those of a sweep below them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.azure.conftest import Azure, Cli
from tests.azure.standin.blobs import DATA
from tests.azure.standin.jobs import Script

pytestmark = pytest.mark.usefixtures("quick")
LIMITS = "limits: {max_trials: 3, timeout_minutes: 60, max_concurrent_trials: 2}\n"
RANDOM = "sweep: {sampling_algorithm: random, early_termination: {type: bandit, slack_factor: 0.2}}\n"
TEXTS = (
    "search_space: [{model_name: {type: choice, values: [bert-base-cased, roberta-base]}, "
    "learning_rate: {type: uniform, min_value: 0.00001, max_value: 0.001}}]\n"
)
IMAGES = (
    "training_parameters: {early_stopping: true}\n"
    "search_space: [{model_name: {type: choice, values: [%s]}, "
    "learning_rate: {type: uniform, min_value: 0.0001, max_value: 0.01}}]\n"
)
JOBS = {
    "text_ner": LIMITS + RANDOM + TEXTS,
    "text_classification": LIMITS + RANDOM + TEXTS,
    "text_classification_multilabel": LIMITS + RANDOM + TEXTS,
    "image_classification": LIMITS + RANDOM + IMAGES % "vitb16r224",
    "image_classification_multilabel": LIMITS + RANDOM + IMAGES % "vitb16r224",
    "image_object_detection": LIMITS + RANDOM + IMAGES % "yolov5",
    "image_instance_segmentation": LIMITS + RANDOM + IMAGES % "maskrcnn_resnet50_fpn",
}


def job_of(folder: Path, task: str, data: str = "azureml:things:1") -> Path:
    target = "" if task == "text_ner" else "target_column_name: label\n"
    path = folder / "job.yml"
    path.write_text(
        f"type: automl\ntask: {task}\n{target}compute: azureml:cpu-cluster\n"
        f"training_data: {{path: {data}, type: mltable}}\n"
        f"validation_data: {{path: azureml:things:2, type: mltable}}\n{JOBS[task]}",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("task", JOBS)
def test_sweeps_and_search_spaces_are_sent(azure: Azure, cli: Cli, project: Path, task: str) -> None:
    azure.service.script = Script(queued=3600)
    job = cli("job", "submit", job_of(project, task)).json
    assert (job["task"], job["status"]) == (task, "Queued")
    sent = azure.service.jobs[job["job"]].task
    assert sent["sweepSettings"]["samplingAlgorithm"] == "Random"
    assert sent["sweepSettings"]["earlyTermination"] == {"policyType": "Bandit", "slackFactor": 0.2}
    assert sent["searchSpace"][0]["modelName"].startswith("choice('")
    assert sent["searchSpace"][0]["learningRate"].startswith("uniform(0.")
    assert azure.service.refusals == []


@pytest.mark.parametrize("task", ["text_ner", "image_object_detection"])
def test_trials_of_a_sweep_are_ranked_watched_and_fetched(azure: Azure, cli: Cli, project: Path, task: str) -> None:
    azure.service.script = Script(trials=3, failed=(1,))
    done = cli("job", "submit", job_of(project, task), "--stream")
    assert [line.split()[1] for line in done.err.splitlines() if line.startswith("trial")] == ["0", "1", "2"]
    name = done.json["job"]
    board = cli("job", "leaderboard", name).json["trials"]
    assert [row["status"] for row in board] == ["Completed", "Completed", "Failed"]
    assert {row["algorithm"] for row in board} == {"bert-base-cased", "roberta-base"}
    assert board[2]["error"] == "out of memory (OutOfMemory)"
    assert board[0]["chosen"] is True
    fetched = cli("job", "download", name)
    assert {"mlflow-model/MLmodel", "mlflow-model/artifacts/model.bin"} <= set(fetched.json["files"])
    assert "not served by forestay score generate" in fetched.err
    assert cli("job", "leaderboard", name, env="").json["trials"][0]["algorithm"] == board[0]["algorithm"]
    made = cli("model", "register", name, "--name", "Things").json
    assert made["path"] == f"azureml://jobs/{name}_HD_{board[0]['id']}/outputs/artifacts/paths/outputs/"
    assert "model.bin" in str(cli("model", "download", "Things", "--to", "there").json["files"])


def test_plain_files_of_texts_and_images_are_wrapped(azure: Azure, cli: Cli, project: Path) -> None:
    """CoNLL text is no table and goes as it is; JSON Lines with images' addresses are read as such."""
    azure.service.script = Script(queued=3600)
    (project / "train.conll").write_text("Ada B-PER\nlives O\n\n", encoding="utf-8")
    row = {"image_url": "azureml://datastores/workspaceblobstore/paths/images/1.jpg", "label": "cat"}
    (project / "images.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    for task, file, reads in (
        ("text_ner", "train.conll", None),
        ("image_classification", "images.jsonl", "read_json_lines"),
    ):
        name = cli("job", "submit", job_of(project, task, f"./{file}")).json["job"]
        uri = azure.service.jobs[name].task["trainingData"]["uri"].removeprefix(f"{azure.service.root}/")
        prefix = azure.service.things[uri]["properties"]["dataUri"].partition("/paths/")[2]
        table = yaml.safe_load(azure.service.blobs().get(DATA, f"{prefix}MLTable"))
        assert table["paths"] == [{"file": f"./{file}"}]
        steps = [name for step in table.get("transformations") or () for name in step]
        assert (reads in steps) if reads else not steps
        assert azure.service.blobs().get(DATA, prefix + file) == (project / file).read_bytes()
