"""Prove a scoring folder: a clean environment, the real server, and the predictions of the training process.

What is proven is a copy, taken at the start: nothing that changes in the folder meanwhile gets into the proof. Stages:
the files and their hashes -> the lock -> the environment -> the server -> health, OpenAPI, sample, golden rows through
every form of a request, requests that must be refused -> the proof, into the folder and under `.forestay`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from forestay import project
from forestay.errors import InputError, OutsideError, RunFailed
from scoring import checks, container, environment, mlflow_model, proofs, reference, requests, server, styles
from scoring.folder import ScoringFolder, open_folder, snapshot
from scoring.proofs import Check, Proof
from scoring.schema import MODEL, Golden, ModelSchema, ModelSource, read_golden, read_schema
from scoring.styles import Style

Say = Callable[[str], None]


def verify(
    path: Path,
    *,
    home: Path | None = None,
    say: Say = lambda _: None,
    registered: ModelSource | None = None,
    real: Golden | None = None,
) -> Proof:
    """Prove the scoring folder at `path` and record the result.

    Parameters
    ----------
    home: the `.forestay` folder, for environments and proofs.
    say: told of each stage.
    registered: the model version as the registry has it, to compare the model's hash with; None where there is none.
    real: real rows to replay beside the golden ones of the folder; they are kept nowhere.

    Raises
    ------
    InputError: `path` is not a scoring folder.
    OutsideError: packages can't be fetched, or neither the Python nor a container engine is at hand.
    """
    home = home or project.home()
    started = time.monotonic()
    original = open_folder(path.absolute())
    with snapshot(original, home, say) as folder:
        folder_hash = folder.hash()
        proof = Proof(
            path=str(original.path),
            model=original.model,
            version=original.version,
            folder_hash=folder_hash,
            verified=False,
            checks=(),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            duration_seconds=0.0,
        )
        proof = _prove(folder, proof, home, say, registered, real)
    if open_folder(original.path).hash() != folder_hash:
        changed = Check("unchanged", False, "files in the folder changed while it was being verified; run this again")
        return replace(proof, verified=False, checks=(*proof.checks, changed))
    proof = replace(proof, verified=not proof.failed, duration_seconds=round(time.monotonic() - started, 3))
    proofs.keep(proof, home)
    original.write_proof(proof.as_dict())
    return proof


def _prove(
    folder: ScoringFolder,
    proof: Proof,
    home: Path,
    say: Say,
    registered: ModelSource | None,
    real: Golden | None,
) -> Proof:
    """The checks, in order. A check that fails ends them only where the next can't run without it."""
    say("checking files and hashes")
    done: list[Check] = []
    _take(done, say, _files(folder), _registered(folder, registered))
    try:
        schema, golden = read_schema(folder.path / "model"), read_golden(folder.path)
        style = styles.of(folder.style, schema)
        pins = environment.read_pins(_text(folder, "conda_env.yaml"), "conda_env.yaml")
        lock = _text(folder, "requirements.lock")
    except InputError as error:
        return replace(proof, checks=(*done, Check("readable", False, "; ".join(error.lines()))))
    _take(done, say, _lock(schema, pins, lock))
    if not done[-1].passed:
        return replace(proof, checks=tuple(done))
    work = folder.path.parent / "work"
    work.mkdir()
    log = folder.path.parent / "server.log"
    try:
        made = environment.ensure(lock, pins.python, home, say)
    except environment.NoPython as missing:
        return _prove_in_container(folder, proof, done, schema, style, golden, real, missing, say)
    _take(done, say, _environment(made, lock))
    if not done[-1].passed:
        return replace(proof, checks=tuple(done))
    if golden.pending:
        say("asking the model itself what it predicts")
        inside = folder.path / "model"
        golden, check = reference.answered(schema, golden, str(inside / MODEL), reference.here(made.python, inside))
        _take(done, say, check)
        if not check.passed:
            return replace(proof, checks=tuple(done))
    say("starting the Azure ML inference server")
    running = server.start(made.python, folder.path, server.listen(), log=log, work=work, tag="forestay:verify")
    proof = _serve(folder, running, proof, done, schema, style, golden, real, say)
    if style.name == styles.MLFLOW and proof.startup_seconds is not None:
        more = _ask_mlflow(folder, made.python, log, schema, golden, say)
        proof = replace(proof, checks=(*proof.checks, *more))
    return proof


def _prove_in_container(
    folder: ScoringFolder,
    proof: Proof,
    done: list[Check],
    schema: ModelSchema,
    style: styles.Style,
    golden: Golden,
    real: Golden | None,
    missing: environment.NoPython,
    say: Say,
) -> Proof:
    """The same checks of the folder's image, where its Python is not on this machine.

    Raises OutsideError when there is no container engine either, saying what both ways lack.
    """
    try:
        engine = container.find_engine()
    except OutsideError as error:
        raise OutsideError(
            f"Python {schema.python} is neither on this machine nor in a container: "
            f"{missing.problems[0].message}; {error.problems[0].message}",
            fix=f"install Python {schema.python} (uv python install {schema.python}), or docker, podman or buildah",
        ) from error
    say(f"Python {schema.python} is not on this machine; the proof runs in a container")
    image = container.build(engine, folder.path, proof.folder_hash, say)
    try:
        installed, has_forestay = container.installed_versions(image)
        lock = _text(folder, "requirements.lock")
        kind = f"in a container of {engine.name}"
        _take(done, say, _installed(installed, has_forestay, lock, kind, "build the image again"))
        if not done[-1].passed:
            return replace(proof, checks=tuple(done))
        if golden.pending:
            say("asking the model itself what it predicts")
            ask = container.asking(image)
            golden, check = reference.answered(schema, golden, container.MODEL_FOLDER + MODEL, ask)
            _take(done, say, check)
            if not check.passed:
                return replace(proof, checks=tuple(done))
        say("starting the image")
        work, log = folder.path.parent / "work", folder.path.parent / "server.log"
        return _serve(folder, container.start(image, log=log, work=work), proof, done, schema, style, golden, real, say)
    finally:
        container.remove(image)


def _serve(
    folder: ScoringFolder,
    running: server.Server,
    proof: Proof,
    done: list[Check],
    schema: ModelSchema,
    style: styles.Style,
    golden: Golden,
    real: Golden | None,
    say: Say,
) -> Proof:
    """Wait for the server, ask it, and stop it."""
    try:
        try:
            server.wait_healthy(running)
        except RunFailed as error:
            problem = error.problems[0]
            return replace(proof, checks=(*done, Check("start", False, f"{problem.message}; {problem.fix}")))
        seconds = running.start_seconds
        _take(done, say, Check("start", True, f"the model loads and predicts; {seconds:.1f} s"))
        proof = replace(proof, startup_seconds=round(seconds, 3))
        return _ask(folder, running, proof, done, schema, style, golden, real, say)
    finally:
        running.stop()


def _ask_mlflow(
    folder: ScoringFolder, python: Path, log: Path, schema: ModelSchema, golden: Golden, say: Say
) -> list[Check]:
    """MLflow's own server answers as well: what works with a no-code deployment works with `mlflow models serve`."""
    say("starting MLflow's own scoring server")
    running = server.start_mlflow(
        python, folder.path / "model", server.listen(), log=log, work=folder.path.parent / "work"
    )
    try:
        try:
            server.wait_healthy(running)
        except RunFailed as error:
            problem = error.problems[0]
            return [Check("mlflow_start", False, f"{problem.message}; {problem.fix}")]
        url = running.url
        found = [checks.ping(url), *(checks.golden(url, form, golden) for form in requests.MLFLOW)]
        return [*found, checks.mlflow_refusals(url, schema)]
    finally:
        running.stop()


def _ask(
    folder: ScoringFolder,
    running: server.Server,
    proof: Proof,
    done: list[Check],
    schema: ModelSchema,
    style: Style,
    golden: Golden,
    real: Golden | None,
    say: Say,
) -> Proof:
    url = running.url
    _take(done, say, checks.health(url), checks.openapi(url, schema, style, folder.path))
    for path in sorted(folder.path.glob(requests.SAMPLES)):
        _take(done, say, checks.sample_request(url, path, style))
    _take(done, say, checks.readme_curl(url, folder.path, style))
    say(f"replaying {len(golden.rows)} golden rows through {len(style.forms)} form(s) of a request")
    golden = styles.golden(style, golden)
    for form in style.forms:
        _take(done, say, checks.golden(url, form, golden))
    if real is not None:
        say(f"replaying {len(real.rows)} real rows")
        real = styles.golden(style, real)
        for form in style.forms:
            _take(done, say, checks.golden(url, form, real, real=True))
    say("sending requests that must be refused")
    _take(done, say, checks.bad_requests(url, styles.bad_requests(style, schema)))
    p50, p99 = checks.latency(url, style.forms[0], golden)
    if isinstance(running, container.ContainerServer):
        memory = container.memory_mb(running)
    else:
        memory = _memory(running.process.pid)
    return replace(proof, checks=tuple(done), p50_ms=round(p50, 2), p99_ms=round(p99, 2), memory_mb=memory)


def _take(done: list[Check], say: Say, *found: Check) -> None:
    """Keep checks, and tell of each."""
    for check in found:
        done.append(check)
        say(f"{check.name}: passed" if check.passed else f"{check.name}: FAILED, {check.detail}")


def _files(folder: ScoringFolder) -> Check:
    changes = folder.changes()
    if changes:
        return Check("files", False, "; ".join(changes) + "; generate the folder again: forestay score generate")
    return Check("files", True, f"{len(folder.files)} files are as they were generated")


def _registered(folder: ScoringFolder, registered: ModelSource | None) -> Check:
    """The model in the folder is the one that the registry has under this name and version."""
    name = "registered_model"
    if registered is None:
        return Check(name, True, f"{folder.model} {folder.version} is not in this registry: nothing to compare with")
    try:
        recorded = read_schema(registered.path).files
    except InputError as error:
        return Check(name, False, "; ".join(error.lines()))
    for file, expected in recorded.items():
        inside = folder.path / "model"
        path = inside / (mlflow_model.place(file) if folder.style == styles.MLFLOW else file)
        if not path.is_file() or project.sha256(path) != expected:
            detail = f"model/{file} is not the one registered as {folder.model} {folder.version}"
            return Check(name, False, f"{detail}; generate the folder again: forestay score generate")
    return Check(name, True, f"the model is {folder.model} {folder.version} of the registry")


def _lock(schema: ModelSchema, pins: environment.Pins, lock: str) -> Check:
    """The lock meets conda_env.yaml, and conda_env.yaml names what trained the model."""
    trained = environment.Pins(schema.python, tuple(f"{name}=={version}" for name, version in schema.packages.items()))
    unmet = environment.unmet_pins(pins, lock)
    pinned = pins.versions()
    unmet += [
        f"{name}: the model was trained with {version}, conda_env.yaml has {pinned.get(name, 'nothing')}"
        for name, version in trained.versions().items()
        if pinned.get(name) != version
    ]
    if pins.python != trained.python:
        unmet.append(f"the model was trained with Python {trained.python}, conda_env.yaml has {pins.python}")
    if unmet:
        return Check("lock", False, "; ".join(unmet) + "; generate the folder again: forestay score generate")
    return Check("lock", True, f"requirements.lock meets all {len(pinned)} pins of conda_env.yaml")


def _environment(made: environment.Environment, lock: str) -> Check:
    """The environment has what the lock names, nothing in another version, and no forestay."""
    installed, has_forestay = environment.installed_versions(made)
    kind = "built now" if made.built else "kept from an earlier proof"
    return _installed(installed, has_forestay, lock, kind, f"remove {made.python.parent.parent} and run this again")


def _installed(installed: dict[str, str], has_forestay: bool, lock: str, kind: str, fix: str) -> Check:
    wanted = environment.locked_versions(lock)
    if installed != wanted or has_forestay:
        differing = sorted(name for name in installed.keys() | wanted.keys() if installed.get(name) != wanted.get(name))
        names = ", ".join(differing) or "forestay can be imported"
        return Check("environment", False, f"it is not what requirements.lock names: {names}; {fix}")
    return Check("environment", True, f"{len(wanted)} packages as locked, without forestay; {kind}")


def _memory(pid: int) -> float:
    """The resident memory of the server's processes, in MB."""
    main = psutil.Process(pid)
    return round(sum(one.memory_info().rss for one in [main, *main.children(recursive=True)]) / 1e6, 1)


def _text(folder: ScoringFolder, name: str) -> str:
    try:
        return (folder.path / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot read", where=name, fix="generate the folder again: forestay score generate") from error
