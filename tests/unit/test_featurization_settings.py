"""What the job file's `featurization` says of transformers has its effect, or a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from automl_jobs.engine import features, summary
from automl_jobs.prepare import prepare
from automl_jobs.spec import load_job
from automl_jobs.spec.sections import Featurization
from forestay.errors import InputError

WORDS = ["harbour", "sail", "mast", "anchor", "rope", "tide", "wind", "deck"]
COLUMNS = [("note", "text"), ("town", "categorical"), ("size", "numeric")]


@pytest.fixture
def frame() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    notes = [" ".join(draw.choice(WORDS, 6)) for _ in range(300)]
    size = np.where(draw.random(300) < 0.2, np.nan, draw.normal(size=300))
    return pd.DataFrame({"note": notes, "town": draw.choice(["a", "b", "c"], 300), "size": size})


def plan(**settings: Any) -> features.FeatureSettings:
    return features.settings(COLUMNS, Featurization.model_validate(settings))


def steps(found: features.FeatureSettings, layout: str, frame: pd.DataFrame) -> dict[str, list[str]]:
    """The steps that each column goes through in a fitted layout."""
    transformer = features.build(found, layout, len(frame)).fit(frame)
    told: dict[str, list[str]] = {}
    for column, step in summary._steps(transformer):
        told.setdefault(column, []).append(step)
    return told


def test_parameters_of_tf_idf_reach_the_vectorizer(frame: pd.DataFrame) -> None:
    few = plan(
        transformer_params={"TfIdf": [{"fields": ["note"], "parameters": {"max_features": 3, "use_idf": False}}]}
    )
    made = features.build(few, features.LINEAR, len(frame)).fit(frame)
    vectorizer = dict(made.named_transformers_)["text0_0"]
    assert len(vectorizer.vocabulary_) == 3
    assert vectorizer.use_idf is False
    usual = features.build(plan(), features.LINEAR, len(frame)).fit(frame)
    assert len(dict(usual.named_transformers_)["text0_0"].vocabulary_) > 3


def test_characters_instead_of_words(frame: pd.DataFrame) -> None:
    found = plan(transformer_params={"TfIdf": [{"parameters": {"analyzer": "char_wb"}}]})
    made = features.build(found, features.LINEAR, len(frame)).fit(frame)
    assert "sa" in dict(made.named_transformers_)["text0_0"].vocabulary_


@pytest.mark.parametrize("blocked", ["TextTargetEncoder", "NaiveBayes"])
def test_trees_see_topics_where_target_encoding_of_texts_is_blocked(frame: pd.DataFrame, blocked: str) -> None:
    found = plan(blocked_transformers=[blocked])
    assert "Topics" in steps(found, features.TREE, frame)["note"]
    targeted = features.build_targeted(found, features.TREE, len(frame), True, 0)
    assert targeted is None
    made = features.build(found, features.TREE, len(frame)).fit(frame)
    matrix = made.transform(frame)
    assert matrix.shape[0] == len(frame)
    # One code, one number, and no more topics than there are terms.
    assert 2 < matrix.shape[1] <= 2 + features.TOPICS
    assert summary.origins(made).count("note") == matrix.shape[1] - 2
    assert features.describe(found, features.TREE) == "Codes+TextTopics"


def test_few_terms_give_few_topics() -> None:
    frame = pd.DataFrame({"note": ["sail mast"] * 150 + ["mast"] * 150, "town": ["a"] * 300, "size": [1.0] * 300})
    found = plan(blocked_transformers=["TextTargetEncoder"])
    made = features.build(found, features.TREE, 300).fit(frame)
    assert made.transform(frame).shape[1] == 2 + 3


def test_blocked_codes_leave_trees_one_column_a_level(frame: pd.DataFrame) -> None:
    found = plan(blocked_transformers=["LabelEncoder"])
    assert "OneHotEncoder" in steps(found, features.TREE, frame)["town"]
    assert features.categorical_positions(found, features.TREE) == []
    assert features.categorical_positions(plan(), features.TREE) == [0]
    assert features.describe(found, features.TREE).startswith("OneHot")


def test_blocked_counts_leave_naive_bayes_tf_idf(frame: pd.DataFrame) -> None:
    assert "CountVectorizer" in steps(plan(), features.COUNTS, frame)["note"]
    assert "TfidfVectorizer" in steps(plan(blocked_transformers=["CountVectorizer"]), features.COUNTS, frame)["note"]


@pytest.mark.parametrize("layout", [features.LINEAR, features.COUNTS, features.TREE])
@pytest.mark.parametrize(
    ("fill", "number", "category"),
    [
        (0, 0.0, "0"),
        ("2.5", 2.5, "2.5"),
        (None, 0.0, "missing_value"),
        ("unknown", None, "unknown"),
    ],
)
def test_a_constant_fills_each_column_in_its_own_type(
    frame: pd.DataFrame, fill: Any, number: float | None, category: str, layout: str
) -> None:
    holes = frame.assign(town=pd.Series(frame["town"], dtype="str").where(frame.index % 9 != 0))
    given = {"strategy": "constant"} | ({} if fill is None else {"fill_value": fill})
    found = plan(transformer_params={"Imputer": [{"parameters": given}]})
    made = features.build(found, layout, len(holes)).fit(holes)
    parts = {columns[0]: part.steps[0][1] for _, part, columns in made.transformers_ if hasattr(part, "steps")}
    assert parts["town"].statistics_.tolist() == [category]
    if number is not None:
        assert parts["size"].statistics_.tolist() == [number]
    else:
        # What is no number fills categories alone.
        usual = features.build(plan(), layout, len(holes)).fit(holes)
        assert repr(parts["size"]) == repr(dict(usual.named_transformers_)["numeric0"].steps[0][1])
    assert made.transform(holes).shape[0] == len(holes)


def job(folder: Path, featurization: str) -> Path:
    rows = "\n".join(f"{' '.join(WORDS[n % 5 : n % 5 + 3])} number {n},t{n % 3},{n % 9},{n % 2}" for n in range(80))
    (folder / "data.csv").write_text(f"note,town,size,y\n{rows}\n", encoding="utf-8")
    path = folder / "job.yml"
    path.write_text(
        "type: automl\ntask: classification\ntarget_column_name: y\nprimary_metric: accuracy\n"
        f"training_data: {{path: ./data.csv, type: mltable}}\nfeaturization:\n  mode: custom\n{featurization}",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("imputer: [{parameters: {strategy: mode}}]", "'mode' is no strategy of Imputer"),
        ("imputer: [{parameters: {strateg: mean}}]", "Imputer has no parameter 'strateg'"),
        ("tf_idf: [{parameters: {max_feature: 3}}]", "TfIdf has no parameter 'max_feature'"),
        ("tf_idf: [{parameters: {max_features: 0.5}}]", "'0.5' is no max_features of TfIdf"),
        (
            "hash_one_hot_encoder: [{parameters: {number_of_bits: 40}}]",
            "'40.0' is no number_of_bits of HashOneHotEncoder",
        ),
        ("hash_one_hot_encoder: [{parameters: {bits: 4}}]", "HashOneHotEncoder has no parameter 'bits'"),
        ("tf_idf: [{parameters: {norm: l3}}]", "'l3' is no norm of TfIdf"),
        (
            "imputer: [{fields: [town, size], parameters: {strategy: constant, fill_value: unknown}}]",
            "Imputer can't fill columns of numbers with 'unknown': size",
        ),
        (
            "imputer: [{fields: [size], parameters: {strategy: constant, fill_value: .inf}}]",
            "Imputer can't fill columns of numbers with 'inf': size",
        ),
    ],
)
def test_wrong_parameters_are_refused_with_their_line(tmp_path: Path, lines: str, message: str) -> None:
    path = job(tmp_path, f"  transformer_params:\n    {lines}\n")
    with pytest.raises(InputError) as caught:
        prepare(load_job(path))
    assert any(message in problem.message and "job.yml:8" in str(problem.where) for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("  dataset_language: deu\n", "words are told apart in the same way for every language"),
        (
            "  column_name_and_types: {town: CategoricalHash}\n  blocked_transformers: [HashOneHotEncoder]\n",
            "HashOneHotEncoder is blocked and asked for",
        ),
        (
            "  transformer_params: {hash_one_hot_encoder: [{fields: [size], parameters: {number_of_bits: 4}}]}\n",
            "not a category: size",
        ),
        ("  transformer_params: {tf_idf: [{fields: [size], parameters: {norm: l1}}]}\n", "not a text: size"),
        (
            "  transformer_params: {imputer: [{parameters: {strategy: constant, fill_value: unknown}}]}\n",
            "Imputer's fill_value 'unknown' has no effect on columns of numbers: size",
        ),
    ],
)
def test_what_has_no_effect_is_a_warning(tmp_path: Path, lines: str, message: str) -> None:
    found = prepare(load_job(job(tmp_path, lines)))
    assert any(message in problem.message for problem in found.warnings)


@pytest.mark.parametrize("layout", [features.LINEAR, features.CHARS, features.COUNTS, features.TREE])
def test_every_text_column_is_read_in_its_own_words(frame: pd.DataFrame, layout: str) -> None:
    """Two columns with the same words are told apart: what counts in a title does not count in a body."""
    both = frame.assign(title=frame["note"].str.upper().to_numpy()[::-1])
    found = features.settings([*COLUMNS, ("title", "text")], None)
    target = np.arange(len(both)) % 2
    made = features.build(found, layout, len(both)).fit(both)
    told = summary.origins(made)
    if layout == features.TREE:
        targeted = features.build_targeted(found, layout, len(both), True, 0)
        assert targeted is not None
        targeted.fit(both, target)
        told += summary.origins(targeted)
    assert told.count("note") == told.count("title") > 0
