"""Other trainers' conda files, advisories of what a lock pins, and environments that nothing uses."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from forestay.cli import main
from forestay.errors import InputError, OutsideError, RunFailed
from scoring import advisories, conda, container, environment, imports, proofs, styles
from scoring.generate import generate
from scoring.images.builders import Builder
from scoring.prune import prune
from scoring.schema import read_golden, read_schema
from scoring.verify import verify
from tests import scoring_models
from tests.scoring_models import Model

# As Azure's AutoML writes them: pins in both sections, a build string, channels, an index with a password.
AZURE = """\
name: project_environment
channels: [anaconda, conda-forge, pytorch]
dependencies:
  - python=3.10.14
  - numpy=1.23.5
  - conda-forge::pandas==1.5.3
  - scikit-learn=1.5.1=py310h981052a_0
  - py-xgboost=1.5.2
  - pytorch=2.2=cpu
  - psycopg2 2.9.9 py310
  - openssl=1.1.1s
  - pip=22.3.1
  - pip:
      - --extra-index-url https://user:hunter2@packages.example.org/simple
      - azureml-train-automl-runtime==1.57.0
      - azureml-defaults[extra]==1.57.0.post1
      - inference-schema
      - Lightgbm == 3.2.1
"""


# ---- conda files ----


def test_an_azure_file_is_pinned_under_pypi_names() -> None:
    found = conda.read(AZURE, "conda_env_v_1_0_0.yml")
    assert found.python == "3.10.14"
    assert found.packages == {
        "numpy": "1.23.5",
        "pandas": "1.5.3",
        "scikit-learn": "1.5.1",
        "xgboost": "1.5.2",
        "torch": "2.2",
        "psycopg2-binary": "2.9.9",
        "azureml-train-automl-runtime": "1.57.0",
        "azureml-defaults[extra]": "1.57.0.post1",
        "lightgbm": "3.2.1",
    }
    assert found.system == ("openssl", "pip")
    assert found.indexes == ("https://packages.example.org/simple",)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("numpy>=1.16,<1.19", "'numpy>=1.16,<1.19' is no single version"),
        ("numpy~=1.22.3", "is no single version"),
        ("numpy=1.23", "'numpy=1.23' is no single version"),
        ("numpy", "'numpy' is no single version"),
        ("numpy=1.*", "is no single version"),
        ("nvidia-magic=1.2.3", "no name on PyPI is known for 'nvidia-magic=1.2.3'"),
        ({"pip": ["pandas>=1"]}, "'pandas>=1' is no single version"),
        ({"pip": ["pandas==1.5.*"]}, "is no single version"),
        ({"pip": ["-r https://u:secret@example.org/all.txt"]}, "known for '-r https://example.org/all.txt'"),
        ({"pip": ["en_core @ https://u:secret@example.org/x.tar.gz"]}, "no name on PyPI is known"),
        ({"pip": ["pandas==1 ; python_version<'3.9'"]}, "no name on PyPI is known"),
        ({"pip": ["numpy==2.0.0"]}, "and 1.23.5 before it"),
    ],
)
def test_what_is_not_exact_is_named_and_refused(entry: Any, says: str) -> None:
    dependencies = ["python=3.10.14", entry] if isinstance(entry, str) else ["python=3.10.14", "numpy=1.23.5", entry]
    with pytest.raises(OutsideError, match="can't be made exact") as caught:
        conda.read(yaml.safe_dump({"dependencies": dependencies}), "c.yml")
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("python", ["python=3.10", "python>=3.10,<3.11", "numpy==1.23.5"])
def test_python_must_be_exact(python: str) -> None:
    with pytest.raises(OutsideError, match="python"):
        conda.read(yaml.safe_dump({"dependencies": [python]}), "c.yml")


@pytest.mark.parametrize("text", ["", "[", "dependencies: 3", "dependencies: [[1]]", "dependencies: [{pip: 3}]"])
def test_what_is_no_conda_file_is_said(text: str) -> None:
    with pytest.raises(InputError):
        conda.read(text, "c.yml")


@settings(max_examples=50)
@given(st.lists(st.text(max_size=30) | st.fixed_dictionaries({"pip": st.lists(st.text(max_size=30))}), max_size=5))
def test_any_file_is_read_or_refused_in_words(entries: list[Any]) -> None:
    try:
        found = conda.read(yaml.safe_dump({"dependencies": entries}), "c.yml")
    except (InputError, OutsideError):
        return
    assert found.python.startswith("3.")


@given(st.sampled_from(["numpy", "pandas", "scipy"]), st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}", fullmatch=True))
def test_an_exact_pin_keeps_its_version_in_every_spelling(name: str, version: str) -> None:
    for line in (f"{name}=={version}", f"{name}={version}=py310_0", f"x::{name} {version} py310_0"):
        text = yaml.safe_dump({"dependencies": ["python=3.10.14", line]})
        assert conda.read(text, "c.yml").packages == {name: version}


def test_no_conda_package_is_mapped_twice() -> None:
    table = json.loads(conda.NAMES.read_text())
    names = [name.lower() for name in [*table["same"], *table["renamed"], *table["system"]]]
    assert len(names) == len(set(names))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return scoring_models.bank(tmp_path_factory.mktemp("bank"))


def keep_azure_lock(home: Path, source: Model, tmp_path: Path) -> None:
    found = conda.read(AZURE, "")
    schema = read_schema(source.path).model_copy(update={"python": found.python, "packages": found.packages})
    schema = styles.needs(styles.of(styles.AZUREML, schema), schema)
    path = environment.lock_path(environment.read_pins(environment.conda_env(schema), ""), home)
    path.parent.mkdir(parents=True)
    path.write_text("numpy==1.23.5 \\\n    --hash=sha256:00\n")


def test_a_folder_pins_what_the_conda_file_says(bank: Model, tmp_path: Path) -> None:
    file = tmp_path / "conda_env_v_1_0_0.yml"
    file.write_text(AZURE)
    keep_azure_lock(tmp_path, bank, tmp_path)
    said: list[str] = []
    made = generate(bank, tmp_path / "folder", home=tmp_path, say=said.append, conda_file=file)
    pins = environment.read_pins((made.path / "conda_env.yaml").read_text(), "")
    assert pins.python == "3.10.14"
    assert pins.versions()["scikit-learn"] == "1.5.1"
    assert pins.versions()["inference-schema"] == "1.8"
    assert pins.versions()["msgspec"] == importlib.metadata.version("msgspec")
    assert read_schema(made.path / "model").python == "3.10.14"
    assert any("openssl" in line for line in said)
    assert any("packages.example.org" in line and "hunter2" not in line for line in said)
    for file in made.path.rglob("*.*"):
        assert "hunter2" not in file.read_text(errors="replace")


# ---- advisories ----

LOCK = "requests==2.30.0 \\\n    --hash=sha256:00\nflask==3.1.3 \\\n    --hash=sha256:00\n"


def osv(name: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    package = {"name": name, "ecosystem": "PyPI"}
    affected = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}
    return {"id": "PYSEC-1", "aliases": ["CVE-1"], "affected": [affected], **more}


@pytest.mark.parametrize(
    ("entry", "fixed"),
    [
        (osv("Requests", {"introduced": "0"}, {"fixed": "2.31.0"}), ("2.31.0",)),
        (osv("requests", {"introduced": "0"}, {"fixed": "2.30.0"}), None),
        (osv("requests", {"introduced": "2.30.1"}), None),
        (osv("requests", {"introduced": "2"}, {"last_affected": "2.30.0"}), ()),
        (osv("requests", {"introduced": "2"}, {"last_affected": "2.29"}), None),
        (osv("requests", {"fixed": "2.31"}, {"introduced": "2.3"}, {"introduced": "1"}, {"fixed": "2"}), ("2.31",)),
        (osv("requests", {"introduced": "0"}, withdrawn="2024-01-01T00:00:00Z"), None),
        (osv("other", {"introduced": "0"}), None),
        (osv("requests", {"introduced": "not a version"}), None),
    ],
)
def test_which_pins_fall_under_an_advisory(
    tmp_path: Path, entry: dict[str, Any], fixed: tuple[str, ...] | None
) -> None:
    path = tmp_path / "osv.json"
    for document in (entry, [entry], {"vulns": [entry]}):
        path.write_text(json.dumps(document))
        found = advisories.from_file(path, LOCK).advisories
        assert [(one.package, one.version, one.fixed) for one in found] == (
            [] if fixed is None else [("requests", "2.30.0", fixed)]
        )


def test_versions_named_one_by_one_and_other_ecosystems(tmp_path: Path) -> None:
    named = {"id": "A", "affected": [{"package": {"name": "flask", "ecosystem": "PyPI"}, "versions": ["3.1.3.0"]}]}
    npm = {"id": "B", "affected": [{"package": {"name": "flask", "ecosystem": "npm"}, "versions": ["3.1.3"]}]}
    (tmp_path / "osv.json").write_text(json.dumps([named, npm]))
    assert [one.id for one in advisories.from_file(tmp_path / "osv.json", LOCK).advisories] == ["A"]


@pytest.mark.parametrize("text", ["", "3", '[{"id": 3}]', '{"id": "A", "affected": [{"ranges": [{}]}]}'])
def test_what_is_no_file_of_advisories_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "osv.json").write_text(text)
    with pytest.raises(InputError, match=r"osv\.json|JSON|advisor"):
        advisories.from_file(tmp_path / "osv.json", LOCK)


def test_no_network_is_one_line_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    audit = advisories.from_network(LOCK)
    assert audit.advisories == ()
    assert audit.note.startswith("advisories were not asked")
    assert "\n" not in audit.note


# ---- pruning ----


def make_environment(home: Path, lock: str, python: str, used: float) -> Path:
    folder = environment.folder_of(lock, python, home)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("x" * 1000)
    os.utime(folder, (used, used))
    return folder


def test_prune_keeps_what_is_used_and_the_last_ones(
    tmp_path: Path, bank: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scoring_models.keep_lock(bank.path, tmp_path)
    proven = generate(bank, tmp_path / "proven", home=tmp_path)
    lock, python = (proven.path / "requirements.lock").read_text(), read_schema(proven.path / "model").python
    used = make_environment(tmp_path, lock, python, 1.0)
    served = tmp_path / "endpoints" / "api" / "deployments" / "one"
    served.mkdir(parents=True)
    (served / "conda_env.yaml").write_text((proven.path / "conda_env.yaml").read_text())
    (served / "requirements.lock").write_text("served==1\n")
    deployed = make_environment(tmp_path, "served==1\n", python, 2.0)
    old, newer, newest = (make_environment(tmp_path, f"spare=={age}\n", python, 10.0 + age) for age in range(3))
    proof = proofs.Proof(str(proven.path), proven.model, proven.version, proven.hash(), True, (), "2024", 1.0)
    proofs.keep(proof, tmp_path)

    done = prune(tmp_path, keep=2)
    assert done.removed == (old.name,)
    assert set(done.kept) == {path.name for path in (used, deployed, newer, newest)}
    assert not old.exists()
    assert done.freed_mb == 0.0

    monkeypatch.setenv("FORESTAY_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["score", "prune", "--keep", "0", "-o", "json"])
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["removed"] == sorted([newer.name, newest.name])
    assert used.is_dir()
    assert deployed.is_dir()


# ---- what serving imports ----


def test_serving_needs_what_it_imports_and_no_more(bank: Model, tmp_path: Path) -> None:
    """Recorded are too many and too few; numpy's and scikit-learn's own needs are found, pandas' options are not."""
    recorded = read_schema(bank.path)
    wrong = {name: recorded.packages[name] for name in ("pandas", "numpy")}
    wrong["optuna"] = importlib.metadata.version("optuna")
    schema = recorded.model_copy(update={"packages": wrong})
    scoring_models.keep_lock(bank.path, tmp_path / "made")
    made = generate(bank, tmp_path / "folder", home=tmp_path / "made").path
    code = {path.name: path.read_text() for path in [*made.glob("*.py"), *made.glob("service*.json")]}
    code["model/model_schema.json"] = (made / "model" / "model_schema.json").read_text()
    model = {path.name: path for path in (made / "model").iterdir() if path.name != "model_schema.json"}
    found = imports.traced(schema, model, code, read_golden(bank.path), tmp_path)
    assert {"joblib", "numpy", "pandas", "scikit-learn", "scipy", "threadpoolctl"} <= found.keys()
    assert not {"optuna", "pyarrow", "forestay", "flask", "lightgbm"} & found.keys()
    assert all(importlib.metadata.version(name) == version for name, version in found.items())
    assert imports.traced(schema, {}, {}, read_golden(bank.path), tmp_path) == found


def test_a_model_that_does_not_load_is_said(bank: Model, tmp_path: Path) -> None:
    schema, golden = read_schema(bank.path), read_golden(bank.path)
    with pytest.raises(RunFailed, match="can't be loaded and asked as it will be served: FileNotFoundError"):
        imports.traced(schema, {}, {"score.py": "import flask\nopen('nothing')"}, golden, tmp_path)


def test_another_environment_than_the_one_that_trained_is_not_traced(bank: Model, tmp_path: Path) -> None:
    schema, golden = read_schema(bank.path), read_golden(bank.path)
    said: list[str] = []
    for changed in ({"python": "3.10.14"}, {"packages": {"numpy": "1.0"}}, {"packages": {"no-such": "1"}}):
        other = schema.model_copy(update=changed)
        assert imports.traced(other, {}, {}, golden, tmp_path, said.append) == other.packages
    assert "3.10.14" in said[0]
    assert "numpy" in said[1]
    assert "no-such" in said[2]


# ---- containers ----


def engine_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Programs of these names, each a shell script, and nothing else of an engine's name on PATH."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_an_engine_must_run_and_not_only_lie_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_on_path(tmp_path / "none", monkeypatch)
    with pytest.raises(OutsideError, match="docker is not installed; podman is not installed; buildah is"):
        container.find_engine()
    engine_on_path(tmp_path / "dead", monkeypatch, docker="echo the daemon is down >&2; exit 1")
    with pytest.raises(OutsideError, match=r"docker does not run \(the daemon is down\); podman is not installed"):
        container.find_engine()
    engine_on_path(tmp_path / "other", monkeypatch, docker="exit 1", podman="exit 0")
    assert container.find_engine() == Builder("podman", str(tmp_path / "other" / "podman"))


def test_without_that_python_and_an_engine_both_are_named(
    bank: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring_models.keep_lock(bank.path, tmp_path)
    folder = generate(bank, tmp_path / "folder", home=tmp_path).path
    monkeypatch.setattr(environment, "_interpreter", lambda _: "3.99.0")
    engine_on_path(tmp_path / "none", monkeypatch)
    with pytest.raises(OutsideError) as caught:
        verify(folder, home=tmp_path)
    told = "\n".join(caught.value.lines())
    assert "No interpreter found for Python 3.99.0" in told
    assert "docker is not installed; podman is not installed" in told
    assert "uv python install" in told


def test_an_image_that_can_t_be_built_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_on_path(tmp_path / "bin", monkeypatch, docker="echo no such base; exit 1")
    with pytest.raises(RunFailed, match="docker can't build the image: no such base"):
        container.build(Builder("docker", str(tmp_path / "bin" / "docker")), tmp_path, "abc", lambda _: None)


@pytest.mark.parametrize(
    ("told", "megabytes"),
    [("12.5MiB / 1GiB", 13.1), ("1.5GiB / 2GiB", 1610.6), ("950kB / 1GB", 1.0), ("-- / --", None)],
)
def test_memory_as_an_engine_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, megabytes: float | None
) -> None:
    engine_on_path(tmp_path / "bin", monkeypatch, docker=f"echo '{told}'")
    image = container.Image(Builder("docker", str(tmp_path / "bin" / "docker")), "t")
    with subprocess.Popen(["/bin/true"]) as process:
        running = container.ContainerServer(process, 1, tmp_path / "log", image=image, name="n")
        assert container.memory_mb(running) == megabytes


def test_buildah_serves_on_loopback_what_the_image_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no network of its own to publish a port of, and does not run an image's command by itself."""
    script = """echo "$@" >> "${0%/*}/asked"
case "$1" in
  from) echo working-container;;
  inspect) [ $# = 2 ] && echo '{"OCIv1": {"config": {"Cmd": ["gunicorn", "--bind", "0.0.0.0:5001", "wsgi:app"]}}}';;
  build) for word; do case "$before" in --iidfile) echo sha256:1 > "$word";; esac; before="$word"; done;;
esac"""
    engine_on_path(tmp_path / "bin", monkeypatch, buildah=script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    image = container.build(Builder("buildah", str(tmp_path / "bin" / "buildah")), tmp_path, "abc", lambda _: None)
    assert image.working == "working-container"
    running = container.start(image, log=tmp_path / "log", work=tmp_path)
    running.process.wait(10)
    assert container.memory_mb(running) is None
    running.stop()
    container.remove(image)
    asked = (tmp_path / "bin" / "asked").read_text().splitlines()
    served = next(line for line in asked if line.startswith("run"))
    assert served == (
        "run --isolation chroot working-container -- env FORESTAY_AUTH=none gunicorn "
        f"--bind 127.0.0.1:{running.port} wsgi:app"
    )
    assert asked[-2:] == ["rm working-container", "rmi --force forestay-verify:abc"]
