"""Small tables with a signal, for tests that train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

JOB = """\
type: automl
experiment_name: tests
task: {task}
primary_metric: {metric}
target_column_name: {target}
training_data: {{path: ./train, type: mltable}}
validation_data: {{path: ./valid, type: mltable}}
test_data: {{path: ./test, type: mltable}}
limits: {{timeout_minutes: 2, max_trials: {trials}}}
"""
MLTABLE = """\
type: mltable
paths:
  - file: ./data.csv
transformations:
  - read_delimited: {delimiter: ",", encoding: utf8}
"""


def mixed(rows: int, seed: int) -> pd.DataFrame:
    """Numbers, categories, a date, a text and a truth value, with holes; `label` and `amount` depend on them."""
    draw = np.random.default_rng(seed)
    kind = draw.choice(["red", "green", "blue"], rows)
    size = draw.normal(10, 3, rows).round(3)
    flag = draw.random(rows) < 0.4
    words = draw.choice(["cheap small box", "large heavy crate", "fine glass vase", "old wooden chair"], rows)
    day = pd.Timestamp("2023-01-01") + pd.to_timedelta(draw.integers(0, 365, rows), unit="D")
    signal = (kind == "red") * 2.0 + (size > 10) * 1.5 + flag * 1.0 + np.char.startswith(words.astype(str), "large") * 2
    noisy = signal + draw.normal(0, 0.6, rows)
    frame = pd.DataFrame(
        {
            "kind": kind,
            "size": size,
            "flag": flag,
            "words": np.char.add(np.char.add(words.astype(str), " no "), draw.integers(1, 30, rows).astype(str)),
            "day": day.strftime("%Y-%m-%d"),
            "label": np.where(noisy > 3.5, "high", np.where(noisy > 1.8, "middle", "low")),
            "amount": (noisy * 10).round(2),
        }
    )
    frame.loc[draw.random(rows) < 0.05, "size"] = np.nan
    frame.loc[draw.random(rows) < 0.05, "kind"] = np.nan
    return frame


def write_job(folder: Path, target: str = "label", metric: str = "accuracy", trials: int = 4, rows: int = 400) -> Path:
    """A job on three tables (training, validation, test) in `folder`; returns the job file."""
    other = "amount" if target == "label" else "label"
    for name, count, seed in (("train", rows, 1), ("valid", rows // 2, 2), ("test", rows // 4, 3)):
        (folder / name).mkdir(parents=True)
        mixed(count, seed).drop(columns=other).to_csv(folder / name / "data.csv", index=False)
        (folder / name / "MLTable").write_text(MLTABLE, encoding="utf-8")
    job = folder / "job.yml"
    task = "classification" if target == "label" else "regression"
    job.write_text(JOB.format(task=task, metric=metric, target=target, trials=trials), encoding="utf-8")
    return job
