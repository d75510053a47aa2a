"""An endpoint of an environment in a browser: its page, its traffic, and a page that Azure is slow to answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from studio import asking
from studio.app import make_app
from studio.guard import Pass
from studio.web import Studio
from tests.azure import test_studio as asked
from tests.azure.conftest import Azure
from tests.azure.standin.endpoints import Endpoints
from tests.azure.standin.wire import Fault
from tests.azure.test_studio import NAME
from tests.e2e.test_studio_browser import follow, look, visit

online, target, deployed = asked.online, asked.target, asked.deployed


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """A studio in a thread of this process, so that a test may make it less patient; gives its link."""
    import uvicorn

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        studio = Studio(home, Pass(listening.getsockname()[1]))
        server = uvicorn.Server(uvicorn.Config(make_app(studio), log_level="warning", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://{studio.passed.hosts[0]}/?token={studio.passed.token}"
        server.should_exit = True
        thread.join(20)


@pytest.mark.usefixtures("quick")
@pytest.mark.slow
def test_an_endpoint_of_an_environment_is_used_from_its_page(
    browser: Any, azure: Azure, online: Endpoints, deployed: dict[str, str], project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Listed, tried, its traffic changed by the form; and a page that Azure is slow to answer comes by itself."""
    from playwright.sync_api import expect

    one, two = deployed["1"], deployed["2"]
    with serving(project / ".forestay") as link, visit(browser, link) as page:
        follow(page, page.get_by_role("link", name="Endpoints"), "**/endpoints")
        page.get_by_label("Environment").select_option("dev")
        page.wait_for_url("**/endpoints?env=dev")
        row = page.locator("tbody tr")
        expect(row).to_contain_text(f"90 % {one}")
        expect(row).to_contain_text("2 x Standard_DS3_v2")
        look(page, "endpoints-azure", 1280)
        follow(page, page.get_by_role("link", name=NAME), f"**/endpoints/{NAME}?env=dev")
        expect(page.locator("h1")).to_contain_text("Healthy")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#status")).to_contain_text("200")
        expect(page.locator("#answer")).to_contain_text("yes")
        expect(page.locator("#invoke-line")).to_contain_text(f"forestay endpoint invoke {NAME} --request")
        expect(page.locator("#log")).to_contain_text("POST /score")
        keys = online.all[NAME].keys.values()
        assert not any(key in page.content() for key in keys)
        look(page, "endpoint-azure", 1280)
        page.set_viewport_size({"width": 390, "height": 900})
        look(page, "endpoint-azure", 390)

        page.get_by_label(one).fill("60")
        page.get_by_role("button", name="Set traffic").click()
        expect(page.locator("[role=log]")).to_contain_text("make 70, not 100")
        follow(page, page.get_by_role("link", name="Back"), f"**/endpoints/{NAME}?env=dev")
        page.get_by_label(one).fill("30")
        page.get_by_label(two).fill("70")
        shown = page.locator("[data-words] .cli code")
        expect(shown).to_have_text(f"forestay endpoint traffic {NAME} {one}=30 {two}=70 --env dev")
        page.get_by_role("button", name="Set traffic").click()
        page.wait_for_url(f"**/endpoints/{NAME}?env=dev")
        expect(page.locator("#traffic")).to_contain_text("70 %")
        assert online.all[NAME].properties["traffic"] == {one: 30, two: 70}

        monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.5)
        azure.fault(Fault(r"GET .*/onlineEndpoints", None, delay=3.0))
        page.goto(link.split("/?")[0] + "/endpoints?env=dev")
        expect(page.locator("h1")).to_have_text("Asking dev")
        expect(page.locator("[role=alert]")).to_contain_text("has not answered for 0.5 seconds")
        look(page, "waiting", 390)
        expect(page.locator("h1")).to_have_text("Endpoints")
