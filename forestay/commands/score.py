"""`forestay score`: generate, prove and serve scoring assets."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.cli import Command, console
from forestay.commands.azure import arm_of, env_option
from forestay.errors import ForestayError

if TYPE_CHECKING:
    from forestay.console import Console
    from scoring.advisories import Audit
    from scoring.diff import Difference
    from scoring.proofs import Proof
    from scoring.schema import ModelSource

NETWORK = "network"  # --advisories without a file


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where to; by default .forestay/scoring/MODEL-VERSION.",
)
@click.option(
    "--style",
    type=click.Choice(["azureml", "mlflow", "simple"]),
    default="azureml",
    show_default=True,
    help="azureml: three forms of a request, every method; mlflow: a no-code MLflow model; simple: a short score.py.",
)
@click.option(
    "--conda",
    "conda_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The conda file of the trial that made the model, such as Azure's conda_env_v_1_0_0.yml, to pin from.",
)
@click.option(
    "--advisories",
    is_flag=False,
    flag_value=NETWORK,
    metavar="[FILE]",
    help="Tell of known vulnerabilities of what is pinned: by pip-audit, or from a JSON FILE of OSV advisories.",
)
@env_option
@click.pass_context
def generate(
    context: click.Context,
    model: str,
    folder: Path | None,
    style: str,
    conda_file: Path | None,
    advisories: str | None,
    env: str,
) -> None:
    """Write the scoring folder of a registered model: score.py, conda_env.yaml, a lock with hashes, requests, an image.

    Nothing in it comes from real rows: samples are made from the model's schema. With --env of Azure it is a version of
    the workspace's registry, whose files are fetched.

    Example: forestay score generate CategorizeTransactions:3 --to scoring
    """
    from forestay import project
    from scoring import generate as room

    found = console(context)
    home = project.home()
    source = _source(found, model, env)
    to = folder or room.default_folder(home, source.name, source.version, style)
    made = room.generate(source, to, style=style, home=home, say=found.note, conda_file=conda_file)
    audit = _audit(made.path, advisories)
    document = made.as_dict()
    if audit is not None:
        document["advisories"] = [advisory.as_dict() for advisory in audit.advisories]
        if audit.note:
            found.note(audit.note)

    def view() -> Iterator[str]:
        yield f"{made.path}: {made.model} {made.version}"
        for name in document["files"]:
            yield f"  {name}"
        if made.pickle_reason is not None:
            yield f"the model is loaded from its pickle, whose hash is compared before: {made.pickle_reason}"
        if audit is not None and not audit.note:
            yield f"known vulnerabilities of what is pinned: {len(audit.advisories) or 'none'}"
            for advisory in audit.advisories:
                yield f"  {advisory.line()}"
        yield f"prove it: forestay score verify {shlex.quote(str(folder or made.path))}"

    found.emit(document, view)


def _source(screen: Console, model: str, env: str) -> ModelSource:
    from scoring import registry

    if env == LOCAL:
        return registry.model_version(model)
    from forestay.watching import progress_for

    with progress_for(screen, "fetching") as progress:
        return registry.version_in_azure(arm_of(env), model, progress, screen.note)


def _audit(folder: Path, asked: str | None) -> Audit | None:
    """What is known of the versions in a folder's lock; None when nobody asked."""
    from scoring import advisories

    if asked is None:
        return None
    lock = (folder / "requirements.lock").read_text(encoding="utf-8")
    return advisories.from_network(lock) if asked == NETWORK else advisories.from_file(Path(asked), lock)


keep_option = click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="How many environments used last stay though nothing needs them.",
)


@click.command(cls=Command)
@keep_option
@click.pass_context
def prune(context: click.Context, keep: int) -> None:
    """Remove environments under .forestay/envs that no proven folder and no endpoint uses.

    Example: forestay score prune --keep 2
    """
    from forestay import project
    from scoring.prune import prune as room

    done = room(project.home(), keep)
    console(context).emit(
        done.as_dict(), f"{len(done.removed)} environments removed, {len(done.kept)} kept; {done.freed_mb:.0f} MB free"
    )


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--golden",
    type=click.Choice(["schema", "real"]),
    default="schema",
    show_default=True,
    help="Which rows are replayed: those made from the schema, or real validation rows of the job too, kept nowhere.",
)
@click.pass_context
def verify(context: click.Context, folder: Path, golden: str) -> None:
    """Prove a scoring folder: a clean environment, the real server, and the predictions of the training process.

    Exit code 0 when every check passed, 1 when one did not.

    Example: forestay score verify scoring
    """
    from forestay import project
    from scoring.folder import open_folder
    from scoring.registry import model_version, registered
    from scoring.verify import verify as prove

    found = console(context)
    opened = open_folder(folder)
    source = registered(opened.model, opened.version, opened.trial)
    real = None
    if golden == "real":
        from scoring.real_rows import real_golden

        real = real_golden(source or model_version(f"{opened.model}:{opened.version}"), found.warn)
    proof = prove(folder, home=project.home(), say=found.note, registered=source, real=real)

    found.emit(proof.as_dict(), lambda: proof_view(proof))
    if not proof.verified:
        context.exit(ForestayError.exit_code)


def proof_view(proof: Proof) -> Iterator[Any]:
    """The checks of a proof, what was measured, and the verdict."""
    from forestay.console import table

    yield table(
        ["check", "", "found"],
        [[check.name, "passed" if check.passed else "FAILED", check.detail] for check in proof.checks],
    )
    if proof.p50_ms is not None:
        memory = "not known" if proof.memory_mb is None else f"{proof.memory_mb:.0f} MB"
        times = f"one row {proof.p50_ms:.1f} ms (99 %: {proof.p99_ms:.1f} ms)"
        yield f"start {proof.startup_seconds:.1f} s, {times}, memory {memory}"
    verdict = "proven" if proof.verified else f"NOT proven: {', '.join(check.name for check in proof.failed)}"
    yield f"{proof.model} {proof.version} is {verdict}, in {proof.duration_seconds:.1f} s"


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--port", type=click.IntRange(1, 65535), help="On 127.0.0.1; by default a free one.")
@click.pass_context
def serve(context: click.Context, folder: Path, port: int | None) -> None:
    """Serve a scoring folder in the foreground with the real Azure ML inference server; Ctrl-C stops it.

    A change of the folder is served as soon as it works; until then the last good state is. In a browser, /docs of the
    address is a page to try it.

    Example: forestay score serve scoring --port 5001
    """
    from scoring.serve import PAGE
    from scoring.serve import serve as run

    found = console(context)

    def ready(url: str) -> None:
        sample = shlex.quote(f"@{folder / 'sample_request.json'}")
        line = f'curl -H "Content-Type: application/json" -d {sample} {url}/score'
        document = {"path": str(folder), "scoring_uri": f"{url}/score", "docs": f"{url}{PAGE}"}
        found.emit(document, f"serving at {url}; Ctrl-C stops", line, f"in a browser: {url}{PAGE}")
        sys.stdout.flush()

    try:
        run(folder, ready, port=port or 0, say=found.note)
    except KeyboardInterrupt:
        found.note("stopped")


@click.command(cls=Command)
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.pass_context
def diff(context: click.Context, old: str, new: str) -> None:
    """What changes from version A to version B, and whether it breaks callers of A.

    A and B are scoring folders, or registered models as MODEL[:VERSION]. Exit code 0 when nothing breaks, 1 when
    something does.

    Example: forestay score diff Churn:2 Churn:3
    """
    from scoring.diff import compare, read

    found = compare(read(old), read(new))
    console(context).emit(found.as_dict(), lambda: _diff_view(found))
    if found.breaking:
        context.exit(ForestayError.exit_code)


def _diff_view(found: Difference) -> Iterator[Any]:
    from forestay.console import table
    from scoring.diff import shown

    if found.changes:
        yield table(
            ["change", "name", "was", "is", "callers", "because"],
            [
                [
                    change.what.replace("_", " "),
                    shown(change.name),
                    "" if change.old is None else shown(change.old),
                    "" if change.new is None else shown(change.new),
                    "BREAKS" if change.breaking else "fine",
                    change.reason,
                ]
                for change in found.changes
            ],
        )
    breaks = f"breaks callers in {len(found.breaking)} places" if found.breaking else "breaks no caller"
    yield f"{found.old} -> {found.new}: {len(found.changes)} changes, {breaks}"
