"""Callers that ask an endpoint all the time, and count what they get."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from dataclasses import dataclass, field

from scoring import server


@dataclass
class Callers:
    """Threads that ask as long as the context lasts.

    Attributes
    ----------
    pause: seconds that each of them waits between two requests.
    answers: how many, by status and version. problems: requests without an answer.
    """

    url: str
    body: bytes
    key: str = ""
    pause: float = 0.005
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __enter__(self) -> Callers:
        self.ends = threading.Event()
        self.threads = [threading.Thread(target=self.ask) for _ in range(3)]
        for one in self.threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        for one in self.threads:
            one.join()

    @property
    def statuses(self) -> set[int]:
        return {status for status, _ in self.answers}

    def ask(self) -> None:
        host, port = self.url.removeprefix("http://").removesuffix("/score").split(":")
        while not self.ends.wait(self.pause):
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            try:
                connection.request("POST", "/score", self.body, server.json_headers(self.key))
                answer = connection.getresponse()
                answer.read()
                self.answers[answer.status, answer.headers["x-model-version"] or ""] += 1
            except (OSError, http.client.HTTPException) as error:
                self.problems.append(repr(error))
            finally:
                connection.close()
