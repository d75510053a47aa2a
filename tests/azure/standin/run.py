"""The stand-in started as a whole: certificate, Azurite, proxy; and the variables that lead a client to it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.azure.standin import commands, endpoints, registry, subscription
from tests.azure.standin.blobs import Blobs, azurite
from tests.azure.standin.service import CLIENT, SECRET, TENANT, Service
from tests.azure.standin.wire import HOSTS, Fault, Proxy, Request, Response

STACK = """\
config:
  azure-native:location: westeurope
  azure-native:subscriptionId: 11111111-1111-4111-8111-111111111111
  forestay:stem: categorize
  forestay:training: {vmSize: Standard_DS3_v2, maxNodes: 2}
"""
LOGIN = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": SECRET}


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
        found = [one for one in self.log if one.method.startswith(method.split(" ")[0]) and host in one.host]
        lines = [f"{one.method} {one.path.removeprefix(self.service.root).lstrip('/')}" for one in found]
        return [line for line in lines if line.startswith(method)]

    def fault(self, *faults: Fault) -> None:
        self.proxy.faults.extend(faults)

    @staticmethod
    def write_project(folder: Path) -> None:
        """A project whose stack `dev` is the workspace."""
        (folder / "stacks").mkdir(parents=True)
        (folder / "Pulumi.yaml").write_text("name: forestay\nruntime: python\n", encoding="utf-8")
        (folder / "stacks" / "Pulumi.dev.yaml").write_text(STACK, encoding="utf-8")


@contextmanager
def serving(folder: Path, shared: Path) -> Iterator[tuple[Azure, dict[str, str]]]:
    """The stand-in, and the variables of the environment for its clients, login included."""
    import trustme

    from infra import stackfile
    from infra.addresses import Addresses

    authority = trustme.CA()
    certificate = authority.issue_cert(*HOSTS, "127.0.0.1")
    paths = {name: folder / f"{name}.pem" for name in ("authority", "certificate", "key", "both")}
    authority.cert_pem.write_to_path(paths["authority"])
    certificate.private_key_and_cert_chain_pem.write_to_path(paths["both"])
    certificate.private_key_pem.write_to_path(paths["key"])
    for part in certificate.cert_chain_pems:
        part.write_to_path(paths["certificate"], append=True)
    Azure.write_project(folder / "named")
    root = Addresses(stackfile.load(folder / "named", "dev").settings).of("workspace").id
    with azurite(folder, paths["certificate"], paths["key"]) as port:
        blobs = Blobs(port, paths["authority"])
        service = Service(root, "westeurope", lambda: blobs, shared)
        service.endpoints = online = endpoints.Endpoints(service, folder / "deployments")
        service.registry = images = registry.Registry(service)
        service.subscription = subscription.Subscription(service)
        service.kinds["Command"] = functools.partial(commands.CommandJob, folder=folder / "commands")
        service.reset()

        def answer(request: Request) -> Response:
            if request.host.endswith(registry.HOST):
                return images.answer(request)
            return online.score(request) if request.host.endswith(endpoints.HOST) else service.answer(request)

        proxy = Proxy(answer, paths["both"], lambda: port)
        with proxy.running(), contextlib.closing(online):
            yield (
                Azure(service, proxy),
                {
                    **LOGIN,
                    "HTTPS_PROXY": proxy.url,
                    "HTTP_PROXY": proxy.url,
                    "NO_PROXY": "127.0.0.1",
                    "REQUESTS_CA_BUNDLE": str(paths["authority"]),
                    "SSL_CERT_FILE": str(paths["authority"]),
                },
            )
