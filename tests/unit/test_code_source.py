"""Estimators as the Python that makes them: what it makes is what was told."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from automl_jobs.code.source import LINE, Source
from automl_jobs.engine import algorithms, estimators, features

COLUMNS = (("a", "numeric"), ("b", "categorical"), ("c", "text"), ("d", "datetime"), ("e", "boolean"))
EVERYTHING = [(True, one.name) for one in algorithms.CLASSIFIERS] + [(False, one.name) for one in algorithms.REGRESSORS]


def made(source: Source, code: str, **names: Any) -> Any:
    """What the code makes, given what it imports and nothing else."""
    space: dict[str, Any] = {"np": np, "COLUMNS": source.columns, "VALUES": source.values, **names}
    for module, wanted in source.imports.items():
        space |= {name: getattr(importlib.import_module(module), name) for name in wanted}
    return eval(code, space)


@pytest.mark.parametrize(("classes", "name"), EVERYTHING)
def test_every_algorithm_with_every_setting_of_its_portfolio(classes: bool, name: str) -> None:
    algorithm = algorithms.by_name(name, classes)
    build = estimators.Build(classes=3 if classes else 0, threads=2, seed=7, categorical=(0, 1), samples=500)
    for setting in algorithm.portfolio:
        wanted = algorithm.make(dict(setting.parameters), build)
        source = Source()
        code = source.of(wanted)
        assert all(len(line) <= LINE for line in code.splitlines())
        found = made(source, code)
        assert type(found) is type(wanted)
        assert _settings(found) == _settings(wanted)


def _settings(estimator: Any) -> dict[str, str]:
    """All settings but those of speed, and those of what it is made of."""
    speed = ("histogram_pool_size", "cache_size")
    return {
        key: repr(value)
        for key, value in estimator.get_params().items()
        if not key.endswith(speed) and not hasattr(value, "get_params") and key != "steps"
    }


@pytest.mark.parametrize("layout", ["linear", "chars", "counts", "tree", "target"])
def test_every_layout_of_features(layout: str) -> None:
    settings = features.FeatureSettings(
        COLUMNS, imputers={"a": {"strategy": "constant", "fill_value": -1.5}, "b": {"strategy": "most_frequent"}}
    )
    for wanted in (
        features.build(settings, layout, 500),
        features.build_targeted(settings, layout, 500, True, 3),
        features.build_targeted(settings, layout, 50, False, 3),
    ):
        if wanted is None:
            continue
        source = Source()
        found = made(source, source.of(wanted))
        assert [(name, repr(part), columns) for name, part, columns in found.transformers] == [
            (name, repr(part), columns) for name, part, columns in wanted.transformers
        ]
        assert found.sparse_threshold == wanted.sparse_threshold


def test_what_a_user_names_is_referred_to_and_not_pasted() -> None:
    nasty = '"); import os; os.system("id'
    settings = features.FeatureSettings(
        ((nasty, "categorical"), ("text", "text")),
        imputers={nasty: {"strategy": "constant", "fill_value": nasty}},
        texts={"text": {"stop_words": [nasty, "und"], "ngram_range": (1, 1)}},
    )
    source = Source()
    code = source.of(features.build(settings, "linear", 500), prefix="3_")
    assert "os" not in code.replace("most_frequent", "").replace("cosine", "").split("VALUES")[0] or nasty not in code
    assert nasty not in code
    assert source.values == [nasty, [nasty, "und"]]
    assert source.columns == {"3_categorical0": [nasty], "3_text0_0": "text"}
    found = made(source, code)
    assert found.transformers[0][1].steps[0][1].fill_value == nasty
    assert found.transformers[1][1].stop_words == [nasty, "und"]


def test_rounds_are_the_script_s_to_give() -> None:
    build = estimators.Build(classes=2, threads=1, seed=0)
    source = Source()
    code = source.of(estimators.lightgbm({"num_leaves": 8}, build), replaced={"n_estimators": "rounds"})
    assert "n_estimators=rounds" in code
    assert made(source, code, rounds=12).n_estimators == 12


def test_an_estimator_keeps_what_it_answers_with() -> None:
    from sklearn.impute import SimpleImputer

    source = Source()
    code = source.of(SimpleImputer(strategy="most_frequent").set_output(transform="pandas"))
    assert made(source, code)._sklearn_output_config == {"transform": "pandas"}


def test_what_has_no_code_is_said() -> None:
    from sklearn.preprocessing import FunctionTransformer

    with pytest.raises(TypeError, match="no code for"):
        Source().of(FunctionTransformer(func=len))
