"""Whether this machine is inside the network of a private environment, found out by a look at the DNS.

A private endpoint's name has a private address inside the network that it serves and a public one everywhere else, at
which nothing answers: https://learn.microsoft.com/azure/private-link/private-endpoint-dns
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import urllib.request
from collections.abc import Callable

from automl_jobs.azure import refusals
from automl_jobs.azure.place import Place

LOOK_SECONDS = 5.0


def require(host: str, what: str, place: Place) -> None:
    """Raise OutsideError, within LOOK_SECONDS, where `host` answers in a private network only and we are outside.

    Nothing is known where the environment is public, or a proxy looks names up for us.
    """
    if not place.private or "https" in urllib.request.getproxies():
        return
    if not any(ipaddress.ip_address(found).is_private for found in addresses(host)):
        raise refusals.private_only(what, place)


def addresses(host: str, look_up: Callable[[str], list[str]] | None = None) -> list[str]:
    """What the DNS says of a name; nothing where it says nothing in time."""
    found: list[str] = []

    def look() -> None:
        found.extend((look_up or _look_up)(host))

    asking = threading.Thread(target=look, daemon=True)
    asking.start()
    asking.join(LOOK_SECONDS)
    return list(found)


def _look_up(host: str) -> list[str]:
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)]
    except OSError:
        return []
