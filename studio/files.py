"""Data files of the project: which there are, which a page may name, and those that are dropped on it."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from forestay import project
from forestay.errors import ForestayError, InputError
from studio.guard import CSRF_HEADER
from studio.web import EXPIRED, GONE, studio

UPLOAD_BYTES = 1 << 30
FOLDER = "data"
KINDS = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".json", ".jsonl", ".ndjson")
MLTABLE = "MLTable"
MOST_FILES, MOST_LEVELS = 200, 5
PASSED_OVER = ("node_modules", "__pycache__", "site-packages")


def inside(given: str) -> Path:
    """A path of the project, relative to its folder. Raises InputError for one that leads out of it."""
    root = Path.cwd().resolve()
    try:
        found = (root / given).resolve()
        inner = found.relative_to(root)
    except (ValueError, OSError, RuntimeError) as error:
        raise InputError(
            "lies outside of the project", where=repr(given), fix="choose a file of the project"
        ) from error
    if not inner.parts or inner.parts[0].startswith(".") or given.startswith("-"):
        raise InputError("is no data of the project", where=repr(given), fix="choose a file of the project")
    try:
        there = found.is_file() or (found / MLTABLE).is_file()
    except OSError:  # a name that no file can have
        there = False
    if not there:
        raise InputError("there is no such file, and no folder with an MLTable", where=repr(given))
    return inner


def data_files() -> tuple[list[str], int]:
    """The project's data: files of a kind that can be read, and folders with an MLTable.

    Returns the first MOST_FILES, and how many there are.
    """
    found = sorted(_walk(Path.cwd(), 0))
    return [path.relative_to(Path.cwd()).as_posix() for path in found[:MOST_FILES]], len(found)


def _walk(folder: Path, level: int) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    if any(entry.name == MLTABLE for entry in entries):
        yield folder
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in PASSED_OVER or entry.is_symlink():
            continue
        if entry.is_dir():
            if level < MOST_LEVELS and not (Path(entry.path) / "pyvenv.cfg").exists():
                yield from _walk(Path(entry.path), level + 1)
        elif _kind(entry.name) and not entry.name.startswith(("requirements", "package")):
            yield Path(entry.path)


def _kind(name: str) -> str:
    path = Path(name.lower())
    return next((kind for kind in (path.suffix, "".join(path.suffixes[-2:]).removesuffix(".gz")) if kind in KINDS), "")


async def upload(request: Request) -> Response:
    """A file that was dropped: written to data/ as it arrives, and put in place once it is whole."""
    try:
        if not studio(request).passed.is_csrf(request.headers.get(CSRF_HEADER)):
            return _told(EXPIRED, 403)
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > UPLOAD_BYTES:
            return _told(_too_large(), 413)
        name = clean(request.query_params.get("name", ""))
        folder = project.ensure_folder(Path(FOLDER))
        handle, scratch = tempfile.mkstemp(dir=folder, prefix=".upload-")
        try:
            with os.fdopen(handle, "wb") as stream:
                size = 0
                async for part in request.stream():
                    size += len(part)
                    studio(request).asking.go_on()
                    if size > UPLOAD_BYTES:
                        return _told(_too_large(), 413)
                    await run_in_threadpool(stream.write, part)
            if not size:
                raise InputError("the file is empty", where=name)
            placed = await run_in_threadpool(_place, Path(scratch), folder, name)
        finally:
            Path(scratch).unlink(missing_ok=True)
        return JSONResponse({"path": placed.as_posix()})
    except ClientDisconnect:  # the page was closed: nobody is there to be told
        return Response(status_code=GONE)
    except ForestayError as error:
        return _told(error, 400)
    except OSError as error:
        return _told(InputError(f"cannot write: {error.strerror}", where=FOLDER, fix="check the free space"), 400)


def clean(name: str) -> str:
    """A file's name without folders and without what a shell or a terminal would take for more than a name."""
    base = re.sub(r"[^\w.+-]+", "_", re.split(r"[/\\]", name)[-1]).lstrip("._-")[:100]
    if not base or not _kind(base):
        raise InputError(f"{name!r} is no data file", fix=f"one of: {', '.join(KINDS)}, or such a file with .gz")
    return base


def _place(scratch: Path, folder: Path, name: str) -> Path:
    """Put an upload in place: under its own name, unless another file has that."""
    digest = project.sha256(scratch)
    stem, dot, suffix = name.partition(".")
    for number in range(1, 1000):
        target = folder / (name if number == 1 else f"{stem}-{number}{dot}{suffix}")
        if target.exists():
            with contextlib.suppress(OSError):
                if project.sha256(target) == digest:
                    return target
            continue
        os.chmod(scratch, 0o644)
        os.replace(scratch, target)
        return target
    raise InputError("there are too many files of this name", where=str(folder / name))


def _told(error: ForestayError, code: int) -> JSONResponse:
    return JSONResponse({"error": " · ".join(line.strip() for line in error.lines())}, code)


def _too_large() -> InputError:
    return InputError(
        f"a file that is dropped may have {UPLOAD_BYTES >> 30} GB",
        fix="copy it into the project's folder and choose it there",
    )
