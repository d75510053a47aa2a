"""The published shapes of request bodies: Azure Resource Manager's, and Kubernetes' OpenAPI."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from types import ModuleType
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.infra.recording import arm_check, arm_errors

# The version that AKS serves by default; its fields are the oldest that all of our clusters know.
KUBERNETES = "v1.33.0-local-strict"


@functools.cache
def arm() -> ModuleType | None:
    """The checker of ARM's published schemas, where it is at hand."""
    return arm_check()


def arm_problems(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """What Azure would not take of a body; nothing where no schema is at hand."""
    checker = arm()
    return (arm_errors(checker, token, inputs) if checker else None) or []


def kubernetes_problems(body: Mapping[str, Any]) -> list[str]:
    """What the cluster would not take of an object, unknown fields included; custom resources have no schema here."""
    validator = _kubernetes(str(body.get("kind")), str(body.get("apiVersion")))
    if validator is None:
        return []
    return [
        f"{'.'.join(map(str, one.absolute_path))}: {one.message[:300]}" for one in validator.iter_errors(dict(body))
    ]


@functools.cache
def _kubernetes(kind: str, version: str) -> Draft202012Validator | None:
    group, _, short = version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], short) if part)
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / KUBERNETES
    file = folder / f"{name}.json"
    if "." in group and not group.endswith(".k8s.io"):
        return None
    if not file.is_file():
        return None
    schema = json.loads(file.read_text(encoding="utf-8"))
    return Draft202012Validator(schema, registry=_definitions())


@functools.cache
def _definitions() -> Registry[Any]:
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / KUBERNETES
    content = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))
    return Resource.from_contents(content) @ Registry()
