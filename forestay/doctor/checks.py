"""Which looks there are, and what each needs before it."""

from __future__ import annotations

from functools import partial

from forestay import LOCAL
from forestay.doctor import access, estate, machine, names, place, state
from forestay.doctor.environment import Environment
from forestay.doctor.model import Check
from forestay.errors import InputError

ASKING, PLANNING, LOGGING_IN = 20.0, 45.0, 15.0
"""Seconds of looks that ask Azure, that run the program, and of the login."""


def checks_for(env: str) -> list[Check]:
    """The looks at this machine and project, and at an environment unless `env` is this machine.

    Raises InputError for a stack that has no file, or that is one of served models.
    """
    if env == LOCAL:
        return [*_here(cloud=False), Check("login", access.offline_login)]
    return [*_here(cloud=True), *_there(_environment(env))]


def _environment(env: str) -> Environment:
    from infra import stackfile

    found = Environment(env)
    if env.endswith(stackfile.SUFFIX):
        own = env.removesuffix(stackfile.SUFFIX)
        fix = f"say --env {own}: both stacks are looked at"
        raise InputError("is the stack of served models", where=f"--env {env}", fix=fix)
    if not stackfile.stack_path(found.root, env).is_file():
        stackfile.load(found.root, env)  # says which there are
    return found


def _here(cloud: bool) -> list[Check]:
    return [
        Check("python", machine.python),
        Check("packages", partial(machine.packages, ("azure",) if cloud else ())),
        Check("bytecode", machine.bytecode),
        Check("uv", machine.uv),
        Check("disk", machine.disk),
        Check("memory", machine.memory),
        Check("project", place.folder),
        Check("run store", place.store),
        Check("locks", place.locks),
        Check("endpoints", place.endpoints),
        Check("container engine", machine.engine, seconds=ASKING),
        Check("pulumi", state.cli),
        *([] if cloud else [Check("kubectl", machine.kubectl)]),
    ]


def _there(of: Environment) -> list[Check]:
    way_in = ("stack", "packages", "login", "subscription")
    return [
        Check("stack", partial(access.stack, of)),
        Check("kubectl", lambda: machine.kubectl(_has_cluster(of)), needs=("stack",)),
        Check("state backend", lambda: state.backend(of.stack), needs=("stack",)),
        Check("secrets", lambda: state.passphrase(of.stack), needs=("stack",)),
        Check("plan", partial(estate.plan, of), needs=("stack", "packages"), seconds=PLANNING),
        Check("login", partial(access.login, of), needs=("stack", "packages"), seconds=LOGGING_IN),
        Check(
            "state",
            lambda: state.state(of.stack),
            needs=("stack", "packages", "pulumi", "state backend", "secrets"),
            seconds=ASKING,
        ),
        Check("subscription", partial(access.subscription, of), needs=("login",), seconds=ASKING),
        Check("providers", partial(access.providers, of), needs=(*way_in, "plan"), seconds=ASKING),
        Check("quota", partial(estate.quota, of), needs=(*way_in, "plan"), seconds=ASKING),
        Check("names", partial(names.kept, of), needs=way_in, seconds=ASKING),
        Check("workspace", partial(estate.workspace, of), needs=way_in, seconds=ASKING),
        Check("roles", partial(access.roles, of), needs=(*way_in, "plan", "workspace"), seconds=ASKING),
        Check("registry", partial(estate.registry, of), needs=way_in, seconds=ASKING),
        Check("network", partial(estate.network, of), needs=("stack", "packages"), seconds=ASKING),
    ]


def _has_cluster(of: Environment) -> bool:
    settings = of.stack.settings
    return settings.aks is not None or settings.existing.aks is not None
