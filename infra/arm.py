"""Azure Resource Manager for the few calls that Pulumi can't make: what its own state needs, and what exists already.

A pipeline of azure-core with the policies of azure-mgmt-core: tokens of whoever is logged in, retries, long-running
operations. Refusals become messages.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forestay.errors import ForestayError, OutsideError, RunFailed
from forestay.login import SCOPE, Login
from infra.engine_errors import recognized, shortened

if TYPE_CHECKING:
    from azure.core import PipelineClient
    from azure.core.credentials import TokenCredential
    from azure.core.pipeline.transport import HttpTransport

ENDPOINT = "https://management.azure.com"
RETRIES = 4
POLL_SECONDS = 2


@dataclass(frozen=True)
class Caller:
    """Who is logged in: the object id and its kind, `User` or `ServicePrincipal`, and the directory."""

    id: str
    kind: str
    tenant: str


class Arm:
    """Resources by their ids.

    Parameters
    ----------
    credential: of azure-identity. env: the stack, for messages.
    endpoint, transport: where to, and how; a stand-in on this machine gives its own.
    """

    def __init__(
        self,
        credential: TokenCredential,
        env: str,
        *,
        endpoint: str = ENDPOINT,
        transport: HttpTransport[Any, Any] | None = None,
    ) -> None:
        self._credential, self._env = credential, env
        self._client = _client(credential, endpoint, transport)
        # Tokens travel over TLS alone, but to a stand-in on this machine.
        self._options = {} if endpoint.startswith("https:") else {"enforce_https": False}

    def caller(self) -> Caller:
        """Who is logged in, as the token says. Raises OutsideError without a login."""
        return caller_of(self._answered(lambda: self._credential.get_token(SCOPE)).token)

    def get(self, resource_id: str, version: str, asked: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """A resource as it is; None where there is none. `asked` goes into the address.

        Raises OutsideError and RunFailed.
        """
        answer = self._send("GET", resource_id, version, asked=asked)
        return None if answer.http_response.status_code == 404 else _body(answer)

    def post(self, action: str, version: str) -> dict[str, Any]:
        """Let a resource do something, `ID/stop`, and wait until it is done. Raises OutsideError and RunFailed."""
        from azure.core.polling import LROPoller
        from azure.mgmt.core.polling.arm_polling import ARMPolling

        answer = self._send("POST", action, version)
        if answer.http_response.status_code != 202:
            return _body(answer)
        poller = LROPoller(self._client, answer, _body, ARMPolling(POLL_SECONDS, **self._options))
        found: dict[str, Any] = self._answered(poller.result, action)
        return found

    def put(
        self, resource_id: str, version: str, body: Mapping[str, Any], *, there_is: str = ""
    ) -> dict[str, Any] | None:
        """Make or change a resource, and wait until Azure has done it.

        Parameters
        ----------
        there_is: the code of a refusal which means that the same is there under another name; the answer is None then.

        Raises OutsideError and RunFailed.
        """
        from azure.core.polling import LROPoller
        from azure.mgmt.core.polling.arm_polling import ARMPolling

        answer = self._send("PUT", resource_id, version, body, there_is)
        if answer.http_response.status_code == 409:
            return None
        if answer.http_response.status_code not in (201, 202):
            return _body(answer)
        poller = LROPoller(self._client, answer, _body, ARMPolling(POLL_SECONDS, **self._options))
        found: dict[str, Any] = self._answered(poller.result, resource_id)
        return found

    def _send(
        self,
        method: str,
        resource_id: str,
        version: str,
        body: Mapping[str, Any] | None = None,
        there_is: str = "",
        asked: Mapping[str, str] | None = None,
    ) -> Any:
        from azure.core.rest import HttpRequest

        params = {**(asked or {}), "api-version": version}
        request = HttpRequest(method, self._client.format_url(resource_id), params=params, json=body)
        answer = self._answered(
            lambda: self._client.send_request(request, _return_pipeline_response=True, **self._options), resource_id
        )
        status = answer.http_response.status_code
        text = answer.http_response.text() if status >= 400 else ""
        expected = (method == "GET" and status == 404) or (status == 409 and there_is and there_is in text)
        if status >= 400 and not expected:
            raise self._refused(text, status, resource_id)
        return answer

    def _answered(self, call: Any, where: str = "") -> Any:
        """The result of a call; what went wrong on the way becomes a message."""
        from azure.core.exceptions import AzureError, HttpResponseError

        try:
            return call()
        except HttpResponseError as error:
            raise self._refused(str(error), error.status_code or 0, where) from error
        except AzureError as error:
            raise OutsideError(
                f"Azure can't be reached: {shortened(str(error))}", fix="check the network and HTTPS_PROXY"
            ) from error

    def _refused(self, text: str, status: int, resource_id: str) -> ForestayError:
        name = resource_id.rpartition("/")[2]
        known = recognized(text, self._env, name)
        if known is not None:
            return known
        kind = RunFailed if 400 <= status < 500 and status not in (401, 403, 429) else OutsideError
        return kind(
            f"Azure refused with {status}: {shortened(_reason(text))}",
            where=name,
            fix="mend what it names, then run this again: what was made stays, and is not made twice",
        )


def connect(env: str) -> Arm:
    """Azure as whoever is logged in: `az login`, a federated token, a managed identity."""
    return Arm(Login(), env)


def _client(
    credential: TokenCredential, endpoint: str, transport: HttpTransport[Any, Any] | None
) -> PipelineClient[Any, Any]:
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import (
        ContentDecodePolicy,
        CustomHookPolicy,
        RequestIdPolicy,
        RetryPolicy,
        UserAgentPolicy,
    )
    from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

    policies = [
        RequestIdPolicy(),
        UserAgentPolicy("forestay"),
        RetryPolicy(retry_total=RETRIES),
        CustomHookPolicy(),
        ARMChallengeAuthenticationPolicy(credential, SCOPE),
        ContentDecodePolicy(),
    ]
    given = {"transport": transport} if transport is not None else {}
    return PipelineClient(endpoint, policies=policies, **given)


def _body(answer: Any) -> dict[str, Any]:
    text = answer.http_response.text()
    return json.loads(text) if text else {}


def _reason(text: str) -> str:
    """Code and message of Azure's error, or the text itself."""
    try:
        found = json.loads(text).get("error", {})
        return f"{found['code']}: {found['message']}"
    except (ValueError, KeyError, AttributeError):
        return text or "it did not say why"


def caller_of(token: str) -> Caller:
    """Whose token it is. Raises OutsideError for one that can't be read."""
    claims = _claims(token)
    human = claims.get("idtyp") == "user" or "scp" in claims or "upn" in claims
    return Caller(str(claims.get("oid", "")), "User" if human else "ServicePrincipal", str(claims.get("tid", "")))


def _claims(token: str) -> dict[str, Any]:
    """What a token says of its bearer. It is ours, just fetched: nothing is checked here."""
    try:
        part = token.split(".")[1]
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError) as error:
        raise OutsideError("the token of the login can't be read", fix="run `az login` again") from error
    return found
