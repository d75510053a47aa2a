"""The gate of the loop: what is trained now is deployed only where it is better than what the endpoint serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.evaluate import Comparison
    from automl_jobs.spec import LoadedJob
    from forestay.ship import Shipment
    from scoring.targets import DeploymentRecord


@dataclass
class Gate:
    """How a challenger passes.

    Attributes
    ----------
    metric: the one that counts; None for the job's. threshold: by how much it must be better.
    data: rows with the target; None for the test data of the jobs.
    champion: what the endpoint serves; None where it serves nothing. comparison: what came of it.
    """

    metric: str | None = None
    threshold: float = 0.0
    data: Path | None = None
    champion: DeploymentRecord | None = None
    comparison: Comparison | None = None

    @property
    def kept(self) -> bool:
        """Whether what is served stays."""
        return self.comparison is not None and not self.comparison.better

    def words(self) -> list[str]:
        """The options on a command line."""
        found = ["--if-better"]
        found += ["--metric", self.metric] if self.metric else []
        found += [f"--threshold={self.threshold:g}"] if self.threshold else []
        return found + (["--test-data", str(self.data)] if self.data else [])


def check(shipment: Shipment, loaded: LoadedJob | None) -> None:
    """What would fail only after the training. `loaded` is the job file of one that is still to be trained."""
    from scoring.schema import read_schema

    gate = shipment.gate
    if gate is None:
        return
    if gate.data is not None and not gate.data.exists():
        raise InputError("there is nothing here", where=f"--test-data {gate.data}", fix="check the path")
    gate.champion = _served(shipment)
    if gate.champion is None or loaded is None:
        return
    spec = loaded.spec
    served = read_schema(shipment.place().assets(shipment.endpoint) / "model")
    for what, one, other in (("task", served.task, spec.task), ("target", served.target, spec.target_column_name)):
        if one != other:
            raise InputError(
                f"{shipment.endpoint} serves a model with the {what} {one!r}, the job's is {other!r}: they can't be "
                "compared",
                where=loaded.where("task" if what == "task" else "target_column_name"),
                fix="leave --if-better out, or name another endpoint",
            )
    if gate.data is None and spec.test_data is None and not spec.test_data_size:
        raise InputError(
            "the job has no test data to compare its model with what is served",
            where=loaded.where("test_data"),
            fix="give it some (test_data, or test_data_size), or rows for this alone: --test-data DATA",
        )


def compare(shipment: Shipment) -> str:
    """Hold the new version against what the endpoint serves at this moment, not when the training began."""
    from automl_jobs.evaluate import compare as hold
    from automl_jobs.evaluate import open_model, open_served
    from automl_jobs.runs import RunStore

    gate, version = shipment.gate, shipment.version
    assert gate is not None
    assert version is not None
    gate.champion = _served(shipment)
    if gate.champion is None:
        return f"{shipment.endpoint} serves nothing yet: there is no champion"
    # The folder that is deployed says what is served; numbers of versions are those of the machine that deployed it.
    folder = shipment.place().assets(shipment.endpoint)
    store = RunStore.open(create=False)
    champion = open_served(store, folder, shipment.say)
    challenger = open_model(store, f"{version.name}:{version.version}", shipment.say)
    if challenger.same_as(champion):
        return f"{shipment.endpoint} serves this very model already"
    gate.comparison = hold(challenger, champion, gate.data, metric=gate.metric, threshold=gate.threshold)
    for note in gate.comparison.notes:
        shipment.say(f"warning: {note}")
    one, other = gate.comparison.scores
    return f"{gate.comparison.verdict}: {gate.comparison.metric} {one:.5f} to {other:.5f}"


def _served(shipment: Shipment) -> DeploymentRecord | None:
    target = shipment.place()
    if shipment.endpoint not in target.names():
        return None
    record = target.status(shipment.endpoint)
    return record if record.model else None
