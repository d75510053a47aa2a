"""A model card and the page of an evaluation as they are written, with names that try to break out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from automl_jobs.evaluate.judged import Evaluation, Slice
from automl_jobs.runs import ModelVersion, card
from automl_jobs.runs.report import page
from forestay.project import write_json
from tests.report_support import HOSTILE, classification_documents, content

FILES = Path(__file__).parent / "files"
BREAKOUT = "| x |\n\n# [h](javascript:1) `{{ 7 }}` <b>"


def recorded(file: str, text: str) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; look at the difference before committing it."""
    golden = FILES / file
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def version(folder: Path, **changes: Any) -> ModelVersion:
    values: dict[str, Any] = {
        "name": "M_1", "version": "3", "job": "calm_bay_aaaaaa", "trial": "t1", "rank": 1, "algorithm": "LightGBM",
        "metric": "AUC_weighted", "score": 0.9, "created": 1_767_225_600_000, "path": folder, "run_id": "r",
    }  # fmt: skip
    return ModelVersion(**{**values, **changes})


def schema(**changes: Any) -> dict[str, Any]:
    column = {"used": True, "minimum": None, "maximum": None, "values": None}
    return {
        "task": "classification",
        "target": BREAKOUT,
        "classes": ["no", BREAKOUT],
        "columns": [
            {**column, "name": "age", "type": "numeric", "minimum": 18, "maximum": 90},
            {**column, "name": BREAKOUT, "type": "categorical", "values": [BREAKOUT, *"abcdefg"]},
            {**column, "name": "note", "type": "text"},
            {**column, "name": "id", "type": "identifier", "used": False},
        ],
        "python": "3.11.7",
        "packages": {"numpy": "2.4.6", "lightgbm": "4.7.0"},
        **changes,
    }


def text_of(found: ModelVersion, of: str | None) -> str:
    if of is None:
        return card.text(found, card.schema_of(found.path), None, None)
    made = content(of, trials=2)
    detail = made.job
    object.__setattr__(
        detail,
        "documents",
        {
            **detail.documents,
            "submit": {
                "data": {
                    "training_data": {
                        "rows": 1200, "columns": ["a", "b"], "sha256": "0" * 64,
                        "periods": {BREAKOUT: ["2024-01-01T00:00:00", "2024-06-30T00:00:00"]},
                    },
                }
            },
        },
    )  # fmt: skip
    row = next(row for row in made.trials if row.chosen)
    return card.text(found, card.schema_of(found.path), detail, row)


@pytest.mark.parametrize(
    ("file", "of", "changes", "known"),
    [
        ("card_classification.md", "classification", {}, {}),
        (
            "card_forecasting.md",
            "forecasting",
            {"task": "forecasting", "classes": None, "horizon": 7, "frequency": "D"},
            {},
        ),
        (
            "card_file.md",
            None,
            {},
            {"job": "", "trial": "", "rank": None, "file": BREAKOUT, "metric": "", "score": None},
        ),
    ],
)
def test_a_card_as_recorded(
    tmp_path: Path, file: str, of: str | None, changes: dict[str, Any], known: dict[str, Any]
) -> None:
    write_json(tmp_path / "model_schema.json", schema(**changes))
    text = re.sub(r"Forestay: .*", "Forestay: VERSION", text_of(version(tmp_path, **known), of))
    recorded(f"scoring/{file}", text)
    assert "\n# [h]" not in text
    assert "<b>" not in text
    assert "\n\n\n" not in text
    assert text.endswith("\n")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [heading for heading in headings if heading != "Importance"] == [
        "The model", "Intended use", "Data", "Metrics", "Limits", "Columns", "Environment", "Proof",
    ]  # fmt: skip


def test_a_card_without_a_schema_says_what_is_known(tmp_path: Path) -> None:
    text = card.text(version(tmp_path), card.schema_of(tmp_path), None, None)
    assert "LightGBM" in text
    assert "What it was trained on is not known here" in text


def test_the_page_of_an_evaluation_as_recorded() -> None:
    found = Evaluation(
        model="M",
        version="3",
        task="classification",
        target=HOSTILE,
        data="new.csv",
        rows=600,
        metric="AUC_weighted",
        higher=True,
        metrics={"AUC_weighted": 0.93, "accuracy": 0.8},
        intervals={"AUC_weighted": {"low": 0.9, "high": 0.95, "level": 0.95, "resamples": 1000, "rows": 600}},
        charts=classification_documents(),
        by=HOSTILE,
        slices=(
            Slice(HOSTILE, 580, {"AUC_weighted": 0.93}, (0.9, 0.95)),
            Slice("(missing)", 20, {}, None, "20 rows: too few to say much"),
        ),
        notes=(f"20 rows have {HOSTILE}",),
    )
    text = page.evaluation(found)
    recorded("report/evaluation.html", re.sub(r"Written by forestay [^;]*;", "Written by forestay VERSION;", text))
    assert HOSTILE not in text
