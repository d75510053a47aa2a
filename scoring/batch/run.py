"""Score a file with a proven model: every row that can be scored is, the others are written down with the reason."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forestay import project
from forestay.documents.names import closest
from forestay.errors import InputError, RunFailed
from scoring import environment, proofs, requests, styles
from scoring.batch.pool import Pool, Scored
from scoring.batch.sink import Sink
from scoring.batch.tables import Block, Table, open_table
from scoring.folder import ScoringFolder, snapshot
from scoring.schema import ModelSchema, read_schema

Say = Callable[[str], None]
Progress = Callable[[int, float], None]

PREDICTION, PROBABILITY = "prediction", "probability_"
MOST_WORKERS = 4


@dataclass(frozen=True)
class Done:
    """What score_file() did. `rejects` is the file with the rows that failed; None where none did."""

    model: str
    version: str
    input: str
    output: str
    rows: int
    scored: int
    rejected: int
    rejects: str | None
    duration_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `score batch`."""
        return asdict(self)


@dataclass(frozen=True)
class Work:
    """What is to be scored, looked at before anything is started.

    Attributes
    ----------
    folder: the proven one, and its hash. names, kinds: of the columns that are added.
    settings: for worker.py, but for where the folder lies then.
    """

    folder: ScoringFolder
    folder_hash: str
    table: Table
    rejects: Path
    names: list[str]
    kinds: list[str]
    settings: dict[str, Any]


def look(path: Path, source: Path, output: Path, rejects: Path | None, probabilities: bool, home: Path) -> Work:
    """Parameters and errors as of score_file(); nothing is scored."""
    proven, folder_hash = proofs.require(home, path)
    table = open_table(source)
    rejects = rejects or output.with_name(f"{output.stem}.rejects.csv")
    schema = read_schema(proven.path / "model")
    names, kinds = _columns(schema, styles.of(proven.style, schema), probabilities)
    _check(table, schema, source, output, rejects, names)
    settings = {
        "form": _form(proven, schema),
        "probabilities": [name.removeprefix(PROBABILITY) for name in names[1:]],
        "columns": [{"name": column.name, "type": column.type} for column in schema.used],
    }
    return Work(proven, folder_hash, table, rejects, names, kinds, settings)


def score_file(
    path: Path,
    source: Path,
    output: Path,
    *,
    rejects: Path | None = None,
    probabilities: bool = False,
    workers: int | None = None,
    home: Path | None = None,
    say: Say = lambda _: None,
    progress: Progress = lambda rows, share: None,
) -> Done:
    """Score the rows of `source` with the proven scoring folder at `path` into `output`, whole or not at all.

    The output has the columns of the input and `prediction`; the rows keep their order.

    Parameters
    ----------
    source, output: CSV or Parquet, both the same. rejects: where rows that fail go; by default beside the output.
    probabilities: add a column `probability_CLASS` for each class.
    workers: how many processes; by default as many as there are cores, but not more than MOST_WORKERS.
    progress: told of the rows done, and which share of the file that is.

    Raises
    ------
    InputError: the folder is not proven, the file is not one, lacks a column, or the model can't be scored in blocks.
    RunFailed: not one row could be scored, or a worker ended.
    """
    home = home or project.home()
    started = time.monotonic()
    work_of = look(path, source, output, rejects, probabilities, home)
    proven = work_of.folder
    with snapshot(proven, home, say) as copy, contextlib.ExitStack() as stack:
        made = _environment(copy, home, say)
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {**work_of.settings, "folder": str(copy.path)}
        count = workers or min(os.cpu_count() or 1, MOST_WORKERS)
        pool = stack.enter_context(Pool(made, settings, work, count))
        say(f"loading {proven.model} {proven.version} in {count} process{'es' if count > 1 else ''}")
        pool.wait_ready()
        answers = pool.score((block, block.message) for block in work_of.table.blocks())
        return write(work_of, source, output, answers, progress, started)


def write(
    work: Work,
    source: Path,
    output: Path,
    answers: Iterable[tuple[Block, Scored]],
    progress: Progress,
    started: float,
) -> Done:
    """Write the rows of a file beside the answers to its blocks, and those that fail into the rejects.

    Parameters
    ----------
    answers: to all blocks of the file, in their order. started: when the work began, as time.monotonic() has it.

    Rejects of an earlier run do not stay beside rows that they are not of.

    Raises RunFailed when not one row could be scored; then, and when `answers` raises, nothing is written.
    """
    with whole(output) as written, whole(work.rejects) as failed:
        sink = Sink(work.table, work.table.writer(written, work.names, work.kinds), failed)
        with contextlib.closing(sink):
            for block, scored in answers:
                sink.write(block, scored)
                progress(sink.rows, block.share)
        if sink.rows and not sink.scored:
            raise RunFailed(
                f"not one of {sink.rows} rows could be scored; the first: {sink.first_reason}",
                where=str(source),
                fix="are these the model's columns? forestay score generate writes a README.md that lists them",
            )
        if sink.rejected:
            failed.replace(work.rejects)
        else:
            work.rejects.unlink(missing_ok=True)
        written.replace(output)
    return Done(
        work.folder.model, work.folder.version, str(source), str(output), sink.rows, sink.scored, sink.rejected,
        str(work.rejects) if sink.rejected else None, round(time.monotonic() - started, 2),
    )  # fmt: skip


@contextlib.contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A new file beside `target`, gone at the end unless it was put in its place."""
    try:
        handle, name = tempfile.mkstemp(dir=target.absolute().parent, prefix=f".{target.name}.")
    except OSError as error:
        raise InputError(
            f"cannot write here: {error.strerror}", where=str(target), fix="choose a folder that is there"
        ) from error
    os.close(handle)
    os.chmod(name, 0o644)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _columns(schema: ModelSchema, style: styles.Style, probabilities: bool) -> tuple[list[str], list[str]]:
    """Names and kinds of the columns of a result."""
    classes = schema.classes or ()
    kinds = {type(label) for label in classes}
    if schema.multilabel or (schema.classifies and str in kinds):
        kind = "text"
    elif schema.classifies:
        kind = "boolean" if kinds == {bool} else "integer" if kinds == {int} else "number"
    else:
        kind = "number"
    if not probabilities:
        return [PREDICTION], [kind]
    if "predict_proba" not in style.methods:
        raise InputError(
            "this model, in the style that was proven, gives no probabilities",
            where="--probabilities",
            fix="leave it out",
        )
    return [PREDICTION, *(f"{PROBABILITY}{_class_name(label)}" for label in classes)], [
        kind,
        *["number"] * len(classes),
    ]


def _class_name(label: Any) -> str:
    """A class as it is named in an answer."""
    return label if isinstance(label, str) else json.dumps(label)


def _check(table: Table, schema: ModelSchema, source: Path, output: Path, rejects: Path, names: Sequence[str]) -> None:
    if schema.forecasts:
        raise InputError(
            "the rows of a forecast belong together and can't be scored in blocks",
            where="MODEL",
            fix="send them to an endpoint, each series with its history: forestay endpoint invoke",
        )
    if output.suffix.lower() != source.suffix.lower():
        raise InputError(
            f"must be of the input's kind, {source.suffix}",
            where="--output",
            fix=f"name it {output.stem}{source.suffix}",
        )
    if len({source.resolve(), output.resolve(), rejects.resolve()}) < 3:
        raise InputError("is a file that is named twice", where="--output", fix="give each its own name")
    needed = [column.name for column in schema.used]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise InputError(
            f"lacks what the model needs: {', '.join(map(repr, missing))}",
            where=f"{source}:1",
            fix=_how_to_add(missing, [name for name in table.columns if name not in needed]),
        )
    taken = [name for name in names if name in table.columns]
    if taken:
        raise InputError(f"has a column {taken[0]!r} already", where=f"{source}:1", fix="give it another name")


def _how_to_add(missing: Sequence[str], others: Sequence[str]) -> str:
    """What to do about missing columns, where the file has others that may be meant."""
    pairs = [(found[0], name) for name in missing if (found := closest(name, others, count=1))]
    if not pairs:
        return "add the columns"
    return "rename " + ", ".join(f"{there!r} to {name!r}" for there, name in pairs) + ", if that is what they hold"


def _form(proven: ScoringFolder, schema: ModelSchema) -> str:
    """How rows are handed to the folder's score.py, as worker.body() knows it."""
    form = styles.of(proven.style, schema).forms[0]
    return form if form in ("data", requests.ARRAY) else "split"


def _environment(folder: ScoringFolder, home: Path, say: Say) -> Path:
    pins = environment.read_pins((folder.path / "conda_env.yaml").read_text(encoding="utf-8"), "conda_env.yaml")
    lock = (folder.path / "requirements.lock").read_text(encoding="utf-8")
    return environment.ensure(lock, pins.python, home, say).python
