"""From typed columns to the numbers that an algorithm learns from.

A layout is a way to do it: `linear` (one-hot, scaled, indicators for what was missing, TF-IDF of words), `chars` (also
TF-IDF of characters, for garbled text), `counts` (all of it counted or binned, for naive Bayes), `tree` (category
codes first, so that boosters can be told which columns they are) and `target` (categories as mean targets). In the last
two a text is what a linear model makes of it: see TextTargetEncoder.

A layout has a plain part, fitted without the target, and for some a part that needs it and is fitted in each fold anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from automl_jobs.spec import transformers

if TYPE_CHECKING:
    from automl_jobs.spec.sections import Featurization
    from forestay_transformers import Columns

LINEAR, CHARS, COUNTS, TREE, TARGET = "linear", "chars", "counts", "tree", "target"
FOR_LINES = (LINEAR, CHARS)
FOR_TREES = (TREE, TARGET)
LINEAR_TERMS, TOPICS = 50_000, 64
# So many categories of a column are counted one by one at most, the others together. Hashing as many columns' worth
# mixes frequent categories with rare ones, and was worse for linear models on every table that was tried. Trees take
# few columns, since theirs are dense.
COUNTED_LEVELS, COUNTED_FOR_TREES = 1_000, 200
FEW_ROWS = 200
# A category's mean target is told of rows that are not in the mean: it is taken of the other folds.
TARGET_FOLDS = 5
IMPUTED = ("numeric", "boolean", "categorical")


@dataclass(frozen=True)
class FeatureSettings:
    """What the job file says about featurization, in the form that the layouts use.

    Attributes
    ----------
    columns: pairs (name, type) of the columns used.
    imputers: column name to the parameters of its imputer (strategy, fill_value).
    blocked: Azure's names of transformers that must not be used.
    texts: text column to the parameters of its TF-IDF.
    hashed: categorical column to the bits of its hash, by which layouts that count categories tell them apart.
    """

    columns: tuple[tuple[str, str], ...]
    imputers: dict[str, dict[str, Any]] = field(default_factory=dict)
    blocked: frozenset[str] = frozenset()
    texts: dict[str, dict[str, Any]] = field(default_factory=dict)
    hashed: dict[str, int] = field(default_factory=dict)

    @property
    def topics(self) -> bool:
        """Whether trees see a text as topics of its TF-IDF, since what words tell of the target is blocked."""
        return bool(self.blocked & {"TextTargetEncoder", "NaiveBayes"})

    @property
    def onehot_trees(self) -> bool:
        """Whether trees see categories one by one, since codes are blocked and that is not."""
        return "LabelEncoder" in self.blocked and "OneHotEncoder" not in self.blocked

    def of_type(self, *types: str) -> list[str]:
        return [name for name, kind in self.columns if kind in types]


def settings(
    columns: list[tuple[str, str]], featurization: Featurization | None, levels: Mapping[str, int] | None = None
) -> FeatureSettings:
    """The settings for these columns under the job file's `featurization` section.

    Parameters
    ----------
    levels: how many categories columns have.
    """
    imputers: dict[str, dict[str, Any]] = {}
    texts: dict[str, dict[str, Any]] = {}
    blocked: frozenset[str] = frozenset()
    if featurization is not None:
        blocked = frozenset(featurization.blocked_transformers)
        for entry in featurization.transformer_params.get("Imputer", ()):
            # Without `fields` the parameters are for every column that they suit.
            suited = IMPUTED if transformers.fills_numbers(entry.parameters) else ("categorical",)
            for name in entry.fields_ or [name for name, kind in columns if kind in suited]:
                imputers[name] = dict(entry.parameters)
        for entry in featurization.transformer_params.get("TfIdf", ()):
            for name in entry.fields_ or [name for name, kind in columns if kind == "text"]:
                texts[name] = texts.get(name, {}) | transformers.tfidf(entry.parameters)
    hashed = hashed_columns([name for name, kind in columns if kind == "categorical"], featurization, levels or {})
    return FeatureSettings(tuple(columns), imputers, blocked, texts, hashed)


def hashed_columns(
    names: Sequence[str], featurization: Featurization | None, levels: Mapping[str, int]
) -> dict[str, int]:
    """Which of these categorical columns are hashed where categories are counted, and to how many bits.

    Those that the job file says; parameters without `fields` are for all columns of the type CategoricalHash and for
    those that have more `levels` than are counted one by one.
    """
    if featurization is None or transformers.HASHER in featurization.blocked_transformers:
        return {}
    types = featurization.column_name_and_types
    bits = {name: transformers.HASH_BITS for name in names if types.get(name) == transformers.HASHED}
    many = [name for name in names if levels.get(name, 0) > COUNTED_LEVELS]
    for entry in featurization.transformer_params.get(transformers.HASHER, ()):
        chosen = [name for name in entry.fields_ if name in names] if entry.fields_ else [*bits, *many]
        bits |= dict.fromkeys(chosen, transformers.hash_bits(entry.parameters))
    return bits


def _imputer(parameters: dict[str, Any] | None, layout: str, numeric: bool) -> Any:
    from sklearn.impute import SimpleImputer

    from forestay_transformers import category_text

    if parameters:
        strategy = parameters.get("strategy", "mean")
        fill = transformers.constant(parameters)
        return SimpleImputer(
            # A category has no mean: the job file's default for all columns means the most frequent one here.
            strategy="most_frequent" if not numeric and strategy in ("mean", "median") else strategy,
            # In the type of the column: what was missing is as good a value as those that were there.
            fill_value=None if fill is None else float(fill) if numeric else category_text(fill),
            keep_empty_features=True,
        )
    if numeric and layout not in FOR_TREES:
        return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return "passthrough"


def _grouped(names: list[str], imputers: dict[str, dict[str, Any]]) -> list[tuple[dict[str, Any] | None, list[str]]]:
    """Columns that share an imputer's parameters, in the order they first come."""
    groups: dict[str, tuple[dict[str, Any] | None, list[str]]] = {}
    for name in names:
        parameters = imputers.get(name)
        groups.setdefault(repr(parameters), (parameters, []))[1].append(name)
    return list(groups.values())


def _min_df(rows: int) -> int:
    """A term seen once can't be learned from, and would carry a row's own words into the model."""
    return 2 if rows >= FEW_ROWS else 1


def _vectorizers(plan: FeatureSettings, layout: str, rows: int, name: str) -> list[Any]:
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    shared: dict[str, Any] = {"min_df": _min_df(rows), "max_features": LINEAR_TERMS, "dtype": np.float32}
    # Letters and digits of any language; single characters count, as in "7 eleven".
    words: dict[str, Any] = {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b", **shared}
    if "TfIdf" in plan.blocked or (layout == COUNTS and "CountVectorizer" not in plan.blocked):
        return [CountVectorizer(binary=layout == COUNTS, **words)]
    settings = {"sublinear_tf": True, **words, **plan.texts.get(name, {})}
    if settings.get("analyzer", "word") != "word":
        del settings["token_pattern"]
    made = [TfidfVectorizer(**settings)]
    if layout == CHARS:
        made.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, **shared))
    return made


def useful(plan: FeatureSettings) -> frozenset[str]:
    """The layouts that differ for these columns: characters need a text, mean targets a category."""
    names = {LINEAR, COUNTS, TREE}
    if plan.of_type("text") and "TfIdf" not in plan.blocked:
        names.add(CHARS)
    if plan.of_type("categorical") and not plan.blocked & {"CatTargetEncoder", "WoETargetEncoder"}:
        names.add(TARGET)
    return frozenset(names)


def build(plan: FeatureSettings, layout: str, rows: int) -> Columns:
    """The unfitted transformer of one layout for a table of `rows` rows; its input is what InputFrame gives.

    Category codes come first in the `tree` layout: see `categorical_positions`.
    """
    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer, StandardScaler

    from forestay_transformers import CategoryCodes, Columns, DateParts, HashOneHot, OneHot, Topics

    blocks: list[tuple[str, Any, Any]] = []
    onehot_blocked = "OneHotEncoder" in plan.blocked
    categorical = plan.of_type("categorical") if layout != TARGET else []
    hashed = [name for name in categorical if name in plan.hashed] if layout not in FOR_TREES else []
    for number, name in enumerate(hashed):
        encoder = make_pipeline(_imputer(plan.imputers.get(name), layout, numeric=False), HashOneHot(plan.hashed[name]))
        blocks.append((f"hashed{number}", encoder, [name]))
    categorical = [name for name in categorical if name not in hashed]
    for number, (parameters, names) in enumerate(_grouped(categorical, plan.imputers)):
        steps = [_imputer(parameters, layout, numeric=False)]
        if onehot_blocked or (layout == TREE and not plan.onehot_trees):
            # An imputer answers with an array; the codes are looked up by column.
            if parameters:
                steps[0].set_output(transform="pandas")
            steps.append(CategoryCodes())
            if layout != TREE:
                steps.append(_imputer({"strategy": "constant", "fill_value": -1}, layout, numeric=True))
        else:
            steps.append(
                OneHot(
                    handle_unknown="infrequent_if_exist",
                    min_frequency=2,
                    max_categories=COUNTED_FOR_TREES if layout in FOR_TREES else COUNTED_LEVELS,
                    dtype=np.float32,
                )
            )
        blocks.append((f"categorical{number}", make_pipeline(*steps), names))
    for number, (parameters, names) in enumerate(_grouped(plan.of_type("numeric", "boolean"), plan.imputers)):
        steps = [_imputer(parameters, layout, numeric=True)]
        if layout in FOR_LINES:
            steps.append(StandardScaler())
        elif layout == COUNTS:
            steps.append(KBinsDiscretizer(n_bins=8, encode="onehot", quantile_method="averaged_inverted_cdf"))
        blocks.append((f"numeric{number}", make_pipeline(*steps), names))
    dates = plan.of_type("datetime")
    if dates and layout != COUNTS:
        steps = [DateParts(cycles=layout in FOR_LINES)]
        if layout in FOR_LINES:
            steps += [_imputer(None, layout, numeric=True), StandardScaler()]
        blocks.append(("datetime", make_pipeline(*steps), dates))
    for number, name in enumerate(plan.of_type("text")):
        # A single name, not a list: a vectorizer takes one column of text.
        if layout not in FOR_TREES:
            parts = enumerate(_vectorizers(plan, layout, rows, name))
            blocks += [(f"text{number}_{part}", vectorizer, name) for part, vectorizer in parts]
        elif plan.topics:
            blocks.append(
                (f"text{number}", make_pipeline(*_vectorizers(plan, LINEAR, rows, name), Topics(TOPICS)), name)
            )
    dense = 0.0 if layout in FOR_TREES else 0.3
    return Columns(blocks, sparse_threshold=dense, verbose_feature_names_out=False)


def build_targeted(
    plan: FeatureSettings, layout: str, rows: int, classification: bool, seed: int, largest: int = TARGET_FOLDS
) -> Columns | None:
    """The unfitted part of a layout that learns from the target; None when the layout has none for these columns.

    Parameters
    ----------
    rows: of a fold. largest: those of a fold's largest class at least; for regression all of them.

    Its `fit_transform(frame, target)` answers for each row without having seen that row's target.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    from forestay_transformers import Columns, MeanTarget, TextTargetEncoder

    if layout not in FOR_TREES:
        return None
    blocks: list[tuple[str, Any, Any]] = []
    categorical = plan.of_type("categorical")
    if layout == TARGET and categorical:
        kind = StratifiedKFold if classification and largest > 1 else KFold
        folds = kind(n_splits=max(2, min(TARGET_FOLDS, largest)), shuffle=True, random_state=seed)
        # The kind is said: it would be guessed from the numbers of a fold.
        encoder = MeanTarget(target_type="auto" if classification else "continuous", cv=folds)
        blocks.append(("mean_target", encoder, categorical))
    for number, name in enumerate(() if plan.topics else plan.of_type("text")):
        blocks.append((f"text{number}", TextTargetEncoder(classification, min_df=_min_df(rows), seed=seed), name))
    return Columns(blocks, sparse_threshold=0.0, verbose_feature_names_out=False) if blocks else None


def categorical_positions(plan: FeatureSettings, layout: str) -> list[int]:
    """Which columns of the layout's output are category codes."""
    return list(range(len(plan.of_type("categorical")))) if layout == TREE and not plan.onehot_trees else []


def describe(plan: FeatureSettings, layout: str) -> str:
    """The layout's name on the leaderboard: what is done to categories, numbers and texts, in this order."""
    words = []
    if layout in FOR_TREES:
        if plan.of_type("categorical"):
            codes = "OneHot" if plan.onehot_trees else "Codes"
            words.append(codes if layout == TREE else "MeanTarget")
        if plan.of_type("text"):
            words.append("TextTopics" if plan.topics else "TextTarget")
    else:
        if set(plan.of_type("categorical")) - set(plan.hashed):
            words.append("OneHot")
        if plan.hashed:
            words.append("Hash")
        if plan.of_type("numeric", "boolean", "datetime"):
            words.append("Scale" if layout in FOR_LINES else "Bins")
        if plan.of_type("text"):
            words.append(_text_name(plan, layout))
    return "+".join(words) or "PassThrough"


def _text_name(plan: FeatureSettings, layout: str) -> str:
    if "TfIdf" in plan.blocked:
        return "Words" if layout == COUNTS else "Counts"
    if layout == COUNTS and "CountVectorizer" not in plan.blocked:
        return "Words"
    return "TfIdfChars" if layout == CHARS else "TfIdf"
