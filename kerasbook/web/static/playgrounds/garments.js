// The page *Garments*: chapter 3's network on pictures that one can draw into.
{
  const { convolution: net, colour } = kerasbook;
  const byId = (id) => document.getElementById(`garments-${id}`);
  const content = kerasbook.load("garments");
  const { weights, classes, labels } = content;
  const stored = kerasbook.bytesOf(content.pictures);
  const [black, white] = [0, 255].map((v) => (v - content.mean) / content.std);
  const LAYERS = { // name: what it looks at, and maps in a row on a desk and on a phone
    conv_1: ["picture", 8, 4], pool_1: ["conv_1", 16, 8], conv_2: ["pool_1", 16, 8],
    pool_2: ["conv_2", 16, 8], conv_3: ["pool_2", 16, 8],
  };
  const state = new kerasbook.State({ picture: "0", edits: "", looks: "0", layer: "conv_1", map: "6", row: "12", column: "19" });
  let pixels, found, tool = "look";

  const number = () => Math.min(Math.max(0, Math.round(state.number("picture"))), labels.length);
  const isBlank = () => number() === labels.length;

  // --- the picture, and what was drawn into it: three letters a pixel, for the address ----------

  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

  function loadPicture() {
    const from = 784 * number();
    pixels = isBlank() ? new Uint8Array(784) : stored.slice(from, from + 784);
    for (const [, a, b, kind] of state.get("edits").matchAll(/([\w-])([\w-])([wk])/g)) {
      const at = 64 * LETTERS.indexOf(a) + LETTERS.indexOf(b);
      if (at < 784) pixels[at] = kind === "w" ? 255 : 0;
    }
  }

  function edit(row, column) {
    let edits = state.get("edits");
    const kind = tool === "pencil" ? "w" : "k";
    for (const [u, v] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      if (row + u > 27 || column + v > 27 || row + u < 0 || column + v < 0) continue;
      const at = 28 * (row + u) + column + v;
      const name = LETTERS[at >> 6] + LETTERS[at & 63];
      edits = (edits.match(/.../g) ?? []).filter((one) => one.slice(0, 2) !== name).join("") + name + kind;
      pixels[at] = kind === "w" ? 255 : 0;
    }
    state.set("edits", edits);
    answer();
  }

  // --- the answer -----------------------------------------------------------------------------

  function answer() {
    found = net.forward(weights, net.standardise(pixels, content.mean, content.std));
    show();
  }

  function bars() {
    const p = found.probabilities;
    const best = p.indexOf(Math.max(...p));
    return classes.map((name, k) => {
      const share = `${(100 * p[k]).toFixed(1)} %`;
      const mark = k === best ? ' class="best"' : "";
      const right = !isBlank() && labels[number()] === k ? " ✓" : "";
      return `<tr${mark} data-p="${p[k]}"><th scope="row"><button type="button" class="plain" data-k="${k}">${name}${right}</button></th><td>${two(found.logits[k])}</td><td class="bar"><span style="width: ${100 * p[k]}%"></span></td><td>${share}</td></tr>`;
    }).join("");
  }

  function verdict() {
    const p = found.probabilities;
    const best = p.indexOf(Math.max(...p));
    const says = `It says ${classes[best]}, ${(100 * p[best]).toFixed(1)} %.`;
    if (isBlank()) return says;
    const edited = state.get("edits") ? " You have drawn into it." : "";
    return `${says} It is: ${classes[labels[number()]]}.${edited}`;
  }

  const two = (v) => v.toFixed(2).replace("-", "−");
  const three = (v) => kerasbook.short(Number(v.toFixed(3)));

  // --- which number is looked at ----------------------------------------------------------------

  // A unit of the dense layer, or a logit, is a map of one number.
  const sizeOf = (layer) => LAYERS[layer] ? found[layer] : { height: 1, width: 1, channels: found[layer].length };

  function chosen() {
    const layer = LAYERS[state.get("layer")] || ["hidden", "logits"].includes(state.get("layer")) ? state.get("layer") : "conv_1";
    const { height, width, channels } = sizeOf(layer);
    const within = (name, most) => Math.min(Math.max(0, Math.round(state.number(name))), most - 1);
    return { layer, map: within("map", channels), row: within("row", height), column: within("column", width) };
  }

  function choose(change) {
    for (const [name, value] of Object.entries({ ...chosen(), ...change })) state.set(name, value);
    byId("channel").value = "";
    show();
  }

  const grid = (values, signed) => `<table class="nine">${[0, 1, 2].map((u) => `<tr>${[0, 1, 2].map((v) => {
    const value = values[3 * u + v];
    return `<td${signed ? ` class="${value < 0 ? "below" : "above"}"` : ""}>${three(value)}</td>`;
  }).join("")}</tr>`).join("")}</table>`;

  function explainConvolution({ layer, map, row, column }) {
    const input = found[LAYERS[layer][0]];
    const { channels, bias, total, value } = net.explain(weights, layer, input, row, column, map);
    const select = byId("channel");
    const largest = channels.map(({ sum }) => Math.abs(sum));
    const at = select.value === "" ? largest.indexOf(Math.max(...largest)) : Math.min(Number(select.value), channels.length - 1);
    const options = channels.map(({ sum }, c) => `<option value="${c}">${c + 1}: ${three(sum)}</option>`).join("");
    if (select.innerHTML !== options) select.innerHTML = options;
    select.value = at;
    byId("channel-box").hidden = channels.length === 1;
    const { window, kernel, sum } = channels[at];
    const products = window.map((v, n) => v * kernel[n]);
    byId("sum").innerHTML = `<div class="sum"><figure>${grid(window)}<figcaption>window${channels.length > 1 ? `, map ${at + 1} of ${LAYERS[layer][0]}` : " of the picture"}</figcaption></figure><b>×</b><figure>${grid(kernel, true)}<figcaption>kernel</figcaption></figure><b>=</b><figure>${grid(products, true)}<figcaption>products, sum ${three(sum)}</figcaption></figure></div>`;
    const all = channels.length > 1 ? `The sums of all ${channels.length} maps` : "The sum";
    const text = `${all} and the bias, ${three(bias)}, make ${three(total)}; relu leaves ${three(value)}.${layer === "conv_1" ? ` In the window black is ${two(black)} and white ${two(white)}: the pixels, standardised.` : ""}`;
    told(text, value, total);
  }

  function explainPool({ layer, map, row, column }) {
    const input = found[LAYERS[layer][0]];
    const four = [[0, 0], [0, 1], [1, 0], [1, 1]].map(([u, v]) => net.at(input, 2 * row + u, 2 * column + v, map));
    byId("channel-box").hidden = true;
    const cell = (v) => `<td>${three(v)}</td>`;
    byId("sum").innerHTML = `<div class="sum"><figure><table class="nine"><tr>${four.slice(0, 2).map(cell).join("")}</tr><tr>${four.slice(2).map(cell).join("")}</tr></table><figcaption>window, map ${map + 1} of ${LAYERS[layer][0]}</figcaption></figure></div>`;
    told(`The largest of the four is ${three(Math.max(...four))}.`, Math.max(...four), Math.max(...four));
  }

  function explainHidden({ map }) {
    const { places, bias, total, value } = net.explainDense(weights, found, map);
    byId("channel-box").hidden = true;
    const rows = Array.from({ length: 7 }, (_, i) => `<tr>${Array.from(places.slice(7 * i, 7 * i + 7), (v) => `<td class="${v < 0 ? "below" : "above"}">${two(v)}</td>`).join("")}</tr>`);
    byId("sum").innerHTML = `<div class="sum"><figure><table class="nine small">${rows.join("")}</table><figcaption>what each place of the picture adds: the sum over the 64 maps of conv_3</figcaption></figure></div>`;
    told(`All ${places.length} places and the bias, ${three(bias)}, make ${three(total)}; relu leaves ${three(value)}.`, value, total);
  }

  function explainLogit({ map }) {
    const { parts, bias, total } = net.explainLogit(weights, found, map);
    byId("channel-box").hidden = true;
    const most = [...parts].sort((a, b) => Math.abs(b.product) - Math.abs(a.product)).slice(0, 5);
    const rows = most.map(({ unit, value, weight, product }) => `<tr><td>${unit + 1}</td><td>${two(value)}</td><td>${two(weight)}</td><td class="${product < 0 ? "below" : "above"}">${two(product)}</td></tr>`);
    byId("sum").innerHTML = `<table class="nine"><thead><tr><th scope="col">unit</th><th scope="col">output</th><th scope="col">weight</th><th scope="col">product</th></tr></thead><tbody>${rows.join("")}</tbody></table>`;
    told(`The five units of the dense layer that weigh most. All 64 and the bias, ${three(bias)}, make ${three(total)}. The softmax turns the ten logits into ${(100 * found.probabilities[map]).toFixed(1)} % for this one.`, total, total);
  }

  function told(text, value, total) {
    byId("total").textContent = text;
    Object.assign(byId("total").dataset, { value, total });
  }

  function explain() {
    const now = chosen();
    const { layer, map, row, column } = now;
    const places = LAYERS[layer] && `${layer}, map ${map + 1} of ${found[layer].channels}, row ${row + 1}, column ${column + 1}`;
    byId("which").textContent = places ?? (layer === "logits" ? `the logit of ${classes[map]}` : `unit ${map + 1} of the dense layer`);
    const how = { hidden: explainHidden, logits: explainLogit }[layer] ?? (layer.startsWith("conv") ? explainConvolution : explainPool);
    how(now);
  }

  // --- pictures -------------------------------------------------------------------------------

  function grey(values, height, width, toneOf) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    values.forEach((value, at) => image.data.set([...toneOf(value), 255], 4 * at));
    context.putImageData(image, 0, 0);
    return canvas;
  }

  const drawPicture = kerasbook.picture(byId("picture"), (context, width, height) => {
    context.imageSmoothingEnabled = false;
    context.drawImage(grey(Array.from(pixels), 28, 28, (v) => [v, v, v]), 0, 0, width, height);
    if (state.get("looks") === "1") drawHeat(context, width, height);
    const { layer, row, column } = chosen();
    const reach = { conv_1: [1, 3, 1], pool_1: [2, 2, 0] }[layer];
    if (reach) frame(context, (width / 28) * (column * reach[0] - reach[2]), (height / 28) * (row * reach[0] - reach[2]), (width / 28) * reach[1]);
  });

  function drawHeat(context, width, height) {
    const heat = Array.from(net.whereItLooks(weights, found));
    const most = Math.max(...heat, 1e-9);
    const canvas = grey(heat, 7, 7, () => [240, 120, 40]);
    const image = canvas.getContext("2d").getImageData(0, 0, 7, 7);
    heat.forEach((v, at) => (image.data[4 * at + 3] = 190 * (v / most)));
    canvas.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = true;
    context.drawImage(canvas, 0, 0, width, height);
  }

  function frame(context, x, y, size) {
    context.strokeStyle = "#ff9d3c";
    context.lineWidth = 2;
    context.strokeRect(x, y, size, size);
  }

  const inARow = (layer) => LAYERS[layer][byId(layer).getBoundingClientRect().width > 560 ? 1 : 2];

  function drawMaps(layer) {
    return kerasbook.picture(byId(layer), (context, width, height) => {
      const map = found[layer];
      const [low, high] = [kerasbook.rgb("plate"), kerasbook.rgb("ink")];
      const most = Math.max(...map.values, 1e-9);
      const columns = inARow(layer);
      const cell = width / columns;
      context.imageSmoothingEnabled = false;
      for (let c = 0; c < map.channels; c++) {
        const values = Array.from({ length: map.height * map.width }, (_, p) => map.values[p * map.channels + c]);
        const image = grey(values, map.height, map.width, (v) => kerasbook.between(low, high, Math.sqrt(v / most)));
        const [x, y] = [(c % columns) * cell, Math.floor(c / columns) * cell];
        context.drawImage(image, x + 1, y + 1, cell - 2, cell - 2);
        context.strokeStyle = colour("line");
        context.lineWidth = 1;
        context.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
      }
      mark(context, layer, cell, columns);
    });
  }

  // Frames the chosen number, and in the layer below the window that it comes from.
  function mark(context, layer, cell, columns) {
    const now = chosen();
    const side = (cell - 2) / found[layer].width;
    const spot = (map) => [(map % columns) * cell + 1, Math.floor(map / columns) * cell + 1];
    if (layer === now.layer) {
      const [x, y] = spot(now.map);
      frame(context, x + now.column * side, y + now.row * side, side);
    } else if (layer === LAYERS[now.layer]?.[0]) {
      const pool = now.layer.startsWith("pool");
      const [x, y] = spot(pool ? now.map : Number(byId("channel").value || 0));
      const [first, size] = pool ? [2, 2] : [1, 3];
      frame(context, x + (first * now.column - (pool ? 0 : 1)) * side, y + (first * now.row - (pool ? 0 : 1)) * side, size * side);
    }
  }

  const draws = Object.keys(LAYERS).map((layer) => {
    const canvas = byId(layer);
    const pick = (event) => {
      const [a, b] = kerasbook.shareOf(canvas, event);
      const columns = inARow(layer);
      const { width, channels } = found[layer];
      const rows = Math.ceil(channels / columns);
      const [x, y] = [a * columns, b * rows];
      const map = Math.floor(y) * columns + Math.floor(x);
      if (map >= channels) return;
      choose({ layer, map, row: Math.floor((y % 1) * width), column: Math.floor((x % 1) * width) });
    };
    canvas.addEventListener("click", pick);
    canvas.addEventListener("pointermove", (event) => event.pointerType === "mouse" && event.buttons === 1 && pick(event));
    canvas.addEventListener("keydown", (event) => {
      const now = chosen();
      const same = now.layer === layer ? now : { layer, map: 0, row: 0, column: 0 };
      const change = {
        ArrowLeft: { column: same.column - 1 }, ArrowRight: { column: same.column + 1 }, ArrowUp: { row: same.row - 1 },
        ArrowDown: { row: same.row + 1 }, PageUp: { map: same.map - 1 }, PageDown: { map: same.map + 1 },
      }[event.key];
      if (!change) return;
      event.preventDefault();
      choose({ ...same, ...change });
    });
    return drawMaps(layer);
  });

  const drawHidden = kerasbook.picture(byId("hidden"), (context, width, height) => {
    const most = Math.max(...found.hidden, 1e-9);
    const [low, high] = [kerasbook.rgb("plate"), kerasbook.rgb("ink")];
    context.imageSmoothingEnabled = false;
    context.drawImage(grey(Array.from(found.hidden), 1, 64, (v) => kerasbook.between(low, high, v / most)), 0, 0, width, height);
    const { layer, map } = chosen();
    context.strokeStyle = "#ff9d3c";
    context.lineWidth = 2;
    if (layer === "hidden") context.strokeRect((map / 64) * width, 1, width / 64, height - 2);
  });
  byId("hidden").addEventListener("click", (event) => choose({ layer: "hidden", map: Math.min(63, Math.floor(64 * kerasbook.shareOf(byId("hidden"), event)[0])) }));
  byId("hidden").addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const { layer, map } = chosen();
    choose({ layer: "hidden", map: layer === "hidden" ? map + way : 0 });
  });
  byId("bars").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    choose({ layer: "logits", map: Number(button.dataset.k) });
    byId("bars").querySelector(`[data-k="${button.dataset.k}"]`).focus();
  });

  function show() {
    explain();
    byId("bars").innerHTML = bars();
    byId("says").textContent = verdict();
    const about = `${isBlank() ? "A drawing" : `A test picture, ${classes[labels[number()]]}`}. ${verdict()}`;
    byId("picture").setAttribute("aria-label", `${about}${state.get("looks") === "1" ? ` Orange is what speaks for the answer, most at ${brightest()}.` : ""}`);
    for (const layer of Object.keys(LAYERS)) {
      const map = found[layer];
      const active = map.values.reduce((sum, v) => sum + (v > 0), 0) / map.values.length;
      byId(layer).setAttribute("aria-label", `${layer}: ${map.channels} maps of ${map.height} by ${map.width} numbers, ${Math.round(100 * active)} % of them above zero. Chosen: ${byId("which").textContent}.`);
    }
    byId("hidden").setAttribute("aria-label", `The dense layer: ${found.hidden.filter((v) => v > 0).length} of 64 units are above zero.`);
    for (const draw of [drawPicture, drawHidden, ...draws]) draw();
    [...byId("choice").children].forEach((button, n) => button.setAttribute("aria-pressed", n === number()));
  }

  function brightest() {
    const heat = net.whereItLooks(weights, found);
    const best = heat.indexOf(Math.max(...heat));
    return `row ${Math.floor(best / 7) + 1} and column ${(best % 7) + 1} of 7`;
  }

  // --- hands ------------------------------------------------------------------------------------

  for (let n = 0; n <= labels.length; n++) {
    const button = document.createElement("button");
    button.type = "button";
    const name = n < labels.length ? `test picture ${n + 1}: ${classes[labels[n]]}` : "a blank picture";
    button.setAttribute("aria-label", name);
    button.title = name;
    const bytes = n < labels.length ? stored.slice(784 * n, 784 * n + 784) : new Uint8Array(784);
    button.append(grey(Array.from(bytes), 28, 28, (v) => [v, v, v]));
    button.firstChild.setAttribute("aria-hidden", "true");
    button.addEventListener("click", () => {
      state.set("picture", n);
      state.set("edits", "");
      loadPicture();
      answer();
    });
    byId("choice").append(button);
  }

  for (const choice of document.querySelectorAll("[name=garments-tool]")) {
    choice.addEventListener("change", () => {
      tool = choice.value;
      byId("picture").style.touchAction = tool === "look" ? "manipulation" : "none";
    });
  }

  let down = false;
  const cellOf = (event) => kerasbook.shareOf(byId("picture"), event).map((share) => Math.min(27, Math.max(0, Math.floor(28 * share))));
  function touch(event) {
    const [column, row] = cellOf(event);
    if (tool === "look") choose({ layer: "conv_1", row, column });
    else edit(row, column);
  }
  byId("picture").addEventListener("pointerdown", (event) => {
    down = true;
    byId("picture").setPointerCapture(event.pointerId);
    touch(event);
  });
  byId("picture").addEventListener("pointermove", (event) => down && touch(event));
  for (const end of ["pointerup", "pointercancel"]) byId("picture").addEventListener(end, () => (down = false));
  byId("picture").addEventListener("keydown", (event) => {
    const now = chosen();
    const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (way) choose({ layer: "conv_1", row: now.row + way[0], column: now.column + way[1] });
    else if ((event.key === "Enter" || event.key === " ") && tool !== "look") edit(now.row, now.column);
    else return;
    event.preventDefault();
  });
  byId("again").addEventListener("click", () => {
    state.set("edits", "");
    loadPicture();
    answer();
  });
  byId("channel").addEventListener("input", show);
  kerasbook.bind(state, "looks", byId("looks"), show);
  kerasbook.onAddress(state);

  loadPicture();
  answer();
}
