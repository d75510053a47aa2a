"""Models: their versions, the scoring folder of each, its proof, and a deployment on this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from forestay import project
from forestay.errors import ForestayError, InputError
from forestay.words import number, when
from studio import web
from studio.calls import command_line
from studio.endpoints import records
from studio.experiments import store
from studio.web import Form, address, argument, studio

if TYPE_CHECKING:
    from automl_jobs.runs import ModelVersion


def models(request: Request) -> Response:
    """The registered models, the newest version of each."""
    newest: dict[str, ModelVersion] = {}
    counts: dict[str, int] = {}
    for one in store().models():
        newest.setdefault(one.name, one)
        counts[one.name] = counts.get(one.name, 0) + 1
    rows = [{**_facts(one), "versions": counts[name]} for name, one in newest.items()]
    return web.page(request, "models", command=command_line(["model", "list"]), rows=rows)


def model(request: Request) -> Response:
    """The versions of a model; the newest, or the one asked for, with all that can be done with it."""
    name = argument(request.path_params["name"])
    versions = [one for one in store().models() if one.name == name]
    if not versions:
        raise InputError(f"there is no model {name!r}", fix="register a trial on its page")
    asked = request.query_params.get("version") or versions[0].version
    chosen = next((one for one in versions if one.version == asked), None)
    if chosen is None:
        raise InputError(f"there is no version {asked!r} of {name}")
    reference = f"{name}:{chosen.version}"
    folder, there = _folder(name, chosen.version), records()
    serving = [one for one in there if one.model == name]
    return web.page(
        request,
        "model",
        command=command_line(["model", "show", reference]),
        name=name,
        chosen=_facts(chosen),
        versions=[_facts(one) for one in versions],
        scoring=_scoring(name, chosen.version),
        folder=folder,
        endpoint=_endpoint_name(name),
        endpoints=serving,
        taken=[one for one in there if one.model != name],
        generate_line=command_line(_generate(reference, folder)),
        verify_line=command_line(["score", "verify", folder]),
        deploy_line=command_line(_deploy(serving[0].name if serving else _endpoint_name(name), reference, folder)),
        deploy_words=["endpoint", "deploy", ["endpoint"], *_deploy("", reference, folder)[3:], ["auth", "--auth"]],
    )


def _facts(one: ModelVersion) -> dict[str, Any]:
    return {"one": one, "score": number(one.score), "created": when(str(one.as_dict()["created"]))}


def _folder(name: str, version: str) -> str:
    """Where a version's scoring folder lies by default, from the project's folder."""
    from scoring.generate import default_folder

    return os.path.relpath(default_folder(project.home(), name, version))


def _scoring(name: str, version: str) -> dict[str, Any] | None:
    """The scoring folder with its proof; None where it is not there."""
    from scoring import proofs
    from scoring.folder import open_folder

    try:
        found = open_folder(Path(_folder(name, version)))
    except ForestayError:
        return None
    as_it_is = proofs.find(project.home(), name, version, found.hash())
    proof = as_it_is or found.proof
    return {
        "proof": proof,
        "at": when(proof["at"]) if proof else "",
        "proven": as_it_is is not None,
        "changes": found.changes(),
        "files": sorted(found.files),
    }


def _endpoint_name(model: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", model).lower()
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:32].strip("-")
    return slug if len(slug) >= 3 else "my-model"


def _generate(reference: str, folder: str) -> list[str]:
    return ["score", "generate", reference, "--to", folder]


def _deploy(endpoint: str, reference: str, folder: str) -> list[str]:
    return ["endpoint", "deploy", endpoint, "--model", reference, "--from", folder]


def _named(request: Request, form: Form) -> tuple[str, str, str]:
    """Name, version, and the page to come back to."""
    name, version = argument(request.path_params["name"]), argument(form.required("version"))
    return name, version, address("models", name, version=version)


def generate(request: Request, form: Form) -> Response:
    name, version, back = _named(request, form)
    words = _generate(f"{name}:{version}", _folder(name, version))
    return web.started(studio(request).calls.start(words, then=back))


def verify(request: Request, form: Form) -> Response:
    name, version, back = _named(request, form)
    return web.started(studio(request).calls.start(["score", "verify", _folder(name, version)], then=back))


def deploy(request: Request, form: Form) -> Response:
    name, version, _ = _named(request, form)
    endpoint = argument(form.required("endpoint"))
    words = _deploy(endpoint, f"{name}:{version}", _folder(name, version))
    if form.get("auth") == "keys":
        words += ["--auth", "keys"]
    return web.started(studio(request).calls.start(words, then=address("endpoints", endpoint)))
