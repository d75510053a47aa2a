"""How `infra plan` of a services stack grows from 10 to 200 served models; writes INFRA.md and infra-growth.svg.

    python -m benchmarks.infra_growth

Half of the models run on ACI, half on AKS. Each size is planned in a process of its own, start-up included; what counts
are its seconds of processor time, the least of several runs, since everything else on the machine only adds.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import resource
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.harness import forestay, timed

ROOT = Path(__file__).parent.parent
SIZES = (10, 20, 50, 100, 200)
RUNS = 2
STACK = "test"
RESULTS = Path(__file__).parent / "INFRA.md"
PLOT = Path(__file__).parent / "infra-growth.svg"
DIGEST = "contoso.azurecr.io/model@sha256:" + "a" * 64


def project(folder: Path, services: int) -> None:
    """A project whose services stack serves so many models."""
    from infra import stackedit, stackfile

    shutil.copy(ROOT / "Pulumi.yaml", folder)
    shutil.copytree(ROOT / "stacks", folder / "stacks")
    path = stackfile.stack_path(folder, f"{STACK}-services")
    served = {
        f"model-{place:03}": {
            "target": ("aci", "aks")[place % 2],
            "image": DIGEST,
            "model": "Model",
            "version": "1",
            "auth": "anonymous",
        }
        for place in range(services)
    }
    text = stackedit.read(path)
    stackedit.write(path, text, stackedit.put(text, stackedit.service_path("")[:-1], served))


def seconds(services: int) -> tuple[float, int]:
    """Seconds of processor time of a plan, and how many resources it has."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, services)
        saved = folder / "plan.json"
        command = forestay("infra", "plan", "--env", f"{STACK}-services", "-o", "json", "--save", str(saved))
        least = min(_processor_time(command, folder) for _ in range(RUNS))
        return least, len(json.loads(saved.read_text(encoding="utf-8"))["resources"])


def _processor_time(command: list[str], folder: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    timed(command, dict(os.environ), (0,), folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(points: list[tuple[int, int, float]]) -> str:
    """The points as Markdown, with what one more served model costs since the size before."""
    lines = ["| served models | resources | processor s | ms for each further model |", "|---:|---:|---:|---:|"]
    for place, (services, resources, spent) in enumerate(points):
        more = "-"
        if place:
            before, _, was = points[place - 1]
            more = f"{(spent - was) / (services - before) * 1000:.0f}"
        lines.append(f"| {services} | {resources} | {spent:.2f} | {more} |")
    return "\n".join(lines)


def plot(points: list[tuple[int, int, float]]) -> None:
    """Seconds over served models as SVG."""
    from benchmarks.automl.growth import draw

    given = [{"axis": "served models", "size": size, "seconds": spent} for size, _, spent in points]
    draw(given, {"seconds": "processor seconds"}, PLOT)


def main() -> None:
    started = time.strftime("%H:%M")
    points = []
    for size in SIZES:
        spent, resources = seconds(size)
        points.append((size, resources, spent))
        print(f"{size} models: {resources} resources, {spent:.2f} s", flush=True)
    text = table(points)
    RESULTS.write_text(
        "# `infra plan` over served models\n\n"
        "Written by `python -m benchmarks.infra_growth`: the least of "
        f"{RUNS} runs, half of the models on ACI and half on AKS. Plotted in infra-growth.svg.\n\n"
        f"{datetime.date.today().isoformat()} {started}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}.\n\n{text}\n",
        encoding="utf-8",
    )
    print(text)
    plot(points)


if __name__ == "__main__":
    main()
