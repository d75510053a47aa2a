"""Trains trial 3 of job calm_bay_x8k2m1 again: StackEnsemble of 2 trials.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

The score of the job's validation rows is printed, the model fitted on the training rows is written to model.pkl.
Beside this file lie rows.parquet (the columns that the model reads), folds.npz (the target, and which rows train and
judge), settings.json (all names and numbers that come from the data or the job) and forestay_*.py, the transformers.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.compose import TransformedTargetRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

from forestay_transformers import (
    Columns,
    DateParts,
    InputFrame,
    LogTarget,
    MeanTarget,
    OneHot,
    ServedPipeline,
    Side,
    StackedRegressor,
    TextTargetEncoder,
    stack_features,
)

HERE = Path(__file__).resolve().parent
SETTINGS = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
COLUMNS = SETTINGS["columns"]  # of each block of features

ARRAYS = np.load(HERE / "folds.npz", allow_pickle=False)
TARGET = ARRAYS["target"]
FOLDS = [(ARRAYS[f"train_{fold}"], ARRAYS[f"valid_{fold}"]) for fold in range(1)]
RAW = pd.read_parquet(HERE / "rows.parquet")
READER = InputFrame(SETTINGS["types"]).fit(RAW)
ROWS = READER.transform(RAW)  # every column in its type


# Trial 3: ElasticNet on Scale


def features_3():
    """Features that need no target."""
    return Columns(
        [
            (
                "categorical0",
                make_pipeline(
                    "passthrough",
                    OneHot(
                        dtype=np.float32,
                        handle_unknown="infrequent_if_exist",
                        min_frequency=2,
                        max_categories=1000,
                    ),
                ),
                COLUMNS["3_categorical0"],
            ),
            (
                "numeric0",
                make_pipeline(
                    SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
                    StandardScaler(),
                ),
                COLUMNS["3_numeric0"],
            ),
            (
                "datetime",
                make_pipeline(
                    DateParts(cycles=True),
                    SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
                    StandardScaler(),
                ),
                COLUMNS["3_datetime"],
            ),
            (
                "text0_0",
                TfidfVectorizer(
                    token_pattern=r"(?u)\b\w+\b",
                    ngram_range=(1, 2),
                    min_df=2,
                    max_features=50000,
                    dtype=np.float32,
                    sublinear_tf=True,
                ),
                COLUMNS["3_text0_0"],
            ),
        ],
        verbose_feature_names_out=False,
    )


def estimator_3():
    return TransformedTargetRegressor(
        regressor=ElasticNet(alpha=0.001, max_iter=3000, random_state=0),
        transformer=StandardScaler(),
    )


def fit_3(X, y, train, rounds):
    model = estimator_3()
    return model.fit(X[train], y[train])


# Trial 5: XGBoostRegressor on Scale


def features_5():
    """Features that need no target."""
    return Columns(
        [
            ("numeric0", make_pipeline("passthrough"), COLUMNS["5_numeric0"]),
            ("datetime", make_pipeline(DateParts()), COLUMNS["5_datetime"]),
        ],
        sparse_threshold=0.0,
        verbose_feature_names_out=False,
    )


def target_features_5():
    """Features that learn from the target: they see the training rows of a fold only."""
    return Columns(
        [
            (
                "mean_target",
                MeanTarget(target_type="continuous", cv=KFold(n_splits=5, shuffle=True, random_state=0)),
                COLUMNS["5_target_mean_target"],
            ),
            ("text0", TextTargetEncoder(classification=False, min_df=1), COLUMNS["5_target_text0"]),
        ],
        sparse_threshold=0.0,
        verbose_feature_names_out=False,
    )


def estimator_5(rounds):
    return XGBRegressor(max_depth=4, n_estimators=rounds, n_jobs=2, random_state=0, tree_method="hist")


def fit_5(X, y, train, rounds):
    model = estimator_5(rounds)
    return model.fit(X[train], y[train], verbose=False)


@dataclass(frozen=True)
class Trial:
    """A pipeline: its functions from above, and what was chosen for it on held-out rows."""

    number: str
    fit: Callable[..., Any]
    features: Callable[[], Any] | None = None
    target_features: Callable[[], Any] | None = None
    rounds: int | None = None  # of a booster, as the job found them
    rows: int | None = None  # it saw so many training rows
    logarithm: bool = False  # it learns log(1 + target)


TRIALS = [
    Trial("3", fit_3, features_3, logarithm=True),
    Trial("5", fit_5, features_5, target_features=target_features_5, rounds=120, rows=100),
]


def matrix(trial, rows, train):
    """The fitted features, and what they make of every row.

    `rows` fit the part without the target, `train` the part with it, whose own rows are answered out of fold.
    """
    if trial.features is None:
        return "passthrough", np.zeros((len(ROWS), 1))
    plain = trial.features().fit(ROWS.iloc[rows])
    known = plain.transform(ROWS)
    known = known.tocsr() if issparse(known) else known
    if trial.target_features is None:
        return plain, known
    coder = trial.target_features()
    learned = coder.fit_transform(ROWS.iloc[train], TARGET[train])
    whole = np.empty((len(ROWS), known.shape[1] + learned.shape[1]), dtype=known.dtype)
    whole[:, : known.shape[1]] = known
    whole[train, known.shape[1] :] = learned
    others = np.setdiff1d(np.arange(len(ROWS)), train)
    if len(others):
        whole[others, known.shape[1] :] = coder.transform(ROWS.iloc[others])
    return Side([("plain", plain), ("target", coder)]), whole


@dataclass
class Fitted:
    """A fitted estimator."""

    model: Any

    def predict(self, trial, X):
        """Values (n,)."""
        return np.asarray(self.model.predict(X), dtype="float64")


def fitted(trial, X, train, rounds):
    """The trial's estimator, fitted on rows `train`."""
    y = np.log1p(TARGET) if trial.logarithm else TARGET
    model = trial.fit(X, y, train, rounds)
    return Fitted(LogTarget(model) if trial.logarithm else model)


@cache
def held_out(trial):
    """What the trial says of the validation rows of all folds, each time by a model that has not seen them."""
    said = []
    for train, valid in FOLDS:
        train = train[: trial.rows]
        _, X = matrix(trial, train, train)
        said.append(fitted(trial, X, train, trial.rounds).predict(trial, X[valid]))
    return np.concatenate(said)


def learner():
    """What learns from the members' answers, unfitted."""
    return TransformedTargetRegressor(
        regressor=make_pipeline(
            StandardScaler(),
            ElasticNet(alpha=0.01, max_iter=3000, positive=True, random_state=0),
        ),
        transformer=StandardScaler(),
    )


def learned(answers, rows):
    """The learner, fitted on what the members say of `rows`."""
    if len(rows) > 48:  # the job's learner saw no more
        kept = np.sort(np.random.default_rng(0).permutation(len(rows))[:48])
        answers, rows = [answer[kept] for answer in answers], rows[kept]
    return learner().fit(stack_features(answers), TARGET[rows])


def held_out_by_stack():
    """What learners say of the validation rows, each of a part of them that it was not fitted on."""
    answers = [held_out(trial) for trial in TRIALS]
    rows = np.concatenate([valid for _, valid in FOLDS])
    part = np.random.default_rng(0).permutation(len(rows)) % 5
    said = np.empty(answers[0].shape)
    for number in range(5):
        inside, outside = part == number, part != number
        last = learned([answer[outside] for answer in answers], rows[outside])
        said[inside] = last.predict(stack_features([answer[inside] for answer in answers]))
    return said


def metric(truth, predicted):
    """normalized_root_mean_squared_error of one fold."""
    error = root_mean_squared_error(truth, predicted)
    return float(np.clip(error / (TARGET.max() - TARGET.min()), 0, 1))


def score():
    """The primary metric of the stack, averaged over the folds."""
    predicted = held_out_by_stack()
    found, start = [], 0
    for _, valid in FOLDS:
        part = slice(start, start + len(valid))
        start += len(valid)
        found.append(metric(TARGET[valid], predicted[part]))
    return float(np.mean(found))


def model():
    """The pipeline that reads raw rows, fitted on the training rows, as the job's own is."""
    parts = []
    for trial in TRIALS:
        train = FOLDS[0][0][: trial.rows]
        features, X = matrix(trial, train, train)
        found = fitted(trial, X, train, trial.rounds)
        last = found.model
        parts.append((features, last))
    # Of each member: its features, its model, its number and its share.
    blocks = [(features, [(last, number, 1.0)]) for number, (features, last) in enumerate(parts)]
    answers, rows = [held_out(trial) for trial in TRIALS], np.concatenate([valid for _, valid in FOLDS])
    stack = StackedRegressor(blocks, learned(answers, rows))
    return ServedPipeline([("input", READER), ("model", stack)])


if __name__ == "__main__":
    print(f"normalized_root_mean_squared_error {score():.6f}, in the job {SETTINGS['score']:.6f}")
    joblib.dump(model(), HERE / "model.pkl", compress=3)
    print("the model is in", HERE / "model.pkl")
