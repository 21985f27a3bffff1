"""Measures the playgrounds of a built site: their weight, and how long an answer takes.

    kerasbook web build && python tools/measure_playgrounds.py site

Needs playwright and Chromium. Prints a table in Markdown: kilobytes of all that the page loads of
its own, and the median of 30 answers in milliseconds, drawing included.
"""

import re
import shutil
import sys
from pathlib import Path

from kerasbook.web.playgrounds import playgrounds

from playwright.sync_api import sync_playwright

# What a reader does, as JavaScript: each call makes the page answer once, and draw.
ANSWERS = {
    "descent": ("a step of four balls", "document.getElementById('descent-step').click()"),
    "scratch": (
        "a hundred steps of training",
        "document.getElementById('scratch-hundred').click()",
    ),
    "garments": (
        "a picture",
        "document.querySelectorAll('#garments-choice button')[i % 20].click()",
    ),
    "reader": (
        "a sentence of 16 words",
        "(box => { box.value = 'it is not a funny film and it is never clever but it is not ' + i;"
        " box.dispatchEvent(new Event('input')); })(document.getElementById('reader-text'))",
    ),
    "writer": ("a character", "document.getElementById('writer-next').click()"),
    "speaker": (
        "a word, greedily and by 4 beams",
        "(box => { box.value = ['thought', 'island'][i % 2];"
        " box.dispatchEvent(new Event('input')); })(document.getElementById('speaker-word'))",
    ),
}
MEDIAN = """async () => {{
    const times = [];
    for (let i = 0; i < 30; i++) {{
        const before = performance.now();
        {answer};
        times.push(performance.now() - before);
        await new Promise(requestAnimationFrame);
    }}
    return times.sort((a, b) => a - b)[15];
}}"""


def weight_of(page, site: Path) -> int:
    """Returns the bytes of the page and of the scripts and weights that only playgrounds have."""
    sources = page.eval_on_selector_all("script[src]", "all => all.map(one => one.src)")
    own = [one for one in sources if "/playgrounds/" in one or "/weights/" in one]
    files = {Path(re.split("[?#]", one.removeprefix("file://"))[0]) for one in [*own, page.url]}
    return sum(file.stat().st_size for file in files)


def main(site: Path) -> None:
    """Prints the table."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    print("| playground | kB | answer | ms |\n|---|---|---|---|")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for one in playgrounds():
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto((site.resolve() / "playgrounds" / f"{one.name}.html").as_uri())
            name, answer = ANSWERS[one.name]
            median = page.evaluate(MEDIAN.format(answer=answer))
            print(f"| {one.title} | {weight_of(page, site) / 1000:.0f} | {name} | {median:.1f} |")
            page.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
