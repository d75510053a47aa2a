"""A builder of images that is done at once: it takes buildah's words, keeps what it is given as one layer, and pushes
it to a real registry over that one's protocol.

It is started as a program named `buildah` (see install). With a file `cut` in its store a push ends halfway.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

KIND = "application/vnd.oci.image.manifest.v1+json"
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"
PROGRAM = """\
#!/bin/sh
exec env QUICK_STORE={store} {python} {script} "$@"
"""


def install(bin_: Path, store: Path) -> None:
    """Put the program into a folder that is to be on PATH; the engines that would go before it do not run there."""
    from tests import image_support  # not in the program, which runs by itself

    image_support.absent(bin_, "docker", "podman")
    store.mkdir(parents=True, exist_ok=True)
    program = bin_ / "buildah"
    program.write_text(PROGRAM.format(store=store, python=sys.executable, script=Path(__file__).absolute()))
    program.chmod(0o755)


class Store:
    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "images.json"
        self.images: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def save(self) -> None:
        self.path.write_text(json.dumps(self.images))

    def find(self, name: str) -> str:
        found = next((id_ for id_, one in self.images.items() if name in (id_, *one["names"])), None)
        if found is None:
            sys.exit(f"Error: {name}: image not known")
        return found

    def build(self, context: Path, name: str, labels: list[str], platform: str) -> str:
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w") as archive:
            for path in sorted(one for one in context.rglob("*") if one.is_file()):
                info = tarfile.TarInfo(path.relative_to(context).as_posix())
                info.size = path.stat().st_size
                with path.open("rb") as stream:
                    archive.addfile(info, stream)
        layer = held.getvalue()
        system, _, architecture = platform.partition("/")
        told = {
            "os": system, "architecture": architecture, "rootfs": {"diff_ids": [_sha(layer)]},
            "config": {"Labels": dict(one.split("=", 1) for one in labels)},
        }  # fmt: skip
        config = json.dumps(told, sort_keys=True).encode()
        id_ = _sha(config)
        (self.folder / id_[7:]).write_bytes(layer)
        (self.folder / f"{id_[7:]}.json").write_bytes(config)
        self.images.setdefault(id_, {"names": []})["labels"] = labels
        self.tag(id_, name)
        return id_

    def tag(self, id_: str, name: str) -> None:
        """Give an image a name, which the one that had it loses."""
        for one in self.images.values():
            one["names"] = [other for other in one["names"] if other != name]
        self.images[id_]["names"].append(name)
        self.save()

    def push(self, name: str) -> str:
        id_ = self.find(name)
        host, _, rest = name.partition("/")
        path, _, tag = rest.rpartition(":")
        layer, config = (self.folder / id_[7:]).read_bytes(), (self.folder / f"{id_[7:]}.json").read_bytes()
        for blob in (layer, config):
            _upload(host, path, blob, cut=(self.folder / "cut").exists())
        manifest = json.dumps(
            {
                "schemaVersion": 2, "mediaType": KIND,
                "config": {"mediaType": CONFIG, "digest": _sha(config), "size": len(config)},
                "layers": [{"mediaType": LAYER, "digest": _sha(layer), "size": len(layer)}],
            }
        ).encode()  # fmt: skip
        _ask("PUT", f"http://{host}/v2/{path}/manifests/{tag}", manifest, KIND)
        return _sha(manifest)


def _upload(host: str, path: str, blob: bytes, *, cut: bool) -> None:
    place = _ask("POST", f"http://{host}/v2/{path}/blobs/uploads/", b"")["Location"]
    if cut:
        _ask("PATCH", place, blob[: len(blob) // 2])
        sys.exit("Error: writing blob: write tcp 127.0.0.1: connection reset by peer")
    sign = "&" if "?" in place else "?"
    _ask("PUT", f"{place}{sign}digest={_sha(blob)}", blob)


def _ask(method: str, url: str, body: bytes, kind: str = "application/octet-stream") -> Any:
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": kind})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.headers
    except urllib.error.HTTPError as error:
        sys.exit(f"Error: {method} {url}: {error.code}: {error.read()[:200]!r}")
    except OSError as error:
        sys.exit(f"Error: pinging container registry: dial tcp: {error}")


def _sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def main() -> None:
    store = Store(Path(os.environ["QUICK_STORE"]))
    command, *words = sys.argv[1:]
    parser = argparse.ArgumentParser()
    for flag in (
        "--filter",
        "--iidfile",
        "--tag",
        "--file",
        "--format",
        "--digestfile",
        "--tls-verify",
        "--secret",
        "--platform",
    ):
        parser.add_argument(flag)
    parser.add_argument("--label", action="append", default=[])
    for flag in ("--no-trunc", "--quiet", "--layers"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("rest", nargs="*")
    given = parser.parse_args(words)
    if command == "images":
        wanted = given.filter.removeprefix("label=")
        print("\n".join(id_ for id_, one in store.images.items() if wanted in one["labels"]))
    elif command == "build":
        Path(given.iidfile).write_text(store.build(Path(given.rest[0]), given.tag, given.label, given.platform))
    elif command == "tag":
        store.tag(store.find(given.rest[0]), given.rest[1])
    elif command == "push":
        Path(given.digestfile).write_text(store.push(given.rest[0]))
    elif command != "info":
        sys.exit(f"Error: no such command: {command}")


if __name__ == "__main__":
    main()
