"""Who gets into the studio: the link's holder from its own pages, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio import files
from studio.calls import Calls
from studio.guard import POLICY
from tests.studio_support import HOST, ORIGIN, PORT, Client


@pytest.fixture
def client(project: Path) -> Client:
    return Client(project / ".forestay")


def test_the_token_opens_and_stays_out_of_the_address(client: Client) -> None:
    token = client.studio.passed.token
    entered = client.ask("GET", f"/models?token={token}&x=1", {"host": HOST})
    assert (entered.status, entered.headers["location"]) == (303, "/models?x=1")
    cookie = entered.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/", f"forestay-studio-{PORT}="):
        assert part in cookie
    assert token not in cookie
    page = client.ask("GET", "/models", {"host": HOST, "cookie": cookie.partition(";")[0]})
    assert page.status == 200
    assert "No model is registered yet" in page.text


@pytest.mark.parametrize("path", ["/", "/new", "/calls", "/jobs/latest", "/static/x/style.css", "/nothing"])
def test_without_token_or_cookie_nothing_is_told(client: Client, path: str) -> None:
    for query, cookie in (("", ""), ("?token=", ""), ("?token=guess", ""), ("", f"forestay-studio-{PORT}=guess")):
        answer = client.ask("GET", path + query, {"host": HOST, "cookie": cookie})
        assert answer.status == 401
        assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}", ""])
def test_another_host_is_refused(client: Client, host: str) -> None:
    token = client.studio.passed.token
    assert client.ask("GET", f"/?token={token}", {"host": host}).status == 403
    assert client.get("/", host=host).status == 403
    assert client.get("/", host=f"LOCALHOST:{PORT}").status == 200


@pytest.mark.parametrize("origin", ["null", "http://evil.example", f"https://{HOST}", "http://127.0.0.1:1", ""])
def test_another_origin_is_refused(client: Client, origin: str) -> None:
    assert client.get("/", origin=origin).status == 403
    assert client.post("/calls/x/stop", origin=origin).status == 403
    assert client.get("/", origin=ORIGIN).status == 200


def test_a_page_of_another_site_gets_nothing(client: Client) -> None:
    foreign = {"sec-fetch-site": "cross-site"}
    assert client.get("/", **foreign, **{"sec-fetch-mode": "no-cors"}).status == 403
    assert client.get("/", **foreign, **{"sec-fetch-mode": "navigate"}).status == 200
    assert client.get("/", **{"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}).status == 403
    answer = client.ask("OPTIONS", "/", {**client.headers, "origin": ORIGIN, "access-control-request-method": "POST"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


POSTS = [
    "/new/draft",
    "/new/start",
    "/jobs/j/cancel",
    "/jobs/j/watch",
    "/jobs/j/resume",
    "/jobs/j/fetch",
    "/jobs/j/trials/1/register",
    "/models/m/generate",
    "/models/m/verify",
    "/models/m/deploy",
    "/endpoints/e/invoke",
    "/endpoints/e/traffic",
    "/endpoints/e/rollback",
    "/endpoints/e/stop",
    "/endpoints/e/start",
    "/endpoints/e/delete",
    "/calls/c/stop",
    "/uploads?name=a.csv",
]


def test_every_address_that_changes_something_is_listed_here(client: Client) -> None:
    routes = [route for route in client.app.routes if "POST" in (getattr(route, "methods", None) or ())]
    assert len(routes) == len(POSTS)


@pytest.mark.parametrize("path", POSTS)
def test_a_form_that_is_not_ours_changes_nothing(client: Client, path: str, project: Path) -> None:
    headers = {**client.headers, "origin": ORIGIN}
    for body in (b"", b"csrf=guess", b"csrf=%ff"):
        assert client.ask("POST", path, headers, body).status == 403
    assert client.ask("POST", path, {**headers, "x-studio-csrf": "guess"}).status == 403
    no_origin = {**client.headers, "x-studio-csrf": client.studio.passed.csrf}
    assert client.ask("POST", path, no_origin).status == 403
    assert client.ask("GET", path, client.headers).status in (404, 405)
    assert Calls(project / ".forestay").all() == []
    assert list(project.iterdir()) == []


def test_every_answer_has_the_policy(client: Client) -> None:
    answers = [client.get("/"), client.get("/nothing"), client.ask("GET", "/", {"host": "x"}), client.get("/calls")]
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
    assert "'unsafe-inline'" not in POLICY.replace("style-src-attr 'unsafe-inline'", "")


def test_a_link_does_not_lead_to_another_host(client: Client) -> None:
    token = client.studio.passed.token
    for path in ("//evil.example/", "/\\evil.example/", "///evil.example"):
        answer = client.ask("GET", f"{path}?token={token}", {"host": HOST})
        assert answer.headers["location"] == "/evil.example/"[: len(answer.headers["location"])]


@pytest.mark.parametrize(
    "given",
    [
        "../secret.csv",
        "/etc/passwd",
        "data/../../x.csv",
        ".forestay/runs.db",
        "link.csv",
        "--help",
        "a\0b",
        "",
        ".",
        "x" * 300,
        "folder",
    ],
)
def test_paths_stay_in_the_project(client: Client, project: Path, given: str) -> None:
    (project.parent / "secret.csv").write_text("a,b\n1,2\n")
    (project / "link.csv").symlink_to(project.parent / "secret.csv")
    (project / "folder").mkdir()
    (project / ".forestay").mkdir()
    (project / ".forestay" / "runs.db").write_text("x")
    answer = client.post("/new/draft", {"data": given, "target": "b"})
    assert answer.status in (400, 404)
    assert "passwd" not in answer.text or "outside" in answer.text
    assert "link.csv" not in client.get("/new").text


def test_uploads_are_bounded_and_whole_or_not_there(
    client: Client, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "UPLOAD_BYTES", 200_000)
    headers = {**client.headers, "origin": ORIGIN, "x-studio-csrf": client.studio.passed.csrf}

    def send(name: str, body: bytes, **more: str) -> tuple[int, str]:
        answer = client.ask("POST", f"/uploads?name={name}", {**headers, **more}, body)
        return answer.status, answer.text

    assert send("a.csv", b"x" * 200_001)[0] == 413
    assert send("a.csv", b"x", **{"content-length": "200001"})[0] == 413
    assert send("a.csv", b"")[0] == 400
    assert send("a.exe", b"x")[0] == 400
    assert list((project / "data").iterdir()) == []
    assert send("a.csv", b"x,y\n")[1] == '{"path":"data/a.csv"}'
    assert send("a.csv", b"x,y\n")[1] == '{"path":"data/a.csv"}'
    assert send("a.csv", b"x,z\n")[1] == '{"path":"data/a-2.csv"}'
    assert send("..%2F..%2Fetc%2F.b%20%3Cimg%3E.csv", b"q")[1] == '{"path":"data/b_img_.csv"}'
    assert sorted(path.name for path in (project / "data").iterdir()) == ["a-2.csv", "a.csv", "b_img_.csv"]


def test_a_browser_that_leaves_while_it_sends_is_no_fault_and_leaves_nothing(client: Client, project: Path) -> None:
    headers = {**client.headers, "origin": ORIGIN, "x-studio-csrf": client.studio.passed.csrf}
    for path in ("/uploads?name=a.csv", "/new/draft", "/new/start"):
        assert client.ask("POST", path, headers, b"x" * 100_000, stays=False).status == 499
    assert list((project / "data").iterdir()) == []


def test_an_upload_ends_with_the_studio_and_leaves_nothing(client: Client, project: Path) -> None:
    client.studio.asking.end()
    headers = {**client.headers, "origin": ORIGIN, "x-studio-csrf": client.studio.passed.csrf}
    answer = client.ask("POST", "/uploads?name=a.csv", headers, b"x" * 100_000)
    assert "the studio has ended" in answer.text
    assert list((project / "data").iterdir()) == []


def test_a_large_form_is_refused(client: Client) -> None:
    assert client.post("/new/draft", {"data": "x" * 2_100_000}).status == 400
