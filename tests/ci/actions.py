"""GitHub Actions for the workflows that we render: their needs, conditions, expressions and actions, and no others.

What is not known here fails the test: a workflow that begins to use more of the language is noticed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.ci.shell import LEFT_OUT, Machine, Run, Step

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_WORD = re.compile(r"'(?P<text>[^']*)'|(?P<op>&&|\|\||==|!=|[()])|(?P<name>[A-Za-z_][\w.-]*)(?P<call>\(\))?")
_PYTHON = {"&&": "and", "||": "or"}
SUCCESS, FAILURE, SKIPPED = "success", "failure", "skipped"


def run(
    machine: Machine, workflow: str, *, only: Collection[str] = (), before: Run | None = None, **context: Any
) -> Run:
    """Run a workflow of the repository's main branch to its end.

    Parameters
    ----------
    workflow: its name, `main` for .github/workflows/forestay-main.yml. only: these jobs; all of them by default.
    before: what jobs that are left out have come to.
    context: `inputs`, `vars`, `github`, `identity`: variables of jobs that may log in.
    """
    origin = machine.workspace()
    machine.checkout(origin / "read")
    path = origin / "read" / ".github" / "workflows" / f"forestay-{workflow}.yml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["permissions"] == {}
    found = before.copied() if before else Run()
    if only:
        document["jobs"] = {name: document["jobs"][name] for name in only}
    for name in _in_order(document["jobs"], set(found.jobs)):
        for legs in _legs(document["jobs"][name]):
            _job(machine, found, document, name, {"inputs": {}, "vars": {}, **context, "matrix": legs})
    return found


def _in_order(jobs: Mapping[str, Any], before: set[str]) -> list[str]:
    done: list[str] = []
    while len(done) < len(jobs):
        ready = [name for name, job in jobs.items() if name not in done and set(_needs(job)) <= {*done, *before}]
        assert ready, "needs go round in a circle"
        done += ready
    return done


def _needs(job: Mapping[str, Any]) -> list[str]:
    found = job.get("needs", [])
    return [found] if isinstance(found, str) else list(found)


def _legs(job: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    matrix = job.get("strategy", {}).get("matrix", {})
    if not matrix:
        yield {}
    for key, values in matrix.items():
        assert len(matrix) == 1
        yield from ({key: value} for value in values)


def _job(machine: Machine, found: Run, document: dict[str, Any], name: str, context: dict[str, Any]) -> None:
    job = document["jobs"][name]
    needs = {one: {"result": found.jobs[one], "outputs": found.outputs.get(one, {})} for one in _needs(job)}
    context = {**context, "needs": needs, "steps": {}}
    condition = str(job.get("if", "success()"))
    if "always()" not in condition and any(one["result"] != SUCCESS for one in needs.values()):
        found.jobs[name] = SKIPPED
        return
    if not evaluate(condition, context):
        found.jobs[name] = SKIPPED
        return
    workspace = machine.workspace()
    between = {key: machine.temp / f"github-{key.lower()}" for key in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")}
    for file in between.values():
        file.write_text("", encoding="utf-8")
    given = {f"GITHUB_{key}": str(file) for key, file in between.items()}
    given |= {"RUNNER_TEMP": str(machine.temp), "GITHUB_REPOSITORY": "contoso/models", "CI": "true"}
    given |= {"GITHUB_SERVER_URL": "https://github.com"}
    if "id-token" in job["permissions"]:
        given |= context.get("identity", {})
    given |= _texts(document.get("env", {}), context) | _texts(job.get("env", {}), context)
    result = found.jobs.get(name, SUCCESS)
    failed = False
    for step in job["steps"]:
        condition = str(step.get("if", "success()"))
        if (failed and "always()" not in condition) or not evaluate(condition, context):
            continue
        if "uses" in step:
            outputs = _use(machine, workspace, step["uses"], _texts(step.get("with", {}), context))
        elif step["name"] in LEFT_OUT:
            lock = step.get("env", {}).get("REQUIREMENTS")
            assert lock is None or (workspace / lock).is_file(), f"{name}: pip finds no {lock} in {workspace}"
            continue
        else:
            between["OUTPUT"].write_text("", encoding="utf-8")
            environment = {**given, **_pairs(between["ENV"]), **_texts(step.get("env", {}), context)}
            code, out = machine.bash(step["run"], workspace, environment, "--noprofile", "--norc", "-eo", "pipefail")
            found.steps.append(Step(name, step["name"], code, out))
            failed = failed or code != 0
            outputs = _pairs(between["OUTPUT"])
        if "id" in step:
            context["steps"][step["id"]] = {"outputs": outputs}
    machine.close()
    found.jobs[name] = FAILURE if failed else result
    found.outputs[name] = _texts(job.get("outputs", {}), context)


def _pairs(file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def _texts(values: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, str]:
    return {key: text(value, context) for key, value in values.items()}


def text(value: Any, context: Mapping[str, Any]) -> str:
    """A value with its `${{ expressions }}` filled in."""
    if isinstance(value, bool):
        return str(value).lower()
    return _EXPRESSION.sub(lambda hit: str(evaluate(hit[1], context) or ""), str(value))


def evaluate(expression: str, context: Mapping[str, Any]) -> Any:
    """What an expression comes to."""
    words, end = [], 0
    expression = expression.strip()
    while end < len(expression):
        hit = _WORD.match(expression, end)
        assert hit, f"not known here: {expression[end:]}"
        end = hit.end()
        while expression[end : end + 1] == " ":
            end += 1
        if hit["text"] is not None:
            words.append(repr(hit["text"]))
        elif hit["op"]:
            words.append(_PYTHON.get(hit["op"], hit["op"]))
        elif hit["call"]:
            assert hit["name"] in ("always", "success"), hit["name"]
            words.append("True")
        else:
            words.append(f"look({hit['name']!r})")
    return eval(" ".join(words), {"__builtins__": {}, "look": lambda name: _look(name, context)})


def _look(name: str, context: Mapping[str, Any]) -> Any:
    first, *rest = name.split(".")
    assert first in context, name
    found: Any = context[first]
    for step in rest:
        found = found.get(step, "") if isinstance(found, Mapping) else ""
    return found


def _use(machine: Machine, workspace: Path, uses: str, given: Mapping[str, str]) -> dict[str, str]:
    """Play an action; its outputs."""
    action, _, commit = uses.partition("@")
    assert re.fullmatch(r"[0-9a-f]{40}", commit), uses
    if action == "actions/checkout":
        assert given["persist-credentials"] == "false"
        machine.checkout(workspace / given.get("path", "."), given.get("ref", ""))
    elif action == "actions/upload-artifact":
        there = sorted(workspace.glob(given["path"]))
        assert there or given.get("if-no-files-found") == "ignore", given
        for file in there:
            to = machine.place("artifacts", given["name"])
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, to)
    elif action == "actions/download-artifact":
        pattern = given.get("pattern", given.get("name", ""))
        for artifact in sorted((machine.folder / "artifacts").glob(pattern)):
            shutil.copytree(artifact, workspace / given.get("path", "."), dirs_exist_ok=True)
    elif action == "actions/cache/restore":
        assert given["lookup-only"] == "true"
        return {"cache-hit": "true" if machine.place("caches", given["key"]).is_dir() else ""}
    elif action == "actions/cache/save":
        shutil.copytree(workspace / given["path"], machine.place("caches", given["key"]))
    else:
        assert action == "actions/setup-python", action
        assert "cache" not in given or (workspace / given["cache-dependency-path"]).is_file(), given
    return {}
