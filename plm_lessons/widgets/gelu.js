// GELU, what is used in its place, and two misprints of it. Maths first (pure, exported, tested against torch), then the view.

const TEXT = {
  title: "GELU, its stand-ins and two misprints",
  view: "Show",
  views: { function: "curves", derivative: "slopes", difference: "difference from exact", masks: "random masks" },
  questions: {
    function: "Move x to the left of 0. Where does the misplaced bracket turn a negative input into a positive output?",
    derivative: "The slope of ReLU is never above 1. Where is the slope of GELU largest, and where does it change sign?",
    difference: "Untick the misplaced bracket. How far is the tanh form from the exact curve at its worst, and at which x?",
    masks: "One mask keeps x or makes it 0. How many must you draw until the mean comes near x·Φ(x)?",
  },
  curves: { exact: "exact", tanh: "tanh form", sigmoid: "sigmoid form", relu: "ReLU", constant: "misprint: constant", bracket: "misprint: bracket" },
  formulas: {
    exact: "x·Φ(x) = ½x(1 + erf(x/√2))",
    tanh: "½x(1 + tanh(√(2/π)(x + 0.044715x³)))",
    sigmoid: "x·σ(1.702x)",
    relu: "max(0, x)",
    constant: "½x(1 + tanh(√(2/π)(x + 0.04715x³)))",
    bracket: "½x(1 + tanh(√(2/π))(x + 0.04715x³))",
  },
  columns: { curve: "Curve, ticked when drawn", function: "f(x)", derivative: "f′(x)", difference: "f(x) − exact" },
  x: "x",
  xNumber: "x as a number",
  seed: "seed",
  draw: "Draw",
  reset: "Start again",
  draws: "number of masks drawn",
  meanAxis: "mean of m·x so far",
  masks: {
    count: "Masks drawn",
    last: "The last masks (1 keeps x, 0 drops it)",
    kept: "Kept (m = 1)",
    mean: "Mean of m·x",
    expected: "Expected: x·Φ(x), the exact GELU",
    gap: "Mean − expected",
    error: "Standard error, |x|·√(Φ(1 − Φ)/n)",
  },
  chance: (chance) => `Each mask m is 1 with chance Φ(x) = ${chance}, else 0. The band is two standard errors wide on either side.`,
  none: "none yet",
  plot: (view, x, values) => `Plot of ${view}, x from −4 to 4. At x = ${x}: ${values}.`,
  plotMasks: (count, mean, expected) => `Mean of m·x over ${count} masks: ${mean}, expected ${expected}.`,
  said: (x, values) => `x = ${x}: ${values}`,
  empty: "No curve is ticked. Tick one in the table to draw it.",
  outside: (names) => `Beyond the plot at this x: ${names}. See the table.`,
  wrong: {
    x: "x must be a number from −4 to 4.",
    view: "view must be function, derivative, difference or masks.",
    curves: "curves must name each curve at most once: exact, tanh, sigmoid, relu, constant, bracket.",
    seed: "seed must be a whole number from 0 to 4294967295.",
    draws: "draws must be a whole number from 0 to 10000.",
  },
  full: "10000 masks is the most that is drawn here. Start again to draw more.",
};

export const LIMIT = 4;
export const MOST_DRAWS = 10000;

/** The error function, from a series of positive terms: no cancellation, within 1e-15 of the true value. */
export function erf(z) {
  if (Math.abs(z) > 6) return Math.sign(z);
  let term = z, sum = z;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= (2 * z * z) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * sum;
}

/** Distribution function and density of the standard normal. */
export const Phi = (x) => 0.5 * (1 + erf(x * Math.SQRT1_2));
export const phi = (x) => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);

const ROOT = Math.sqrt(2 / Math.PI);
const tanhForm = (a) => ({
  f: (x) => 0.5 * x * (1 + Math.tanh(ROOT * (x + a * x ** 3))),
  slope(x) {
    const t = Math.tanh(ROOT * (x + a * x ** 3));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT * (1 + 3 * a * x * x);
  },
});
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Each curve and its slope. The slope of ReLU at 0 is taken as 0, as torch does. */
export const CURVES = {
  exact: { f: (x) => x * Phi(x), slope: (x) => Phi(x) + x * phi(x) },
  tanh: tanhForm(0.044715),
  sigmoid: {
    f: (x) => x * sigmoid(1.702 * x),
    slope: (x) => sigmoid(1.702 * x) * (1 + 1.702 * x * sigmoid(-1.702 * x)),
  },
  relu: { f: (x) => Math.max(0, x), slope: (x) => Number(x > 0) },
  constant: tanhForm(0.04715),
  // The tanh covers √(2/π) alone: a cubic polynomial, no GELU.
  bracket: {
    f: (x) => 0.5 * x * (1 + Math.tanh(ROOT) * (x + 0.04715 * x ** 3)),
    slope: (x) => 0.5 * (1 + Math.tanh(ROOT) * (2 * x + 4 * 0.04715 * x ** 3)),
  },
};
const NAMES = Object.keys(CURVES);

/** What a view plots for a curve at x. */
export function value(view, name, x) {
  if (view === "derivative") return CURVES[name].slope(x);
  return CURVES[name].f(x) - (view === "difference" ? CURVES.exact.f(x) : 0);
}

/** `count` uniform numbers in [0, 1) from a seed (mulberry32; gelu.py draws the same). */
export function uniforms(seed, count) {
  let state = seed >>> 0;
  return Float64Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  });
}

/** How many of the first 1, 2, ... masks are 1: a mask m ~ Bernoulli(Φ(x)) is 1 where its uniform number is below Φ(x). */
export function keptSoFar(numbers, x) {
  const chance = Phi(x), counts = new Uint16Array(numbers.length);
  let kept = 0;
  for (let i = 0; i < numbers.length; i++) counts[i] = kept += numbers[i] < chance;
  return counts;
}

const isWhole = (most) => (v) => Number.isInteger(v) && v >= 0 && v <= most;
const ALLOWED = {
  x: (v) => Number.isFinite(v) && Math.abs(v) <= LIMIT,
  view: (v) => typeof v === "string" && Object.hasOwn(TEXT.views, v),
  curves: (v) => Array.isArray(v) && v.every((name) => NAMES.includes(name)) && new Set(v).size === v.length,
  seed: isWhole(2 ** 32 - 1),
  draws: isWhole(MOST_DRAWS),
};
const MARKS = ["M-5 0A5 5 0 1 1 5 0A5 5 0 1 1-5 0Z", "M-5-5H5V5H-5Z", "M0-6L6 0L0 6L-6 0Z", "M-6 5H6L0-6Z", "M-6-5H6L0 6Z", "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z"];
const SAMPLES = 321;

export function render({ model, el }) {
  const state = { x: -0.75, view: "function", curves: ["exact", "tanh", "bracket"], seed: 0, draws: 0 };
  const update = (changes) => {
    for (const [name, next] of Object.entries(changes)) model.set(name, next);
    model.save_changes();
  };

  // Controls. Each is a native input inside its label.
  const views = choice(TEXT.view, TEXT.views, (view) => update({ view }));
  const slider = node("input", { type: "range", class: "plm-under", min: -LIMIT, max: LIMIT, step: 0.01, "aria-label": TEXT.x });
  slider.addEventListener("input", () => update({ x: Number(slider.value) }));
  const field = (name, label, attributes) =>
    numberField(label, attributes, ALLOWED[name], (next) => update({ [name]: next }), () => (message.textContent = TEXT.wrong[name]));
  const xField = field("x", TEXT.xNumber, { min: -LIMIT, max: LIMIT, step: "any" });
  const seedField = field("seed", TEXT.seed, { min: 0, max: 2 ** 32 - 1, step: 1 });
  const buttons = [1, 10, 100, 1000].map((count) => {
    const button = node("button", { type: "button" }, `${TEXT.draw} ${count}`);
    button.addEventListener("click", () => {
      const wanted = state.draws + count;
      update({ draws: Math.min(wanted, MOST_DRAWS) });
      if (wanted > MOST_DRAWS) message.textContent = TEXT.full;
    });
    return button;
  });
  const reset = node("button", { type: "button" }, TEXT.reset);
  reset.addEventListener("click", () => update({ draws: 0 }));

  // The table is the key to the plot, the switches and the readout in one.
  const rows = NAMES.map((name, i) => {
    const input = node("input", { type: "checkbox" });
    input.addEventListener("change", () => update({ curves: NAMES.filter((other) => (other === name ? input.checked : state.curves.includes(other))) }));
    const key = node("svg", { width: 44, height: 14, viewBox: "0 0 44 14", "aria-hidden": "true" });
    key.append(node("path", { class: `plm-curve plm-${i}`, d: "M0 7H44" }), node("path", { class: `plm-mark plm-${i}`, d: MARKS[i], transform: "translate(22 7)" }));
    const cells = ["function", "derivative", "difference"].map((view) => ({ view, cell: node("td", { role: "cell" }) }));
    const label = node("label", {}, input, key, node("span", {}, node("b", {}, TEXT.curves[name]), " ", node("span", { class: "plm-quiet" }, TEXT.formulas[name])));
    return { name, input, cells, row: node("tr", { role: "row" }, node("th", { scope: "row", role: "rowheader" }, label), ...cells.map(({ cell }) => cell)) };
  });
  const heads = ["function", "derivative", "difference"].map((view) => ({ view, cell: node("th", { scope: "col", role: "columnheader" }, TEXT.columns[view]) }));
  const table = node(
    "table", { class: "plm-values", role: "table" },
    node("thead", { role: "rowgroup" }, node("tr", { role: "row" }, node("th", { scope: "col", role: "columnheader" }, TEXT.columns.curve), ...heads.map(({ cell }) => cell))),
    node("tbody", { role: "rowgroup" }, ...rows.map(({ row }) => row)),
  );
  const results = Object.fromEntries(Object.keys(TEXT.masks).map((key) => [key, node("td")]));
  const maskTable = node("table", {}, node("tbody", {}, ...Object.entries(results).map(([key, cell]) => node("tr", {}, node("th", { scope: "row" }, TEXT.masks[key]), cell))));

  const question = node("p");
  const plot = node("div", { class: "plm-plot" });
  const note = node("p", { class: "plm-quiet" });
  const message = node("p", { class: "plm-message", role: "alert" });
  const spoken = node("p", { class: "plm-unseen", role: "status", "aria-live": "polite" });
  const say = announcer(spoken);
  const maskControls = node("div", { class: "plm-row" }, ...buttons, reset, seedField.element);
  const form = node(
    "form", { novalidate: "", autocomplete: "off" },
    views.element, plot, slider, node("div", { class: "plm-row" }, xField.element), maskControls, message, note, table, maskTable,
  );
  form.addEventListener("submit", (event) => event.preventDefault());
  el.append(frame(TEXT.title, question, form, spoken));

  let scales, cursor, drawnAs, luck = [];

  function drawCurves(width) {
    const { view, curves } = state;
    const xs = Array.from({ length: SAMPLES }, (_, i) => -LIMIT + (2 * LIMIT * i) / (SAMPLES - 1));
    const lines = curves.map((name) => [name, xs.map((x) => [x, value(view, name, x)])]);
    const all = lines.flatMap(([, points]) => points.map(([, y]) => y));
    let low = Math.min(0, ...all), high = Math.max(0, ...all);
    // The misplaced bracket leaves every useful range; the table still tells its value.
    if (view === "function") [low, high] = [Math.max(low, -1), Math.min(high, 6)];
    if (view === "derivative") [low, high] = [Math.max(low, -2), Math.min(high, 3)];
    if (low === high) [low, high] = [-1, 1];
    const room = 0.06 * (high - low);
    scales = axes({ width, height: width < 420 ? 260 : 320, x: [-LIMIT, LIMIT], y: [low - room, high + room], xName: TEXT.x, yName: TEXT.columns[view] });
    for (const [name, points] of lines) scales.inside.append(node("path", { class: `plm-curve plm-${NAMES.indexOf(name)}`, d: pathThrough(points, scales), "data-curve": name }));
    cursor = node("g");
    scales.drawing.append(cursor);
    scales.range = [low - room, high + room];
    plot.replaceChildren(scales.drawing);
  }

  function drawCursor() {
    const { x, view, curves } = state;
    const at = scales.toX(x), [low, high] = scales.range;
    const marks = curves.map((name) => {
      const y = Math.min(high, Math.max(low, value(view, name, x)));
      const i = NAMES.indexOf(name);
      return node("path", { class: `plm-mark plm-${i}`, d: MARKS[i], transform: `translate(${at.toFixed(1)} ${scales.toY(y).toFixed(1)})`, "data-curve": name });
    });
    cursor.replaceChildren(node("line", { class: "plm-cursor", x1: at, x2: at, y1: scales.toY(high), y2: scales.toY(low) }), ...marks);
    const beyond = curves.filter((name) => value(view, name, x) < low || value(view, name, x) > high);
    note.textContent = !curves.length ? TEXT.empty : beyond.length ? TEXT.outside(beyond.map((name) => TEXT.curves[name]).join(", ")) : "";
    for (const { name, input, cells } of rows) {
      input.checked = curves.includes(name);
      for (const { view: column, cell } of cells) {
        cell.textContent = format(value(column, name, x));
        cell.className = column === view ? "plm-now" : "";
      }
    }
    for (const { view: column, cell } of heads) cell.className = column === view ? "plm-now" : "";
    const values = curves.map((name) => `${TEXT.curves[name]} ${format(value(view, name, x))}`).join(", ");
    scales.drawing.setAttribute("aria-label", TEXT.plot(TEXT.views[view], format(x, 2), values || TEXT.empty));
    say(TEXT.said(format(x, 2), values || TEXT.empty));
  }

  function drawMasks(width) {
    const { x, seed, draws } = state;
    if (luck.length !== draws || luck.seed !== seed) luck = Object.assign(uniforms(seed, draws), { seed });
    const chance = Phi(x), expected = x * chance, kept = keptSoFar(luck, x), most = Math.max(10, draws);
    const spread = (n) => Math.abs(x) * Math.sqrt((chance * (1 - chance)) / n);
    const room = 0.08 * Math.abs(x) || 1;
    scales = axes({ width, height: width < 420 ? 260 : 320, x: [1, most], y: [Math.min(0, x) - room, Math.max(0, x) + room], xName: TEXT.draws, yName: TEXT.meanAxis, logX: true });
    const steps = [...new Set(Array.from({ length: 240 }, (_, i) => Math.round(most ** (i / 239))))];
    const edge = (sign) => steps.map((n) => [n, expected + sign * 2 * spread(n)]);
    scales.inside.append(
      node("path", { class: "plm-band", d: pathThrough([...edge(1), ...edge(-1).reverse()], scales) }),
      node("path", { class: "plm-cursor", d: pathThrough([[1, expected], [most, expected]], scales) }),
      node("path", { class: "plm-curve plm-0", d: pathThrough(steps.filter((n) => n <= draws).map((n) => [n, (x * kept[n - 1]) / n]), scales), "data-curve": "mean" }),
    );
    plot.replaceChildren(scales.drawing);
    const mean = draws ? (x * kept[draws - 1]) / draws : NaN;
    if (draws) scales.drawing.append(node("path", { class: "plm-mark plm-0", d: MARKS[0], transform: `translate(${scales.toX(draws)} ${scales.toY(mean)})` }));
    const written = (number) => (draws ? format(number) : TEXT.none);
    results.count.textContent = String(draws);
    results.last.textContent = draws ? kept.slice(-12).map((k, i, all) => k - (all[i - 1] ?? kept[draws - 13] ?? 0)).join(" ") : TEXT.none;
    results.kept.textContent = draws ? `${kept[draws - 1]} = ${((100 * kept[draws - 1]) / draws).toFixed(1)} %` : TEXT.none;
    results.mean.textContent = written(mean);
    results.expected.textContent = format(expected);
    results.gap.textContent = written(mean - expected);
    results.error.textContent = written(spread(draws));
    note.textContent = TEXT.chance(format(chance, 4));
    const summary = TEXT.plotMasks(draws, written(mean), format(expected));
    scales.drawing.setAttribute("aria-label", summary);
    say(TEXT.said(format(x, 2), summary));
  }

  function draw() {
    message.textContent = takeState(model, state, ALLOWED, TEXT.wrong);
    const { x, view } = state;
    const masks = view === "masks";
    question.textContent = TEXT.questions[view];
    views.show(view);
    slider.value = x;
    slider.setAttribute("aria-valuetext", format(x, 2));
    xField.show(x);
    seedField.show(state.seed);
    table.hidden = masks;
    maskTable.hidden = maskControls.hidden = !masks;
    const width = Math.round(plot.clientWidth);
    if (!width) return; // not shown yet: the observer calls again
    if (masks) drawMasks(width);
    else {
      const wanted = [width, view, ...state.curves].join();
      if (drawnAs !== wanted || !plot.contains(cursor)) drawCurves(width);
      drawnAs = wanted;
      drawCursor();
    }
  }

  // On the plot itself x follows the pointer; up and down stays with the page, so that a phone can still scroll.
  plot.style.touchAction = "pan-y";
  const follow = (event) => {
    if (state.view === "masks" || event.buttons !== 1) return;
    const x = scales.fromX(event.clientX - plot.getBoundingClientRect().left);
    update({ x: Math.round(100 * Math.min(LIMIT, Math.max(-LIMIT, x))) / 100 });
  };
  plot.addEventListener("pointerdown", (event) => {
    plot.setPointerCapture(event.pointerId);
    follow(event);
  });
  plot.addEventListener("pointermove", follow);

  return keepDrawn(model, Object.keys(ALLOWED), plot, draw);
}

export default { render };
