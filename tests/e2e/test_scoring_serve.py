"""`score serve` for a person at work: what changes is served, what breaks is not, and nobody loses a request."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from scoring import server
from scoring.generate import generate
from tests import scoring_models


class Serving:
    """A `score serve` with what it printed so far."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.lines = folder, list[str]()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "forestay", "score", "serve", str(folder)],
            env={**os.environ, "FORESTAY_HOME": str(home), "COLUMNS": "400"},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.url = re.search(r"http://127\.0\.0\.1:\d+", self.wait("serving at http://")).group()  # type: ignore[union-attr]

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def wait(self, word: str, count: int = 1) -> str:
        """The line with `word`, once it was printed `count` times."""
        end = time.monotonic() + 90
        while time.monotonic() < end:
            found = [line for line in self.lines if word in line]
            if len(found) >= count:
                return found[-1]
            assert self.process.poll() is None, self.lines
            time.sleep(0.05)
        raise AssertionError(f"no {word!r} in {self.lines}")

    def ask(self) -> server.Answer:
        body = (self.folder / "sample_request.json").read_bytes()
        return server.ask(self.url, "POST", "/score", body, headers={"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, share_environments: Callable[[Path], None]) -> Iterator[Serving]:
    """The hostile model: what the page shows of it is the worst that there is."""
    home = tmp_path_factory.mktemp("home with 'quotes' und \u00e9")
    share_environments(home / ".forestay")
    source = scoring_models.hostile(home / "outputs")
    folder = generate(source, home / "a {{ folder }} $(x)", home=home / ".forestay").path
    started = Serving(folder, home / ".forestay")
    yield started
    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(20) == 0


def test_the_page_holds_names_as_data_and_asks_nobody_else(serving: Serving) -> None:
    answer = server.ask(serving.url, "GET", "/docs")
    page = answer.body.decode()
    assert answer.status == 200
    assert "<script>alert" not in page
    assert len(re.findall(r"<script\b", page)) == 2
    block = re.search(r'<script type="application/json" id="openapi" nonce="[^"]+">(.*?)</script>', page, re.DOTALL)
    assert block is not None
    assert json.loads(block[1]) == json.loads((serving.folder / "openapi.json").read_text())
    assert "default-src 'none'" in page
    assert re.findall(r"https?://", page.replace(block[1], "")) == []
    assert not list(serving.folder.rglob("tryit*")), "the page must not get into an image"


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
QUIET = ["disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update"]
QUIET += ["no-sandbox", "disable-sync"]


@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")
def test_a_person_fills_in_the_form_and_sees_what_comes_back(serving: Serving, tmp_path: Path) -> None:
    number, *_ = scoring_models.HOSTILE_COLUMNS.values()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=CHROMIUM, args=[f"--{flag}" for flag in QUIET], headless=True
        )
        page = browser.pages[0]
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda problem: said.append(str(problem)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.goto(f"{serving.url}/docs")
        answer, status = page.get_by_label("Answer"), page.get_by_role("status")

        def send(value: str) -> tuple[str, Any]:
            page.get_by_label(number, exact=True).fill(value)
            sent = json.loads(page.get_by_label("Request").input_value())["data"][0][number]
            assert json.dumps(sent).strip('"') == value
            page.get_by_role("button", name="Send").click()
            expect(answer).not_to_be_empty()
            return status.inner_text()[:3], json.loads(answer.inner_text())

        code, good = send("0.25")
        assert (code, list(good)) == ("200", ["Results"])
        assert good["Results"][0] in scoring_models.HOSTILE_LABELS
        assert said == []
        code, bad = send("a quarter")
        expect(page.get_by_label(number, exact=True)).to_have_attribute("aria-invalid", "true")
        [detail] = bad["error"]["details"]
        assert (code, detail["row"], detail["column"]) == ("400", 0, number)
        assert detail["problem"] == "must be a number, not text"
        assert send("-1")[0] == "200"
        browser.close()


@pytest.mark.slow
def test_a_change_is_served_and_a_broken_one_is_not(serving: Serving) -> None:
    script = serving.folder / "score.py"
    good = script.read_text()
    failed: list[object] = []
    stopped = threading.Event()

    def go_on_asking() -> None:
        while not stopped.is_set():
            try:
                answer = serving.ask()
                if answer.status != 200:
                    failed.append(answer)
            except Exception as error:  # noqa: BLE001 - any failure of a request counts
                failed.append(error)

    asking = threading.Thread(target=go_on_asking)
    asking.start()
    try:
        script.write_text("def init(:\n")
        line = serving.wait("not reloaded, the last good one goes on: ")
        assert "SyntaxError" in line
        script.write_text(good.replace('"Results"', '"Outcome"'))
        assert "reloaded: score.py" in serving.wait("reloaded: ")
    finally:
        stopped.set()
        asking.join()
    assert failed == []
    assert list(serving.ask().json) == ["Outcome"]
    script.write_text(good)
    serving.wait("reloaded: ", 2)
    assert "Results" in serving.ask().json
