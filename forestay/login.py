"""The login: whatever azure-identity's DefaultAzureCredential finds, within seconds, and told when it finds none.

A client secret, a certificate and workload identity come from the environment (`AZURE_*`), the rest from `az login`.
https://learn.microsoft.com/azure/developer/python/sdk/authentication/credential-chains
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable
from typing import Any

from forestay.errors import OutsideError

SCOPE = "https://management.azure.com/.default"
PROCESS_SECONDS = 10
"""What `az` and its kin may take to give a token."""
HTTP_SECONDS = (5, 10)
"""To connect to the login service, and for it to answer."""
_NO_AUTHORITY = re.compile("authority configuration|double check your tenant", re.IGNORECASE)
_REASON = re.compile(r"AADSTS\d+")
# What Entra ID says in numbers; https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_KNOWN = {
    "AADSTS90002": ("there is no tenant of that id", "correct AZURE_TENANT_ID, or az login --tenant TENANT"),
    "AADSTS900023": ("the tenant's id is none", "correct AZURE_TENANT_ID"),
    "AADSTS700016": (
        "the tenant does not know this application",
        "correct AZURE_CLIENT_ID and AZURE_TENANT_ID: the one must be of the other",
    ),
    "AADSTS7000215": ("the client secret is wrong", "set AZURE_CLIENT_SECRET to the secret's value, not its id"),
    "AADSTS7000222": ("the client secret has expired", "make a new one and set AZURE_CLIENT_SECRET"),
    "AADSTS700024": (
        "the federated token has expired: it holds for some minutes only",
        "have the pipeline fetch a new one into AZURE_FEDERATED_TOKEN_FILE, then run this again",
    ),
    "AADSTS70021": (
        "no federated credential fits this token",
        "compare issuer, subject and audience with those of the identity's federated credential",
    ),
    "AADSTS50076": ("more than one factor is asked for", "az login, and answer on the second device"),
    "AADSTS70043": ("the login has expired", "az login"),
    "AADSTS700082": ("the login has expired", "az login"),
}


class Login:
    """A credential as Azure's clients take it, made at its first use.

    Tokens are kept by azure-identity until shortly before their end and fetched anew then: over hours that works as
    long as the login itself does. `forget` drops what is kept, for a token that Azure refuses though it should hold.
    """

    def __init__(self) -> None:
        self._credential: Any = None
        self._guard = threading.Lock()

    def get_token(self, *scopes: str, **more: Any) -> Any:
        """See azure.core.credentials.TokenCredential. Raises OutsideError."""
        return self._asked(lambda found: found.get_token(*scopes, **more))

    def get_token_info(self, *scopes: str, **more: Any) -> Any:
        """See azure.core.credentials.SupportsTokenInfo. Raises OutsideError."""
        return self._asked(lambda found: found.get_token_info(*scopes, **more))

    def forget(self) -> None:
        with self._guard:
            self._credential = None

    def _asked(self, ask: Callable[[Any], Any]) -> Any:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        with self._guard:
            if self._credential is None:
                self._credential = _credential()
            try:
                return ask(self._credential)
            except ClientAuthenticationError as error:
                raise told(str(error)) from error
            except AzureError as error:
                raise OutsideError(
                    f"the login service can't be reached: {_first_line(str(error))}",
                    where="login.microsoftonline.com",
                    fix="check the network and HTTPS_PROXY, then run this again",
                ) from error


def _credential() -> Any:
    from azure.identity import DefaultAzureCredential

    logging.getLogger("azure").setLevel(logging.CRITICAL)  # its warnings are told below, once
    connect, read = HTTP_SECONDS
    return DefaultAzureCredential(
        process_timeout=PROCESS_SECONDS,
        connection_timeout=connect,
        read_timeout=read,
        retry_total=1,
        retry_backoff_factor=0.2,
        exclude_broker_credential=True,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
    )


def told(text: str) -> OutsideError:
    """What azure-identity says in a page, in two lines; it never quotes secrets."""
    number = next(iter(_REASON.findall(text)), "")
    if not number and _NO_AUTHORITY.search(text):  # so msal says it
        number = "AADSTS90002"
    if number in _KNOWN:
        message, fix = _KNOWN[number]
        return OutsideError(f"Azure refuses the login: {message} ({number})", where=_where(), fix=fix)
    if number:
        said = next((line for line in text.splitlines() if number in line), number)
        return OutsideError(
            f"Azure refuses the login: {_first_line(said)}", where=_where(), fix="az login, or correct AZURE_*"
        )
    return OutsideError(
        "no login to Azure was found",
        fix="az login; in a pipeline set AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET, or with "
        "AZURE_FEDERATED_TOKEN_FILE",
    )


def _where() -> str:
    return "the AZURE_* variables" if os.environ.get("AZURE_CLIENT_ID") else "az login"


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:300]
