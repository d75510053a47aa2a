"""What `import forestay` gives: guarded, and nothing heavy."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import forestay

FUNCTIONS = {
    "charts": ["job", "rank"],
    "code": ["job", "rank", "to"],
    "deploy": ["name", "model", "target", "env", "folder", "allow_breaking", "progress", "options"],
    "evaluate": ["model", "data", "by", "metric"],
    "generate": ["model", "to", "style", "progress"],
    "job": ["name", "env"],
    "jobs": ["env"],
    "leaderboard": ["job", "env"],
    "load_model": ["model", "rank"],
    "predict": ["model", "data", "probabilities"],
    "register": ["job", "name", "rank"],
    "rerun": [
        *("job", "data", "env", "time_budget", "max_trials", "seed", "prefer", "decision", "bagged_folds", "settings"),
        *("to", "wait", "force", "progress"),
    ],
    "submit": [
        *("data", "target", "task", "metric", "exclude", "env", "time_budget", "max_trials", "seed", "prefer"),
        *("decision", "bagged_folds", "settings", "name", "to", "wait", "force", "progress"),
    ],
    "verify": ["folder", "progress"],
}
CLASSES = {"Charts", "Job", "Scores"}
ERRORS = {"ForestayError", "InputError", "Interrupted", "OutsideError", "RunFailed", "Unreachable"}


def test_what_is_exported_is_what_was_meant() -> None:
    """A change here is a change for everybody's scripts: say it in the changelog."""
    assert set(forestay.__all__) == {*FUNCTIONS, *CLASSES, *ERRORS, "LOCAL", "__version__"}
    assert set(forestay.__all__) <= set(dir(forestay))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_keep_their_parameters_and_say_what_they_do(name: str) -> None:
    function = getattr(forestay, name)
    assert list(inspect.signature(function).parameters) == FUNCTIONS[name]
    assert inspect.getdoc(function)


@pytest.mark.parametrize("name", sorted(CLASSES | ERRORS))
def test_classes_are_classes(name: str) -> None:
    assert inspect.isclass(getattr(forestay, name))
    assert (name in ERRORS) == issubclass(getattr(forestay, name), forestay.ForestayError)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'sumbit'"):
        forestay.sumbit  # type: ignore[attr-defined]  # noqa: B018


def test_the_import_is_light_and_so_are_the_functions_until_they_are_called() -> None:
    code = (
        "import sys, forestay\n"
        "before = set(sys.modules)\n"
        "assert not {'forestay.api', 'click', 'rich'} & before\n"
        "forestay.submit, forestay.InputError, forestay.Charts\n"
        "heavy = {'pandas', 'numpy', 'sklearn', 'mlflow', 'azure', 'pulumi', 'click', 'pydantic', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_a_script_beside_a_file_that_hides_a_package_is_told_which(tmp_path: Path) -> None:
    (tmp_path / "scoring.py").touch()
    (tmp_path / "mine.py").write_text("import forestay\nforestay.leaderboard('latest')\n", encoding="utf-8")
    done = subprocess.run([sys.executable, str(tmp_path / "mine.py")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"{tmp_path / 'scoring.py'}: hides Forestay's own `scoring`" in done.stderr
    assert "rename scoring.py" in done.stderr


def test_type_checkers_see_what_is_lazy() -> None:
    """Names under TYPE_CHECKING are those of `__all__`: an editor completes them."""
    import ast

    tree = ast.parse(Path(str(forestay.__file__)).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    names = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names | {"LOCAL", "__version__"} == set(forestay.__all__)
