"""`python -m benchmarks.studio`: how fast the studio starts and its pages come; writes STUDIO.md.

The store holds 1,000 jobs of 200 trials each: one is written as a run writes it, the others are that one again under
names of their own. Pages are asked over HTTP, each several times; the first time of a page, which imports what it
needs, is told beside the median. Start-up is from the command to the link, and to the first page answered.
"""

from __future__ import annotations

import datetime
import http.client
import json
import os
import platform
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from benchmarks.harness import forestay, timed

RESULTS = Path(__file__).parent / "STUDIO.md"
DATA = Path(__file__).parent.parent / "examples/categorize_transactions/training-mltable-folder/transactions.csv"
JOBS, TRIALS, ROWS = 1000, 200, 4000
TIMES = 9
START_BOUND, REPORT_MB = 2.0, 3.0
FIRST = "first_job_000000"
METRICS = ("accuracy", "log_loss", "norm_macro_recall", *(f"metric_{number}" for number in range(12)))


def fill(home: Path) -> None:
    """The store."""
    from automl_jobs.runs import JobStart, RunStore, TrialResult
    from tests.report_support import classification_documents, job_documents

    store = RunStore.open(home)
    documents = job_documents("1", "AUC_weighted")
    start = JobStart(
        name=FIRST,
        experiment="benchmark",
        task="classification",
        primary_metric="AUC_weighted",
        spec_text="type: automl\n",
        target="y",
        parameters={"rows": "1200", "columns": "8", "validation": "cross_validation", "folds": "3"},
        documents={name: documents.pop(name) for name in ("submit", "data_profile")},
    )
    writer = store.start_job(start)
    writer.status("Running")
    artifacts = classification_documents()
    metrics = dict.fromkeys(METRICS, 0.5)
    for number in range(1, TRIALS + 1):
        score = 0.9 - 0.4 * (number - 1) / TRIALS
        writer.log_trial(
            TrialResult(
                str(number), "LightGBM", "TargetEncoding", "Completed", score, 1.0, metrics, artifacts,
                {f"parameter_{place}": "0.05" for place in range(8)},
            )
        )  # fmt: skip
    for name, document in documents.items():
        writer.log_document(name, document)
    writer.finish("Completed", test_metrics={"AUC_weighted": 0.85})
    _repeat(home / "runs.db")


def _repeat(database: Path) -> None:
    """The same job JOBS - 1 times more, each run under an id of its own."""
    with sqlite3.connect(database) as connection:
        ids = [row[0] for row in connection.execute("SELECT run_uuid FROM runs")]
        [best] = connection.execute("SELECT value FROM tags WHERE key = 'automl_best_child_run_id'").fetchone()
        columns = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for table in ("runs", "tags", "params", "latest_metrics")
        }
        assert len({one[6:] for one in ids}) == len(ids)
        for number in range(1, JOBS):
            mark = f"{number:06x}"
            new = f"'{mark}' || substr(run_uuid, 7)"
            for table, names in columns.items():
                values = [new if name == "run_uuid" else name for name in names]
                if table == "tags":
                    values[names.index("value")] = (
                        "CASE key"
                        f" WHEN 'forestay.job' THEN 'job_{number:06}' WHEN 'mlflow.runName' THEN value"
                        f" WHEN 'forestay.of_job' THEN 'job_{number:06}'"
                        f" WHEN 'forestay.created' THEN CAST(value - {number} * 60000 AS TEXT)"
                        f" WHEN 'mlflow.parentRunId' THEN '{mark}' || substr(value, 7)"
                        f" WHEN 'forestay.best_trial' THEN replace(value, '{best}', '{mark}{best[6:]}')"
                        f" WHEN 'automl_best_child_run_id' THEN '{mark}' || substr(value, 7) ELSE value END"
                    )
                quoted = [f'"{name}"' for name in names]
                connection.execute(
                    f"INSERT INTO {table} ({', '.join(quoted)}) SELECT {', '.join(values)} FROM {table}"
                    f" WHERE run_uuid IN ({', '.join('?' * len(ids))})",
                    ids,
                )


@contextmanager
def studio(folder: Path) -> Iterator[tuple[str, dict[str, str], float, float]]:
    """A studio: its host, the headers of who may ask, seconds to its link and to its first page."""
    env = {**os.environ, "FORESTAY_HOME": str(folder / ".forestay")}
    env.pop("MLFLOW_TRACKING_URI", None)
    began = time.perf_counter()
    process = subprocess.Popen(
        forestay("studio", "--no-browser", "--output", "json"), cwd=folder, env=env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        text = ""
        while not text.rstrip().endswith("}"):
            text += process.stdout.readline()
        link = time.perf_counter() - began
        address = urlsplit(json.loads(text)["url"])
        connection = http.client.HTTPConnection(address.netloc)
        connection.request("GET", f"/?{address.query}")
        entered = connection.getresponse()
        entered.read()
        headers = {"Cookie": str(entered.headers["set-cookie"]).partition(";")[0]}
        get(address.netloc, "/calls", headers)
        yield address.netloc, headers, link, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def get(host: str, path: str, headers: dict[str, str], form: dict[str, str] | None = None) -> tuple[float, int]:
    """Seconds and bytes of a page. Raises RuntimeError when it is none."""
    connection = http.client.HTTPConnection(host, timeout=120)
    began = time.perf_counter()
    if form is None:
        connection.request("GET", path, headers=headers)
    else:
        sent = {**headers, "Origin": f"http://{host}", "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", path, urlencode(form), sent)
    answer = connection.getresponse()
    size = len(answer.read())
    if answer.status != 200:
        raise RuntimeError(f"{path} answers {answer.status}")
    return time.perf_counter() - began, size


def csrf(host: str, headers: dict[str, str]) -> str:
    connection = http.client.HTTPConnection(host)
    connection.request("GET", "/calls", headers=headers)
    return connection.getresponse().read().decode().partition('name="csrf" content="')[2].partition('"')[0]


def measure(folder: Path) -> tuple[str, bool]:
    """The page of results, and whether all is within its bounds."""
    home = folder / ".forestay"
    print("filling the store …", file=sys.stderr)
    fill(home)
    shutil.copy(DATA, folder / "data.csv")
    starts = []
    for _ in range(5):
        with studio(folder) as (_, _, link, first):
            starts.append((link, first))
    lines = ["| page | median, ms | first, ms | kB |", "|---|---:|---:|---:|"]
    with studio(folder) as (host, headers, _, _):
        draft = {"csrf": csrf(host, headers), "data": "data.csv", "target": "category", "use": "description"}
        pages: list[tuple[str, str, dict[str, str] | None]] = [
            (f"experiments, {JOBS:,} jobs", "/", None),
            ("experiments, filtered and sorted", "/?text=job_0000&sort=score", None),
            (f"a job of {TRIALS} trials", f"/jobs/job_{JOBS // 2:06}", None),
            ("a trial", f"/jobs/{FIRST}/trials/1", None),
            ("models", "/models", None),
            ("endpoints", "/endpoints", None),
            (f"a new experiment on {ROWS:,} rows", "/new?data=data.csv", None),
            ("its job file after a change", "/new/draft", draft),
        ]
        for name, path, form in pages:
            first, size = get(host, path, headers, form)
            seconds = statistics.median(get(host, path, headers, form)[0] for _ in range(TIMES))
            lines.append(f"| {name} | {seconds * 1000:.0f} | {first * 1000:.0f} | {size / 1000:.0f} |")
            print(lines[-1], file=sys.stderr)
    report = folder / "report.html"
    env = {**os.environ, "FORESTAY_HOME": str(home)}
    command = forestay("job", "report", FIRST, "--to", str(report))
    seconds = statistics.median(timed(command, env, (0,), folder) for _ in range(3))
    size_mb = report.stat().st_size / 1e6
    link, first = (statistics.median(one[place] for one in starts) for place in (0, 1))
    text = (
        f"| start-up | s | bound |\n|---|---:|---:|\n| to the link | {link:.2f} | {START_BOUND:g} |\n"
        f"| to the first page | {first:.2f} | {START_BOUND:g} |\n\n" + "\n".join(lines) + "\n\n"
        f"| report of {TRIALS} trials | | bound |\n|---|---:|---:|\n| size, MB | {size_mb:.2f} | {REPORT_MB:g} |\n"
        f"| `job report`, the whole command, s | {seconds:.2f} | |\n"
    )
    return text, first <= START_BOUND and size_mb <= REPORT_MB


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        text, within = measure(Path(folder))
    where = (
        f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, mean load of the machine at the end {os.getloadavg()[1]:.1f}."
    )
    about = f"Written by `make bench-studio`: a store of {JOBS:,} jobs with {TRIALS} trials each."
    RESULTS.write_text(f"# The studio's pages, and the report\n\n{about}\n\n{where}\n\n{text}", encoding="utf-8")
    print(text)
    sys.exit(0 if within else 1)


if __name__ == "__main__":
    main()
