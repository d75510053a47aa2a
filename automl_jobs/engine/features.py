"""From typed columns to the numbers that an algorithm learns from.

Two layouts: `linear` (one-hot, scaled, indicators for what was missing) and `tree` (category codes first, so that
boosters can be told which columns they are; missing stays missing). Text is TF-IDF in both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

    from automl_jobs.spec.sections import Featurization

LINEAR, TREE, COUNTS = "linear", "tree", "counts"
LAYOUTS = (LINEAR, TREE, COUNTS)
# A tree looks at each term as a column of its own: the most frequent few hundred carry what it can use.
TREE_TERMS = 300
LINEAR_TERMS = 50_000
FEW_ROWS = 200
IMPUTED = ("numeric", "boolean", "categorical")


@dataclass(frozen=True)
class FeatureSettings:
    """What the job file says about featurization, in the form that the layouts use.

    Attributes
    ----------
    columns: pairs (name, type) of the columns used.
    imputers: column name to the parameters of its imputer (strategy, fill_value).
    blocked: Azure's names of transformers that must not be used.
    """

    columns: tuple[tuple[str, str], ...]
    imputers: dict[str, dict[str, Any]] = field(default_factory=dict)
    blocked: frozenset[str] = frozenset()

    def of_type(self, *types: str) -> list[str]:
        return [name for name, kind in self.columns if kind in types]


def settings(columns: list[tuple[str, str]], featurization: Featurization | None) -> FeatureSettings:
    """The settings for these columns under the job file's `featurization` section."""
    imputers: dict[str, dict[str, Any]] = {}
    blocked: frozenset[str] = frozenset()
    if featurization is not None:
        blocked = frozenset(featurization.blocked_transformers)
        for entry in featurization.transformer_params.get("Imputer", ()):
            # Without `fields` the parameters are for every column.
            for name in entry.fields_ or [name for name, kind in columns if kind in IMPUTED]:
                imputers[name] = dict(entry.parameters)
    return FeatureSettings(tuple(columns), imputers, blocked)


def _imputer(parameters: dict[str, Any] | None, layout: str, numeric: bool) -> Any:
    from sklearn.impute import SimpleImputer

    if parameters:
        strategy = parameters.get("strategy", "mean")
        return SimpleImputer(
            # A category has no mean: the job file's default for all columns means the most frequent one here.
            strategy="most_frequent" if not numeric and strategy in ("mean", "median") else strategy,
            fill_value=parameters.get("fill_value"),
            keep_empty_features=True,
        )
    if numeric and layout != TREE:
        return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return "passthrough"


def _grouped(names: list[str], imputers: dict[str, dict[str, Any]]) -> list[tuple[dict[str, Any] | None, list[str]]]:
    """Columns that share an imputer's parameters, in the order they first come."""
    groups: dict[str, tuple[dict[str, Any] | None, list[str]]] = {}
    for name in names:
        parameters = imputers.get(name)
        groups.setdefault(repr(parameters), (parameters, []))[1].append(name)
    return list(groups.values())


def _vectorizer(layout: str, blocked: frozenset[str], rows: int) -> Any:
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    shared: dict[str, Any] = {
        "ngram_range": (1, 2),
        # A term seen once can't be learned from, and would carry a row's own words into the model.
        "min_df": 2 if rows >= FEW_ROWS else 1,
        "max_features": TREE_TERMS if layout == TREE else LINEAR_TERMS,
        "dtype": np.float32,
        # Letters and digits of any language; single characters count, as in "7 eleven".
        "token_pattern": r"(?u)\b\w+\b",
    }
    if layout == COUNTS or "TfIdf" in blocked:
        return CountVectorizer(binary=layout == COUNTS, **shared)
    return TfidfVectorizer(sublinear_tf=True, **shared)


def build(plan: FeatureSettings, layout: str, rows: int) -> ColumnTransformer:
    """The unfitted transformer of one layout for a table of `rows` rows; its input is what InputFrame gives.

    Category codes come first in the `tree` layout: see `categorical_positions`.
    """
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler

    from forestay_transformers import CategoryCodes, DateParts

    blocks: list[tuple[str, Any, Any]] = []
    onehot_blocked = "OneHotEncoder" in plan.blocked
    for number, (parameters, names) in enumerate(_grouped(plan.of_type("categorical"), plan.imputers)):
        steps = [_imputer(parameters, layout, numeric=False)]
        if layout == TREE or onehot_blocked:
            # An imputer answers with an array; the codes are looked up by column.
            if parameters:
                steps[0].set_output(transform="pandas")
            steps.append(CategoryCodes())
            if layout != TREE:
                steps.append(_imputer({"strategy": "constant", "fill_value": -1}, layout, numeric=True))
        else:
            steps.append(
                OneHotEncoder(
                    handle_unknown="infrequent_if_exist", min_frequency=2, max_categories=200, dtype=np.float32
                )
            )
        blocks.append((f"categorical{number}", make_pipeline(*steps), names))
    for number, (parameters, names) in enumerate(_grouped(plan.of_type("numeric", "boolean"), plan.imputers)):
        steps = [_imputer(parameters, layout, numeric=True)]
        if layout == LINEAR:
            steps.append(StandardScaler())
        elif layout == COUNTS:
            steps.append(KBinsDiscretizer(n_bins=8, encode="onehot", quantile_method="averaged_inverted_cdf"))
        blocks.append((f"numeric{number}", make_pipeline(*steps), names))
    dates = plan.of_type("datetime")
    if dates and layout != COUNTS:
        steps = [DateParts(cycles=layout == LINEAR)]
        if layout == LINEAR:
            steps += [_imputer(None, layout, numeric=True), StandardScaler()]
        blocks.append(("datetime", make_pipeline(*steps), dates))
    blocks += [
        # A single name, not a list: a vectorizer takes one column of text.
        (f"text{number}", _vectorizer(layout, plan.blocked, rows), name)
        for number, name in enumerate(plan.of_type("text"))
    ]
    return ColumnTransformer(blocks, sparse_threshold=0.0 if layout == TREE else 0.3, verbose_feature_names_out=False)


def categorical_positions(plan: FeatureSettings, layout: str) -> list[int]:
    """Which columns of the layout's output are category codes."""
    return list(range(len(plan.of_type("categorical")))) if layout == TREE else []


def describe(plan: FeatureSettings, layout: str) -> str:
    """The layout's name on the leaderboard: what is done to categories, numbers and texts, in this order."""
    words = []
    if layout == TREE:
        if plan.of_type("categorical"):
            words.append("Codes")
    else:
        if plan.of_type("categorical"):
            words.append("OneHot")
        if plan.of_type("numeric", "boolean", "datetime"):
            words.append("Scale" if layout == LINEAR else "Bins")
    if plan.of_type("text"):
        words.append("Counts" if layout == COUNTS or "TfIdf" in plan.blocked else "TfIdf")
    return "+".join(words) or "PassThrough"
