"""Trains trial 7 of job calm_bay_x8k2m1 again: LightGBM.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python train.py

The score of the job's validation rows is printed, the model fitted on all rows is written to model.pkl.
Beside this file lie rows.parquet (the columns that the model reads), folds.npz (the target, and which rows train and
judge), settings.json (all names and numbers that come from the data or the job) and forestay_*.py, the transformers.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, early_stopping
from scipy.sparse import issparse
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline

from forestay_transformers import (
    CategoryCodes,
    Columns,
    DateParts,
    InputFrame,
    LabelledClassifier,
    ServedPipeline,
    Side,
    TextTargetEncoder,
    calibrated,
    decided,
    full_probabilities,
)

HERE = Path(__file__).resolve().parent
SETTINGS = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
COLUMNS = SETTINGS["columns"]  # of each block of features
VALUES = SETTINGS["values"]  # what the job file says of imputers and words
CLASSES = SETTINGS["classes"]
MAX_ROUNDS = 3000

ARRAYS = np.load(HERE / "folds.npz", allow_pickle=False)
TARGET = ARRAYS["target"]  # class numbers: places in CLASSES
FOLDS = [(ARRAYS[f"train_{fold}"], ARRAYS[f"valid_{fold}"]) for fold in range(3)]
RAW = pd.read_parquet(HERE / "rows.parquet")
READER = InputFrame(SETTINGS["types"]).fit(RAW)
ROWS = READER.transform(RAW)  # every column in its type


# Trial 7: LightGBM on Scale


def features():
    """Features that need no target."""
    return Columns(
        [
            (
                "categorical0",
                make_pipeline(
                    SimpleImputer(
                        strategy="constant",
                        fill_value=VALUES[0],
                        keep_empty_features=True,
                    ).set_output(transform="pandas"),
                    CategoryCodes(),
                ),
                COLUMNS["categorical0"],
            ),
            ("numeric0", make_pipeline("passthrough"), COLUMNS["numeric0"]),
            ("datetime", make_pipeline(DateParts()), COLUMNS["datetime"]),
        ],
        sparse_threshold=0.0,
        verbose_feature_names_out=False,
    )


def target_features():
    """Features that learn from the target: they see the training rows of a fold only."""
    return Columns(
        [("text0", TextTargetEncoder(min_df=1), COLUMNS["target_text0"])],
        sparse_threshold=0.0,
        verbose_feature_names_out=False,
    )


def estimator(rounds):
    return LGBMClassifier(
        num_leaves=8,
        learning_rate=0.05,
        n_estimators=rounds,
        subsample=0.7,
        subsample_freq=1,
        random_state=0,
        n_jobs=2,
        verbose=-1,
        deterministic=True,
        force_col_wise=True,
    )


def fit(X, y, train, weights, valid, rounds):
    """Fit on rows `train`; without rows `valid`, by which it stops, for so many rounds."""
    model = estimator(rounds)
    stop = {}
    if valid is not None:
        stop = {"eval_X": X[valid], "eval_y": y[valid], "callbacks": [early_stopping(60, verbose=False)]}
        stop["eval_sample_weight"] = [weights[valid]]
    shares = None if weights is None else weights[train]
    return model.fit(X[train], y[train], sample_weight=shares, categorical_feature=list(range(1)), **stop)


@dataclass(frozen=True)
class Trial:
    """A pipeline: its functions from above, and what was chosen for it on held-out rows."""

    number: str
    fit: Callable[..., Any]
    features: Callable[[], Any] | None = None
    target_features: Callable[[], Any] | None = None
    rounds: int | None = None  # of a booster, as the job found them
    class_weights: bool = False  # every class counts alike in its fit

    @property
    def weight(self):
        """What it counts for in the mean of all trials."""
        return float(SETTINGS["trials"][self.number]["weight"])

    @property
    def calibration(self):
        """What sets its probabilities right."""
        return SETTINGS["trials"][self.number]["calibration"]


TRIALS = [
    Trial("7", fit, features, target_features=target_features, rounds=80, class_weights=True),
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
    """A fitted estimator, the class numbers that it knows, and what takes its class weights out again."""

    model: Any
    known: np.ndarray
    correction: dict[str, Any] | None = None

    def predict(self, trial, X):
        """Probabilities (n, k)."""
        found = full_probabilities(self.model, X, len(CLASSES), self.known.tolist())
        return calibrated(calibrated(found, self.correction), trial.calibration)


def fitted(trial, X, train, valid, rounds):
    """The trial's estimator, fitted on rows `train`; a booster stops by rows `valid`."""
    known = np.unique(TARGET[train])
    y = np.searchsorted(known, TARGET)
    if valid is not None:  # a class that is not trained on can't be judged
        valid = valid[np.isin(TARGET[valid], known)]
    weights = None
    correction = None
    if trial.class_weights:
        sizes = np.bincount(TARGET[train], minlength=len(CLASSES))
        there = sizes > 0
        factors = np.where(there, sizes.sum() / (there.sum() * np.where(there, sizes, 1.0)), 1.0)
        weights = factors[TARGET]
        correction = {"slope": 1.0, "shifts": (-np.log(factors)).tolist(), "floor": 0.0}
    model = trial.fit(X, y, train, weights, valid, rounds)
    return Fitted(model, known, correction)


def held_out(trial):
    """What the trial says of the validation rows of all folds, each time by a model that has not seen them."""
    said = []
    for train, valid in FOLDS:
        _, X = matrix(trial, np.arange(len(ROWS)), train)
        said.append(fitted(trial, X, train, valid, MAX_ROUNDS).predict(trial, X[valid]))
    return np.concatenate(said)


def labels_of(probabilities):
    """Class numbers. A row's label is decided by a rule that other rows chose: its own would promise too much."""
    labels = decided(probabilities, SETTINGS["decision"])
    for number, rule in enumerate(SETTINGS["rules"]):
        rows = ARRAYS["part"] == number
        labels[rows] = decided(probabilities[rows], rule)
    return labels


def metric(truth, predicted, labels):
    """accuracy of one fold."""
    return float(accuracy_score(truth, labels))


def score():
    """The primary metric of the mean of all trials, averaged over the folds."""
    predicted = sum(trial.weight * held_out(trial) for trial in TRIALS)
    labels = labels_of(predicted)
    found, start = [], 0
    for _, valid in FOLDS:
        part = slice(start, start + len(valid))
        start += len(valid)
        found.append(metric(TARGET[valid], predicted[part], labels[part]))
    return float(np.mean(found))


def model():
    """The pipeline that reads raw rows, fitted on all rows."""
    parts = []
    for trial in TRIALS:
        train = np.arange(len(ROWS))
        features, X = matrix(trial, train, train)
        found = fitted(trial, X, train, None, trial.rounds)
        rule = joined(found.correction, trial.calibration)
        last = LabelledClassifier(found.model, CLASSES, found.known.tolist(), rule, SETTINGS["decision"])
        parts.append((features, last, trial.weight))
    features, last, _ = parts[0]
    return ServedPipeline([("input", READER), ("features", features), ("model", last)])


def joined(first, then):
    """One calibration that does what two do, one after the other."""
    if first is None or then is None:
        return first or then
    shifts = then["slope"] * np.asarray(first["shifts"]) + np.asarray(then["shifts"])
    return {"slope": first["slope"] * then["slope"], "shifts": shifts.tolist(), "floor": then["floor"]}


if __name__ == "__main__":
    print(f"accuracy {score():.6f}, in the job {SETTINGS['score']:.6f}")
    joblib.dump(model(), HERE / "model.pkl", compress=3)
    print("the model is in", HERE / "model.pkl")
