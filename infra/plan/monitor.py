"""A monitor that records: it stands where Pulumi's engine does, keeps what the program registers, and makes nothing.

Pulumi's own `Mocks` see a resource's type, name and inputs only. This one overrides the registration itself, so that it
also sees parents, dependencies, protection, aliases and providers. On the wire numbers are floats, and a secret is a
wrapper with a signature (pulumi/sdk/proto: "special signature").
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import mocks, rpc
from pulumi.runtime.proto import resource_pb2

from infra.plan.model import COMPONENT_ROOT, PlannedResource
from infra.plan.outputs import MadeUp
from infra.values import GUID

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the wire's mark of a secret, not one
REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e"
MASK = "[secret]"
_MASK_BASE64 = base64.b64encode(MASK.encode()).decode()


class Recorder(mocks.MockMonitor):
    """Records every registration.

    Parameters
    ----------
    answers: what the resources answer. project, stack: as in URNs.

    Attributes
    ----------
    recorded: the resources in the order of their registration.
    exports: the stack's outputs, secrets masked.
    faults: what a plan can't be made of; told at the end, since the SDK turns an error here into dozens.
    """

    def __init__(self, answers: MadeUp, project: str, stack: str) -> None:
        super().__init__(answers)
        self.answers = answers
        self.project, self.stack = project, stack
        self.recorded: dict[str, PlannedResource] = {}
        self.exports: dict[str, Any] = {}
        self.faults: list[str] = []
        self._lock = threading.Lock()  # registrations arrive from the SDK's threads

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The engine's rule: the types of all parents below the stack, then its own."""
        above = parent.split("::")[2] if parent else ""
        chain = type_ if above in ("", COMPONENT_ROOT) else f"{above}${type_}"
        return f"urn:pulumi:{self.stack}::{self.project}::{chain}::{name}"

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == COMPONENT_ROOT:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        secrets: list[str] = []
        inputs = {key: _plain(value, key, secrets) for key, value in request.object.fields.items()}
        id_, state = self._answer(request, inputs, request.importId)
        self._record(request, urn, id_, inputs, secrets)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=_echo(request.object, state))

    def ReadResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        secrets: list[str] = []
        inputs = {key: _plain(value, key, secrets) for key, value in request.properties.fields.items()}
        _, state = self._answer(request, inputs, request.id)
        self._record(request, urn, request.id, inputs, secrets, external=True)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=_echo(request.properties, state))

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.split("::")[2] == COMPONENT_ROOT:
            self.exports = {key: _plain(value, key, []) for key, value in request.outputs.fields.items()}
        return empty_pb2.Empty()

    def Invoke(self, request: Any) -> Any:
        arguments = {key: _plain(value, key, []) for key, value in request.args.fields.items()}
        answer = self.answers.call(mocks.MockCallArgs(request.tok, arguments, request.provider))
        found = struct_pb2.Struct()
        found.update(answer)
        return resource_pb2.ResourceInvokeResponse(**{"return": found})

    def _answer(self, request: Any, inputs: dict[str, Any], id_: str) -> tuple[str, dict[str, Any]]:
        if not getattr(request, "custom", True):
            return "", {}
        arguments = mocks.MockResourceArgs(request.type, request.name, inputs, request.provider, id_ or None)
        return self.answers.new_resource(arguments)

    def _record(
        self,
        request: Any,
        urn: str,
        id_: str,
        inputs: dict[str, Any],
        secrets: list[str],
        *,
        external: bool = False,
    ) -> None:
        parent = request.parent if request.parent and request.parent.split("::")[2] != COMPONENT_ROOT else None
        found = PlannedResource(
            urn=urn,
            type=request.type,
            name=request.name,
            id=id_,
            parent=parent,
            depends_on=tuple(sorted(set(request.dependencies) - {urn})),
            inputs=inputs,
            protect=bool(getattr(request, "protect", False)),
            aliases=tuple(_aliases(request)),
            provider=request.provider.rpartition("::")[0],
            ignore_changes=tuple(getattr(request, "ignoreChanges", ())),
            secret_paths=tuple(sorted(secrets)),
            sources=_sources(request),
            external=external,
            component=not getattr(request, "custom", True),
        )
        with self._lock:
            if urn in self.recorded:
                self.faults.append(f"{request.type} {request.name} is declared twice")
            for place in _unknown(inputs, ""):
                self.faults.append(f"{request.type} {request.name}: the plan does not know {place}")
            self.recorded[urn] = found


def _aliases(request: Any) -> Iterable[str]:
    """URNs, or the parts of a spec that differ: `name=old`."""
    yield from getattr(request, "aliasURNs", ())
    for alias in getattr(request, "aliases", ()):
        if alias.urn:
            yield alias.urn
        else:
            spec = alias.spec
            parts = {"name": spec.name, "type": spec.type, "parent": spec.parentUrn, "stack": spec.stack}
            yield ", ".join(f"{key}={value}" for key, value in parts.items() if value)


def _sources(request: Any) -> dict[str, tuple[str, ...]]:
    given = getattr(request, "propertyDependencies", {})
    return {key: tuple(sorted(given[key].urns)) for key in sorted(given) if given[key].urns}


def _plain(value: struct_pb2.Value, path: str, secrets: list[str], *, masked: bool = False) -> Any:
    """A value of the wire as JSON; secrets are masked, and their paths added to `secrets`."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        mark = fields[SIGNATURE].string_value if SIGNATURE in fields else ""
        if mark == SECRET:
            secrets.append(path)
            return _plain(fields["value"], path, secrets, masked=True)
        if mark == REFERENCE:
            return fields["urn"].string_value
        return {
            key: _plain(one, f"{path}.{key}", secrets, masked=masked)
            for key, one in fields.items()
            if one.WhichOneof("kind") != "null_value"
        }
    if kind == "list_value":
        values = value.list_value.values
        return [_plain(one, f"{path}[{place}]", secrets, masked=masked) for place, one in enumerate(values)]
    if kind == "number_value":
        number = value.number_value
        return 0 if masked else int(number) if number.is_integer() else number
    if kind == "string_value":
        return mask(value.string_value, path) if masked else value.string_value
    if kind == "bool_value":
        return value.bool_value and not masked
    return None


def mask(text: str, path: str = "") -> str:
    """A text of the same form that says nothing: base64 stays base64, a GUID a GUID, an unknown value unknown."""
    if text == rpc.UNKNOWN:
        return text
    if GUID.fullmatch(text):
        return "00000000-0000-0000-0000-000000000000"
    if path.startswith("data.") and _is_base64(text):
        return _MASK_BASE64  # a Kubernetes Secret's data
    return MASK


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def _unknown(value: Any, path: str) -> Iterable[str]:
    """The places of values that only a real run would know."""
    if value == rpc.UNKNOWN:
        yield path
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _unknown(one, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _unknown(one, f"{path}[{place}]")


def _echo(given: struct_pb2.Struct, state: Mapping[str, Any]) -> struct_pb2.Struct:
    """The outputs of a resource: its inputs as they came, secrets still wrapped, and `state` over them."""
    found = struct_pb2.Struct()
    found.CopyFrom(given)
    found.update(state)
    return found
