"""Write a scoring folder for a model version."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import templates
from forestay import __version__, project
from forestay.errors import InputError
from scoring import conda, environment, imports, openapi_styles, requests, safe, styles
from scoring.folder import RECORD, ScoringFolder, is_ours, open_folder, present_files
from scoring.safe import Converted
from scoring.schema import GOLDEN, MODEL, SCHEMA, Golden, ModelSchema, ModelSource, read_golden, read_schema
from scoring.serving_packages import gunicorn_options
from scoring.styles import Style, json_text

CONDA = "conda_env_v_1_0_0.yml"  # what a trial of another trainer's was trained with
CARD = "MODEL_CARD.md"
SERVICE = "service.json"  # what score.py tells of itself in a header


def default_folder(home: Path, model: str, version: str, style: str = styles.AZUREML) -> Path:
    """Where a scoring folder lies when nobody says otherwise; one for each style."""
    suffix = "" if style == styles.AZUREML else f"-{style}"
    return home / "scoring" / f"{safe_name(model)}-{version}{suffix}"


def safe_name(model: str) -> str:
    """A model's name as part of a file name: letters, digits, dot, hyphen, underscore; two models never share one."""
    clean = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "-" for sign in model).lstrip(".")
    return clean if clean == model else f"{clean}-{hashlib.sha256(model.encode()).hexdigest()[:6]}"


def generate(
    source: ModelSource,
    to: Path,
    *,
    style: str = styles.AZUREML,
    home: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    conda_file: Path | None = None,
) -> ScoringFolder:
    """Write the scoring folder of a model version, whole or not at all.

    Parameters
    ----------
    source: the model version; its outputs folder holds model.pkl, model_schema.json, golden.json.
    to: where to; must not exist, be empty, or be a scoring folder already, which is then replaced. When nothing would
        change, it is left alone and keeps its proof.
    style: which frame to put round the model, one of styles.NAMES.
    home: the `.forestay` folder, where the lock is kept.
    say: told of each stage.
    conda_file: the environment of another trainer, such as Azure's conda_env_v_1_0_0.yml, in place of the recorded one.

    Raises
    ------
    InputError: the model's files are missing or not those recorded, `to` holds something else, or there is no such
        style for such a model.
    OutsideError: the package registry can't be reached and no earlier lock fits, or the conda file can't be made exact.
    """
    home = home or project.home()
    to = to.absolute()
    check_target(to)
    schema = check_model(source.path)
    golden = read_golden(source.path)
    document = json.loads((source.path / SCHEMA).read_bytes())
    if conda_file is None and schema.elsewhere:
        conda_file = source.path / CONDA
    if conda_file is not None:
        schema = _with_conda(schema, conda_file, say)
        document |= {"python": schema.python, "packages": schema.packages}
    frame = styles.of(style, schema)
    converted = _convert(frame, source.path, schema, home, say)
    document = converted.into(document)
    schema = ModelSchema.model_validate_json(json_text(document), strict=True)
    model = {name: source.path / name for name in schema.files}
    if converted.file is not None:
        model[safe.SKOPS_MODEL] = converted.file
    # MLflow serves a no-code model by itself: there is no score.py to trace.
    if conda_file is None and frame.name == styles.AZUREML:
        code = {**_code(source, schema, frame, ""), f"model/{SCHEMA}": json_text(document)}
        document["packages"] = imports.traced(schema, model, code, golden, home, say)
        schema = schema.model_copy(update={"packages": document["packages"]})
    conda_env = environment.conda_env(styles.needs(frame, schema))
    pins = environment.read_pins(conda_env, "conda_env.yaml")
    lock = environment.lock(pins, home, say)
    say("writing the scoring folder")
    texts = {
        **_texts(source, schema, golden, frame, conda_env, lock),
        "conda_env.yaml": conda_env,
        "requirements.lock": lock,
    }
    with project.new_folder(to) as scratch:
        (scratch / "model").mkdir()
        for name in schema.files:
            kept = scratch / styles.place(frame, name)
            kept.parent.mkdir(exist_ok=True)
            shutil.copyfile(model[name], kept)
        (scratch / "model" / SCHEMA).write_text(json_text(document), encoding="utf-8")
        shutil.copyfile(source.path / GOLDEN, scratch / GOLDEN)
        for name, text in texts.items():
            (scratch / name).parent.mkdir(exist_ok=True)
            (scratch / name).write_text(text, encoding="utf-8")
        files = {name: project.sha256(scratch / name) for name in present_files(scratch)}
        made = ScoringFolder(
            path=scratch,
            model=source.name,
            version=source.version,
            job=source.job,
            trial=source.trial,
            forestay=__version__,
            files=files,
            proof=None,
            pickle_reason=converted.reason,
            style=style,
        )
        proof = _same_proof(to, made)
        project.write_json(scratch / RECORD, {**made.record(), "proof": proof})
    return open_folder(to)


def check_model(outputs: Path) -> ModelSchema:
    """The schema of a trial's outputs folder, after checking that its files are the recorded ones."""
    schema = read_schema(outputs)
    if not schema.used:
        raise InputError("the model uses no column", where=str(outputs / SCHEMA), fix="train again")
    strange = [name for name in schema.files if name in ("", ".", "..", SCHEMA) or Path(name).name != name]
    if strange or MODEL not in schema.files:
        reason = f"{strange[0]!r} is no file's name" if strange else f"{MODEL} is not among them"
        raise InputError(f"files: {reason}", where=str(outputs / SCHEMA), fix="train again")
    for name, recorded in schema.files.items():
        path = outputs / name
        if not path.is_file():
            raise InputError("the file is missing", where=str(path), fix="register the trial again, or train again")
        if project.sha256(path) != recorded:
            raise InputError(
                "the file is not the one that training recorded in model_schema.json",
                where=str(path),
                fix="register the trial again, or train again",
            )
    return schema


def _with_conda(schema: ModelSchema, path: Path, say: Callable[[str], None]) -> ModelSchema:
    """The schema with Python and packages of a conda file in place of its own."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot read the conda file", where=str(path), fix="give a readable file") from error
    found = conda.read(text, str(path))
    if found.system:
        say(f"of conda's packages these are no Python packages, the image brings them: {', '.join(found.system)}")
    for index in found.indexes:
        say(f"{path} names another package index, {index}: set UV_INDEX for it if a package is not found")
    return schema.model_copy(update={"python": found.python, "packages": found.packages})


def check_target(to: Path) -> None:
    """Refuse a folder that holds something else than a scoring folder."""
    if not to.exists():
        return
    if not to.is_dir():
        raise InputError("is a file, not a folder", where=str(to), fix="choose a new folder with --to")
    if any(to.iterdir()) and not is_ours(to):
        raise InputError(
            "the folder is not empty and was not written by forestay score generate",
            where=str(to),
            fix="choose a new or empty folder with --to",
        )


def _convert(style: Style, outputs: Path, schema: ModelSchema, home: Path, say: Callable[[str], None]) -> Converted:
    """The model with skops, for the style whose score.py loads it so."""
    if style.name != styles.AZUREML:
        return Converted(None, reason=f"the style {style.name} loads the pickle, after comparing its hash")
    if schema.elsewhere:
        return Converted(None, reason="it was trained elsewhere, and is loaded in its own environment only")
    return safe.convert(outputs, schema, home, say)


def _code(source: ModelSource, schema: ModelSchema, style: Style, conda_env: str) -> dict[str, str]:
    """The entry script, and what it reads beside itself."""
    return {
        **styles.texts(style, schema, conda_env),
        **{name: (templates.FOLDER / "scoring" / name).read_text(encoding="utf-8") for name in style.modules},
        SERVICE: json_text({"model": source.name, "version": source.version}),
    }


def _texts(
    source: ModelSource, schema: ModelSchema, golden: Golden, style: Style, conda_env: str, lock: str
) -> dict[str, str]:
    # It says where the proof is, and not what it is: a proof is of the folder's content, this file among it.
    card = {} if source.card is None else {CARD: source.card}
    history = {requests.SAMPLE_HISTORY: json_text(requests.history_request(golden))} if schema.forecasts else {}
    return {
        **_code(source, schema, style, conda_env),
        **card,
        "Dockerfile": templates.render(
            "scoring/Dockerfile.j2",
            python=schema.python,
            packages=schema.packages,
            modules=style.modules,
            gunicorn_options=gunicorn_options(lock),
        ),
        "README.md": templates.render(
            "scoring/README.md.j2",
            model=source.name,
            version=source.version,
            schema=schema,
            style=style,
        ),
        requests.SAMPLE: json_text(styles.sample(style, schema)),
        **history,
        "openapi.json": json_text(openapi_styles.document(schema, source.name, source.version, style)),
    }


def _same_proof(to: Path, made: ScoringFolder) -> dict[str, Any] | None:
    """The proof of the folder at `to`, when what was made now equals it to the byte."""
    if not (to / RECORD).is_file():
        return None
    old = open_folder(to)
    return old.proof if old.hash() == made.hash() else None
