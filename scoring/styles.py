"""The styles of a scoring folder: which frame is put round a model, and what is asked of it by the proof.

azureml   score.py in full: three forms of a request, every method, all problems of a request at once
simple    score.py in its short form: one key, `data`, and predictions; for a model registered from a file
mlflow    a model in MLflow's format, which managed endpoints take without a script; score.py serves it as they do
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import templates
from forestay.errors import InputError
from scoring import mlflow_model, requests
from scoring.requests import BadRequest
from scoring.schema import Golden, ModelSchema
from scoring.serving_packages import PARSER, minor, parser_version

AZUREML, MLFLOW, SIMPLE = "azureml", "mlflow", "simple"
NAMES = (AZUREML, MLFLOW, SIMPLE)
MLFLOW_PYTHON = (3, 10)  # the oldest that the mlflow-skinny of here runs on


@dataclass(frozen=True)
class Style:
    """What differs between scoring folders of one model.

    Attributes
    ----------
    name: one of NAMES.
    forms: of a request to its server, as `requests.request` makes them; the first is that of its sample.
    methods: those of a model's methods that a request can ask for.
    modules: files of templates/scoring/ that lie beside score.py as they are.
    """

    name: str
    forms: tuple[str, ...]
    methods: tuple[str, ...]
    modules: tuple[str, ...] = ("wsgi.py",)


def of(name: str, schema: ModelSchema) -> Style:
    """The style of a scoring folder of a model. Raises InputError where a style can't serve such a model."""
    if name == AZUREML:
        return Style(name, requests.FORMS, schema.methods, ("scoring_input.py", "scoring_cells.py", "wsgi.py"))
    if name not in NAMES:
        raise InputError(f"there is no style {name!r}", where="--style", fix=f"choose one of {', '.join(NAMES)}")
    if schema.forecasts:
        raise InputError(
            f"a forecast needs recent history and quantiles, for which the style {name} has no place",
            where="--style",
            fix=f"choose --style {AZUREML}",
        )
    if name == MLFLOW:
        if minor(schema.python) < MLFLOW_PYTHON:
            raise InputError(
                f"MLflow is not made for Python {schema.python}, which trained this model",
                where="--style",
                fix=f"choose --style {AZUREML}",
            )
        return Style(name, (requests.NO_CODE,), schema.methods)
    return Style(name, (requests.ARRAY if schema.numbers_only else "data",), ("predict",))


def needs(style: Style, schema: ModelSchema) -> ModelSchema:
    """The schema with all packages that serving in this style needs."""
    if style.name == MLFLOW:
        return mlflow_model.needs(schema)
    if style.name == AZUREML and PARSER not in schema.packages:  # where another trainer's packages were not traced
        return schema.model_copy(update={"packages": {**schema.packages, PARSER: parser_version(schema.python)}})
    return schema


def place(style: Style, name: str) -> str:
    """Where one of the model's files lies in a folder of this style, as a path inside it."""
    return f"model/{mlflow_model.place(name) if style.name == MLFLOW else name}"


def texts(style: Style, schema: ModelSchema, conda_env: str = "") -> dict[str, str]:
    """The files that a style adds to a folder, by path; `conda_env` is the text of its conda_env.yaml."""
    if style.name == MLFLOW:
        script = templates.render("scoring/mlflow_score.py.j2")
        inner = mlflow_model.texts(schema, conda_env)
        return {"score.py": script, **{f"model/{name}": text for name, text in inner.items()}}
    if style.name == AZUREML:
        values = {
            "task": schema.task,
            "foreign": schema.foreign,
            "elsewhere": schema.elsewhere,
            "probabilities": schema.probabilities,
        }
        script = templates.render("scoring/score.py.j2", **values, safe=schema.trusted_types is not None)
        return {"score.py": script}
    kinds = {column.type for column in schema.used}
    script = templates.render(
        "scoring/simple_score.py.j2",
        task=schema.task,
        array=schema.numbers_only,
        to_array=schema.takes_array,
        dates="datetime" in kinds,
    )
    return {"score.py": script, "model/sample.json": json_text(sample(style, schema)["data"])}


def sample(style: Style, schema: ModelSchema) -> dict[str, Any]:
    """The request that a folder offers as a sample."""
    return requests.request(style.forms[0], [requests.sample_row(schema)])


def bad_requests(style: Style, schema: ModelSchema) -> Iterator[BadRequest]:
    """Requests that its server must refuse."""
    if style.name == AZUREML:
        yield from requests.bad_requests(schema)
    elif style.name == MLFLOW:
        yield from requests.bad_splits(schema)
    elif style.forms[0] == requests.ARRAY:
        yield from requests.bad_arrays(schema)
    else:
        yield from requests.bad_rows(schema)


def golden(style: Style, rows: Golden) -> Golden:
    """The golden rows without the answers that no request of this style can ask for."""
    return rows if "predict_proba" in style.methods else rows.model_copy(update={"probabilities": None})


def json_text(document: Any) -> str:
    """A document as it stands in a file of the folder."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
