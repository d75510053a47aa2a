"""Pulumi's command line, and the state of an environment: where it is kept, what opens its secrets, what it holds."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from forestay.doctor.machine import asked
from forestay.doctor.model import Finding, ok, problem, warning
from forestay.errors import InputError

if TYPE_CHECKING:
    from infra.stackfile import Stack

LEAST = (3, 2)
"""What the Automation API of Pulumi's SDK asks for."""
INSTALL = "install Pulumi's CLI: pulumi.com/docs/install"
PASSPHRASES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def cli() -> Finding:
    """The program."""
    program = shutil.which("pulumi")
    if program is None:
        detail = "not on PATH: changes of the estate and deploys to ACI and AKS need it; plans and jobs don't"
        return warning("pulumi", detail, INSTALL)
    os.environ.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
    said = asked(program, "version")
    numbers = re.match(r"v?(\d+)\.(\d+)", said or "")
    if numbers is None:
        return problem("pulumi", f"{program} does not run", INSTALL)
    if (int(numbers[1]), int(numbers[2])) < LEAST:
        return problem("pulumi", f"{said} is too old", INSTALL)
    return ok("pulumi", f"{said} ({program})")


def backend(stack: Stack) -> Finding:
    """Where the state is kept, as the CLI chooses it: the variable, Pulumi.yaml, the last login."""
    from infra.policies.model import Facts

    root = stack.path.parent.parent
    given, whence = _backend(root)
    if not given:
        return warning(
            "state backend",
            "nothing says where the state is kept, so that the estate can't be made",
            f"forestay infra bootstrap --env {stack.name}",
        )
    if given.startswith("file:") and not Facts.of(stack.settings).development:
        return warning(
            "state backend",
            f"{given} ({whence}): on this machine, where nobody else can run this stack",
            f"forestay infra bootstrap --env {stack.name}",
        )
    return ok("state backend", f"{given} ({whence})")


def _backend(root: Path) -> tuple[str, str]:
    """The address of the state, and what says so; two empty texts for none. Raises InputError."""
    if os.environ.get("PULUMI_BACKEND_URL"):
        return os.environ["PULUMI_BACKEND_URL"], "PULUMI_BACKEND_URL"
    project = _project(root / "Pulumi.yaml")
    found = project.get("backend") if isinstance(project, dict) else None
    if isinstance(found, dict) and found.get("url"):
        return str(found["url"]), "Pulumi.yaml"
    if os.environ.get("PULUMI_ACCESS_TOKEN"):
        return "https://api.pulumi.com", "PULUMI_ACCESS_TOKEN"
    folder = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        current = json.loads((folder / "credentials.json").read_text(encoding="utf-8")).get("current")
    except (OSError, ValueError, AttributeError):
        current = None
    return (str(current), "pulumi login") if current else ("", "")


def _project(path: Path) -> object:
    """What Pulumi.yaml says. Raises InputError where it can't be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"can't be read: {error}", where=str(path), fix="write it anew, as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        told = getattr(error, "problem", None) or "it can't be parsed"
        raise InputError(f"is no YAML: {told}", where=where, fix="correct that line") from error


def passphrase(stack: Stack) -> Finding:
    """What opens the stack's secrets."""
    provider = stack.secrets_provider or ""
    if provider and not provider.startswith("passphrase"):
        return ok("secrets", f"encrypted by {provider}")
    if not provider and "encryptionsalt" not in stack.file.data:
        return ok("secrets", "none are encrypted yet")
    word, file = (os.environ.get(name) for name in PASSPHRASES)
    if word is not None:
        return ok("secrets", f"encrypted by a passphrase, in {PASSPHRASES[0]}")
    fix = f"set {PASSPHRASES[1]} to a file that holds the passphrase of {stack.name}"
    if not file:
        return problem("secrets", "encrypted by a passphrase, and neither variable with it is set", fix)
    if not os.access(file, os.R_OK):
        return problem("secrets", f"{PASSPHRASES[1]} names a file that can't be read: {file}", fix)
    return ok("secrets", f"encrypted by a passphrase, in the file of {PASSPHRASES[1]}")


def state(stack: Stack) -> Iterator[Finding]:
    """What the state holds; asks the backend, and whatever opens the secrets. Nothing where neither is there."""
    from infra import operate

    if shutil.which("pulumi") is None or not _backend(stack.path.parent.parent)[0]:
        return
    held = operate.state(stack)
    if not held:
        yield warning("state", "nothing was made yet", f"forestay infra up --env {stack.name}")
        return
    protected = sum(one.protect for one in held)
    yield ok("state", f"{len(held)} resources" + (f", {protected} of them protected" if protected else ""))
