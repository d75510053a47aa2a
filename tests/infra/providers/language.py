"""A language host for Python: what the engine starts to run `infra/__main__.py`, or a policy pack, by hand.

Pulumi's own is a Go program that no module serves; this one speaks the same protocol
(pulumi/sdk/proto/pulumi/language.proto), and does with the program what `pulumi-language-python-exec` does: configures
the SDK with the addresses, and runs the folder. Started as `pulumi-language-python ENGINE`, it prints its port.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import grpc
import pulumi
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2
from pulumi.runtime.stack import run_in_stack


class Python(language_pb2_grpc.LanguageRuntimeServicer):
    """The host.

    Parameters
    ----------
    engine: the engine's address.
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def Handshake(self, request: Any, context: Any) -> Any:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="3.0.0")

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Run(self, request: Any, context: Any) -> Any:
        os.environ["PULUMI_CONFIG"] = json.dumps(dict(request.config))
        os.environ["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(list(request.configSecretKeys))
        os.chdir(request.pwd)
        return contextvars.copy_context().run(self._run, request)

    def _run(self, request: Any) -> Any:
        pulumi.runtime.configure(
            pulumi.runtime.Settings(
                monitor=request.monitor_address,
                engine=self.engine,
                project=request.project,
                stack=request.stack,
                parallel=request.parallel,
                dry_run=request.dryRun,
                organization=request.organization,
                root_directory=request.info.root_directory,
            )
        )
        pulumi.runtime.set_all_config(dict(request.config), list(request.configSecretKeys))
        entry = Path(request.info.program_directory) / request.info.entry_point

        def program() -> None:
            runpy.run_path(str(entry.resolve()), run_name="__main__")

        try:
            asyncio.run(run_in_stack(program))
        except pulumi.RunError as error:
            pulumi.log.error(str(error))
            return language_pb2.RunResponse(bail=True)
        except Exception:  # noqa: BLE001 - whatever the program raises is told to the engine
            pulumi.log.error(f"Program failed with an unhandled exception:\n{traceback.format_exc()}")
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse()

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """A policy pack: a process of its own, whose output is passed on."""
        command = [sys.executable, "-u", request.info.program_directory, *request.args]
        environment = dict(one.partition("=")[::2] for one in request.env)
        process = subprocess.Popen(
            command, cwd=request.pwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        context.add_callback(process.kill)
        said: SimpleQueue[Any] = SimpleQueue()

        def pass_on(name: str, stream: IO[bytes]) -> None:
            for line in stream:
                said.put(language_pb2.RunPluginResponse(**{name: line}))
            said.put(None)

        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
            assert stream is not None
            threading.Thread(target=pass_on, args=(name, stream), daemon=True).start()
        for _ in range(2):
            yield from iter(said.get, None)
        yield language_pb2.RunPluginResponse(exitcode=process.wait())


def serve(engine: str) -> None:
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Python(engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # how the engine ends its plugins
        signal.signal(number, lambda *_: ended.set())
    print(port, flush=True)
    ended.wait()
    server.stop(None)


if __name__ == "__main__":
    serve(next(word for word in reversed(sys.argv) if not word.startswith("-")))
