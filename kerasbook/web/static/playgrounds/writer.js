// The page *Writer*: chapter 6's language model writes on, a character at a time.
{
  const { transformer: net, colour } = kerasbook;
  const byId = (id) => document.getElementById(`writer-${id}`);
  const content = kerasbook.load("writer");
  const { weights, heads, window: reach } = content;
  const characters = ["�", ...content.characters];
  const LONGEST = 1000; // characters
  const state = new kerasbook.State({ text: "KING.\nThe ", temperature: "0.8", topk: "0", topp: "1", seed: "0", shade: "surprise" });
  let found, tokens;

  const encode = (text) => net.encodeText(text, content.characters);
  const knobs = () => ({
    temperature: state.number("temperature"), topK: Math.round(state.number("topk")), topP: state.number("topp"),
  });
  const nameOf = (n) => ({ " ": "space", "\n": "new line" })[characters[n]] ?? characters[n];

  function read() {
    tokens = encode(state.get("text")).slice(-reach);
    found = tokens.length ? net.write(weights, tokens, heads) : null;
    show();
  }

  const plain = () => net.softmax(found.logits.at(-1));
  const chosen = () => net.choices(found.logits.at(-1), knobs());

  // The same seed and the same text draw the same character, so that an address can be sent on.
  function random() {
    let hash = 2166136261 ^ state.number("seed");
    for (const token of encode(state.get("text"))) hash = Math.imul(hash ^ token, 16777619);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
    return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32;
  }

  function append(character) {
    const text = state.get("text") + character;
    state.set("text", text);
    byId("text").value = text;
    byId("text").scrollTop = byId("text").scrollHeight;
    read();
  }

  function next() {
    if (!found || state.get("text").length >= LONGEST) return false;
    append(characters[net.draw(chosen(), random())]);
  }

  // --- what comes next ------------------------------------------------------------------------

  function rows() {
    const [before, after] = [plain(), chosen()];
    const order = Array.from(before.keys()).sort((a, b) => before[b] - before[a]).slice(0, 12);
    const wide = (p) => `${Math.round((1000 * p) / Math.max(0.5, before[order[0]], after[order[0]])) / 10}%`;
    return order.map((n) => `<tr data-p="${before[n]}" data-after="${after[n]}"><td><button type="button" data-n="${n}" aria-label="write ${nameOf(n)}">${escape(nameOf(n))}</button></td><td class="bar two"><span style="width: ${wide(before[n])}"></span><span style="width: ${wide(after[n])}"></span></td><td>${(100 * before[n]).toFixed(1)} %</td><td>${(100 * after[n]).toFixed(1)} %</td></tr>`).join("");
  }

  const escape = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

  // How surprised the model was by each character of its window: nats, −ln of its probability.
  function surprises() {
    return tokens.slice(1).map((token, n) => -Math.log(net.softmax(found.logits[n])[token]));
  }

  // What the window is shaded by: for each character a strength from 0 to 1, and what it means.
  function shades() {
    const [, block, head] = state.get("shade").match(/^(\d)(\d)$/) ?? [];
    const weights = block && found.blocks[block]?.attention[head]?.at(-1);
    if (weights) {
      const most = Math.max(...weights);
      return Array.from(weights, (share) => ({ strength: share / most, title: `${(100 * share).toFixed(1)} % of the attention` }));
    }
    return [{ strength: 0, title: "the first: nothing to guess it from" }, ...surprises().map((nats) => (
      { strength: Math.min(nats / 6, 1), title: `it gave this character ${(100 * Math.exp(-nats)).toFixed(1)} %, ${nats.toFixed(2)} nats` }))];
  }

  function windowShown() {
    const found = shades();
    return tokens.map((token, n) => {
      const text = characters[token] === "\n" ? "⏎<br>" : escape(characters[token]);
      return `<span style="--strength: ${Math.round(70 * found[n].strength)}%" title="${found[n].title}">${text}</span>`;
    }).join("");
  }

  // In words, for who cannot see the shades: the characters that are coloured most.
  function darkest() {
    const found = shades();
    const order = found.map((_, n) => n).sort((a, b) => found[b].strength - found[a].strength).slice(0, 3);
    return `Most coloured: ${order.map((n) => `“${nameOf(tokens[n])}” (number ${n + 1}: ${found[n].title})`).join(", ")}.`;
  }

  function entropy(p) {
    return p.reduce((sum, v) => (v > 0 ? sum - v * Math.log(v) : sum), 0);
  }

  function show() {
    byId("temperature-is").textContent = state.get("temperature");
    byId("topk-is").textContent = state.get("topk") === "0" ? "all" : state.get("topk");
    byId("topp-is").textContent = state.get("topp");
    if (!found) {
      byId("rows").innerHTML = "";
      byId("says").textContent = "Write at least one character for it to begin with.";
      byId("window").innerHTML = byId("darkest").textContent = byId("window-says").textContent = "";
      return;
    }
    byId("rows").innerHTML = rows();
    const nats = surprises();
    const mean = nats.reduce((sum, v) => sum + v, 0) / nats.length;
    const kept = chosen().filter((v) => v > 0).length;
    const unknown = tokens.filter((token) => token === 0).length;
    const equal = (nats) => kerasbook.short(Number(Math.exp(nats).toPrecision(2)));
    byId("window-says").textContent = nats.length ? `On the way it was surprised by ${mean.toFixed(2)} nats a character, as if ${equal(mean)} had been equally likely.` : "";
    const strange = unknown ? ` ${unknown} in the window ${unknown === 1 ? "is" : "are"} unknown to it.` : "";
    byId("says").textContent = `${kept} of ${characters.length} characters are left by the knobs. It is as undecided as between ${equal(entropy(chosen()))} equally likely ones (${entropy(chosen()).toFixed(2)} nats).${strange}`;
    byId("says").dataset.mean = mean;
    byId("darkest").textContent = darkest();
    byId("window").innerHTML = windowShown();
  }

  // The attention of the block's heads, when the next character is chosen.
  byId("shade").innerHTML = `<option value="surprise">where they surprise it</option>${[0, 1].flatMap((block) => Array.from({ length: heads }, (_, head) => `<option value="${block}${head}">where block ${block + 1}, head ${head + 1} looks for the next</option>`)).join("")}`;

  const clock = kerasbook.clock(next, 30, () => {
    byId("run").textContent = clock?.running ? "Stop" : "Write";
  });
  byId("run").addEventListener("click", () => (clock.running ? clock.stop() : clock.start()));
  byId("next").addEventListener("click", next);
  byId("seed").addEventListener("click", () => {
    state.set("seed", state.number("seed") + 1);
    show();
  });
  byId("again").addEventListener("click", () => {
    clock.stop();
    state.set("text", state.defaults.text);
    byId("text").value = state.defaults.text;
    read();
  });
  byId("rows").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) append(characters[button.dataset.n]);
  });
  kerasbook.bind(state, "text", byId("text"), read);
  for (const name of ["temperature", "topk", "topp", "shade"]) kerasbook.bind(state, name, byId(name), show);
  kerasbook.onAddress(state);
  read();
  kerasbook.beginAlone(next, 90, 25);
}
