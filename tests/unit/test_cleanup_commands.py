"""`job delete` and `gc` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from automl_jobs.runs import RunStore
from tests.conftest import Run
from tests.runs_support import finished_job, job_start, new_store, outputs_folder


@pytest.fixture
def store(project: Path) -> RunStore:
    made = new_store(project / ".forestay")
    finished_job(made, outputs_folder(project / "outputs"), "calm_bay")
    return made


def test_nothing_is_deleted_off_a_terminal_without_yes(forestay: Run, store: RunStore) -> None:
    done = forestay("job", "delete", "calm_bay")
    assert done.returncode == 2
    assert "calm_bay was not deleted" in done.stderr
    assert "say --yes" in done.stderr
    assert store.job("calm_bay").trials == 3
    done = forestay("job", "delete", "calm", "--yes", "--output", "json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["job"], found["trials"], found["deleted"]) == (0, "calm_bay", 3, True)
    assert store.jobs() == []
    assert forestay("job", "delete", "calm_bay", "--yes").returncode == 2


def test_running_and_registered_jobs_are_refused(forestay: Run, store: RunStore) -> None:
    store.start_job(job_start("busy")).status("Running")
    done = forestay("job", "delete", "busy", "--yes")
    assert (done.returncode, "job busy is running" in done.stderr) == (3, True)
    store.register("calm_bay", 1, "Churn")
    done = forestay("job", "delete", "calm_bay", "--yes")
    assert (done.returncode, "Churn:1 was registered from it" in done.stderr) == (2, True)
    done = forestay("job", "delete", "calm_bay", "--yes", "--with-models", "--output", "json")
    assert json.loads(done.stdout)["models"] == ["Churn:1"]
    assert store.models() == []


def test_an_endpoint_that_serves_it_is_told(forestay: Run, store: RunStore, project: Path) -> None:
    store.register("calm_bay", 1, "Churn")
    deployment = project / ".forestay" / "endpoints" / "churn-api" / "deployments" / "Churn-1-abc"
    deployment.mkdir(parents=True)
    (deployment / "forestay.json").write_text(json.dumps({"model": "Churn", "version": "1"}), encoding="utf-8")
    (deployment.parent.parent / "endpoint.json").write_text("{}", encoding="utf-8")
    refused = forestay("job", "delete", "calm_bay", "--yes")
    assert "Churn:1 by churn-api (local)" in refused.stderr
    done = forestay("job", "delete", "calm_bay", "--yes", "--with-models", "--output", "json")
    assert json.loads(done.stdout)["deployed"] == ["Churn:1 by churn-api (local)"]
    assert "goes on with its own copy" in done.stderr
    assert (deployment / "forestay.json").is_file()


def test_gc_says_first_and_removes_when_told(forestay: Run, store: RunStore, project: Path) -> None:
    stray = project / ".forestay" / "artifacts" / "bank" / ("f" * 32)
    stray.mkdir(parents=True)
    (stray / "model.pkl").write_bytes(b"x" * 1_500_000)
    done = forestay("gc", "--dry-run")
    assert done.returncode == 0
    assert "1.5 MB: would be removed" in done.stdout
    assert forestay("gc").returncode == 2
    assert stray.is_dir()
    found = json.loads(forestay("gc", "--yes", "--output", "json").stdout)
    assert (found["removed"], found["bytes"], [item["kind"] for item in found["items"]]) == (True, 1_500_000, ["run"])
    assert not stray.exists()
    assert forestay("gc").stdout == "nothing to remove\n"
    assert store.job("calm_bay").trials == 3


def test_scoring_folders_and_proofs_of_versions_that_are_gone(forestay: Run, store: RunStore, project: Path) -> None:
    home = project / ".forestay"
    store.register("calm_bay", 1, "Kept")
    record = {"generator": "forestay", "forestay": "0", "job": "", "trial": "", "files": {}, "version": "1"}
    for model in ("Kept", "Gone"):
        folder = home / "scoring" / f"{model}-1"
        folder.mkdir(parents=True)
        (folder / "forestay.json").write_text(json.dumps({**record, "model": model}), encoding="utf-8")
        proof = home / "proofs" / model / "1" / "abc.json"
        proof.parent.mkdir(parents=True)
        proof.write_text(json.dumps({"path": str(folder), "at": "", "verified": True}), encoding="utf-8")
    (home / "scoring" / "notes").mkdir()
    found = json.loads(forestay("gc", "--yes", "--output", "json").stdout)
    assert sorted(item["kind"] for item in found["items"]) == ["proof", "scoring"]
    assert sorted(path.name for path in (home / "scoring").iterdir()) == ["Kept-1", "notes"]
    assert (home / "proofs" / "Kept" / "1" / "abc.json").is_file()
    assert not (home / "proofs" / "Gone" / "1" / "abc.json").exists()


def test_half_a_deploy_goes_and_one_at_work_stays(forestay: Run, store: RunStore, project: Path) -> None:
    from forestay import project as places

    home = project / ".forestay"
    for name in ("half-api", "busy-api"):
        (home / "endpoints" / name / "deployments" / "M-1-abc").mkdir(parents=True)
    with places.lock(home / "endpoints" / ".busy-api.guard", "it"):
        found = json.loads(forestay("gc", "--yes", "--output", "json").stdout)
    assert [Path(item["path"]).name for item in found["items"]] == ["half-api"]
    assert (home / "endpoints" / "busy-api").is_dir()
