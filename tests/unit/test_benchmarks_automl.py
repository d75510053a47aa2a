"""The parts of benchmarks/automl that compute: ranks, gaps, scores, which cells are left, the page."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from benchmarks import memory
from benchmarks.automl import __main__ as command
from benchmarks.automl import compare, process, report, scores, series, sets, systems
from benchmarks.automl.cells import FORECAST, GROWTH, TABLE, TABLE_SYSTEMS, Cell, Record, Store, plan


def record(system: str, score: float | None, data: str = "credit", seed: int = 0, **more: object) -> Record:
    budget = 0.0 if system in ("lightgbm", "autoets", "autoarima", "seasonal_naive") else 60.0
    kind = str(more.pop("kind", TABLE))
    measured = Record(Cell(kind, data, system, budget, seed), score=score, day="2026-01-02", version="1.0")
    return dataclasses.replace(measured, **more)


def test_ranks_share_places_between_equals_and_put_the_failed_last() -> None:
    given = {"a": 0.91, "b": 0.95001, "c": 0.95004, "d": None, "e": None}
    assert compare.ranks(given, higher=True) == {"a": 3, "b": 1.5, "c": 1.5, "d": 4.5, "e": 4.5}
    assert compare.ranks({"a": 10.0, "b": 9.0}, higher=False) == {"a": 2, "b": 1}


@given(st.dictionaries(st.text(max_size=3), st.none() | st.floats(0.01, 1e6), min_size=1), st.booleans())
def test_ranks_always_add_up(found: dict[str, float | None], higher: bool) -> None:
    assert sum(compare.ranks(found, higher).values()) == pytest.approx(len(found) * (len(found) + 1) / 2)


def test_a_gap_within_the_noise_of_paired_samples_is_a_tie() -> None:
    samples = np.random.default_rng(0).normal(0.8, 0.05, 200)
    close = np.random.default_rng(1).normal(0, 0.01, 200)
    ours = [record("forestay", 0.81, resampled=list(samples + close))]
    # The samples themselves spread five times wider; only the differences count.
    gap = compare.gap(ours, [record("lightgbm", 0.80, resampled=list(samples))], higher=True)
    assert gap is not None
    assert gap.ahead == pytest.approx(0.01)
    assert gap.error == pytest.approx(0.01, rel=0.15)
    assert gap.verdict == "tie"
    far = compare.gap(ours, [record("lightgbm", 0.70, resampled=list(samples))], higher=True)
    assert far is not None
    assert far.verdict == "better"


def test_a_gap_counts_the_other_way_where_less_is_better() -> None:
    gap = compare.gap([record("forestay", 12.0)], [record("flaml", 10.0)], higher=False)
    assert gap == compare.Gap(-2.0, None)
    assert gap.verdict == "worse"
    assert compare.gap([record("forestay", 12.0)], [record("flaml", None)], higher=False) is None


def test_a_mean_over_seeds_is_none_when_one_failed() -> None:
    assert compare.mean_score([record("flaml", 0.8), record("flaml", 0.9, seed=1)]) == pytest.approx(0.85)
    assert compare.mean_score([record("flaml", 0.8), record("flaml", None, seed=1)]) is None
    assert compare.mean_score([]) is None


def test_auc_is_that_of_scikit_learn_and_forgives_an_unknown_class() -> None:
    random = np.random.default_rng(3)
    truth = random.choice(["a", "b", "c"], 200, p=[0.6, 0.3, 0.1])
    probabilities = random.dirichlet(np.ones(3), 200)
    expected = roc_auc_score(truth, probabilities, multi_class="ovr", average="weighted")
    assert scores.weighted_auc(truth, ["a", "b", "c"], probabilities) == pytest.approx(expected)
    # The order of the system's classes does not matter.
    assert scores.weighted_auc(truth, ["c", "a", "b"], probabilities[:, [2, 0, 1]]) == pytest.approx(expected)
    two = np.array(["a", "b", "a", "b"])
    assert scores.weighted_auc(two, ["a"], np.ones((4, 1))) == pytest.approx(0.5)


def test_samples_are_the_same_for_every_system() -> None:
    drawn: list[list[int]] = [[], []]
    for seen in drawn:
        scores.resampled(lambda rows, seen=seen: float(seen.extend(rows.tolist()) or 1.0), 30, seed=4)
    assert drawn[0] == drawn[1]
    assert scores.resampled(lambda rows: float("nan"), 30, seed=4) == []


def test_mase_of_the_seasonal_naive_forecast_of_a_pure_trend_is_one() -> None:
    history = np.arange(24.0)
    truth = np.arange(24.0, 36.0)
    assert scores.mase(history, truth, truth - 12, season=12) == pytest.approx(1.0)
    assert scores.mase(history, truth, truth, season=12) == 0


def test_a_system_without_a_budget_is_planned_once() -> None:
    cells = plan(TABLE, ["credit"], TABLE_SYSTEMS, [30.0, 60.0], [0, 1])
    assert len(cells) == len(set(cells)) == 2 * (3 * 2 + 1)
    assert {cell.budget for cell in cells if cell.system == "lightgbm"} == {0.0}
    assert len({cell.key for cell in cells}) == len(cells)


def test_the_whole_plan_has_every_set_at_60_s_and_three_at_others() -> None:
    cells = command.choose((), (), (), [0])
    there = {one.name for one in sets.available()[0]}
    assert {cell.data for cell in cells if cell.kind == TABLE and cell.budget == 60} == there
    for budget in (30, 180):
        assert {cell.data for cell in cells if cell.budget == budget} == {"credit", "hotel", "nass"}
    assert {cell.data for cell in cells if cell.kind == FORECAST} == {one.name for one in series.available()[0]}
    assert not [cell for cell in command.choose((), ("flaml",), (), [0]) if cell.kind == FORECAST]


def test_a_record_comes_back_from_its_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "cells")
    kept = record("forestay", 0.8, resampled=[0.1, 0.2], facts={"algorithm": "LightGBM"}, row_ms=3.5)
    assert not store.has(kept.cell)
    store.put(kept)
    assert store.has(kept.cell)
    assert store.all() == [kept]
    store.forget(kept.cell)
    assert store.all() == []


def test_a_run_measures_only_what_is_missing_and_goes_on_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = plan(TABLE, ["credit", "churn"], TABLE_SYSTEMS, [60.0], [0])
    store = Store(tmp_path / "cells")
    measured: list[Cell] = []
    stop_after = 3

    def measure(cell: Cell, work: Path) -> Record:
        if len(measured) == stop_after:
            raise KeyboardInterrupt
        measured.append(cell)
        return Record(cell, error="it broke" if cell.system == "flaml" else None, score=0.5)

    monkeypatch.setitem(command.MEASURES, TABLE, measure)
    monkeypatch.setattr(command.os, "sched_setaffinity", lambda *_: None, raising=False)
    with pytest.raises(KeyboardInterrupt):
        command.run(cells, store, tmp_path)
    assert {kept.cell for kept in store.all()} == set(cells[:3])
    stop_after = len(cells) + 1
    command.run(cells, store, tmp_path)
    # Each once, the stored ones not again, the failing ones neither.
    assert measured == cells
    command.run(cells, store, tmp_path)
    assert measured == cells
    assert "it broke" in capsys.readouterr().err


def write_records() -> list[Record]:
    rows = []
    for data, higher in (("credit", True), ("ames", False)):
        for place, system in enumerate(TABLE_SYSTEMS):
            value = 0.9 - place / 100 if higher else 100.0 + place
            rows.append(record(system, value, data, seconds=61.0, peak_mb=500.0, model_mb=2.0, row_ms=9.0, models=7))
    rows[1] = dataclasses.replace(rows[1], score=None, error="ran | out of `memory`")
    for place, system in enumerate(("forestay", "seasonal_naive", "autoets", "autoarima")):
        rows.append(record(system, 0.5 + place / 10, "a10", kind=FORECAST))
    grown = Cell(GROWTH, "rows-1000", "forestay", 600.0, 0)
    rows.append(Record(grown, seconds=5.0, peak_mb=300.0, models=6, facts={"table_mb": 0.4}))
    return rows


def test_the_page_tells_ranks_failures_and_bounds() -> None:
    pages = report.pages(write_records(), "two cores;", "growth.svg")
    assert list(pages) == ["TABLES-60s.md", "FORECASTS.md", "GROWTH.md"]
    lines = "".join(pages.values()).splitlines()
    assert "| credit | AUC | **0.9** | failed | 0.88 | 0.87 | 1 |" in lines
    assert "| ames | RMSE | **100** | 101 | 102 | 103 | 1 |" in lines
    assert any(line.startswith("| Forestay | 1 | 1 | 0 | +1.0 |") for line in lines)
    assert any(line.startswith("| FLAML | 3 | 3 | 1 |") for line in lines)
    assert r"- credit, FLAML, seed 0: ran \| out of \`memory\`" in lines
    assert "| over the budget by at most 3 s | at most +1.0 s | yes |" in lines
    assert "| a better score than FLAML's on at least 75% | 2 of 2, beyond noise on 2 | yes |" in lines
    assert any(line.startswith("| a10 | 12 | 12 | **0.5** | 0.6 | 0.7 |") for line in lines)
    assert "| **median** |  |  | 0.5 | 0.6 | 0.7 | 0.8 |" in lines
    told = "Forestay 0.5, seasonal naive 0.6, AutoETS 0.7, AutoARIMA 0.8"
    assert f"| a better median MASE than each of the others | {told} | yes |" in lines
    assert "| rows | 1,000 | 5 | 300 | 0.4 | 6 |" in lines
    assert "![seconds and memory over rows, columns and trials](growth.svg)" in lines


def test_sets_of_several_seeds_are_named() -> None:
    again = [dataclasses.replace(one, cell=dataclasses.replace(one.cell, seed=1)) for one in write_records()]
    page = report.pages([*write_records(), *(one for one in again if one.cell.data == "ames")], "", None)
    assert "Test scores, seed 0 (ames: means over seeds 0, 1); AUC: more" in page["TABLES-60s.md"]
    lines = page["SEEDS-60s.md"].splitlines()
    assert [line for line in lines if "AUC" in line] == []
    assert [line.split(" | ")[:6] for line in lines if line.startswith("| ames")] == [
        ["| ames", "RMSE", seed, "100", "103", "+3"] for seed in ("0", "1", "all")
    ]


def test_a_bound_that_is_missed_says_so() -> None:
    slow = [dataclasses.replace(one, row_ms=25.0) if one.cell.system == "forestay" else one for one in write_records()]
    page = report.pages(slow, "", None)["TABLES-60s.md"]
    assert "| predicts one row in under 20 ms | 0 of 2, most 25 | **no** |" in page.splitlines()


def test_a_better_score_within_noise_is_counted_apart() -> None:
    noisy = [
        dataclasses.replace(one, resampled=(0.5, 1.5) if one.cell.system == "forestay" else (1.5, 0.5))
        if one.cell.data == "ames"
        else one
        for one in write_records()
    ]
    page = report.pages(noisy, "", None)["TABLES-60s.md"]
    assert "| a better score than FLAML's on at least 75% | 2 of 2, beyond noise on 1 | yes |" in page.splitlines()


def test_a_failure_of_forestay_counts_as_the_worst_score() -> None:
    failed = [
        dataclasses.replace(one, score=None, error="no trial")
        if one.cell.key.startswith("table-ames-forestay")
        else one
        for one in write_records()
    ]
    lines = report.pages(failed, "", None)["TABLES-60s.md"].splitlines()
    assert "| ames | RMSE | failed | **101** | 102 | 103 | 4 |" in lines
    assert "| ames | - | - | worse |" in lines
    assert "| never worse than plain LightGBM by more than noise | worse on ames of 2 | **no** |" in lines
    assert "| a better score than FLAML's on at least 75% | 1 of 2, beyond noise on 1 | **no** |" in lines


def test_a_failed_process_is_named_by_what_it_wrote_last(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Traceback\n  File x\nValueError: no rows\n\n")
    assert systems.reason(log, 1) == "ValueError: no rows"
    log.write_text("training\nerror: no model was trained\n  give it more time\n")
    assert systems.reason(log, 1) == "error: no model was trained; give it more time"
    assert systems.reason(log, -9) == "ended with code -9"


def test_a_set_that_not_every_system_was_measured_on_has_no_ranks() -> None:
    part = [one for one in write_records() if one.cell.system != "autogluon"]
    page = report.pages(part, "", None)["TABLES-60s.md"]
    assert "| credit | AUC | **0.9** | failed | - | 0.87 | not all measured |" in page.splitlines()


def test_what_was_not_measured_has_no_page() -> None:
    assert report.pages([], "", None) == {}


def test_a_split_moves_cells_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    frame = pd.DataFrame({"x": [f"0{n}.10" for n in range(40)], "y": ["NA", ""] * 20})
    frame.to_csv(source, index=False)
    one = sets.TableSet("own", "classification", "y", source)
    found = sets.split(one, 3, tmp_path / "work")
    parts = [pd.read_csv(part / "data.csv", dtype=str, keep_default_na=False) for part in (found.train, found.test)]
    assert len(parts[1]) == 10
    assert parts[1]["y"].value_counts().tolist() == [5, 5]
    assert sorted(pd.concat(parts)["x"]) == sorted(frame["x"])
    before = (found.test / "data.csv").read_bytes()
    assert sets.split(one, 3, tmp_path / "work") == found
    assert (found.test / "data.csv").read_bytes() == before
    other = sets.split(one, 4, tmp_path / "work")
    assert (other.test / "data.csv").read_bytes() != before


def test_a_process_that_takes_too_long_is_ended_with_all_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; held = bytearray(60_000_000);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    log = tmp_path / "log"
    started = time.monotonic()
    ended = process.run([sys.executable, "-c", code], env={}, cwd=tmp_path, limit=1.5, log=log)
    assert ended.code is None
    assert time.monotonic() - started < 20
    assert ended.peak_mb > 60
    assert not psutil.pid_exists(int(log.read_text()))


def test_what_a_killed_benchmark_left_running_is_ended(tmp_path: Path) -> None:
    left = psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        note = tmp_path / "process.json"
        note.write_text(json.dumps({"process": left.pid, "created": left.create_time() + 1}))
        process.end_leftover(tmp_path)
        # Another process that has the number by now is left alone.
        assert left.is_running()
        note.write_text(json.dumps({"process": left.pid, "created": left.create_time()}))
        process.end_leftover(tmp_path)
        assert left.wait(timeout=10) != 0
    finally:
        if left.is_running():
            left.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="the proportional set is Linux' own")
def test_memory_that_processes_share_counts_once(tmp_path: Path) -> None:
    """Two processes forked from one that holds 64 MB and maps a file of 32 MB hold no more than that and themselves."""
    file = tmp_path / "table"
    file.write_bytes(bytes(32_000_000))
    code = (
        "import mmap, os, sys, time\n"
        "held = bytes(range(256)) * 250_000\n"
        f"mapped = mmap.mmap(os.open({str(file)!r}, os.O_RDONLY), 0, access=mmap.ACCESS_READ)\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0:\n"
        "        break\n"
        "sum(mapped[::4096])\n"
        "open(sys.argv[1] + f'/ready{os.getpid()}', 'w').close()\n"
        "time.sleep(60)\n"
    )
    started = psutil.Popen([sys.executable, "-S", "-c", code, str(tmp_path)])
    try:
        deadline = time.monotonic() + 30
        while len(list(tmp_path.glob("ready*"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        tree = process.tree_of(started)
        assert len(tree) == 3
        assert 96e6 < process.held(tree) < 140e6
        assert sum(one.memory_info().rss for one in tree) > 280e6
    finally:
        for one in process.tree_of(started):
            one.kill()
        started.wait()


def test_what_people_wrote_into_the_page_on_memory_stays() -> None:
    page = memory.page("| rows |")
    assert memory.by_hand(page) == ""
    assert memory.by_hand(f"{page}\n## Small tables\n\ntext\n\n## More\n") == "\n## Small tables\n\ntext\n\n## More\n"
