"""`python -m benchmarks.serving`: what a new version costs on its way, and a large file; writes SERVING.md.

One table (20 columns, two classes) is trained for once and registered twice; each version is proven. Measured are: the
image of the second version after that of the first, where buildah is; a deploy of what is served already; requests
that fail while versions follow each other; and a file through `score batch` and through a plain loop of pandas.
"""

from __future__ import annotations

import datetime
import http.client
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.automl import process
from benchmarks.harness import forestay
from benchmarks.memory import JOB, make

RESULTS = Path(__file__).parent / "SERVING.md"
TRAINING_ROWS, SWITCHES, CALLERS = 5_000, 4, 4
LIMIT_SECONDS = 3600.0
BATCH_ROWS = int(os.environ.get("FORESTAY_BENCH_BATCH_ROWS", "500000"))
# What a person writes: the model in memory, a chunk at a time. It checks nothing.
LOOP = """
import sys, joblib, pandas as pd
sys.path.insert(0, sys.argv[1])
model = joblib.load(sys.argv[1] + "/model.pkl")
for number, chunk in enumerate(pd.read_csv(sys.argv[2], chunksize=2000)):
    chunk["prediction"] = model.predict(chunk.drop(columns="y"))
    chunk.to_csv(sys.argv[3], mode="a" if number else "w", header=not number, index=False)
"""
Row = tuple[str, str]


class Bench:
    """A project with two proven versions of one model, in a folder of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.env = {**os.environ, "FORESTAY_HOME": str(place / "home")}
        self.env.pop("MLFLOW_TRACKING_URI", None)
        make(TRAINING_ROWS).to_csv(place / "data.csv", index=False)
        (place / "job.yml").write_text(JOB.format(kind="csv"), encoding="utf-8")
        self.run("job", "submit", "job.yml", "--set", "limits.max_trials=2")
        for version in ("1", "2"):
            self.run("model", "register", "latest", "--name", "Bench", "--rank", version)
            self.run("score", "generate", f"Bench:{version}", "--to", str(place / f"v{version}"))
            self.run("score", "verify", str(place / f"v{version}"))

    def run(self, *words: str) -> Any:
        done = subprocess.run(
            forestay("-o", "json", *words), env=self.env, cwd=self.place, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-500:]}")
        return json.loads(done.stdout)

    def timed(self, *words: str) -> tuple[float, Any]:
        started = time.perf_counter()
        document = self.run(*words)
        return time.perf_counter() - started, document


def deploys(bench: Bench) -> list[Row]:
    """A deploy of the same, and what callers notice of deploys of something else."""
    first, record = bench.timed("endpoint", "deploy", "bench", "--model", "Bench:1")
    same, _ = bench.timed("endpoint", "deploy", "bench", "--model", "Bench:1")
    body = (bench.place / "v1" / "sample_request.json").read_bytes()
    host, port = record["scoring_uri"].removeprefix("http://").removesuffix("/score").split(":")
    answered, lost, slowest, ends = [0], [0], [0.0], threading.Event()

    def ask() -> None:
        while not ends.is_set():
            started = time.perf_counter()
            connection = http.client.HTTPConnection(host, int(port), timeout=120)
            try:
                connection.request("POST", "/score", body, {"Content-Type": "application/json"})
                good = connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                good = False
            finally:
                connection.close()
            (answered if good else lost)[0] += 1
            slowest[0] = max(slowest[0], time.perf_counter() - started)

    threads = [threading.Thread(target=ask) for _ in range(CALLERS)]
    for one in threads:
        one.start()
    try:
        taken = [
            bench.timed("endpoint", "deploy", "bench", "--model", f"Bench:{1 + number % 2}")[0]
            for number in range(1, SWITCHES + 1)
        ]
    finally:
        ends.set()
        for one in threads:
            one.join()
        bench.run("endpoint", "delete", "bench", "--yes")
    return [
        ("first deploy", f"{first:.1f} s"),
        ("deploy of what is served already", f"{same:.1f} s"),
        (f"deploy of another version, under load of {CALLERS} callers", f"{sum(taken) / len(taken):.1f} s"),
        (
            f"requests during {SWITCHES} such deploys",
            f"{answered[0]} answered, **{lost[0]} lost**, slowest {slowest[0]:.2f} s",
        ),
    ]


def images(bench: Bench) -> list[Row]:
    """The image of a new version of the model, after one of an earlier version."""
    if shutil.which("buildah") is None:
        return [("images", "not measured: there is no buildah")]
    try:
        first, _ = bench.timed("image", "build", "v1", "--tag", "bench:1", "--builder", "buildah")
    except RuntimeError as error:  # no base image: neither here nor in reach
        return [("images", f"not measured: {str(error).strip().splitlines()[-2].strip()}")]
    again, same = bench.timed("image", "build", "v1", "--tag", "bench:same", "--builder", "buildah")
    rebuilt, new = bench.timed("image", "build", "v2", "--tag", "bench:2", "--builder", "buildah")
    assert not same["built"]
    assert new["built"]
    return [
        ("image of the first version", f"{first:.1f} s"),
        ("image of the same content", f"{again:.1f} s"),
        ("image of a new version of the model", f"{rebuilt:.1f} s"),
    ]


def batch(bench: Bench) -> list[Row]:
    """Rows a second and the most memory, against the loop."""
    rows = make(BATCH_ROWS)
    rows.to_csv(bench.place / "large.csv", index=False)
    large, work = bench.place / "large.csv", bench.place / "run"
    work.mkdir()
    found = []
    loop = [sys.executable, "-c", LOOP, bench.place / "v1" / "model", large, bench.place / "loop.csv"]
    commands = {
        "plain loop of pandas, which checks nothing": loop,
        **{
            f"score batch, {count} process{'es' if count > 1 else ''}": forestay(
                "--quiet", "score", "batch", "Bench:1", "--input", str(large), "--output",
                str(bench.place / f"batch{count}.csv"), "--workers", str(count),
            )
            for count in sorted({1, os.cpu_count() or 1})
        },
    }  # fmt: skip
    for what, command in commands.items():
        ended = process.run(command, env=bench.env, cwd=work, limit=LIMIT_SECONDS, log=bench.place / "log")
        if ended.code != 0:
            raise RuntimeError(f"{what} ended with {ended.code}: {(bench.place / 'log').read_text()[-500:]}")
        speed = BATCH_ROWS / ended.seconds
        found.append((f"{BATCH_ROWS:,} rows: {what}", f"{speed:,.0f} rows/s, {ended.peak_mb:.0f} MB"))
    one, other = (pd.read_csv(bench.place / name)["prediction"] for name in ("loop.csv", "batch1.csv"))
    assert one.equals(other)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        rows = []
        for subject in (deploys, images, batch):
            print(f"measuring {subject.__name__} …", file=sys.stderr)
            rows += subject(bench)
    text = "\n".join(["| what | measured |", "|---|---|", *(f"| {what} | {measured} |" for what, measured in rows)])
    print(text)
    RESULTS.write_text(
        "# A new version on its way, and a large file\n\nWritten by `make bench-serving`.\n\n"
        f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}.\n\n{text}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
