"""Headless Chromium for the tests of pages: one browser, one temporary profile, no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--force-prefers-reduced-motion",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
LOCAL = ("file:", "data:", "blob:")


@contextmanager
def chromium(profile: Path, width: int = 1240, height: int = 900) -> Iterator[Any]:
    """A driver with its own profile in `profile`; the test is skipped where no browser is installed."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    service = shutil.which("chromedriver")
    if program is None or service is None:
        pytest.skip("no Chromium with chromedriver is installed (Debian: apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={profile / 'profile'}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(profile), "download.prompt_for_download": False}
    )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(service))
    try:
        driver.set_page_load_timeout(60)
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        yield driver
    finally:
        driver.quit()


def open_page(driver: Any, page: Path) -> None:
    """Open a file and wait until its script has started everything."""
    from selenium.webdriver.support.ui import WebDriverWait

    driver.get(page.resolve().as_uri())
    WebDriverWait(driver, 30).until(lambda page: page.execute_script("return document.documentElement.dataset.ready"))


def require_quiet(driver: Any) -> None:
    """No console error, and no request that left the machine."""
    errors = [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert errors == []
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    sent = [entry["params"] for entry in messages if entry["method"] == "Network.requestWillBeSent"]
    # The browser's own start page asks for its parts; what counts is what the pages from disk ask for.
    asked = [entry["request"]["url"] for entry in sent if entry["documentURL"].startswith("file:")]
    assert asked and [url for url in asked if not url.startswith(LOCAL)] == []
