"""`forestay endpoint`: deploy proven models and call them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forestay.cli import Command, console
from forestay.console import visible
from forestay.errors import InputError, RunFailed

if TYPE_CHECKING:
    from scoring.server import Answer
    from scoring.targets import DeploymentRecord, Target

SHOWN_DETAILS = 5


def _target(context: click.Context, target: str = "local", env: str = "local") -> Target:
    from forestay import project
    from scoring.targets import choose

    return choose(target, env, project.home(), console(context).note)


def proven_folder_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--from DIR`: which proven folder of a model version."""
    return click.option(
        "--from",
        "folder",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Its scoring folder; by default the one proven last.",
    )(function)


@click.command(cls=Command)
@click.argument("name")
@click.option("--model", required=True, metavar="MODEL[:VERSION]", help="The newest version if none is named.")
@proven_folder_option
@click.option(
    "--target",
    type=click.Choice(["local", "aci", "aks", "managed"]),
    default="local",
    show_default=True,
    help="Where to.",
)
@click.option("--env", default="local", show_default=True, help="The environment: local, or a stack's name.")
@click.option("--port", type=click.IntRange(1, 65535), help="On 127.0.0.1; by default the one it had, or a free one.")
@click.option(
    "--auth",
    type=click.Choice(["none", "keys"]),
    help="Whether callers must show a key; by default as before, and none at first.",
)
@click.option("--allow-breaking", is_flag=True, help="Also where callers of the deployed version would break.")
@click.pass_context
def deploy(
    context: click.Context,
    name: str,
    model: str,
    folder: Path | None,
    target: str,
    env: str,
    port: int | None,
    auth: str | None,
    allow_breaking: bool,
) -> None:
    """Serve a proven model version under a name. Only what was proven, to the byte, can be deployed.

    The server is tested with golden rows before it replaces the one that runs; no request is lost when it does. The
    same again changes nothing. A version that breaks callers of the deployed one (see forestay score diff) is refused
    with exit code 1.

    Example: forestay endpoint deploy churn-api --model Churn:3
    """
    from forestay import project
    from scoring.diff import guard
    from scoring.targets import check_name, find_proven

    check_name(name)
    chosen = _target(context, target, env)
    proven = find_proven(project.home(), model, folder)
    guard(chosen, name, proven, allow_breaking)
    record = chosen.deploy(name, proven, port=port, auth=auth)
    found = console(context)
    found.emit(record.as_dict(), lambda: _lines(record))
    if record.changed:
        found.note(f"try it: forestay endpoint invoke {name}")
        if record.auth == "keys":
            found.note(f"its keys: forestay endpoint keys show {name}")


@click.command("list", cls=Command)
@click.pass_context
def list_endpoints(context: click.Context) -> None:
    """The endpoints, with what they serve.

    Example: forestay endpoint list
    """
    from forestay.console import table

    target = _target(context)
    records = [target.status(name) for name in target.names()]
    rows = [[one.name, one.target, one.model, one.version, one.status, one.scoring_uri] for one in records]
    headers = ["endpoint", "target", "model", "version", "status", "address"]
    console(context).emit([one.as_dict() for one in records], lambda: [table(headers, rows)])


@click.command(cls=Command)
@click.argument("name")
@click.pass_context
def show(context: click.Context, name: str) -> None:
    """What an endpoint serves, and whether it answers.

    Example: forestay endpoint show churn-api
    """
    record = _target(context).status(name)
    console(context).emit(record.as_dict(), lambda: _lines(record))


@click.command(cls=Command)
@click.argument("name")
@click.option("--data", metavar="FILE", help="Rows as CSV, JSON Lines or JSON; - reads them from stdin.")
@click.option("--request", "body", metavar="JSON", help="A whole request, sent as it is.")
@click.pass_context
def invoke(context: click.Context, name: str, data: str | None, body: str | None) -> None:
    """Send rows to an endpoint and print the server's JSON as it came; without rows the sample request.

    CSV cells become what the model's schema says of their column. Exit code 2 when the server refuses the request, 1
    when it fails, 3 when nothing answers.

    Example: forestay endpoint invoke churn-api --data new_customers.csv
    """
    from scoring.rows import read_body
    from scoring.schema import read_schema

    if data is not None and body is not None:
        raise InputError("takes one of --data and --request", where="--data", fix="leave one of them out")
    target = _target(context)
    assets = target.assets(name)
    if body is not None:
        sent = body.encode("utf-8", "surrogatepass")
    elif data is not None:
        where = "stdin" if data == "-" else data
        sent = json.dumps(read_body(_read(data), where, read_schema(assets / "model"))).encode()
    else:
        sent = (assets / "sample_request.json").read_bytes()
    answer = target.invoke(name, sent)
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
@click.pass_context
def logs(context: click.Context, name: str, tail: int, follow: bool) -> None:
    """What the server of an endpoint wrote.

    Example: forestay endpoint logs churn-api --tail 20
    """
    found = console(context)
    lines = _target(context).logs(name, tail, follow)
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
@click.pass_context
def rollback(context: click.Context, name: str, to: str | None) -> None:
    """Serve an earlier deployment again; it is tested first, and no request is lost. Again, it goes forth.

    Example: forestay endpoint rollback churn-api
    """
    record = _target(context).rollback(name, to)
    console(context).emit(record.as_dict(), lambda: _lines(record))


@click.command(cls=Command)
@click.argument("name")
@click.pass_context
def show_keys(context: click.Context, name: str) -> None:
    """The two keys of an endpoint, of which callers show one as Authorization: Bearer KEY.

    Example: forestay endpoint keys show churn-api
    """
    _emit_keys(context, name, _target(context).keys(name))


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
@click.pass_context
def rotate_keys(context: click.Context, name: str, which: str) -> None:
    """Make one of the two keys anew. Let callers use the other one before; they then notice nothing.

    Example: forestay endpoint keys rotate churn-api --key secondary
    """
    _emit_keys(context, name, _target(context).rotate_keys(name, which))


def _emit_keys(context: click.Context, name: str, keys: dict[str, str]) -> None:
    console(context).emit({"name": name, **keys}, lambda: [f"{which:<10} {key}" for which, key in keys.items()])


@click.command(cls=Command)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_context
def delete(context: click.Context, name: str, yes: bool) -> None:
    """Stop an endpoint's server and remove the endpoint. Models, scoring folders and proofs stay.

    Example: forestay endpoint delete churn-api --yes
    """
    found = console(context)
    target = _target(context)
    target.status(name)
    if not (yes or found.confirm(f"Stop and remove the endpoint {name}?")):
        raise InputError(f"{name} was not removed", where="--yes", fix="say --yes to remove it without being asked")
    target.delete(name)
    found.emit({"name": name, "deleted": True}, f"{name} is removed")


def _lines(record: DeploymentRecord) -> list[str]:
    return [
        f"{record.name}: {record.status}, {record.model} {record.version} on {record.target}",
        f"  address     {record.scoring_uri}",
        f"  deployment  {record.deployment}",
        f"  previous    {record.previous or '-'}",
        f"  keys        {'asked for' if record.auth == 'keys' else 'not asked for'}",
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
