"""`ship --env dev`: trained in Azure, fetched, registered there and here, proven, and served on this machine."""

from __future__ import annotations

import json
import platform
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from automl_jobs import watch
from tests.azure.conftest import Azure, Cli
from tests.azure.standin.jobs import Script
from tests.azure.test_generate import conda
from tests.tables import write_job

pytestmark = pytest.mark.usefixtures("quick")
WORDS = ("--model", "Sizes", "--endpoint", "sizes-api", "--set", "compute=azureml:cpu-cluster")


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("registry")
def test_the_whole_loop(azure: Azure, cli: Cli, project: Path, share_environments: Callable[[Path], None]) -> None:
    share_environments(project / ".forestay")
    azure.service.script = Script(trials=2, conda=conda(platform.python_version()))
    job = write_job(project / "jobs", rows=160)
    done = cli("ship", job, *WORDS)
    try:
        shipped = done.json
        assert [step["name"] for step in shipped["steps"]] == [
            "check", "train", "fetch", "register", "generate", "verify", "deploy", "call",
        ]  # fmt: skip
        assert "USD at list prices" in done.err
        assert shipped["verified"] is True
        assert (shipped["registered"]["env"], shipped["registered"]["version"]) == ("dev", "1")
        assert shipped["endpoint"]["status"] == "Healthy"
        assert (shipped["endpoint"]["model"], shipped["endpoint"]["version"]) == ("Sizes", "1")
        assert shipped["answer"]["Results"][0] in ("low", "middle", "high")
        assert list(azure.service.jobs) == [shipped["job"]]
        sample = (Path(shipped["path"]) / "sample_request.json").read_bytes()
        asked = urllib.request.Request(shipped["endpoint"]["scoring_uri"], sample, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=10) as answer:
            assert len(json.load(answer)["Results"]) == 1

        again = cli("ship", job, *WORDS)  # the equal job is shipped again: nothing is trained, nothing changes
        assert f"the equal job {shipped['job']} is Completed" in again.err
        assert again.json["endpoint"]["changed"] is False
        assert again.json["endpoint"]["deployment"] == shipped["endpoint"]["deployment"]
        assert list(azure.service.jobs) == [shipped["job"]]
        assert [one["version"] for one in cli("model", "list").json] == ["1"]

        # A model that Azure trained is judged in its own environment.
        judged = cli("model", "evaluate", "Sizes:1", "--data", project / "jobs" / "test").json
        assert (judged["rows"], judged["metric"]) == (40, "accuracy")
        assert 0 < judged["score"] <= 1
        gate = ("--rank", "2", "--if-better", "--threshold", "0.9", "--test-data", project / "jobs" / "test")
        kept = cli("ship", job, *WORDS, *gate, code=1).json
        assert (kept["kept"], kept["version"], kept["endpoint"]["version"]) == (True, "2", "1")
        assert kept["comparison"]["scores"]["champion"] == pytest.approx(judged["score"])
        assert [step["name"] for step in kept["steps"]] == ["check", "train", "fetch", "register", "compare"]
    finally:
        cli("endpoint", "delete", "sizes-api", "--yes", env="")


def test_ctrl_c_leaves_the_job_and_says_how_to_go_on(
    azure: Azure, cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure.service.script = Script(queued=3600)
    job = write_job(project / "jobs", rows=160)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(watch, "sleep", interrupt)
        done = cli("ship", job, *WORDS, code=130)
    [name] = azure.service.jobs
    assert f"--env dev --job {name}" in done.err
    assert azure.service.jobs[name].status() == "Queued"


def test_a_job_that_fails_ends_the_loop_with_its_log(azure: Azure, cli: Cli, project: Path) -> None:
    azure.service.script = Script(trials=0, error=("InvalidData", "the MLTable could not be read"), log="bad row 7\n")
    done = cli("ship", write_job(project / "jobs", rows=160), *WORDS, code=1)
    assert "step train" in done.err
    assert "bad row 7" in done.err
    assert "--job" in done.err


def test_what_would_fail_late_is_told_before_anything_is_sent(azure: Azure, cli: Cli, project: Path) -> None:
    job = write_job(project / "jobs", rows=160)
    for words, told in (
        (("--endpoint", "NO"), "'NO'"),
        (("--model", "a b"), "'a b'"),
        (("--seed", "3"), "--seed"),
        (("--set", "target_column_name=nowhere"), "nowhere"),
        (("--job", "nothing_like_it"), "--set"),
    ):
        assert told in cli("ship", job, *WORDS, *words, code=2).err
    assert "nothing_like_it" in cli("ship", job, *WORDS[:4], "--job", "nothing_like_it", code=2).err
    assert azure.service.jobs == {}
    assert "--force" in cli("ship", job, *WORDS, "--force", code=2, env="").err
