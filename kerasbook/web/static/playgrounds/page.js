// What all playgrounds share: the state in the address, controls, canvases, colours.
globalThis.kerasbook ??= {};

// --- the state: what the reader has set, kept behind the # of the address ------------------

kerasbook.State = class {
  constructor(defaults) {
    this.defaults = defaults;
    this.values = { ...defaults };
    this.read();
    this.timer = null;
  }
  read() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const name of Object.keys(this.defaults)) {
      if (given.has(name)) this.values[name] = given.get(name);
    }
  }
  get(name) {
    return this.values[name];
  }
  number(name) {
    const value = Number(this.values[name]);
    return Number.isFinite(value) ? value : Number(this.defaults[name]);
  }
  set(name, value) {
    this.values[name] = String(value);
    clearTimeout(this.timer); // browsers refuse many changes of the address in a second
    this.timer = setTimeout(() => this.write(), 300);
  }
  write() {
    const changed = Object.entries(this.values).filter(([name, value]) => value !== this.defaults[name]);
    const hash = new URLSearchParams(changed).toString();
    try {
      history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    } catch {
      location.replace(`#${hash}`);
    }
  }
};

// Joins a control to a value of the state; `changed` is called after each change by the reader.
kerasbook.bind = (state, name, control, changed) => {
  const isBox = control.type === "checkbox";
  const given = state.get(name);
  if (isBox) control.checked = given === "1";
  else control.value = given;
  if (!isBox && control.value !== given) state.values[name] = control.value || state.defaults[name];
  if (!isBox && control.value === "") control.value = state.defaults[name]; // no such choice
  control.addEventListener("input", () => {
    state.set(name, isBox ? (control.checked ? "1" : "0") : control.value);
    changed();
  });
};

// A changed address, by hand or by a link of the page, is another state: the page begins anew with
// it, at its top, where the change is seen.
kerasbook.onAddress = (state) =>
  addEventListener("hashchange", () => {
    clearTimeout(state.timer); // what would write the old state over the new one
    scrollTo({ top: 0, behavior: "instant" });
    location.reload();
  });

// Who comes from a Chinese page, by a link that ends in ?zh, is told so in Chinese.
addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".in-chinese")) box.hidden = location.search !== "?zh";
});

// --- colours and canvases -----------------------------------------------------------------

kerasbook.colour = (name) =>
  getComputedStyle(document.querySelector(".playground")).getPropertyValue(`--${name}`).trim();

kerasbook.rgb = (name) => {
  const hex = kerasbook.colour(name).replace("#", "");
  return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
};

kerasbook.between = (from, to, share) => from.map((part, i) => part + (to[i] - part) * share);

// Keeps a canvas sharp and drawn: draw(context, width, height) in pixels of the page, again after
// a change of its size or of the colours. Returns the function that draws now.
kerasbook.picture = (canvas, draw) => {
  const redraw = () => {
    const { width, height } = canvas.getBoundingClientRect();
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    draw(context, width, height);
  };
  new ResizeObserver(redraw).observe(canvas);
  kerasbook.onColours(redraw);
  return redraw;
};

kerasbook.onColours = (again) => {
  const later = () => requestAnimationFrame(again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
  new MutationObserver(later).observe(document.body, { attributeFilter: ["data-theme"] });
};

// Where in a canvas a pointer is, as shares of its width and height, from the top left.
kerasbook.shareOf = (canvas, event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
};

// Draws lines over steps on a log scale, each {values, colour, dash}; marks the axes.
kerasbook.plotLosses = (context, width, height, lines) => {
  const [left, bottom, top, right] = [44, 22, 8, 8];
  const known = lines.flatMap((line) => line.values).filter((v) => v > 0 && v < 1e9);
  if (!known.length) return;
  const low = Math.floor(Math.log10(Math.max(Math.min(...known), 1e-9)));
  const high = Math.max(Math.ceil(Math.log10(Math.max(...known))), low + 1);
  const steps = Math.max(10, ...lines.map((line) => (line.values.length - 1) * (line.every ?? 1)));
  const x = (step) => left + (step / steps) * (width - left - right);
  const y = (v) => top + ((high - Math.log10(v)) / (high - low)) * (height - top - bottom);
  context.font = "11px sans-serif";
  context.lineWidth = 1;
  context.strokeStyle = kerasbook.colour("line");
  context.fillStyle = kerasbook.colour("faint");
  context.textAlign = "right";
  const every = Math.max(1, Math.ceil((high - low) / 4));
  for (let power = low; power <= high; power += every) {
    context.beginPath();
    context.moveTo(left, y(10 ** power));
    context.lineTo(width - right, y(10 ** power));
    context.stroke();
    context.fillText(kerasbook.short(10 ** power), left - 5, y(10 ** power) + 4);
  }
  context.fillText(`${steps} steps`, width - right, height - 6);
  context.textAlign = "left";
  context.fillText("0", left, height - 6);
  for (const { values, colour, dash = [], every: stride = 1 } of lines) {
    context.strokeStyle = colour;
    context.setLineDash(dash);
    context.lineWidth = 2;
    context.beginPath();
    values.forEach((v, i) => v > 0 && context.lineTo(x(i * stride), Math.max(top, y(v))));
    context.stroke();
  }
  context.setLineDash([]);
};

// --- words --------------------------------------------------------------------------------

// Returns a number as a reader likes it: three digits, no tail of zeros.
kerasbook.short = (value) => {
  if (!Number.isFinite(value)) return "no number";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-4)) return value.toExponential(1).replace("-", "−");
  return String(Number(value.toPrecision(3))).replace("-", "−");
};

// --- a clock that steps while something runs -------------------------------------------------

// Returns {start, stop, running}: calls `tick` at most `perSecond` times, until it returns false.
kerasbook.clock = (tick, perSecond, changed = () => {}) => {
  const clock = { running: false };
  const tell = () => {
    // Who listens to the page hears the words once it rests, not twenty times a second.
    for (const box of document.querySelectorAll(".playground [role=status]")) {
      box.setAttribute("aria-live", clock.running ? "off" : "polite");
    }
    changed();
  };
  let last = 0;
  const frame = (now) => {
    if (!clock.running) return;
    if (now - last >= 1000 / perSecond) {
      last = now;
      if (tick() === false) return clock.stop();
    }
    requestAnimationFrame(frame);
  };
  clock.start = () => {
    clock.running = true;
    tell();
    requestAnimationFrame(frame);
  };
  clock.stop = () => {
    clock.running = false;
    tell();
  };
  return clock;
};

// Lets a page that nobody has set begin by itself: `ticks` times `tick`, so that it shows at once what
// it does. A click, a key, a change ends it. Who wants no motion gets the end of it.
kerasbook.beginAlone = (tick, ticks, perSecond) => {
  if (location.hash) return;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    for (let i = 0; i < ticks; i++) tick();
    return;
  }
  let left = ticks;
  const clock = kerasbook.clock(() => tick() !== false && --left > 0, perSecond);
  const box = document.querySelector(".playground");
  for (const hand of ["pointerdown", "click", "keydown", "input", "change"]) {
    box.addEventListener(hand, () => clock.running && clock.stop(), { capture: true });
  }
  clock.start();
};
