"""The live page in a real browser: while a night really runs, when it has ended, and on a phone."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from dashboards import served
from nights import night_overrides, small_world, trust_variables

from huracan.adapters.dashboard import WorkdirReader
from huracan.worlds.exchange import ReplayExchange

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium on the path"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


@pytest.fixture
def browser_page():
    """A page of a headless Chromium and the complaints it collects."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type != "info" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if "127.0.0.1" not in request.url else None)
        yield page, complaints
        browser.close()


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_night_is_followed_from_its_first_job_to_its_champions(browser_page, tmp_path):
    page, complaints = browser_page
    trust = trust_variables(tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HURACAN_")} | trust
    with ReplayExchange(small_world(), stress_file=tmp_path / "stress.json") as exchange:
        sets = [part for text in night_overrides(exchange.urls) for part in ("--set", text)]
        command = [
            sys.executable,
            "-m",
            "huracan.cli.main",
            "run",
            "--json",
            "--workdir",
            str(tmp_path / "work"),
            *sets,
        ]
        reader = WorkdirReader(tmp_path / "work", trusted_root=tmp_path / "trust" / "root.json")
        with served(reader) as url:
            page.goto(url)
            assert page.locator("#tonight .badge").inner_text() == "no night yet"
            with (tmp_path / "out").open("wb") as out:
                night = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.DEVNULL)
            try:
                page.wait_for_selector("#tonight .badge.now", timeout=60_000)
                page.wait_for_selector("#table-jobs tbody tr", timeout=60_000)
                assert "workers" in page.locator("#tonight .about").inner_text()
                page.wait_for_selector(".stages li.now progress[max='9'], .stages li.now em", timeout=60_000)
                assert fits(page)
                page.wait_for_selector("#tonight .badge.good", timeout=240_000)
            finally:
                night.wait()
            assert night.returncode == 0
            result = json.loads((tmp_path / "out").read_text())
            page.wait_for_selector("#table-nights .badge.good", timeout=30_000)
            assert page.locator(".stages li.done").count() == 6
            page.reload()
            assert result["summary"]["verdict"] in page.locator("h1").inner_text().replace("\n", " ")
            shown = set(page.locator("#table-champions tbody td:first-child").all_inner_texts())
            assert shown == {row["coin"] for row in result["champions"].values()}
            assert page.locator("#store .badge").inner_text() == "current"
    assert complaints == []


def test_a_finished_night_is_read_on_a_phone_and_its_report_opens(browser_page, reader_of_night):
    page, complaints = browser_page
    reader, night = reader_of_night
    page.set_viewport_size({"width": 390, "height": 844})
    with served(reader) as url:
        page.goto(url)
        assert fits(page)
        assert page.locator("#table-hypotheses tbody tr").count() == len(night.result["summary"]["evidence"])
        with page.expect_response(lambda response: "/parts/tonight" in response.url):
            pass  # the page polls by itself
        page.locator("#table-nights a").first.click()
        assert fits(page)
        page.locator("#equity > summary").click()
        page.wait_for_selector("#figure-equity .main-svg")
        # Inside the sandbox the report has no origin of its own and cannot reach the live page.
        assert page.evaluate("window.origin") == "null"
    assert [text for text in complaints if "infinite loop" not in text] == []


def test_hostile_names_are_text(browser_page, workdir):
    page, complaints = browser_page
    with served(WorkdirReader(workdir)) as url:
        page.goto(url)
        with page.expect_response(lambda response: "/parts/tonight" in response.url):
            pass
        assert "<script>alert('x')</script>" in page.locator("#table-champions").inner_text()
        assert page.locator("#tonight script").count() == 0
    assert complaints == []
