"""Whether this machine is inside a private network: what its names come to here.

A service behind a private endpoint has a private address inside the network, by the zones privatelink.*, and its public
one everywhere else. https://learn.microsoft.com/azure/private-link/private-endpoint-dns
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import urllib.request

SECONDS = 3.0
"""What the look-up of a name may take."""
HTTPS = 443


def addresses(host: str) -> tuple[str, ...]:
    """What `host` comes to here; none where it is not known, or nobody answers in time."""
    found: list[str] = []

    def ask() -> None:
        try:
            found.extend(str(one[4][0]) for one in socket.getaddrinfo(host, HTTPS, type=socket.SOCK_STREAM))
        except OSError:
            return

    asking = threading.Thread(target=ask, daemon=True)  # a resolver without a server takes half a minute
    asking.start()
    asking.join(SECONDS)
    return tuple(dict.fromkeys(found))


def is_outside(host: str) -> bool | None:
    """Whether a service that answers in its network only is asked from outside of it.

    None where this can't be told: the name is not known, or a proxy looks it up.
    """
    if _through_proxy(host):
        return None
    found = addresses(host)
    return None if not found else any(ipaddress.ip_address(one.partition("%")[0]).is_global for one in found)


def _through_proxy(host: str) -> bool:
    return bool(urllib.request.getproxies().get("https")) and not urllib.request.proxy_bypass(host)
