// The page *Writer*: chapter 6's language model writes on, a character at a time.
{
  const { transformer: net, colour } = kerasbook;
  const byId = (id) => document.getElementById(`writer-${id}`);
  const content = kerasbook.load("writer");
  const { weights, heads, window: reach } = content;
  const characters = ["�", ...content.characters];
  const LONGEST = 1000; // characters
  const state = new kerasbook.State({ text: "KING.\nThe ", temperature: "0.8", topk: "0", topp: "1", seed: "0" });
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
    return order.map((n) => `<tr data-p="${before[n]}" data-after="${after[n]}"><td><button type="button" data-n="${n}" aria-label="write ${nameOf(n)}">${escape(nameOf(n))}</button></td><td class="bar two"><span style="width: ${100 * before[n]}%"></span><span style="width: ${100 * after[n]}%"></span></td><td>${(100 * before[n]).toFixed(1)} %</td><td>${(100 * after[n]).toFixed(1)} %</td></tr>`).join("");
  }

  const escape = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

  // How surprised the model was by each character of its window: nats, −ln of its probability.
  function surprises() {
    return tokens.slice(1).map((token, n) => -Math.log(net.softmax(found.logits[n])[token]));
  }

  function windowShown() {
    const nats = surprises();
    return tokens.map((token, n) => {
      const strength = n === 0 ? 0 : Math.min(nats[n - 1] / 6, 1);
      const title = n === 0 ? "" : ` title="${nats[n - 1].toFixed(2)} nats"`;
      const text = characters[token] === "\n" ? "⏎<br>" : escape(characters[token]);
      return `<span style="--strength: ${Math.round(70 * strength)}%"${title}>${text}</span>`;
    }).join("");
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
      byId("window").innerHTML = "";
      return;
    }
    byId("rows").innerHTML = rows();
    const nats = surprises();
    const mean = nats.reduce((sum, v) => sum + v, 0) / nats.length;
    const kept = chosen().filter((v) => v > 0).length;
    const unknown = tokens.filter((token) => token === 0).length;
    byId("says").textContent = `${nats.length ? `The window's ${nats.length} characters cost it ${mean.toFixed(2)} nats each. ` : ""}For the next, ${kept} of ${characters.length} characters are left by the knobs; their choice has ${entropy(chosen()).toFixed(2)} nats.${unknown ? ` ${unknown} in the window are unknown to it.` : ""}`;
    byId("says").dataset.mean = mean;
    byId("window").innerHTML = windowShown();
  }

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
  for (const name of ["temperature", "topk", "topp"]) kerasbook.bind(state, name, byId(name), show);
  kerasbook.onAddress(() => location.reload());
  read();
}
