"""What a registry of images knows, asked over its own protocol: digests of tags, and tags that stay.

https://github.com/opencontainers/distribution-spec; a registry of Azure's is asked as whoever is logged in to Azure,
and can lock a tag, https://learn.microsoft.com/azure/container-registry/container-registry-image-lock. Any other one is
asked with the login that docker or podman keeps, or without one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import ssl
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forestay.errors import OutsideError

Say = Callable[[str], None]

AZURES = re.compile(r"[a-z0-9]+\.azurecr\.(io|us|cn)")
KINDS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
SECONDS = 30
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]+){3})(:[0-9]+)?")
_FIELD = re.compile(r'(\w+)="([^"]*)"')
_CONFIG = "config.json"  # of docker, in its folder
ANYBODY = "00000000-0000-0000-0000-000000000000"  # as who a refresh token of Azure's is shown


def kept_tag(digest: str) -> str:
    """The tag of a digest that was deployed, of no other ever: while it is there, no retention takes the image away."""
    return f"deployed-{digest.partition(':')[2][:24]}"


def place_of(image: str) -> tuple[str, str]:
    """Host and path of an image's name, which has a tag, a digest, or neither."""
    host, _, path = image.partition("/")
    return host, path.partition("@")[0].partition(":")[0]


@dataclass
class Registry:
    """One repository of a registry: `host` and `path`, as in an image's name."""

    host: str
    path: str
    _token: str = field(default="", repr=False)

    def digest(self, reference: str) -> str | None:
        """The digest that a tag, or a digest, has; None where the repository has none. Raises OutsideError."""
        status, headers, _ = self._ask("HEAD", f"/v2/{self.path}/manifests/{reference}", {"Accept": KINDS})
        return None if status == 404 else headers.get("docker-content-digest") or None

    def labels(self, digest: str) -> dict[str, str]:
        """The labels of an image; none where it has none, or is not there. Raises OutsideError."""
        found = self._document(f"manifests/{digest}")
        parts = [one for one in found.get("manifests") or () if one.get("platform", {}).get("os") != "unknown"]
        if parts:  # of an index, which has what proves a build's origin beside the image
            found = self._document(f"manifests/{parts[0]['digest']}")
        described = found.get("config", {}).get("digest")
        settings = self._document(f"blobs/{described}") if described else {}
        return dict((settings.get("config") or {}).get("Labels") or {})

    def labelled(self, tag: str, label: str, value: str) -> str | None:
        """The digest that a tag has, where that is an image with this label; a tag alone can be moved to any other."""
        digest = self.digest(tag)
        return digest if digest is not None and self.labels(digest).get(label) == value else None

    def keep(self, digest: str) -> str:
        """Give a digest its own tag and lock that where the registry can; gives the tag. Again changes nothing.

        Raises OutsideError, also when the registry has no such digest.
        """
        tag = kept_tag(digest)
        self.name(digest, tag)
        if AZURES.fullmatch(self.host):
            fixed = json.dumps({"deleteEnabled": False, "writeEnabled": False}).encode()
            where = f"/acr/v1/{self.path}/_tags/{tag}"
            self._ask("PATCH", where, {"Content-Type": "application/json"}, fixed)
        return tag

    def name(self, digest: str, tag: str) -> None:
        """Give a digest one more tag. Raises OutsideError, also when the registry has no such digest."""
        if self.digest(tag) == digest:
            return
        where = f"/v2/{self.path}/manifests/"
        status, headers, manifest = self._ask("GET", where + digest, {"Accept": KINDS})
        if status == 404:
            raise OutsideError(
                f"the registry has no {self.path}@{digest}", where=self.host, fix="push the image: deploy again"
            )
        kind = {"Content-Type": headers.get("content-type", KINDS.partition(",")[0])}
        self._ask("PUT", where + tag, kind, manifest)

    def _document(self, what: str) -> dict[str, Any]:
        status, _, text = self._ask("GET", f"/v2/{self.path}/{what}", {"Accept": KINDS})
        return {} if status == 404 else _document(text)

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None, *, again: bool = True
    ) -> tuple[int, dict[str, str], bytes]:
        scheme = "http" if _LOOPBACK.fullmatch(self.host) else "https"
        shown = {"Authorization": self._token} if self._token else {}
        status, found, text = _send(method, f"{scheme}://{self.host}{path}", {**headers, **shown}, body)
        if status == 401 and again:
            self._token = self._login(found.get("www-authenticate", ""))
            return self._ask(method, path, headers, body, again=False)
        if status >= 400 and status != 404:
            fix = "does your login hold, with the right to push (AcrPush)? az login, or docker login"
            raise OutsideError(f"the registry refuses with {status}: {_reason(text)}", where=self.host, fix=fix)
        return status, found, text

    def _login(self, challenge: str) -> str:
        """The header that answers a challenge, by Azure's login for its registries, else by docker's."""
        kind, _, rest = challenge.partition(" ")
        given = dict(_FIELD.findall(rest))
        user, word = stored_login(self.host)
        if kind.lower() == "basic":
            return f"Basic {base64.b64encode(f'{user}:{word}'.encode()).decode()}"
        if AZURES.fullmatch(self.host) and not word:
            user, word = ANYBODY, refresh_token(self.host)
        asked = {key: given[key] for key in ("service", "scope") if key in given}
        realm = given.get("realm", "")
        if user == ANYBODY:
            form = {**asked, "grant_type": "refresh_token", "refresh_token": word}
            answer = _form(f"https://{self.host}/oauth2/token", form)
        else:
            secret = {"Authorization": f"Basic {base64.b64encode(f'{user}:{word}'.encode()).decode()}"} if word else {}
            _, _, text = _send("GET", f"{realm}?{urllib.parse.urlencode(asked)}", secret, None)
            answer = _document(text)
        return f"Bearer {answer.get('access_token') or answer.get('token') or ''}"


def refresh_token(host: str) -> str:
    """What whoever is logged in to Azure shows to a registry there, as `az acr login` does. Raises OutsideError."""
    from forestay.login import SCOPE, Login

    token = Login().get_token(SCOPE).token
    form = {"grant_type": "access_token", "service": host, "access_token": token}
    found = _form(f"https://{host}/oauth2/exchange", form).get("refresh_token")
    if not found:
        raise OutsideError(
            "the registry does not take the login", where=host, fix="az login; the role AcrPush is needed to push"
        )
    return str(found)


@contextlib.contextmanager
def logged_in(host: str, say: Say = lambda _: None) -> Iterator[None]:
    """Let builders show a registry of Azure's the login to Azure, where they keep none of their own for it.

    It lies in a file of ours, which they are led to with what else docker's settings hold; no command line and no file
    of the user's has it. Where nobody is logged in to Azure, `say` is told and they do what they can.
    """
    token = "" if _builders_own(host) else _identity(host, say)
    if not token:
        yield
        return
    names = ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE")
    before = {name: os.environ.get(name) for name in names}
    theirs = _docker_folder()
    kept = {key: value for key, value in _read(theirs / _CONFIG).items() if key not in ("credsStore", "credHelpers")}
    shown = base64.b64encode(f"{ANYBODY}:{token}".encode()).decode()
    with tempfile.TemporaryDirectory() as scratch:
        for path in theirs.glob("*"):
            Path(scratch, path.name).symlink_to(path.absolute())
        file = Path(scratch, _CONFIG)
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps({**kept, "auths": {host: {"auth": shown}}}), encoding="utf-8")
        os.environ.update({"DOCKER_CONFIG": scratch, "REGISTRY_AUTH_FILE": str(file)})
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _identity(host: str, say: Say) -> str:
    """What to show to a registry of Azure's; empty for any other, and where there is no login to Azure."""
    try:
        return refresh_token(host) if AZURES.fullmatch(host) else ""
    except ModuleNotFoundError:  # Azure's packages are an extra, and docker login does without
        return ""
    except OutsideError as error:
        say(f"without a login to Azure: {error}")
        return ""


def _builders_own(host: str) -> bool:
    """Whether docker or podman has a login for a host, be it kept by a program that shows it to nobody else."""
    return any(host in (found.get(key) or {}) for found in _logins() for key in ("auths", "credHelpers"))


def stored_login(host: str) -> tuple[str, str]:
    """User and password that `docker login` or `podman login` keeps for a host; empty where there are none."""
    for found in _logins():
        try:
            entry = found.get("auths", {}).get(host, {})
            user, _, word = base64.b64decode(entry.get("auth", "")).decode().partition(":")
        except (ValueError, AttributeError):
            continue
        token = entry.get("identitytoken")
        if token or word:
            return (ANYBODY, str(token)) if token else (user, word)
    return "", ""


def _logins() -> list[dict[str, Any]]:
    """What the files hold in which podman and docker keep logins."""
    run = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    named = os.environ.get("REGISTRY_AUTH_FILE", "")
    return [_read(path) for path in (Path(named), Path(run, "containers", "auth.json"), _docker_folder() / _CONFIG)]


def _docker_folder() -> Path:
    named = os.environ.get("DOCKER_CONFIG")
    return Path(named) if named else Path.home() / ".docker"


def _read(path: Path) -> dict[str, Any]:
    try:
        return _document(path.read_bytes())
    except OSError:
        return {}


def _form(url: str, form: Mapping[str, str]) -> dict[str, Any]:
    body = urllib.parse.urlencode(form).encode()
    _, _, text = _send("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, body)
    return _document(text)


def _send(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 - http(s)
    for name, value in headers.items():
        # Azure's registry leads on to a storage account, which is not to see the login and refuses it.
        request.add_unredirected_header(name, value) if name == "Authorization" else request.add_header(name, value)
    here = _LOOPBACK.fullmatch(urllib.parse.urlsplit(url).netloc)
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if here else []))
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return answer.status, {key.lower(): value for key, value in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {key.lower(): value for key, value in error.headers.items()}, error.read()
    except (OSError, ssl.SSLError) as error:
        host = urllib.parse.urlsplit(url).netloc
        reason = getattr(error, "reason", error)
        fix = "is its name right, and is it up? From outside of a private network it can't be reached"
        raise OutsideError(f"the registry can't be reached: {reason}", where=host, fix=fix) from error


def _document(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(text: bytes) -> str:
    errors = _document(text).get("errors") or [{}]
    first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
    return str(first.get("message") or "it does not say why")[:200]
