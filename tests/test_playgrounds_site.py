"""The playgrounds used as a reader would, in Chromium, from the folder of the built site.

Run by `.ci/run web`, or `python -m pytest -m web`.
"""

import playground_checks as checks
import pytest

pytestmark = pytest.mark.web

WIDTHS = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(params=WIDTHS)
def opened(request, site, browser):
    """Yields a function that opens a playground, at both widths; errors and requests fail."""
    faults = []
    context = browser.new_context(viewport=WIDTHS[request.param], has_touch=True)
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda one: one.type == "error" and faults.append(one.text))
    page.on(
        "request", lambda one: one.url[:5] in ("file:", "data:", "blob:") or faults.append(one.url)
    )

    def open_page(name, state=""):
        page.goto("about:blank")
        page.goto((site / "playgrounds" / f"{name}.html").as_uri() + state)
        return page

    yield open_page
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[request.param]["width"]
    context.close()
    assert faults == []


def address_after(page, piece: str) -> str:
    """Returns the page's address once it has a piece of the state."""
    page.wait_for_function("piece => location.hash.includes(piece)", arg=piece, timeout=5000)
    return page.url


# --- Descent ------------------------------------------------------------------------------


def losses_shown(page) -> dict[str, float]:
    """Returns the losses in the table."""
    rows = page.eval_on_selector_all(
        "#descent-rows tr", "all => all.map(one => [one.dataset.name, one.dataset.loss])"
    )
    return {name: float(loss) for name, loss in rows}


def test_descent_shows_keras_losses_and_keeps_its_state(opened):
    page = opened("descent", "#rate=-6&momentum=0.5")
    for _ in range(3):
        page.click("#descent-ten")
    shown = losses_shown(page)
    for name in ("SGD", "momentum"):
        place = checks.keras_path("canyon", name, 2**-6, 0.5, 30)[-1]
        assert shown[name] == pytest.approx(float(checks.SURFACES["canyon"](*place)), rel=1e-9)
    address = address_after(page, "steps=30")
    page = opened("descent", "#" + address.partition("#")[2])
    assert losses_shown(page) == shown


def test_descent_by_keys_by_touch_and_too_fast(opened):
    page = opened("descent")
    page.focus("#descent-map")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert "x=-1.2" in address_after(page, "x=-1.2")
    page.click("#descent-step")
    before = page.get_attribute("#descent-map", "aria-label")
    page.locator("#descent-map").tap(position={"x": 40, "y": 60})
    assert page.get_attribute("#descent-map", "aria-label") != before
    page.fill("#descent-rate", "-3")
    page.click("#descent-run")
    page.wait_for_function(
        "document.getElementById('descent-says').textContent.includes('diverges')"
    )
    page.check("#descent-Adam")
    assert page.locator("#descent-rows tr").count() == 3
    page.select_option("#descent-surface", "saddle")
    assert losses_shown(page)["SGD"] == pytest.approx(0.25 + 1.25**2 / 2, rel=1e-3)


@pytest.mark.parametrize("state", ["#surface=none&rate=x", "#steps=1e9", "#momentum="])
def test_descent_bears_a_bad_address(opened, state):
    page = opened("descent", state)
    page.click("#descent-step")
    assert losses_shown(page)
