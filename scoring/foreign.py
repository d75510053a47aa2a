"""A model from elsewhere: a scikit-learn estimator in a file, with a sample of rows, becomes an outputs folder like a
trial's.

The file is loaded in a process of its own only (foreign_worker), since loading a pickle runs what it holds. Of the
sample nothing is kept but the columns: types, extremes, and the categories of columns that have few.
"""

from __future__ import annotations

import io
import json
import pickletools
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forestay import project
from forestay.errors import InputError
from scoring import environment, styles
from scoring.schema import GOLDEN, MODEL, SCHEMA, read_golden, read_schema

if TYPE_CHECKING:
    import pandas as pd

LOAD_SECONDS = 600
SAMPLE_ROWS = 10_000  # more of them tell nothing more
CONDA, SCORING = "conda_env_v_1_0_0.yml", "scoring_file_v_2_0_0.py"  # as a trial's are called
SKOPS = ".skops"
# How a pickle, and one that joblib packed, begins: protocol 2 and later, zlib, gzip, bzip2, xz, lzma, lz4.
_STARTS = (b"\x80", b"\x78", b"\x1f\x8b", b"BZ", b"\xfd7zXZ", b"\x5d\x00", b"\x04\x22\x4d\x18")
_ROOT = Path(__file__).resolve().parent.parent
_START = "import sys; sys.path[:0] = sys.argv[2:]; from scoring.foreign_worker import main; main(sys.argv[1])"


@dataclass(frozen=True)
class Foreign:
    """A model file and what was said of it.

    Attributes
    ----------
    file: a pickle, by joblib or not, or a .skops file.
    sample: rows as it was fitted on, as CSV or Parquet.
    target: the sample's column that it predicts, which is no feature. task: where the estimator does not tell it.
    code: modules that it refers to; they go beside it.
    encoding: of the sample; None finds it out.
    """

    file: Path
    sample: Path
    target: str | None = None
    task: str | None = None
    code: tuple[Path, ...] = ()
    encoding: str | None = None

    @property
    def skops(self) -> bool:
        """Whether it is a file that can be loaded without running what it holds."""
        return self.file.suffix.lower() == SKOPS


@dataclass(frozen=True)
class Examined:
    """An outputs folder that was made of a foreign model.

    Attributes
    ----------
    algorithm: the estimator's class. notes: what its owner should know.
    """

    algorithm: str
    notes: tuple[str, ...]


def check_files(foreign: Foreign) -> None:
    """Refuse, before anything is loaded, files that are missing or plainly something else. Raises InputError."""
    for flag, path in (
        ("--file", foreign.file),
        ("--sample", foreign.sample),
        *(("--code", at) for at in foreign.code),
    ):
        if not path.is_file():
            raise InputError("there is no such file", where=f"{flag} {path}", fix="check the path")
    for path in foreign.code:
        if path.suffix != ".py" or not path.stem.isidentifier():
            raise InputError("is no module", where=f"--code {path}", fix="give Python files, as in --code features.py")
    where = f"--file {foreign.file}"
    fix = "save the fitted estimator with joblib.dump(model, 'model.pkl')"
    with foreign.file.open("rb") as stream:
        head = stream.read(1 << 12)
    if not head:
        raise InputError("the file is empty", where=where, fix=fix)
    if foreign.skops:
        if not head.startswith(b"PK\x03\x04"):
            raise InputError("is no skops file", where=where, fix="save it with skops.io.dump")
    elif not head.startswith(_STARTS) and not _old_pickle(head):
        raise InputError("is not a pickle", where=where, fix=fix)


def examine(foreign: Foreign, outputs: Path, say: Callable[[str], None] = lambda _: None) -> Examined:
    """Load the model in a process of its own, and write the outputs folder `outputs`, which must not exist.

    Raises InputError saying what is wrong with the model or the sample.
    """
    check_files(foreign)
    sample = read_sample(foreign)
    with tempfile.TemporaryDirectory() as scratch:
        answer = _ask_worker(foreign, sample, Path(scratch), say)
        outputs.mkdir(parents=True)
        shutil.copyfile(Path(scratch, MODEL) if foreign.skops else foreign.file, outputs / MODEL)
    for path in foreign.code:
        shutil.copyfile(path, outputs / path.name)
    names = (MODEL, *(path.name for path in foreign.code))
    schema = {
        "schema_version": 1,
        "task": answer["task"],
        "target": foreign.target or _unused_name("prediction", answer["columns"]),
        "foreign": True,
        "preprocessor": "",
        "python": platform.python_version(),
        "files": {name: project.sha256(outputs / name) for name in names},
        **{
            key: answer[key]
            for key in (
                "target_type", "classes", "columns", "takes_array", "probabilities", "algorithm", "trained_with",
                "packages",
            )
        },
    }  # fmt: skip
    project.write_json(outputs / SCHEMA, schema)
    project.write_json(outputs / GOLDEN, answer["golden"])
    read = read_schema(outputs)
    read_golden(outputs)
    (outputs / CONDA).write_text(environment.conda_env(read), encoding="utf-8")
    script = styles.texts(styles.of(styles.AZUREML, read), read)["score.py"]
    (outputs / SCORING).write_text(script, encoding="utf-8")
    return Examined(answer["algorithm"], tuple(answer["notes"]))


def read_sample(foreign: Foreign) -> pd.DataFrame:
    """The rows of the sample, typed as pandas types them: that is what models are fitted on.

    Raises InputError for a file that is empty, has no rows, is in another encoding, or does not split into columns.
    """
    import pandas as pd

    from automl_jobs.data import delimited, dialect, encoding

    where = str(foreign.sample)
    if foreign.sample.suffix.lower() == ".parquet":
        try:
            frame = pd.read_parquet(foreign.sample)
        except (OSError, ValueError) as error:
            raise InputError(f"is not Parquet: {error}", where=where, fix="give a CSV or Parquet file") from error
    else:
        data, _ = encoding.read_bytes(foreign.sample, where)
        text = encoding.to_utf8(data, foreign.encoding or encoding.detect(data, where), where)
        delimiter = dialect.guess(text, foreign.sample.suffix.lower())
        names = delimited.header(delimited.parse(text, delimiter, where), where)
        frame = pd.read_csv(io.BytesIO(text), sep=delimiter, header=0, names=names, index_col=False)
    if frame.empty:
        raise InputError("has no rows", where=where, fix="give a header and some rows that the model was fitted on")
    frame.columns = [str(name) for name in frame.columns]
    return frame.head(SAMPLE_ROWS).reset_index(drop=True)


def _ask_worker(foreign: Foreign, sample: pd.DataFrame, scratch: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """What foreign_worker says of the model. Raises InputError with its words when it refuses."""
    sample.to_parquet(scratch / "sample.parquet")
    for path in foreign.code:
        shutil.copyfile(path, scratch / path.name)
    asked = {
        "file": str(foreign.file.absolute()),
        "skops": foreign.skops,
        "sample": str(scratch / "sample.parquet"),
        "target": foreign.target,
        "task": foreign.task,
        "modules": [path.stem for path in foreign.code],
        "converted": str(scratch / MODEL),
    }
    request = scratch / "request.json"
    project.write_json(request, asked)
    say("loading the model in a process of its own")
    where = f"--file {foreign.file}"
    try:
        done = _run([sys.executable, "-I", "-B", "-c", _START, str(request), str(scratch), str(_ROOT)], scratch)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"was not loaded within {LOAD_SECONDS} s", where=where, fix="give a smaller sample") from error
    for line in done.stderr.decode("utf-8", "replace").splitlines()[-20:]:
        say(f"  model | {line}")
    try:
        answer = json.loads((scratch / "answer.json").read_bytes())
    except (OSError, ValueError) as error:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it wrote nothing"])[-1]
        raise InputError(
            f"the process that loaded it ended with exit code {done.returncode}: {last[:200]}",
            where=where,
            fix="save the fitted estimator with joblib.dump(model, 'model.pkl')",
        ) from error
    refused = answer.get("refused")
    if refused:
        named = {"--file": where, "--sample": f"--sample {foreign.sample}"}.get(refused["where"], refused["where"])
        raise InputError(refused["message"], where=named, fix=refused["fix"])
    return dict(answer)


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=LOAD_SECONDS
    )


def _old_pickle(head: bytes) -> bool:
    """Whether the bytes begin as a pickle of protocol 0 or 1 does, which has no mark: reading opcodes runs nothing."""
    try:
        operations = [operation.name for _, (operation, _, _) in zip(range(3), pickletools.genops(head), strict=False)]
    except Exception:  # noqa: BLE001  (pickletools raises what it likes for bytes that are none)
        return False
    return len(operations) == 3


def _unused_name(name: str, columns: Sequence[dict[str, Any]]) -> str:
    """`name`, longer where a column is called so."""
    while any(column["name"] == name for column in columns):
        name += "_"
    return name
