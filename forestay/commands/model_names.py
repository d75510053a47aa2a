"""`forestay model alias|delete`: names of versions beside their numbers, and versions that are no longer wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.asking import require_yes
from forestay.cli import Command, console
from forestay.commands.azure import arm_of, env_option
from forestay.errors import ForestayError, InputError

if TYPE_CHECKING:
    from automl_jobs.azure.models import AzureModel
    from automl_jobs.runs import ModelVersion
    from forestay.console import Console


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[:VERSION]")
@click.argument("alias", metavar="ALIAS")
@click.option("--delete", "drop", is_flag=True, help="Take it away instead.")
@env_option
@click.pass_context
def alias(context: click.Context, /, model: str, alias: str, drop: bool, env: str) -> None:
    """Give a version a name beside its number: then MODEL@ALIAS is accepted wherever MODEL:VERSION is.

    A model has an alias once: given to another version, it moves. On this machine it is MLflow's own alias; in Azure,
    whose registry has none, a tag of the model.

    Example: forestay model alias Churn:3 champion
    """
    screen = console(context)
    before: str | None = None
    found: ModelVersion | AzureModel
    if env == LOCAL:
        from automl_jobs.runs import RunStore, registry

        store = RunStore.open(create=False)
        if drop:
            found = registry.drop_alias(store, model, alias)
            before = found.version
        else:
            found, before = registry.alias(store, model, alias)
    else:
        from automl_jobs.azure import models

        arm = arm_of(env)
        if drop:
            found = models.drop_alias(arm, model, alias)
            before = found.version
        else:
            found, before = models.alias(arm, model, alias)
    label = f"{found.name}:{found.version}"
    line = f"{alias} is {label}"
    if drop:
        line = f"{label} is {alias} no longer"
    elif before not in (None, found.version):
        line += f", and was {found.name}:{before}"
    elif before is not None:
        line += " already"
    screen.emit({**found.as_dict(), "alias": alias, "previous": before}, line)


@click.command(cls=Command)
@click.argument("model", metavar="MODEL:VERSION")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--force", is_flag=True, help="Also one that has an alias, or that an endpoint serves or can return to.")
@env_option
@click.pass_context
def delete(context: click.Context, model: str, yes: bool, force: bool, env: str) -> None:
    """Remove a version of a model, its aliases, its scoring folder and its proofs; its number is not given again.

    The trial that it came from stays with its job, and can be registered anew. What an endpoint serves, or can return
    to, is refused, and so is a version with an alias, unless --force is said.

    Example: forestay model delete Churn:2 --yes
    """
    from automl_jobs.runs.names import split_model

    screen = console(context)
    meant = split_model(model)
    if meant.version is None and meant.alias is None:
        raise InputError("says no version", where="MODEL", fix=f"name one: forestay model delete {meant.name}:VERSION")
    document = (
        _delete_here(screen, model, yes, force) if env == LOCAL else _delete_there(screen, env, model, yes, force)
    )
    screen.emit(document, f"{document['name']}:{document['version']} is deleted")


def _delete_here(screen: Console, model: str, yes: bool, force: bool) -> dict[str, Any]:
    from automl_jobs.runs import RunStore, registry
    from forestay.project import home
    from scoring import proofs
    from scoring.targets import uses

    store = RunStore.open(create=False)
    found = registry.named(store, model)
    if not force:
        _refuse(found, uses.endpoints(home(), found.name, found.version))
    _agree(screen, found, yes)
    registry.delete(store, found.name, found.version)
    removed = proofs.forget(home(), found.name, found.version)
    return {**_told(found), "removed": [str(path) for path in removed]}


def _delete_there(screen: Console, env: str, model: str, yes: bool, force: bool) -> dict[str, Any]:
    from automl_jobs.azure import models

    arm = arm_of(env)
    found = models.find(arm, model)
    if not force:
        _refuse(found, _served(screen, env, found))
    _agree(screen, found, yes)
    models.delete(arm, found)
    return {**_told(found), "removed": []}


def _served(screen: Console, env: str, found: AzureModel) -> list[str]:
    """The endpoints of every environment that have the version: by its number there, or by that of the same trial here.

    Raises ForestayError where the version's own environment can't be asked; of the others it is told.
    """
    from automl_jobs.runs import RunStore
    from forestay import project
    from scoring.targets import uses

    here = RunStore.open(create=False).models()
    same = [one.version for one in here if one.name == found.name and (one.job, one.trial) == (found.job, found.trial)]
    versions = tuple(dict.fromkeys([found.version, *same]))
    endpoints = [name for version in versions for name in uses.endpoints(project.home(), found.name, version)]
    for one in project.environments():
        try:
            endpoints += uses.managed(one, project.home(), found.name, versions, screen.note)
        except ForestayError as error:
            if one == env:
                raise
            screen.warn(f"whether managed endpoints of {one} have it can't be told: {error}")
    return list(dict.fromkeys(endpoints))


def _told(found: ModelVersion | AzureModel) -> dict[str, Any]:
    return {"name": found.name, "version": found.version, "aliases": list(found.aliases), "deleted": True}


def _refuse(found: ModelVersion | AzureModel, endpoints: list[str]) -> None:
    label = f"{found.name}:{found.version}"
    if endpoints:
        raise InputError(
            f"{label} is served, or can be returned to, by {', '.join(endpoints)}",
            where="MODEL",
            fix="deploy another version there and prune the endpoint, or say --force",
        )
    if found.aliases:
        raise InputError(
            f"{label} is {', '.join(found.aliases)}",
            where="MODEL",
            fix=f"give the alias to another version: forestay model alias {found.name}:VERSION {found.aliases[0]}; "
            "or say --force",
        )


def _agree(screen: Console, found: ModelVersion | AzureModel, yes: bool) -> None:
    label = f"{found.name}:{found.version}"
    require_yes(screen, yes, f"Delete {label} for good?", f"{label} was not deleted: nobody said yes", "say --yes")
