// The page *A network from scratch*: a network of chapter 2 that trains in the page.
{
  const { network: net, colour } = kerasbook;
  const COUNT = 200; // points of a made set, and as many others for the test
  const MOST = 20000; // steps
  const REPEATED = 5000; // steps that an address can have taken again
  const SIDE = 61; // places of the surface, across
  const byId = (id) => document.getElementById(`scratch-${id}`);
  const state = new kerasbook.State({
    data: "moons", noise: "0.2", points: "", seed: "0", layers: "3", activation: "tanh",
    optimiser: "SGD", rate: "-1", batch: "32", nobias: "0", zero: "0", twice: "0", wrongsign: "0", steps: "0",
  });
  const asked = Math.round(state.number("steps")); // of the address
  const TONES = ["minus", "plus", "third"];
  let points, test, network, trainer, losses, testLosses, planes;
  let unit = null; // whose map the square shows: [layer, unit]; null shows the answer

  const isOn = (name) => state.get(name) === "1";
  const rate = () => 2 ** state.number("rate");
  const hidden = () => state.get("layers").split(",").map(Number).filter((n) => n >= 1 && n <= 8).slice(0, 4);
  const classes = () => Math.max(2, ...points.y.map((label) => label + 1));
  const kind = () => (state.get("data") === "own" || net.KINDS[state.get("data")] ? state.get("data") : "moons");

  function loadPoints() {
    const noise = state.number("noise");
    if (kind() === "own") {
      points = net.unpackPoints(state.get("points"));
      test = null;
      return;
    }
    points = net.makePoints(kind(), COUNT, noise, 0);
    test = net.makePoints(kind(), COUNT, noise, 500);
  }

  function build() {
    const options = { seed: state.number("seed"), bias: !isOn("nobias"), zeroStart: isOn("zero"), doubleSoftmax: isOn("twice") };
    unit = null;
    network = net.makeNetwork([2, ...hidden(), classes()], state.get("activation"), options);
    trainer = net.makeTrainer(network, points, {
      optimiser: state.get("optimiser"), rate: rate(), batch: state.number("batch") || 1e9,
      seed: state.number("seed"), wrongSign: isOn("wrongsign"),
    });
    [losses, testLosses] = [[], []];
    note();
  }

  function note() {
    losses.push(points.x.length ? net.score(network, points).loss : NaN);
    if (test) testLosses.push(net.score(network, test).loss);
  }

  const every = () => 10; // steps between two points of the curve

  function advance(steps) {
    for (let i = 0; i < steps && points.x.length && trainer.steps < MOST; i++) {
      trainer.step();
      if (trainer.steps % every() === 0) note();
    }
    state.set("steps", trainer.steps);
    show();
    return points.x.length > 0 && trainer.steps < MOST && Number.isFinite(losses.at(-1));
  }

  function again() {
    clock.stop();
    loadPoints();
    build();
    state.set("steps", 0);
    show();
  }

  // A changed control begins anew, and goes on training where it trained.
  function changed() {
    const { running } = clock;
    again();
    if (running) clock.start();
  }

  // --- the surface --------------------------------------------------------------------------

  // Returns a small canvas of SIDE × SIDE pixels, top row first, coloured by `toneOf(place's value)`.
  function plate(values, side, toneOf) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    const image = context.createImageData(side, side);
    values.forEach((value, at) => {
      const to = (side - 1 - Math.floor(at / side)) * side + (at % side);
      image.data.set([...toneOf(value), 255], 4 * to);
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }

  const toPixel = ([x, y], width, height) => [((x + 3) / 6) * width, ((3 - y) / 6) * height];

  function drawSurface(context, width, height) {
    context.strokeStyle = colour("ink");
    context.lineWidth = 1.6;
    (unit ? drawUnit : drawAnswer)(context, width, height);
    if (test) test.x.forEach((point, i) => drawPoint(context, toPixel(point, width, height), test.y[i], false));
    points.x.forEach((point, i) => drawPoint(context, toPixel(point, width, height), points.y[i], true));
    if (isLooking) drawCross(context, toPixel(cursor, width, height));
  }

  function spread(context, canvas, width, height) {
    const half = width / (SIDE - 1) / 2; // a place is the middle of its pixel
    context.drawImage(canvas, -half, -half, width + 2 * half, height + 2 * half);
  }

  function drawAnswer(context, width, height) {
    const grid = net.surface(network, SIDE);
    spread(context, plate(grid, SIDE, tones()), width, height);
    for (let k = classes() === 2 ? 1 : 0; k < classes(); k++) {
      const ahead = grid.map((p) => p[k] - Math.max(...p.filter((_, other) => other !== k)));
      drawBorder(context, ahead, width, height);
    }
  }

  // One unit's output over the plane, and the line where it is zero.
  function drawUnit(context, width, height) {
    const values = net.overPlane(SIDE, (point) => net.forward(network, point)[unit[0]][unit[1]]);
    spread(context, plate(values, SIDE, signTone(values)), width, height);
    drawBorder(context, values, width, height);
  }

  function signTone(values) {
    const [minus, middle, plus] = ["minus", "middle", "plus"].map(kerasbook.rgb);
    const reach = Math.max(1e-9, ...values.map(Math.abs));
    return (v) => kerasbook.between(middle, v < 0 ? minus : plus, Math.abs(v) / reach);
  }

  // Returns a tone function that reads the colours of the page once.
  function tones() {
    const [middle, ...ends] = ["middle", ...TONES].map(kerasbook.rgb);
    return (p) => {
      const mixed = [0, 1, 2].map((i) => p.reduce((sum, share, k) => sum + share * ends[k][i], 0));
      const sure = (Math.max(...p) - 1 / p.length) / (1 - 1 / p.length);
      return kerasbook.between(middle, mixed, 0.12 + 0.68 * (Math.round(sure * 5) / 5));
    };
  }

  // Draws the line where values on the grid are zero, square by square (marching squares).
  function drawBorder(context, values, width, height) {
    const [dx, dy] = [width / (SIDE - 1), height / (SIDE - 1)];
    context.beginPath();
    for (let row = 0; row < SIDE - 1; row++) {
      for (let column = 0; column < SIDE - 1; column++) {
        const at = row * SIDE + column;
        const corners = [[0, 0, values[at]], [1, 0, values[at + 1]], [1, 1, values[at + SIDE + 1]], [0, 1, values[at + SIDE]]];
        const cuts = corners.flatMap(([x, y, v], i) => {
          const [x2, y2, v2] = corners[(i + 1) % 4];
          if (v > 0 === v2 > 0) return [];
          const share = v / (v - v2);
          return [[column + x + (x2 - x) * share, row + y + (y2 - y) * share]];
        });
        for (let i = 0; i + 1 < cuts.length; i += 2) {
          context.moveTo(cuts[i][0] * dx, height - cuts[i][1] * dy);
          context.lineTo(cuts[i + 1][0] * dx, height - cuts[i + 1][1] * dy);
        }
      }
    }
    context.stroke();
  }

  function drawPoint(context, [x, y], label, filled, radius = 4.5) {
    context.beginPath();
    if (label === 0) context.arc(x, y, radius, 0, 7);
    else if (label === 1) {
      for (const angle of [-90, 30, 150]) context.lineTo(x + 1.25 * radius * Math.cos((angle * Math.PI) / 180), y + 1.25 * radius * Math.sin((angle * Math.PI) / 180));
      context.closePath();
    } else context.rect(x - radius + 0.5, y - radius + 0.5, 2 * radius - 1, 2 * radius - 1);
    context.lineWidth = 1;
    if (filled) {
      context.fillStyle = colour(`${TONES[label]}-dot`);
      context.fill();
      context.strokeStyle = colour("rim");
    } else context.strokeStyle = colour(`${TONES[label]}-dot`);
    context.stroke();
  }

  function drawCross(context, [x, y]) {
    context.strokeStyle = colour("ink");
    context.lineWidth = 1.5;
    context.beginPath();
    for (const [a, b] of [[-12, -4], [4, 12]]) {
      context.moveTo(x + a, y);
      context.lineTo(x + b, y);
      context.moveTo(x, y + a);
      context.lineTo(x, y + b);
    }
    context.stroke();
  }

  // --- the network: each unit's own surface, and the weights between ------------------------------

  const SMALL = 21;

  function unitPlanes() {
    const all = net.overPlane(SMALL, (point) => net.forward(network, point));
    return all[0].map((layer, at) => Array.from(layer, (_, unit) => all.map((outputs) => outputs[at][unit])));
  }

  // Returns the size of a small map, and a function that says where one stands.
  function layout(width, height) {
    const columns = planes.length;
    const most = Math.max(...planes.map((column) => column.length));
    const size = Math.min(44, (width - 8) / (columns * 1.45), (height - 24) / (most * 1.15));
    const spot = (at, unit) => [
      columns === 1 ? 0 : 4 + (at * (width - 8 - size)) / (columns - 1),
      22 + ((unit + 0.5) / planes[at].length) * (height - 24) - size / 2,
    ];
    return { columns, size, spot };
  }

  const isShown = (at, n) => unit?.[0] === at && unit[1] === n;

  function drawNetwork(context, width, height) {
    planes = unitPlanes();
    const { columns, size, spot } = layout(width, height);
    network.layers.forEach((layer, at) => drawWeights(context, layer, at, spot, size));
    planes.forEach((column, at) => column.forEach((values, n) => {
      context.drawImage(plate(values, SMALL, signTone(values)), ...spot(at, n), size, size);
      context.strokeStyle = colour(isShown(at, n) ? "ink" : "faint");
      context.lineWidth = isShown(at, n) ? 3 : 1;
      context.strokeRect(...spot(at, n), size, size);
    }));
    context.fillStyle = colour("faint");
    context.font = "11px sans-serif";
    ["x, y", ...hidden().map((_, i) => `layer ${i + 1}`), "logits"].forEach((name, at) => {
      const last = at === columns - 1;
      context.textAlign = at === 0 ? "left" : last ? "right" : "center";
      context.fillText(name, spot(at, 0)[0] + (at === 0 ? 0 : last ? size : size / 2), 12);
    });
  }

  function drawWeights(context, { kernel, inputs, units }, at, spot, size) {
    for (let i = 0; i < inputs; i++) {
      for (let j = 0; j < units; j++) {
        const weight = kernel[i * units + j];
        const [[x1, y1], [x2, y2]] = [spot(at, i), spot(at + 1, j)];
        context.strokeStyle = colour(weight < 0 ? "minus" : "plus");
        context.lineWidth = Math.min(7, 0.3 + 1.6 * Math.abs(weight));
        context.beginPath();
        context.moveTo(x1 + size, y1 + size / 2);
        context.bezierCurveTo(x1 + size + 20, y1 + size / 2, x2 - 20, y2 + size / 2, x2, y2 + size / 2);
        context.stroke();
      }
    }
  }

  // --- words --------------------------------------------------------------------------------

  const percent = (share) => `${Math.round(100 * share)} %`;

  function numbers() {
    if (!points.x.length) return "No points yet: click or tap the square to draw some.";
    const { loss, right } = net.score(network, points);
    const ours = `After ${trainer.steps} steps: loss ${kerasbook.short(loss)}, ${percent(right)} of the points right`;
    const cut = asked > REPEATED && trainer.steps === REPEATED ? ` The address asks for ${asked}: at most ${REPEATED} are taken again, Train goes on.` : "";
    if (!test) return `${ours}.${cut}`;
    const other = net.score(network, test);
    return `${ours}; on the hollow points, which it does not learn from, loss ${kerasbook.short(other.loss)}, ${percent(other.right)} right.${cut}`;
  }

  const nameOf = ([at, n]) => at === 0 ? `the input ${"xy"[n]}` : at === planes.length - 1 ? `the logit of class ${n + 1}` : `unit ${n + 1} of layer ${at}`;

  const MISTAKES = {
    nobias: "Without a bias every unit's hinge goes through the middle: the border cannot move away from it.",
    zero: "All weights begin at zero. A hidden unit's output is then the same for every point (one half for the sigmoid), its weights get no or equal gradients, and all units of a layer stay alike.",
    twice: "The loss takes the softmax of a softmax: it cannot fall to zero, and where the network is sure and wrong, hardly any gradient comes back.",
    wrongsign: "The steps go uphill: the loss climbs, and nothing complains.",
  };

  function show() {
    const { loss, right } = points.x.length ? net.score(network, points) : { loss: NaN, right: NaN };
    byId("numbers").textContent = numbers();
    Object.assign(byId("numbers").dataset, { loss, right, steps: trainer.steps });
    const weights = network.layers.reduce((sum, layer) => sum + layer.kernel.length + (network.bias ? layer.units : 0), 0);
    byId("size").textContent = `${[2, ...hidden(), classes()].join("–")}, ${weights} weights`;
    byId("rate-is").textContent = kerasbook.short(rate());
    byId("noise-is").textContent = state.get("noise");
    byId("mistakes").textContent = Object.keys(MISTAKES).filter(isOn).map((name) => MISTAKES[name]).join(" ");
    byId("cursor").textContent = cross();
    byId("shown").textContent = unit ? `The square shows ${nameOf(unit)}: blue where it is positive, orange where it is negative. The line is where it is zero.` : "";
    byId("surface").setAttribute("aria-label", `The plane, coloured by ${unit ? nameOf(unit) : "the probability of each class"}, with ${points.x.length} points. ${numbers()}`);
    byId("network").setAttribute("aria-label", `The network ${byId("size").textContent}: each unit as a small map of its output over the plane, joined by lines as wide as their weights; the table of weights has the numbers. ${byId("shown").textContent}`);
    byId("losses").setAttribute("aria-label", `Loss by steps. ${numbers()}`);
    if (byId("export-box").open) writeExport();
    if (byId("table-box").open) writeTable();
    for (const draw of [drawOne, drawTwo, drawThree]) draw();
  }

  function writeTable() {
    byId("table").innerHTML = network.layers.map(({ kernel, bias, inputs, units }, at) => {
      const head = `<tr><th scope="col">layer ${at + 1}</th>${Array.from({ length: units }, (_, j) => `<th scope="col">unit ${j + 1}</th>`).join("")}</tr>`;
      const cells = (name, from) => `<tr><th scope="row">${name}</th>${Array.from({ length: units }, (_, j) => `<td>${kerasbook.short(from(j))}</td>`).join("")}</tr>`;
      const rows = Array.from({ length: inputs }, (_, i) => cells(`from ${i + 1}`, (j) => kernel[i * units + j]));
      if (network.bias) rows.push(cells("bias", (j) => bias[j]));
      return `<div class="scrolls"><table><thead>${head}</thead><tbody>${rows.join("")}</tbody></table></div>`;
    }).join("");
  }

  function program() {
    return kerasbook.asKeras(network, points, {
      optimiser: state.get("optimiser"), rate: rate(), wrongSign: isOn("wrongsign"), steps: trainer.steps,
    });
  }

  function writeExport() {
    byId("code").value = points.x.length ? program() : "";
  }

  const drawOne = kerasbook.picture(byId("surface"), drawSurface);
  const drawTwo = kerasbook.picture(byId("network"), drawNetwork);
  const drawThree = kerasbook.picture(byId("losses"), (context, width, height) => {
    const lines = [{ values: losses, colour: colour("one"), every: every() }];
    if (test) lines.push({ values: testLosses, colour: colour("two"), dash: [6, 4], every: every() });
    kerasbook.plotLosses(context, width, height, lines);
  });

  // --- points by hand -------------------------------------------------------------------------

  let cursor = [0, 0];
  let isLooking = false; // whether the cross is there
  let pen = "look"; // "look", a class, or "erase"

  function own(change) {
    const { x, y } = points;
    change(x, y);
    state.set("data", "own");
    state.set("points", net.packPoints(points));
    byId("data").value = "own";
    test = null;
    build();
    state.set("steps", 0);
    show();
  }

  function touch(place) {
    const at = place.map(net.onGrid);
    own((x, y) => {
      if (pen !== "erase") {
        if (x.length >= 500) return;
        x.push(at);
        y.push(Number(pen));
        return;
      }
      for (let i = x.length - 1; i >= 0; i--) {
        if (Math.hypot(x[i][0] - at[0], x[i][1] - at[1]) < 0.2) [x, y].forEach((part) => part.splice(i, 1));
      }
    });
  }

  function placeOf(event) {
    const [a, b] = kerasbook.shareOf(byId("surface"), event);
    return [6 * a - 3, 3 - 6 * b];
  }

  // --- one unit, large ------------------------------------------------------------------------

  function look(at, n) {
    unit = at === null ? null : [at, n];
    show();
  }

  byId("network").addEventListener("click", (event) => {
    const { left, top, width, height } = byId("network").getBoundingClientRect();
    const { size, spot } = layout(width, height);
    const [x, y] = [event.clientX - left, event.clientY - top];
    const all = planes.flatMap((column, at) => column.map((_, n) => [at, n]));
    const hit = all.find(([at, n]) => spot(at, n).every((from, i) => [x, y][i] >= from - 4 && [x, y][i] <= from + size + 4));
    look(...(hit && !isShown(...hit) ? hit : [null]));
  });
  byId("network").addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Escape: null }[event.key];
    if (way === undefined) return;
    event.preventDefault();
    if (way === null) return look(null);
    const at = unit ? Math.min(Math.max(0, unit[0] + way[0]), planes.length - 1) : 1;
    look(at, unit ? Math.min(Math.max(0, unit[1] + way[1]), planes[at].length - 1) : 0);
  });

  let last = null;
  byId("surface").addEventListener("pointerdown", (event) => {
    if (pen === "look") return;
    byId("surface").setPointerCapture(event.pointerId);
    touch((last = placeOf(event)));
  });
  byId("surface").addEventListener("click", (event) => pen === "look" && lookAt(placeOf(event)));
  byId("surface").addEventListener("pointermove", (event) => {
    if (!last) return;
    const place = placeOf(event);
    if (Math.hypot(place[0] - last[0], place[1] - last[1]) > 0.25) touch((last = place));
  });
  for (const end of ["pointerup", "pointercancel"]) byId("surface").addEventListener(end, () => (last = null));
  byId("surface").addEventListener("focus", () => byId("surface").matches(":focus-visible") && lookAt(cursor));

  // Puts the cross somewhere, and says what the network thinks of this place.
  function lookAt(place) {
    [cursor, isLooking] = [place.map((v) => Math.min(3, Math.max(-3, v))), true];
    show();
  }

  function cross() {
    if (!isLooking) return "";
    const p = net.probabilities(network, cursor);
    const shares = Array.from(p, (share, k) => `${["●", "▲", "■"][k]} ${percent(share)}`);
    return `At the cross, ${cursor.map((v) => kerasbook.short(Number(v.toFixed(1)))).join(", ")}: ${shares.join(", ")}.`;
  }
  byId("surface").addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (way) lookAt(cursor.map((v, i) => v + 0.2 * way[i]));
    else if ((event.key === "Enter" || event.key === " ") && pen !== "look") touch(cursor);
    else return;
    event.preventDefault();
  });

  for (const choice of document.querySelectorAll("[name=scratch-pen]")) {
    choice.addEventListener("change", () => {
      pen = choice.value;
      byId("surface").style.touchAction = pen === "look" ? "manipulation" : "none";
    });
  }
  byId("clear").addEventListener("click", () => own((x, y) => [x, y].forEach((part) => part.splice(0))));

  byId("csv").addEventListener("change", async () => {
    const file = byId("csv").files[0];
    if (!file) return;
    try {
      const read = net.readCsv(await file.text());
      const classNames = read.names.map((name, k) => `${name} ${["●", "▲", "■"][k]}`).join(", ");
      byId("csv-says").textContent = `${read.y.length} points: ${classNames}.${read.scaled ? " Both columns were shifted and scaled into the square." : ""}${read.left ? ` The first 500 are taken; ${read.left} were left out.` : ""}`;
      points = { x: read.x, y: read.y };
      own(() => {});
      again();
    } catch (error) {
      byId("csv-says").textContent = error.message;
    }
  });

  // --- controls -------------------------------------------------------------------------------

  const clock = kerasbook.clock(() => advance(10), 20, () => {
    byId("run").textContent = clock?.running ? "Pause" : "Train";
  });
  byId("run").addEventListener("click", () => (clock.running ? clock.stop() : clock.start()));
  byId("step").addEventListener("click", () => advance(1));
  byId("hundred").addEventListener("click", () => advance(100));
  byId("again").addEventListener("click", again);
  byId("seed").addEventListener("click", () => {
    state.set("seed", state.number("seed") + 1);
    again();
  });

  const units = [1, 2, 3, 4].map((n) => byId(`units-${n}`));
  units.forEach((select, at) => {
    select.innerHTML = Array.from({ length: 9 }, (_, n) => `<option value="${n}">${n || "–"}</option>`).join("");
    select.value = hidden()[at] ?? 0;
    select.addEventListener("input", () => {
      state.set("layers", units.map((one) => one.value).filter((n) => n !== "0").join(",") || "0");
      units.forEach((one, i) => (one.value = hidden()[i] ?? 0));
      changed();
    });
  });
  for (const name of ["data", "noise", "activation", "optimiser", "rate", "batch", "nobias", "zero", "twice", "wrongsign"]) {
    kerasbook.bind(state, name, byId(name), changed);
  }
  kerasbook.onAddress(state);
  byId("export-box").addEventListener("toggle", writeExport);
  byId("table-box").addEventListener("toggle", writeTable);
  byId("download").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([program()], { type: "text/x-python" }));
    link.download = "network.py";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  byId("copy").addEventListener("click", () => {
    byId("code").select();
    navigator.clipboard?.writeText(byId("code").value);
  });

  loadPoints();
  build();
  advance(Math.min(Math.max(0, asked), REPEATED));
  kerasbook.beginAlone(() => advance(10), 40, 20);
}
