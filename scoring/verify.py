"""Prove a scoring folder: a clean environment, the real server, and the predictions of the training process.

What is proven is a copy, taken at the start: nothing that changes in the folder meanwhile gets into the proof. Stages:
the files and their hashes -> the lock -> the environment -> the server -> health, OpenAPI, sample, golden rows through
every form of a request, requests that must be refused -> the proof, into the folder and under `.forestay`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
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
        say("checking files and hashes")
        proof = _taken(proof, say, (_files(folder), _registered(folder, registered)))
        try:
            case = _read(folder, real, say)
        except InputError as error:
            proof = proof.having(Check("readable", False, "; ".join(error.lines())))
        else:
            proof = _prove(case, proof, home)
    if open_folder(original.path).hash() != folder_hash:
        changed = Check("unchanged", False, "files in the folder changed while it was being verified; run this again")
        return proof.having(changed)
    proof = replace(proof, verified=not proof.failed, duration_seconds=round(time.monotonic() - started, 3))
    proofs.keep(proof, home)
    original.write_proof(proof.as_dict())
    return proof


@dataclass(frozen=True)
class _Case:
    """What is proven: a copy of a scoring folder, what was read from it, and rows to replay.

    Attributes
    ----------
    real: rows that are kept nowhere; None for none. say: told of each stage.
    """

    folder: ScoringFolder
    schema: ModelSchema
    style: Style
    pins: environment.Pins
    lock: str
    golden: Golden
    real: Golden | None
    say: Say

    @property
    def work(self) -> Path:
        """An empty folder beside the copy, for what a server writes."""
        return self.folder.path.parent / "work"

    @property
    def log(self) -> Path:
        return self.folder.path.parent / "server.log"

    @property
    def model(self) -> Path:
        return self.folder.path / "model"


def _read(folder: ScoringFolder, real: Golden | None, say: Say) -> _Case:
    """What there is to prove. Raises InputError for a file that is not what it should be."""
    schema = read_schema(folder.path / "model")
    return _Case(
        folder=folder,
        schema=schema,
        style=styles.of(folder.style, schema),
        pins=environment.read_pins(_text(folder, "conda_env.yaml"), "conda_env.yaml"),
        lock=_text(folder, "requirements.lock"),
        golden=read_golden(folder.path, proven=False),
        real=real,
        say=say,
    )


def _prove(case: _Case, proof: Proof, home: Path) -> Proof:
    """The checks, in order. One that fails ends them only where the next can't run without it."""
    proof = _taken(proof, case.say, [_lock(case.schema, case.pins, case.lock)])
    if not proof.checks[-1].passed:
        return proof
    case.work.mkdir()
    try:
        made = environment.ensure(case.lock, case.pins.python, home, case.say)
    except environment.NoPython as missing:
        return _prove_in_container(case, proof, missing)
    proof = _taken(proof, case.say, [_environment(made, case.lock)])
    if not proof.checks[-1].passed:
        return proof
    case, proof = _with_predictions(case, proof, str(case.model / MODEL), reference.here(made.python, case.model))
    if case.golden.pending:
        return proof
    case.say("starting the Azure ML inference server")
    running = server.start(
        made.python, case.folder.path, server.listen(), log=case.log, work=case.work, tag="forestay:verify"
    )
    proof = _serve(case, running, proof)
    if case.style.name == styles.MLFLOW and proof.startup_seconds is not None:
        proof = _taken(proof, case.say, _ask_mlflow(case, made.python))
    return proof


def _prove_in_container(case: _Case, proof: Proof, missing: environment.NoPython) -> Proof:
    """The same checks of the folder's image, where its Python is not on this machine.

    Raises OutsideError when there is no container engine either, saying what both ways lack.
    """
    python = case.pins.python
    try:
        engine = container.find_engine()
    except OutsideError as error:
        raise OutsideError(
            f"Python {python} is neither on this machine nor in a container: "
            f"{missing.problems[0].message}; {error.problems[0].message}",
            fix=f"install Python {python} (uv python install {python}), or docker, podman or buildah",
        ) from error
    case.say(f"Python {python} is not on this machine; the proof runs in a container")
    image = container.build(engine, case.folder.path, proof.folder_hash, case.say)
    try:
        installed, has_forestay = container.installed_versions(image)
        kind = f"in a container of {engine.name}"
        found = _installed(installed, has_forestay, case.lock, kind, "build the image again")
        proof = _taken(proof, case.say, [found])
        if not proof.checks[-1].passed:
            return proof
        case, proof = _with_predictions(case, proof, container.MODEL_FOLDER + MODEL, container.asking(image))
        if case.golden.pending:
            return proof
        case.say("starting the image")
        return _serve(case, container.start(image, log=case.log, work=case.work), proof)
    finally:
        container.remove(image)


def _with_predictions(case: _Case, proof: Proof, model: str, ask: reference.Ask) -> tuple[_Case, Proof]:
    """The case with golden predictions: where nobody has made them, the model at `model` itself is asked.

    They are still pending where that failed.
    """
    if not case.golden.pending:
        return case, proof
    case.say("asking the model itself what it predicts")
    golden, check = reference.answered(case.schema, case.golden, model, ask)
    proof = replace(proof, answers=None if golden.pending else golden.answers)
    return replace(case, golden=golden), _taken(proof, case.say, [check])


def _serve(case: _Case, running: server.Server, proof: Proof) -> Proof:
    """Wait for the server, ask it, and stop it."""
    try:
        try:
            server.wait_healthy(running)
        except RunFailed as error:
            return _taken(proof, case.say, [_not_started("start", error)])
        seconds = running.start_seconds
        started = Check("start", True, f"the model loads and predicts; {seconds:.1f} s")
        return _ask(case, running, replace(_taken(proof, case.say, [started]), startup_seconds=round(seconds, 3)))
    finally:
        running.stop()


def _ask_mlflow(case: _Case, python: Path) -> list[Check]:
    """MLflow's own server answers as well: what works with a no-code deployment works with `mlflow models serve`."""
    case.say("starting MLflow's own scoring server")
    running = server.start_mlflow(python, case.model, server.listen(), log=case.log, work=case.work)
    try:
        try:
            server.wait_healthy(running)
        except RunFailed as error:
            return [_not_started("mlflow_start", error)]
        url = running.url
        found = [checks.ping(url), *(checks.golden(url, form, case.golden) for form in requests.MLFLOW)]
        return [*found, checks.mlflow_refusals(url, case.schema)]
    finally:
        running.stop()


def _not_started(name: str, error: RunFailed) -> Check:
    problem = error.problems[0]
    return Check(name, False, f"{problem.message}; {problem.fix}")


def _ask(case: _Case, running: server.Server, proof: Proof) -> Proof:
    """All that is asked of a server that runs."""
    proof = _taken(proof, case.say, _answers(case, running.url))
    p50, p99 = checks.latency(running.url, case.style.forms[0], styles.golden(case.style, case.golden))
    if isinstance(running, container.ContainerServer):
        memory = container.memory_mb(running)
    else:
        memory = _memory(running.process.pid)
    return replace(proof, p50_ms=round(p50, 2), p99_ms=round(p99, 2), memory_mb=memory)


def _answers(case: _Case, url: str) -> Iterator[Check]:
    """Whether what a server answers is right, question by question."""
    path, style = case.folder.path, case.style
    yield checks.health(url)
    yield checks.openapi(url, case.schema, style, path)
    for sample in sorted(path.glob(requests.SAMPLES)):
        yield checks.sample_request(url, sample, style)
    yield checks.readme_curl(url, path, style)
    case.say(f"replaying {len(case.golden.rows)} golden rows through {len(style.forms)} form(s) of a request")
    golden = styles.golden(style, case.golden)
    for form in style.forms:
        yield checks.golden(url, form, golden)
    if case.real is not None:
        case.say(f"replaying {len(case.real.rows)} real rows")
        real = styles.golden(style, case.real)
        for form in style.forms:
            yield checks.golden(url, form, real, real=True)
    case.say("sending requests that must be refused")
    yield checks.bad_requests(url, styles.bad_requests(style, case.schema))


def _taken(proof: Proof, say: Say, found: Iterable[Check]) -> Proof:
    """The proof with these checks after those that it has, each told as it comes."""
    for check in found:
        say(f"{check.name}: passed" if check.passed else f"{check.name}: FAILED, {check.detail}")
        proof = proof.having(check)
    return proof


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
