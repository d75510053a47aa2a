"""Unfitted estimators as the Python that makes them, for people to read: settings that are defaults are left out.

What a user or a table names (columns, values that fill holes, words) is never pasted into code: it goes to the lists of
`Source.columns` and `Source.values`, and the code refers to it there.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LINE = 110
_WORD = re.compile(r"[a-z][a-z0-9_\-]{0,39}")
# The one pattern of ours among the settings.
_OURS = (r"(?u)\b\w+\b",)
# Settings whose values are a user's, whatever they look like.
_USERS = ("fill_value", "stop_words", "vocabulary", "missing_values", "token_pattern")
# What only says how fast an estimator works, and would be noise in a script.
_SPEED = ("histogram_pool_size", "cache_size")


@dataclass(frozen=True)
class Call:
    """A call or a bracket: what stands before its parts, the parts, and what closes it."""

    head: str
    parts: Sequence[Node]
    close: str
    prefix: str = ""


Node = str | Call


@dataclass
class Source:
    """What the code of some estimators needs beside itself.

    Attributes
    ----------
    imports: module to the names that the code takes from it.
    columns: the columns of each block of features, by the block's name: a list, or one name.
    values: a user's own values of settings, in the order in which the code refers to them.
    """

    imports: dict[str, set[str]] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)

    def of(self, estimator: Any, indent: int = 4, replaced: Mapping[str, str] | None = None, prefix: str = "") -> str:
        """The expression that makes an estimator.

        Parameters
        ----------
        indent: of the line that it stands on. replaced: settings of the outermost estimator to code that gives them.
        prefix: what is put before the names of its blocks of columns.
        """
        return _laid(self._estimator(estimator, replaced or {}, prefix), indent, len("return "))

    def import_lines(self) -> list[str]:
        """`from module import names`, those of ours last, a blank line before them."""
        known = sorted(module for module in self.imports if not module.startswith("forestay_"))
        ours = sorted(module for module in self.imports if module.startswith("forestay_"))
        lines = [self._import(module) for module in known]
        return [*lines, "", *(self._import(module) for module in ours)] if ours else lines

    def use(self, module: str, *names: str) -> None:
        """Have the code import these names."""
        self.imports.setdefault(module, set()).update(names)

    def _import(self, module: str) -> str:
        names = sorted(self.imports[module])
        line = f"from {module} import {', '.join(names)}"
        if len(line) <= LINE:
            return line
        return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])

    def _named(self, kind: type) -> str:
        """A class by the public name of its module."""
        parts = []
        for part in kind.__module__.split("."):
            if part.startswith("_"):
                break
            parts.append(part)
        module = ".".join(parts)
        if module in ("lightgbm.sklearn", "xgboost.sklearn"):
            module = module.split(".")[0]
        if module.startswith("forestay_"):
            module = "forestay_transformers"
        self.use(module, kind.__name__)
        return kind.__name__

    def _estimator(self, estimator: Any, replaced: Mapping[str, str], prefix: str) -> Node:
        from sklearn.compose import ColumnTransformer
        from sklearn.pipeline import Pipeline

        if isinstance(estimator, ColumnTransformer):
            return self._blocks(estimator, prefix)
        if isinstance(estimator, Pipeline):
            self.use("sklearn.pipeline", "make_pipeline")
            steps = [step for _, step in estimator.steps]
            # What is replaced are settings of the last step, the estimator itself.
            made = [self._value("", step) for step in steps[:-1]]
            return Call("make_pipeline(", [*made, self._value("", steps[-1], replaced)], ")")
        parts: list[Node] = [
            _before(f"{name}=", self._value(name, value)) if name not in replaced else f"{name}={replaced[name]}"
            for name, value in _changed(estimator, replaced).items()
        ]
        shown = getattr(estimator, "_sklearn_output_config", {}).get("transform")
        return Call(f"{self._named(type(estimator))}(", parts, f').set_output(transform="{shown}")' if shown else ")")

    def _blocks(self, transformer: Any, prefix: str) -> Node:
        """Columns of which each block gets a transformer of its own."""
        rows: list[Node] = []
        for name, part, columns in transformer.transformers:
            key = f"{prefix}{name}"
            self.columns[key] = columns if isinstance(columns, str) else list(columns)
            rows.append(Call("(", [_text(name), self._value("", part), f"COLUMNS[{_text(key)}]"], ")"))
        settings = {key: value for key, value in _changed(transformer, {}).items() if key != "transformers"}
        parts: list[Node] = [Call("[", rows, "]"), *(f"{key}={value!r}" for key, value in settings.items())]
        return Call(f"{self._named(type(transformer))}(", parts, ")")

    def _value(self, name: str, value: Any, replaced: Mapping[str, str] | None = None) -> Node:
        """A setting's value."""
        if value is None or isinstance(value, bool | int):
            return repr(value)
        if isinstance(value, float):
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        if name in _USERS and value not in _OURS:
            return self._users(value)
        if isinstance(value, str):
            if value in _OURS:
                return f'r"{value}"'
            return _text(value) if _WORD.fullmatch(value) else self._users(value)
        if isinstance(value, tuple | list):
            opening, closing = ("(", ",)" if len(value) == 1 else ")") if isinstance(value, tuple) else ("[", "]")
            return Call(opening, [self._value("", one) for one in value], closing)
        if isinstance(value, type):
            return f"np.{value.__name__}"
        if hasattr(value, "get_params"):
            return self._estimator(value, replaced or {}, "")
        if type(value).__module__.startswith("sklearn.model_selection"):
            settings = {key: given for key, given in vars(value).items() if given is not None}
            parts = [f"{key}={given!r}" for key, given in settings.items()]
            return Call(f"{self._named(type(value))}(", parts, ")")
        raise TypeError(f"no code for {name}={value!r}")

    def _users(self, value: Any) -> str:
        if value not in self.values:
            self.values.append(value)
        return f"VALUES[{self.values.index(value)}]"


def _changed(estimator: Any, replaced: Mapping[str, str]) -> dict[str, Any]:
    """The settings that are not the class's defaults, and those that are replaced, in the order of its signature."""
    kind = type(estimator)
    given = estimator.get_params(deep=False)
    signature = {
        name: one.default for name, one in inspect.signature(kind).parameters.items() if one.default is not one.empty
    }
    try:
        defaults = {**signature, **kind().get_params(deep=False)}
    except TypeError:  # it has settings without a default
        defaults = signature
    order = [*(name for name in inspect.signature(kind).parameters if name in given), *given]
    found = {}
    for name in dict.fromkeys(order):
        same = name in defaults and _equal(defaults[name], given[name])
        if name in replaced or not (same or name in _SPEED or (given[name] is None and name not in defaults)):
            found[name] = given[name]
    return found | dict.fromkeys(name for name in replaced if name not in found)


def _equal(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and one == other) or (one != one and other != other)


def _text(value: str) -> str:
    """A word of ours in double quotes."""
    return f'"{value}"'


def _before(prefix: str, node: Node) -> Node:
    return prefix + node if isinstance(node, str) else Call(node.head, node.parts, node.close, prefix)


def _flat(node: Node) -> str:
    if isinstance(node, str):
        return node
    return f"{node.prefix}{node.head}{', '.join(_flat(part) for part in node.parts)}{node.close}"


def _laid(node: Node, indent: int, used: int = 0) -> str:
    """The code, broken where a line would be too long: one part a line then.

    Parameters
    ----------
    used: characters that stand before it on its first line, beside the indent.
    """
    flat = _flat(node)
    if isinstance(node, str) or indent + used + len(flat) + 1 <= LINE:
        return flat
    pad = " " * (indent + 4)
    inner = "".join(f"{pad}{_laid(part, indent + 4)},\n" for part in node.parts)
    close = node.close.removeprefix(",")
    return f"{node.prefix}{node.head}\n{inner}{' ' * indent}{close}"
