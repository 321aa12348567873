// Which tokens are hidden in each epoch: masks made once (static) and masks made anew (dynamic). The view; masking_patterns.maths.js stands before it.

const TEXT = {
  title: "Masking patterns",
  question: {
    tokens: "After which epoch does static masking show nothing new? Does dynamic masking ever repeat itself?",
    words: "No piece of a word is left over to give the rest away. Which positions are hidden less often now than single tokens were, and why?",
    spans: "Go through some epochs. Which token is always hidden and which never, although all the masks are random?",
  },
  unit: "What is chosen",
  units: { tokens: "single tokens (BERT, RoBERTa)", words: "whole words", spans: "spans (T5)" },
  sliders: {
    masking_rate: "masking rate",
    mask_share: "share that becomes the mask token",
    random_share: "share that becomes a random token",
    mean_span_length: "mean length of a span",
    copies: "static copies",
  },
  epoch: (epoch) => `Epoch ${epoch}`,
  back: "Back",
  next: "Next epoch",
  ten: "Ten epochs on",
  first: "To epoch 1",
  seed: "seed",
  static: (copy, copies) => `Static: copy ${copy} of ${copies}`,
  dynamic: "Dynamic: made for this epoch",
  reads: "the model reads",
  input: "input",
  target: "target",
  key: "Below a chosen token stands what the model must answer. Solid box: mask token. Dashed box: random token. Double box: left as it is.",
  answer: (token) => ` (answer: ${token})`,
  plotKey: { dynamic: "dynamic", static: "static", expected: "expected" },
  position: "position of the token",
  times: "times chosen so far",
  columns: ["so far", "static", "dynamic", "expected"],
  rows: { distinct: "Different sets of positions met", chosen: "Tokens chosen so far", mask: "of these: mask token", random: "random token", kept: "left as they are" },
  atMost: (count) => `at most ${count}`,
  caption: "The numbers come from a small generator in this page (mulberry32, started from seed and epoch), not from torch: the rules are those of the chapter, the draws are others.",
  said: (epoch, chosen) => `Epoch ${epoch}. Dynamic mask hides ${chosen}.`,
  plot: (epochs, low, high, least, most) => `Times each position was chosen in ${epochs} epochs. Static: from ${low[0]} to ${low[1]}. Dynamic: from ${high[0]} to ${high[1]}. Expected: from ${least} to ${most}.`,
  last: "This is the last epoch that is shown here.",
  impossible: "At this masking rate and mean length there are more spans than tokens between them. No mask can be made.",
  wrong: {
    sentence: "sentence must be a list of 2 to 128 pairs of a token and its word number, with one token at least that may be chosen.",
    mask_token: "mask_token must be a text of 1 to 64 characters.",
    random_tokens: "random_tokens must be a list of 1 to 256 texts of 1 to 64 characters.",
    unit: "unit must be tokens, words or spans.",
  },
  range: (name, kind, low, high) => `${name} must be a ${kind} from ${low} to ${high}.`,
  shares: "mask_share and random_share must be at most 1 together.",
};
const NUMBERS = { masking_rate: [0, 0.5], mask_share: [0, 1], random_share: [0, 1], mean_span_length: [1, 10] };
const WHOLE = { copies: [1, 40], seed: [0, 2 ** 32 - 1], epochs: [1, 400] };
const MOST_EPOCHS = WHOLE.epochs[1];

const isText = (v) => typeof v === "string" && v !== "" && [...v].length <= 64;
const isList = (v, least, most) => Array.isArray(v) && v.length >= least && v.length <= most;
const isWhole = (low, high) => (v) => Number.isInteger(v) && v >= low && v <= high;
const ALLOWED = {
  sentence: (v) => isList(v, 2, 128) && v.every((pair) => isList(pair, 2, 2) && isText(pair[0]) && isWhole(-1, 127)(pair[1])) && v.some(([, word]) => word >= 0),
  mask_token: isText,
  random_tokens: (v) => isList(v, 1, 256) && v.every(isText),
  unit: (v) => typeof v === "string" && Object.hasOwn(TEXT.units, v),
};
for (const [name, [low, high]] of Object.entries(NUMBERS)) {
  ALLOWED[name] = (v) => Number.isFinite(v) && v >= low && v <= high;
  TEXT.wrong[name] = TEXT.range(name, "number", low, high);
}
for (const [name, [low, high]] of Object.entries(WHOLE)) {
  ALLOWED[name] = isWhole(low, high);
  TEXT.wrong[name] = TEXT.range(name, "whole number", low, high);
}
const LOOKS = { mask: "plm-solid", random: "plm-dashed", kept: "plm-double" };
const KINDS = ["static", "dynamic"];
const percent = (share) => `${(100 * share).toFixed(1)} %`;

export function render({ model, el }) {
  const state = {
    sentence: [["no", 0], ["text", 1]], mask_token: "[MASK]", random_tokens: ["other"], unit: "tokens", masking_rate: 0.15,
    mask_share: 0.8, random_share: 0.1, mean_span_length: 3, copies: 10, seed: 0, epochs: 12,
  };
  const update = (changes) => {
    for (const [name, next] of Object.entries(changes)) model.set(name, next);
    model.save_changes();
  };

  const units = choice(TEXT.unit, TEXT.units, (unit) => update({ unit }));
  const slider = (name, step, written, taken = (value) => ({ [name]: value })) => {
    const [min, max] = NUMBERS[name] ?? WHOLE[name];
    const input = node("input", { type: "range", min, max, step, "aria-label": TEXT.sliders[name] }), value = node("b");
    input.addEventListener("input", () => update(taken(Number(input.value))));
    const show = (next) => {
      input.value = next;
      value.textContent = written(next);
      input.setAttribute("aria-valuetext", written(next));
    };
    return { element: node("label", { class: "plm-slider" }, node("span", {}, TEXT.sliders[name], " ", value), input), show };
  };
  // The two shares are at most 1 together: the one that is moved takes from the other. That one goes first, so that no sum is ever above 1.
  const beside = (name, other) => (value) => ({ [other]: Math.round(100 * Math.min(state[other], 1 - value)) / 100, [name]: value });
  const sliders = {
    masking_rate: slider("masking_rate", 0.01, percent),
    mask_share: slider("mask_share", 0.01, percent, beside("mask_share", "random_share")),
    random_share: slider("random_share", 0.01, percent, beside("random_share", "mask_share")),
    mean_span_length: slider("mean_span_length", 0.5, (mean) => mean.toFixed(1)),
    copies: slider("copies", 1, String),
  };
  const seedField = numberField(TEXT.seed, { min: 0, max: WHOLE.seed[1], step: 1 }, ALLOWED.seed, (seed) => update({ seed }), () => (message.textContent = TEXT.wrong.seed));
  const button = (text, next) => {
    const made = node("button", { type: "button" }, text);
    made.addEventListener("click", () => {
      const wanted = next(state.epochs);
      update({ epochs: Math.min(Math.max(1, wanted), MOST_EPOCHS) });
      if (wanted > MOST_EPOCHS) message.textContent = TEXT.last;
    });
    return made;
  };
  const epoch = node("b", { class: "plm-epoch" });
  const buttons = node(
    "div", { class: "plm-row" }, epoch, button(TEXT.back, (epochs) => epochs - 1), button(TEXT.next, (epochs) => epochs + 1),
    button(TEXT.ten, (epochs) => epochs + 10), button(TEXT.first, () => 1), seedField.element,
  );

  const texts = Object.fromEntries(KINDS.map((kind) => [kind, { head: node("p", { class: "plm-head" }), rows: node("div") }]));
  const cells = Object.fromEntries(Object.keys(TEXT.rows).map((row) => [row, TEXT.columns.slice(1).map(() => node("td", { role: "cell" }))]));
  const lines = Object.fromEntries(Object.entries(cells).map(([row, all]) => [row, node("tr", { role: "row" }, node("th", { scope: "row", role: "rowheader" }, TEXT.rows[row]), ...all)]));
  const table = node(
    "table", { class: "plm-values", role: "table" },
    node("thead", { role: "rowgroup" }, node("tr", { role: "row" }, ...TEXT.columns.map((column) => node("th", { scope: "col", role: "columnheader" }, column)))),
    node("tbody", { role: "rowgroup" }, ...Object.values(lines)),
  );
  const question = node("p"), key = node("p", { class: "plm-quiet" });
  const plot = node("div", { class: "plm-plot" });
  const plotKey = node("div", { class: "plm-row", "aria-hidden": "true" }, ...["static", "dynamic", "expected"].map((kind) => {
    const swatch = node("svg", { width: 26, height: 14, viewBox: "0 0 26 14" });
    swatch.append(kind === "expected" ? node("path", { class: "plm-expected", d: "M0 7H26" }) : node("rect", { class: `plm-bar-${kind}`, x: 8, y: 1, width: 10, height: 12 }));
    return node("span", { class: "plm-swatch" }, swatch, TEXT.plotKey[kind]);
  }));
  const message = node("p", { class: "plm-message", role: "alert" });
  const spoken = node("p", { class: "plm-unseen", role: "status", "aria-live": "polite" });
  const say = announcer(spoken);
  const form = node(
    "form", { novalidate: "", autocomplete: "off" },
    units.element, buttons, texts.static.head, texts.static.rows, texts.dynamic.head, texts.dynamic.rows, key, message,
    node("div", { class: "plm-sliders" }, ...Object.values(sliders).map(({ element }) => element)), plotKey, plot, table, node("p", { class: "plm-quiet" }, TEXT.caption),
  );
  form.addEventListener("submit", (event) => event.preventDefault());
  el.append(frame(TEXT.title, question, form, spoken));

  const list = (name, items) => node("div", { class: "plm-tokens", role: "list", "aria-label": name }, ...items);
  const token = (text, look = "", answer = "") =>
    node("span", { class: `plm-token ${look}`, role: "listitem", dir: "auto" }, node("span", {}, text), answer && node("span", { class: "plm-unseen" }, TEXT.answer(answer)), answer && node("small", { "aria-hidden": "true", dir: "auto" }, answer));

  function writeText(kind, mask) {
    const tokens = state.sentence.map(([text]) => text), { rows } = texts[kind];
    if (state.unit === "spans") {
      const pair = spanPair(tokens, mask.chosen);
      return rows.replaceChildren(...["input", "target"].map((side) =>
        node("div", { class: "plm-side" }, node("span", { class: "plm-quiet" }, TEXT[side]), list(`${texts[kind].head.textContent}, ${TEXT[side]}`, pair[side].map(([text, sentinel]) => token(text, sentinel ? "plm-solid" : ""))))));
    }
    const fates = new Map(mask.chosen.map((position, i) => [position, [mask.fates[i], mask.replacements[i]]]));
    rows.replaceChildren(list(`${texts[kind].head.textContent}, ${TEXT.reads}`, tokens.map((text, position) => {
      const [fate, replacement] = fates.get(position) ?? [];
      if (!fate) return token(text);
      return token({ mask: state.mask_token, random: state.random_tokens[replacement], kept: text }[fate], LOOKS[fate], text);
    })));
  }

  function drawPlot(seen, expected) {
    const width = Math.round(plot.clientWidth), count = state.sentence.length;
    if (!width) return; // not shown yet: the observer calls again
    const most = Math.max(1, ...expected, ...KINDS.flatMap((kind) => seen[kind].counts));
    const scales = axes({ width, height: 220, x: [0, count], y: [0, 1.08 * most], xName: TEXT.position, yName: TEXT.times });
    KINDS.forEach((kind, i) => seen[kind].counts.forEach((times, position) => {
      const left = scales.toX(position + 0.12 + 0.38 * i), right = scales.toX(position + 0.5 + 0.38 * i), top = scales.toY(times);
      if (times) scales.inside.append(node("rect", { class: `plm-bar-${kind}`, x: left.toFixed(1), y: top.toFixed(1), width: (right - left).toFixed(1), height: (scales.toY(0) - top).toFixed(1), "data-position": position, "data-times": times }));
    }));
    scales.inside.append(node("path", { class: "plm-expected", d: pathThrough(expected.flatMap((times, i) => [[i, times], [i + 1, times]]), scales) }));
    const ends = (values) => [Math.min(...values), Math.max(...values)];
    const candidates = (values) => values.filter((_, i) => state.sentence[i][1] >= 0);
    scales.drawing.setAttribute("aria-label", TEXT.plot(
      state.epochs, ends(candidates(seen.static.counts)), ends(candidates(seen.dynamic.counts)), ...ends(candidates(expected)).map((value) => value.toFixed(2)),
    ));
    plot.replaceChildren(scales.drawing);
  }

  function draw() {
    const { mask_share, random_share } = state;
    message.textContent = takeState(model, state, ALLOWED, TEXT.wrong);
    if (state.mask_share + state.random_share > 1 + 1e-9) {
      message.textContent = TEXT.shares;
      Object.assign(state, { mask_share, random_share });
    }
    const { unit, epochs, copies, sentence } = state, spans = unit === "spans";
    question.textContent = TEXT.question[unit];
    units.show(unit);
    for (const [name, control] of Object.entries(sliders)) control.show(state[name]);
    seedField.show(state.seed);
    for (const name of ["mask_share", "random_share"]) sliders[name].element.hidden = spans;
    sliders.mean_span_length.element.hidden = !spans;
    for (const row of ["mask", "random", "kept"]) lines[row].hidden = spans;
    key.textContent = spans ? "" : TEXT.key;
    epoch.textContent = TEXT.epoch(epochs);
    texts.static.head.textContent = TEXT.static(((epochs - 1) % copies) + 1, copies);
    texts.dynamic.head.textContent = TEXT.dynamic;
    const settings = { ...state, numbers: sentence.map(([, word]) => word), pool: state.random_tokens.length };
    const seen = history(settings, epochs, copies), once = chances(settings);
    for (const part of [texts.static.rows, texts.dynamic.rows, plot, table]) part.hidden = !seen;
    if (!seen) return void (message.textContent ||= TEXT.impossible);
    for (const kind of KINDS) writeText(kind, seen[kind].now);
    drawPlot(seen, once.map((chance) => chance * epochs));

    const chosen = once.reduce((sum, chance) => sum + chance, 0) * epochs;
    const shares = { mask: state.mask_share, random: state.random_share, kept: Math.max(0, 1 - state.mask_share - state.random_share) };
    KINDS.forEach((kind, i) => {
      const { fates, counts, distinct } = seen[kind], all = counts.reduce((sum, times) => sum + times, 0);
      cells.distinct[i].textContent = distinct;
      cells.chosen[i].textContent = all;
      for (const [fate, times] of Object.entries(fates)) cells[fate][i].textContent = all ? `${times} = ${percent(times / all)}` : times;
    });
    cells.distinct[2].textContent = TEXT.atMost(`${Math.min(copies, epochs)} / ${epochs}`);
    cells.chosen[2].textContent = chosen.toFixed(1);
    for (const [fate, share] of Object.entries(shares)) cells[fate][2].textContent = `${(share * chosen).toFixed(1)} = ${percent(share)}`;
    say(TEXT.said(epochs, seen.dynamic.now.chosen.map((position) => sentence[position][0]).join(", ")));
  }

  return keepDrawn(model, Object.keys(ALLOWED), plot, draw);
}

export default { render };
