"""`forestay endpoint`: deploy proven models and call them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay import LOCAL
from forestay.asking import require_yes
from forestay.cli import Command, console
from forestay.commands.azure import env_option
from forestay.console import visible
from forestay.errors import InputError, RunFailed

if TYPE_CHECKING:
    from scoring.server import Answer
    from scoring.targets import DeploymentRecord, DeployPlan, Target

SHOWN_DETAILS = 5
TARGETS = ("local", "aci", "aks", "managed")


def place_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--env E` and `--target T`: where an endpoint is."""
    target = click.option(
        "--target", type=click.Choice(TARGETS), help="Where in the environment; by default where NAME is."
    )
    return env_option(target(function))


def find_target(context: click.Context, name: str, target: str | None, env: str) -> Target:
    """Where the endpoint `name` is. Raises InputError where it is nowhere."""
    from forestay import project
    from scoring.targets import find

    return find(name, target, env, project.home(), console(context).note)


def proven_folder_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--from DIR`: which proven folder of a model version."""
    return click.option(
        "--from",
        "folder",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Its scoring folder; by default the one proven last.",
    )(function)


def _copies(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """`3` or `2-6`."""
    if value is None:
        return None
    few, _sign, most = value.partition("-")
    if not (few.isdigit() and (most or few).isdigit() and 1 <= int(few) <= int(most or few)):
        raise click.BadParameter(f"{value!r} is no number of copies; write 3, or 2-6")
    return int(few), int(most or few)


@click.command(cls=Command)
@click.argument("name")
@click.option(
    "--model", required=True, metavar="MODEL[:VERSION]", help="The newest version if none is named; or MODEL@ALIAS."
)
@proven_folder_option
@place_options
@click.option("--plan", "planned", is_flag=True, help="Say what would change; change nothing.")
@click.option(
    "--auth",
    type=click.Choice(["none", "keys", "token"]),
    help="What callers must show: a key, or to a managed endpoint a token of Entra ID; by default as before; at first "
    "a key in Azure, nothing on this machine.",
)
@click.option("--allow-breaking", is_flag=True, help="Also where callers of the deployed version would break.")
@click.option("--port", type=click.IntRange(1, 65535), help="local: on 127.0.0.1; by default as before, or a free one.")
@click.option(
    "--container/--environment", default=None, help="local: run a container of its image, by docker or podman."
)
@click.option("--cpu", type=click.FloatRange(0, 64, min_open=True), help="aci, aks: cores of one copy.")
@click.option("--memory", "memory_gb", type=click.FloatRange(0, 512, min_open=True), help="aci, aks: its gigabytes.")
@click.option("--replicas", callback=_copies, metavar="MIN[-MAX]", help="aks, managed: how many copies.")
@click.option("--public/--private", default=None, help="aci, aks: whether it has a public address.")
@click.option("--registry", metavar="HOST[/PATH]", help="aci, aks: where its image goes; by default the environment's.")
@click.option("--no-apply", is_flag=True, help="aci, aks: edit the stack's file alone; a pipeline applies it.")
@click.option("--commit", is_flag=True, help="aci, aks: commit the stack's file to git.")
@click.option("--instance-type", metavar="SIZE", help="managed: of its machines; at first Standard_DS3_v2.")
@click.option(
    "--image", metavar="NAME@DIGEST", help="managed: run this image of the version instead of code and environment."
)
@click.option("--traffic", type=click.IntRange(0, 100), help="managed: percent that the new one begins with.")
@click.option("--wait", metavar="SECONDS", type=click.FloatRange(1), help="How long until it must be healthy.")
@click.pass_context
def deploy(
    context: click.Context,
    /,
    name: str,
    model: str,
    folder: Path | None,
    target: str | None,
    env: str,
    planned: bool,
    allow_breaking: bool,
    no_apply: bool,
    wait: float | None,
    **given: Any,
) -> None:
    """Serve a proven model version under a name. Only what was proven, to the byte, can be deployed.

    The server is tested with golden rows, and what ran before is back when it fails. The same again changes nothing. A
    version that breaks callers of the deployed one (see forestay score diff) is refused with exit code 1.

    On ACI and AKS: the image is built and pushed, the entry in stacks/Pulumi.ENV-services.yaml is written, and that
    stack alone is brought up. On a managed endpoint: a deployment a version, made beside the one that runs; after the
    test, traffic moves to it. The earlier one stays until forestay endpoint prune.

    Example: forestay endpoint deploy churn-api --model Churn:3 --target aci --env dev --plan
    """
    from forestay import project
    from scoring.targets import DeployOptions, to_deploy

    found = console(context)
    options = DeployOptions(apply=not no_apply, wait_seconds=wait, **given)
    chosen, proven = to_deploy(name, model, folder, target, env, project.home(), allow_breaking, found.note)
    if planned:
        plan = chosen.plan(name, proven, options)
        found.emit(plan.as_dict(), lambda: _plan_lines(plan))
        return
    record = chosen.deploy(name, proven, options)
    found.emit(record.as_dict(), lambda: _lines(record))
    if record.changed and options.apply:
        where = "" if env == LOCAL else f" --env {env}"
        found.note(f"try it: forestay endpoint invoke {name}{where}")
        if record.auth == "keys":
            found.note(f"its keys: forestay endpoint keys show {name}{where}")


@click.command("list", cls=Command)
@place_options
@click.pass_context
def list_endpoints(context: click.Context, target: str | None, env: str) -> None:
    """The endpoints of an environment, with what they serve, what bills while nobody asks, and when somebody last did.

    Example: forestay endpoint list --env dev
    """
    from forestay import project
    from forestay.console import table
    from scoring.targets import choose, listed, targets_of

    found, home = console(context), project.home()
    places = targets_of(env, home, found.note) if target is None else [choose(target, env, home, found.note)]
    records = listed(places, found.warn)
    rows = [
        [one.name, one.target, one.model, one.version, one.status, one.scoring_uri, one.bills or "-",
         one.last_request or "-"]
        for one in records
    ]  # fmt: skip
    headers = ["endpoint", "target", "model", "version", "status", "address", "bills while idle", "last request"]
    if env == LOCAL:  # costs nothing, and nobody counts
        headers, rows = headers[:6], [row[:6] for row in rows]
    found.emit([one.as_dict() for one in records], lambda: [table(headers, rows)])


@click.command(cls=Command)
@click.argument("name")
@place_options
@click.pass_context
def show(context: click.Context, name: str, target: str | None, env: str) -> None:
    """What an endpoint serves, and whether it answers.

    Example: forestay endpoint show churn-api
    """
    record = find_target(context, name, target, env).status(name)
    console(context).emit(record.as_dict(), lambda: _lines(record))


@click.command(cls=Command)
@click.argument("name")
@click.option("--data", metavar="FILE", help="Rows as CSV, JSON Lines or JSON; - reads them from stdin.")
@click.option("--request", "body", metavar="JSON", help="A whole request, sent as it is.")
@place_options
@click.pass_context
def invoke(context: click.Context, name: str, target: str | None, env: str, data: str | None, body: str | None) -> None:
    """Send rows to an endpoint and print the server's JSON as it came; without rows the sample request.

    CSV cells become what the model's schema says of their column. Exit code 2 when the server refuses the request, 1
    when it fails, 3 when nothing answers.

    Example: forestay endpoint invoke churn-api --data new_customers.csv
    """
    from scoring.rows import read_body
    from scoring.schema import read_schema

    if data is not None and body is not None:
        raise InputError("takes one of --data and --request", where="--data", fix="leave one of them out")
    place = find_target(context, name, target, env)
    if body is not None:
        sent = body.encode("utf-8", "surrogatepass")
    elif data is not None:
        where = "stdin" if data == "-" else data
        sent = json.dumps(read_body(_read(data), where, read_schema(place.assets(name) / "model"))).encode()
    else:
        sent = place.sample(name)
    answer = place.invoke(name, sent)
    sys.stdout.write(answer.body.decode("utf-8", "replace").rstrip("\n") + "\n")
    sys.stdout.flush()
    if answer.status >= 500:
        raise RunFailed(f"{name} answers {answer.status}", fix=f"see its log: forestay endpoint logs {name}")
    if answer.status >= 400:
        raise InputError(
            f"{name} refuses the request ({answer.status}): {_told(answer)}",
            fix="send what sample_request.json of its scoring folder shows",
        )


@click.command(cls=Command)
@click.argument("name")
@click.option("--tail", type=click.IntRange(0), default=100, show_default=True, help="How many lines.")
@click.option("--follow", is_flag=True, help="Go on with those to come, until Ctrl-C.")
@place_options
@click.pass_context
def logs(context: click.Context, name: str, target: str | None, env: str, tail: int, follow: bool) -> None:
    """What the server of an endpoint wrote.

    Example: forestay endpoint logs churn-api --tail 20
    """
    found = console(context)
    lines = find_target(context, name, target, env).logs(name, tail, follow)
    if found.json and not follow:
        found.emit({"name": name, "lines": list(lines)})
        return
    for line in lines:
        # A server logs what callers send: that must not steer the terminal.
        sys.stdout.write(visible(line) + "\n")
        sys.stdout.flush()


@click.command(cls=Command)
@click.argument("name")
@click.option("--to", metavar="VERSION", help="An earlier deployment, or its model's version; by default the last.")
@place_options
@click.pass_context
def rollback(context: click.Context, name: str, target: str | None, env: str, to: str | None) -> None:
    """Serve an earlier deployment again; it is tested first, and no request is lost. Again, it goes forth.

    Example: forestay endpoint rollback churn-api
    """
    record = find_target(context, name, target, env).rollback(name, to)
    console(context).emit(record.as_dict(), lambda: _lines(record))


@click.command(cls=Command)
@click.argument("name")
@place_options
@click.pass_context
def show_keys(context: click.Context, name: str, target: str | None, env: str) -> None:
    """The two keys of an endpoint, of which callers show one as Authorization: Bearer KEY.

    Example: forestay endpoint keys show churn-api
    """
    _emit_keys(context, name, find_target(context, name, target, env).keys(name))


@click.command(cls=Command)
@click.argument("name")
@click.option(
    "--key",
    "which",
    type=click.Choice(["primary", "secondary"]),
    default="primary",
    show_default=True,
    help="Which one.",
)
@place_options
@click.pass_context
def rotate_keys(context: click.Context, name: str, target: str | None, env: str, which: str) -> None:
    """Make one of the two keys anew. Let callers use the other one before; they then notice nothing.

    Example: forestay endpoint keys rotate churn-api --key secondary
    """
    _emit_keys(context, name, find_target(context, name, target, env).rotate_keys(name, which))


def _emit_keys(context: click.Context, name: str, keys: dict[str, str]) -> None:
    console(context).emit({"name": name, **keys}, lambda: [f"{which:<10} {key}" for which, key in keys.items()])


@click.command(cls=Command)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Don't ask.")
@place_options
@click.pass_context
def delete(context: click.Context, name: str, target: str | None, env: str, yes: bool) -> None:
    """Stop an endpoint's server and remove the endpoint. Models, scoring folders and proofs stay.

    Example: forestay endpoint delete churn-api --yes
    """
    found = console(context)
    place = find_target(context, name, target, env)
    place.status(name)
    fix = "say --yes to remove it without being asked"
    require_yes(found, yes, f"Stop and remove the endpoint {name}?", f"{name} was not removed", fix)
    place.delete(name)
    found.emit({"name": name, "deleted": True}, f"{name} is removed")


@click.command(cls=Command)
@click.argument("name")
@place_options
@click.pass_context
def stop(context: click.Context, name: str, target: str | None, env: str) -> None:
    """Serve nothing, and bill nothing, until it is started again. What it serves is kept.

    Example: forestay endpoint stop churn-api --env dev
    """
    record = find_target(context, name, target, env).stop(name)
    console(context).emit(record.as_dict(), lambda: _lines(record))


@click.command(cls=Command)
@click.argument("name")
@place_options
@click.pass_context
def start(context: click.Context, name: str, target: str | None, env: str) -> None:
    """Serve again what was stopped.

    Example: forestay endpoint start churn-api --env dev
    """
    record = find_target(context, name, target, env).start(name)
    console(context).emit(record.as_dict(), lambda: _lines(record))


def _plan_lines(plan: DeployPlan) -> list[str]:
    where = f"{plan.name} on {plan.target}" + ("" if plan.env == LOCAL else f" in {plan.env}")
    if not plan.changes:
        return [f"{where} serves {plan.model} {plan.version} already; nothing would change"]
    outage = [f"  outage: {plan.outage}"] if plan.outage else []
    return [f"{where} would change to {plan.model} {plan.version}:", *(f"  {one}" for one in plan.changes), *outage]


def _lines(record: DeploymentRecord) -> list[str]:
    known = {"bills": record.bills, "asked": record.last_request}
    return [
        f"{record.name}: {record.status}, {record.model} {record.version} on {record.target}",
        f"  address     {record.scoring_uri}",
        f"  deployment  {record.deployment}",
        f"  previous    {record.previous or '-'}",
        f"  keys        {'asked for' if record.auth == 'keys' else 'not asked for'}",
        *(f"  {word:<10}  {value}" for word, value in known.items() if value),
    ]


def _read(data: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if data == "-" else Path(data).read_bytes()
        return raw.decode("utf-8")
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=data, fix="name a file of rows with --data") from error
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: {error.reason}", where=data, fix="save it as UTF-8") from error


def _told(answer: Answer) -> str:
    """The server's message, with its first details."""
    document: Any = answer.json
    if not isinstance(document, dict):
        return "no reason given"
    error = document.get("error")
    if not isinstance(error, dict):
        return str(document.get("message", "no reason given"))
    details = [
        f"row {one['row']}, column {json.dumps(one['column'], ensure_ascii=False)}: {one['problem']}"
        for one in error["details"][:SHOWN_DETAILS]
    ]
    return "; ".join([str(error["message"]), *details])
