"""A model as Azure trains it, of an older Python and older packages: proven with that Python, or in a container."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests import image_support
from tests.azure.conftest import Azure, Cli, as_before
from tests.azure.standin.jobs import Script
from tests.tables import mixed, write_job

pytestmark = [pytest.mark.usefixtures("quick", "registry"), pytest.mark.timeout(900)]
PINS = ("scikit-learn==1.5.1", "joblib==1.2.0", "numpy==1.26.4", "pandas==1.5.3", "scipy==1.11.4")
CONDA = """\
channels:
- anaconda
dependencies:
- python={python}
- pip:
  - {pins[0]}
  - {pins[1]}
- numpy==1.26.4
- pandas==1.5.3
- scipy==1.11.4
name: project_environment
"""
FIT = """\
import sys
import joblib, pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

frame = pd.read_csv(sys.argv[1]).drop(columns="amount")
target = frame.pop("label")
features = make_column_transformer(
    (SimpleImputer(), make_column_selector(dtype_include="number")),
    (OneHotEncoder(handle_unknown="ignore"), ["kind"]),
    (TfidfVectorizer(), "words"),
)
joblib.dump(make_pipeline(features, LogisticRegression(max_iter=300)).fit(frame, target), sys.argv[2])
"""


@pytest.fixture(scope="module")
def older() -> tuple[str, Path]:
    """A Python 3.10 of this machine: its version, and the folder of its program."""
    beside = sorted(Path(sys.base_prefix).parent.glob("3.10.*/bin/python3.10"))
    program = str(beside[-1]) if beside else shutil.which("python3.10")
    if program is None:
        pytest.skip("there is no Python 3.10 on this machine")
    asked = [program, "-I", "-c", "import platform; print(platform.python_version())"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{program} does not run")
    return done.stdout.strip(), Path(program).parent


@pytest.fixture(scope="module")
def model(older: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A pipeline that was fitted and pickled by that Python with those packages."""
    folder = tmp_path_factory.mktemp("older")
    uv, python = find_uv_bin(), folder / "env" / "bin" / "python"
    made = subprocess.run([uv, "venv", "-q", "--python", older[1] / "python3.10", folder / "env"], check=False)
    assert made.returncode == 0
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *PINS], check=True)
    mixed(300, 1).to_csv(folder / "train.csv", index=False)
    (folder / "fit.py").write_text(FIT, encoding="utf-8")
    subprocess.run([python, folder / "fit.py", folder / "train.csv", folder / "model.pkl"], check=True)
    return (folder / "model.pkl").read_bytes()


@pytest.fixture
def folder(
    azure: Azure,
    cli: Cli,
    project: Path,
    older: tuple[str, Path],
    model: bytes,
    share_environments: Callable[[Path], None],
) -> Path:
    """The scoring folder of a trial of Azure's with that model."""
    share_environments(project / ".forestay")
    azure.service.script = Script(trials=1, conda=CONDA.format(python=older[0], pins=PINS), model=model)
    name = cli("job", "submit", write_job(project / "jobs", rows=160), "--set", "compute=azureml:cpu-cluster").json
    cli("job", "watch", name["job"])
    cli("job", "download", name["job"])
    cli("model", "register", name["job"], "--name", "Older", env="")
    cli("score", "generate", "Older", "--to", "scoring", env="")
    return project / "scoring"


def test_with_that_python(
    folder: Path,
    cli: Cli,
    older: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", f"{older[1]}:{os.environ['PATH']}")
    proof = cli("score", "verify", folder, env="").json
    assert proof["verified"] is True, proof
    checks = {check["name"]: check["detail"] for check in proof["checks"]}
    assert "predicted by the bare model" in checks["reference"]
    assert "golden_data" in checks
    assert "golden_input_data" in checks


@pytest.mark.slow
def test_in_a_container(
    folder: Path, cli: Cli, older: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Python is not at hand; buildah builds the folder's own Dockerfile, and what is in the image is asked."""
    from scoring import environment

    as_before(monkeypatch)
    image_support.require_tools()
    image_support.base(older[0], older[1].parent)
    for name, value in image_support.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", image_support.absent(tmp_path / "bin", "docker", "podman"))

    def missing(lock: str, python: str, home: Path, say: Callable[[str], None]) -> environment.Environment:
        raise environment.NoPython(f"No interpreter found for Python {python}")

    monkeypatch.setattr(environment, "ensure", missing)
    done = cli("score", "verify", folder, env="")
    assert done.json["verified"] is True, done
    checks = {check["name"]: check["detail"] for check in done.json["checks"]}
    assert "in a container of buildah" in checks["environment"]
    assert "predicted by the bare model" in checks["reference"]
