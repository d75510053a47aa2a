"""The real server, with keys, under callers: versions follow each other, keys turn, and no request is lost.

What else can happen to an endpoint is in tests/unit/test_local_target.py.
"""

from __future__ import annotations

import os
from pathlib import Path

from scoring import server
from scoring.targets import DeployOptions
from scoring.targets.local import LocalTarget
from tests import served
from tests.callers import Callers
from tests.served import processes, wait_for

NAME = f"real-{os.getpid()}"


def test_no_request_is_lost_by_the_real_server(bank: tuple[Path, Path]) -> None:
    home, first = bank
    second = served.version(first, "2", home)
    body = (first / "sample_request.json").read_bytes()
    target = LocalTarget(home)
    before = target.deploy(NAME, first, DeployOptions(auth="keys"))
    try:
        url, keys = before.scoring_uri.removesuffix("/score"), target.keys(NAME)
        with Callers(before.scoring_uri, body, keys["secondary"]) as callers:
            newer = target.deploy(NAME, second)
            turned = target.rotate_keys(NAME, "primary")
            back = target.rollback(NAME)
        assert callers.problems == []
        assert callers.answers.keys() == {(200, "1"), (200, "2")}
        assert (newer.version, back.version, back.scoring_uri) == ("2", "1", before.scoring_uri)
        asked = [
            server.ask(url, "POST", "/score", body, headers=server.json_headers(key)).status
            for key in ("", keys["primary"], turned["primary"], turned["secondary"])
        ]
        assert asked == [401, 401, 200, 200]
        wait_for(lambda: len(processes(f"forestay:{NAME}")) == 2)  # a master and its worker
    finally:
        target.delete(NAME)
    wait_for(lambda: not processes(f"forestay:{NAME}"))
