"""The playgrounds used as a reader would, in Chromium, from the folder of the built site.

Run by `.ci/run web`, or `python -m pytest -m web`.
"""

import runpy

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


# --- A network from scratch ---------------------------------------------------------------


def program_of(page, tmp_path) -> dict:
    """Returns the names of the Keras program that the page lets one download."""
    page.locator("#scratch-export-box summary").click()
    with page.expect_download() as download:
        page.click("#scratch-download")
    file = tmp_path / "network.py"
    download.value.save_as(file)
    text = file.read_text(encoding="utf-8")
    assert page.input_value("#scratch-code") == text
    return runpy.run_path(str(file))


def numbers_of(page) -> dict[str, float]:
    """Returns loss, share right and steps as the page has them."""
    return page.evaluate(
        "Object.fromEntries(Object.entries(document.getElementById('scratch-numbers').dataset)"
        ".map(([name, value]) => [name, Number(value)]))"
    )


def test_scratch_trains_and_its_keras_program_has_the_same_loss(opened, tmp_path):
    page = opened("scratch", "#layers=6,3&optimiser=Adam&rate=-5")
    before = numbers_of(page)["loss"]
    page.click("#scratch-hundred")
    page.click("#scratch-step")
    found = numbers_of(page)
    assert found["loss"] < before
    assert found["steps"] == 101
    program = program_of(page, tmp_path)
    model = program["make_model"]()
    assert float(program["loss_of"](model)) == pytest.approx(found["loss"], rel=1e-5)
    p = program["tf"].nn.softmax(model(program["POINTS"])).numpy()
    assert (p.argmax(axis=1) == program["LABELS"]).mean() == pytest.approx(found["right"])
    state = address_after(page, "steps=101").partition("#")[2]
    page = opened("scratch", "#" + state)
    assert numbers_of(page) == found


def test_scratch_points_by_mouse_touch_and_keys(opened, tmp_path):
    page = opened("scratch", "#steps=50")
    page.click("#scratch-clear")
    assert "No points yet" in page.inner_text("#scratch-numbers")
    surface = page.locator("#scratch-surface")
    surface.click(position={"x": 60, "y": 60})
    page.check("[name=scratch-pen][value='1']")
    surface.tap(position={"x": 200, "y": 200})
    page.check("[name=scratch-pen][value='2']")
    page.focus("#scratch-surface")
    for key in ("ArrowUp", "ArrowRight", "Enter", "ArrowDown", " "):
        page.keyboard.press(key)
    page.select_option("#scratch-optimiser", "Adam")
    for _ in range(3):
        page.click("#scratch-hundred")
    assert page.locator("#scratch-data").input_value() == "own"
    assert numbers_of(page)["right"] == 1
    program = program_of(page, tmp_path)
    assert sorted(program["LABELS"]) == [0, 1, 2, 2]
    page.check("[name=scratch-pen][value='erase']")
    surface.click(position={"x": 60, "y": 60})
    assert "points=" in address_after(page, "points=")
    assert "with 3 points" in surface.get_attribute("aria-label")


def test_scratch_takes_a_table_and_refuses_a_bad_one(opened, tmp_path):
    page = opened("scratch")
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("height,weight,kind\n150,50,a\n160,55,a\n190,90,b\n185,99,b\n")
    bad.write_text("1,2,a\n3,x,b\n")
    page.set_input_files("#scratch-csv", good)
    page.wait_for_function(
        "document.getElementById('scratch-csv-says').textContent.includes('4 points')"
    )
    page.click("#scratch-hundred")
    assert numbers_of(page)["right"] == 1
    page.set_input_files("#scratch-csv", bad)
    page.wait_for_function(
        "document.getElementById('scratch-csv-says').textContent.includes('Line 2')"
    )


def test_scratch_mistakes_are_seen(opened):
    page = opened("scratch", "#wrongsign=1")
    before = numbers_of(page)["loss"]
    page.click("#scratch-hundred")
    assert numbers_of(page)["loss"] > 2 * before
    page.uncheck("#scratch-wrongsign")
    page.check("#scratch-zero")
    page.click("#scratch-hundred")
    assert "zero" in page.inner_text("#scratch-mistakes")
    page.locator("#scratch-table-box summary").click()
    cells = page.locator("#scratch-table table").first.locator("tbody tr").first.locator("td")
    assert len(set(cells.all_inner_texts())) == 1  # all units are alike


@pytest.mark.parametrize(
    "state",
    ["#data=none&layers=99,x", "#data=own&points=zz", "#rate=x&steps=-3", "#activation=abs"],
)
def test_scratch_bears_a_bad_address(opened, state):
    page = opened("scratch", state)
    page.click("#scratch-step")
    assert page.inner_text("#scratch-numbers")
