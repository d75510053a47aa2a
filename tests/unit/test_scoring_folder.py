"""Scoring folders as files: what is written, what is refused, what a change does to the proof."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from automl_jobs.engine import outputs
from forestay.errors import InputError
from scoring import proofs
from scoring.folder import ScoringFolder, open_folder, snapshot
from scoring.generate import default_folder, generate
from scoring.proofs import Check, Proof
from tests import scoring_models
from tests.scoring_models import Model

FILES = {
    "Dockerfile",
    "README.md",
    "conda_env.yaml",
    "forestay.json",
    "golden.json",
    *(f"model/{module.__name__}.py" for module in outputs.MODULES),
    "model/model.pkl",
    "model/model.skops",
    "model/model_schema.json",
    "openapi.json",
    "requirements.lock",
    "sample_request.json",
    "score.py",
    "scoring_cells.py",
    "scoring_input.py",
    "service.json",
    "wsgi.py",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return scoring_models.bank(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def source(trained: Model, tmp_path: Path) -> Model:
    shutil.copytree(trained.path, tmp_path / "outputs")
    return replace(trained, path=tmp_path / "outputs")


@pytest.fixture
def home(source: Model, tmp_path: Path) -> Path:
    scoring_models.keep_lock(source.path, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def folder(source: Model, home: Path, tmp_path: Path) -> ScoringFolder:
    return generate(source, tmp_path / "scoring", home=home)


def proof_of(folder: ScoringFolder, at: str = "2024-01-31T00:00:00+00:00", verified: bool = True) -> Proof:
    check = Check("files", verified, "")
    return Proof(str(folder.path), folder.model, folder.version, folder.hash(), verified, (check,), at, 1.0)


def test_all_files_are_written_and_hashed(folder: ScoringFolder) -> None:
    found = {path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()}
    assert found == FILES == set(folder.as_dict()["files"])
    assert folder.changes() == []
    assert folder.proof is None


def test_sample_is_made_from_the_schema(folder: ScoringFolder) -> None:
    schema = json.loads((folder.path / "model" / "model_schema.json").read_text())
    [row] = json.loads((folder.path / "sample_request.json").read_text())["data"]
    used = [column for column in schema["columns"] if column["used"]]
    assert list(row) == [column["name"] for column in used]
    assert row["note"] == "example"
    assert row["age"] == round((used[0]["minimum"] + used[0]["maximum"]) / 2)


def test_no_row_of_the_data_is_in_the_folder(folder: ScoringFolder) -> None:
    """Identifiers name rows: none is anywhere but in the golden rows that the engine makes up."""
    texts = [
        path for path in folder.path.rglob("*") if path.is_file() and path.name not in ("golden.json", "model.pkl")
    ]
    assert not [path.name for path in texts if b"c0001" in path.read_bytes()]


def test_openapi_describes_every_column(folder: ScoringFolder) -> None:
    document = json.loads((folder.path / "openapi.json").read_text())
    row = document["components"]["schemas"]["Row"]
    assert set(row["required"]) == {"age", "balance", "job", "note", "opened", "active"}
    assert row["properties"]["age"]["type"] == ["integer", "null"]
    assert row["properties"]["opened"]["type"] == ["string", "null"]
    assert set(row["properties"]) - set(row["required"]) == {"id"}


def test_generating_again_keeps_the_proof(folder: ScoringFolder, source: Model, home: Path) -> None:
    folder.write_proof(proof_of(folder).as_dict())
    again = generate(source, folder.path, home=home)
    assert again.proof is not None
    assert again.hash() == folder.hash()


def test_the_model_card_goes_along_and_is_proven_with_the_rest(source: Model, home: Path, tmp_path: Path) -> None:
    source = replace(source, card="# Model card: Bank:1\n")
    folder = generate(source, tmp_path / "scoring", home=home)
    assert (folder.path / "MODEL_CARD.md").read_text(encoding="utf-8") == source.card
    assert set(folder.as_dict()["files"]) == FILES | {"MODEL_CARD.md"}
    proofs.keep(proof_of(folder), home)
    folder.write_proof(proof_of(folder).as_dict())
    assert proofs.require(home, folder.path)[1] == folder.hash()
    assert generate(source, folder.path, home=home).proof is not None
    assert generate(replace(source, card="# Another\n"), folder.path, home=home).proof is None
    with pytest.raises(InputError, match="not proven as it is now"):
        proofs.require(home, folder.path)


def test_what_is_known_of_a_deleted_version_is_forgotten(source: Model, home: Path) -> None:
    folder = generate(source, default_folder(home, source.name, source.version), home=home)
    proofs.keep(proof_of(folder), home)
    assert len(proofs.forget(home, source.name, source.version)) == 2
    assert not folder.path.exists()
    assert proofs.last_proven(home, source.name, source.version) is None
    assert proofs.forget(home, source.name, source.version) == []


def test_generating_another_version_voids_the_proof(folder: ScoringFolder, source: Model, home: Path) -> None:
    folder.write_proof(proof_of(folder).as_dict())
    assert generate(replace(source, version="2"), folder.path, home=home).proof is None


@pytest.mark.parametrize("content", ["notes.txt", "forestay.json"])
def test_a_folder_of_others_is_refused_and_left_alone(source: Model, home: Path, tmp_path: Path, content: str) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / content).write_text("{}")
    with pytest.raises(InputError, match="not empty and was not written by forestay"):
        generate(source, target, home=home)
    assert [path.name for path in target.iterdir()] == [content]


def test_a_file_in_the_way_is_refused(source: Model, home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        generate(source, tmp_path / "file", home=home)


@pytest.mark.parametrize("file", ["model.pkl", "forestay_transformers.py"])
def test_a_model_that_is_not_the_recorded_one_is_refused(source: Model, home: Path, tmp_path: Path, file: str) -> None:
    with (source.path / file).open("ab") as stream:
        stream.write(b"#")
    with pytest.raises(InputError, match="not the one that training recorded"):
        generate(source, tmp_path / "scoring", home=home)
    (source.path / file).unlink()
    with pytest.raises(InputError, match="missing"):
        generate(source, tmp_path / "scoring", home=home)
    assert not (tmp_path / "scoring").exists()


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("model_schema.json", "{", "JSON"),
        ("model_schema.json", "{}", "Field required"),
        ("golden.json", '{"rows": [{}], "predictions": []}', "equally many"),
        ("golden.json", '{"rows": [], "predictions": []}', "at least one"),
    ],
)
def test_unreadable_documents_are_named(
    source: Model, home: Path, tmp_path: Path, file: str, text: str, says: str
) -> None:
    (source.path / file).write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        generate(source, tmp_path / "scoring", home=home)
    assert caught.value.problems[0].where.endswith(file)


def test_any_change_changes_the_hash(folder: ScoringFolder) -> None:
    hashes = {folder.hash()}
    for name in sorted(FILES - {"forestay.json"}):
        with (folder.path / name).open("ab") as stream:
            stream.write(b" ")
        hashes.add(folder.hash())
    (folder.path / "model" / "extra.py").write_text("")
    hashes.add(folder.hash())
    (folder.path / "link").symlink_to("/tmp")
    hashes.add(folder.hash())
    assert len(hashes) == len(FILES) + 2
    changes = folder.changes()
    assert "model/extra.py: was not generated" in changes
    (folder.path / "score.py").unlink()
    assert "score.py: is missing" in folder.changes()


def test_bytecode_and_the_proof_are_not_part_of_the_hash(folder: ScoringFolder) -> None:
    before = folder.hash()
    (folder.path / "model" / "__pycache__").mkdir()
    (folder.path / "model" / "__pycache__" / "x.pyc").write_bytes(b"x")
    folder.write_proof({"verified": True})
    assert open_folder(folder.path).hash() == before
    assert open_folder(folder.path).changes() == []


def test_a_copy_leaves_bytecode_behind_and_goes_when_done(folder: ScoringFolder, home: Path) -> None:
    (folder.path / "__pycache__").mkdir()
    (folder.path / "__pycache__" / "score.pyc").write_bytes(b"planted")
    left = home / "copies" / "4194304-killed"
    left.mkdir(parents=True)
    said: list[str] = []
    with snapshot(folder, home, said.append) as copy:
        assert copy.hash() == folder.hash()
        assert not (copy.path / "__pycache__").exists()
    assert said == ["removing what an interrupted command left"]
    assert list((home / "copies").iterdir()) == []


@pytest.mark.parametrize(
    "record",
    ["", "[]", '{"generator": "forestay"}', '{"generator": "else"}', None, '{"generator": "forestay", "files": []}'],
)
def test_what_is_no_scoring_folder_is_refused(folder: ScoringFolder, record: str | None) -> None:
    (folder.path / "forestay.json").unlink()
    if record is not None:
        (folder.path / "forestay.json").write_text(record)
    with pytest.raises(InputError, match="not a scoring folder"):
        open_folder(folder.path)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "forestay.json"])
def test_a_record_names_files_of_its_folder_only(folder: ScoringFolder, name: str) -> None:
    document = json.loads((folder.path / "forestay.json").read_text())
    document["files"][name] = "0" * 64
    (folder.path / "forestay.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="files must name files of this folder"):
        open_folder(folder.path)


def test_default_folders_differ(home: Path) -> None:
    names = ["A B", "A-B", "A/B", "../A", "Ä"]
    folders = {default_folder(home, name, "1") for name in names}
    assert len(folders) == len(names)
    assert {folder.parent for folder in folders} == {home / "scoring"}


# ---- proofs ----


def test_a_proof_holds_for_just_this_content(folder: ScoringFolder, home: Path) -> None:
    with pytest.raises(InputError, match="not proven") as caught:
        proofs.require(home, folder.path)
    assert "forestay score verify" in caught.value.problems[0].fix
    proofs.keep(proof_of(folder), home)
    assert proofs.require(home, folder.path) == (folder, folder.hash())
    (folder.path / "score.py").write_text("changed")
    with pytest.raises(InputError, match=r"not proven as it is now \(score.py: sha256"):
        proofs.require(home, folder.path)


def test_a_failed_proof_is_none(folder: ScoringFolder, home: Path) -> None:
    proofs.keep(proof_of(folder, verified=False), home)
    with pytest.raises(InputError, match="not proven"):
        proofs.require(home, folder.path)
    with pytest.raises(InputError, match="Bank 1 is not proven"):
        proofs.require_last(home, "Bank", "1")


def test_the_folder_proven_last_is_taken(folder: ScoringFolder, source: Model, home: Path, tmp_path: Path) -> None:
    scoring_models.change_weight(source.path)
    scoring_models.rehash(source.path)
    scoring_models.keep_lock(source.path, home)
    newer = generate(source, tmp_path / "newer", home=home)
    proofs.keep(proof_of(newer, at="2024-02-02T00:00:00+00:00"), home)
    proofs.keep(proof_of(folder, at="2024-02-01T00:00:00+00:00"), home)
    assert proofs.require_last(home, "Bank", "1") == newer.path
    shutil.rmtree(newer.path)
    assert proofs.require_last(home, "Bank", "1") == folder.path
