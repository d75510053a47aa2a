"""Cells of the table: what is measured one by one, each kept in a file of its own, so that a killed run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from forestay import project

TABLE, FORECAST, GROWTH = "table", "forecast", "growth"
TABLE_SYSTEMS = ("forestay", "flaml", "autogluon", "lightgbm")
FORECAST_SYSTEMS = ("forestay", "seasonal_naive", "autoets", "autoarima")
# These take no time budget: one measurement stands for every budget.
UNBUDGETED = frozenset({"lightgbm", "seasonal_naive", "autoets", "autoarima"})


@dataclass(frozen=True, order=True)
class Cell:
    """One measurement.

    Attributes
    ----------
    kind: table, forecast or growth. data: the set's name; of growth, axis and size.
    budget: seconds; 0 for a system that takes none. seed: of the split and of the system.
    """

    kind: str
    data: str
    system: str
    budget: float
    seed: int

    @property
    def key(self) -> str:
        """The name of its file."""
        return f"{self.kind}-{self.data}-{self.system}-{self.budget:g}s-{self.seed}"


@dataclass(frozen=True)
class Record:
    """What was measured in a cell; None for what there is not.

    Attributes
    ----------
    error: why there is no score.
    score: on the test rows: AUC (one against the rest, weighted by class), RMSE, or MASE (mean over series).
    resampled: the score on bootstrap samples of the test rows; the samples are the same for every system.
    seconds: of training. wall_seconds: of the whole process that trained, start-up and reading included.
    peak_mb: most memory of its process tree, 10^6 bytes. model_mb: what is kept to predict with, on disk.
    row_ms: median of predicting one row, milliseconds. models: trials, or models trained.
    version: of the system. day: when it was measured.
    """

    cell: Cell
    error: str | None = None
    score: float | None = None
    resampled: Sequence[float] = ()
    seconds: float | None = None
    wall_seconds: float | None = None
    peak_mb: float | None = None
    model_mb: float | None = None
    row_ms: float | None = None
    models: int | None = None
    version: str | None = None
    day: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def plan(
    kind: str, data: Iterable[str], systems: Iterable[str], budgets: Iterable[float], seeds: Iterable[int]
) -> list[Cell]:
    """Every combination once, set by set, so that the systems of one set are measured close together in time."""
    chosen = tuple(systems)
    times = tuple(budgets)
    cells = [
        Cell(kind, name, system, 0.0 if system in UNBUDGETED else float(seconds), seed)
        for seed in seeds
        for seconds in times
        for name in data
        for system in chosen
    ]
    return list(dict.fromkeys(cells))


class Store:
    """The records, one JSON file each in a folder. A file is written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, cell: Cell) -> bool:
        return self._path(cell).is_file()

    def put(self, record: Record) -> None:
        project.ensure_folder(self.folder)
        project.write_json(self._path(record.cell), asdict(record))

    def forget(self, cell: Cell) -> None:
        self._path(cell).unlink(missing_ok=True)

    def all(self) -> list[Record]:
        """Every record, ordered by cell."""
        return sorted((_read(path) for path in self.folder.glob("*.json")), key=lambda record: record.cell)

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{cell.key}.json"


def _read(path: Path) -> Record:
    document = json.loads(path.read_text(encoding="utf-8"))
    known = {one.name for one in fields(Record)}
    return Record(**{**{k: v for k, v in document.items() if k in known}, "cell": Cell(**document["cell"])})
