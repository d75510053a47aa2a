"""One stand-in for Azure and one Azurite for all tests here; each test finds the workspace as new."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.azure.standin.blobs import Blobs, azurite
from tests.azure.standin.service import CLIENT, SECRET, TENANT, Service
from tests.azure.standin.wire import HOSTS, Fault, Proxy, Request

STACK = """\
config:
  azure-native:location: westeurope
  azure-native:subscriptionId: 11111111-1111-4111-8111-111111111111
  forestay:stem: categorize
  forestay:training: {vmSize: Standard_DS3_v2, maxNodes: 2}
"""


@dataclass
class Azure:
    """The stand-in as a test sees it."""

    service: Service
    proxy: Proxy

    @property
    def log(self) -> list[Request]:
        return self.proxy.log

    def sent(self, method: str = "", host: str = "") -> list[str]:
        """What was asked for, shortened: "PUT jobs/calm_bay"."""
        found = [one for one in self.log if one.method.startswith(method) and host in one.host]
        return [f"{one.method} {one.path.removeprefix(self.service.root).lstrip('/')}" for one in found]

    def fault(self, *faults: Fault) -> None:
        self.proxy.faults.extend(faults)


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Azure]:
    """The stand-in, and this process and its children led to it."""
    trustme = pytest.importorskip("trustme")
    pytest.importorskip("azure.identity")
    folder = tmp_path_factory.mktemp("azure")
    authority = trustme.CA()
    certificate = authority.issue_cert(*HOSTS, "127.0.0.1")
    paths = {name: folder / f"{name}.pem" for name in ("authority", "certificate", "key", "both")}
    authority.cert_pem.write_to_path(paths["authority"])
    certificate.private_key_and_cert_chain_pem.write_to_path(paths["both"])
    certificate.private_key_pem.write_to_path(paths["key"])
    for part in certificate.cert_chain_pems:
        part.write_to_path(paths["certificate"], append=True)
    made: list[Blobs] = []
    with azurite(folder, paths["certificate"], paths["key"]) as port:
        made.append(Blobs(port, paths["authority"]))
        from infra import stackfile
        from infra.addresses import Addresses

        (folder / "stacks").mkdir()
        (folder / "stacks" / "Pulumi.dev.yaml").write_text(STACK, encoding="utf-8")
        root = Addresses(stackfile.load(folder, "dev").settings).of("workspace").id
        service = Service(root, "westeurope", lambda: made[0], shared)
        proxy = Proxy(service.answer, paths["both"], lambda: port)
        with proxy.running():
            given = {
                "HTTPS_PROXY": proxy.url,
                "HTTP_PROXY": proxy.url,
                "NO_PROXY": "127.0.0.1",
                "REQUESTS_CA_BUNDLE": str(paths["authority"]),
                "SSL_CERT_FILE": str(paths["authority"]),
            }
            with pytest.MonkeyPatch.context() as patch:
                for name, value in given.items():
                    patch.setenv(name, value)
                for name in [name for name in os.environ if name.lower() in ("https_proxy", "http_proxy", "no_proxy")]:
                    if name not in given:
                        patch.delenv(name)
                yield Azure(service, proxy)


@pytest.fixture
def azure(standin: Azure, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """The stand-in with a fresh workspace, a project with the stack `dev`, and a login by client secret."""
    for name, value in (
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_CLIENT_SECRET", SECRET),
    ):
        monkeypatch.setenv(name, value)
    (project / "Pulumi.yaml").write_text("name: forestay\nruntime: python\n", encoding="utf-8")
    (project / "stacks").mkdir()
    (project / "stacks" / "Pulumi.dev.yaml").write_text(STACK, encoding="utf-8")
    standin.service.reset()
    standin.proxy.log.clear()
    standin.proxy.faults.clear()
    standin.proxy.stray.clear()
    yield standin
    assert standin.proxy.stray == []


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Done]


@pytest.fixture
def cli(azure: Azure, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line in this process, so that Azure's packages are imported once for all tests.

    What is asked for is JSON; an exit code other than `code` fails the test with what was said.
    """
    from forestay.cli import main

    def run(*words: str | Path, code: int = 0, env: str = "dev") -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), *(["--env", env] if env else []), "--output", "json"])
        out, err = capsys.readouterr()
        found = Done(int(ended.value.code or 0), out, err)
        assert found.code == code, f"{found}\n{azure.service.refusals}"
        assert "Traceback" not in err
        return found

    return run


@pytest.fixture
def job_file(project: Path, shared: Path) -> Path:
    """The published regression job beside its data."""
    folder = project / "hardware"
    shutil.copytree(shared / "data" / "regression-task-hardware-perf", folder)
    return folder / "cli-automl-regression-task-hardware-perf.yml"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and retries without long pauses."""
    from automl_jobs import watch
    from automl_jobs.azure import arm

    monkeypatch.setattr(watch, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(watch, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(watch.watch, "__defaults__", (0.05, 5.0))
    monkeypatch.setattr(arm, "BACKOFF_SECONDS", 0.02)
