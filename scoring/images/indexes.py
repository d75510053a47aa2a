"""Where pip finds packages on this machine, for a build: as secrets, which no layer and no history of an image keeps.

The Dockerfile takes two, `pip` (a pip.conf) and `certificates` (a bundle, for a network that signs anew what it reads).
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path

# https://pip.pypa.io/en/stable/topics/configuration/
SETTINGS = {"PIP_INDEX_URL": "index-url", "PIP_EXTRA_INDEX_URL": "extra-index-url", "PIP_TRUSTED_HOST": "trusted-host"}
BUNDLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def secrets(environ: Mapping[str, str], scratch: Path) -> dict[str, Path]:
    """The files to give to a build, by the secret's name; written into `scratch`, readable by nobody else."""
    found: dict[str, Path] = {}
    settings = _settings(environ)
    if settings.sections():
        found["pip"] = scratch / "pip.conf"
        with os.fdopen(os.open(found["pip"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            settings.write(stream)
    bundle = next((Path(environ[name]) for name in BUNDLES if environ.get(name)), None)
    if bundle is not None and bundle.is_file():
        found["certificates"] = bundle
    return found


def _settings(environ: Mapping[str, str]) -> configparser.RawConfigParser:
    """pip's settings as it would read them: of the system, the user, the file named, then the variables."""
    home = Path(environ.get("HOME") or "/nonexistent")
    files = [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", home / ".config" / "pip" / "pip.conf"]
    named = environ.get("PIP_CONFIG_FILE")
    settings = configparser.RawConfigParser()
    settings.read([*files, named] if named else files, encoding="utf-8")
    for name, key in SETTINGS.items():
        if environ.get(name):
            if not settings.has_section("global"):
                settings.add_section("global")
            settings.set("global", key, environ[name])
    return settings
