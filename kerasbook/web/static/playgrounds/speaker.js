// The page *Speaker*: chapter 6's encoder and decoder say a word that one types.
{
  const { transformer: net, sounds, colour } = kerasbook;
  const byId = (id) => document.getElementById(`speaker-${id}`);
  const content = kerasbook.load("speaker");
  const { weights, heads } = content;
  const nameOf = (n) => ["nothing", "<start>", "<end>"][n] ?? content.sounds[n];
  const state = new kerasbook.State({ word: "knight", beams: "4", way: "greedy", look: "cross1", step: "1" });
  const LOOKS = { // which attention is drawn: title, where it is, what asks and what is looked at
    cross1: ["decoder, block 2: from sounds to letters", "cross", 1], cross0: ["decoder, block 1: from sounds to letters", "cross", 0],
    own1: ["decoder, block 2: from sounds to sounds", "attention", 1], own0: ["decoder, block 1: from sounds to sounds", "attention", 0],
    letters1: ["encoder, block 2: from letters to letters", "encoder", 1], letters0: ["encoder, block 1: from letters to letters", "encoder", 0],
  };
  let encoder, said, beams, decoder;

  const spoken = (row) => row.filter((sound) => sound > net.END).map(nameOf);
  const current = () => (state.get("way") === "greedy" ? said : (beams[Number(state.get("way"))] ?? beams[0]).said);
  const step = () => Math.min(Math.max(1, Math.round(state.number("step"))), current().length);

  let word = state.defaults.word; // the last one that could be read
  let complaint = "";

  function read() {
    const typed = state.get("word").trim().toLowerCase();
    try {
      net.encodeLetters(typed);
      [word, complaint] = [typed, ""];
    } catch (error) {
      complaint = error.message;
    }
    encoder = net.readLetters(weights, net.encodeLetters(word), heads);
    said = net.greedy(weights, encoder.out, heads);
    beams = net.beamSearch(weights, encoder.out, heads, Math.min(Math.max(1, Math.round(state.number("beams"))), 8));
    look();
  }

  function look() {
    decoder = net.say(weights, encoder.out, [net.START, ...current().slice(0, -1)], heads);
    show();
  }

  // --- words ------------------------------------------------------------------------------------

  function line(name, row, value, note) {
    const pressed = state.get("way") === value;
    return `<tr><td><button type="button" data-way="${value}" aria-pressed="${pressed}">${name}</button></td><td class="spoken">${inWords(row)}</td><td>${note}</td><td><button type="button" data-play="${value}" aria-label="play ${name}">▶</button></td></tr>`;
  }

  function logitsFor(row) {
    return net.say(weights, encoder.out, [net.START, ...row.slice(0, -1)], heads).logits;
  }

  const example = (sound) => (sounds.examples[sound] ? `as in ${sounds.examples[sound]}` : "");
  const inWords = (row) => spoken(row).map((sound) => `<span title="${example(sound)}">${sound}</span>`).join(" ");

  function table() {
    const logits = logitsFor(said);
    const greedy = said.reduce((product, sound, n) => product * net.softmax(logits[n])[sound], 1);
    const percent = (p) => `${(100 * p).toFixed(1)} %`;
    return line("greedy", said, "greedy", percent(greedy)) + beams.map((one, n) => line(`beam ${n + 1}`, one.said, String(n), percent(Math.exp(one.score)))).join("");
  }

  function stepRows() {
    const p = net.softmax(decoder.logits[step() - 1]);
    const order = Array.from(p.keys()).sort((a, b) => p[b] - p[a]).slice(0, 5);
    return order.map((n) => `<tr${n === current()[step() - 1] ? ' class="best"' : ""} data-p="${p[n]}"><th scope="row">${nameOf(n).replace("<", "&lt;")} <small>${example(nameOf(n))}</small></th><td class="bar"><span style="width: ${100 * p[n]}%"></span></td><td>${(100 * p[n]).toFixed(1)} %</td></tr>`).join("");
  }

  function show() {
    byId("rows").innerHTML = table();
    byId("says").textContent = complaint ? `${complaint} Below is still “${word}”.` : `It says “${word}”: ${spoken(current()).join(" ")}.`;
    byId("word").setAttribute("aria-invalid", Boolean(complaint));
    byId("says").dataset.said = spoken(current()).join(" ");
    byId("step").max = current().length;
    byId("step").value = step();
    byId("step-is").textContent = `${step()} of ${current().length}`;
    byId("before").textContent = `So far: ${["<start>", ...current().slice(0, step() - 1).map(nameOf)].join(" ")}. Now:`;
    byId("steps").innerHTML = stepRows();
    byId("maps").setAttribute("aria-label", describe());
    const { across, tall } = layout(byId("maps").getBoundingClientRect().width);
    byId("maps").style.height = `${(tall * 4) / across}px`;
    drawNow();
  }

  // --- where it looks -----------------------------------------------------------------------------

  function maps() {
    const [title, kind, block] = LOOKS[state.get("look")] ?? LOOKS.cross1;
    const names = { sounds: ["<start>", ...current().slice(0, -1).map(nameOf)], letters: [...word] };
    if (kind === "encoder") return { title, weights: encoder.blocks[block].attention, rows: names.letters, columns: names.letters, marked: -1 };
    const found = decoder.blocks[block][kind];
    const columns = kind === "cross" ? names.letters : names.sounds;
    return { title, weights: found, rows: current().map(nameOf), columns, marked: step() - 1 };
  }

  function describe() {
    const { title, weights: shares, rows, columns, marked } = maps();
    const row = Math.max(marked, 0);
    const most = shares.map((head, n) => `head ${n + 1} most at ${columns[head[row].indexOf(Math.max(...head[row]))]}`);
    return `Attention of four heads, ${title}. For ${rows[row]}: ${most.join(", ")}.`;
  }

  const [left, top] = [46, 34];

  // Four maps in a row, or two on a phone; the canvas is as high as they are.
  function layout(width) {
    const { rows, columns } = maps();
    const across = width > 640 ? 4 : 2;
    const one = width / across;
    const cell = Math.min((one - left - 8) / columns.length, 22);
    return { across, one, cell, tall: top + rows.length * cell + 22 };
  }

  function drawNowOf(context, width) {
    const { weights: shares, rows, columns, marked } = maps();
    const { across, one, cell, tall } = layout(width);
    const [low, high] = [kerasbook.rgb("plate"), kerasbook.rgb("ink")];
    shares.forEach((head, n) => {
      const [x, y] = [(n % across) * one, Math.floor(n / across) * tall];
      context.font = "11px sans-serif";
      context.fillStyle = colour("faint");
      context.textAlign = "left";
      context.fillText(`head ${n + 1}`, x + left, y + 10);
      columns.forEach((name, k) => {
        context.textAlign = "center";
        const short = name === "<start>" ? "‹" : name;
        context.fillText(short, x + left + (k + 0.5) * cell, y + top - 5);
      });
      head.forEach((row, q) => {
        context.textAlign = "right";
        context.fillStyle = q === marked ? colour("two") : colour("faint");
        context.fillText(rows[q], x + left - 5, y + top + (q + 0.5) * cell + 4);
        row.forEach((share, k) => {
          context.fillStyle = `rgb(${kerasbook.between(low, high, share)})`;
          context.fillRect(x + left + k * cell, y + top + q * cell, cell - 1, cell - 1);
        });
      });
      if (marked >= 0) {
        context.strokeStyle = colour("two");
        context.lineWidth = 2;
        context.strokeRect(x + left - 1, y + top + marked * cell - 1, columns.length * cell + 1, cell + 1);
      }
    });
  }
  const drawNow = kerasbook.picture(byId("maps"), drawNowOf);

  // --- hands --------------------------------------------------------------------------------------

  let audio = null;
  function sound(names) {
    audio?.close();
    audio = new AudioContext();
    sounds.schedule(audio, names, audio.currentTime + 0.05);
    byId("played").textContent = `Played: ${names.join(" ")}.`;
  }

  const play = (value) => sound(spoken(value === "greedy" ? said : beams[Number(value)].said));

  byId("key").innerHTML = Object.entries(sounds.examples).map(([name, word]) => `<li><button type="button" data-sound="${name}" aria-label="play ${name} as in ${word}">${name}</button> ${word}</li>`).join("");
  byId("key").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) sound([button.dataset.sound]);
  });

  byId("rows").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.play) return play(button.dataset.play);
    state.set("way", button.dataset.way);
    look();
    byId("rows").querySelector(`[data-way="${button.dataset.way}"]`).focus();
  });
  byId("maps").addEventListener("keydown", (event) => {
    const to = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    if (!to) return;
    event.preventDefault();
    state.set("step", Math.min(Math.max(1, step() + to), current().length));
    show();
  });
  byId("look").innerHTML = Object.entries(LOOKS).map(([key, [title]]) => `<option value="${key}">${title}</option>`).join("");
  kerasbook.bind(state, "word", byId("word"), () => {
    state.set("way", "greedy");
    state.set("step", 1);
    read();
  });
  kerasbook.bind(state, "beams", byId("beams"), read);
  kerasbook.bind(state, "look", byId("look"), show);
  byId("step").addEventListener("input", () => {
    state.set("step", byId("step").value);
    show();
  });
  addEventListener("resize", show);
  kerasbook.onAddress(state);
  read();
}
