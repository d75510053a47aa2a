"""Any subset of valid keys loads and means what it says; any broken key has a line; no text ends in a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl_jobs.spec import load_job
from automl_jobs.spec.jobs import ClassificationJob
from automl_jobs.spec.loader import JOB_FILE
from forestay.documents.document import parse, parse_value
from forestay.documents.problems import keys
from forestay.errors import InputError, Problem

REQUIRED: dict[str, Any] = {
    "type": "automl",
    "task": "classification",
    "target_column_name": "y",
    "training_data": {"path": "./data"},
}
VALID: dict[str, Any] = {
    "name": "job-1",
    "experiment_name": "an experiment",
    "display_name": "shown",
    "description": "a text: with a colon",
    "compute": "azureml:cpu",
    "tags": {"a": "b"},
    "properties": {"forestay.seed": "1"},
    "log_verbosity": "debug",
    "primary_metric": "accuracy",
    "positive_label": "yes",
    "weight_column_name": "w",
    "validation_data_size": 0.25,
    "test_data_size": 0.1,
    "environment_id": "e",
    "environment_variables": {"A": "b"},
    "limits": {"max_trials": 3, "timeout_minutes": 9, "exit_score": 0.5, "enable_early_termination": False},
    "featurization": {"mode": "custom", "blocked_transformers": ["TfIdf"], "column_name_and_types": {"a": "Text"}},
    "training": {"allowed_training_algorithms": ["LightGBM", "KNN"], "enable_stack_ensemble": False},
    "resources": {"instance_type": "Standard_E4s_v3", "instance_count": 2},
    "queue_settings": {"job_tier": "spot"},
    "identity": {"type": "aml_token"},
    "outputs": {"default": {"type": "uri_folder", "mode": "upload"}},
}
SECTIONS = ("limits", "featurization", "training", "resources", "queue_settings", "identity", "training_data")
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(tmp_path: Path, data: object) -> Path:
    path = tmp_path / "job.yml"
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def problems(call: Any, *arguments: Any) -> tuple[Problem, ...]:
    """What a call refuses; nothing when it takes its arguments."""
    try:
        call(*arguments)
    except InputError as error:
        return error.problems
    return ()


def plain(value: Any) -> Any:
    """A dumped model as YAML would hold it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


@quick
@given(chosen=st.sets(st.sampled_from(sorted(VALID))), order=st.randoms())
def test_any_subset_of_valid_keys_round_trips(tmp_path: Path, chosen: set[str], order: Any) -> None:
    data = {**REQUIRED, **{key: VALID[key] for key in chosen}}
    names = list(data)
    order.shuffle(names)
    loaded = load_job(write(tmp_path, {name: data[name] for name in names}))
    dumped = plain(loaded.spec.model_dump(exclude_unset=True))
    assert dumped == data
    # What was dumped is a job file again, and the same one.
    assert load_job(write(tmp_path, dumped)).spec == loaded.spec
    assert all(loaded.line_of(key) is not None for key in data)


@quick
@given(data=st.data())
def test_any_broken_key_is_refused_at_its_line(tmp_path: Path, data: st.DataObject) -> None:
    job = {**REQUIRED, **VALID}
    section = data.draw(st.sampled_from(["", *SECTIONS]))
    target = dict(job[section]) if section else job
    key = data.draw(st.sampled_from(sorted(target)))
    place = data.draw(st.integers(0, len(key)))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz_"))
    broken = key[:place] + letter + key[place:]
    if broken in target or (not section and broken in keys(ClassificationJob)):
        return
    target = {broken if name == key else name: value for name, value in target.items()}
    path = write(tmp_path, {**job, section: target} if section else target)
    lines = path.read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text.strip().startswith(f"{broken}:"))
    with pytest.raises(InputError) as caught:
        load_job(path)
    # The first line is also the place of what is missing at the top.
    at_line = [problem for problem in caught.value.problems if problem.where == f"{path}:{line}"]
    (problem,) = [problem for problem in at_line if f"{broken}`" in problem.message]
    assert key in problem.fix or "valid" in problem.fix or "belongs" in problem.fix


@quick
@given(
    key=st.sampled_from(sorted({**REQUIRED, **VALID})),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_any_value_at_any_key_is_taken_or_refused_with_a_line(tmp_path: Path, key: str, value: object) -> None:
    path = write(tmp_path, {**REQUIRED, **VALID, key: value})
    for problem in problems(load_job, path):
        assert problem.where.startswith(f"{path}:")
        assert problem.where.rpartition(":")[2].isdigit()
        assert problem.message
        assert problem.fix


@quick
@given(text=st.text(alphabet=st.sampled_from("ab:- \n{}[]&*!?|>'\"#%,~<0123.x\t"), max_size=80))
def test_any_text_is_a_job_or_an_input_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.yml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        load_job(tmp_path / "job.yml")


@quick
@given(raw=st.binary(max_size=60))
def test_any_bytes_are_an_input_error(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "job.yml").write_bytes(raw)
    with pytest.raises(InputError):
        load_job(tmp_path / "job.yml")


@quick
@given(key=st.text(max_size=12), value=st.text(max_size=12))
def test_any_override_is_taken_or_an_input_error(tmp_path: Path, key: str, value: str) -> None:
    path = write(tmp_path, REQUIRED)
    assert all(problem.message and problem.where for problem in problems(load_job, path, {key: value}))


@quick
@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=12,
    ).filter(lambda value: isinstance(value, dict))
)
def test_values_are_those_of_the_safe_loader(data: dict[str, Any]) -> None:
    text = yaml.safe_dump(data, allow_unicode=True)
    assert parse(text, "f", JOB_FILE).data == yaml.safe_load(text)
    assert parse_value(text, "--set x") == yaml.safe_load(text)
