"""The login: whatever azure-identity's DefaultAzureCredential finds, within seconds, and told when it finds none.

A client secret, a certificate and workload identity come from the environment (`AZURE_*`), the rest from `az login`.
https://learn.microsoft.com/azure/developer/python/sdk/authentication/credential-chains

The assertions that a pipeline logs in with expire in minutes, so that its `az login` ends after an hour. Where GitHub
or Azure DevOps gives new ones (permission `id-token: write`, `SYSTEM_ACCESSTOKEN`), they are asked for as often as
needed. https://docs.github.com/actions/reference/security/oidc
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forestay.errors import InputError, OutsideError

SCOPE = "https://management.azure.com/.default"
PROCESS_SECONDS = 10
"""What `az` and its kin may take to give a token."""
HTTP_SECONDS = (5, 10)
"""To connect to the login service, and for it to answer."""
AUDIENCE = "api://AzureADTokenExchange"
"""Of the assertions that Entra ID exchanges for a token."""
EXPIRED = "AADSTS700024"
_NO_AUTHORITY = re.compile("authority configuration|double check your tenant", re.IGNORECASE)
_NO_NETWORK = re.compile(
    r"Credential: Authentication failed: .*"
    r"(Unable to connect to proxy|Failed to \w+|timed out|Connection \w+|RemoteDisconnected)"
)
"""What a credential that is given says when its service does not answer."""
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
    EXPIRED: (
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


_SOURCES = {
    "EnvironmentCredential": "the AZURE_* variables",
    "WorkloadIdentityCredential": "workload identity (AZURE_FEDERATED_TOKEN_FILE)",
    "ManagedIdentityCredential": "the managed identity of this machine",
    "AzureCliCredential": "az login",
    "AzurePowerShellCredential": "Azure PowerShell (Connect-AzAccount)",
    "AzureDeveloperCliCredential": "azd auth login",
    "ClientAssertionCredential": "the identity of this GitHub job",
    "AzurePipelinesCredential": "the service connection of this pipeline",
}


def az_profile() -> Path:
    """The file in which `az` keeps its logins and the subscription that it is set to."""
    return Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure") / "azureProfile.json"


def given_by_environment() -> str:
    """Which login the environment's variables give, for a person; empty for none."""
    if _has("AZURE_TENANT_ID", "AZURE_CLIENT_ID"):
        for name, kind in (
            ("AZURE_CLIENT_SECRET", "a client secret"),
            ("AZURE_CLIENT_CERTIFICATE_PATH", "a certificate"),
            (_GITHUB[0], "the identity of this GitHub job"),
            ("AZURE_FEDERATED_TOKEN_FILE", "workload identity"),
        ):
            if _has(name):
                return f"{kind}, by the AZURE_* variables"
    return "the service connection of this pipeline" if _has(*_DEVOPS) else ""


def require_packages(env: str) -> None:
    """Raise InputError where the packages that Azure needs are not installed."""
    from importlib.util import find_spec

    if find_spec("azure") is None or find_spec("azure.identity") is None:
        fix = "pip install 'forestay[azure]', or make setup-dev"
        raise InputError("Azure's packages are not installed", where=f"--env {env}", fix=fix)


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

    @property
    def source(self) -> str:
        """What gave the last token, for a person; empty before the first."""
        # A chain keeps the one of its credentials that answered, and tells nobody.
        found = getattr(self._credential, "_successful_credential", None) or self._credential
        name = type(found).__name__
        return "" if found is None else _SOURCES.get(name, name)

    def _asked(self, ask: Callable[[Any], Any]) -> Any:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        with self._guard:
            if self._credential is None:
                self._credential = _credential()
            try:
                try:
                    return ask(self._credential)
                except ClientAuthenticationError as error:
                    if EXPIRED not in str(error):
                        raise
                    # azure-identity keeps for ten minutes what it read of AZURE_FEDERATED_TOKEN_FILE.
                    self._credential = _credential()
                    return ask(self._credential)
            except ClientAuthenticationError as error:
                raise told(str(error)) from error
            except AzureError as error:
                raise _unreached(_first_line(str(error))) from error


def _credential() -> Any:
    from azure.identity import AzurePipelinesCredential, ClientAssertionCredential, DefaultAzureCredential

    logging.getLogger("azure").setLevel(logging.CRITICAL)  # its warnings are told below, once
    connect, read = HTTP_SECONDS
    bounds: dict[str, Any] = {
        "connection_timeout": connect,
        "read_timeout": read,
        "retry_total": 1,
        "retry_backoff_factor": 0.2,
    }
    given = os.environ
    secret = _has("AZURE_CLIENT_SECRET") or _has("AZURE_CLIENT_CERTIFICATE_PATH")
    if _has("AZURE_TENANT_ID", "AZURE_CLIENT_ID", *_GITHUB) and not secret:
        tenant, client = given["AZURE_TENANT_ID"], given["AZURE_CLIENT_ID"]
        return ClientAssertionCredential(tenant, client, _github_assertion, **bounds)
    if _has(*_DEVOPS):
        return AzurePipelinesCredential(
            tenant_id=given["AZURESUBSCRIPTION_TENANT_ID"],
            client_id=given["AZURESUBSCRIPTION_CLIENT_ID"],
            service_connection_id=given["AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"],
            system_access_token=given["SYSTEM_ACCESSTOKEN"],
            **bounds,
        )
    return DefaultAzureCredential(
        process_timeout=PROCESS_SECONDS,
        exclude_broker_credential=True,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
        **bounds,
    )


_GITHUB = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
"""There in a job of GitHub Actions with the permission `id-token: write`."""
_DEVOPS = (
    "SYSTEM_OIDCREQUESTURI",
    "SYSTEM_ACCESSTOKEN",
    "AZURESUBSCRIPTION_TENANT_ID",
    "AZURESUBSCRIPTION_CLIENT_ID",
    "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID",
)
"""There in the task AzureCLI@2 of Azure DevOps, to which the pipeline hands `System.AccessToken`."""


def _has(*names: str) -> bool:
    return all(os.environ.get(name) for name in names)


def _github_assertion() -> str:
    """A new assertion from GitHub, which says which repository and branch this is. Raises OutsideError."""
    address, token = (os.environ[name] for name in _GITHUB)
    sign = "&" if "?" in address else "?"
    request = urllib.request.Request(  # noqa: S310 - the runner's own address
        f"{address}{sign}audience={AUDIENCE}",
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=sum(HTTP_SECONDS)) as answer:  # noqa: S310
            return str(json.load(answer)["value"])
    except (OSError, ValueError, KeyError) as error:
        reason = f"{error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        raise OutsideError(
            f"GitHub gives no token to log in with ({reason})",
            where="ACTIONS_ID_TOKEN_REQUEST_URL",
            fix="give the job the permission `id-token: write`",
        ) from error


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
    if unreached := _NO_NETWORK.search(text):
        return _unreached(unreached[1])
    return OutsideError(
        "no login to Azure was found",
        fix="az login; in a pipeline set AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET, or with "
        "AZURE_FEDERATED_TOKEN_FILE",
    )


def _unreached(why: str) -> OutsideError:
    return OutsideError(
        f"the login service can't be reached: {why}",
        where="login.microsoftonline.com",
        fix="check the network and HTTPS_PROXY, then run this again",
    )


def _where() -> str:
    return "the AZURE_* variables" if os.environ.get("AZURE_CLIENT_ID") else "az login"


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:300]
