// From a folder the browser lets no script read other pages: search shows titles, no excerpts.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// What furo and myst-nb leave out: a heading has a level, and a name is what can be read.
addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll("[role=heading]")) caption.ariaLevel = 2;
  for (const summary of document.querySelectorAll("summary")) summary.removeAttribute("aria-label");
});

// What scrolls sideways can be reached and scrolled by keys.
addEventListener("load", () => {
  for (const box of document.querySelectorAll("pre, .table-wrapper, .katex-display, .text_html")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});

// The link to the other language leads to the heading that is read: ids are the same in both.
for (const event of ["click", "auxclick"]) {
  addEventListener(event, ({ target }) => {
    const link = target.closest?.("a.language");
    if (!link) return;
    const above = [...document.querySelectorAll("article section[id]")].filter(
      (section) => section.getBoundingClientRect().top < 120
    );
    link.hash = above.length > 1 ? above.at(-1).id : "";
  }, true);
}
