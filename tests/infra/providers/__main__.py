"""Serves both providers until it is ended: `python -m tests.infra.providers FOLDER`.

Prints one line, the value of PULUMI_DEBUG_PROVIDERS with which the engine finds them. The cloud is FOLDER/cloud.json.
Where there is a FOLDER/machines, served models really run.
"""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from tests.infra.providers.azure import Azure
from tests.infra.providers.cloud import Cloud
from tests.infra.providers.kubernetes import Kubernetes
from tests.infra.providers.machines import Machines
from tests.infra.providers.provider import Provider


def serve(folder: Path) -> None:
    cloud = Cloud(folder / "cloud.json")
    machines = Machines(folder / "machines") if (folder / "machines").is_dir() else None
    served: dict[str, Provider] = {
        "azure-native": Azure(cloud, version("pulumi-azure-native"), machines),
        "kubernetes": Kubernetes(cloud, version("pulumi-kubernetes"), machines),
    }
    ports, servers = {}, []
    for name, provider in served.items():
        server = grpc.server(ThreadPoolExecutor(max_workers=32))
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
        ports[name] = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)  # one that nobody holds stops
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    print(",".join(f"{name}:{port}" for name, port in ports.items()), flush=True)
    ended.wait()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
