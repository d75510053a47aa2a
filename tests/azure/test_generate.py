"""A model that Azure trained: its scoring folder from its own conda file, and the proof, or what is missing for one."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path

import pytest

from scoring.reference import answered, here
from scoring.schema import read_golden, read_schema
from tests.azure.conftest import Azure, Cli
from tests.azure.standin.jobs import Script
from tests.tables import write_job

pytestmark = pytest.mark.usefixtures("quick")
PINNED = ("joblib", "numpy", "pandas", "scikit-learn", "scipy")


def conda(python: str, *more: str) -> str:
    """A conda file with the versions that are here."""
    lines = "".join(f"  - {name}=={importlib.metadata.version(name)}\n" for name in (*PINNED, *more))
    return f"dependencies:\n- python={python}\n- pip:\n{lines}name: project_environment\n"


def _registered(azure: Azure, cli: Cli, project: Path, python: str) -> Path:
    azure.service.script = Script(trials=1, conda=conda(python))
    job = write_job(project / "jobs", rows=160)
    name = cli("job", "submit", job, "--set", "compute=azureml:cpu-cluster", "--stream").json["job"]
    cli("job", "download", name)
    return Path(cli("model", "register", name, "--name", "Azures", env="").json["path"])


def test_the_model_itself_says_what_it_predicts(azure: Azure, cli: Cli, project: Path) -> None:
    """In the environment of this Python, which has the packages of the conda file."""
    import sys

    outputs = _registered(azure, cli, project, platform.python_version())
    schema, golden = read_schema(outputs), read_golden(outputs)
    assert golden.pending
    assert golden.predictions == ()
    found, check = answered(schema, golden, str(outputs / "model.pkl"), here(Path(sys.executable), outputs))
    assert check.passed, check.detail
    assert len(found.predictions) == len(golden.rows) == len(found.probabilities or ())
    assert set(found.predictions) <= {"high", "middle", "low"}
    # A deploy's smoke test finds them in the record of the folder, beside its proof.
    (outputs / "forestay.json").write_text(json.dumps({"proof": {"answers": found.answers}}), encoding="utf-8")
    assert read_golden(outputs) == found
    assert read_golden(outputs, proven=False) == golden
    (outputs / "model.pkl").write_bytes(b"no model")
    _, check = answered(schema, golden, str(outputs / "model.pkl"), here(Path(sys.executable), outputs))
    assert not check.passed


def test_a_python_that_is_not_at_hand_is_no_false_pass(
    azure: Azure, cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scoring import environment

    _registered(azure, cli, project, "3.10.99")
    monkeypatch.setattr(environment, "lock", lambda pins, home, say: lock_of_pins(pins))
    done = cli("score", "generate", "Azures", "--to", "scoring", env="").json
    folder = project / "scoring"
    assert {"score.py", "conda_env.yaml", "golden.json"} <= set(done["files"])
    pinned = (folder / "conda_env.yaml").read_text(encoding="utf-8")
    assert "python=3.10.99" in pinned
    assert f"scikit-learn=={importlib.metadata.version('scikit-learn')}" in pinned
    assert json.loads((folder / "golden.json").read_text(encoding="utf-8"))["pending"] is True
    monkeypatch.setenv("PATH", "/nonexistent")  # no container engine either
    refused = cli("score", "verify", folder, code=3, env="")
    assert "Python 3.10.99 is neither on this machine nor in a container" in refused.err


def lock_of_pins(pins: object) -> str:
    """A lock of the pins alone, so that nothing is asked of a registry."""
    from scoring.environment import Pins

    assert isinstance(pins, Pins)
    return "".join(f"{name}=={version} \\\n    --hash=sha256:{'0' * 64}\n" for name, version in pins.versions().items())
