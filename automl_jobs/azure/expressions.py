"""How a swept parameter varies, in the words of the service: `choice('a','b')`, `uniform(0.001,0.1)`.

The order of the arguments is that of azure-ai-ml's entities.sweep.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from automl_jobs.spec.common import Distribution


def expression(distribution: Distribution) -> str:
    """A parameter of a text model."""
    found = distribution.model_dump(exclude_unset=True, exclude_none=True)
    kind = found.pop("type")
    if kind == "choice":
        return f"choice({','.join(map(_argument, found['values']))})"
    order = ("upper", "min_value", "max_value", "mu", "sigma", "q")
    return f"{kind}({','.join(_argument(found[name]) for name in order if name in found)})"


def free_expression(value: Any) -> str:
    """The same for a parameter of an image model, whose search space is taken as it is written."""
    if not isinstance(value, dict):
        return _argument(value).strip("'")
    return expression(Distribution.model_validate(value))


def _argument(value: Any) -> str:
    """A value inside an expression; small numbers are never written with an exponent, which the service can't read."""
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, float):
        text = format(Decimal(repr(value)), "f")
        return text if "." in text else f"{text}.0"
    return str(value)
