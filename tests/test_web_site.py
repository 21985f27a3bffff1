"""The site as a reader has it: built from this checkout, opened from its folder in Chromium.

Run by `.ci/run web`, or `python -m pytest -m web`. What needs a browser is skipped where playwright
or Chromium is missing, and what needs axe-core where AXE does not name its axe.min.js.
"""

import os
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

from kerasbook import contents

import pytest

pytestmark = [pytest.mark.web, pytest.mark.timeout(1800)]  # over a hundred pages, several times
CHECKOUT = Path(__file__).parent.parent
PAGES, WEIGHTS = 13_000_000, 4_000_000  # bytes in one language at most; playgrounds' weights apart
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
SEARCHES = {  # what is typed → where it must lead
    "a canyon": "chapters/chapter1.html#a-canyon",
    "causal mask": "chapters/chapter6.html#the-causal-mask",
    "vanish or explode": "chapters/chapter4.html#gradients-that-vanish-or-explode",
    "make_train_step": "reference/training.html#kerasbook.training.make_train_step",
    "beam": "chapters/chapter6_encoder_decoder.html",
    "huber": "chapters/chapter1_exercises.html",
}
CHINESE_SEARCHES = {
    "峡谷": "zh/chapters/chapter1.html#a-canyon",
    "岭回归": "zh/chapters/chapter1.html",
    "动量": "zh/chapters/chapter1.html",
    "汇聚": "zh/glossary.html",
    "重置门": "zh/chapters/notation.html",
    "学习率 momentum": "zh/chapters/chapter1.html",
}
OVERFLOWING = """() => [...document.querySelectorAll('article *')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3)
    .map(e => e.outerHTML.slice(0, 120))"""
PROSE = """() => { const copy = document.querySelector('article').cloneNode(true);
    copy.querySelectorAll('pre, code, annotation').forEach(e => e.remove());
    return copy.textContent; }"""


MARKS_ALONE = """() => [...document.querySelectorAll('article .katex-html')].flatMap(formula => {
    const next = formula.closest('.katex').nextSibling;
    if (next?.nodeType !== 3 || !'，。；：？！、）》”’'.includes(next.data[0])) return [];
    const mark = document.createRange();
    mark.setStart(next, 0); mark.setEnd(next, 1);
    const before = formula.lastElementChild.getBoundingClientRect();
    const alone = mark.getBoundingClientRect().left < before.right - 1;
    return alone ? [formula.textContent + next.data.slice(0, 9)] : []; })"""
IN_CHINESE = "<script>document.documentElement.lang = 'zh-CN'</script>"
FORMULA = "<b class=katex><b class=katex-html><b style='display: inline-block'>x</b></b></b>"
AT_THE_CANYON = """() =>
    Math.abs(document.querySelector('section#a-canyon')?.getBoundingClientRect().top) < 120"""


@pytest.fixture(scope="session")
def axe() -> str:
    """Returns the text of axe-core."""
    file = Path(os.environ.get("AXE", ""))
    if not file.is_file():
        pytest.skip("AXE does not name an axe.min.js (npm pack axe-core)")
    return file.read_text(encoding="utf-8")


def pages_of(site: Path) -> list[Path]:
    """Returns the site's pages."""
    return sorted(site.rglob("*.html"))


# --- without a browser --------------------------------------------------------------------


class Links(HTMLParser):
    """What a page refers to, and the ids that it has."""

    def __init__(self, path: Path):
        super().__init__()
        self.hrefs, self.sources, self.ids = set(), set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.add(given.get("id"))
        if tag == "a" and given.get("href"):
            self.hrefs.add(given["href"])
        elif found := given.get("src") or (tag == "link" and given.get("href")):
            self.sources.add(found)


def dead_links(site: Path) -> list[str]:
    """Returns the links and anchors that lead nowhere, and what comes from elsewhere."""
    pages = {path.resolve(): Links(path) for path in pages_of(site)}
    found = []
    for path, links in pages.items():
        for href in links.hrefs | links.sources:
            if href.startswith(("http:", "https:", "mailto:")):
                if href in links.sources:
                    found.append(f"{path.name} loads {href}")
                continue
            address, anchor = urldefrag(href.partition("?")[0] if "?" in href else href)
            target = (path.parent / unquote(address)).resolve() if address else path
            there = pages.get(target)
            if not target.is_file() or (anchor and there and unquote(anchor) not in there.ids):
                found.append(f"{path.relative_to(site.resolve())} → {href}")
    return found


def test_all_links_and_anchors_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    assert dead_links(site) == []


def test_a_dead_link_a_dead_anchor_and_a_foreign_script_would_be_noticed(tmp_path):
    (tmp_path / "a.html").write_text('<p id="x"><a href="b.html">1</a><a href="#y">2</a>')
    (tmp_path / "c.html").write_text('<a href="a.html#x">1</a><script src="https://x.org/y.js">')
    found = dead_links(tmp_path)
    assert sorted(found) == ["a.html → #y", "a.html → b.html", "c.html loads https://x.org/y.js"]


def test_every_page_of_the_book_is_there(site):
    for key in contents.pages():
        if (CHECKOUT / "chapters" / f"{key}.ipynb").is_file():
            assert (site / "chapters" / f"{key}.html").is_file(), key
            assert (site / "notebooks" / f"{key}.ipynb").is_file(), key


def test_the_site_is_small(site):
    size = Counter()
    for path in site.rglob("*"):
        if path.is_file():
            size[path.relative_to(site).parts[0]] += path.stat().st_size
    chinese, weights = size.pop("zh"), size.pop("weights")
    assert weights < WEIGHTS
    assert max(chinese, sum(size.values())) < PAGES


def test_every_chinese_page_has_the_headings_of_the_english_one(site):
    for path in (site / "zh" / "chapters").glob("*.html"):
        ours, theirs = (
            re.findall(r'<section[^>]* id="([^"]*)"', one.read_text(encoding="utf-8"))
            for one in (path, site / "chapters" / path.name)
        )
        assert ours == theirs, path.name
        assert '<html class="no-js" lang="zh-CN"' in path.read_text(encoding="utf-8")


def test_no_solution_is_on_the_site(site):
    solution = re.compile(r"@exercise\.(reference|right|wrong)")
    found = [path for path in site.rglob("*_exercises.*") if solution.search(path.read_text())]
    assert found == []


# --- in the browser -----------------------------------------------------------------------


def faults_of(page, path: Path) -> list[str]:
    """Returns what is wrong with a page at both widths and in both colours."""
    found = []
    page.goto(path.as_uri())
    for size in (DESK, PHONE):
        page.set_viewport_size(size)
        for colour in ("light", "dark"):
            page.emulate_media(color_scheme=colour)
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > size["width"]:
                found.append(f"{width} wide at {size['width']}: {page.evaluate(OVERFLOWING)}")
    if page.locator("article").count():
        prose = page.evaluate(PROSE)
        raw = re.findall(r".{0,20}(?:\$|\\\().{0,20}", prose)
        found += [f"raw formula: {text}" for text in raw]
        if page.evaluate("document.documentElement.lang") == "zh-CN":  # English hints have powers
            found += [f"raw stars: {text}" for text in re.findall(r".{0,9}\*\*.{0,9}", prose)]
            found += [f"a line begins with a mark: {text}" for text in page.evaluate(MARKS_ALONE)]
    none = "article img:not([alt]), article img[alt=''], article img[alt$='.png']"
    empty = page.locator(none).count()
    return found + ([f"{empty} pictures without a text alternative"] if empty else [])


def faults_of_all(browser, paths: list[Path]) -> list[str]:
    """Returns what is wrong with pages, what they write to the console, and what they ask for."""
    found = []
    page = browser.new_page()
    page.on("console", lambda message: found.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"{page.url}: {error}"))
    page.on("request", lambda one: one.url[:5] in ("file:", "data:") or found.append(one.url))
    for path in paths:
        found += [f"{path.name}: {fault}" for fault in faults_of(page, path)]
    page.close()
    return found


def test_every_page_at_both_widths_in_both_colours(site, browser):
    assert faults_of_all(browser, pages_of(site)) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("<p>The rate is $\\eta$.</p>", "raw formula"),
        ("<p>The rate is \\(\\eta\\).</p>", "raw formula"),
        (f"{IN_CHINESE}<p>**门（GRU）**是</p>", "raw stars"),
        (f"{IN_CHINESE}<p style='width: 1em'>{FORMULA}。是</p>", "a line begins with a mark"),
        ("<div style='width: 500px'>wide</div>", "wide at 390"),
        ("<img src='a.png'>", "without a text alternative"),
        ("<img src='a.png' alt='_images/a.png'>", "without a text alternative"),
        ("<script>console.log('x')</script>", ": x"),
        ("<script>fail()</script>", "fail is not defined"),
        ("<script src='https://example.org/x.js'></script>", "https://example.org/x.js"),
    ],
)
def test_a_bad_page_would_be_noticed(content, fault, tmp_path, browser):
    (tmp_path / "a.html").write_text(f"<article>{content}</article>")
    assert any(fault in one for one in faults_of_all(browser, [tmp_path / "a.html"]))


def test_a_good_page_has_no_faults(tmp_path, browser):
    (tmp_path / "a.html").write_text("<article><p>A page.</p><code>$x$</code></article>")
    assert faults_of_all(browser, [tmp_path / "a.html"]) == []


@pytest.mark.parametrize("words", [*SEARCHES, *CHINESE_SEARCHES], ids=str)
def test_search_finds_a_section(words, site, browser):
    page = browser.new_page()
    start = "zh/index.html" if words in CHINESE_SEARCHES else "index.html"
    page.goto((site / start).as_uri())
    page.get_by_role("searchbox").or_(page.locator(".sidebar-search")).first.fill(words)
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    page.wait_for_function("document.querySelector('.search-summary')?.textContent.match(/\\d/)")
    found = page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
    page.close()
    wanted = (SEARCHES | CHINESE_SEARCHES)[words]
    assert any(re.sub(r"\?[^#]*", "", link).endswith(wanted) for link in found[:5]), found


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_other_language_is_opened_at_the_same_heading(size, site, browser):
    page = browser.new_page(viewport=size)
    page.goto((site / "chapters/chapter1.html").as_uri() + "#a-canyon")
    for language, title in (("zh-CN", "峡谷"), ("en", "A canyon")):
        page.wait_for_function(AT_THE_CANYON)  # pages scroll smoothly
        if size == PHONE:
            page.locator(".nav-overlay-icon:visible").first.click()
        page.locator(f".sidebar-drawer a.language[lang={language}]").click()
        page.wait_for_url("**#a-canyon")
        assert page.locator("section#a-canyon > h2").text_content().startswith(title)
    page.close()


@pytest.mark.parametrize("colour", ["light", "dark"])
def test_axe_finds_nothing_serious(colour, site, browser, axe):
    found = []
    page = browser.new_page(viewport=DESK, color_scheme=colour)
    for path in pages_of(site):
        if "_modules" in path.parts and path.stem != "fitting":
            continue  # code listings, all alike
        page.goto(path.as_uri())
        page.evaluate(axe)
        result = page.evaluate("axe.run({resultTypes: ['violations']})")
        for one in result["violations"]:
            if one["impact"] in ("serious", "critical"):
                example = one["nodes"][0]["html"][:160]
                found.append(
                    f"{path.relative_to(site)}: {one['id']}, {len(one['nodes'])}: {example}"
                )
    page.close()
    assert found == []


def test_the_dark_button_copy_buttons_and_next_page_work(site, browser):
    page = browser.new_page(viewport=DESK, color_scheme="light")
    page.goto((site / "chapters" / "chapter3.html").as_uri())
    background = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(background)
    while page.evaluate("document.body.dataset.theme") != "dark":
        page.locator(".theme-toggle:visible").first.click()
    assert page.evaluate(background) != before
    assert page.locator("button.copybtn").count() > 30
    page.locator("a.next-page").click()
    assert page.url.endswith("chapter3_exercises.html")
    hint = page.locator("details").first
    assert not hint.locator("p").is_visible()
    hint.locator("summary").click()
    assert hint.locator("p").is_visible()
    page.close()
