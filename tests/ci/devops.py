"""Azure Pipelines for what we render: stages, conditions, variables and tasks of it, and no others.

What is not known here fails the test: a pipeline that begins to use more of the language is noticed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.ci.shell import LEFT_OUT, Machine, Run, Step

_MACRO = re.compile(r"\$\(([A-Za-z][\w.]*)\)")
_RUNTIME = re.compile(r"\$\[ (.*) \]")
_SET = re.compile(r"##vso\[task\.setvariable variable=(\w+);isOutput=true\](.*)")
_PYTHON = {"and": "all_of", "or": "any_of", "in": "one_of"}
SUCCEEDED, FAILED, SKIPPED = "Succeeded", "Failed", "Skipped"


def run(
    machine: Machine,
    pipeline: str,
    variables: Mapping[str, str] | None = None,
    ref: str = "",
    only: Collection[str] = (),
    before: Run | None = None,
    **parameters: str,
) -> Run:
    """Run a pipeline of the repository's main branch to its end.

    Parameters
    ----------
    pipeline: its name, `main` for .azure-pipelines/forestay-main.yml. variables: predefined ones of this run.
    ref: what is checked out; the end of main by default. only: these stages; all of them by default.
    before: what stages that are left out have come to.
    parameters: what somebody chose when it was started.
    """
    read = machine.workspace() / "read"
    machine.checkout(read)
    text = (read / ".azure-pipelines" / f"forestay-{pipeline}.yml").read_text(encoding="utf-8")
    given = {one["name"]: one.get("default") for one in yaml.safe_load(text).get("parameters", [])} | parameters
    text = re.sub(r"\$\{\{ parameters\.(\w+) \}\}", lambda hit: str(given[hit[1]]), text)
    assert "${{" not in text
    document = yaml.safe_load(text)
    found, previous = (before.copied() if before else Run()), ""
    for stage in [one for one in document["stages"] if not only or one["stage"] in only]:
        name = stage["stage"]
        needs = stage.get("dependsOn", [previous] if previous else [])
        needs = [needs] if isinstance(needs, str) else needs
        previous = name
        known = {**document.get("variables", {}), **(variables or {})}
        results = {one: {"result": found.jobs[one], "outputs": _by_job(found, one)} for one in needs}
        worked = all(found.jobs[one] == SUCCEEDED for one in needs)
        if not evaluate(stage.get("condition", "succeeded()"), known, worked, results):
            found.jobs[name] = SKIPPED
            continue
        found.jobs[name] = SUCCEEDED
        for job in stage["jobs"]:
            for leg in (job.get("strategy", {}).get("matrix") or {"": {}}).values():
                _job(machine, found, name, job, {**known, **leg}, ref)
    return found


def _by_job(found: Run, stage: str) -> dict[str, str]:
    """Outputs of a stage's jobs, `job.step.variable`."""
    return {
        f"{key.split('.')[1]}.{name}": value
        for key, values in found.outputs.items()
        if key.split(".")[0] == stage
        for name, value in values.items()
    }


def _job(machine: Machine, found: Run, stage: str, job: dict[str, Any], known: dict[str, str], ref: str) -> None:
    name = job.get("job") or job["deployment"]
    pipeline = machine.workspace()
    sources = pipeline / "s"
    stages: dict[str, Any] = {}
    for key, values in found.outputs.items():
        of, which = key.split(".")
        stages.setdefault(of, {})[which] = {"outputs": values}
    variables = {
        "System.AccessToken": "a token of the run",
        **known,
        "Pipeline.Workspace": str(pipeline),
        "Build.SourcesDirectory": str(sources),
    }
    variables["Agent.TempDirectory"] = str(machine.temp)
    for key, value in job.get("variables", {}).items():
        hit = _RUNTIME.fullmatch(str(value))
        variables[key] = _named(stages, hit[1].removeprefix("stageDependencies.")) if hit else value
    steps = job["steps"] if "steps" in job else job["strategy"]["runOnce"]["deploy"]["steps"]
    assert "steps" in job or job["environment"], "a deployment has an environment, and its checks"
    outputs: dict[str, str] = {}
    failed, saved = False, []
    for step in steps:
        condition = step.get("condition", "succeeded()")
        if not evaluate(condition, {**variables, **outputs}, not failed, {}):
            continue
        filled = _filled(step, {**variables, **outputs})
        if "checkout" in filled:
            if filled["checkout"] == "self":
                # As the agent does for a job's only repository: where it lies is where steps and relative paths begin.
                sources = pipeline / filled.get("path", "s")
                variables["Build.SourcesDirectory"] = variables["System.DefaultWorkingDirectory"] = str(sources)
                machine.checkout(sources, ref)
        elif "publish" in filled:
            to = machine.place("artifacts", filled["artifact"])
            shutil.rmtree(to, ignore_errors=True)
            source = sources / filled["publish"]
            shutil.copytree(source, to) if source.is_dir() else (to.mkdir(parents=True), shutil.copy(source, to))
        elif "download" in filled:
            names = [filled["artifact"]] if "artifact" in filled else ["*"]
            for artifact in sorted((machine.folder / "artifacts").glob(names[0])):
                shutil.copytree(artifact, pipeline / artifact.name, dirs_exist_ok=True)
        elif filled.get("task") == "Cache@2":
            for part in _paths(filled["inputs"]["key"]):
                assert (sources / part).is_file(), f"{stage}: Cache@2 finds no {part} in {sources}"
            place = machine.place("caches", str(filled["inputs"]["key"]).replace('"', "").replace(" | ", "-"))
            if "cacheHitVar" in filled["inputs"]:
                variables[filled["inputs"]["cacheHitVar"]] = "true" if place.is_dir() else "false"
                saved.append((Path(filled["inputs"]["path"]), place))
        elif step.get("displayName") in LEFT_OUT:
            lock = filled.get("env", {}).get("REQUIREMENTS")
            assert lock is None or (sources / lock).is_file(), f"{stage}: pip finds no {lock} in {sources}"
        elif filled.get("task") != "UsePythonVersion@0":
            seen = _filled({**variables, **outputs}, variables)
            given = {key.upper().replace(".", "_"): str(value) for key, value in seen.items()}
            if "task" in filled:
                assert filled["task"] == "AzureCLI@2", filled
                assert filled["inputs"]["addSpnToEnvironment"] is True
            script = filled["bash"] if "bash" in filled else filled["inputs"]["inlineScript"]
            where = Path(filled.get("workingDirectory", sources if sources.is_dir() else pipeline))
            own = {key: str(value) for key, value in filled.get("env", {}).items()}
            code, out = machine.bash(script, where, {**given, **own, "TF_BUILD": "True"})
            found.steps.append(Step(stage, step["displayName"], code, out))
            failed = failed or code != 0
            for key, value in _SET.findall(out):
                outputs[f"{step['name']}.{key}"] = value
    machine.close()
    if failed:
        found.jobs[stage] = FAILED
    else:
        for folder, place in saved:
            if folder.is_dir() and not place.is_dir():
                shutil.copytree(folder, place)
    found.outputs[f"{stage}.{name}"] = outputs


def _paths(key: str) -> list[str]:
    """What a cache's key takes as files, whose content counts: its segments without quotes that look like paths."""
    return [part for part in key.split(" | ") if not part.startswith('"') and re.search(r"[./\\]", part)]


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """A step with the macros of known variables filled in; others stay as they are: a `$(command)` of the shell."""
    if isinstance(value, str):
        return _MACRO.sub(lambda hit: str(variables[hit[1]]) if hit[1] in variables else hit[0], value)
    if isinstance(value, dict):
        return {key: _filled(one, variables) for key, one in value.items()}
    return value


def _named(tree: Mapping[str, Any], path: str) -> str:
    """`prove.prove.outputs['prove.version']`; nothing where it was never set."""
    hit = re.fullmatch(r"(\w+)\.(\w+)\.outputs\['([\w.]+)'\]", path)
    assert hit, path
    return str(tree.get(hit[1], {}).get(hit[2], {}).get("outputs", {}).get(hit[3], ""))


def evaluate(condition: str, variables: Mapping[str, Any], worked: bool, dependencies: Mapping[str, Any]) -> bool:
    """What a condition comes to."""
    text = re.sub(r"\b(and|or|in)\(", lambda hit: f"{_PYTHON[hit[1]]}(", condition)
    text = re.sub(r"variables\['([\w.]+)'\]", lambda hit: repr(str(variables.get(hit[1], ""))), text)
    text = re.sub(
        r"dependencies\.(\w+)\.outputs\['([\w.]+)'\]",
        lambda hit: repr(dependencies[hit[1]]["outputs"].get(hit[2], "")),
        text,
    )
    text = re.sub(r"dependencies\.(\w+)\.result", lambda hit: repr(dependencies[hit[1]]["result"]), text)
    known = {
        "__builtins__": {},
        "all_of": lambda *given: all(given),
        "any_of": lambda *given: any(given),
        "one_of": lambda value, *given: value in given,
        "eq": lambda one, other: one.lower() == other.lower(),
        "ne": lambda one, other: one.lower() != other.lower(),
        "succeeded": lambda: worked,
        "always": lambda: True,
    }
    return bool(eval(text, known))
