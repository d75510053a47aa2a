"""The studio's begin and end: a port that is taken; Ctrl-C while a page is made ends it soon, and that is no fault."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from forestay.errors import InputError
from studio.server import serve

SLOW = """
import time
from forestay import looking
from studio.server import serve

def rows(env):
    print("asked", flush=True)
    time.sleep(30)
    return []

looking.rows = rows
try:
    serve(lambda link: print(link, flush=True), port=0, browser=False)
except KeyboardInterrupt:
    print("ended", flush=True)
"""
WHOLE = """
import asyncio, time
from starlette.responses import Response
from studio.asking import Asking

def work():
    time.sleep(1)
    print("written", flush=True)
    return Response()

async def main():
    asking = Asking()
    asyncio.get_running_loop().call_later(0.1, asking.end)
    await asking.here(work, whole={whole})

try:
    asyncio.run(main())
except Exception as error:
    print(error, flush=True)
"""


def test_a_port_that_is_taken_is_told(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: cannot listen: Address already in use"):
            serve(lambda link: pytest.fail(link), port=port, browser=False)


@pytest.mark.parametrize("env", ["local", "dev"])
def test_an_interrupt_while_a_page_is_made_ends_the_studio_without_an_error(project: Path, env: str) -> None:
    (project / "Pulumi.yaml").write_text("name: x\n")
    (project / "stacks").mkdir()
    for stack in ("dev", "dev-services"):
        (project / "stacks" / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    answers: list[tuple[int, str]] = []

    def ask(link: str) -> None:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )
        try:
            opener.open(f"{link}&env={env}", timeout=30)
        except urllib.error.HTTPError as error:
            answers.append((error.code, error.read().decode()))

    environment = {**os.environ, "FORESTAY_HOME": str(project / ".forestay")}
    with subprocess.Popen(
        [sys.executable, "-c", SLOW], cwd=project, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        browser = threading.Thread(target=ask, args=[process.stdout.readline().strip()])
        browser.start()
        assert process.stdout.readline() == "asked\n"
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    browser.join()
    assert time.monotonic() - begun < 8
    assert (out, err) == ("ended\n", "")
    [(code, page)] = answers
    assert code == 502
    assert "the studio has ended" in page


@pytest.mark.parametrize(("whole", "written"), [(True, ["written"]), (False, [])])
def test_what_starts_commands_is_not_left_half_way(whole: bool, written: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHOLE.format(whole=whole)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == ["the studio has ended", *written]
    assert done.stderr == ""
