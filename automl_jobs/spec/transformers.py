"""Parameters of Azure's featurization transformers: those of the scikit-learn classes that do their work.

Sources: scikit-learn's SimpleImputer and TfidfVectorizer; Azure's `transformer_params` passes them on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

HASHER = "HashOneHotEncoder"
HASHED = "CategoricalHash"
"""The transformer that hashes categories, and the column type that asks for it."""
HASH_BITS, MOST_BITS = 10, 18
"""How many bits of a category's hash count, where the job file's `number_of_bits` does not say it, and at most."""
CONSTANT = "constant"
STRATEGIES = ("mean", "median", "most_frequent", CONSTANT)
Check = Callable[[Any], Any]


def _flag(value: Any) -> bool:
    """True and false, however YAML or JSON wrote them."""
    words = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
    return words[str(value).lower()]


def _share_or_count(value: Any) -> float | int:
    """A share of the texts up to 1.0, or a number of texts, as scikit-learn takes them."""
    number = float(value)
    if number <= 0 or (number > 1 and not number.is_integer()):
        raise ValueError(value)
    return int(number) if number > 1 else number


def _count(value: Any) -> int:
    number = float(value)
    if number < 1 or not number.is_integer():
        raise ValueError(value)
    return int(number)


def _one_of(*names: str) -> Check:
    def check(value: Any) -> str:
        if value not in names:
            raise ValueError(value)
        return str(value)

    return check


_TFIDF: dict[str, tuple[Check, str]] = {
    "use_idf": (_flag, "true or false"),
    "smooth_idf": (_flag, "true or false"),
    "sublinear_tf": (_flag, "true or false"),
    "lowercase": (_flag, "true or false"),
    "binary": (_flag, "true or false"),
    "norm": (_one_of("l1", "l2"), "l1 or l2"),
    "analyzer": (_one_of("word", "char", "char_wb"), "word, char or char_wb"),
    "strip_accents": (_one_of("ascii", "unicode"), "ascii or unicode"),
    "stop_words": (_one_of("english"), "english"),
    "min_df": (_share_or_count, "a share of the texts, or a number of texts"),
    "max_df": (_share_or_count, "a share of the texts, or a number of texts"),
    "max_features": (_count, "a whole number from 1"),
}


def tfidf(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in the types of scikit-learn. Raises KeyError or ValueError for what `wrong` tells of."""
    return {name: _TFIDF[name][0](value) for name, value in parameters.items()}


def constant(parameters: Mapping[str, Any]) -> Any:
    """What an Imputer puts into holes by its parameters; None where that is not one value, or the usual one."""
    return parameters.get("fill_value") if parameters.get("strategy") == CONSTANT else None


def fills_numbers(parameters: Mapping[str, Any]) -> bool:
    """Whether what an Imputer puts into holes can stand in a column of numbers."""
    value = constant(parameters)
    try:
        return value is None or math.isfinite(float(value))
    except ValueError:
        return False


def wrong(transformer: str, parameters: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is wrong with a transformer's parameters, and what to do; None when nothing is."""
    if transformer == "Imputer":
        return _wrong_imputer(parameters)
    if transformer == HASHER:
        return _wrong_hasher(parameters)
    if transformer != "TfIdf":
        return None
    for name, value in parameters.items():
        if name not in _TFIDF:
            return f"TfIdf has no parameter {str(name)[:60]!r}", f"valid: {', '.join(_TFIDF)}"
        check, valid = _TFIDF[name]
        try:
            check(value)
        except (KeyError, ValueError, TypeError):
            return f"{str(value)[:60]!r} is no {name} of TfIdf", f"{name} is {valid}"
    return None


def hash_bits(parameters: Mapping[str, Any]) -> int:
    """How many bits the parameters of HashOneHotEncoder mean. Raises ValueError for what `wrong` tells of."""
    bits = _count(parameters.get("number_of_bits", HASH_BITS))
    if bits > MOST_BITS:
        raise ValueError(bits)
    return bits


def _wrong_hasher(parameters: Mapping[str, Any]) -> tuple[str, str] | None:
    unknown = [name for name in parameters if name != "number_of_bits"]
    if unknown:
        return f"{HASHER} has no parameter {str(unknown[0])[:60]!r}", "valid: number_of_bits"
    try:
        hash_bits(parameters)
    except (ValueError, TypeError):
        value = str(parameters["number_of_bits"])[:60]
        return f"{value!r} is no number_of_bits of {HASHER}", f"it is a whole number from 1 to {MOST_BITS}"
    return None


def _wrong_imputer(parameters: Mapping[str, Any]) -> tuple[str, str] | None:
    unknown = [name for name in parameters if name not in ("strategy", "fill_value")]
    if unknown:
        return f"Imputer has no parameter {str(unknown[0])[:60]!r}", "valid: strategy, fill_value"
    strategy = parameters.get("strategy", "mean")
    if strategy not in STRATEGIES:
        return f"{str(strategy)[:60]!r} is no strategy of Imputer", f"valid: {', '.join(STRATEGIES)}"
    return None
