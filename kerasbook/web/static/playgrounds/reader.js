// The page *Reader*: chapter 4's network on a sentence that one types.
{
  const { recurrent: net, colour } = kerasbook;
  const byId = (id) => document.getElementById(`reader-${id}`);
  const content = kerasbook.load("reader");
  const { weights } = content;
  const vocabulary = net.makeVocabulary(content.words);
  const PAIRS = [
    ["it is funny, not dull", "it is dull, not funny"],
    ["not bad, but good", "not good, but bad"],
    ["the film is clever and the plot is silly", "the film is silly and the plot is clever"],
    ["a good cast in a bad film", "a bad cast in a good film"],
    ["it begins brilliant and ends boring", "it begins boring and ends brilliant"],
    ["never dull, always moving", "always dull, never moving"],
  ];
  const state = new kerasbook.State({ text: "It is not a funny film, and it is never clever, but it is not dull.", word: "16", pair: "0" });
  let words, found, later;

  const ends = () => (found.words.at(-1) ?? found.start).probability;
  const before = (at) => (at === 0 ? found.start : found.words[at - 1]).probability;
  const at = () => Math.min(Math.max(0, Math.round(state.number("word")) - 1), words.length - 1);
  const three = (v) => v.toFixed(3);

  function read() {
    words = net.splitWords(state.get("text")).slice(0, 40);
    found = net.read(net.encode(state.get("text"), vocabulary), weights);
    show();
    clearTimeout(later); // it reads the sentence a hundred times: not at every key
    later = setTimeout(() => (byId("compare").textContent = words.length > 1 ? compare() : ""), 200);
  }

  // --- does the order matter, or only the words? ------------------------------------------------

  const ORDERS = 50;
  const answerTo = (numbers) => (net.read(numbers, weights).words.at(-1) ?? found.start).probability;

  // The same sentence is shuffled the same way, so that an address shows what its sender saw.
  function shuffled(numbers, random) {
    const copy = [...numbers];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [copy[i], copy[j]] = [copy[j], copy[i]];
    }
    return copy;
  }

  function makeRandom(seed) {
    let state = seed;
    return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  }

  // Returns {lowest, highest} of many orders, and what the sentence gets without each of its words.
  function comparison() {
    const numbers = found.words.map(({ number }) => number);
    const random = makeRandom(numbers.reduce((sum, number) => (31 * sum + number) >>> 0, 7));
    const orders = Array.from({ length: ORDERS }, () => answerTo(shuffled(numbers, random)));
    const without = numbers.map((_, n) => answerTo(numbers.filter((_, other) => other !== n)));
    return { lowest: Math.min(...orders), highest: Math.max(...orders), without };
  }

  function compare() {
    const { lowest, highest, without } = comparison();
    const moves = without.map((p) => Math.abs(p - ends()));
    const most = moves.indexOf(Math.max(...moves));
    Object.assign(byId("compare").dataset, { lowest, highest, without: without[most] });
    return `In ${ORDERS} other orders of the same words: from ${three(lowest)} to ${three(highest)}. Without “${words[most]}”, the word that matters most: ${three(without[most])}.`;
  }

  // --- the picture: words, probabilities, gates; a column for each word -----------------------------

  const [TOP, CURVE, GATE, GAP] = [86, 90, 5, 24];

  const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

  function order() {
    const units = Array.from(found.words[0].z.keys());
    const means = units.map((u) => mean(found.words.map((word) => word.z[u])));
    return units.sort((a, b) => means[a] - means[b]);
  }

  function draw(context, width) {
    if (!words.length) return;
    const column = (width - 46) / words.length;
    const x = (n) => 40 + n * column;
    context.font = "12px sans-serif";
    drawWords(context, x, column);
    drawCurve(context, x, column, width);
    drawGate(context, "z", x, column, TOP + CURVE + GAP, "update gate z");
    drawGate(context, "r", x, column, TOP + CURVE + 2 * GAP + 32 * GATE, "reset gate r");
    context.strokeStyle = colour("two");
    context.lineWidth = 2;
    const gates = [TOP + CURVE + GAP, TOP + CURVE + 2 * GAP + 32 * GATE].map((top) => [top, 32 * GATE]);
    for (const [top, height] of [[2, TOP + CURVE - 2], ...gates]) context.strokeRect(x(at()), top, column, height);
  }

  function drawWords(context, x, column) {
    words.forEach((word, n) => {
      context.save();
      context.translate(x(n) + column / 2 + 4, TOP - 6);
      context.rotate(-Math.PI / 2);
      context.fillStyle = found.words[n].number === 1 ? colour("faint") : colour("ink");
      context.fillText(word.length > 11 ? `${word.slice(0, 10)}…` : word, 0, 0);
      context.restore();
    });
  }

  function drawCurve(context, x, column, width) {
    const y = (p) => TOP + (1 - p) * CURVE;
    context.textAlign = "right";
    context.fillStyle = colour("faint");
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    for (const p of [0, 0.5, 1]) {
      context.fillText(String(p), 34, y(p) + 4);
      context.beginPath();
      context.moveTo(40, y(p));
      context.lineTo(width - 6, y(p));
      context.stroke();
    }
    context.textAlign = "left";
    found.words.forEach(({ probability }, n) => {
      const [from, to] = [y(before(n)), y(probability)];
      context.fillStyle = colour(probability >= before(n) ? "one" : "two");
      context.fillRect(x(n) + 0.15 * column, Math.min(from, to), 0.7 * column, Math.max(1.5, Math.abs(from - to)));
      context.fillStyle = colour("ink");
      context.fillRect(x(n) + 0.15 * column, to - 1, 0.7 * column, 2);
    });
  }

  const reachOf = (gate) => Math.max(...found.words.flatMap((word) => Array.from(word[gate], (v) => Math.abs(v - 0.5))));

  function drawGate(context, gate, x, column, top, name) {
    const reach = reachOf(gate);
    const [low, high] = [kerasbook.rgb("gate-low"), kerasbook.rgb("gate-high")];
    context.fillStyle = colour("faint");
    context.fillText(`${name}: dark ${three(0.5 - reach)}, light ${three(0.5 + reach)}`, 40, top - 6);
    order().forEach((unit, row) => {
      found.words.forEach((word, n) => {
        const shade = kerasbook.between(low, high, (word[gate][unit] - 0.5 + reach) / (2 * reach));
        context.fillStyle = `rgb(${shade})`;
        context.fillRect(x(n), top + row * GATE, column + 0.5, GATE + 0.5);
      });
    });
  }

  // --- words and numbers ------------------------------------------------------------------------

  function oneWord() {
    if (!words.length) return "";
    const { number, z, r, change, probability } = found.words[at()];
    const known = number === 1 ? "not in the vocabulary, so it is read as “unknown”" : `number ${number} of 10,000`;
    const moved = probability - before(at());
    return `“${words[at()]}”, ${known}: the probability goes from ${three(before(at()))} to ${three(probability)} (${moved < 0 ? "−" : "+"}${three(Math.abs(moved))}). Update gate on average ${three(mean(z))}, reset gate ${three(mean(r))}; the state moves by ${three(change)}.`;
  }

  // How far the gates open and close in this sentence.
  function gates() {
    const reach = Math.max(reachOf("z"), reachOf("r"));
    const range = (gate) => `${(0.5 - reachOf(gate)).toFixed(2)} and ${(0.5 + reachOf(gate)).toFixed(2)}`;
    const half = reach < 0.3 ? " None opens or closes: all stay about half open." : "";
    return `In this sentence the update gates lie between ${range("z")}, the reset gates between ${range("r")}.${half}`;
  }

  function table() {
    return found.words.map((word, n) =>
      `<tr><th scope="row">${escape(words[n])}</th>${[word.probability, word.probability - before(n), mean(word.z), mean(word.r), word.change].map((v) => `<td>${three(v).replace("-", "−")}</td>`).join("")}</tr>`).join("");
  }

  const escape = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

  function showPair() {
    const pair = PAIRS[Math.round(state.number("pair"))] ?? PAIRS[0];
    const answers = pair.map((text) => (net.read(net.encode(text, vocabulary), weights).words.at(-1)).probability);
    ["first", "second"].forEach((id, n) => {
      byId(id).textContent = `${pair[n]}: ${three(answers[n])}`;
      byId(id).dataset.p = answers[n];
    });
    const same = answers[0] > 0.5 === answers[1] > 0.5;
    byId("pair-says").textContent = same
      ? `The same words, the same answer for both. They differ by ${three(Math.abs(answers[0] - answers[1]))}.`
      : "The same words, and two answers.";
  }

  function show() {
    const p = ends();
    const left = net.splitWords(state.get("text")).length - words.length;
    byId("says").textContent = words.length
      ? `Probability of praise: ${three(p)}. ${p > 0.5 ? "Praise" : "Blame"}, it says.${left > 0 ? ` It reads 40 words; the last ${left} are cut off.` : ""}`
      : `Type a sentence. To nothing at all it gives ${three(p)}.`;
    byId("says").dataset.p = p;
    byId("gates").textContent = words.length ? gates() : "";
    byId("one").textContent = oneWord();
    byId("rows").innerHTML = table();
    byId("picture").style.minWidth = `${46 + 17 * words.length}px`;
    byId("picture").setAttribute("aria-label", `A column for each of ${words.length} words: the probability of praise if the sentence ended there, the update gates and the reset gates of 32 units. ${oneWord()} The table has all words.`);
    byId("picture").hidden = !words.length;
    drawNow();
    showPair();
  }

  const drawNow = kerasbook.picture(byId("picture"), draw);

  function choose(n) {
    state.set("word", Math.min(Math.max(1, n), words.length));
    show();
  }

  byId("picture").addEventListener("click", (event) => {
    const { width, left } = byId("picture").getBoundingClientRect();
    choose(1 + Math.floor((event.clientX - left - 40) / ((width - 46) / words.length)));
  });
  byId("picture").addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at(), ArrowRight: at() + 2, Home: 1, End: words.length }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });

  function take(text) {
    byId("text").value = text;
    state.set("text", text);
    read();
  }

  byId("shuffle").addEventListener("click", () => take(shuffled(net.splitWords(state.get("text")), Math.random).join(" ")));
  byId("pair").innerHTML = PAIRS.map(([first], n) => `<option value="${n}">${first} …</option>`).join("");
  ["first", "second"].forEach((id, n) => byId(id).addEventListener("click", () => take((PAIRS[Math.round(state.number("pair"))] ?? PAIRS[0])[n])));
  kerasbook.bind(state, "text", byId("text"), read);
  kerasbook.bind(state, "pair", byId("pair"), showPair);
  kerasbook.onAddress(state);
  read();
}
