"""For all tests: the CPU in four parts, as if there were four processors; the site and a browser.

The processors must be cut before TensorFlow computes anything, so before any test. What runs on one
device runs on the first of them, with all cores as before.
"""

import os
import shutil
from pathlib import Path

from kerasbook.training.devices import logical_devices

import pytest

logical_devices(4, "CPU")
CHECKOUT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """Returns the folder of the built site; WEB_SITE names one that is there already."""
    pytest.importorskip("sphinx", reason="the extra `web` is not installed")
    if given := os.environ.get("WEB_SITE"):
        return Path(given)
    from kerasbook.web import site as web_site

    folder = tmp_path_factory.mktemp("site")
    web_site.build(CHECKOUT, folder)
    return folder


@pytest.fixture(scope="session")
def browser():
    """Yields Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()
