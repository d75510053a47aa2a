"""What a job comes to on this machine: rows, target, splits, features; everything a trial needs, in one object.

A worker gets it once, from a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.engine import features, golden
from automl_jobs.prepare.labels import find_label, plain_label
from automl_jobs.spec.decisions import AUTOMATIC, DecisionSetting
from automl_jobs.spec.metrics import higher_is_better

if TYPE_CHECKING:
    from automl_jobs.data import Table
    from automl_jobs.prepare import Prepared

HOLDOUT = 0.1
SKEWED = 1.0
MAX_LISTED_CATEGORIES = 200
Split = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """One job's training problem.

    Attributes
    ----------
    task: Azure's task name.
    metric: the primary metric, in Azure's run names.
    frame: the raw columns that the model sees; with a single split its training rows come first (see _in_order).
    target: (n,) class numbers for classification, float64 values for regression; with several labels a row (n, k)
        of 0 and 1.
    classes: labels in their own type, sorted; None for regression.
    weights: (n,) row weights or None.
    splits: pairs of row positions (training, validation), shared by all trials.
    refit: whether a trial's model is fitted on all rows after its folds; else the only split's model is the model.
    settings: what the features are made of.
    schema: the model schema, but for what only a trial knows.
    golden_rows: rows as JSON values that every trial's model predicts, for the proof.
    positive: the number of the job's `positive_label`, or None.
    span: smallest and largest target value of the job (regression).
    test: frame and target of the test data, or None. test_weights: of its rows, None where `weights` is.
    seed: of everything random.
    decision: how probabilities become labels, as the user asks for it.
    hold_out: whether the only split's validation rows were drawn from the training data here: the job's model is
        fitted again on all rows in the end (see engine/refit).
    bagged: whether a trial's model is the mean of its folds' models, where it would be fitted again on all rows.
    """

    task: str
    metric: str
    frame: pd.DataFrame
    target: np.ndarray
    classes: list[Any] | None
    weights: np.ndarray | None
    splits: tuple[Split, ...]
    refit: bool
    settings: features.FeatureSettings
    schema: dict[str, Any]
    golden_rows: list[dict[str, Any]] = field(repr=False)
    positive: int | None = None
    span: tuple[float, float] = (0.0, 0.0)
    test: tuple[pd.DataFrame, np.ndarray] | None = None
    test_weights: np.ndarray | None = None
    seed: int = 0
    decision: DecisionSetting = AUTOMATIC
    bagged: bool = False
    hold_out: bool = False

    @property
    def rows(self) -> int:
        return len(self.frame)

    @property
    def training_rows(self) -> int:
        """How many rows the models learn from that are judged."""
        return len(self.frame) if self.refit else len(self.splits[0][0])

    @property
    def fold_rows(self) -> int:
        """How many rows the largest training side of a split has."""
        return max(len(train) for train, _ in self.splits)

    @property
    def fewest_rows(self) -> int:
        """How many rows the smallest training side of a split has."""
        return min(len(train) for train, _ in self.splits)

    @property
    def largest_class(self) -> int:
        """How many rows of one class every training side has at least; for regression, how many rows."""
        if not self.classification or self.multilabel:
            return self.fewest_rows
        return min(int(np.bincount(self.target[train]).max()) for train, _ in self.splits)

    @property
    def classification(self) -> bool:
        return self.classes is not None

    @property
    def multilabel(self) -> bool:
        """Whether a row may have several of the classes."""
        return self.target.ndim == 2

    @property
    def class_count(self) -> int:
        """How many classes there are; 0 for regression."""
        return 0 if self.classes is None else len(self.classes)

    @property
    def class_sizes(self) -> np.ndarray:
        """How many rows each class has."""
        return np.bincount(self.target, minlength=self.class_count)

    @property
    def minority(self) -> int:
        """The number of the rarest class; of equally rare ones the last, which is the positive one of two."""
        sizes = self.class_sizes
        return int(np.flatnonzero(sizes == sizes.min())[-1])

    @property
    def higher(self) -> bool:
        return higher_is_better(self.metric)

    @property
    def skewed(self) -> bool:
        """Whether the target has a long right tail and no negative value, as prices and counts do."""
        if self.classification or self.target.min() < 0:
            return False
        spread = self.target.std()
        return bool(spread > 0 and (((self.target - self.target.mean()) / spread) ** 3).mean() > SKEWED)

    def golden_frame(self) -> pd.DataFrame:
        """The golden rows as a raw frame."""
        return golden.to_frame(self.schema["columns"], self.golden_rows)

    def sampled(self, count: int) -> Problem:
        """The problem with the first `count` training rows of its single split, and with all validation rows."""
        train, valid = self.splits[0]
        rows = np.concatenate([train[:count], valid])
        return replace(
            self,
            frame=self.frame.take(rows).reset_index(drop=True),
            target=self.target[rows],
            weights=None if self.weights is None else self.weights[rows],
            splits=((np.arange(count), np.arange(count, len(rows))),),
        )

    def fit_rows(self) -> np.ndarray:
        """Rows that features are fitted on: those of the only split's training, or all of them."""
        return np.arange(len(self.frame)) if self.refit else self.splits[0][0]


def build(prepared: Prepared, seed: int) -> Problem:
    """The problem of a prepared job."""
    spec = prepared.loaded.spec
    train = prepared.require_local()
    used = [column for column in prepared.columns if column.used]
    names = [column.name for column in used]
    frame, target = _labelled(train, names, spec.target_column_name)
    weights = _weights(train, frame.index, spec.weight_column_name)
    test: tuple[pd.DataFrame, pd.Series] | None = None
    test_weights: pd.Series | None = None
    if prepared.test is not None:
        test = _labelled(prepared.test, names, spec.target_column_name)
        test_weights = _weights(prepared.test, test[0].index, spec.weight_column_name)
    elif spec.test_data_size:
        frame, test_frame = _split_off(frame, target, spec.task != "regression", float(spec.test_data_size), seed)
        test = (test_frame, target.loc[test_frame.index])
        target = target.loc[frame.index]
        if weights is not None:
            test_weights, weights = weights.loc[test_frame.index], weights.loc[frame.index]
    train_rows = len(frame)
    folds = _given_folds(train.frame.loc[frame.index], spec.cv_split_column_names)
    if prepared.validation is not None:
        more, more_target = _labelled(prepared.validation, names, spec.target_column_name)
        more_weights = _weights(prepared.validation, more.index, spec.weight_column_name)
        frame = pd.concat([frame, more], ignore_index=True)
        target = pd.concat([target, more_target], ignore_index=True)
        if weights is not None and more_weights is not None:
            weights = pd.concat([weights, more_weights], ignore_index=True)
    classification = spec.task != "regression"
    classes: list[Any] | None = None
    if classification:
        labels = target.to_numpy()
        classes = sorted({plain_label(label) for label in labels})
        number = {label: position for position, label in enumerate(classes)}
        encoded = np.array([number[plain_label(label)] for label in labels])
    else:
        encoded = target.to_numpy(dtype="float64")
    splits = folds or _splits(prepared, encoded, train_rows, classification, seed)
    if len(splits) == 1:
        order, splits = _in_order(splits[0], encoded, classification, seed)
        frame, target, encoded = frame.take(order), target.take(order), encoded[order]
        weights = None if weights is None else weights.take(order)
    columns = [_schema_column(column.name, str(column.type), column.used, train) for column in prepared.columns]
    columns = [column for column in columns if column["name"] not in _outside(spec)]
    schema = {
        "schema_version": 1,
        "task": spec.task,
        "target": spec.target_column_name,
        "target_type": _target_type(target, classes),
        "classes": classes,
        "columns": columns,
    }
    return Problem(
        task=spec.task,
        metric=spec.metric,
        frame=frame.reset_index(drop=True),
        target=encoded,
        classes=classes,
        weights=None if weights is None else weights.to_numpy(dtype="float64"),
        splits=splits,
        refit=len(splits) > 1,
        settings=features.settings(
            [(column.name, str(column.type)) for column in used],
            spec.featurization,
            {column.name: column.distinct for column in train.columns},
        ),
        schema=schema,
        golden_rows=golden.rows(columns, train.frame, seed),
        positive=_positive(spec.positive_label, classes),
        span=(0.0, 0.0) if classification else (float(encoded.min()), float(encoded.max())),
        test=None if test is None else (test[0].reset_index(drop=True), _encode_test(test[1], classes)),
        test_weights=None if test_weights is None else test_weights.to_numpy(dtype="float64"),
        seed=seed,
        decision=spec.forestay.decision or AUTOMATIC,
        bagged=spec.forestay.bagged_folds or False,
        hold_out=len(splits) == 1 and not folds and prepared.plan.kind != "validation_data",
    )


def test_rows(prepared: Prepared, seed: int) -> pd.Index[Any] | None:
    """Which rows of the training table `test_data_size` keeps for the test, by its index; None where it keeps none."""
    spec = prepared.loaded.spec
    if prepared.test is not None or not spec.test_data_size or spec.task == "forecasting":
        return None
    names = [column.name for column in prepared.columns if column.used]
    frame, target = _labelled(prepared.require_local(), names, spec.target_column_name)
    return _split_off(frame, target, spec.task != "regression", float(spec.test_data_size), seed)[1].index


def _labelled(table: Table, names: list[str], target: str) -> tuple[pd.DataFrame, pd.Series]:
    """The rows whose target is known: their features and their target, with the table's row numbers."""
    known = table.frame[target].notna()
    return table.frame.loc[known, names], table.frame.loc[known, target]


def _weights(table: Table, rows: pd.Index[Any], name: str | None) -> pd.Series | None:
    """The weights of these rows of a table: one each where only the training data has the column."""
    if not name:
        return None
    return table.frame.loc[rows, name] if name in table.frame.columns else pd.Series(1.0, index=rows)


def _outside(spec: Any) -> set[str]:
    """Columns that are no features: a caller of the model need not know them."""
    names = {spec.target_column_name, spec.weight_column_name, *(spec.cv_split_column_names or ())}
    return {name for name in names if name}


def _encode_test(target: pd.Series, classes: list[Any] | None) -> np.ndarray:
    """Test targets; a label never seen in training gets the number -1 and counts as missed."""
    if classes is None:
        return target.to_numpy(dtype="float64")
    number = {label: position for position, label in enumerate(classes)}
    return np.array([number.get(plain_label(label), -1) for label in target.to_numpy()])


def _positive(label: Any, classes: list[Any] | None) -> int | None:
    found = None if label is None or classes is None else find_label(label, classes)
    return None if found is None or classes is None else classes.index(found)


def _target_type(target: pd.Series, classes: list[Any] | None) -> str:
    if classes is None:
        return "number"
    if pd.api.types.is_bool_dtype(target.dtype):
        return "boolean"
    if all(isinstance(label, int) for label in classes):
        return "integer"
    return "number" if all(isinstance(label, int | float) for label in classes) else "string"


def _schema_column(name: str, kind: str, used: bool, table: Table) -> dict[str, Any]:
    """What a caller must know of one column; only the categories of it are data."""
    column = table.frame[name]
    entry: dict[str, Any] = {
        "name": name,
        "type": kind,
        "used": used,
        "integer": False,
        "nullable": bool(column.isna().any()),
        "minimum": None,
        "maximum": None,
        "values": None,
        "max_length": None,
    }
    known = column.dropna()
    if kind == "numeric" and len(known):
        numbers = known.to_numpy(dtype="float64")
        numbers = numbers[np.isfinite(numbers)]
        whole = bool(numbers.size and np.all(numbers == np.floor(numbers)) and abs(numbers).max() < 2**53)
        entry["integer"] = whole and pd.api.types.is_integer_dtype(column.dtype)
        if numbers.size:
            low, high = float(numbers.min()), float(numbers.max())
            entry["minimum"], entry["maximum"] = (int(low), int(high)) if entry["integer"] else (low, high)
    elif kind == "datetime" and len(known):
        entry["minimum"], entry["maximum"] = known.min().isoformat(), known.max().isoformat()
    elif kind == "categorical":
        counts = known.astype("object").astype(str).value_counts()
        entry["values"] = sorted(counts.index[:MAX_LISTED_CATEGORIES].tolist())
    elif kind == "text" and len(known):
        entry["max_length"] = int(known.astype(str).str.len().max())
    return entry


def _splits(
    prepared: Prepared, target: np.ndarray, train_rows: int, classification: bool, seed: int
) -> tuple[Split, ...]:
    """Row positions of each fold, by the job's validation plan."""
    from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit

    plan = prepared.plan
    if plan.kind == "validation_data":
        return ((np.arange(train_rows), np.arange(train_rows, len(target))),)
    smallest = int(np.bincount(target).min()) if classification else 0
    if plan.kind == "holdout" or plan.fraction:
        fraction = plan.fraction or HOLDOUT
        count = plan.folds if plan.kind == "cross_validation" and plan.folds else 1
        # Every class needs a row on each side to be spread evenly.
        even = smallest >= 2 and fraction * train_rows >= len(np.unique(target)) and classification
        splitter = StratifiedShuffleSplit if even else ShuffleSplit
        drawn = splitter(n_splits=count, test_size=fraction, random_state=seed).split(np.zeros(train_rows), target)
        return tuple(drawn)
    folds = plan.folds or 5
    kind = StratifiedKFold if classification and smallest >= 2 else KFold
    with _quiet_small_classes():
        return tuple(kind(n_splits=folds, shuffle=True, random_state=seed).split(np.zeros(train_rows), target))


def _in_order(
    split: Split, target: np.ndarray, classification: bool, seed: int
) -> tuple[np.ndarray, tuple[Split, ...]]:
    """Rows for a single split, the training rows first: each side is then one block, which needs no copies.

    Any first part of the training rows is a random sample of them, by class: every class has its share of it.
    """
    train, valid = split
    train = np.random.default_rng(seed).permutation(train)
    if classification:
        labels = target[train]
        by_class = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        places = np.empty(len(train))
        places[by_class] = np.concatenate([(np.arange(count) + 0.5) / count for count in counts[counts > 0]])
        train = train[np.argsort(places, kind="stable")]
    last = len(train) + len(valid)
    return np.concatenate([train, valid]), ((np.arange(len(train)), np.arange(len(train), last)),)


def _quiet_small_classes() -> Any:
    """`job check` has already said which classes are smaller than the number of folds."""
    import warnings

    return warnings.catch_warnings(action="ignore", category=UserWarning)


def _given_folds(frame: pd.DataFrame, names: tuple[str, ...] | None) -> tuple[Split, ...]:
    """Azure's `cv_split_column_names`: in each column 1 marks training rows, 0 validation rows."""
    if not names:
        return ()
    splits = []
    for name in names:
        marks = frame[name].to_numpy(dtype="float64")
        splits.append((np.flatnonzero(marks == 1), np.flatnonzero(marks == 0)))
    return tuple(splits)


def _split_off(
    frame: pd.DataFrame, target: pd.Series, classification: bool, size: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows for `test_data_size`."""
    from sklearn.model_selection import train_test_split

    even = target if classification and target.value_counts().min() >= 2 else None
    train, test = train_test_split(frame, test_size=size, random_state=seed, stratify=even)
    return train, test
