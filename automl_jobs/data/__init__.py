"""Data, from a path to a typed table: MLTable folders, delimited text, Parquet, JSON Lines.

In the order in which things happen:

load       a path -> a Table; picks the reader
mltable    an MLTable file -> its paths and steps, each with its line
encoding   bytes -> which encoding, where it breaks
dialect    the first lines -> the delimiter
delimited  delimited text -> Arrow columns of text
records    Parquet and JSON Lines -> Arrow columns
steps      an MLTable's files read, its steps applied
infer      all columns -> typed columns: look (one column of text), numbers, dates, kinds
describe   typed columns -> Column: missing, distinct, examples, warnings
"""

from automl_jobs.data.load import load_table
from automl_jobs.data.table import Column, ColumnType, Reading, ReadOptions, Table

__all__ = ["Column", "ColumnType", "ReadOptions", "Reading", "Table", "load_table"]
