"""Names of jobs and models: made, checked, found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_jobs.runs import names
from forestay.errors import InputError


def test_generated_names_look_like_azures_and_pass_its_rule() -> None:
    made = {names.new_job_name() for _ in range(200)}
    assert len(made) == 200
    for name in made:
        names.check_job_name(name)
        adjective, noun, suffix = name.split("_")
        assert adjective.isalpha()
        assert noun.isalpha()
        assert len(suffix) == 6


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a/b", "a.b", "ä", "a" * 256, "latest", "a\n"])
def test_bad_job_names_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        names.check_job_name(name)


@pytest.mark.parametrize("name", ["", ".a", "-a", "a b", "a/b", "a:1", "a" * 256, "../a", "ä"])
def test_bad_model_names_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        names.check_model_name(name)


@pytest.mark.parametrize("name", ["M", "a" * 255, "9-lives_v1.2"])
def test_good_model_names_pass(name: str) -> None:
    names.check_model_name(name)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("M", ("M", None, None)),
        ("M:3", ("M", "3", None)),
        ("local:M", ("M", None, None)),
        ("local:M:12", ("M", "12", None)),
        ("M:latest", ("M", None, None)),
        ("local", ("local", None, None)),
        ("M@champion", ("M", None, "champion")),
        ("local:M@a-b_2", ("M", None, "a-b_2")),
    ],
)
def test_model_references(reference: str, expected: tuple[str, str | None, str | None]) -> None:
    assert names.split_model(reference) == expected


@pytest.mark.parametrize(
    "reference",
    [
        "M:",
        "M:0",
        "M:-1",
        "M:1.5",
        "M:x",
        "M:1:2",
        ":1",
        "M:01",
        "M: 1",
        "M@",
        "@a",
        "M@v1",
        "M@3",
        "M@LATEST",
        "M@a b",
        "M:1@a",
        "M@a:1",
    ],
)
def test_bad_model_references_are_refused(reference: str) -> None:
    with pytest.raises(InputError):
        names.split_model(reference)


@given(st.text())
def test_any_reference_is_understood_or_refused(text: str) -> None:
    try:
        name, version, alias = names.split_model(text)
    except InputError:
        return
    names.check_model_name(name)
    assert version is None or int(version) >= 1
    assert version is None or alias is None


JOBS = ["quiet_harbor_x8k2m1", "quiet_star_aaaaaa", "bold_fjord_bbbbbb"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("quiet_star_aaaaaa", "quiet_star_aaaaaa"),
        ("latest", "quiet_harbor_x8k2m1"),
        ("bold", "bold_fjord_bbbbbb"),
        ("quiet_h", "quiet_harbor_x8k2m1"),
    ],
)
def test_a_job_is_found(typed: str, found: str) -> None:
    assert names.find_job(typed, JOBS) == found


def test_an_exact_name_wins_over_longer_ones() -> None:
    assert names.find_job("run1", ["run10", "run1"]) == "run1"


def test_an_ambiguous_prefix_names_what_fits() -> None:
    with pytest.raises(InputError) as caught:
        names.find_job("quiet", JOBS)
    assert "fits 2 jobs" in str(caught.value)
    assert "bold" not in caught.value.problems[0].fix


def test_an_unknown_job_names_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        names.find_job("quite_harbour_x8k2m1", JOBS)
    assert caught.value.problems[0].fix.startswith("nearest: quiet_harbor_x8k2m1")


@pytest.mark.parametrize("typed", ["", "latest", "x"])
def test_without_jobs_nothing_is_found(typed: str) -> None:
    with pytest.raises(InputError, match="no job has run here"):
        names.find_job(typed, [])


def test_an_empty_name_is_no_prefix() -> None:
    with pytest.raises(InputError):
        names.find_job("", JOBS[:1])
