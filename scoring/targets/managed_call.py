"""Requests to an online endpoint itself: with its key or a token, and to one of its deployments where one is named."""

from __future__ import annotations

import functools
import time
from typing import Any
from urllib.parse import urlsplit

from automl_jobs.azure import refusals
from automl_jobs.azure.arm import Arm
from scoring import server
from scoring.server import Answer
from scoring.targets.managed_requests import Online, OnlineEndpoint

TOKENS = "https://ml.azure.com/.default"
DEPLOYMENT = "azureml-model-deployment"
"""The header that leads a request past the traffic to one deployment."""
CONNECT_SECONDS, ANSWER_SECONDS = 5, 120
BUSY = (429, 503)
PAUSES_SECONDS = (1.0, 3.0, 9.0)


class Caller:
    """Asks one endpoint. The key is fetched at the first request, and again when it is refused: somebody turned it."""

    def __init__(self, arm: Arm, online: Online, endpoint: OnlineEndpoint) -> None:
        self.arm, self.online, self.endpoint = arm, online, endpoint
        host = urlsplit(endpoint.scoring_uri).hostname or ""
        refusals.require_inside(f"the endpoint {endpoint.name}", arm.place, host)

    def ask(self, body: bytes, deployment: str = "") -> Answer:
        """POST a request; what the endpoint is too busy for is asked again. Raises OutsideError."""
        for pause in (*PAUSES_SECONDS, None):
            answer = self._once(body, deployment)
            if answer.status == 401:
                self.__dict__.pop("_key", None)
                answer = self._once(body, deployment)
            if answer.status not in BUSY or pause is None:
                return answer
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _once(self, body: bytes, deployment: str) -> Answer:
        headers = server.json_headers(self._key)
        if deployment:
            headers[DEPLOYMENT] = deployment
        try:
            found = self._session.post(
                self.endpoint.scoring_uri, data=body, headers=headers, timeout=(CONNECT_SECONDS, ANSWER_SECONDS)
            )
        except OSError as error:  # what requests raises
            host = urlsplit(self.endpoint.scoring_uri).netloc
            raise refusals.unreachable(host, error, self.arm.place) from error
        return Answer(found.status_code, found.content)

    @functools.cached_property
    def _key(self) -> str:
        if self.endpoint.auth == "keys":
            return self.online.keys(self.endpoint.name)["primary"]
        return str(self.arm.login.get_token(TOKENS).token)

    @functools.cached_property
    def _session(self) -> Any:
        import requests

        return requests.Session()
