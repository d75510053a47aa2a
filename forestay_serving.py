"""scikit-learn's pipeline, unions and column transformers for a server: quick also for a single row.

This module is copied beside every `model.pkl` and imported there under this name, where nothing else of Forestay is
installed. So it imports numpy, pandas, scikit-learn and its siblings there only, and what it pickles must stay
loadable: a change of an attribute's meaning needs a new class name.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack, issparse
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.metaestimators import available_if
from threadpoolctl import ThreadpoolController

from forestay_quick import STEPS, values_of
from forestay_reading import FEW_ROWS, Cells, row_count


class Columns(ColumnTransformer):
    """scikit-learn's ColumnTransformer, which also takes Cells: without its checks of frames a row is 20 times faster.

    The steps may be ours, an imputer or a scaler, which work on plain arrays; any other is given what it always is.
    """

    def transform(self, X: Any, **parameters: Any) -> Any:
        if not isinstance(X, Cells):
            return super().transform(X, **parameters)
        blocks = [
            _passed(part, X, names)
            for _, part, names in self.transformers_
            if part != "drop" and (isinstance(names, str) or len(names))
        ]
        if self.sparse_output_:
            return csr_matrix(hstack([csr_matrix(block) for block in blocks]))
        return np.hstack([block.toarray() if issparse(block) else block for block in blocks])


def _passed(part: Any, cells: Cells, names: str | Sequence[str]) -> Any:
    """What a fitted transformer, or a pipeline of some, makes of columns."""
    values = cells.block(names)
    for step in [step for _, step in part.steps] if hasattr(part, "steps") else [part]:
        if isinstance(step, str):  # passthrough
            continue
        plain = isinstance(values, np.ndarray)
        if plain and type(step) in STEPS:
            values = STEPS[type(step)](step, values)
        elif plain and values.dtype == object and hasattr(step, "transform_words"):
            values = step.transform_words(values)
        elif plain and values.dtype.kind == "M" and hasattr(step, "transform_dates"):
            values = step.transform_dates(values)
        else:
            first = plain and hasattr(step, "feature_names_in_")
            values = step.transform(pd.DataFrame(values, columns=step.feature_names_in_) if first else values)
    return values


class Side(FeatureUnion):
    """scikit-learn's FeatureUnion of fitted Columns, dense, which also takes Cells."""

    def transform(self, X: Any, **parameters: Any) -> Any:
        if not isinstance(X, Cells):
            return super().transform(X, **parameters)
        return np.hstack([part.transform(X) for _, part in self.transformer_list])


class ServedPipeline(Pipeline):
    """scikit-learn's Pipeline of an InputFrame, features that take Cells, and a model; of these a model may do both.

    Rows as a server gets them, in columns, `{name: [cell, ...]}` or `{name: array}`, and a few rows of a frame, go
    through plain Python and numpy: the answers are those that scikit-learn's Pipeline of the same steps gives. Times in
    columns are `datetime` or datetime64 without a zone.

    Attributes
    ----------
    takes_columns: tells a server that rows may come as columns.
    """

    takes_columns = True

    def plain(self) -> Pipeline:
        """scikit-learn's own Pipeline of the same steps."""
        return Pipeline(self.steps)

    def features(self, X: pd.DataFrame | Mapping[str, Any]) -> Any:
        """What the model is given of rows that take the quick way."""
        rows: Any = self.steps[0][1].cells(X)
        for _, step in self.steps[1:-1]:
            if not isinstance(step, str):  # passthrough
                rows = step.transform(rows)
        return rows

    def _quickly(self, X: Any, answer: str) -> Any:
        rows = self.features(X)
        model = self.steps[-1][1]
        told = functools.partial(values_of, model) if answer == "predict" else getattr(model, answer)
        if row_count(X) > FEW_ROWS:
            return told(rows)
        with _threads().limit(limits=1, user_api="openmp"):
            return told(rows)

    def _quick(self, X: Any) -> bool:
        return isinstance(X, dict) or (isinstance(X, pd.DataFrame) and 0 < len(X) <= FEW_ROWS and X.columns.is_unique)

    def predict(self, X: Any, **parameters: Any) -> Any:
        return self._quickly(X, "predict") if self._quick(X) else super().predict(X, **parameters)

    @available_if(  # type: ignore[untyped-decorator]
        lambda self: hasattr(self.steps[-1][1], "predict_proba")
    )
    def predict_proba(self, X: Any, **parameters: Any) -> Any:
        return self._quickly(X, "predict_proba") if self._quick(X) else super().predict_proba(X, **parameters)


@functools.cache
def _threads() -> ThreadpoolController:
    """The thread pools of this process; to find them takes longer than to limit them."""
    return ThreadpoolController()
