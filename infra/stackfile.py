"""`stacks/Pulumi.<env>.yaml` -> StackSettings, with file:line of what is wrong.

The same models check what Pulumi hands to the program, so that `pulumi up` by hand and the command line agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from forestay.documents.document import Document, KeyPath, Kind, parse, read_text
from forestay.documents.names import closest, shown, suggest
from forestay.documents.problems import Wording, home_of, in_order, keys, section_at, translate
from forestay.errors import InputError, Problem
from infra import naming
from infra.settings import SERVICES, StackSettings

FOLDER = "stacks"
SUFFIX = f"-{SERVICES}"
PROJECT = "forestay"
SERVICES_KEY = f"{PROJECT}:{SERVICES}"
# Pulumi's own keys of a stack file; the values of the last two are encrypted by it.
PULUMI_KEYS = ("config", "secretsprovider", "encryptedkey", "encryptionsalt", "environment")
PROVIDER_KEYS = {"azure-native:location": "location", "azure-native:subscriptionId": "subscriptionId"}
# What other providers call their secrets: azure-native:clientSecret, github:token, kubernetes:kubeconfig.
SECRET_NAME = re.compile(r"(password|secret|token|apikey|api_key|accesskey|privatekey|kubeconfig)$", re.IGNORECASE)
STACK_FILE = Kind("stack file", "`config:` and under it `azure-native:location: westeurope`", "`forestay init`")
EXAMPLES = {
    "location": "add `azure-native:location: westeurope`",
    "subscriptionId": "add `azure-native:subscriptionId: 3f2504e0-...`, the subscription's GUID",
    "stem": "add `forestay:stem: NAME`, what all names begin with",
    "image": "add `image: REGISTRY/NAME@sha256:...`",
    "target": "add `target: aci` or `target: aks`",
}


@dataclass(frozen=True)
class Stack:
    """A stack of the project.

    Attributes
    ----------
    name: as Pulumi calls it, `dev` or `dev-services`. path: its file.
    settings: what it says. document: the same with places, for later messages.
    file: as it is written: other providers' keys too, secrets encrypted.
    """

    name: str
    path: Path
    settings: StackSettings
    document: Document
    file: Document

    @property
    def config(self) -> Mapping[str, Any]:
        """The file's `config`."""
        found: Mapping[str, Any] = self.file.data["config"]
        return found

    @property
    def names(self) -> naming.Names:
        found = self.settings
        return naming.Names(found.stem, found.environment, found.subscription_id, found.names)

    @property
    def secrets_provider(self) -> str | None:
        """What encrypts the stack's secrets, as Pulumi calls it; None leaves it to Pulumi."""
        found = self.file.data.get("secretsprovider")
        return str(found) if found else None

    def where(self, *path: str) -> str:
        """ "file:line" of a setting, or of the nearest one above it."""
        return self.document.place(tuple(path))


def stack_path(root: Path, name: str) -> Path:
    return root / FOLDER / f"Pulumi.{name}.yaml"


def names_in(root: Path) -> list[str]:
    """The stacks that have a file."""
    return sorted(path.name[len("Pulumi.") : -len(".yaml")] for path in (root / FOLDER).glob("Pulumi.*.yaml"))


def load(root: Path, name: str) -> Stack:
    """Read and check one stack's file.

    Parameters
    ----------
    root: the folder with Pulumi.yaml.
    name: the stack, `dev` or `dev-services`.

    Raises InputError with every problem, each at file:line; for a stack that has no file, naming those that have.
    """
    path = stack_path(root, name)
    if not path.is_file():
        there = names_in(root)
        near = closest(name, there)
        known = f"; there is {', '.join(there)}" if there else ""
        fix = f"did you mean {near[0]}?{known}" if near else f"make it with `forestay init`{known}"
        raise InputError(f"no stack {shown(name)!r}", where=f"--env {shown(name)}", fix=fix)
    found = check(parse(read_text(path, STACK_FILE), str(path), STACK_FILE), name, path)
    if name.endswith(SUFFIX):
        _refuse_other_estate(found, root)
    return found


def _refuse_other_estate(services: Stack, root: Path) -> None:
    """Refuse a services stack that would look for the estate under other names than the estate's file gives.

    Where that file is not there, or is wrong itself, nothing is said here. Raises InputError.
    """
    name = services.name.removesuffix(SUFFIX)
    path = stack_path(root, name)
    try:
        estate = check(parse(read_text(path, STACK_FILE), str(path), STACK_FILE), name, path).settings
    except InputError:
        return
    own = services.settings
    pairs: dict[str, tuple[Any, Any]] = {
        "stem": (own.stem, estate.stem),
        "location": (own.location, estate.location),
        "subscriptionId": (own.subscription_id.lower(), estate.subscription_id.lower()),
        "names": (own.names, estate.names),
        "network": (own.network.access, estate.network.access),
    }
    problems = [
        Problem(
            services.where(key),
            f"`{key}` is {shown(str(mine))}, and {shown(str(theirs))} in {path.name}: its resources would not be found",
            "write the same in both files",
        )
        for key, (mine, theirs) in pairs.items()
        if mine != theirs
    ]
    if problems:
        raise InputError.of(in_order(problems))


def check(file: Document, name: str, path: Path) -> Stack:
    """The stack in a parsed file. Raises InputError."""
    document, problems = _unfold(file, name)
    try:
        settings = StackSettings.model_validate(document.data)
    except ValidationError as error:
        problems += translate(error, StackSettings, document, WORDING)
    if problems:
        raise InputError.of(in_order(problems))
    naming.check_given(settings.names, document.place(("names",)))
    return Stack(name, path, settings, document, file)


def from_pulumi(config: Mapping[str, str], name: str, secret: Collection[str] = ()) -> StackSettings:
    """The settings in the configuration that Pulumi hands to a program: texts, objects as JSON.

    Parameters
    ----------
    config: the configuration. name: the stack. secret: the keys of it with secrets in them, which arrive decrypted;
        in the settings their places hold `{"secure": ...}` as in the file, without the value.

    Raises InputError.
    """
    values = {key: _value(text) for key, text in config.items()}
    services = values.get(SERVICES_KEY)
    if SERVICES_KEY in secret and isinstance(services, dict):
        values[SERVICES_KEY] = {key: _without_keys(one) for key, one in services.items()}
    for key in secret:
        if not key.startswith(f"{PROJECT}:"):
            values[key] = {"secure": "hidden"}
    data: dict[str, Any] = {"config": values}
    return check(Document(data), name, Path(f"Pulumi.{name}.yaml")).settings


def _without_keys(service: Any) -> Any:
    """A service as it stands in the file: the values of its keys, and of what it was before, are not settings."""
    if not isinstance(service, dict):
        return service
    found = dict(service)
    if isinstance(keys := service.get("keys"), dict):
        found["keys"] = {which: {"secure": "hidden"} if isinstance(key, str) else key for which, key in keys.items()}
    if isinstance(earlier := service.get("earlier"), list):
        found["earlier"] = [_without_keys(one) for one in earlier]
    return found


def _value(text: str) -> Any:
    if text[:1] in "{[":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _unfold(file: Document, name: str) -> tuple[Document, list[Problem]]:
    """The file's `config` as one mapping of settings, each with its place; and keys that belong to nobody."""
    problems = [
        Problem(file.place((key,)), f"unknown key `{shown(key)}`", suggest(key, PULUMI_KEYS))
        for key in file.data
        if key not in PULUMI_KEYS
    ]
    config = file.data.get("config")
    where: dict[KeyPath, str] = {(): file.place(("config",))}
    data: dict[str, Any] = {"environment": name.removesuffix(SUFFIX)}
    if not isinstance(config, dict):
        problems.append(
            Problem(file.place(("config",)), "`config` must be a mapping", f"start with {STACK_FILE.start}")
        )
        return Document({}, where), problems
    if name.endswith(SUFFIX):
        data["layer"] = SERVICES
    for key, value in config.items():
        namespace, _, setting = key.partition(":")
        if key in PROVIDER_KEYS:
            setting = PROVIDER_KEYS[key]
        elif namespace != PROJECT:
            if not setting:
                fix = f"write {PROJECT}:{shown(key)}" if key in keys(StackSettings) else f"write {PROJECT}:NAME"
                problems.append(Problem(file.place(("config", key)), f"`{shown(key)}` has no namespace", fix))
            if SECRET_NAME.search(setting) and isinstance(value, str | int):
                told = f"`{shown(key)}` is a secret in clear"
                problems.append(Problem(file.place(("config", key)), told, _encrypt(key)))
            continue  # another provider's own configuration
        elif setting in (*PROVIDER_KEYS.values(), "environment"):
            right = next((full for full, short in PROVIDER_KEYS.items() if short == setting), None)
            fix = f"write {right}" if right else "it comes from the file's name: remove it"
            problems.append(Problem(file.place(("config", key)), f"`{key}` is not where this is set", fix))
            continue
        data[setting] = value
        for place, line in file.where.items():
            if place[:2] == ("config", key):
                where[(setting, *place[2:])] = line
    return Document(data, where), problems


def _encrypt(key: str) -> str:
    return f"take it out of git, change it, and write it with `pulumi config set --secret {shown(key)}`"


def _belongs(path: KeyPath, model: type[BaseModel], document: Document) -> str:
    key = str(path[-1])
    if len(path) == 1:
        home = home_of(model, key)
        if home:
            return f"it belongs under `{PROJECT}:{home}:`"
    section = section_at(model, path[:-1])
    return suggest(key, list(keys(section)) if section else [], "valid here")


WORDING = Wording(EXAMPLES, _belongs, lambda _: "this stack", "see the settings' reference")
