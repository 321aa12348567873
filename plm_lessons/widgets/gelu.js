// GELU, what is used in place of it, and two misprints of it. Maths first (pure, exported, tested against torch), then the view.

const TEXT = {
  title: "GELU, its stand-ins and two misprints",
  view: "Show",
  views: { function: "curves", derivative: "slopes", difference: "difference from exact", masks: "random masks" },
  questions: {
    function: "Tick the misprint of the bracket. Where does it turn a negative input into a positive output?",
    derivative: "The slope of ReLU is never above 1. Where is the slope of GELU largest, and where does it change sign?",
    difference: "Without the misplaced bracket: how far is the tanh form from the exact curve at its worst, and at which x?",
    masks: "A mask keeps x or sets it to 0. How many must you draw before the mean is near x·Φ(x)?",
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
  columns: { curve: "Curve (tick to draw it)", function: "f(x)", derivative: "f′(x)", difference: "f(x) − exact" },
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
  chance: (chance) => `Each mask m is 1 with chance Φ(x) = ${chance}, else 0. The band is two standard errors on either side. Dashed: the expected mean.`,
  rare: (one, digit) => ` About one mask in ${one} is ${digit} here; nearer to x = 0 masks vary more.`,
  none: "none yet",
  plot: (view, x, values) => `Plot of ${view}, x from −4 to 4. At x = ${x}: ${values}.`,
  plotMasks: (count, mean, expected) => `Mean of m·x over ${count} masks: ${mean}, expected ${expected}.`,
  said: (x, values) => `x = ${x}: ${values}`,
  empty: "No curve is ticked. Tick one in the table to draw it.",
  outside: (names) => `Beyond the plot at this x: ${names}. See the table.`,
  curveRule: "curves must name each curve at most once: exact, tanh, sigmoid, relu, constant, bracket.",
  full: "At most 10000 masks are drawn here. Change the seed for others.",
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

/** Each curve and its slope. The slope of ReLU at 0 is taken as 0, as in torch. */
export const CURVES = {
  exact: { f: (x) => x * Phi(x), slope: (x) => Phi(x) + x * phi(x) },
  tanh: tanhForm(0.044715),
  sigmoid: {
    f: (x) => x * sigmoid(1.702 * x),
    slope: (x) => sigmoid(1.702 * x) * (1 + 1.702 * x * sigmoid(-1.702 * x)),
  },
  relu: { f: (x) => Math.max(0, x), slope: (x) => Number(x > 0) },
  constant: tanhForm(0.04715),
  // The tanh covers √(2/π) alone: a cubic polynomial, not a GELU.
  bracket: {
    f: (x) => 0.5 * x * (1 + Math.tanh(ROOT) * (x + 0.04715 * x ** 3)),
    slope: (x) => 0.5 * (1 + Math.tanh(ROOT) * (2 * x + 4 * 0.04715 * x ** 3)),
  },
};
const NAMES = Object.keys(CURVES), COLUMNS = ["function", "derivative", "difference"];

/** What a view plots for a curve at x. */
export function value(view, name, x) {
  if (view === "derivative") return CURVES[name].slope(x);
  return CURVES[name].f(x) - (view === "difference" ? CURVES.exact.f(x) : 0);
}

/** How many of the first 1, 2, ... masks are 1: a mask m ~ Bernoulli(Φ(x)) is 1 where its uniform number is below Φ(x). */
export function keptSoFar(numbers, x) {
  const chance = Phi(x), counts = new Uint16Array(numbers.length);
  let kept = 0;
  for (let i = 0; i < numbers.length; i++) counts[i] = kept += numbers[i] < chance;
  return counts;
}

const { allowed, wrong } = rules({
  numbers: { x: [-LIMIT, LIMIT] },
  wholes: { seed: [0, 2 ** 32 - 1], draws: [0, MOST_DRAWS] },
  names: { view: TEXT.views },
  others: { curves: [(v) => Array.isArray(v) && v.every((name) => NAMES.includes(name)) && new Set(v).size === v.length, TEXT.curveRule] },
});
const SAMPLES = 321;

function render({ model, el }) {
  const state = { x: -0.75, view: "function", curves: ["exact", "tanh", "bracket"], seed: 0, draws: 0 };
  const update = sender(model), message = messageLine();

  // Controls. Each is a native input inside its label.
  const views = choice(TEXT.view, TEXT.views, (view) => update({ view }));
  const slider = node("input", { type: "range", class: "plm-under", min: -LIMIT, max: LIMIT, step: 0.01, "aria-label": TEXT.x });
  followSlider(slider, (x) => update({ x }));
  const sliderName = node("p", { class: "plm-quiet", "aria-hidden": "true" }, TEXT.x); // elsewhere the axis above says it
  const field = (name, label, attributes) =>
    numberField(label, attributes, allowed[name], (next) => update({ [name]: next }), () => (message.textContent = wrong[name]));
  const xField = field("x", TEXT.xNumber, { min: -LIMIT, max: LIMIT, step: 0.01 });
  const seedField = field("seed", TEXT.seed, { min: 0, max: 2 ** 32 - 1, step: 1 });
  const buttons = [1, 10, 100, 1000].map((count) =>
    pushButton(`${TEXT.draw} ${count}`, () => {
      const wanted = state.draws + count;
      update({ draws: Math.min(wanted, MOST_DRAWS) });
      if (wanted > MOST_DRAWS) message.textContent = TEXT.full;
    }),
  );
  const reset = pushButton(TEXT.reset, () => update({ draws: 0 }));

  // The table is the key to the plot, the switches and the readout in one.
  const { table, heads, body, row, cell } = valueTable(Object.values(TEXT.columns));
  const rows = NAMES.map((name, i) => {
    const input = node("input", { type: "checkbox" });
    input.addEventListener("change", () => update({ curves: NAMES.filter((other) => (other === name ? input.checked : state.curves.includes(other))) }));
    const key = node("svg", { width: 44, height: 14, viewBox: "0 0 44 14", "aria-hidden": "true" }, node("path", { class: `plm-curve plm-${i}`, d: "M0 7H44" }), markAt(i, 22, 7));
    const label = node("label", {}, input, key, node("span", {}, node("b", {}, TEXT.curves[name]), " ", node("span", { class: "plm-quiet" }, TEXT.formulas[name])));
    const cells = COLUMNS.map(() => cell());
    body.append(row(label, cells));
    return { name, input, cells };
  });
  const masks = readings(TEXT.masks), results = masks.cells;

  const question = node("p"), plot = node("div", { class: "plm-plot" }), note = node("p", { class: "plm-quiet plm-note" });
  const maskControls = node("div", { class: "plm-row" }, ...buttons, reset, seedField.element);
  const { form, say } = fillBox(el, TEXT.title, question, views.element, plot, sliderName, slider, node("div", { class: "plm-row" }, xField.element), maskControls, message, note, table, masks.table);

  const plotted = plotIn(plot);
  let scales, cursor, marks, drawnAs, luck = [];

  function drawCurves(width) {
    const { view, curves } = state;
    const xs = Array.from({ length: SAMPLES }, (_, i) => -LIMIT + (2 * LIMIT * i) / (SAMPLES - 1));
    const lines = curves.map((name) => [name, xs.map((x) => [x, value(view, name, x)])]);
    const all = lines.flatMap(([, points]) => points.map(([, y]) => y));
    let low = Math.min(0, ...all), high = Math.max(0, ...all);
    // The curve of the misplaced bracket leaves every useful range; the table still shows its value.
    if (view === "function") [low, high] = [Math.max(low, -1), Math.min(high, 6)];
    if (view === "derivative") [low, high] = [Math.max(low, -2), Math.min(high, 3)];
    if (low === high) [low, high] = [-1, 1];
    const room = 0.06 * (high - low);
    scales = axes({ width, height: width < 420 ? 260 : 320, x: [-LIMIT, LIMIT], y: [low - room, high + room], xName: TEXT.x, yName: TEXT.columns[view] });
    for (const [name, points] of lines) scales.inside.append(node("path", { class: `plm-curve plm-${NAMES.indexOf(name)}`, d: pathThrough(points, scales), "data-curve": name }));
    scales.range = [low - room, high + room];
    cursor = node("path", { class: "plm-cursor", d: `M0 ${scales.toY(low - room)}V${scales.toY(high + room)}` });
    marks = curves.map((name) => markAt(NAMES.indexOf(name), 0, 0, { "data-curve": name }));
    scales.drawing.append(cursor, ...marks);
    plot.replaceChildren(scales.drawing);
    for (const cells of [heads.slice(1), ...rows.map(({ cells }) => cells)]) cells.forEach((cell, i) => cell.classList.toggle("plm-now", COLUMNS[i] === view));
  }

  function drawCursor() {
    const { x, view, curves } = state;
    const at = scales.toX(x), [low, high] = scales.range;
    moveTo(cursor, at, 0);
    curves.forEach((name, i) => moveTo(marks[i], at, scales.toY(Math.min(high, Math.max(low, value(view, name, x))))));
    const beyond = curves.filter((name) => value(view, name, x) < low || value(view, name, x) > high);
    putText(note, !curves.length ? TEXT.empty : beyond.length ? TEXT.outside(beyond.map((name) => TEXT.curves[name]).join(", ")) : "");
    for (const { name, input, cells } of rows) {
      input.checked = curves.includes(name);
      cells.forEach((cell, i) => putText(cell, format(value(COLUMNS[i], name, x))));
    }
    const values = curves.map((name) => `${TEXT.curves[name]} ${format(value(view, name, x))}`).join(", ");
    putAttribute(scales.drawing, "aria-label", TEXT.plot(TEXT.views[view], format(x, 2), values || TEXT.empty));
    say(TEXT.said(format(x, 2), values || TEXT.empty));
  }

  function drawMasks(width) {
    const { x, seed, draws } = state;
    if (luck.length !== draws || luck.seed !== seed) luck = Object.assign(mulberry32(seed, draws), { seed });
    const chance = Phi(x), expected = x * chance, kept = keptSoFar(luck, x), most = Math.max(10, draws);
    const spread = (n) => Math.abs(x) * Math.sqrt((chance * (1 - chance)) / n);
    const steps = [...new Set(Array.from({ length: 240 }, (_, i) => Math.round(most ** (i / 239))))];
    const mean = steps.filter((n) => n <= draws).map((n) => [n, (x * kept[n - 1]) / n]), means = mean.map(([, y]) => y);
    // As high as what is drawn: if nearly every mask is 0, the mean of a few is already small compared with x.
    const reach = (sign) => roundUp(1.05 * Math.max(0.1, ...[expected + sign * 2 * spread(1), ...means].map((y) => sign * y)));
    const y = [-reach(-1), reach(1)];
    scales = plotted({ width, height: width < 420 ? 260 : 320, x: [1, most], y, xName: TEXT.draws, yName: TEXT.meanAxis, logX: true });
    if (scales.fresh) {
      scales.parts = { band: node("path", { class: "plm-band" }), wanted: node("path", { class: "plm-cursor" }), mean: node("path", { class: "plm-curve plm-0", "data-curve": "mean" }), mark: markAt(0, 0, 0) };
      const { mark, ...paths } = scales.parts;
      scales.inside.append(...Object.values(paths));
      scales.drawing.append(mark);
    }
    const edge = (sign) => steps.map((n) => [n, expected + sign * 2 * spread(n)]);
    const points = {
      band: [...edge(1), ...edge(-1).reverse()],
      wanted: [[1, expected], [most, expected]],
      mean,
    };
    for (const [name, through] of Object.entries(points)) putAttribute(scales.parts[name], "d", pathThrough(through, scales));
    const last = draws ? (x * kept[draws - 1]) / draws : NaN, rarer = Math.min(chance, 1 - chance);
    putMark(scales.parts.mark, scales, draws, draws, last);
    const written = (number) => (draws ? format(number) : TEXT.none);
    const told = {
      count: String(draws),
      last: draws ? kept.slice(-12).map((k, i, all) => k - (all[i - 1] ?? kept[draws - 13] ?? 0)).join(" ") : TEXT.none,
      kept: draws ? `${kept[draws - 1]} = ${((100 * kept[draws - 1]) / draws).toFixed(1)} %` : TEXT.none,
      mean: written(last),
      expected: format(expected),
      gap: written(last - expected),
      error: written(spread(draws)),
    };
    for (const [name, text] of Object.entries(told)) putText(results[name], text);
    putText(note, TEXT.chance(format(chance, 4)) + (rarer < 0.05 ? TEXT.rare(Math.round(1 / rarer), Number(x < 0)) : ""));
    const summary = TEXT.plotMasks(draws, written(last), format(expected));
    putAttribute(scales.drawing, "aria-label", summary);
    say(TEXT.said(format(x, 2), summary));
  }

  function draw(width) {
    putText(message, takeState(model, state, allowed, wrong));
    const { x, view } = state, inMasks = view === "masks";
    putText(question, TEXT.questions[view]);
    views.show(view);
    slider.value = x;
    putAttribute(slider, "aria-valuetext", format(x, 2));
    xField.show(x);
    seedField.show(state.seed);
    putHidden(table, inMasks);
    for (const part of [masks.table, maskControls, sliderName]) putHidden(part, !inMasks);
    if (!width) return; // not shown yet: the observer calls again
    if (inMasks) drawMasks(width);
    else {
      const wanted = [width, view, ...state.curves].join();
      if (drawnAs !== wanted || !plot.contains(cursor)) drawCurves(width);
      drawnAs = wanted;
      drawCursor();
    }
  }

  // On the plot itself x follows the pointer.
  followPointer(plot, (event) => {
    if (state.view === "masks") return;
    const x = scales.fromX(event.clientX - plot.getBoundingClientRect().left);
    update({ x: Math.round(100 * Math.min(LIMIT, Math.max(-LIMIT, x))) / 100 });
  });

  return keepDrawn(model, Object.keys(allowed), form, draw);
}

export default { render };
