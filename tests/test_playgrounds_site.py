"""The playgrounds used as a reader would, in Chromium, from the folder of the built site.

Run by `.ci/run web`, or `python -m pytest -m web`.
"""

import re
import runpy

from kerasbook.data.fashion import CLASSES
from kerasbook.web.playgrounds import playgrounds

import keras
import numpy as np
import playground_checks as checks
import pytest

pytestmark = [pytest.mark.web, pytest.mark.timeout(1800)]  # over a hundred pages, several times

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


def address_after(page, **expected: str) -> str:
    """Returns the state in the page's address once each value fits its regular expression."""
    page.wait_for_function(
        """expected => {
            const state = new URLSearchParams(location.hash.slice(1));
            return Object.entries(expected).every(
                ([name, value]) => new RegExp(`^(${value})$`).test(state.get(name)));
        }""",
        arg=expected,
    )
    return "#" + page.url.partition("#")[2]


def address_in(page) -> str:
    """Returns what stands behind the # of the address."""
    return page.url.partition("#")[2]


# --- all of them --------------------------------------------------------------------------

ALL = [one.name for one in playgrounds()]
BEGINS = {"descent": {"steps": "40"}, "scratch": {"steps": "400"}, "writer": {"text": "[^]{100}"}}


@pytest.mark.parametrize("name", ALL)
def test_every_picture_is_put_into_words(opened, name):
    page = opened(name)
    labels = page.eval_on_selector_all(
        ".playground canvas:not([aria-hidden])",
        "all => all.map(one => [one.getAttribute('role'), one.getAttribute('aria-label')])",
    )
    assert all(role == "img" and len(label) > 40 for role, label in labels), labels
    assert labels or name == "writer"


@pytest.mark.parametrize("name", ALL)
def test_who_comes_from_a_chinese_page_is_told_in_chinese_that_this_is_in_english(opened, name):
    assert not opened(name).is_visible(".in-chinese")
    page = opened(name, "?zh")
    assert "这一页目前只有英文" in page.inner_text(".in-chinese")


@pytest.mark.parametrize("name", BEGINS)
def test_a_page_that_nobody_has_set_begins_by_itself(opened, name):
    state = address_after(opened(name), **BEGINS[name])
    page = opened(name, state)
    page.wait_for_timeout(400)
    assert "#" + address_in(page) == state  # a given state stays as it is


def test_who_wants_no_motion_sees_its_end_at_once(opened):
    page = opened("descent")
    page.emulate_media(reduced_motion="reduce")
    page = opened("descent")
    assert page.locator("#descent-rows td").first.inner_text() == "40"


def test_a_key_ends_what_began_by_itself(opened):
    page = opened("descent")
    page.focus("#descent-map")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(400)
    assert page.locator("#descent-rows td").first.inner_text() == "0"


@pytest.mark.parametrize("name", ALL)
def test_the_experiments_of_the_text_are_states_that_open(opened, name):
    page = opened(name)
    links = page.eval_on_selector_all("article a[href*='?#']", "all => all.map(one => one.href)")
    assert len(links) >= 4
    for link in links:
        opened(name, "?#" + link.partition("#")[2])
        assert page.evaluate("scrollY") == 0
    last = page.evaluate("location.hash")
    page.locator("article a[href*='?#']").first.click()
    page.wait_for_function("last => location.hash !== last && scrollY === 0", arg=last)
    page.go_back()
    page.wait_for_function("last => location.hash === last", arg=last)


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
    page = opened("descent", address_after(page, steps="30"))
    assert losses_shown(page) == shown


def test_descent_by_keys_by_touch_and_too_fast(opened):
    page = opened("descent")
    page.focus("#descent-map")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    address_after(page, x="-1[.]200", y="0[.]000")
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


def test_descent_shows_every_learning_rate_and_takes_the_one_that_is_clicked(opened):
    page = opened("descent", "#steps=10")
    label = page.get_attribute("#descent-rates", "aria-label")
    assert "SGD comes lowest at η = 0.0526" in label
    losses = [
        checks.SURFACES["canyon"](*checks.keras_path("canyon", "SGD", 2.0**power, 0.5, 100)[-1])
        for power in (-4.5, -4.25, -4)
    ]
    assert min(losses) == losses[1]
    box = page.locator("#descent-rates").bounding_box()
    page.locator("#descent-rates").click(position={"x": box["width"] - 9, "y": 20})
    address_after(page, rate="1")
    assert "diverges" in page.inner_text("#descent-says")


def test_descent_on_the_ridge_stands_still(opened):
    page = opened("descent", "#surface=saddle&x=0&y=1.25&steps=1000&momentum=0")
    assert "SGD stands still: there is hardly any gradient" in page.inner_text("#descent-says")


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
    page = opened("scratch", address_after(page, steps="101"))
    assert numbers_of(page) == found


def test_scratch_points_by_mouse_touch_and_keys(opened, tmp_path):
    page = opened("scratch", "#steps=50&layers=4,4&rate=-3")
    page.click("#scratch-clear")
    assert "No points yet" in page.inner_text("#scratch-numbers")
    surface = page.locator("#scratch-surface")
    page.check("[name=scratch-pen][value='0']")
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
    address_after(page, data="own", points="[-\\w]{15}")
    assert "with 3 points" in surface.get_attribute("aria-label")


def test_scratch_takes_a_table_and_refuses_a_bad_one(opened, tmp_path):
    page = opened("scratch", "#layers=4,4&rate=-3")
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


def test_scratch_shows_one_unit_large_and_the_answer_again(opened):
    page = opened("scratch", "#layers=3,2&steps=10")
    page.focus("#scratch-network")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    assert "unit 2 of layer 2" in page.inner_text("#scratch-shown")
    assert "coloured by unit 2 of layer 2" in page.get_attribute("#scratch-surface", "aria-label")
    page.keyboard.press("Escape")
    assert page.inner_text("#scratch-shown") == ""
    box = page.locator("#scratch-network").bounding_box()
    page.locator("#scratch-network").tap(position={"x": 20, "y": box["height"] * 0.3})
    assert "the input x" in page.inner_text("#scratch-shown")
    page.click("#scratch-again")
    assert page.inner_text("#scratch-shown") == ""


def test_scratch_a_click_asks_and_draws_nothing(opened, tmp_path):
    page = opened("scratch", "#steps=100")
    before = numbers_of(page)
    page.locator("#scratch-surface").tap(position={"x": 60, "y": 90})
    assert page.input_value("#scratch-data") == "moons"
    assert numbers_of(page) == before
    assert "●" in page.inner_text("#scratch-cursor")
    page = opened("scratch", "#steps=100&layers=4")
    page.focus("#scratch-surface")
    for key in ["Enter"] + 5 * ["ArrowLeft"] + 2 * ["ArrowUp"]:
        page.keyboard.press(key)
    text = page.inner_text("#scratch-cursor")
    assert text.startswith("At the cross, −1, 0.4: ")
    program = program_of(page, tmp_path)
    logits = program["make_model"]()(np.array([[-1, 0.4]], "float32"))
    shares = [int(share) for share in re.findall(r"(\d+) %", text)]
    assert shares == pytest.approx(100 * program["tf"].nn.softmax(logits)[0].numpy(), abs=0.51)


def test_scratch_another_start_has_the_same_points(opened):
    page = opened("scratch", "#steps=0&noise=0.3")
    page.locator("#scratch-export-box summary").click()
    codes = [page.input_value("#scratch-code")]
    page.click("#scratch-seed")
    codes.append(page.input_value("#scratch-code"))
    points, weights = zip(*(code.partition("WEIGHTS = [")[::2] for code in codes), strict=True)
    assert points[0] == points[1]
    assert weights[0] != weights[1]


def test_scratch_goes_on_training_after_a_change(opened):
    page = opened("scratch", "#steps=1")
    page.click("#scratch-run")
    page.select_option("#scratch-activation", "relu")
    page.wait_for_function("document.getElementById('scratch-numbers').dataset.steps > 50")
    assert page.inner_text("#scratch-run") == "Pause"


def test_scratch_mistakes_are_seen(opened):
    page = opened("scratch", "#wrongsign=1&layers=4,4&rate=-3")
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


# --- Garments -----------------------------------------------------------------------------


def probabilities_shown(page) -> list[float]:
    """Returns the ten probabilities of the table."""
    return page.eval_on_selector_all(
        "#garments-bars tr", "all => all.map(one => Number(one.dataset.p))"
    )


def test_garments_shows_keras_probabilities_and_the_sum_behind_a_number(opened):
    layers, _ = checks.garments_by_keras()
    page = opened("garments")
    for number in (0, 3, 19):
        page.locator("#garments-choice button").nth(number).click()
        expected = layers["probabilities"][number]
        assert probabilities_shown(page) == pytest.approx(expected, abs=1e-5)
        assert (
            page.locator("#garments-bars .best th")
            .inner_text()
            .startswith(CLASSES[expected.argmax()])
        )
    page.focus("#garments-conv_2")
    for key in ("PageDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert page.inner_text("#garments-which") == "conv_2, map 2 of 32, row 2, column 2"
    value = float(page.get_attribute("#garments-total", "data-value"))
    assert value == pytest.approx(layers["conv_2"][19, 1, 1, 1], abs=1e-5)
    page.locator("#garments-pool_2").click(position={"x": 5, "y": 5})
    assert "pool_2, map 1" in page.inner_text("#garments-which")
    state = address_after(page, layer="pool_2", picture="19")
    shown = probabilities_shown(page)
    page = opened("garments", state)
    assert probabilities_shown(page) == shown
    assert "pool_2, map 1" in page.inner_text("#garments-which")


def test_garments_has_the_sums_of_the_dense_layer_and_of_the_logits(opened):
    layers, _ = checks.garments_by_keras()
    page = opened("garments", "#picture=3")
    page.focus("#garments-hidden")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#garments-which") == "unit 3 of the dense layer"
    value = float(page.get_attribute("#garments-total", "data-value"))
    assert value == pytest.approx(layers["hidden"][3, 2], abs=1e-4)
    page.locator("#garments-bars button").nth(4).click()
    assert page.inner_text("#garments-which") == "the logit of Coat"
    value = float(page.get_attribute("#garments-total", "data-value"))
    assert value == pytest.approx(layers["logits"][3, 4], abs=1e-4)
    assert page.locator("#garments-sum tbody tr").count() == 5
    page = opened("garments", address_after(page, layer="logits", map="4"))
    assert page.inner_text("#garments-which") == "the logit of Coat"


def test_garments_the_first_number_is_an_edge(opened):
    layers, _ = checks.garments_by_keras()
    page = opened("garments")
    assert page.inner_text("#garments-which") == "conv_1, map 7 of 16, row 13, column 20"
    assert layers["conv_1"][0, ..., 6].max() == layers["conv_1"][0, 12, 19, 6]
    cells = page.locator("#garments-sum table").nth(1).locator("td").all_inner_texts()
    assert [text.startswith("−") for text in cells] == [False, False, True] * 3


def test_garments_the_sum_stays_in_sight(opened):
    page = opened("garments")
    page.locator("#garments-conv_3").scroll_into_view_if_needed()
    page.locator("#garments-conv_3").click(position={"x": 5, "y": 5})
    assert page.evaluate(
        "(box => box.top >= 0 && box.bottom < innerHeight)"
        "(document.getElementById('garments-total').getBoundingClientRect())"
    )


def test_garments_is_drawn_into_by_mouse_touch_and_keys(opened):
    page = opened("garments", "#picture=20&row=10&column=10")
    page.check("[name=garments-tool][value=pencil]")
    box = page.locator("#garments-picture").bounding_box()
    cell = box["width"] / 28
    page.mouse.move(box["x"] + 5.5 * cell, box["y"] + 5.5 * cell)
    page.mouse.down()
    page.mouse.move(box["x"] + 8.5 * cell, box["y"] + 5.5 * cell, steps=12)
    page.mouse.up()
    page.locator("#garments-picture").tap(position={"x": 12.5 * cell, "y": 20.5 * cell})
    page.focus("#garments-picture")
    page.keyboard.press("Enter")
    picture = np.zeros((28, 28))
    picture[5:7, 5:10] = picture[20:22, 12:14] = picture[10:12, 10:12] = 255
    assert probabilities_shown(page) == pytest.approx(keras_answer(picture), abs=1e-5)
    page.check("[name=garments-tool][value=eraser]")
    page.focus("#garments-picture")
    page.keyboard.press("Enter")
    state = address_after(page, edits=".*k")
    page.check("#garments-looks")
    assert "speaks for the answer" in page.get_attribute("#garments-picture", "aria-label")
    shown = probabilities_shown(page)
    page = opened("garments", state)
    assert probabilities_shown(page) == shown
    page.click("#garments-again")
    assert probabilities_shown(page) == pytest.approx(keras_answer(np.zeros((28, 28))), abs=1e-5)


def keras_answer(picture) -> np.ndarray:
    """Returns the ten probabilities of a picture (28, 28)."""
    content = checks.files.read("garments")[1]
    x = ((picture - content["mean"]) / content["std"]).astype("float32")[
        np.newaxis, ..., np.newaxis
    ]
    return keras.ops.softmax(checks.model_of("garments")(x, training=False))[0].numpy()


@pytest.mark.parametrize("state", ["#picture=99&edits=zzz", "#layer=no&map=-1&row=x", "#map=1e9"])
def test_garments_bears_a_bad_address(opened, state):
    page = opened("garments", state)
    assert sum(probabilities_shown(page)) == pytest.approx(1)


# --- Reader -------------------------------------------------------------------------------


def keras_praise(text: str) -> float:
    """Returns the probability of praise that Keras gives to a sentence."""
    row = checks.load_film_sentences().encode([text])
    return float(keras.ops.sigmoid(checks.model_of("reader")(row, training=False))[0, 0])


def shown_number(page, selector: str) -> float:
    """Returns the probability that an element has."""
    return float(page.get_attribute(selector, "data-p"))


def test_reader_answers_as_keras_does_word_by_word(opened):
    page = opened("reader")
    page.fill("#reader-text", "")
    page.focus("#reader-text")
    page.keyboard.type("A warm and never dull film!")
    assert shown_number(page, "#reader-says") == pytest.approx(
        keras_praise("A warm and never dull film!"), abs=1e-5
    )
    page.locator("#reader summary").click()
    shown = page.eval_on_selector_all(
        "#reader-rows tr", "all => all.map(one => one.cells[1].textContent)"
    )
    words = ["a", "warm", "and", "never", "dull", "film", "!"]
    expected = [keras_praise(" ".join(words[: n + 1])) for n in range(len(words))]
    assert [float(text) for text in shown] == pytest.approx(expected, abs=6e-4)
    page.focus("#reader-picture")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#reader-one").startswith("“film”")
    page = opened("reader", address_after(page, word="6"))
    assert page.input_value("#reader-text") == "A warm and never dull film!"
    assert page.inner_text("#reader-one").startswith("“film”")


def test_reader_has_pairs_shuffles_and_is_touched(opened):
    page = opened("reader")
    page.select_option("#reader-pair", "3")
    for id, text in (
        ("first", "a good cast in a bad film"),
        ("second", "a bad cast in a good film"),
    ):
        assert shown_number(page, f"#reader-{id}") == pytest.approx(keras_praise(text), abs=1e-5)
    page.click("#reader-second")
    assert page.input_value("#reader-text") == "a bad cast in a good film"
    page.locator("#reader-picture").tap(position={"x": 60, "y": 100})
    assert page.inner_text("#reader-one").startswith("“a”")
    page.click("#reader-shuffle")
    text = page.input_value("#reader-text")
    assert sorted(text.split()) == sorted(["a", "bad", "cast", "in", "a", "good", "film"])
    assert shown_number(page, "#reader-says") == pytest.approx(keras_praise(text), abs=1e-5)


def test_reader_compares_the_order_with_the_words(opened):
    page = opened("reader", "#text=not%20good")
    page.wait_for_function("document.getElementById('reader-compare').dataset.lowest > 0")
    found = page.evaluate("({...document.getElementById('reader-compare').dataset})")
    both = sorted([keras_praise("not good"), keras_praise("good not")])
    assert [float(found["lowest"]), float(found["highest"])] == pytest.approx(both, abs=1e-5)
    moves = {text: abs(keras_praise(text) - keras_praise("not good")) for text in ("not", "good")}
    assert float(found["without"]) == pytest.approx(
        keras_praise(max(moves, key=moves.get)), abs=1e-5
    )
    page.fill("#reader-text", "not")
    page.wait_for_function("document.getElementById('reader-compare').textContent === ''")


@pytest.mark.parametrize("state", ["#text=&word=9", "#text=<b>!!</b>&pair=77", "#word=x"])
def test_reader_bears_a_bad_address(opened, state):
    page = opened("reader", state)
    assert 0 < shown_number(page, "#reader-says") < 1


# --- Writer -------------------------------------------------------------------------------


def keras_next(text: str, **knobs) -> np.ndarray:
    """Returns the probabilities that Keras gives to the next character of a text."""
    row = checks.encode_text(text, checks.load_shakespeare().classes)[-64:]
    logits = checks.model_of("writer")(row[np.newaxis])[0, -1].numpy()
    return np.asarray(checks.choices_by_keras(logits, **knobs))


def choices_shown(page) -> list[tuple[int, float, float]]:
    """Returns what the table of next characters has: number, before and after the knobs."""
    return page.eval_on_selector_all(
        "#writer-rows tr",
        "all => all.map(one => [Number(one.querySelector('button').dataset.n),"
        " Number(one.dataset.p), Number(one.dataset.after)])",
    )


def test_writer_shows_keras_choices_and_takes_mine(opened):
    page = opened("writer")
    page.click("#writer-text")  # ends what began by itself
    page.fill("#writer-text", "")
    page.keyboard.type("KING.\nThe quee")
    page.fill("#writer-temperature", "0.5")
    page.fill("#writer-topk", "5")
    plain = keras_next("KING.\nThe quee")
    knobs = keras_next("KING.\nThe quee", temperature=0.5, topK=5)
    shown = choices_shown(page)
    assert len(shown) == 12
    for number, before, after in shown:
        assert before == pytest.approx(plain[number], abs=1e-5)
        assert after == pytest.approx(knobs[number], abs=1e-5)
    first = checks.load_shakespeare().classes[shown[0][0]]
    page.locator("#writer-rows button").first.click()
    assert page.input_value("#writer-text") == "KING.\nThe quee" + first
    state, shown = (
        address_after(page, topk="5", text=f"KING.\\nThe quee[{first}]"),
        choices_shown(page),
    )
    page = opened("writer", state)
    assert choices_shown(page) == shown


def test_writer_writes_greedily_what_keras_writes(opened):
    page = opened("writer", "#text=ROMEO.%0A&temperature=0")
    text = "ROMEO.\n"
    for _ in range(8):
        page.click("#writer-next")
        text += checks.load_shakespeare().classes[keras_next(text).argmax()]
    assert page.input_value("#writer-text") == text
    page.fill("#writer-temperature", "1")
    page.locator("#writer-run").tap()
    page.wait_for_function(f"document.getElementById('writer-text').value.length > {len(text) + 5}")
    page.locator("#writer-run").tap()
    page.click("#writer-again")
    assert page.input_value("#writer-text") == "KING.\nThe "


def test_writer_shades_what_it_sees_by_a_heads_attention(opened):
    page = opened("writer", "#text=The%20king")
    assert "number" in page.text_content("#writer-darkest")
    page.select_option("#writer-shade", "13")
    titles = page.eval_on_selector_all("#writer-window span", "all => all.map(one => one.title)")
    shares = [float(title.split(" ")[0]) for title in titles]
    assert len(shares) == 8
    assert sum(shares) == pytest.approx(100, abs=0.5)
    address_after(page, shade="13")


@pytest.mark.parametrize("state", ["#text=", "#text=<i>日本&topk=99&topp=-1", "#temperature=x"])
def test_writer_bears_a_bad_address(opened, state):
    page = opened("writer", state)
    page.click("#writer-next")
    assert page.inner_text("#writer-says")


# --- Speaker ------------------------------------------------------------------------------


def names_of(row) -> str:
    """Returns the sounds of a row by name."""
    names = checks.speaker_names()
    return " ".join(names[sound] for sound in checks.up_to_end(row) if sound > checks.END)


def test_speaker_says_what_keras_says(opened):
    words, _, said, beams = checks.speaker_words()
    page = opened("speaker")
    for case in (3, 5, 9, 20):
        page.fill("#speaker-word", words[case])
        assert page.get_attribute("#speaker-says", "data-said") == names_of(said[case])
        rows = page.locator("#speaker-rows tr")
        assert rows.count() == 5
        assert rows.nth(1).locator(".spoken").inner_text() == names_of(beams[2][0][case])
        shown = float(rows.nth(1).locator("td").nth(2).inner_text().rstrip(" %"))
        assert shown == pytest.approx(100 * np.exp(beams[2][1][case]), abs=0.051)
    page.fill("#speaker-step", "2")
    assert (
        sum(
            page.eval_on_selector_all(
                "#speaker-steps tr", "all => all.map(one => Number(one.dataset.p))"
            )
        )
        <= 1
    )
    page.select_option("#speaker-look", "letters0")
    page.locator("[data-way='1']").click()
    state = address_after(page, look="letters0", way="1")
    label = page.get_attribute("#speaker-maps", "aria-label")
    page = opened("speaker", state)
    assert page.get_attribute("#speaker-maps", "aria-label") == label
    assert page.locator("[data-way='1']").get_attribute("aria-pressed") == "true"


def test_speaker_by_keys_by_touch_and_plays(opened):
    page = opened("speaker", "#word=island")
    page.focus("#speaker-maps")
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#speaker-step-is").startswith("2 of")
    page.locator("[data-play=greedy]").tap()
    assert page.inner_text("#speaker-played").startswith("Played: ")
    page.fill("#speaker-word", "is1and")
    assert "letters from a to z" in page.inner_text("#speaker-says")
    assert "Below is still “island”." in page.inner_text("#speaker-says")
    page.locator("#speaker summary").click()
    page.click("[data-sound=ZH]")
    assert page.inner_text("#speaker-played") == "Played: ZH."
    page.fill("#speaker-word", "isle")
    assert page.inner_text("#speaker-says").startswith("It says “isle”")


def test_every_sound_can_be_heard(opened):
    page = opened("speaker")
    loud = page.evaluate(
        """async () => Object.fromEntries(await Promise.all(
        kerasbook.sounds.known.map(async (sound) => {
            const context = new OfflineAudioContext(1, 16000, 32000);
            kerasbook.sounds.schedule(context, [sound]);
            const samples = (await context.startRendering()).getChannelData(0);
            return [sound, Math.hypot(...samples.slice(0, 8000))];
        })))"""
    )
    assert set(loud) == set(checks.speaker_names()[3:])
    assert all(0.1 < value < 100 for value in loud.values()), loud


@pytest.mark.parametrize(
    "state", ["#word=a", "#word=<b>&way=7", "#word=hello&step=99&beams=x&look=y"]
)
def test_speaker_bears_a_bad_address(opened, state):
    page = opened("speaker", state)
    assert page.inner_text("#speaker-says")
    page.fill("#speaker-word", "hello")
    assert page.inner_text("#speaker-says").startswith("It says “hello”")
