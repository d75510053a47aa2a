"""`forestay model register|list|show|download`: versions of models and where they came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.cli import Command, console
from forestay.commands.azure import arm_of, env_option
from forestay.commands.job import rank_option
from forestay.commands.job_views import decision_facts, facts
from forestay.console import table, visible
from forestay.errors import InputError
from forestay.words import number, when

if TYPE_CHECKING:
    from automl_jobs.azure.models import AzureModel
    from automl_jobs.runs import ModelVersion
    from forestay.console import Console


@click.command(cls=Command)
@click.argument("job", required=False)
@rank_option
@click.option("--name", required=True, help="The model's name: letters, digits, '-', '_' and '.'.")
@click.option(
    "--file", "file", type=click.Path(path_type=Path), help="A fitted scikit-learn estimator, instead of JOB."
)
@click.option(
    "--sample", type=click.Path(path_type=Path), help="With --file: rows as it was fitted on; CSV or Parquet."
)
@click.option("--target", metavar="COL", help="With --file: the sample's column that the model predicts.")
@click.option(
    "--task", type=click.Choice(["classification", "regression"]), help="With --file: where the estimator can't tell."
)
@click.option(
    "--code",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE.py",
    help="With --file: a module of your own that the model needs; can be repeated.",
)
@click.option("--encoding", help="With --file: the encoding of the sample, where it is not told from its bytes.")
@click.option("--yes", is_flag=True, help="With --file: don't ask before loading a pickle.")
@env_option
@click.pass_context
def register(
    context: click.Context, /, job: str | None, rank: int | None, name: str, yes: bool, env: str, **given: Any
) -> None:
    """Register a job's trial, or an estimator from elsewhere, as a model version.

    Of JOB the chosen trial is taken, or that of --rank. With --file any fitted scikit-learn estimator or pipeline is:
    a pickle, written by joblib or not, or a .skops file. Loading a pickle runs the code in it; it is loaded in a
    process of its own. Of the sample only the columns are kept: types, extremes, categories.

    Versions are counted up. What is registered under this name already keeps its version, and no new one is made:
    running the same command twice does no harm. With --env of Azure the trial's files stay where they are.

    A version here has a model card, which `model show --card` tells and its scoring folder carries: data, split,
    metrics, limits, environment.

    Example: forestay model register latest --name CategorizeTransactions

    Example: forestay model register --file model.pkl --sample sample.csv --target price --name Prices
    """
    shown = console(context)
    if env != LOCAL and given["file"] is not None:
        raise InputError("registers on this machine only", where="--file", fix="leave --env out")
    found: ModelVersion | AzureModel
    if given["file"] is not None:
        if job is not None or rank is not None:
            raise InputError("takes no JOB and no --rank", where="--file", fix="leave out the one or the other")
        found = _register_file(shown, name, yes, **given)
    else:
        extra = [key for key, value in given.items() if value] + (["yes"] if yes else [])
        if job is None or extra:
            fix = "name a job, as in forestay model register latest, or give --file and --sample"
            where = f"--{extra[0]}" if extra else "JOB"
            raise InputError("goes with --file" if extra else "is missing", where=where, fix=fix)
        found = _register_trial(env, job, rank, name)
    if found.existing:
        shown.note(f"{_origin(found)} is {found.name}:{found.version} already")
    shown.emit({**found.as_dict(), "existing": found.existing}, lambda: model_view(found))


def _register_trial(env: str, job: str, rank: int | None, name: str) -> ModelVersion | AzureModel:
    if env == LOCAL:
        from automl_jobs.runs import RunStore

        return RunStore.open(create=False).register(job, rank, name)
    from automl_jobs.azure import models

    return models.register(arm_of(env), job, rank, name)


def _register_file(
    shown: Console, name: str, yes: bool, file: Path, sample: Path | None, code: tuple[Path, ...], **given: Any
) -> ModelVersion:
    import tempfile

    from automl_jobs.runs import RunStore
    from automl_jobs.runs.names import check_model_name
    from scoring import foreign

    if sample is None:
        fix = "give some rows as it was fitted on: --sample sample.csv"
        raise InputError("is missing: the columns of the model are read from it", where="--sample", fix=fix)
    check_model_name(name.removeprefix("local:"))
    asked = foreign.Foreign(file, sample, code=code, **given)
    foreign.check_files(asked)
    if not asked.skops and not yes and not shown.confirm(f"Loading a pickle runs the code in it. Load {file}?"):
        fix = "say --yes if you trust where it comes from, or give a .skops file, which runs nothing"
        raise InputError("a pickle runs the code in it, and was not loaded", where=f"--file {file}", fix=fix)
    with tempfile.TemporaryDirectory() as scratch:
        outputs = Path(scratch, "outputs")
        examined = foreign.examine(asked, outputs, shown.note)
        for note in examined.notes:
            shown.warn(note)
        return RunStore.open().register_file(outputs, name, file.name, examined.algorithm)


def _origin(found: ModelVersion | AzureModel) -> str:
    return f"file {found.file}" if found.file else f"trial {found.trial}"


@click.command("list", cls=Command)
@env_option
@click.pass_context
def list_models(context: click.Context, env: str) -> None:
    """The registered models, each version.

    Example: forestay model list
    """
    found = _models(env)
    shown = console(context)
    if not found:
        shown.note("no model is registered here yet; forestay model register JOB --name M registers one")
    shown.emit([version.as_dict() for version in found], lambda: [_list_view(found)] if found else [])


def _models(env: str) -> Sequence[ModelVersion | AzureModel]:
    if env == LOCAL:
        from automl_jobs.runs import RunStore

        return RunStore.open(create=False).models()
    from automl_jobs.azure import models

    return models.listed(arm_of(env))


@click.command(cls=Command)
@click.argument("model")
@click.option(
    "--card", "card", is_flag=True, help="Its model card, as Markdown; in Azure, from what Azure keeps of its job."
)
@env_option
@click.pass_context
def show(context: click.Context, model: str, card: bool, env: str) -> None:
    """One model version and where it came from.

    MODEL is a name for its newest version, name:version, or name@alias.

    Example: forestay model show CategorizeTransactions:1
    """
    found = _model(env, model)
    if card:
        text = _card(found)
        from rich.text import Text

        console(context).emit({**found.as_dict(), "card": text}, lambda: [Text(visible(text))])
        return
    console(context).emit(found.as_dict(), lambda: model_view(found))


def _card(found: ModelVersion | AzureModel) -> str:
    from automl_jobs.runs import ModelVersion

    if not isinstance(found, ModelVersion):
        from automl_jobs.azure import models

        return models.card_of(arm_of(found.env), found)
    if found.card is None:
        raise InputError(
            f"{found.name}:{found.version} was registered before there were model cards",
            where="--card",
            fix=f"write it: forestay model register {found.job or 'JOB'} --rank {found.rank or 1} --name {found.name}",
        )
    return found.card


def _model(env: str, model: str) -> ModelVersion | AzureModel:
    if env == LOCAL:
        from automl_jobs.runs import RunStore

        return RunStore.open(create=False).model(model)
    from automl_jobs.azure import models

    return models.find(arm_of(env), model)


@click.command(cls=Command)
@click.argument("model")
@click.option("--to", "to", type=click.Path(path_type=Path), required=True, help="A new folder, or an empty one.")
@env_option
@click.pass_context
def download(context: click.Context, model: str, to: Path, env: str) -> None:
    """Copy a model version's files.

    Example: forestay model download CategorizeTransactions --to model/
    """
    found, names = _download(console(context), env, model, to)
    document = {
        "path": str(to.absolute()),
        "name": found.name,
        "version": found.version,
        "files": list(names),
    }
    console(context).emit(document, lambda: [f"{len(names)} files of {found.name}:{found.version} are in {to}"])


def _download(screen: Console, env: str, model: str, to: Path) -> tuple[ModelVersion | AzureModel, Sequence[str]]:
    if env == LOCAL:
        from automl_jobs.runs import RunStore, copy_files
        from automl_jobs.runs.card import NAME as CARD
        from forestay.project import write_atomic

        here = RunStore.open(create=False).model(model)
        names = copy_files(here.path, to)
        if here.card is None:
            return here, names
        write_atomic(to / CARD, here.card)
        return here, sorted([*names, CARD])
    from automl_jobs.azure import models
    from forestay.watching import progress_for

    arm = arm_of(env)
    found = models.find(arm, model)
    with progress_for(screen, "downloading") as progress:
        return found, models.download(arm, found, to, progress, screen.note)


def _lineage(found: ModelVersion | AzureModel) -> str:
    if found.file:
        return f"registered from a file: {found.file}"
    if not found.job:
        return "registered by other means than forestay"
    return f"job {found.job}, trial {found.trial}, rank {found.rank} when registered"


def model_view(found: ModelVersion | AzureModel) -> Iterable[Any]:
    """A model version for a person."""
    yield facts(
        [
            ("model", f"{found.name}:{found.version}"),
            ("from", _lineage(found)),
            ("algorithm", found.algorithm or None),
            *([(found.metric, number(found.score))] if found.metric else []),
            *decision_facts(found.decision),
            ("aliases", ", ".join(found.aliases) or None),
            ("registered", _registered(found, " UTC")),
            ("files in", found.as_dict()["path"]),
        ]
    )


def _registered(found: ModelVersion | AzureModel, zone: str = "") -> str | None:
    created = found.as_dict()["created"]
    return when(created) + zone if created else None


def _list_view(found: Sequence[ModelVersion | AzureModel]) -> Any:
    named = any(version.aliases for version in found)
    view = table(
        ("model", "version", *(["aliases"] if named else []), "from", "algorithm", "score", "registered (UTC)"),
        (
            (
                version.name,
                version.version,
                *([", ".join(version.aliases) or None] if named else []),
                version.job or (f"file {version.file}" if version.file else None),
                version.algorithm,
                f"{version.metric} {number(version.score)}" if version.metric else None,
                (_registered(version) or "")[:-3] or None,
            )
            for version in found
        ),
        right=("version",),
    )
    view.columns[0].no_wrap = view.columns[3 if named else 2].no_wrap = True
    return view
