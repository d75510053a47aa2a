"""Run by scoring.imports in a fresh process: import a score.py, let it load and answer, say what was imported.

What the inference server brings is not installed where models are trained; its packages are stood in for. The argument
is a JSON file of {"folder": path, "request": {…}, "hide": [distributions that must seem not to be installed]}; the
answer, on stdout: {"distributions": {name: version}, "answer": text}.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from scoring import distributions

SERVERS = frozenset({"azureml_inference_server_http", "flask", "inference_schema", "werkzeug"})


class _Anything:
    """Whatever a server's package offers: a decorator that changes nothing, a class, a false value."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments, self.named = arguments, named

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if len(arguments) == 1 and not named and isinstance(arguments[0], FunctionType):
            return arguments[0]
        return _Anything(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything()

    def __bool__(self) -> bool:
        return False


class _StandIn(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__path__ = []
        vars(module)["__getattr__"] = lambda name: getattr(_Anything(), name)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to do: its names are made when they are asked for."""


class _Finder(importlib.abc.MetaPathFinder):
    """Stands in for the server's packages, and lets hidden ones seem not to be installed."""

    def __init__(self, hidden: frozenset[str]) -> None:
        self.hidden = hidden

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        top = fullname.partition(".")[0]
        if top in SERVERS:
            return importlib.machinery.ModuleSpec(fullname, _StandIn(), is_package=True)
        if top in self.hidden:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def main(question: Path) -> None:
    asked = json.loads(question.read_bytes())
    folder, model = Path(asked["folder"]), Path(os.environ["AZUREML_MODEL_DIR"])
    before = set(sys.modules)
    owners = importlib.metadata.packages_distributions()
    hidden = frozenset(top for top, names in owners.items() if set(names) <= set(asked["hide"]))
    sys.meta_path.insert(0, _Finder(hidden))
    sys.path.insert(0, str(folder))
    out, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no part of the answer
    module = importlib.import_module("score")
    module.init()
    answer = module.run(**asked["request"])
    found = distributions.of_modules(set(sys.modules) - before, (folder, model))
    text = repr((answer.arguments, answer.named)) if isinstance(answer, _Anything) else repr(answer)
    out.write(json.dumps({"distributions": found, "answer": text}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
