"""`forestay job report` and `job compare` as a user runs them, and their pages in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from automl_jobs.runs.report import page
from automl_jobs.runs.report.compare import comparing
from tests.conftest import Run
from tests.e2e.test_studio_browser import listen_for_refusals
from tests.report_support import HOSTILE, METRICS, classification_documents, content, job_documents
from tests.runs_support import job_start, new_store, trial

SPEC = "type: automl\ntask: classification\nlimits: {{max_trials: {trials}}}\n"


@pytest.fixture
def two_jobs(project: Path) -> None:
    """Two jobs in the store, the second on other data."""
    store = new_store(project / ".forestay")
    for name, score, count in (("calm_bay_aaaaaa", 0.8, 2), ("dark_bay_bbbbbb", 0.9, 3)):
        documents = job_documents("t1", "AUC_weighted")
        documents["submit"]["data"]["training_data"]["sha256"] = name[:4].ljust(64, "0")
        start = job_start(
            name, spec_text=SPEC.format(trials=count), target=HOSTILE, documents={"submit": documents.pop("submit")}
        )
        writer = store.start_job(start)
        writer.status("Running")
        for number in range(1, count + 1):
            writer.log_trial(
                trial(
                    f"t{number}",
                    score - number / 100,
                    metrics={"accuracy": 0.5, "score_se": 0.01},
                    artifacts=classification_documents(),
                )
            )
        for document, value in documents.items():
            writer.log_document(document, value)
        writer.finish("Completed", test_metrics={"AUC_weighted": score})


def test_a_report_in_each_format_and_a_comparison(forestay: Run, project: Path, two_jobs: None) -> None:
    done = forestay("job", "report", "dark", "--to", "out/report.html", "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    written = project / "out/report.html"
    assert told == {"path": str(written), "job": "dark_bay_bbbbbb", "format": "html", "bytes": written.stat().st_size}
    text = written.read_text(encoding="utf-8")
    assert "Confusion matrix" in text
    assert HOSTILE not in text

    done = forestay("job", "report", "calm", "--format", "md")
    assert done.returncode == 0, done.stderr
    assert (project / "calm_bay_aaaaaa.md").read_text(encoding="utf-8").startswith("# calm_bay_aaaaaa\n")

    done = forestay("job", "compare", "calm", "dark", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"name": "limits.max_trials", "a": "2", "b": "3"} in found["settings"]
    assert [one["name"] for one in found["data"]] == ["training_data: values"]
    first = found["scores"][0]
    assert (first["metric"], first["on"], first["better"]) == ("AUC_weighted", "validation", "b")
    assert first["difference"] == pytest.approx(0.1)
    assert "validated on other data" in found["remarks"][0]
    assert found["trials"] == [{"algorithm": "LightGBM", "trials": {"a": 2, "b": 3}, "best": {"a": 0.79, "b": 0.89}}]

    done = forestay("job", "compare", "calm", "dark", "--to", "two.html")
    assert done.returncode == 0, done.stderr
    assert "calm_bay_aaaaaa and dark_bay_bbbbbb" in (project / "two.html").read_text(encoding="utf-8")


def test_refusals_write_nothing(forestay: Run, project: Path, two_jobs: None) -> None:
    before = sorted(project.iterdir())
    for arguments, text in (
        (("report", "nothing"), "nothing"),
        (("report", "calm", "--to", "report.docx"), "no report is written as .docx"),
        (("report", "calm", "--to", "."), "--to"),
        (("compare", "calm", "calm_bay_aaaaaa"), "both names mean calm_bay_aaaaaa"),
        (("compare", "calm", "dark", "--to", "x.pdf"), "a comparison is not written as pdf"),
    ):
        done = forestay("job", *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert text in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(project.iterdir()) == before


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {task: folder / f"{task}.html" for task in METRICS}
    for task, path in found.items():
        path.write_text(page.html(content(task)), encoding="utf-8")
    found["comparison"] = folder / "comparison.html"
    both = content(), content(name="dark_bay_bbbbbb", trials=5)
    found["comparison"].write_text(page.comparison(comparing(*both)), encoding="utf-8")
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("classification", 1280, "light"),
        ("classification", 390, "dark"),
        ("regression", 390, "light"),
        ("forecasting", 1280, "dark"),
        ("comparison", 390, "light"),
    ],
)
def test_in_a_browser(name: str, width: int, scheme: str, browser: Any, pages: dict[str, Path]) -> None:
    look(browser, pages[name].as_uri(), width, scheme)


def look(browser: Any, address: str, width: int, scheme: str) -> None:
    """No request, no script from data, nothing wider than the screen, and nothing that axe-core finds."""
    from axe_playwright_python.sync_playwright import Axe

    # The page's policy keeps axe-core out as it does everything else.
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    opened = context.new_page()
    requests: list[str] = []
    faults: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.goto(address)
    opened.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert [one["id"] for one in Axe().run(opened).response["violations"]] == []
    assert requests == [address]
    assert faults == []
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*METRICS, "comparison"])
def test_the_policy_of_a_page_holds_nothing_of_it_back(name: str, browser: Any, pages: dict[str, Path]) -> None:
    """Its own script runs, all that it shows is let through, and a script that is none of ours would be told."""
    opened = browser.new_page()
    faults: list[str] = []
    listen_for_refusals(opened, faults)
    opened.goto(pages[name].as_uri())
    assert opened.locator("table.sortable thead button").count() > 0
    assert faults == []
    opened.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=alert(1)>')")
    opened.wait_for_timeout(300)
    assert faults
    opened.close()


@pytest.mark.slow
def test_what_can_be_opened_is_open_on_paper(browser: Any, pages: dict[str, Path]) -> None:
    opened = browser.new_page()
    opened.goto(pages["classification"].as_uri())
    shown = "[...document.querySelectorAll('details')].map((one) => one.open)"
    assert not any(opened.evaluate(shown))
    opened.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = {shown}; }})")
    opened.pdf()
    assert opened.evaluate("printed.length > 3 && printed.every((one) => one)")
    assert not any(opened.evaluate(shown))
    opened.close()
    text = page.html(content(), opened=True)
    assert text.count("<details open>") > 3
    assert "<details>" not in text


@pytest.mark.slow
def test_the_leaderboard_is_sorted_by_the_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    opened = browser.new_page()
    opened.goto(pages["classification"].as_uri())
    table = opened.locator("#trials table.sortable").first
    heading = table.locator("thead th", has_text="took")
    heading.locator("button").focus()
    opened.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    opened.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    ranks = [int(text) for text in table.locator("tbody td:first-child").all_inner_texts()]
    assert ranks == list(range(12, 0, -1))
    table.locator("thead button", has_text="AUC_weighted").click()
    scores = table.locator("tbody td:nth-child(4)").all_inner_texts()
    assert scores[:-1] == sorted(scores[:-1])
    assert scores[-1] == "-"
    opened.close()
