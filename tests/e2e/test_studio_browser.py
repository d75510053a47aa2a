"""The studio in a browser: the example from dropping its CSV to a prediction, a job seen to run, and how pages look.

Screenshots of every page go to the folder that FORESTAY_SCREENSHOTS names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from studio.calls import Call
from tests.conftest import ROOT
from tests.report_support import HOSTILE
from tests.unit import test_studio_pages as stored

EXAMPLE = ROOT / "examples/categorize_transactions/training-mltable-folder/transactions.csv"
WAIT_MS = 300_000  # an environment that nobody has made before takes minutes on a busy machine
place = stored.place


@contextlib.contextmanager
def studio(folder: Path) -> Iterator[str]:
    """A studio of a folder, as a user starts it; gives its link."""
    env = {**os.environ, "FORESTAY_HOME": str(folder / ".forestay")}
    env.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "forestay", "studio", "--no-browser", "--output", "json"]
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        text = ""
        while not text.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, "the studio ended"
            text += line
        yield json.loads(text)["url"]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def listen_for_refusals(page: Any, faults: list[str]) -> None:
    """What the page's policy holds back is a fault; a browser tells it on the console only."""
    refusal = "Content Security Policy"
    page.on("console", lambda message: faults.append(message.text) if refusal in message.text else None)


@contextlib.contextmanager
def visit(browser: Any, link: str, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
    """A page that came by the link; what a script complains of, or a name that became one, fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    listen_for_refusals(page, faults)
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    ours = (link.split("/?")[0], "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(ours) else faults.append(request.url))
    try:
        page.goto(link)
        yield page
        assert faults == []
    finally:
        context.close()


REFUSED = {
    "script": "const one = document.createElement('script'); one.text = 'alert(1)'; document.body.append(one)",
    "handler": "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>')",
    "style": "document.body.insertAdjacentHTML('beforeend', '<style>p { color: red; }</style>')",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_what_the_policy_holds_back_fails_the_test_that_meets_it(browser: Any, link: str, kind: str) -> None:
    def meet() -> None:
        with visit(browser, link) as page:
            page.evaluate(REFUSED[kind])
            page.wait_for_timeout(300)

    with pytest.raises(AssertionError, match="Content Security Policy"):
        meet()


def look(page: Any, name: str, width: int) -> None:
    """Nothing wider than the screen, nothing that axe-core finds, and a screenshot where one is wanted."""
    from axe_playwright_python.sync_playwright import Axe

    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], name
    folder = os.environ.get("FORESTAY_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/studio-{name}-{width}.png", full_page=True)


NAMES = {
    "/": "experiments",
    "/new": "new-data",
    "/new?data=boxes.csv": "new",
    "/jobs/keen_sail_cccccc": "job-running",
    "/jobs/calm_bay_aaaaaa": "job",
    "/jobs/calm_bay_aaaaaa/trials/1": "trial",
    "/jobs/warm_dune_bbbbbb/trials/1": "trial-regression",
    "/models": "models",
    "/models/Boxes": "model",
    "/endpoints": "endpoints",
    "/calls": "commands",
    "/jobs/nothing": "error",
}


@pytest.fixture(scope="module")
def link(place: Path) -> Iterator[str]:
    with studio(place) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark")])
def test_pages_fit_and_are_accessible(browser: Any, link: str, width: int, scheme: str) -> None:
    base = link.split("/?")[0]
    with visit(browser, link, width, scheme) as page:
        for path, name in NAMES.items():
            page.goto(base + path)
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            look(page, name if scheme == "light" else f"{name}-{scheme}", width)


@pytest.mark.slow
def test_a_hostile_column_is_text_everywhere(browser: Any, link: str) -> None:
    base = link.split("/?")[0]
    with visit(browser, link) as page:
        page.goto(f"{base}/new?data=boxes.csv")
        page.get_by_label(HOSTILE, exact=True).check()
        page.locator("#target").select_option(HOSTILE)
        expect_text(page.locator("#draft"), f'target_column_name: "{HOSTILE}"')
        page.locator("#target").select_option("y")
        page.get_by_label(HOSTILE, exact=True).uncheck()
        expect_text(page.locator("#draft"), f"--exclude '{HOSTILE}'")
        page.goto(f"{base}/jobs/calm_bay_aaaaaa/trials/1")
        expect_text(page.locator("table.matrix"), HOSTILE)
        assert page.locator("img").count() == 0


@pytest.mark.slow
def test_enter_shows_what_would_be_started_and_starts_nothing(browser: Any, link: str) -> None:
    base = link.split("/?")[0]
    with visit(browser, link) as page:
        page.goto(f"{base}/new?data=boxes.csv")
        page.locator("[name=time_budget]").fill("5m")
        page.locator("[name=time_budget]").press("Enter")
        expect_text(page.locator("#draft"), "--time-budget 5m")
        assert page.url == f"{base}/new?data=boxes.csv"


@pytest.fixture
def running(place: Path) -> Iterator[Path]:
    """A command that trains the job that goes on; gives the file of what it says."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        created = psutil.Process(process.pid).create_time()
        call = Call("1f-aaaa", ("job", "submit", "x.yml"), "keen_sail_cccccc", "", time.time(), process.pid, created)
        folder = place / ".forestay" / "studio" / "calls" / call.id
        folder.mkdir(parents=True)
        (folder / "call.json").write_text(json.dumps(dataclasses.asdict(call)))
        said = folder / "stderr"
        said.write_text("reading data\n")
        yield said
        process.kill()
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_running_job_is_used_and_read_while_it_changes(browser: Any, link: str, running: Path) -> None:
    """What has the focus keeps it, selected text stays selected, and a log that was at its end follows."""
    from playwright.sync_api import expect

    def said(text: str) -> None:
        with running.open("a") as stream:
            stream.write(text)

    hidden_below = "(one) => one.scrollHeight - one.clientHeight - one.scrollTop"
    with visit(browser, link) as page:
        page.goto(f"{link.split('/?')[0]}/jobs/keen_sail_cccccc")
        log, cancel = page.locator("[role=log]"), page.get_by_role("button", name="Cancel")
        expect(log).to_have_text("reading data")
        assert log.evaluate("(one) => one.scrollHeight <= one.clientHeight")
        cancel.focus()
        said("".join(f"trial {number}\n" for number in range(60)))
        expect_text(log, "trial 59")
        expect(cancel).to_be_focused()
        assert log.evaluate("(one) => one.scrollHeight > 2 * one.clientHeight")
        assert log.evaluate(hidden_below) <= 1

        log.focus()
        said("trial 60\n")
        expect_text(log, "trial 60")
        expect(log).to_be_focused()
        assert log.evaluate(hidden_below) <= 1
        log.evaluate("(one) => { one.scrollTop = 0; }")
        said("trial 61\n")
        expect_text(log, "trial 61")
        assert log.evaluate("(one) => one.scrollTop") == 0

        page.evaluate("getSelection().selectAllChildren(document.querySelector('[role=log]'))")
        took = page.locator(".left").inner_text()
        said("trial 62\n")
        expect(page.locator(".left")).not_to_have_text(took)
        assert page.evaluate("String(getSelection())").endswith("trial 61")
        page.evaluate("getSelection().removeAllRanges()")
        expect_text(log, "trial 62")
        expect(log).to_be_focused()


def follow(page: Any, link: Any, address: str) -> None:
    """Click a link and wait for the whole page: before its scripts have run, what is dropped or typed is not seen."""
    link.click()
    page.wait_for_url(address)


def expect_text(locator: Any, text: str) -> None:
    from playwright.sync_api import expect

    expect(locator).to_contain_text(text, timeout=WAIT_MS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_a_dropped_csv_to_a_prediction(
    browser: Any, tmp_path: Path, share_environments: Callable[[Path], None]
) -> None:
    """The article's path, clicked through: data, experiment, trials, model, proof, endpoint, prediction."""
    from playwright.sync_api import expect

    share_environments(tmp_path / ".forestay")
    with studio(tmp_path) as address, visit(browser, address) as page:
        try:
            _create(page)
            _follow(page)
            _prove(page)
            _deploy_and_ask(page)
        finally:
            env = {**os.environ, "FORESTAY_HOME": str(tmp_path / ".forestay")}
            delete = [sys.executable, "-m", "forestay", "endpoint", "delete", "categorize-transactions", "--yes"]
            subprocess.run(delete, cwd=tmp_path, env=env, capture_output=True, check=False, timeout=120)
        follow(page, page.get_by_role("link", name="Commands"), "**/calls")
        words = [text.split()[1:3] for text in page.locator("td.command").all_inner_texts()]
        assert list(reversed(words))[:2] == [["job", "new"], ["job", "submit"]]
        look(page, "commands-example", 1280)
        expect(page.locator(".status", has_text="Failed")).to_have_count(0)


def _create(page: Any) -> None:
    """Drop the file, leave the identifier out, take what is guessed, start."""
    follow(page, page.get_by_role("link", name="New experiment").first, "**/new")
    transfer = page.evaluate_handle(
        "([name, text]) => { const all = new DataTransfer(); all.items.add(new File([text], name)); return all; }",
        [EXAMPLE.name, EXAMPLE.read_text(encoding="utf-8")],
    )
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer})
    page.wait_for_url("**/new?data=data%2Ftransactions.csv")
    identifier = page.get_by_label("transaction_id", exact=True)
    assert not identifier.is_checked()
    page.locator("#target").select_option("category")
    expect_text(page.locator("#aim"), "as the target says: classification")
    page.locator("[name=time_budget]").fill("20s")
    page.locator("[name=name]").fill("categorize-transactions")
    page.locator("summary", has_text="Advanced settings").click()
    page.locator("[name='set:limits.max_concurrent_trials']").fill("1")
    page.locator("[name='set:limits.max_trials']").fill("4")
    expect_text(page.locator("#draft pre"), "max_trials: 4")
    expect_text(page.locator("#draft pre"), 'forestay.time_budget: "20s"')
    look(page, "new-example", 1280)
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url("**/jobs/*")


def _follow(page: Any) -> None:
    """Without a reload: trials appear, the log grows, and the job completes."""
    from playwright.sync_api import expect

    page.evaluate("window.untouched = true")
    rows = page.locator("#job table.sortable tbody tr")
    expect(rows.first).to_be_visible(timeout=WAIT_MS)
    look(page, "job-live", 1280)
    expect_text(page.locator("[role=log]"), "best so far")
    expect(page.locator("h1 .status")).to_have_text("Completed", timeout=WAIT_MS)
    assert rows.count() >= 2
    assert page.evaluate("window.untouched") is True
    page.get_by_role("link", name="The model").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="model.pkl", exact=True).click()
    assert Path(download.value.path()).stat().st_size > 1000
    look(page, "trial-example", 1280)
    page.locator("[name=name]").fill("CategorizeTransactions")
    page.get_by_role("button", name="Register").click()
    page.wait_for_url("**/models/CategorizeTransactions")


def _prove(page: Any) -> None:
    """Generate the scoring folder, and verify it: each check appears as it passes."""
    from playwright.sync_api import expect

    page.get_by_role("button", name="Generate scoring").click()
    page.wait_for_url("**/models/CategorizeTransactions?version=1")
    page.get_by_role("button", name="Verify").click()
    expect_text(page.locator("[role=log]"), "files: passed")
    page.wait_for_url("**/models/CategorizeTransactions?version=1")
    expect(page.locator(".checks li.passed").first).to_be_visible()
    assert page.locator(".checks li.failed").count() == 0
    look(page, "model-proven", 1280)


def _deploy_and_ask(page: Any) -> None:
    page.get_by_role("button", name="Deploy locally").click()
    page.wait_for_url("**/endpoints/categorize-transactions")
    expect_text(page.locator("h1"), "Healthy")
    page.get_by_label("description").fill("CITY COUNCIL TAX 4038")
    page.get_by_role("button", name="Send").click()
    expect_text(page.locator("#answer"), "Results")
    assert page.locator("#status").inner_text().startswith("200")
    assert re.search(r'"Results": \[\s+"\w+', page.locator("#answer").inner_text())
    expect_text(page.locator("#invoke-line"), "forestay endpoint invoke categorize-transactions --request")
    look(page, "endpoint", 1280)
    page.set_viewport_size({"width": 390, "height": 900})
    look(page, "endpoint", 390)
    page.set_viewport_size({"width": 1280, "height": 900})
    for name in ("Endpoints", "Models", "Experiments"):
        page.get_by_role("link", name=name, exact=True).first.click()
        page.get_by_role("heading", name=name, level=1).wait_for()
        look(page, f"{name.lower()}-example", 1280)
