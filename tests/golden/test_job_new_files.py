"""The text of what `job new` writes, file by file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from automl_jobs.data import ColumnType, ReadOptions
from automl_jobs.new import Wishes, new_job

FILES = Path(__file__).parent / "files" / "job_new"

ROWS = range(30)
PLAIN = "id,size,town: #1,sold,day,y\n" + "".join(
    f'{i},{i * 1.25},"Zürich, {"NW"[i % 2]}",{"true" if i % 3 else "false"},{1 + i % 28:02d}/0{1 + i % 9}/2026,'
    f"{'yes' if i % 5 == 0 else 'no'}\n"
    for i in ROWS
)
GERMAN = "Preis;PLZ;wann;y\n" + "".join(
    f"{i}.{i:03d},5;0{i % 9}234;{1 + i % 28}.{1 + i % 12}.2026;{'NA' if i == 3 else i * 7}\n" for i in range(1, 31)
)
DAILY = "day,sales\n" + "".join(f"2026-01-{1 + i:02d},{100 + i * 7 % 31}.5\n" for i in range(28))

CASES: dict[str, tuple[str, str, dict[str, object]]] = {
    "copied": (
        PLAIN,
        "y",
        {"exclude": ["id", "town: #1"], "read": ReadOptions(types={"size": ColumnType.CATEGORICAL})},
    ),
    "rewritten": (GERMAN, "y", {}),
    "forecasting": (DAILY, "sales", {"task": "forecasting", "name": "Daily sales"}),
}


@pytest.mark.parametrize("case", CASES)
def test_written_as_recorded(case: str, project: Path) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; look at the difference before committing it."""
    content, target, given = CASES[case]
    (project / "data.csv").write_text(content, encoding="utf-8")
    made = new_job("data.csv", Wishes(target, to=Path("job"), **given))  # type: ignore[arg-type]
    written = {path.relative_to(made.folder).as_posix(): path for path in made.folder.rglob("*") if path.is_file()}
    assert set(written) == {"job.yml", "training-mltable-folder/MLTable", "training-mltable-folder/data.csv"}
    assert (written["training-mltable-folder/data.csv"].read_text(encoding="utf-8") == content) is (case != "rewritten")
    for name, path in written.items():
        golden = FILES / case / Path(name).name
        text = path.read_text(encoding="utf-8")
        if os.environ.get("UPDATE_GOLDEN"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(text, encoding="utf-8", newline="")
        assert text == golden.read_bytes().decode()
