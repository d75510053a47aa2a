"""A report's page: nothing from outside, nothing from data but text, small; and what it says of odd jobs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from automl_jobs.runs.report import page, pdf
from automl_jobs.runs.report.compare import Score, ScorePair
from automl_jobs.runs.report.content import Content, collect
from forestay.errors import OutsideError
from tests.report_support import HOSTILE, METRICS, classification_documents, content
from tests.runs_support import finished_job, new_store, outputs_folder

TASKS = tuple(METRICS)
VOID = {"meta", "link", "img", "br", "hr", "input", "wbr"}


class Reader(HTMLParser):
    """The tags of a page with their attributes, its texts, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {task: page.html(content(task)) for task in TASKS}


@pytest.mark.parametrize("task", TASKS)
def test_nothing_comes_from_elsewhere(task: str, pages: dict[str, str]) -> None:
    read = Reader(pages[task])
    assert read.open == []
    names = {tag for tag, _ in read.tags}
    assert not names & {"img", "link", "iframe", "object", "embed", "image", "use", "base", "form"}
    for _, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "xlink:href")]
        assert (attributes.get("href") or "#").startswith("#")
    assert "http://" not in pages[task]
    assert "https://" not in pages[task]
    assert "url(" not in pages[task]


@pytest.mark.parametrize("task", TASKS)
def test_names_from_data_are_text(task: str, pages: dict[str, str]) -> None:
    assert HOSTILE not in pages[task]
    assert any(HOSTILE in text for text in Reader(pages[task]).texts)


def test_the_policy_allows_the_pages_own_script_only(pages: dict[str, str]) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", pages["regression"], re.S)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in pages["regression"].replace("&#39;", "'").replace("&#43;", "+")
    assert "default-src 'none'" in pages["regression"]


@pytest.mark.parametrize("task", TASKS)
def test_charts_and_headings_are_told_to_who_does_not_see(task: str, pages: dict[str, str]) -> None:
    read = Reader(pages[task])
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    charts = [attributes for tag, attributes in read.tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) >= 3
    assert all(len(one["aria-label"] or "") > 20 for one in charts)
    assert sum(tag == "table" for tag, _ in read.tags) == sum(tag == "caption" for tag, _ in read.tags)


def test_two_hundred_trials_and_a_hundred_classes_are_small() -> None:
    found = content(trials=200)
    documents = classification_documents([f"class {number}" for number in range(100)])
    assert found.best is not None
    text = page.html(replace(found, best=replace(found.best, documents=documents)))
    assert len(text.encode()) < 1_000_000
    assert re.search(r"those of the 8 of \d+ classes", text)
    assert "The most frequent mistakes" in text
    shares = re.findall(r'data-sort="([\d.]+)">(\d+)%<', text)
    assert len(shares) == 20  # sorted by their numbers, not by their letters
    assert all(round(float(share) * 100) == int(shown) for share, shown in shares)


def test_two_classes_are_shown_by_the_one_that_the_job_is_about() -> None:
    found = content(decision={"positive_label": "no"})
    assert found.best is not None
    found = replace(found, best=replace(found.best, documents=classification_documents(["no", "yes"])))
    text = page.html(found)
    assert "Thresholds of no<" in text
    assert "Thresholds of yes<" not in text


def _without_a_model(**job: Any) -> Content:
    found = content(best=None, test_metrics=None, documents={}, parameters={}, **job)
    return replace(found, best=None, trials=())


@pytest.mark.parametrize("status", ["Failed", "Running", "Canceled"])
def test_a_job_without_a_model_has_a_report(status: str) -> None:
    found = _without_a_model(status=status, error="interrupted")
    assert "No trial has ended." in page.html(found)
    assert "interrupted" in page.markdown(found)
    assert json.dumps(found.document, allow_nan=False)


def test_a_job_whose_files_are_gone_has_a_report(tmp_path: Path) -> None:
    store = new_store(tmp_path / "home")
    finished_job(store, outputs_folder(tmp_path / "outputs"))
    assert collect(store, "calm").best is not None
    shutil.rmtree(tmp_path / "home" / "artifacts")
    found = collect(store, "calm")
    assert (found.best, found.spec_text) == (None, "")
    text = page.html(found)
    assert "0.90000" in text
    assert "it ran out of memory" in text
    assert "forestay model register" not in text


@pytest.mark.parametrize("task", TASKS)
def test_markdown_has_names_as_text(task: str) -> None:
    text = page.markdown(content(task))
    assert "<" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.rstrip().endswith("|") for line in tables)
    assert "forestay model register calm_bay_aaaaaa" in text


def test_markdown_has_every_table_of_the_page() -> None:
    text = page.markdown(content())
    for part in (
        "### Confusion matrix", "| true | low | ", "### Each class against the others", "### Thresholds of high",
        "| from a probability of | precision | recall | F1 | share of rows |", "## Parameters of the model",
        "## Settings", "    task: classification",
    ):  # fmt: skip
        assert part in text, part
    found = content()
    assert found.best is not None
    documents = classification_documents([f"class {number}" for number in range(30)])
    assert "### The most frequent mistakes" in page.markdown(
        replace(found, best=replace(found.best, documents=documents))
    )


def test_a_job_file_cannot_end_its_block_in_markdown() -> None:
    text = page.markdown(replace(content(), spec_text="a: 1\n\n```\n<b>\n"))
    assert text.endswith("    a: 1\n\n    ```\n    <b>\n")


@pytest.mark.parametrize("task", TASKS)
def test_json_has_all_of_it(task: str) -> None:
    document = json.loads(json.dumps(content(task).document, allow_nan=False))
    assert document["job"]["job"] == "calm_bay_aaaaaa"
    assert len(document["trials"]) == 12
    assert document["data_profile"]["rows"] == 1200
    wanted = {"classification": "accuracy_table", "regression": "predicted_true", "forecasting": "forecast_table"}
    assert wanted[task] in document["best_trial"]


def test_an_explanation_of_another_trial_is_not_shown() -> None:
    found = content()
    found.job.documents["explanation"]["trial"] = "another"  # type: ignore[index]
    assert "What the score rests on" not in page.html(found)


def test_without_a_browser_no_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OutsideError, match="none of them is installed") as caught:
        pdf.browser()
    assert "apt-get install chromium" in caught.value.lines()[1]


@pytest.mark.parametrize(
    ("one", "other", "higher", "better"),
    [
        (Score(0.8, 0.75, 0.85), Score(0.9, 0.86, 0.94), True, "b"),
        (Score(0.8, 0.75, 0.85), Score(0.9, 0.86, 0.94), False, "a"),
        (Score(0.8, 0.75, 0.87), Score(0.9, 0.86, 0.94), True, None),
        (Score(0.8), Score(0.9, 0.86, 0.94), True, None),
        (Score(None), Score(0.9), True, None),
    ],
)
def test_better_is_what_no_interval_doubts(one: Score, other: Score, higher: bool, better: str | None) -> None:
    assert ScorePair("AUC_weighted", "test", one, other, higher).better == better
