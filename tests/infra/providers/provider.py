"""The protocol, common to both providers (pulumi/sdk/proto/pulumi/provider.proto).

One server answers every run of the engine; what a run configured is known by its connection.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, empty_pb2, struct_pb2
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tests.infra.providers.cloud import Cloud, HalfMade, Refused, Request
from tests.infra.providers.machines import Machines
from tests.infra.providers.wire import SIGNATURE, differing, is_secret, pack, plain, secret, unknown, unpack

KINDS = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}
FORCED = {number for (_, forced), number in KINDS.items() if forced}
INPUTS = "__inputs"  # where azure-native keeps, as a secret, what it was given


@dataclass
class Given:
    """One resource as a request names it: `inputs` as they travelled, `config` of the provider."""

    type: str
    name: str
    inputs: dict[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> dict[str, Any]:
        return plain(self.inputs)


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """What azure-native and kubernetes have in common.

    Parameters
    ----------
    cloud: what there is. version: of the SDK that asks.
    """

    def __init__(self, cloud: Cloud, version: str, machines: Machines | None = None) -> None:
        self.cloud, self.version, self.machines = cloud, version, machines
        self._configs: dict[str, dict[str, Any]] = {}

    # What a provider of its own knows.

    def id_of(self, given: Given) -> str:
        """The id that it will have in the cloud."""
        raise NotImplementedError

    def key(self, kind: str, id_: str, config: Mapping[str, Any]) -> str:
        """How the cloud's file calls a resource of this type and id."""
        raise NotImplementedError

    def missing(self, given: Given) -> list[tuple[str, str]]:
        """What the provider itself refuses before anything is asked: input and reason."""
        raise NotImplementedError

    def problems(self, given: Given) -> list[str]:
        """What the cloud does not take of a body."""
        raise NotImplementedError

    def replacing(self, path: str, old: Given, new: Given) -> bool:
        """Whether this difference can't be made in place."""
        raise NotImplementedError

    def outputs(self, given: Given, id_: str) -> dict[str, Any]:
        """What the cloud answers besides the inputs."""
        raise NotImplementedError

    def never_ready(self, given: Given) -> str:
        """What keeps something that was made from becoming ready; empty where nothing does."""
        return ""

    def known(self, given: Given) -> dict[str, Any]:
        """The inputs as the cloud shows them."""
        raise NotImplementedError

    def shown(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs of something that is there, as the cloud shows them to who looks again."""
        return dict(found["inputs"])

    def permit(self, request: Request, given: Given, content: dict[str, Any]) -> None:
        """Raises Refused for what the cloud does not let happen."""

    def removed(self, id_: str, content: dict[str, Any]) -> None:
        """Take away what goes with a resource."""

    def answer(self, token: str, arguments: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
        """A function's answer. Raises Refused."""
        raise NotImplementedError

    # The protocol.

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.version)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        old, new = plain(unpack(request.old_inputs)), plain(unpack(request.news))
        found = [path for path, _ in differing(old, new)]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=found,
            replaces=[path for path in found if path.startswith(("subscriptionId", "clusterIdentifier"))],
        )

    def Configure(self, request: Any, context: Any) -> Any:
        self._configs[context.peer()] = plain(unpack(request.args))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def Invoke(self, request: Any, context: Any) -> Any:
        try:
            found = self.answer(request.tok, plain(unpack(request.args)), self._config(context))
        except Refused as refused:
            return self._abort(context, str(refused))
        return provider_pb2.InvokeResponse(**{"return": pack(found)})

    def Check(self, request: Any, context: Any) -> Any:
        given = self._given(request, request.news, context)
        failures = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in self.missing(given)]
        return provider_pb2.CheckResponse(inputs=pack(given.inputs), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        old = self._given(request, request.old_inputs, context)
        new = self._given(request, request.news, context)
        found: dict[str, Any] = {}
        for path, kind in differing(old.plain, new.plain):
            if not _ignored(path, request.ignoreChanges):
                number = KINDS[kind, self.replacing(path, old, new)]
                found[path] = provider_pb2.PropertyDiff(kind=number, inputDiff=True)
        top = sorted({path.partition(".")[0].partition("[")[0] for path in found})
        forced = [path for path, one in found.items() if one.kind in FORCED]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=top,
            replaces=forced,
            detailedDiff=found,
            hasDetailedDiff=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        given = self._given(request, request.properties, context)
        if request.preview:
            return provider_pb2.CreateResponse(properties=pack(self.known(given)))
        id_ = self.id_of(given)
        asked = Request("create", given.type, given.name, id_)
        state = self._do(asked, given, context, lambda: self._make(asked, given))
        return provider_pb2.CreateResponse(id=id_, properties=pack(state))

    def Update(self, request: Any, context: Any) -> Any:
        given = self._given(request, request.news, context)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=pack(self.known(given)))
        asked = Request("update", given.type, given.name, request.id)
        state = self._do(asked, given, context, lambda: self._make(asked, given))
        return provider_pb2.UpdateResponse(properties=pack(state))

    def Delete(self, request: Any, context: Any) -> Any:
        given = self._given(request, request.old_inputs, context)
        asked = Request("delete", given.type, given.name, request.id)
        self._do(asked, given, context, lambda: self._delete(asked, given))
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> Any:
        found = self.cloud.resources.get(self.key(request.type, request.id, self._config(context)))
        if found is None:
            return provider_pb2.ReadResponse()
        old, held = unpack(request.inputs), unpack(request.properties)
        there = self.shown(found)
        shown = there if not old else _drifted(old, there)
        given = Given(request.type, request.name, shown, self._config(context))
        state = {**_marked(found["outputs"], held), INPUTS: secret(shown)} if old or held else found["outputs"]
        return provider_pb2.ReadResponse(id=found["id"], properties=pack(state), inputs=pack(given.inputs))

    def _config(self, context: Any) -> dict[str, Any]:
        return self._configs.get(context.peer(), {})

    def _given(self, request: Any, inputs: struct_pb2.Struct, context: Any) -> Given:
        urn = request.urn.split("::")
        kind = request.type or urn[2].rpartition("$")[2]
        return Given(kind, request.name or urn[3], unpack(inputs), self._config(context))

    def _do(self, asked: Request, given: Given, context: Any, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """One change of the cloud, with what the test wants to fail. Ends the call for what is refused."""
        try:
            message, made = self.cloud.ask(asked)
            if message and not made:
                raise Refused(message)
            state = work()
            if message:
                raise HalfMade(message, asked.id, state)
        except Refused as refused:
            with self.cloud.open() as content:
                self.cloud.note(asked, content, failed=str(refused))
            return self._abort(context, str(refused))
        except HalfMade as half:
            detail = provider_pb2.ErrorResourceInitFailed(
                id=half.id, properties=pack(half.state), reasons=[str(half)], inputs=pack(given.inputs)
            )
            return self._abort(context, str(half), detail)
        except Exception as error:  # noqa: BLE001 - a fault of the provider is told to the engine
            traceback.print_exc()
            return self._abort(context, f"the test provider failed: {error!r}")
        return state

    def _make(self, asked: Request, given: Given) -> dict[str, Any]:
        if unknown(given.inputs):
            raise Refused(f"Code=InvalidRequestContent Message=a value is not known: {given.plain}")
        problems = self.problems(given)
        if problems:
            raise Refused(f"Code=InvalidRequestContent Message={'; '.join(problems)}")
        key = self.key(given.type, asked.id, given.config)
        with self.cloud.open() as content:
            there = content["resources"].get(key)
            if asked.op == "update" and there is None:
                raise Refused(f"Code=ResourceNotFound Message=there is no {asked.id}")
            self.permit(asked, given, content)
            outputs = {**self.known(given), **self.outputs(given, asked.id)}
            content["resources"][key] = {
                "id": asked.id,
                "type": given.type,
                "name": given.name,
                "inputs": given.plain,
                "outputs": plain(outputs),
            }
            self.cloud.note(asked, content)
        state = {**outputs, INPUTS: secret(given.inputs)}
        problem = self.never_ready(given)
        if problem:
            raise HalfMade(problem, asked.id, state)
        return state

    def _delete(self, asked: Request, given: Given) -> dict[str, Any]:
        with self.cloud.open() as content:
            key = self.key(given.type, asked.id, given.config)
            if key in content["resources"]:
                self.permit(asked, given, content)
                del content["resources"][key]
                self.removed(key, content)
            self.cloud.note(asked, content)
        return {}

    def _abort(self, context: Any, message: str, detail: Any = None) -> Any:
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
        if detail is not None:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
        context.abort(grpc.StatusCode.UNKNOWN, message)


def _ignored(path: str, ignored: Any) -> bool:
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in ignored)


def _drifted(old: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as the cloud shows them now; what did not change keeps its form, with its secrets."""
    found = {}
    for key in {**old, **there}:
        if key in there and key in old:
            found[key] = old[key] if plain(old[key]) == plain(there[key]) else there[key]
        elif key in there:
            found[key] = there[key]
    return found


def _marked(outputs: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, Any]:
    """What the cloud shows, with what was secret in the state secret still."""

    def mark(value: Any, old: Any) -> Any:
        if is_secret(old):
            return secret(value)
        if isinstance(value, Mapping) and isinstance(old, Mapping) and SIGNATURE not in old:
            return {key: mark(one, old.get(key)) for key, one in value.items()}
        if isinstance(value, list) and isinstance(old, list) and len(value) == len(old):
            return [mark(one, before) for one, before in zip(value, old, strict=True)]
        return value

    return {key: mark(value, held.get(key)) for key, value in outputs.items()}
