"""Pages in a real browser: an installed Chromium, driven by Playwright. Where either is absent, the test is skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
PICTURES = os.environ.get("AMMRG_SCREENSHOTS")
"""A folder for pictures of the pages, for whoever wants to look at them."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser; of a module, because Playwright's event loop would be in the way of other modules' tests."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright: pip install -e '.[dev]' -c constraints.txt"
    )
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened(NamedTuple):
    """A page that is open."""

    page: Any
    complaints: list[str]
    """What the browser said in its console, refusals of the content policy among it, and errors of scripts."""
    asked: list[str]
    """Addresses that the page asked for."""


def opened(browser: Any, address: str, width: int = 1400, height: int = 900, scheme: str = "light") -> Opened:
    """Open a page.

    Args:
        browser: from the fixture ``chromium``.
        address: of the page, ``file://...`` or ``http://127.0.0.1...``.
        width: of the window, in pixels.
        height: of the window, in pixels.
        scheme: the colours that the user prefers, ``light`` or ``dark``.
    """
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    found = Opened(page, [], [])
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.asked.append(request.url))
    page.goto(address)
    return found


def pictured(page: Any, name: str) -> None:
    """Keep a picture of the whole page where a folder is named for them."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def contrast(page: Any, selector: str) -> float:
    """The contrast of an element's text to the ground it stands on (WCAG 2: 4.5 is readable)."""
    return float(
        page.eval_on_selector(
            selector,
            """element => {
                const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
                const light = (colour) => {
                    const [r, g, b] = parts(colour).map((part) => part / 255)
                        .map((part) => part <= .03928 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4);
                    return .2126 * r + .7152 * g + .0722 * b;
                };
                const paint = (part) => getComputedStyle(part).backgroundColor;
                let ground = element;
                while (ground.parentElement && parts(paint(ground))[3] === 0) ground = ground.parentElement;
                const pair = [getComputedStyle(element).color, paint(ground)];
                const [low, high] = pair.map(light).sort((a, b) => a - b);
                return (high + .05) / (low + .05);
            }""",
        )
    )
