"""What is wrong in a job file, beyond what every YAML file's problems share: the place and the fix for its keys."""

from __future__ import annotations

from pydantic import BaseModel

from automl_jobs.spec import settings
from forestay.documents.document import Document, KeyPath
from forestay.documents.names import shown, suggest
from forestay.documents.problems import Wording, home_of, keys, section_at
from forestay.errors import Problem

EXAMPLES = {
    "type": "add `type: automl`",
    "task": "add `task: classification`, or regression, forecasting, text_classification",
    "target_column_name": "add `target_column_name: COLUMN`, the column to predict",
    "training_data": "add `training_data:` and under it `path: ./folder` and `type: mltable`",
    "path": "add `path: ./folder`, or `path: azureml:name:version`",
    "forecasting": "add `forecasting:` and under it `time_column_name: COLUMN`",
    "time_column_name": "add `time_column_name: COLUMN`, the column with the dates",
}


def _where_it_belongs(path: KeyPath, model: type[BaseModel], document: Document) -> str:
    key = str(path[-1])
    if len(path) == 1:
        home = home_of(model, key)
        if home:
            return f"it belongs under `{home}:`"
        if key.split(".")[0] == settings.PREFIX[:-1]:
            return "settings of forestay belong under `properties:`"
    section = section_at(model, path[:-1])
    names = list(keys(section)) if section else []
    if len(path) > 1 and key in keys(model):
        return "it belongs at the top of the file: remove its indentation"
    return suggest(key, names, f"valid {'keys of ' + str(document.data.get('task')) if len(path) == 1 else 'here'}")


WORDING = Wording(
    examples=EXAMPLES,
    belongs=_where_it_belongs,
    foreign=lambda document: f"{document.data.get('task')} jobs",
    reference="see the key in Azure ML's AutoML job reference",
)


def property_problems(document: Document) -> list[Problem]:
    """What is wrong with the properties named `forestay.*`."""
    given = document.data.get("properties")
    found = []
    for name, value in given.items() if isinstance(given, dict) else ():
        text = value if isinstance(value, str) or value is None else str(value)
        wrong = settings.check(name, text) if not isinstance(value, bool | dict | list) else None
        if wrong:
            message = f"`properties.{shown(name)}` {wrong}"
            found.append(Problem(document.place(("properties", name)), message, wrong.fix))
    return found
