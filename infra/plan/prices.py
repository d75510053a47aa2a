"""The price file: what a meter or a virtual machine costs, from whom and of which day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from forestay.documents.document import Kind, parse, read_text
from forestay.documents.names import refuse, suggest
from forestay.documents.problems import Wording, keys, section_at, translate
from forestay.documents.values import AsMapping, Name, Number, one_of
from forestay.errors import InputError
from infra.plan.model import Prices
from infra.values import Section, dated

SHIPPED = Path(__file__).parents[1] / "prices.yaml"
HOURS = 730  # of a month, as Azure's price calculator counts
# A web test runs every five minutes from each place.
_A_MONTH = {"hour": HOURS, "day": HOURS / 24, "month": 1, "run": HOURS * 12}
PRICE_FILE = Kind("price file", "`currency: EUR`", "copying infra/prices.yaml")


def _date(value: str) -> str:
    try:
        return dt.date.fromisoformat(value).isoformat()
    except ValueError:
        raise refuse("is not a date", 'write it like "2026-01-31"') from None


def _not_negative(value: float) -> float:
    if value < 0:
        raise refuse("is below 0", "write a price, such as 0.10")
    return value


Amount = Annotated[Number, AfterValidator(_not_negative)]


class Meter(Section):
    """One meter's price; `run` is one run of a test that runs every five minutes."""

    amount: Amount
    per: Annotated[str, BeforeValidator(one_of(*_A_MONTH))]


class PriceFile(Section):
    """A price file.

    Attributes
    ----------
    source: where the amounts come from. date: when they held. region: where. look_up: where they can be checked.
    meters: by name, those of infra/prices.yaml. virtual_machines: an hour of each size.
    """

    source: Name
    date: Annotated[Name, BeforeValidator(dated), AfterValidator(_date)]
    currency: Name
    region: Name
    look_up: Name | None = None
    meters: Annotated[dict[str, Meter], AsMapping]
    virtual_machines: Annotated[dict[str, Amount], AsMapping] = Field(default_factory=dict)


@dataclass(frozen=True)
class PriceList:
    """Prices a month, by meter; a virtual machine's meter is its size."""

    about: Prices
    monthly: Mapping[str, float]

    def month(self, meter: str) -> float | None:
        return self.monthly.get(meter)


def load(path: Path = SHIPPED) -> PriceList:
    """Read a price file. Raises InputError with file and line."""
    document = parse(read_text(path, PRICE_FILE), str(path), PRICE_FILE)
    try:
        found = PriceFile.model_validate(document.data)
    except ValidationError as error:
        raise InputError.of(translate(error, PriceFile, document, _WORDING)) from error
    monthly = {name: meter.amount * _A_MONTH[meter.per] for name, meter in found.meters.items()}
    monthly.update({size: amount * HOURS for size, amount in found.virtual_machines.items()})
    about = Prices(found.source, found.date, found.currency, found.region, str(path), found.look_up or "")
    return PriceList(about, monthly)


def _belongs(path: Any, model: Any, document: Any) -> str:
    section = section_at(model, path[:-1])
    return suggest(str(path[-1]), list(keys(section)) if section else [], "valid here")


_WORDING = Wording({}, _belongs, lambda _: "this price", "see infra/prices.yaml")
