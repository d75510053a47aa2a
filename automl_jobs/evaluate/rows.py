"""Rows for a model: read, their columns checked, their true answers found; and what the model says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from automl_jobs import labels as label_lists
from automl_jobs.data import ColumnType, ReadOptions, load_table
from automl_jobs.engine import decide
from automl_jobs.prepare.checks import WEIGHTS_ARE, wrong_weights
from automl_jobs.prepare.findings import listed
from automl_jobs.prepare.labels import find_label, plain_label
from forestay.documents.names import closest, shown
from forestay.errors import InputError
from forestay_transformers import InputFrame, category_text

if TYPE_CHECKING:
    from automl_jobs.evaluate.loading import LoadedModel
    from forestay_forecasting import Key

Data: TypeAlias = "Path | str | pd.DataFrame"
PREDICTION, PROBABILITY = "prediction", "probability_"
QUANTILES = (0.1, 0.9)


@dataclass(frozen=True)
class Rows:
    """Rows with their source, as a person named it; `notes` is what was done to them, one line each."""

    frame: pd.DataFrame
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """Rows whose true answer is known, and what a model says of them, side by side.

    Attributes
    ----------
    places: (n,) the position of each in what was read.
    truth: class numbers (n,), -1 for a class that training never saw; (n, k) of 0 and 1 for several labels a row;
        values (n,) else.
    predicted: probabilities (n, k), or values (n,).
    labels: class numbers (n,) as the model decides them, (n, k) of 0 and 1 for several labels; None for values.
    weights: (n,) what each row counts; None where each counts one.
    series, steps: of forecasts: the number of each row's series, and how many periods ahead it was forecast.
    keys: the series that there are, by number; of some rows only, all the same.
    notes: what was left out, one line each.
    """

    places: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    labels: np.ndarray | None = None
    weights: np.ndarray | None = None
    series: np.ndarray | None = None
    steps: np.ndarray | None = None
    keys: tuple[Key, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def said(self) -> np.ndarray:
        """The labels of a classifier's answers."""
        assert self.labels is not None
        return self.labels

    @property
    def numbers(self) -> np.ndarray:
        """The series of a forecast's rows."""
        assert self.series is not None
        return self.series

    @property
    def steps_ahead(self) -> np.ndarray:
        """The steps of a forecast's rows."""
        assert self.steps is not None
        return self.steps

    def taken(self, rows: np.ndarray) -> Answers:
        """Some of them, in the order given; a row may be there more than once."""
        return replace(
            self,
            places=self.places[rows],
            truth=self.truth[rows],
            predicted=self.predicted[rows],
            labels=None if self.labels is None else self.labels[rows],
            weights=None if self.weights is None else self.weights[rows],
            series=None if self.series is None else self.series[rows],
            steps=None if self.steps is None else self.steps[rows],
        )


def read(model: LoadedModel, data: Data, target: bool, *others: LoadedModel) -> Rows:
    """The rows of a file, an MLTable or a frame.

    Parameters
    ----------
    target: whether rows must have the target: those without are left out then.
    others: models that are asked for the same rows, and what they need.

    Raises InputError for a file that can't be read, columns that are not there or hold nothing of their type, and no
    row that is left.
    """
    if isinstance(data, pd.DataFrame):
        frame, source = data.reset_index(drop=True), "the frame"
    elif not isinstance(data, str | Path):
        kind = type(data).__name__
        raise InputError(f"takes no {kind}", where="data", fix="give a data file, an MLTable's folder, or a DataFrame")
    else:
        source = str(data)
        days = tuple(column["name"] for column in model.schema["columns"] if column.get("days"))
        frame = _as_trained(model, data, load_table(data, ReadOptions(days=days)).frame, target)
    needed = [name for one in (model, *others) for name in one.columns] + ([model.target] if target else [])
    missing = [name for name in dict.fromkeys(needed) if name not in frame.columns]
    if missing:
        raise InputError(
            f"lacks {'the target' if missing == [model.target] else 'columns of the model'}: {listed(missing)}",
            where=source,
            fix=_how_to_add(missing, [str(name) for name in frame.columns if name not in needed]),
        )
    notes = tuple(_unread((model, *others), frame, source))
    if not target:
        return Rows(frame, source, notes)
    known = frame[model.target].notna()
    if not known.any():
        raise InputError(f"no row has a value of {shown(model.target)!r}", where=source, fix="give rows with it")
    lost = int((~known).sum())
    if lost:
        notes = (*notes, f"{lost:,} rows without {shown(model.target)!r} are left out")
    return Rows(frame[known].reset_index(drop=True), source, notes)


def _unread(models: Sequence[LoadedModel], frame: pd.DataFrame, source: str) -> Iterator[str]:
    """What of the models' columns is not of their type, which to a model is missing, a line a column.

    Raises InputError where that is every value of a column.
    """
    kinds = {(one["name"], one["type"]) for model in models for one in model.schema["columns"] if one["used"]}
    for name, kind in sorted(kinds):
        if kind not in _NO_SUCH or name not in frame.columns:
            continue
        column = frame[name]
        there = column.notna()
        lost = there & InputFrame([(name, kind)]).fit_transform(frame[[name]])[name].isna()
        if not lost.any():
            continue
        many, one = _NO_SUCH[kind]
        if lost.sum() == there.sum():
            row = int(np.flatnonzero(lost)[0])
            raise InputError(
                f"no value of {shown(name)!r} is {one}: row {row + 1} has {shown(column.iloc[row])!r}",
                where=source,
                fix="give values like those of the training, without units or other signs",
            )
        yield f"{int(lost.sum()):,} values of {shown(name)!r} are {many}: they count as missing"


_NO_SUCH = {
    ColumnType.NUMERIC: ("no numbers", "a number"),
    ColumnType.DATETIME: ("no times", "a time"),
    ColumnType.BOOLEAN: ("neither true nor false", "true or false"),
}


def _as_trained(model: LoadedModel, data: Path | str, frame: pd.DataFrame, target: bool) -> pd.DataFrame:
    """Words stay words where the model learned words, whatever these rows look like by themselves: dates, say.

    A category may have been learned from numbers or dates, too: it is read in the way that meets more of what is known.
    """
    kinds = (ColumnType.CATEGORICAL, ColumnType.TEXT)
    known = {one["name"]: one.get("values") for one in model.schema["columns"] if one["used"] and one["type"] in kinds}
    # Lists of labels stay as they are written: 1,2 are two labels, not a number.
    lists = [model.target] if target and model.measure.multilabel else []
    doubtful = [name for name in (*known, *lists) if name in frame and not pd.api.types.is_string_dtype(frame[name])]
    if not doubtful:
        return frame
    words = load_table(data, ReadOptions(types=dict.fromkeys(doubtful, ColumnType.TEXT))).frame

    def met(name: str, column: pd.Series) -> int:
        return int(column.map(category_text).isin(known[name]).sum())

    return frame.assign(
        **{
            name: words[name]
            for name in doubtful
            if not known.get(name) or met(name, words[name]) >= met(name, frame[name])
        }
    )


def _how_to_add(missing: list[str], others: list[str]) -> str:
    pairs = [(found[0], name) for name in missing if (found := closest(name, others, count=1))]
    if not pairs:
        return f"add the columns; it has {listed(others)}" if others else "add the columns"
    renamed = ", ".join(f"{shown(there)!r} to {shown(name)!r}" for there, name in pairs)
    return f"rename {renamed}, if that is what they hold"


def answers(model: LoadedModel, rows: Rows) -> Answers:
    """What a model says of rows whose target is known. Forecasts are asked by `ahead.answers`."""
    frame = rows.frame
    if model.measure.multilabel:
        return _several_labels(model, rows)
    weights, notes = _weights(model, rows)
    if model.classes is None:
        truth = pd.to_numeric(frame[model.target], errors="coerce").to_numpy(dtype="float64")
        if not np.isfinite(truth).all():
            row = int(np.flatnonzero(~np.isfinite(truth))[0])
            raise InputError(
                f"row {row + 1} has {shown(frame[model.target].iloc[row])!r} as {shown(model.target)!r}, which is no "
                "number",
                where=rows.source,
                fix="correct the data",
            )
        said = np.asarray(model.model.predict(frame), dtype="float64")
        return Answers(_all(rows), truth, said, weights=weights, notes=notes)
    truth = _class_numbers(frame[model.target], model.classes)
    unseen = int((truth < 0).sum())
    if unseen:
        notes = (*notes, f"{unseen:,} rows have a class that training never saw: they count as missed")
    if not model.probabilities:
        said = _class_numbers(pd.Series(model.model.predict(frame)), model.classes)
        certain = np.eye(len(model.classes))[said]
        return Answers(_all(rows), truth, certain, said, weights, notes=notes)
    probabilities = np.asarray(model.model.predict_proba(frame), dtype="float64")
    return Answers(_all(rows), truth, probabilities, _decided(model, frame, probabilities), weights, notes=notes)


def _weights(model: LoadedModel, rows: Rows) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """What each row counts, as in the job's own scores, and the notes of the rows with what that is.

    Raises InputError for a column that holds no weights.
    """
    name = model.measure.weights
    if not name:
        return None, rows.notes
    if name not in rows.frame.columns:
        return None, (*rows.notes, f"there is no column {shown(name)!r} with the rows' weights: each row counts one")
    wrong = wrong_weights(rows.frame[name])
    if wrong:
        raise InputError(f"the weight column {shown(name)!r} {wrong}", where=rows.source, fix=WEIGHTS_ARE)
    return rows.frame[name].to_numpy(dtype="float64"), (*rows.notes, f"rows count by their weight in {shown(name)!r}")


def _all(rows: Rows) -> np.ndarray:
    return np.arange(len(rows.frame))


def _decided(model: LoadedModel, frame: pd.DataFrame, probabilities: np.ndarray) -> np.ndarray:
    """Class numbers as a model says them."""
    assert model.classes is not None
    if hasattr(model.model, "steps") and not model.schema.get("foreign"):
        said = decide.labels(model.model, probabilities)
        return probabilities.argmax(axis=1) if said is None else said
    return _class_numbers(pd.Series(model.model.predict(frame)), model.classes)


def _class_numbers(labels: pd.Series[Any], classes: list[Any]) -> np.ndarray:
    """The number of each label among the classes, -1 for none of them; 1, 1.0 and "1" are one label."""
    number = {(type(label), label): place for place, label in enumerate(classes)}

    def find(label: Any) -> int:
        plain = plain_label(label)
        place = number.get((type(plain), plain))
        if place is None:
            meant = find_label(str(category_text(plain)), classes)
            place = number[type(plain), plain] = -1 if meant is None else classes.index(meant)
        return place

    return np.array([find(label) for label in labels.array], dtype=int)


def _several_labels(model: LoadedModel, rows: Rows) -> Answers:
    assert model.classes is not None
    try:
        parsed = label_lists.parse(rows.frame[model.target])
    except label_lists.BadLabels as error:
        raise InputError(
            f"row {error.row + 1} of {shown(model.target)!r} {shown(str(error), 200)}",
            where=rows.source,
            fix="write each row as a list, such as ['sports', 'real estate']",
        ) from error
    unseen = [label for label in parsed.classes if label not in model.classes]
    notes = rows.notes
    if unseen:
        notes = (*notes, f"labels that training never saw are passed over: {listed(unseen)}")
    truth = np.asarray(label_lists.indicator(parsed.rows, model.classes))
    said = np.asarray(label_lists.indicator(model.model.predict(rows.frame), model.classes))
    probabilities = np.asarray(model.model.predict_proba(rows.frame), dtype="float64")
    return Answers(_all(rows), truth, probabilities, said, notes=notes)


def predict(
    model: LoadedModel, data: Data, probabilities: bool = False, say: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    """The rows of `data` with what the model says of each, in their order.

    Adds `prediction`: a label, a list of labels, or a number. Rows of a forecast whose target is known are history;
    beside the others stand `prediction_0.1` and `prediction_0.9`, where the model has quantiles.

    Parameters
    ----------
    data: see the package. probabilities: adds `probability_CLASS` for each class. say: is told what can't be read.

    Raises InputError for rows that the model can't take.
    """
    rows = read(model, data, target=False)
    for note in rows.notes:
        say(note)
    frame = rows.frame
    if model.task == "forecasting":
        return _forecast(model, rows)
    found: dict[str, Any] = {PREDICTION: list(model.model.predict(frame))}
    if probabilities:
        if model.classes is None or not model.probabilities:
            raise InputError(f"{model.label} gives no probabilities", where="--probabilities", fix="leave it out")
        values = np.asarray(model.model.predict_proba(frame), dtype="float64")
        found |= {f"{PROBABILITY}{label}": values[:, place] for place, label in enumerate(model.classes)}
    return _beside(rows, found)


def _forecast(model: LoadedModel, rows: Rows) -> pd.DataFrame:
    from automl_jobs.evaluate.ahead import told

    levels = QUANTILES if model.model.spread is not None else ()
    with told(rows.source):
        said = model.model.forecast(rows.frame, levels)
    return _beside(rows, {PREDICTION: said["forecast"], **{f"{PREDICTION}_{level}": said[level] for level in levels}})


def _beside(rows: Rows, found: dict[str, Any]) -> pd.DataFrame:
    taken = [name for name in found if name in rows.frame.columns]
    if taken:
        raise InputError(f"has a column {taken[0]!r} already", where=rows.source, fix="give it another name")
    return pd.concat([rows.frame, pd.DataFrame(found, index=rows.frame.index)], axis=1)
