// LayerNorm and RMSNorm of the same vector, side by side. Maths first (pure, exported, tested against torch), then the view.

const TEXT = {
  title: "LayerNorm and RMSNorm of one vector",
  question: "Shift all, then scale all: which of the two outputs changes? How small must the vector be before eps matters?",
  columns: { component: "Component, in units of the scale", x: "x", layerNorm: "LayerNorm", rmsNorm: "RMSNorm" },
  component: (i) => `x${i + 1}`,
  buttons: { up: "Shift all by +1", down: "Shift all by −1", bigger: "Scale all × 10", smaller: "Scale all ÷ 10", tiny: "Tiny vector", reset: "Start again" },
  eps: "eps",
  gain: "gain",
  statistics: {
    scale: "Scale: the unit of the components",
    mean: "Mean",
    std: "Standard deviation",
    rms: "RMS, root of the mean square",
    layerDivisor: "LayerNorm divides x − mean by √(variance + eps)",
    rmsDivisor: "RMSNorm divides x by √(mean square + eps)",
    share: "Share of eps under RMSNorm's root",
  },
  press: "Press a button to see here what it changes.",
  small: "less than 0.00001",
  upTo: (most) => `up to ${most}`,
  moved: (what, layer, rms) => `${what}: LayerNorm changes by ${layer}, RMSNorm by ${rms}.`,
  said: (values, layer, rms) => `x = ${values}; LayerNorm ${layer}; RMSNorm ${rms}`,
  bars: (limit) => `Each bar starts at 0, in the middle; right is positive. A full half is ${limit}. Thin line: before the last press.`,
  range: "Components must be from −10 to 10: shift back, or start again.",
  scaled: "The scale must be from 10⁻⁶ to 10³.",
  componentRule: "components must be a list of 1 to 8 numbers, each from −10 to 10.",
};

const START = { components: [3, 1, 4, -1, 2.5, 0.5], log10_scale: 0, log10_eps: -6, gain: 1 };
const TINY = -4;
const MOST_GAIN = 1.5;

// Counted from the first, so that the mean of equal numbers is exactly that number.
const mean = (xs) => xs[0] + xs.reduce((sum, x) => sum + (x - xs[0]), 0) / xs.length;

/** Mean, variance (divided by n, as LayerNorm does) and mean square of a vector. */
export function moments(xs) {
  const centre = mean(xs);
  return { mean: centre, variance: mean(xs.map((x) => (x - centre) ** 2)), meanSquare: mean(xs.map((x) => x * x)) };
}

/** gain · (x − mean) / √(variance + eps). */
export function layerNorm(xs, eps, gain = 1) {
  const { mean, variance } = moments(xs), divisor = Math.sqrt(variance + eps);
  return xs.map((x) => (gain * (x - mean)) / divisor);
}

/** gain · x / √(mean square + eps): no mean is subtracted. */
export function rmsNorm(xs, eps, gain = 1) {
  const divisor = Math.sqrt(moments(xs).meanSquare + eps);
  return xs.map((x) => (gain * x) / divisor);
}

/** The vector, its moments and both outputs of a state. */
export function outputs({ components, log10_scale, log10_eps, gain }) {
  const xs = components.map((component) => component * 10 ** log10_scale), eps = 10 ** log10_eps;
  return { xs, eps, ...moments(xs), layerNorm: layerNorm(xs, eps, gain), rmsNorm: rmsNorm(xs, eps, gain) };
}

const isComponent = (v) => Number.isFinite(v) && v >= -10 && v <= 10;
const { allowed, wrong } = rules({
  numbers: { log10_eps: [-12, 0], gain: [0, MOST_GAIN] },
  wholes: { log10_scale: [-6, 3] },
  others: { components: [(v) => Array.isArray(v) && v.length >= 1 && v.length <= 8 && v.every(isComponent), TEXT.componentRule] },
});
const KINDS = ["layerNorm", "rmsNorm"];
const tidy = (value) => Number(value.toFixed(9)); // 0.1 + 0.2 is not 0.30000000000000004 to a reader

function render({ model, el }) {
  const state = structuredClone(START);
  const update = sender(model), message = messageLine();

  // What a button did to both outputs, shown as long as the state is the one that it led to.
  let moved = {};
  const press = (what, changes) => {
    const before = outputs(state), next = { ...state, ...changes }, after = outputs(next);
    const most = (kind) => Math.max(...after[kind].map((y, i) => Math.abs(y - before[kind][i])));
    const [layer, rms] = KINDS.map((kind) => (most(kind) < 1e-5 ? TEXT.small : TEXT.upTo(format(most(kind)))));
    moved = { to: JSON.stringify(next), before, text: TEXT.moved(what, layer, rms) };
    update(changes);
  };
  const shift = (what, by) => {
    const components = state.components.map((component) => tidy(component + by));
    if (allowed.components(components)) press(what, { components });
    else message.textContent = TEXT.range;
  };
  const scale = (what, by) => {
    const log10_scale = state.log10_scale + by;
    if (allowed.log10_scale(log10_scale)) press(what, { log10_scale });
    else message.textContent = TEXT.scaled;
  };
  const actions = {
    up: (what) => shift(what, 1),
    down: (what) => shift(what, -1),
    bigger: (what) => scale(what, 1),
    smaller: (what) => scale(what, -1),
    tiny: (what) => press(what, { log10_scale: TINY }),
    reset() {
      moved = {};
      update(structuredClone(START));
    },
  };
  const buttons = Object.entries(actions).map(([name, act]) => pushButton(TEXT.buttons[name], () => act(TEXT.buttons[name])));
  const epsSlider = labelledSlider(TEXT.eps, { min: -12, max: 0, step: 0.5 }, (log10_eps) => update({ log10_eps }));
  const gainSlider = labelledSlider(TEXT.gain, { min: 0, max: MOST_GAIN, step: 0.05 }, (gain) => update({ gain }));

  // One row for each component: its slider, its value, and both outputs as a number with a bar from zero.
  let rows = [];
  const { table, body, row, cell } = valueTable(Object.values(TEXT.columns));
  table.classList.add("plm-vector");
  const bar = (kind) => {
    const part = { fill: node("i", { class: `plm-bar plm-${KINDS.indexOf(kind)}` }), ghost: node("i", { class: "plm-ghost" }), number: node("span") };
    const holder = cell();
    holder.classList.add("plm-signed");
    holder.append(node("div", {}, node("i", { class: "plm-middle" }), part.fill, part.ghost), part.number);
    return { ...part, holder };
  };
  const makeRows = () => {
    rows = state.components.map((_, i) => {
      const slider = labelledSlider(TEXT.component(i), { min: -10, max: 10, step: 0.1 }, (value) =>
        update({ components: state.components.map((other, j) => (j === i ? value : other)) }));
      const x = cell(), bars = KINDS.map(bar);
      return { slider, x, bars, line: row(slider.element, [x, ...bars.map(({ holder }) => holder)]) };
    });
    body.replaceChildren(...rows.map(({ line }) => line));
  };
  const statistics = readings(TEXT.statistics), results = statistics.cells;

  const legend = node("p", { class: "plm-quiet" });
  const verdict = node("p", { class: "plm-verdict" });
  const { form, say } = fillBox(
    el, TEXT.title, node("p", {}, TEXT.question), node("div", { class: "plm-row" }, ...buttons), message, verdict, table, legend,
    node("div", { class: "plm-sliders" }, epsSlider.element, gainSlider.element), statistics.table,
  );

  function draw() {
    putText(message, takeState(model, state, allowed, wrong));
    if (rows.length !== state.components.length) makeRows();
    const found = outputs(state), before = moved.to === JSON.stringify(state) ? moved.before : undefined;
    const limit = MOST_GAIN * Math.sqrt(rows.length); // neither output can be further from 0
    rows.forEach(({ slider, x, bars }, i) => {
      slider.show(state.components[i], format(state.components[i], 1));
      putText(x, format(found.xs[i]));
      bars.forEach(({ fill, ghost, number }, k) => {
        const y = found[KINDS[k]][i], place = (value) => `${(50 + (50 * value) / limit).toFixed(3)}%`;
        // Stretched, not drawn anew: this causes no layout.
        fill.style.transform = `translateX(${place(Math.min(y, 0))}) scaleX(${(Math.abs(y) / limit / 2).toFixed(4)})`;
        putText(number, format(y));
        putHidden(ghost, !before);
        if (before) ghost.style.left = place(before[KINDS[k]][i]);
      });
    });
    epsSlider.show(state.log10_eps, format(found.eps));
    gainSlider.show(state.gain, format(state.gain, 2));
    putText(verdict, before ? moved.text : TEXT.press);
    putText(legend, TEXT.bars(format(limit, 2)));
    const told = {
      scale: format(10 ** state.log10_scale, 3),
      mean: format(found.mean),
      std: format(Math.sqrt(found.variance)),
      rms: format(Math.sqrt(found.meanSquare)),
      layerDivisor: format(Math.sqrt(found.variance + found.eps)),
      rmsDivisor: format(Math.sqrt(found.meanSquare + found.eps)),
      share: `${format((100 * found.eps) / (found.meanSquare + found.eps), 2)} %`,
    };
    for (const [name, text] of Object.entries(told)) putText(results[name], text);
    const list = (values) => values.map((value) => format(value, 2)).join(" ");
    say(before ? moved.text : TEXT.said(list(found.xs), list(found.layerNorm), list(found.rmsNorm)));
  }

  return keepDrawn(model, Object.keys(allowed), form, draw);
}

export default { render };
