"""What the process is made of that workers are forked from; importing this module makes it. Linux alone has one.

What a trial imports is imported here, once: workers start at once, and hold it together; what the command needs beside
it too, where it is the command that is forked (see nursery). None of it starts a thread of Python's.

A page is shared until somebody writes to it. A garbage collector writes to the head of each object that it looks at,
and would make a copy of nearly all of this for each process (70 MB): the objects are put out of its sight. What it
frees leaves holes, which new objects of each process would fill: so it does not run before.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.metadata
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

# Mako, of which MLflow's migrations are made, can do without what would colour its error pages: 5 MB.
COLOURS = "mako.ext.pygmentplugin"


@contextlib.contextmanager
def _without_plugins() -> Iterator[None]:
    """MLflow imports every plugin that is installed. That of Azure ML takes 30 MB; a store in a file needs none."""
    found = importlib.metadata.entry_points

    def others(**wanted: Any) -> Any:
        if str(wanted.get("group", "")).startswith("mlflow."):
            return importlib.metadata.EntryPoints()
        return found(**wanted)

    # A module that is None can't be imported.
    unwanted = COLOURS not in sys.modules and sys.modules.setdefault(COLOURS, None) is None  # type: ignore[arg-type]
    try:
        with mock.patch("importlib.metadata.entry_points", others):
            yield
    finally:
        if unwanted:
            del sys.modules[COLOURS]


def _load() -> None:
    from automl_jobs.runs.store import quiet_mlflow

    with _without_plugins():
        quiet_mlflow()
        import mlflow.pyfunc
        import mlflow.sklearn
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    import jinja2  # noqa: F401
    import lightgbm  # noqa: F401
    import pyarrow.pandas_compat  # noqa: F401
    import sklearn.calibration
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.naive_bayes
    import sklearn.neighbors
    import sklearn.svm
    import sklearn.tree  # noqa: F401
    import xgboost  # noqa: F401

    from automl_jobs import prepare  # noqa: F401
    from automl_jobs.engine import after, ensemble, judging, run, tabular, trial  # noqa: F401
    from automl_jobs.engine.forecasting import task as forecasting  # noqa: F401
    from automl_jobs.engine.multilabel import task as multilabel  # noqa: F401


def _drop_library_pages() -> None:
    """Unmap the pages of libraries that only loading them needed (relocation tables, code that ran once).

    They are clean copies of files: whoever needs one again has it mapped again, a few microseconds later.
    """
    libc = ctypes.CDLL(None)
    start, size, drop = 0, 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            ends = [int(end, 16) for end in words[0].split("-")]
            start, size = ends[0], ends[1] - ends[0]
            drop = words[1][1] != "w" and words[-1].startswith("/")
        elif words[0] == "Anonymous:" and drop and int(words[1]) == 0:
            # A mapping with changed pages (relocated addresses) is no copy of its file: that would be lost.
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.MADV_DONTNEED)


gc.disable()
_load()
if sys.platform == "linux":
    _drop_library_pages()
gc.freeze()
gc.enable()
