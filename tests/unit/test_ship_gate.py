"""`ship --if-better`: what is not better than what the endpoint serves is not deployed."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_jobs.runs import RunStore
from automl_jobs.submit import SubmitOptions
from forestay import ship, ship_gate
from forestay.errors import InputError
from forestay.ship import Shipment
from forestay.ship_gate import Gate
from scoring.generate import generate
from scoring.targets import DeploymentRecord
from tests import scoring_models
from tests.runs_support import job_start, new_store, trial


class Served:
    """A target that serves the scoring folder of one version, or nothing."""

    def __init__(self, folder: Path | None, version: str = "1") -> None:
        self.folder, self.version = folder, version

    def names(self) -> list[str]:
        return ["bank-api"] if self.folder else []

    def status(self, name: str) -> DeploymentRecord:
        return DeploymentRecord(name, "local", "local", "Bank", self.version, "d1", "Healthy", "", {"d1": 100}, None)

    def assets(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder


class Here(Shipment):
    """A shipment whose target is given."""

    served: Any = None

    def place(self) -> Any:
        return self.served


@pytest.fixture
def store(project: Path) -> RunStore:
    """A job of two trials that are all but alike, both registered as Bank; rows to compare them on in rows.csv."""
    good = scoring_models.bank(project / "good").path
    bad = project / "bad"
    shutil.copytree(good, bad)
    _spoil(bad)
    store = new_store(project / ".forestay")
    writer = store.start_job(job_start("calm_reed_aaaaaa"))
    writer.status("Running")
    writer.log_trial(trial("good", 0.9, good))
    writer.log_trial(trial("bad", 0.7, bad))
    writer.finish("Completed")
    for rank in (1, 2):
        store.register("latest", rank, "Bank")
    frame = scoring_models.bank_frame()
    high = (frame["age"] + frame["balance"].fillna(1000) / 40 + np.where(frame["job"] == "baker", 20, 0)) > 75
    frame.assign(y=np.where(high, "yes", "no")).to_csv(project / "rows.csv", index=False)
    return store


def _spoil(outputs: Path) -> None:
    """Turn a bank model's answers about."""
    import joblib

    pipeline = joblib.load(outputs / "model.pkl")
    pipeline[-1].coef_ *= -1
    joblib.dump(pipeline, outputs / "model.pkl")
    scoring_models.rehash(outputs)


def folder_of(store: RunStore, version: str, project: Path) -> Path:
    source = store.model("Bank", version)
    scoring_models.keep_lock(source.path, project / ".forestay")
    return generate(source, project / f"scoring-{version}", style="simple", home=project / ".forestay").path


def shipment(store: RunStore, version: str, served: Served, gate: Gate) -> tuple[Here, list[str]]:
    told: list[str] = []
    made = Here(
        job_file=Path("job.yml"),
        options=SubmitOptions(),
        model="Bank",
        endpoint="bank-api",
        target="local",
        listeners=lambda metric, limit: contextlib.nullcontext(),  # type: ignore[arg-type,return-value]
        watchers=contextlib.nullcontext,  # type: ignore[arg-type]
        progress=lambda what: contextlib.nullcontext(),  # type: ignore[arg-type,return-value]
        say=told.append,
        version=store.model("Bank", version),
        gate=gate,
    )
    made.served = served
    return made, told


def test_what_is_better_passes_and_what_is_not_is_kept_out(store: RunStore, project: Path) -> None:
    good, bad = folder_of(store, "1", project), folder_of(store, "2", project)
    passed, _ = shipment(store, "1", Served(bad, "2"), Gate(data=project / "rows.csv"))
    assert "Bank:1 is better than Bank:2: AUC_weighted" in ship_gate.compare(passed)
    assert passed.gate is not None
    assert passed.gate.kept is False
    stopped, told = shipment(store, "2", Served(good), Gate(data=project / "rows.csv"))
    assert "Bank:2 is not shown to be better than Bank:1" in ship_gate.compare(stopped)
    assert stopped.gate is not None
    assert stopped.gate.kept is True
    assert any("was trained on some of these rows can't be told" in line for line in told)
    close, _ = shipment(store, "1", Served(bad, "2"), Gate(data=project / "rows.csv", threshold=1.5))
    ship_gate.compare(close)
    assert close.gate is not None
    assert close.gate.kept is True


def test_the_first_deployment_and_the_same_model_go_on(store: RunStore, project: Path) -> None:
    first, _ = shipment(store, "1", Served(None), Gate())
    assert "there is no champion" in ship_gate.compare(first)
    # Another machine may have deployed it under another number: it is the model that tells.
    same, _ = shipment(store, "1", Served(folder_of(store, "1", project), "7"), Gate())
    assert "serves this very model already" in ship_gate.compare(same)
    assert same.gate is not None
    assert same.gate.kept is False


def test_what_does_not_pass_ends_the_loop_before_the_deploy(
    store: RunStore, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = shipment(store, "2", Served(folder_of(store, "1", project)), Gate(data=project / "rows.csv"))
    names = [step.name for step in ship.steps("local", gated=True)]
    assert names == ["check", "train", "register", "compare", "generate", "verify", "deploy", "call"]
    assert [step.name for step in ship.steps("local")] == [name for name in names if name != "compare"]
    left = [step for step in ship.steps("local", gated=True) if step.name not in ("check", "train", "register")]
    monkeypatch.setattr(ship, "steps", lambda env, gated: left)
    done: list[str] = []
    ship.ship(made, lambda number, step, result, seconds: done.append(step.name))
    assert done == ["compare"]
    assert made.folder is None
    assert "--if-better --test-data" in made.command()


def test_a_job_without_test_data_is_told_before_the_training(store: RunStore, project: Path) -> None:
    from automl_jobs.spec import load_job
    from tests.tables import write_job

    job = write_job(project / "jobs", rows=40)
    job.write_text("\n".join(line for line in job.read_text().splitlines() if "test_data" not in line))
    with pytest.raises(InputError, match="serves a model with the target 'y', the job's is 'label'"):
        ship_gate.check(shipment(store, "2", Served(folder_of(store, "1", project)), Gate())[0], load_job(job))
    loaded = load_job(job, {"target_column_name": "y"})
    served = Served(folder_of(store, "1", project))
    made, _ = shipment(store, "2", served, Gate())
    with pytest.raises(InputError, match="no test data to compare"):
        ship_gate.check(made, loaded)
    ship_gate.check(shipment(store, "2", served, Gate(data=project / "rows.csv"))[0], loaded)
    ship_gate.check(shipment(store, "2", Served(None), Gate())[0], loaded)
    with pytest.raises(InputError, match="nothing here"):
        ship_gate.check(shipment(store, "2", served, Gate(data=project / "none.csv"))[0], loaded)
