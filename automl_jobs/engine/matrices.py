"""The features of one problem, kept for later trials: what is fitted for a layout once is shared by all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, issparse

from automl_jobs.engine import features
from automl_jobs.engine.problem import Problem
from forestay_transformers import InputFrame, Side

NO_FEATURES, PLAIN = "none", "plain"
# Features of this many cells are kept in single precision, and transformed so many rows at a time.
MANY_CELLS, ROWS_AT_A_TIME = 2_000_000, 100_000
# What needs no target is fitted on so many rows at most.
FITTED_ROWS = 200_000
# Single precision must tell so many steps apart between the smallest and the largest value of each column.
SINGLE_STEPS = 2**14
# Bytes of features that are kept for later trials, beside half of what the table takes.
KEPT_BYTES = 200e6


@dataclass(frozen=True)
class Features:
    """The features of one layout for one fit: the fitted transformer and the matrix of all rows of the problem.

    Rows of the training side may have been answered out of fold (see features.build_targeted).
    """

    transformer: Any
    matrix: Any


class Matrices:
    """Makes the features of a problem, layout by layout.

    Parameters
    ----------
    problem: whose rows they are of.

    Attributes
    ----------
    reader: the fitted first step of every model. seconds: what the features of each layout have taken.
    """

    def __init__(self, problem: Problem) -> None:
        # What features take is measured; what their first import takes says nothing of a larger table.
        import sklearn.compose
        import sklearn.impute
        import sklearn.preprocessing  # noqa: F401

        self.problem = problem
        self.reader = InputFrame(list(problem.settings.columns)).fit(problem.frame)
        self.seconds: dict[str, float] = {}
        self._kept: dict[tuple[str, int | str | None], Features] = {}
        self._typed: pd.DataFrame | None = None
        self._single: bool | None = None

    def of(self, layout: str, split: int | None) -> Features:
        """The features of a layout for the fit on the training rows of one split, or on all rows (None).

        The plain part is fitted without the target, on the training rows of a single split or else on all rows; the
        part that learns from the target sees the training rows of its own split only.
        """
        plain = self._remember((layout, PLAIN), lambda: self._plain(layout))
        if layout == NO_FEATURES:
            return plain
        return self._remember((layout, split), lambda: self._targeted(layout, split, plain))

    def _remember(self, key: tuple[str, int | str | None], make: Callable[[], Features]) -> Features:
        """The features under a key, made when they are not there; the longest unused give way to new ones."""
        found = self._kept.pop(key, None)
        if found is None:
            frame = self.problem.frame
            cells = len(frame) * frame.shape[1]
            room = KEPT_BYTES + 4 * cells
            while self._kept and sum(self._kept_bytes().values()) + 8 * cells > room:
                del self._kept[next(iter(self._kept))]
            started = time.monotonic()
            found = make()
            layout = key[0]
            self.seconds[layout] = self.seconds.get(layout, 0.0) + time.monotonic() - started
        self._kept[key] = found
        return found

    def _kept_bytes(self) -> dict[int, int]:
        """Bytes of each matrix that is kept; some keys share one."""
        matrices = (one.matrix for one in self._kept.values())
        return {id(one): one.data.nbytes * (2 if issparse(one) else 1) for one in matrices}

    def _plain(self, layout: str) -> Features:
        if layout == NO_FEATURES:
            return Features("passthrough", np.zeros((len(self.problem.frame), 1)))
        frame = self._frame()
        rows = self.problem.fit_rows()
        if len(rows) > FITTED_ROWS:
            # Medians, scales and categories of so many rows are those of all; with one split the first are a sample.
            draw = np.random.default_rng(self.problem.seed)
            refit = self.problem.refit
            rows = np.sort(draw.choice(rows, FITTED_ROWS, replace=False)) if refit else rows[:FITTED_ROWS]
        transformer = features.build(self.problem.settings, layout, len(rows)).fit(frame.iloc[block(rows)])
        return Features(transformer, self._transformed(transformer))

    def _transformed(self, transformer: Any) -> Any:
        """The matrix of all rows. A large one is made part by part, in single precision where that is enough."""
        frame = self._frame()
        if frame.size < MANY_CELLS:
            matrix = transformer.transform(frame)
            return matrix.tocsr() if issparse(matrix) else matrix
        if self._single is None:
            self._single = single_precision(frame)
        kind = np.float32 if self._single else np.float64
        parts = []
        whole: np.ndarray | None = None
        for start in range(0, len(frame), ROWS_AT_A_TIME):
            part = transformer.transform(frame.iloc[start : start + ROWS_AT_A_TIME])
            if issparse(part):
                parts.append(part.tocsr().astype(kind))
                continue
            if whole is None:
                whole = np.empty((len(frame), part.shape[1]), dtype=kind)
            whole[start : start + len(part)] = part
        return _stacked(parts) if whole is None else whole

    def _targeted(self, layout: str, split: int | None, plain: Features) -> Features:
        problem = self.problem
        frame = self._frame()
        rows = np.arange(len(frame)) if split is None else problem.splits[split][0]
        transformer = features.build_targeted(
            problem.settings,
            layout,
            problem.fold_rows,
            problem.classification,
            problem.seed,
            problem.largest_class,
        )
        if transformer is None:
            return plain
        learned = transformer.fit_transform(frame.iloc[block(rows)], problem.target[rows])
        known = plain.matrix.shape[1]
        matrix = np.empty((len(frame), known + learned.shape[1]), dtype=plain.matrix.dtype)
        matrix[:, :known] = plain.matrix
        matrix[rows, known:] = learned
        others = np.setdiff1d(np.arange(len(frame)), rows, assume_unique=True)
        if others.size:
            matrix[others, known:] = transformer.transform(frame.iloc[block(others)])
        union = Side([("plain", plain.transformer), ("target", transformer)])
        return Features(union, matrix)

    def _frame(self) -> pd.DataFrame:
        """The problem's rows, each column in its type."""
        if self._typed is None:
            self._typed = self.reader.transform(self.problem.frame)
        return self._typed


def _stacked(parts: list[csr_matrix]) -> csr_matrix:
    """Sparse parts one below the other; `parts` is emptied on the way, so that not all of it is there twice."""
    shape = (sum(part.shape[0] for part in parts), parts[0].shape[1])
    ends = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part.indptr) for part in parts]))])
    data = np.concatenate([part.data for part in parts])
    indices = [part.indices for part in parts]
    parts.clear()
    return csr_matrix((data, np.concatenate(indices), ends), shape=shape)


def block(rows: np.ndarray) -> Any:
    """Row positions as a slice where they follow one another: what it picks is a view, not a copy."""
    follows = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
    return slice(int(rows[0]), int(rows[-1]) + 1) if follows else rows


def single_precision(frame: pd.DataFrame) -> bool:
    """Whether single precision tells apart what the numbers of a frame say: not so for moments in seconds, say."""
    for name in frame.columns:
        if not pd.api.types.is_float_dtype(frame[name].dtype):
            continue
        values = frame[name].to_numpy()
        low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
        largest = max(abs(low), abs(high))
        if largest > float(np.finfo(np.float32).max):
            return False
        if low < high and (high - low) / float(np.spacing(np.float32(largest))) < SINGLE_STEPS:
            return False
    return True
