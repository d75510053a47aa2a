"""Who may talk to the studio: a browser that came by the link with the token, from the studio's own pages.

The port is open to every program and every web page on this machine, so each request shows where it comes from (Host,
Origin, Sec-Fetch-Site: against DNS rebinding and pages of others), who it is (a cookie, by the token of the link, as
with Jupyter), and, where it changes something, that a page of ours made it (a token in the form).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script but our files. Charts place their marks with style attributes, which hold numbers of ours only."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CSRF_HEADER = "x-studio-csrf"
READING = ("GET", "HEAD")


class Pass:
    """The secrets of one studio, gone when it ends.

    Attributes
    ----------
    token: in the link that is printed. csrf: in every form of our pages.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self._key = secrets.token_bytes(32)
        self.cookie = f"forestay-studio-{port}"  # browsers share cookies among the ports of a host
        self.hosts = tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))

    def _derived(self, what: str) -> str:
        return hmac.new(self._key, what.encode(), hashlib.sha256).hexdigest()

    @property
    def session(self) -> str:
        return self._derived("session")

    @property
    def csrf(self) -> str:
        return self._derived("csrf")

    def is_token(self, given: str) -> bool:
        return _same(given, self.token)

    def is_csrf(self, given: str | None) -> bool:
        return given is not None and _same(given, self.csrf)

    def knows(self, headers: Headers) -> bool:
        """Whether a request has the cookie."""
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        return morsel is not None and _same(morsel.value, self.session)


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), known.encode())


class Guard:
    """ASGI middleware that answers, itself, whoever may not go on; and puts HEADERS on every answer."""

    def __init__(self, app: ASGIApp, passed: Pass) -> None:
        self.app = app
        self.passed = passed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no WebSocket is served

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._refusal(scope)
        await (answer or self.app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further; None lets it pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self.passed.hosts:
            return _refused("this address is not the studio's")
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host}":
            return _refused("a page of another origin asks")
        reading = scope["method"] in READING
        # A link on another page may lead here, but its cookie stays behind; anything else from there is refused.
        site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
        if site in ("cross-site", "same-site") and not (reading and mode == "navigate"):
            return _refused("a page of another site asks")
        if not reading and origin is None:
            return _refused("it is not said where the request comes from")
        if reading and (entered := self._entered(scope)) is not None:
            return entered
        if not self.passed.knows(headers):
            return _refused("open the studio by the link that `forestay studio` printed", 401)
        return None

    def _entered(self, scope: Scope) -> Response | None:
        """The cookie for the token, and the same address without it."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token")
        if given is None:
            return None
        if not self.passed.is_token(given):
            return _refused("the token is not this studio's: open the link that `forestay studio` printed last", 401)
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # A path of two slashes would lead to another host.
        path = "/" + scope["path"].lstrip("/\\")
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(self.passed.cookie, self.passed.session, httponly=True, samesite="strict", path="/")
        return answer


def _refused(why: str, code: int = 403) -> Response:
    return PlainTextResponse(f"Refused: {why}.\n", code)
