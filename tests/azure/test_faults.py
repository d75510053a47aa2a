"""What goes wrong between here and Azure ends in a right result or a clear error; a second try leaves no doubles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.azure.conftest import Azure, Cli
from tests.azure.standin.blobs import DATA
from tests.azure.standin.jobs import Script
from tests.azure.standin.service import refused
from tests.azure.standin.wire import BLOBS, Fault, Response
from tests.tables import write_job

pytestmark = pytest.mark.usefixtures("quick")
CLUSTER = ("--set", "compute=azureml:cpu-cluster")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.storage.blob import ExponentialRetry

    monkeypatch.setattr(ExponentialRetry, "get_backoff_time", lambda *_: 0.01)


def test_an_upload_that_is_cut_once_goes_on(azure: Azure, cli: Cli, project: Path) -> None:
    azure.fault(Fault(f"CONNECT .*{BLOBS}", bytes=6000))
    name = cli("job", "submit", write_job(project / "jobs", rows=201), *CLUSTER).json["job"]
    uri = azure.service.jobs[name].task["trainingData"]["uri"].removeprefix(azure.service.root + "/")
    prefix = azure.service.things[uri]["properties"]["dataUri"].partition("/paths/")[2]
    sent = azure.service.blobs().get(DATA, f"{prefix}data.csv")
    assert sent == (project / "jobs" / "train" / "data.csv").read_bytes()


def test_storage_out_of_reach_is_told_and_a_second_try_finishes(azure: Azure, cli: Cli, project: Path) -> None:
    job = write_job(project / "jobs", rows=203)
    azure.fault(Fault(f"CONNECT .*{BLOBS}", times=99))
    done = cli("job", "submit", job, *CLUSTER, code=3)
    assert f"{BLOBS} can't be reached" in done.err
    assert azure.service.jobs == {}
    assert not any(name.startswith("data/") for name in azure.service.things)
    azure.proxy.faults.clear()
    cli("job", "submit", job, *CLUSTER)
    assert len(azure.service.jobs) == 1


def test_an_answer_that_is_lost_makes_one_job(azure: Azure, cli: Cli, job_file: Path) -> None:
    """The job was made, the connection went before the answer: the same request again finds it."""
    made = azure.proxy.answer
    lost: list[str] = []

    def answer(request):  # type: ignore[no-untyped-def]
        found = made(request)
        if request.method == "PUT" and "/jobs/" in request.path and not lost:
            lost.append(request.path)
            return Response(503, {"error": {"code": "ServiceUnavailable", "message": "lost"}})
        return found

    azure.proxy.answer = answer
    try:
        job = cli("job", "submit", job_file).json["job"]
    finally:
        azure.proxy.answer = made
    assert lost
    assert list(azure.service.jobs) == [job]


def test_a_storm_of_429_is_waited_out_or_told(azure: Azure, cli: Cli, job_file: Path) -> None:
    busy = Response(429, {"error": {"code": "TooManyRequests", "message": "slow down"}}, {"retry-after-ms": "20"})
    azure.fault(Fault("GET management.*/jobs$", busy, times=3))
    assert cli("job", "list").json == []
    azure.fault(Fault("GET management.*/jobs$", busy, times=99))
    done = cli("job", "list", code=3)
    assert "is busy" in done.err


def test_a_submit_that_azure_refuses_leaves_the_data_and_no_job(azure: Azure, cli: Cli, job_file: Path) -> None:
    azure.fault(Fault("PUT .*/jobs/", refused(400, "UserError", "Quota exceeded for the cluster")))
    done = cli("job", "submit", job_file, code=3)
    assert "the quota is used up" in done.err
    assert azure.service.jobs == {}
    connections = azure.proxy.blob_connections
    cli("job", "submit", job_file)
    assert azure.proxy.blob_connections == connections


def test_a_clock_that_is_wrong_is_named(azure: Azure, cli: Cli) -> None:
    expired = refused(401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than now.")
    azure.fault(Fault("GET management", expired, times=9))
    done = cli("job", "list", code=3)
    assert "clock" in done.err


def test_a_download_that_is_cut_leaves_nothing_half(azure: Azure, cli: Cli, job_file: Path, project: Path) -> None:
    azure.service.script = Script(trials=1)
    name = cli("job", "submit", job_file, "--stream").json["job"]
    azure.fault(Fault(f"CONNECT .*{BLOBS}", times=99))
    assert "can't be reached" in cli("job", "download", name, "--to", "model", code=3).err
    assert not (project / "model").exists()
    assert cli("job", "list", env="").json == []
    azure.proxy.faults.clear()
    assert "model.pkl" in cli("job", "download", name, "--to", "model").json["files"]


def test_storage_that_refuses_names_the_role(azure: Azure, cli: Cli, project: Path) -> None:
    from tests.azure.standin import blobs

    job = write_job(project / "jobs", rows=205)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blobs.Blobs, "sas", staticmethod(lambda _: "sv=2022-11-02&sig=wrong&se=2030-01-01&sr=c&sp=rw"))
        done = cli("job", "submit", job, *CLUSTER, code=3)
    assert "Storage Blob Data Contributor" in done.err or "signature" in done.err
    assert azure.service.jobs == {}
