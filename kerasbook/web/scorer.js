// The order of what search finds: chapters and the glossary, then exercises, then the reference,
// but for the names of its functions.
var Scorer = {
  score: ([page, title, anchor, description, score, file, kind]) => {
    if (kind === "object") return score + 10;
    if (page.endsWith("_exercises")) return score - 5;
    if (page.startsWith("chapters/") || page === "glossary") return score + 10;
    return page.startsWith("docs/") || page.startsWith("playgrounds/") ? score : score - 20;
  },
  objNameMatch: 11, objPartialMatch: 6, objPrio: { 0: 15, 1: 5, 2: -5 }, objPrioDefault: 0,
  title: 15, partialTitle: 7, term: 5, partialTerm: 2,
};
