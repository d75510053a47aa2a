"""A job's tables as Azure's data assets: uploaded once, named by their content, or passed on as addresses.

An asset's version is a mark of its files, so that unchanged data finds itself and nothing is sent twice. A plain file
is wrapped into a folder with an MLTable that reads it as it was read here.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from automl_jobs.azure import storage
from automl_jobs.azure.arm import Arm
from forestay.errors import InputError

if TYPE_CHECKING:
    from automl_jobs.azure.storage import Progress
    from automl_jobs.data import Table
    from automl_jobs.spec import LoadedJob
    from automl_jobs.spec.common import DataInput

ASSETS = "2023-04-01-preview"
LATEST = "latest"
_ASSET = re.compile(r"azureml:(?P<name>[^:@/]+)(?P<sign>[:@])(?P<version>[^:@/]+)", re.IGNORECASE)
_BAD = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Local:
    """A table that lies on this machine.

    Attributes
    ----------
    key: in the job file, training_data. folder: with the MLTable and what it reads. files: below it.
    name: of the asset. mark: of the content, which is its version.
    """

    key: str
    folder: Path
    files: tuple[str, ...]
    name: str
    mark: str

    @property
    def size(self) -> int:
        return sum((self.folder / name).stat().st_size for name in self.files)


@contextmanager
def local_tables(loaded: LoadedJob, texts: Mapping[str, str]) -> Iterator[list[Local]]:
    """The tables of a job that lie here, wrapped ones in a folder that goes when the block ends. Raises InputError.

    Parameters
    ----------
    texts: of the MLTables of plain files, by their keys in the job file, as `mltable_of` gives them.
    """
    with tempfile.TemporaryDirectory(prefix="forestay-data-") as scratch:
        yield [
            _local(loaded, key, path, Path(scratch), texts.get(key))
            for key, data in loaded.spec.inputs().items()
            if (path := data.local(loaded.folder)) is not None
        ]


def _local(loaded: LoadedJob, key: str, path: Path, scratch: Path, text: str | None) -> Local:
    where = loaded.where(f"{key}.path")
    if not path.exists():
        raise InputError(f"`{key}`: there is no {path}", where=where, fix="correct the path")
    folder = path
    if path.is_file():
        folder = wrapped(path, scratch / key, text or _text_of(loaded, path))
    elif not (path / "MLTable").is_file():
        raise InputError(
            f"`{key}`: {path} is a folder without an MLTable, which Azure needs",
            where=where,
            fix="name the file itself, or write one with forestay job new",
        )
    else:
        _check_inside(folder, where)
    files = storage.files_below(folder)
    return Local(key, folder, tuple(files), asset_name(path), storage.content_mark(folder, files))


def _check_inside(folder: Path, where: str) -> None:
    """An MLTable that reads files outside of its folder would find nothing in Azure."""
    from automl_jobs.data import mltable

    table = mltable.parse(folder / "MLTable", str(folder / "MLTable"))
    for entry in table.paths:
        remote = re.match(r"[a-z]+:", entry.value, re.IGNORECASE)
        if not remote and not (folder / entry.value).resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"its MLTable reads {entry.value}, which lies outside of {folder.name} and would not be uploaded",
                where=f"{table.where}:{entry.line}",
                fix="move the file into the folder, or name an address in Azure",
            )


def mltable_of(file: Path, table: Table) -> str:
    """The text of an MLTable that reads a plain file into the table that was read of it here."""
    from automl_jobs.data import ReadOptions
    from automl_jobs.new import mltable_text

    return mltable_text(table, _file_name(file), (), False, ReadOptions())


def _text_of(loaded: LoadedJob, file: Path) -> str:
    """The text of an MLTable for a plain file that nothing has read yet."""
    from automl_jobs.data import load_table

    if loaded.spec.task == "text_ner":  # CoNLL text, which is no table: Azure reads it as it lies
        return f"paths:\n  - file: ./{_file_name(file)}\n"
    return mltable_of(file, load_table(file))


def wrapped(file: Path, folder: Path, text: str) -> Path:
    """A new folder with a copy of the file and an MLTable, of this text, that reads it."""
    folder.mkdir()
    shutil.copyfile(file, folder / _file_name(file))
    (folder / "MLTable").write_text(text, encoding="utf-8")
    return folder


def _file_name(file: Path) -> str:
    return (_BAD.sub("-", file.stem).strip("-") or "data") + file.suffix.lower()


def asset_name(path: Path) -> str:
    """A name for the asset of a file or folder: letters, digits, dash, underscore."""
    return _BAD.sub("-", path.resolve().stem if path.is_file() else path.resolve().name).strip("-_")[:100] or "data"


def upload(arm: Arm, table: Local, progress: Progress, say: Callable[[str], None]) -> str:
    """The ARM id of the table's asset, made if there is none of this content. Raises OutsideError."""
    place = arm.place
    found_id = place.data_id(table.name, table.mark)
    what = f"the data asset {table.name}:{table.mark}"
    if arm.find(found_id, ASSETS, what) is not None:
        say(f"{table.key}: {table.name} is in Azure already, nothing to upload")
        return found_id
    store = storage.open_store(arm)
    prefix = f"forestay/{table.mark}/{table.name}"
    say(f"{table.key}: uploading {len(table.files)} files, {table.size / 1e6:,.1f} MB, to {store.account}")
    store.upload(table.folder, list(table.files), prefix, progress)
    arm.put(
        found_id,
        ASSETS,
        what,
        {
            "properties": {
                "dataType": "mltable",
                "dataUri": place.datastore_uri(store.name, f"{prefix}/"),
                "description": f"Uploaded by forestay from {table.folder.name}",
                "isAnonymous": False,
                "isArchived": False,
                "properties": {},
                "tags": {"forestay.content": table.mark},
                "referencedUris": [],
            }
        },
    )
    return found_id


def address(arm: Arm | None, data: DataInput, where: str, keep_latest: bool = False) -> str:
    """What Azure is told of data that lies there: ARM ids for assets, anything else as it is written.

    Parameters
    ----------
    arm: asks which version `@latest` is. keep_latest: leave that to Azure, at each run of a schedule.
    """
    match = _ASSET.fullmatch(data.path)
    if match is None or arm is None:
        return data.path
    name, version = match["name"], match["version"]
    if match["sign"] == ":":
        return arm.place.data_id(name, version)
    if keep_latest:
        return data.path
    if version != LATEST:
        raise InputError(f"there is no label {version!r}", where=where, fix=f"write azureml:{name}@latest")
    found = arm.get(f"{arm.place.path}/data/{name}", ASSETS, f"the data asset {name}")
    newest = (found.get("properties") or {}).get("latestVersion")
    if not newest:
        raise InputError(f"the data asset {name} has no version", where=where, fix=f"write azureml:{name}:1")
    return arm.place.data_id(name, str(newest))


def marks(tables: list[Local], inputs: Mapping[str, DataInput]) -> dict[str, str]:
    """What each table of a job is, by its key: the mark of what lies here, the address of what does not."""
    local = {table.key: table.mark for table in tables}
    return {key: local.get(key, data.path) for key, data in inputs.items()}
