"""Which trial is a job's model: the best that can be served, and why it is not the first of the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_jobs.runs import RunStore
from automl_jobs.runs.choice import BASELINE, MOST_MB, MOST_MS, choose, ranked
from automl_jobs.runs.rows import TrialRow
from automl_jobs.spec.settings import PREFERENCES
from tests.runs_support import job_start, new_store, outputs_folder, trial


def row(score: float | None, ms: float | None = 1.0, mb: float | None = 1.0, **changes: Any) -> TrialRow:
    values: dict[str, Any] = {
        "rank": 0,
        "id": f"{score}-{ms}-{mb}",
        "run_id": "r",
        "algorithm": "LightGBM",
        "preprocessor": "",
        "score": score,
        "status": "Failed" if score is None else "Completed",
        "duration_seconds": 1.0,
        "metrics": {},
        "error": None,
        "has_model": True,
        "predict_ms": ms,
        "model_mb": mb,
    }
    return TrialRow(**{**values, **changes})


def board(*rows: TrialRow, higher: bool = True) -> list[TrialRow]:
    return ranked([(one, number) for number, one in enumerate(rows)], higher)


def chosen(rows: list[TrialRow], prefer: str, higher: bool = True) -> tuple[int, str]:
    found = choose(rows, prefer, higher)
    assert found is not None
    return found.row.rank, found.reason


def test_a_model_too_slow_or_too_large_to_serve_is_the_choice_of_score_alone() -> None:
    rows = board(row(0.9, ms=35), row(0.89, mb=80), row(0.88), row(0.87))
    assert chosen(rows, "score") == (1, "")
    rank, reason = chosen(rows, "balanced")
    assert rank == 3
    assert reason == "rank 1 takes 35 ms a row, more than 20; so is rank 2 over a bound"
    assert chosen(board(row(0.9, mb=51), row(0.8)), "balanced") == (2, "rank 1 has 51 MB, more than 50")
    assert chosen(board(row(0.9, ms=MOST_MS, mb=MOST_MB), row(0.8)), "balanced") == (1, "")


def test_speed_takes_the_cheapest_within_one_standard_error_of_the_best() -> None:
    rows = board(row(0.90, ms=9, score_se=0.01), row(0.895, ms=4), row(0.891, ms=1), row(0.889, ms=0.2))
    rank, reason = chosen(rows, "speed")
    assert rank == 3
    assert "0.01 (one standard error)" in reason
    errors = board(row(0.10, ms=9), row(0.1009, ms=2), row(0.102, ms=1), higher=False)
    rank, reason = chosen(errors, "speed", higher=False)
    assert (rank, "1%, a tie" in reason) == (2, True)
    assert chosen(board(row(0.9, ms=0.2), row(0.899, ms=3)), "speed") == (1, "")


def test_times_that_differ_by_the_noise_of_a_busy_machine_are_told_apart_by_size() -> None:
    assert chosen(board(row(0.9, ms=1.02, mb=9), row(0.899, ms=1.05, mb=2)), "speed")[0] == 2


def test_a_model_that_is_no_better_than_the_baseline_is_not_chosen_for_being_cheap() -> None:
    rows = board(row(0.9, ms=30), row(0.5, algorithm=BASELINE), row(0.4))
    for prefer in ("balanced", "speed"):
        assert chosen(rows, prefer) == (1, "no model is within 20 ms a row and 50 MB")
        assert chosen(board(row(0.6, algorithm=BASELINE), row(0.5)), prefer) == (1, "")


def test_no_score_no_choice_and_costs_that_nobody_measured_are_borne() -> None:
    assert choose(board(row(None)), "balanced", True) is None
    assert chosen(board(row(0.9, ms=None, mb=None), row(0.8), row(None)), "balanced") == (1, "")


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 60), st.integers(0, 90)), min_size=1, max_size=12),
    st.sampled_from(PREFERENCES),
    st.booleans(),
)
def test_a_reason_is_given_exactly_where_the_choice_is_not_the_obvious_one(
    found: list[tuple[int, int, int]], prefer: str, higher: bool
) -> None:
    rows = board(*(row(score / 100, ms=ms, mb=mb) for score, ms, mb in found), higher=higher)
    rank, reason = chosen(rows, prefer, higher)
    servable = any(one.predict_ms <= MOST_MS and one.model_mb <= MOST_MB for one in rows)  # type: ignore[operator]
    assert bool(reason) == (rank != 1 or (prefer != "score" and not servable))
    if servable and prefer != "score":
        assert rows[rank - 1].predict_ms <= MOST_MS  # type: ignore[operator]
        assert rows[rank - 1].model_mb <= MOST_MB  # type: ignore[operator]


@pytest.mark.parametrize(("prefer", "identity"), [("balanced", "small"), ("score", "large"), ("speed", "quick")])
def test_the_choice_is_kept_with_the_job_and_is_what_is_registered(tmp_path: Path, prefer: str, identity: str) -> None:
    store = new_store(tmp_path / "home")
    outputs = outputs_folder(tmp_path / "outputs")
    writer = store.start_job(job_start("calm_bay_aaaaaa", prefer=prefer))
    writer.log_trial(trial("large", 0.9, outputs, metrics={"predict_ms": 4.0, "model_mb": 90.0}))
    writer.log_trial(trial("small", 0.899, outputs, metrics={"predict_ms": 5.0, "model_mb": 9.0}))
    writer.log_trial(trial("quick", 0.898, outputs, metrics={"predict_ms": 1.0, "model_mb": 9.0}))
    so_far = writer.chosen()
    assert so_far is not None
    assert so_far.id == identity
    assert (writer.outputs(so_far.id) / "model.pkl").is_file()
    writer.finish("Completed")
    job = RunStore.open(tmp_path / "home").job("latest")
    assert job.parameters["prefer"] == prefer
    assert job.best == so_far
    assert [one.id for one in store.leaderboard("latest") if one.chosen] == [identity]
    assert [one.id for one in store.leaderboard("latest")] == ["large", "small", "quick"]
    assert store.register("latest", None, "M").trial == identity
    assert store.trial("latest").row.id == identity
    assert store.register("latest", 1, "M").trial == "large"
    assert bool(so_far.reason) == (identity != "large")


@pytest.mark.parametrize("prefer", PREFERENCES)
def test_a_model_of_a_sample_is_the_choice_only_where_it_is_clearly_better(prefer: str) -> None:
    sampled, ensemble = row(0.923, rows=60_000), row(0.921)
    full, base = row(0.92, rows=900_000), row(0.5, rows=900_000, algorithm=BASELINE)
    assert chosen(board(sampled, full, base), prefer)[0] == 2
    assert chosen(board(sampled, ensemble, base), prefer)[0] == 2
    assert chosen(board(sampled, base), prefer) == (1, "")
    assert chosen(board(sampled, row(0.8, rows=900_000), base), prefer) == (1, "")
    # A model fitted again on the held-out rows too makes no sample of the others.
    assert chosen(board(row(0.94, rows=900_000), row(0.93, rows=1_000_000), base), prefer)[0] == 1


def test_a_running_job_makes_the_choice_that_its_leaderboard_shows(tmp_path: Path) -> None:
    store = new_store(tmp_path / "home")
    outputs = outputs_folder(tmp_path / "outputs")
    writer = store.start_job(job_start("calm_bay_aaaaaa"))
    for identity, score, rows in (("sampled", 0.902, 60_000), ("whole", 0.9, 900_000)):
        writer.log_trial(trial(identity, score, outputs, metrics={"predict_ms": 1.0, "train_rows": float(rows)}))
    so_far = writer.chosen()
    writer.finish("Completed")
    assert so_far is not None
    assert so_far.id == "whole"
    assert store.job("latest").best == so_far


def test_a_forecast_of_several_models_goes_before_a_single_one_that_is_within_noise() -> None:
    single, blend = row(0.100, score_se=0.01), row(0.108, algorithm="VotingEnsemble")
    rows = board(single, row(0.105), blend, higher=False)
    found = choose(rows, "balanced", False, "forecasting")
    assert found is not None
    assert (found.row.rank, found.row.algorithm) == (3, "VotingEnsemble")
    assert "within 0.01 (one standard error) of the best" in found.reason
    for prefer, task in (("score", "forecasting"), ("balanced", "regression")):
        other = choose(rows, prefer, False, task)
        assert other is not None
        assert other.row.rank == 1
    far = choose(board(single, row(0.115, algorithm="VotingEnsemble"), higher=False), "balanced", False, "forecasting")
    assert far is not None
    assert (far.row.rank, far.reason) == (1, "")
