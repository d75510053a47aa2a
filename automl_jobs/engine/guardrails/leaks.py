"""What makes a model look too good: leaked targets, repeated rows, entities and dates on both sides of a split.

Every test is on the safe side: an ordinary table raises no alarm. Large tables are sampled, by value where rows have to
be found again (all rows with a value are kept or none), else at random with a fixed seed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_jobs.data import ColumnType
from automl_jobs.engine.guardrails.guardrail import ALERTED, PASSED, Guardrail
from automl_jobs.prepare.findings import listed
from automl_jobs.prepare.uses import TEXT_TASKS
from forestay.documents.names import shown

if TYPE_CHECKING:
    from automl_jobs.prepare import Prepared

LEAK_ROWS, LEAK_LEAST_ROWS, LEAK_SECONDS = 10_000, 40, 3.0
# A share of what a constant answer leaves open. The best single columns of well-known tables (the petals of irises, the
# odor of mushrooms, the size of diamonds) stay below.
LEAK_OF_ERRORS, LEAK_OF_VARIANCE = 0.975, 0.985
REPEATED_ROWS, REPEATED_SHARE, REPEATED_LEAST, REPEATED_BITS = 100_000, 0.01, 5, 10.0
REPEATED_IN_TRAINING = 0.02
# How many times more rows than chance explains are found again; and, where none is there twice, how many may well have
# been (the rule of three: nothing in n tries is likely where the rate is below 3/n).
REPEATED_BEYOND_CHANCE, NONE_SEEN = 5.0, 3.0
ENTITY_LEAST, ENTITY_ROWS_EACH, ENTITY_STRADDLING = 10, 1.5, 0.05
# How alike the targets of one entity must be: by a column called like one, or by one whose values only look like it.
AGREEMENT_NAMED, AGREEMENT_UNNAMED = 0.25, 0.5
TIME_LEAST_DATES = 10
ID_NAME = re.compile(
    r"(^|_)(id|ids|uid|guid|uuid|ident|identifier|key|nr|num|no|number|customer|client|user|patient|subject|person|"
    r"member|account|acct|student|pupil|employee|participant|household|family|device|machine|vehicle|vin|serial|session|"
    r"visitor|store|shop|merchant|sensor|unit|ssn|iban|email|mail|phone)s?($|_)"
)
ID_VALUE = re.compile(r"(?=.*\d)[\w.@:-]{3,40}")
BIRTH = re.compile(r"(^|_)(dob|birth|birthday|birthdate|born)($|_)")


def _words(name: str) -> str:
    """A column's name in lower case with underscores between words: CustomerID -> customer_id."""
    parts = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3_\2\4", name)
    return re.sub(r"\W+", "_", parts).lower()


def target_leakage(prepared: Prepared) -> Guardrail:
    """Whether one column alone tells the target: learned on half of a sample, tried on the other half."""
    name = "Target leakage detection"
    assert prepared.train is not None
    spec = prepared.loaded.spec
    frame = prepared.train.frame
    entity = set(_candidates(prepared))  # which tell the target in another way: see `entities`
    used = [use for use in prepared.columns if use.used and use.type is not ColumnType.TEXT and use.name not in entity]
    if len(used) < 2 or len(frame) < LEAK_LEAST_ROWS:
        return Guardrail(name, PASSED, "too few columns or rows to tell a leak from a good feature")
    classification = spec.task != "regression"
    draw = np.random.default_rng(0)
    rows = draw.permutation(len(frame))[: max(1_000, min(LEAK_ROWS, 1_000_000 // len(used)))]
    target = frame[spec.target_column_name].iloc[rows]
    # Ranks: of a value with a long tail the few largest would decide, and no tree reaches beyond what it has seen.
    values = pd.factorize(target)[0] if classification else target.rank(pct=True).to_numpy(dtype="float64")
    half = np.arange(len(rows)) < len(rows) // 2
    started, tested = time.monotonic(), 0
    leaking: list[dict[str, Any]] = []
    for use in used:
        if time.monotonic() - started > LEAK_SECONDS:
            break
        tested += 1
        score = _told_alone(frame[use.name].iloc[rows], str(use.type), values, half, classification)
        if score >= (LEAK_OF_ERRORS if classification else LEAK_OF_VARIANCE):
            leaking.append({"column": use.name, "explained": round(float(score), 4)})
    if not leaking:
        what = "" if tested == len(used) else f" ({tested} of {len(used)} columns were tried)"
        return Guardrail(name, PASSED, f"no column tells the target on its own{what}")
    columns = listed(row["column"] for row in leaking)
    return Guardrail(
        name,
        ALERTED,
        f"{columns} alone {'tells' if len(leaking) == 1 else 'tell'} nearly all of {shown(spec.target_column_name)!r}: "
        "it may have been written down after the outcome was known",
        tuple(leaking),
        "unless it is known when predictions are made, take it out: column_name_and_types: {COLUMN: Ignore}, or "
        "drop_columns in the MLTable",
    )


def _told_alone(column: pd.Series[Any], kind: str, target: np.ndarray, half: np.ndarray, classification: bool) -> float:
    """The share of errors (or of variance) of a constant answer that this column alone removes; each half once held."""
    if kind in ("categorical", "boolean"):
        levels = pd.factorize(column)[0]
    else:
        numbers = column.astype("int64" if kind == "datetime" else "float64").to_numpy(dtype="float64")
        levels = np.where(column.isna(), np.nan, numbers)
    answered = np.empty(len(target), dtype=target.dtype)
    for fitted in (half, ~half):
        answered[~fitted] = _answers(levels, kind, target, fitted, classification)
    if classification:
        base = 1 - np.bincount(target).max() / len(target)
        wrong = float((answered != target).mean())
        # A class too rare to be learned is no proof either way: the larger classes must be told apart as well.
        return 1 - wrong / base if base > 0 else 0.0
    spread = float(target.var())
    return 1 - float(((answered - target) ** 2).mean()) / spread if spread > 0 else 0.0


def _answers(levels: np.ndarray, kind: str, target: np.ndarray, fitted: np.ndarray, classification: bool) -> np.ndarray:
    known, truth, asked = levels[fitted], target[fitted], levels[~fitted]
    constant = np.bincount(truth).argmax() if classification else truth.mean()
    if kind in ("categorical", "boolean"):
        groups = pd.Series(truth).groupby(known)
        table = groups.agg(lambda part: part.value_counts().index[0]) if classification else groups.mean()
        answers: np.ndarray = pd.Series(asked).map(table).fillna(constant).to_numpy(dtype=target.dtype)
        return answers
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if classification:
        tree: Any = DecisionTreeClassifier(max_leaf_nodes=max(8, 3 * len(np.unique(truth))), random_state=0)
    else:
        tree = DecisionTreeRegressor(max_leaf_nodes=256, random_state=0)
    predicted: np.ndarray = tree.fit(known[:, None], truth).predict(asked[:, None])
    return predicted


def repeated_rows(prepared: Prepared) -> Guardrail:
    """Rows that training and validation (or test) data share: features and target, all equal."""
    name = "Repeated rows detection"
    assert prepared.train is not None
    spec = prepared.loaded.spec
    names = [*(use.name for use in prepared.columns if use.used), spec.target_column_name]
    train = prepared.train.frame[names]
    pairs = [
        (key, table.frame[names])
        for key, table in (("validation_data", prepared.validation), ("test_data", prepared.test))
        if table is not None
    ]
    key_column = max(
        names[:-1], key=lambda column: train[column].nunique() if len(train) <= 1e5 else _spread(train, column)
    )
    found = []
    for key, other in pairs:
        kept_train, kept = _same_values(train, key_column, len(train)), _same_values(other, key_column, len(train))
        found.append((key, *_met(kept, kept_train)))
    if prepared.validation is None and not spec.cv_split_column_names:
        kept = _same_values(train, key_column, len(train))
        hit = pd.Series(_hashes(kept)).duplicated(keep=False).to_numpy()
        found.append(("training_data", *_counted(kept, hit, kept)))
    repeated = [
        {"data": key, "rows": rows, "share": round(share, 6)}
        for key, rows, share in found
        if rows >= REPEATED_LEAST and share >= (REPEATED_IN_TRAINING if key == "training_data" else REPEATED_SHARE)
    ]
    if not repeated:
        return Guardrail(name, PASSED, "the rows that models are scored on are not those they are trained on")
    parts = []
    for row in repeated:
        if row["data"] == "training_data":
            parts.append(f"{row['share']:.1%} of the training rows are there more than once, and folds part them")
        else:
            parts.append(f"{row['share']:.1%} of the rows of {row['data']} are in the training data too")
    return Guardrail(
        name,
        ALERTED,
        "; ".join(parts) + ": scores on them are too good",
        tuple(repeated),
        "remove repeated rows, or keep rows that belong together on one side of the split (cv_split_column_names)",
    )


def repeated(rows: pd.DataFrame, among: pd.DataFrame) -> int:
    """How many of the rows are among the others too; 0 where chance explains it. Both have the same columns."""
    return _met(rows, among)[0]


def _met(rows: pd.DataFrame, among: pd.DataFrame) -> tuple[int, float]:
    """How many of the rows are among the others too, and their share; 0 where chance explains it.

    Each row may be surprising by itself, or, in a narrow table where none is, their number.
    """
    hashes = _hashes(among)
    hit = np.isin(_hashes(rows), hashes)
    whole = int(hit.sum())
    if whole >= REPEATED_LEAST and whole > REPEATED_BEYOND_CHANCE * _by_chance(rows, among, hashes):
        return whole, whole / len(rows)
    return _counted(rows, hit, among)


def _by_chance(rows: pd.DataFrame, among: pd.DataFrame, hashes: np.ndarray) -> float:
    """How many of the rows chance alone would find among the others, of these hashes: the larger of two estimates.

    One takes each column's values as drawn for themselves; the other the share of rows that the others hold twice,
    which is right where columns follow from each other, and says little where somebody has removed equal rows.
    """
    drawn = np.ones(len(rows))
    for column in rows.columns:
        values, others = rows[column], among[column]
        chances = values.map(_chances(others)).fillna(0.0).to_numpy(dtype="float64")
        drawn *= np.where(values.isna(), others.isna().mean(), chances)
    twice = pd.Series(hashes).duplicated(keep=False).sum()
    return max(float(np.minimum(1.0, len(among) * drawn).sum()), (twice + NONE_SEEN) / len(among) * len(rows))


def _chances(column: pd.Series[Any]) -> pd.Series[Any]:
    """How likely the next row has a value: its share, but for values met once the estimate of Good and Turing.

    Of numbers that hardly repeat the next one is most likely none of those that are there.
    """
    counts = column.value_counts()
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    chances = counts / len(column)
    if once:
        chances[counts == 1] = min(1.0, max(1, 2 * twice) / once) / len(column)
    return chances


def _spread(frame: pd.DataFrame, column: str) -> int:
    return int(frame[column].iloc[:20_000].nunique())


def _hashes(frame: pd.DataFrame) -> np.ndarray:
    return pd.util.hash_pandas_object(frame, index=False).to_numpy()


def _same_values(frame: pd.DataFrame, column: str, rows: int) -> pd.DataFrame:
    """A sample of a large table that keeps equal rows together: by the values of one column."""
    if rows <= REPEATED_ROWS:
        return frame
    keep = _hashes(frame[[column]]) % np.uint64(-(-rows // REPEATED_ROWS)) == 0
    return frame[keep]


def _counted(rows: pd.DataFrame, hit: np.ndarray, among: pd.DataFrame) -> tuple[int, float]:
    """How many of the rows were met elsewhere, and their share; 0 where chance explains it.

    In a table of a few categories equal rows are no wonder. A row's surprise is the sum over its columns of -log2 of
    the share of its value: beyond log2(rows) bits it is unlikely to be there twice.
    """
    count = int(hit.sum())
    if count == 0 or count < REPEATED_SHARE * len(rows):
        return count, count / max(1, len(rows))
    bits = np.zeros(count)
    for column in rows.columns:
        shares = among[column].value_counts(normalize=True, dropna=False)
        # A value that repeated rows share occurs twice by that very repetition.
        bits -= np.log2(np.minimum(1.0, rows[column][hit].map(shares).fillna(1.0).to_numpy(dtype="float64")))
    surprising = int((bits >= np.log2(max(2, len(among))) + REPEATED_BITS).sum())
    return surprising, surprising / len(rows)


def entities(prepared: Prepared) -> Guardrail:
    """A column that names who or what a row is about, where the rows of one share the target and splits part them."""
    name = "Repeated entity detection"
    found = [row for row in (_entity(prepared, column) for column in _candidates(prepared)) if row]
    found.sort(key=lambda row: -row["agreement"])
    if not found:
        return Guardrail(name, PASSED, "no column was found whose values repeat and whose rows share the target")
    first = found[0]
    column = first["column"]
    return Guardrail(
        name,
        ALERTED,
        f"{shown(column)!r} names {first['entities']:,} entities of {first['rows_each']:.3g} rows each that share the "
        "target, and the same ones are trained and validated on: scores of new ones will be worse",
        tuple(found),
        _offer(prepared, "--group", column),
    )


def _offer(prepared: Prepared, flag: str, column: str) -> str:
    import shlex

    if prepared.loaded.spec.task in TEXT_TASKS:  # which takes no fold columns
        return "give rows of other entities, or later ones, as validation_data"
    words = ["forestay", "job", "split", prepared.loaded.path.name, flag, column, "--to", "FOLDER"]
    return f"split by it, as cv_split_column_names: {shown(shlex.join(words), 200)}"


def _candidates(prepared: Prepared) -> Iterable[str]:
    """Columns that look like the name of an entity, by their own name or their values, and repeat."""
    assert prepared.train is not None
    spec = prepared.loaded.spec
    taken = {spec.target_column_name, spec.weight_column_name, *(spec.cv_split_column_names or ())}
    rows = len(prepared.train.frame)
    for column in prepared.train.columns:
        if column.name in taken or column.type in (ColumnType.DATETIME, ColumnType.BOOLEAN, ColumnType.CONSTANT):
            continue
        if not ENTITY_LEAST <= column.distinct <= rows / ENTITY_ROWS_EACH:
            continue
        if ID_NAME.search(_words(column.name)):
            series = prepared.train.frame[column.name]
            whole = column.type is not ColumnType.NUMERIC or bool((series.dropna() % 1 == 0).all())
            if whole:
                yield column.name
        elif column.type in (ColumnType.CATEGORICAL, ColumnType.IDENTIFIER):
            sample = prepared.train.frame[column.name].dropna().iloc[:200].astype(str)
            if column.distinct >= rows**0.5 and all(ID_VALUE.fullmatch(value) for value in sample):
                yield column.name


def _entity(prepared: Prepared, column: str) -> dict[str, Any] | None:
    """What speaks against a random split by this column; None for nothing."""
    assert prepared.train is not None
    spec = prepared.loaded.spec
    frame = prepared.train.frame
    straddling = _straddling(prepared, column)
    if straddling < ENTITY_STRADDLING:
        return None
    known = frame[column].notna().to_numpy()
    groups = pd.factorize(frame[column][known])[0]
    target = frame[spec.target_column_name][known]
    values = pd.factorize(target)[0] if spec.task != "regression" else target.to_numpy(dtype="float64")
    agreement = _agreement(groups, values, spec.task != "regression")
    if agreement < (AGREEMENT_NAMED if ID_NAME.search(_words(column)) else AGREEMENT_UNNAMED):
        return None
    count = int(groups.max()) + 1
    return {
        "column": column,
        "entities": count,
        "rows_each": round(len(groups) / count, 2),
        "agreement": round(agreement, 4),
        "on_both_sides": round(straddling, 4),
    }


def _straddling(prepared: Prepared, column: str) -> float:
    """The share of validation rows whose entity is among the training rows; 1 for a random split."""
    assert prepared.train is not None
    spec = prepared.loaded.spec
    values = prepared.train.frame[column]
    if prepared.validation is not None:
        if column not in prepared.validation.frame.columns:
            return 0.0
        return float(prepared.validation.frame[column].isin(values.dropna().unique()).mean())
    shares = []
    for name in spec.cv_split_column_names or ():
        marks = prepared.train.frame[name].to_numpy(dtype="float64")
        shares.append(float(values[marks == 0].isin(values[marks == 1].unique()).mean()))
    return max(shares) if shares else 1.0


def _agreement(groups: np.ndarray, values: np.ndarray, classification: bool) -> float:
    """How much alike two rows of one group are, from 0 (as any two rows) to 1 (always the same target)."""
    sizes = np.bincount(groups)
    pairs = float((sizes * (sizes - 1.0)).sum())
    if pairs == 0:
        return 0.0
    if not classification:
        mean = values.mean()
        centred = values - mean
        sums = np.bincount(groups, weights=centred)
        squares = np.bincount(groups, weights=centred**2)
        variance = float(centred.var())
        return float((sums**2 - squares).sum() / pairs / variance) if variance > 0 else 0.0
    classes = int(values.max()) + 1
    cells = np.unique(groups.astype(np.int64) * classes + values, return_counts=True)[1].astype(float)
    same = float((cells * (cells - 1.0)).sum()) / pairs
    shares = np.bincount(values) / len(values)
    chance = float((shares**2).sum())
    return (same - chance) / (1 - chance) if chance < 1 else 0.0


def time_order(prepared: Prepared) -> Guardrail:
    """Rows with a date, split without regard to it."""
    name = "Time order detection"
    assert prepared.train is not None
    dated = [
        column.name
        for column in prepared.train.columns
        if column.type is ColumnType.DATETIME
        and column.distinct >= TIME_LEAST_DATES
        and not BIRTH.search(_words(column.name))
    ]
    if not dated:
        return Guardrail(name, PASSED, "no column says when a row happened")
    mixed = [column for column in dated if _mixed_in_time(prepared, column)]
    if not mixed:
        return Guardrail(name, PASSED, f"validation rows are not older than training rows ({listed(dated)})")
    column = mixed[0]
    return Guardrail(
        name,
        ALERTED,
        f"the rows are dated ({listed(mixed)}) and models are validated on rows as old as those they are trained on: "
        "scores of later rows may be worse",
        tuple({"column": mixed_column} for mixed_column in mixed),
        _offer(prepared, "--time", column),
    )


def _mixed_in_time(prepared: Prepared, column: str) -> bool:
    """Whether more than a few validation rows lie before the end of the training rows."""
    assert prepared.train is not None
    dates = prepared.train.frame[column]
    sides = []
    if prepared.validation is not None:
        if column not in prepared.validation.frame.columns:
            return False
        sides.append((dates, prepared.validation.frame[column]))
    for name in prepared.loaded.spec.cv_split_column_names or ():
        marks = prepared.train.frame[name].to_numpy(dtype="float64")
        sides.append((dates[marks == 1], dates[marks == 0]))
    if not sides:
        return True
    return any(bool((valid.dropna() < train.max()).mean() > ENTITY_STRADDLING) for train, valid in sides)
