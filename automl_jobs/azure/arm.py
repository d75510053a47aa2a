"""Requests to Resource Manager and to Azure ML's own services: few retries, bounded time, errors told.

A pipeline of azure-core as Azure's own clients have it, without their import of one to three seconds. 429 and 503 wait
as long as `Retry-After` says; everything together ends within about a minute.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from automl_jobs.azure import place as places
from automl_jobs.azure import refusals
from automl_jobs.azure.place import Place
from forestay import __version__
from forestay.errors import OutsideError
from forestay.login import SCOPE, Login, require_packages

RESOURCE_MANAGER = "https://management.azure.com"
RETRIES = 4
BACKOFF_SECONDS = 0.4
LONGEST_PAUSE_SECONDS = 20.0
LONGEST_SECONDS = 75.0
"""Of one request with all its retries."""
CONNECT_SECONDS, READ_SECONDS = 5, 30
POLL_SECONDS = 3.0
OPERATION_SECONDS = 1200.0
"""Of a long-running operation: a first cluster takes minutes."""
_DONE = ("succeeded", "failed", "canceled", "cancelled")


class Arm:
    """One environment's requests.

    Attributes
    ----------
    place: whose. login: with which credential. sent: how many requests went out, retries included.
    """

    def __init__(self, place: Place, login: Login | None = None) -> None:
        self.place = place
        self.login = login or Login()
        self.sent = 0

    @classmethod
    def of(cls, env: str) -> Arm:
        """The requests of an environment, by its stack's name.

        Raises InputError for a stack that is not there, and where Azure's packages are not installed.
        """
        require_packages(env)
        return cls(places.of(env))

    @functools.cached_property
    def _pipeline(self) -> Any:
        from azure.core.pipeline import Pipeline
        from azure.core.pipeline.policies import (
            BearerTokenCredentialPolicy,
            CustomHookPolicy,
            RetryPolicy,
            UserAgentPolicy,
        )
        from azure.core.pipeline.transport import RequestsTransport

        class Patient(RetryPolicy):
            """Waits as long as a server asks for, within reason: some ask for an hour."""

            def get_retry_after(self, response: Any) -> float | None:
                asked = super().get_retry_after(response)
                return None if asked is None else min(asked, LONGEST_PAUSE_SECONDS)

        return Pipeline(
            RequestsTransport(connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS),
            policies=[
                UserAgentPolicy(f"forestay/{__version__}"),
                Patient(
                    retry_total=RETRIES,
                    retry_connect=2,
                    retry_read=RETRIES,
                    retry_status=RETRIES,
                    retry_backoff_factor=BACKOFF_SECONDS,
                    retry_backoff_max=10,
                    timeout=LONGEST_SECONDS,
                ),
                BearerTokenCredentialPolicy(self.login, SCOPE),
                CustomHookPolicy(raw_request_hook=self._count),
            ],
        )

    def _count(self, _: Any) -> None:
        self.sent += 1

    def get(self, path: str, version: str, what: str, **query: str) -> Any:
        """The document at `path`; `what` names it in errors: "the job calm_bay"."""
        return self._json("GET", path, version, what, query=query)

    def find(self, path: str, version: str, what: str, **query: str) -> Any | None:
        """The same; None where there is none."""
        try:
            return self.get(path, version, what, **query)
        except refusals.NotThere:
            return None

    def pages(self, path: str, version: str, what: str, **query: str) -> Iterator[Any]:
        """The members of a list, page by page."""
        page = self.get(path, version, what, **query)
        while True:
            yield from page.get("value") or ()
            further = page.get("nextLink")
            if not further:
                return
            page = self._answer("GET", further, what).json()

    def put(
        self,
        path: str,
        version: str,
        what: str,
        body: Mapping[str, Any],
        wait: bool = False,
        seconds: float = OPERATION_SECONDS,
    ) -> Any:
        """Make or replace; with `wait`, until it is there, for so many seconds at most."""
        return self._json("PUT", path, version, what, body=body, wait=wait, seconds=seconds)

    def post(
        self, path: str, version: str, what: str, body: Mapping[str, Any] | None = None, wait: bool = False
    ) -> Any:
        """Ask for something to be done; with `wait`, until it is, and nothing comes back where that takes a while."""
        return self._json("POST", path, version, what, body=body, wait=wait)

    def delete(self, path: str, version: str, what: str) -> None:
        self._json("DELETE", path, version, what, wait=True)

    @functools.cached_property
    def workspace(self) -> Any:
        """The workspace itself. Raises OutsideError, saying what is wrong with it, when it is not there."""
        found = self.get(self.place.path, "2024-10-01-preview", f"the workspace {self.place.workspace}")
        if (found.get("properties") or {}).get("softDeletedAt"):
            raise refusals.soft_deleted(self.place)
        return found

    @property
    def services(self) -> str:
        """Where the workspace's own services are: `https://westeurope.api.azureml.ms`."""
        properties = self.workspace.get("properties") or {}
        discovery = urlsplit(str(properties.get("discoveryUrl") or ""))
        region = self.workspace.get("location") or self.place.region
        return f"https://{discovery.netloc or f'{region}.api.azureml.ms'}"

    def history(self, path: str, what: str) -> Any | None:
        """A GET of the run history; None where it does not know the run."""
        with contextlib.suppress(refusals.NotThere):
            return self._answer("GET", f"{self.services}/history/v1.0{self.place.path}/{path}", what).json()
        return None

    def children(self, run: str, what: str) -> Iterator[Any]:
        """The runs below a run of the run history, page by page; none where it does not know the run."""
        page = self.history(f"runs/{run}/children", what) or {}
        while True:
            yield from page.get("value") or ()
            further = page.get("nextLink")
            if not further:
                return
            page = self._answer("GET", further, what).json()

    def mlflow(self, path: str, what: str, body: Mapping[str, Any] | None = None, **query: str) -> Any | None:
        """A call of MLflow's REST API on the workspace; None where it does not know the run.

        With a body it is a POST, as `runs/search` is, without one a GET.
        """
        tracking = str((self.workspace.get("properties") or {}).get("mlFlowTrackingUri") or "")
        base = tracking.replace("azureml://", "https://", 1) or f"{self.services}/mlflow/v1.0{self.place.path}"
        url = f"{base}/api/2.0/mlflow/{path}" + (f"?{urlencode(query)}" if query else "")
        with contextlib.suppress(refusals.NotThere):
            return self._answer("GET" if body is None else "POST", url, what, body).json()
        return None

    def _json(
        self,
        method: str,
        path: str,
        version: str,
        what: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        wait: bool = False,
        seconds: float = OPERATION_SECONDS,
    ) -> Any:
        words = urlencode({"api-version": version, **(query or {})})
        response = self._answer(method, f"{RESOURCE_MANAGER}{quote(path)}?{words}", what, body)
        operation = response.headers.get("Azure-AsyncOperation") or response.headers.get("Location")
        if wait and response.status_code in (201, 202) and operation:
            self._await(operation, response, what, seconds)
            return self.get(path, version, what) if method == "PUT" else None
        return response.json() if response.body() else None

    def _await(self, operation: str, response: Any, what: str, seconds: float) -> None:
        """Poll a long-running operation until it ends. https://learn.microsoft.com/azure/azure-resource-manager"""
        until = time.monotonic() + seconds
        while True:
            time.sleep(_pause(response))
            if time.monotonic() > until:
                raise OutsideError(
                    f"{what}: Azure still works on it after {seconds / 60:.0f} minutes", fix="look later"
                )
            response = self._answer("GET", operation, what)
            document = response.json() if response.body() else {}
            status = str(document.get("status") or ("inprogress" if response.status_code == 202 else "succeeded"))
            if status.lower() not in _DONE:
                continue
            if status.lower() != "succeeded":
                raise refusals.failed(document.get("error") or {}, what)
            return

    def _answer(self, method: str, url: str, what: str, body: Mapping[str, Any] | None = None) -> Any:
        response = self._sent(method, url, what, body)
        if response.status_code == 401:
            # A token that the clock here takes for good: once more with a new one.
            self.login.forget()
            self.__dict__.pop("_pipeline", None)
            response = self._sent(method, url, what, body)
        if response.status_code >= 400:
            raise refusals.of(response, what, self.place, method)
        return response

    def _sent(self, method: str, url: str, what: str, body: Mapping[str, Any] | None) -> Any:
        from azure.core.exceptions import AzureError
        from azure.core.rest import HttpRequest

        request = HttpRequest(method, url, headers={"Accept": "application/json"})
        if body is not None:
            request = HttpRequest(
                method,
                url,
                headers={"Accept": "application/json", "Content-Type": "application/json"},
                content=json.dumps(body, allow_nan=False),
            )
        try:
            response = self._pipeline.run(request, stream=False).http_response
            response.read()
        except AzureError as error:
            raise refusals.unreachable(urlsplit(url).netloc, error, self.place) from error
        return response


def _pause(response: Any) -> float:
    """Seconds to the next poll; Azure says them whole, or in milliseconds."""
    milliseconds, seconds = response.headers.get("retry-after-ms"), response.headers.get("Retry-After")
    try:
        return float(milliseconds) / 1000 if milliseconds else max(0.05, float(seconds or POLL_SECONDS))
    except ValueError:
        return POLL_SECONDS
