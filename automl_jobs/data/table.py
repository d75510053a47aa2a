"""What data is, once it is read: columns with a type each, and the notes on what was guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class ColumnType(StrEnum):
    """What a column holds; decides how it is featurized."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    TEXT = "text"
    DATETIME = "datetime"
    BOOLEAN = "boolean"
    IDENTIFIER = "identifier"
    CONSTANT = "constant"


@dataclass(frozen=True)
class Column:
    """One column as a person wants to see it before an experiment.

    Parameters
    ----------
    missing: rows without a value.
    distinct: different values, the missing ones not counted.
    examples: up to three different values, as text, in the file's order.
    warnings: what is odd about the column, one line each.
    """

    name: str
    type: ColumnType
    missing: int
    distinct: int
    examples: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """How a file was read, every guess resolved; `job new` writes the MLTable from it.

    Parameters
    ----------
    kind: "read_delimited", "read_parquet" or "read_json_lines", as in an MLTable.
    encoding: MLTable's name of the encoding (utf8, windows1252, ...).
    header: whether the first row holds the names.
    multi_line: whether some value holds a line break.
    formats: strptime formats of the datetime columns.
    unusual: why other readers would not find the same values in the file as it is (decimal comma, ...); empty when
        they would.
    """

    kind: str = "read_delimited"
    delimiter: str = ","
    encoding: str = "utf8"
    header: bool = True
    multi_line: bool = False
    formats: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    unusual: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table in memory.

    Parameters
    ----------
    frame: dtypes by column type: numeric int64 (written as whole numbers, nothing missing) or float64, never
        infinite; boolean pandas "boolean"; datetime datetime64[us] without a zone (zoned times are turned to UTC);
        categorical, text and identifier pandas "str" with NaN where missing; a constant keeps its own.
    columns: one for each column of `frame`, in its order.
    source: the path as it was given.
    notes: what was guessed, and what sets it right, one line each.
    reading: how the file was read; None for an MLTable.
    """

    frame: pd.DataFrame
    columns: tuple[Column, ...]
    source: str
    notes: tuple[str, ...] = ()
    reading: Reading | None = None

    def release(self) -> None:
        """Give back the memory of the rows, for whoever holds the table; what is said of the columns stays.

        For a run, whose processes have their own way to the rows: a table of millions should not be held twice.
        """
        import pandas as pd
        import pyarrow as pa

        # Not a slice, which would hold on to the text that it is a slice of.
        none = {name: pd.Series([], dtype=dtype) for name, dtype in self.frame.dtypes.items()}
        object.__setattr__(self, "frame", pd.DataFrame(none))
        pa.default_memory_pool().release_unused()

    def column(self, name: str) -> Column:
        """The column called `name`. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True)
class ReadOptions:
    """What the user says of a file; None means: guess and say so.

    Parameters
    ----------
    delimiter: one character.
    encoding: any name that Python or MLTable knows.
    header: False when the first row is data; the columns are then Column1, Column2, ... as in Azure.
    decimal: "." or ",".
    thousands: "," "." " " "'" or "_"; "" when there is none.
    na_values: values that mean missing in every column, besides the empty one. When given, nothing else does.
    keep_na: only an empty value is missing; NA, null and their like are values.
    day_first: how to read 03/04/2026.
    types: column name -> type, instead of what would be inferred.
    days: columns of times that may stand for days: where the clock shows midnight in all rows, an offset is passed over
        and does not move them to another day.
    """

    delimiter: str | None = None
    encoding: str | None = None
    header: bool = True
    decimal: str | None = None
    thousands: str | None = None
    na_values: tuple[str, ...] = ()
    keep_na: bool = False
    day_first: bool | None = None
    types: Mapping[str, ColumnType] = field(default_factory=lambda: MappingProxyType({}))
    days: tuple[str, ...] = ()
