"""Makes the bank transactions of this example: `python make_data.py` writes transactions.csv anew.

All is invented from a seed. What makes it like a real account: merchants write themselves in many ways, terminals cut
and garble the text, some merchants sell what belongs to several categories, amounts overlap, and people file a few
transactions wrongly. No column gives the category away.
"""

from __future__ import annotations

import argparse
import csv
import random
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

ROWS = 4_000
SEED = 2019
FIRST_DAY = date(2018, 1, 1)
DAYS = 730
MISFILED = 0.03
GARBLED = 0.12
NO_TEXT = 0.01
NO_CURRENCY = 0.02
TARGET = Path(__file__).parent / "training-mltable-folder" / "transactions.csv"
CITIES = ("LEEDS", "YORK", "BATH", "LONDON", "DERBY", "KENT", "CORK", "LYON", "GENT", "BONN", "GRAZ", "OSLO")
HEADER = ("transaction_id", "date", "description", "amount", "currency", "channel", "account", "category")


@dataclass(frozen=True)
class Category:
    """A category: its share of the rows, its merchants, its amounts (median, spread), its days of the month."""

    name: str
    share: float
    merchants: tuple[str, ...]
    median: float
    spread: float
    channels: tuple[str, ...]
    days: tuple[int, ...] = ()
    income: bool = False


CARD = ("card", "card", "contactless")
CATEGORIES = (
    Category(
        "Groceries",
        0.24,
        ("GREENFIELD MARKET", "ALDERS FOODS", "CORNER SHOP", "FRESHWAY", "MILL BAKERY", "COSTA MART", "VALU STORE"),
        32,
        0.7,
        CARD,
    ),
    Category(
        "Restaurants",
        0.15,
        ("LUIGI TRATTORIA", "NOODLE BAR", "THE RED LION", "BEAN COFFEE", "BURGER YARD", "MILL BAKERY", "STATION GRILL"),
        19,
        0.6,
        CARD,
    ),
    Category(
        "Transport",
        0.12,
        ("CITYRAIL", "METRO TICKETS", "QUICKFUEL", "PARKWISE", "TAXI 24", "STATION SHOP", "BIKESHARE"),
        14,
        0.8,
        CARD,
    ),
    Category(
        "Shopping",
        0.13,
        (
            "NORTHBAY ONLINE",
            "HOMEWARE CO",
            "URBAN THREADS",
            "BOOK NOOK",
            "GADGETS DIRECT",
            "VALU STORE",
            "GARDEN WORLD",
        ),
        45,
        0.9,
        ("card", "online", "online"),
    ),
    Category(
        "Utilities",
        0.08,
        ("NORTH POWER", "CLEARWATER", "FIBRENET", "MOBILE ONE", "CITY COUNCIL TAX", "GASWORKS"),
        62,
        0.5,
        ("direct debit", "direct debit", "transfer"),
        (1, 2, 3, 14, 15, 16),
    ),
    Category(
        "Housing",
        0.05,
        ("RENT FLAT 12", "HARBOUR LETTINGS", "MORTGAGE NORTHBANK", "CITY COUNCIL TAX", "SERVICE CHARGE"),
        780,
        0.3,
        ("standing order", "direct debit", "transfer"),
        (1, 2, 28),
    ),
    Category(
        "Entertainment",
        0.08,
        ("STREAMFLIX", "CINEMA ROYAL", "TUNEBOX", "GAMES HUB", "NORTHBAY ONLINE", "CONCERT TICKETS", "BOOK NOOK"),
        15,
        0.6,
        ("online", "card", "direct debit"),
    ),
    Category(
        "Health",
        0.05,
        ("PHARMACY PLUS", "DENTAL CARE", "GYM ACTIVE", "OPTICIAN", "DR A MORGAN", "VALU STORE"),
        28,
        0.7,
        ("card", "direct debit", "contactless"),
    ),
    Category(
        "Travel",
        0.04,
        ("SKYWAYS AIR", "HOTEL BELLA VISTA", "CITYRAIL", "STAYNEST", "CAR HIRE 1", "NORTHBAY ONLINE"),
        210,
        0.8,
        ("online", "card", "online"),
    ),
    Category(
        "Salary", 0.03, ("ACME PAYROLL", "SALARY", "WAGES HMP LTD"), 2150, 0.25, ("transfer",), (25, 26, 27), True
    ),
    Category(
        "Transfers",
        0.03,
        ("FROM SAVINGS", "TO J SMITH", "A JONES", "REFUND NORTHBAY ONLINE", "SPLIT BILL"),
        60,
        1.0,
        ("transfer", "transfer", "online"),
    ),
)


def garble(text: str, draw: random.Random) -> str:
    """What a bad terminal makes of a text: letters lost, swapped, or the end cut off."""
    letters = list(text)
    for _ in range(draw.randint(1, 3)):
        spot = draw.randrange(len(letters))
        if draw.random() < 0.5 and len(letters) > 4:
            del letters[spot]
        else:
            letters[spot] = draw.choice("ABCDEFGHIKLMNOPRSTUVW *")
    cut = len(letters) if draw.random() < 0.6 else max(4, int(len(letters) * draw.uniform(0.4, 0.9)))
    return "".join(letters[:cut]).strip()


def describe(merchant: str, draw: random.Random) -> str:
    """A merchant's text as it comes on a statement."""
    text = merchant
    style = draw.random()
    if style < 0.35:
        text = f"{text} {draw.choice(CITIES)}"
    elif style < 0.55:
        text = f"{text} {draw.randint(100, 9999)}"
    elif style < 0.7:
        text = f"{draw.choice(('POS', 'CARD', 'PAYMENT', 'SUMUP *', 'PP *'))} {text}"
    elif style < 0.8:
        text = f"{text} {draw.choice(CITIES)} {draw.randint(10, 99)}"
    if draw.random() < 0.25:
        text = text.title() if draw.random() < 0.7 else text.lower()
    return garble(text, draw) if draw.random() < GARBLED else text


def day_of(category: Category, draw: random.Random) -> date:
    """A day of the two years, near those of the month that the category likes."""
    day = FIRST_DAY + timedelta(days=draw.randrange(DAYS))
    if category.days and draw.random() < 0.85:
        day = day.replace(day=draw.choice(category.days))
    return day


def transactions(rows: int, seed: int) -> list[tuple[str, ...]]:
    """`rows` transactions in the order of their dates, each a tuple of texts in the order of HEADER."""
    draw = random.Random(seed)  # noqa: S311 - invented data, no secret
    shares = [category.share for category in CATEGORIES]
    made = []
    for category in draw.choices(CATEGORIES, weights=shares, k=rows):
        amount = category.median * draw.lognormvariate(0, category.spread)
        sign = 1 if category.income or (category.name == "Transfers" and draw.random() < 0.5) else -1
        label = category.name if draw.random() >= MISFILED else draw.choice(CATEGORIES).name
        currency = draw.choices(
            ("GBP", "EUR", "USD"), weights=(80, 14, 6) if category.name != "Travel" else (45, 40, 15)
        )[0]
        made.append(
            (
                day_of(category, draw).isoformat(),
                "" if draw.random() < NO_TEXT else describe(draw.choice(category.merchants), draw),
                f"{sign * amount:.2f}",
                "" if draw.random() < NO_CURRENCY else currency,
                draw.choice(category.channels),
                draw.choices(("current", "joint", "credit"), weights=(60, 25, 15))[0],
                label,
            )
        )
    made.sort()
    return [(f"T{number:06d}", *row) for number, row in enumerate(made, start=1)]


def write(path: Path, rows: int, seed: int) -> None:
    """Write the CSV file, in UTF-8 with unix line ends."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(transactions(rows, seed))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--to", type=Path, default=TARGET)
    arguments = parser.parse_args()
    write(arguments.to, arguments.rows, arguments.seed)
