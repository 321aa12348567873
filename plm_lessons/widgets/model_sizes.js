// What a BERT, RoBERTa or ALBERT of any size costs. The view; model_sizes.maths.js stands before it.

const TEXT = {
  title: "Model sizes",
  questions: {
    parts: "Switch sharing from all to none. Which parts grow L times, and which total does not change at all?",
    models: "ALBERT xxlarge has fewer parameters than BERT large. How many times the work per token does it need?",
    embedding: "Lower E. From which E on does the detour through E cost fewer parameters than a table H wide?",
    memory: "Does sharing parameters save memory in training? Raise the batch and see which part decides.",
  },
  view: "Show",
  views: { parts: "parameters by part", models: "published models", embedding: "choice of E", memory: "memory in training" },
  preset: "published model",
  custom: "sizes of your own",
  sizes: {
    vocab_size: "vocabulary, V",
    hidden_size: "hidden size, H",
    embedding_size: "embedding size, E",
    num_hidden_layers: "layers, L",
    num_attention_heads: "attention heads, A",
    factor: "intermediate size, in H",
    sequence_length: "sequence length, S",
    batch_size: "batch size, B",
  },
  numbers: { max_position_embeddings: "positions in the table", type_vocab_size: "segments in the table" },
  sharing: "layers share",
  shared: { all: "all parameters", attention: "attention", feed_forward: "feed-forward", none: "nothing" },
  head: "head",
  heads: { none: "none (encoder with pooler)", masked_lm: "masked language modelling" },
  dropout: "dropout",
  columns: { parts: ["Part", "parameters", "share", "multiply-adds per token"], memory: ["Part", "bytes", "share"] },
  total: "Total",
  parameters: "parameters, in millions",
  work: "multiply-adds per token, in millions",
  width: "embedding size E",
  here: "here",
  gain: (e, whole, less) => `+ here, E = ${e}: ${less} parameters. Dashed line, with tables H wide and no map: ${whole}.`,
  bar: (name, total, parts) => `${name}: ${total}, of which ${parts}.`,
  plot: (here, others) => `Here: ${here}. ${others}.`,
  point: (name, parameters, work) => `${name}: ${parameters} parameters, ${work} multiply-adds per token`,
  note: "Counted at sequence length S with the words scored at 15% of the positions if there is a head. One multiplication and addition count as one; the backward pass takes twice as many again. Memory: float32, Adam; no fused attention, dropout masks as on a CPU.",
  headsMoved: (heads, hidden) => `The heads must divide H: there are ${heads} of them at H = ${hidden}.`,
  lengthMoved: (length) => `S is at most the number of positions: it is ${length}.`,
  wrong: {
    view: "view must be parts, models, embedding or memory.",
    shared_parameters: "shared_parameters must be all, attention, feed_forward or none.",
    dropout: "dropout must be true or false.",
    head: "head must be none or masked_lm.",
  },
  range: (name, low, high) => `${name} must be a whole number from ${low} to ${high}.`,
  divide: "num_attention_heads must divide hidden_size.",
  fit: "sequence_length must be at most max_position_embeddings.",
};
const LIMITS = {
  vocab_size: 1e6, hidden_size: 16384, embedding_size: 16384, num_hidden_layers: 96, num_attention_heads: 256, intermediate_size: 131072,
  max_position_embeddings: 8192, type_vocab_size: 16, sequence_length: 8192, batch_size: 16384,
};

const isOne = (options) => (v) => typeof v === "string" && Object.hasOwn(options, v);
const ALLOWED = { view: isOne(TEXT.views), shared_parameters: isOne(TEXT.shared), dropout: (v) => typeof v === "boolean", head: isOne(TEXT.heads) };
for (const [name, most] of Object.entries(LIMITS)) {
  ALLOWED[name] = (v) => Number.isInteger(v) && v >= 1 && v <= most;
  TEXT.wrong[name] = TEXT.range(name, 1, most);
}
const SIZES = Object.keys(PUBLISHED[0]).filter((name) => name in ALLOWED);
const MARKS = ["M-5 0A5 5 0 1 1 5 0A5 5 0 1 1-5 0Z", "M-5-5H5V5H-5Z", "M0-6L6 0L0 6L-6 0Z"], HERE = "M-2-8H2V-2H8V2H2V8H-2V2H-8V-2H-2Z";
const LETTERS = "abcdefghi";
const powers = (low, high) => Array.from({ length: Math.log2(high / low) + 1 }, (_, i) => low * 2 ** i);
const LADDERS = {
  vocab_size: [1000, 2000, 4000, 8192, 16000, 21128, 28996, 30000, 30522, 32100, 50265, 64000, 119547, 128000, 250002],
  hidden_size: [128, 256, 384, 512, 640, 768, 1024, 1280, 1536, 2048, 2560, 3072, 4096, 5120, 6144, 8192],
  embedding_size: [8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536, 2048, 4096, 8192],
  num_hidden_layers: Array.from({ length: 48 }, (_, i) => i + 1),
  factor: [1, 2, 3, 4, 5, 6, 8],
  sequence_length: [16, 32, 64, 128, 256, 384, 512, 1024, 2048, 4096],
  batch_size: powers(1, 8192),
};
const divisors = (hidden) => Array.from({ length: Math.min(256, hidden) }, (_, i) => i + 1).filter((heads) => hidden % heads === 0);
const millions = (count) => (count / 1e6 >= 100 ? (count / 1e6).toFixed(0) : (count / 1e6).toPrecision(3)) + " M";

export function render({ model, el }) {
  const { name: _, family: __, ...start } = PUBLISHED[7];
  const state = { view: "models", ...start, head: "none", sequence_length: 512, batch_size: 8 };
  const update = (changes, said = "") => {
    for (const [name, next] of Object.entries(changes)) model.set(name, next);
    model.save_changes();
    message.textContent ||= said;
  };

  const views = choice(TEXT.view, TEXT.views, (view) => update({ view }));
  const select = (label, options, picked) => {
    const input = node("select", { "aria-label": label }, ...Object.entries(options).map(([value, text]) => node("option", { value }, text)));
    input.addEventListener("change", () => picked(input.value));
    return { input, element: node("label", { class: "plm-select" }, label, input), show: (value) => (input.value = value) };
  };
  const names = Object.fromEntries(PUBLISHED.map(({ name }) => [name, name]));
  const preset = select(TEXT.preset, { "": TEXT.custom, ...names }, (name) => {
    const found = PUBLISHED.find((other) => other.name === name);
    if (!found) return draw();
    const length = Math.min(state.sequence_length, 512);
    update({ sequence_length: length, ...Object.fromEntries(SIZES.map((part) => [part, found[part]])) });
  });
  const sharing = select(TEXT.sharing, TEXT.shared, (shared_parameters) => update({ shared_parameters }));
  const head = select(TEXT.head, TEXT.heads, (next) => update({ head: next }));
  const dropout = node("input", { type: "checkbox" });
  dropout.addEventListener("change", () => update({ dropout: dropout.checked }));

  // What moves with H and with the positions, so that no impossible model is asked for; said below the controls.
  const changes = {
    hidden_size(hidden) {
      const heads = divisors(hidden).reduce((best, next) => (Math.abs(next - state.num_attention_heads) < Math.abs(best - state.num_attention_heads) ? next : best));
      const said = heads === state.num_attention_heads ? "" : TEXT.headsMoved(heads, hidden);
      const tied = state.embedding_size === state.hidden_size ? { embedding_size: hidden } : {};
      return [{ num_attention_heads: heads, hidden_size: hidden, ...tied, intermediate_size: Math.max(1, Math.round((state.intermediate_size / state.hidden_size) * hidden)) }, said];
    },
    factor: (factor) => [{ intermediate_size: factor * state.hidden_size }],
    sequence_length(length) {
      const longest = Math.min(length, state.max_position_embeddings);
      return [{ sequence_length: longest }, longest === length ? "" : TEXT.lengthMoved(longest)];
    },
  };
  // A slider over a list of usual sizes; one that is not in the list (from Python, or a preset) stands at the nearest below.
  const ladder = (name, steps) => {
    const input = node("input", { type: "range", min: 0, step: 1, "aria-label": TEXT.sizes[name] }), value = node("b");
    input.addEventListener("input", () => {
      const next = steps()[input.value];
      update(...(changes[name]?.(next) ?? [{ [name]: next }]));
    });
    const show = (current) => {
      const list = steps();
      input.max = list.length - 1;
      input.value = Math.max(0, list.findLastIndex((step) => step <= current));
      value.textContent = grouped(current) === String(current) || current >= 1000 ? grouped(current) : current.toFixed(2);
      input.setAttribute("aria-valuetext", value.textContent);
    };
    return { element: node("label", { class: "plm-slider" }, node("span", {}, TEXT.sizes[name], " ", value), input), show };
  };
  const sliders = Object.fromEntries(Object.keys(TEXT.sizes).map((name) => [name, ladder(name, () => LADDERS[name] ?? divisors(state.hidden_size))]));
  const fields = Object.fromEntries(Object.entries(TEXT.numbers).map(([name, label]) => [name, numberField(
    label, { min: 1, max: LIMITS[name], step: 1 }, (v) => ALLOWED[name](v) && (name === "type_vocab_size" || v >= state.sequence_length),
    (next) => update({ [name]: next }), () => (message.textContent = `${TEXT.wrong[name]} ${name === "type_vocab_size" ? "" : TEXT.fit}`.trim()),
  )]));

  const question = node("p"), bar = node("div", { class: "plm-bar" }), plot = node("div", { class: "plm-plot" }), note = node("p");
  const heads = node("tr", { role: "row" }), body = node("tbody", { role: "rowgroup" });
  const table = node("table", { class: "plm-values", role: "table" }, node("thead", { role: "rowgroup" }, heads), body);
  const message = node("p", { class: "plm-message", role: "alert" });
  const spoken = node("p", { class: "plm-unseen", role: "status", "aria-live": "polite" });
  const say = announcer(spoken);
  const form = node(
    "form", { novalidate: "", autocomplete: "off" },
    views.element, node("div", { class: "plm-row" }, preset.element, sharing.element, head.element, node("label", {}, dropout, TEXT.dropout)),
    node("div", { class: "plm-sliders" }, ...Object.values(sliders).map(({ element }) => element)),
    node("div", { class: "plm-row" }, ...Object.values(fields).map(({ element }) => element)), message, bar, plot, note, table, node("p", { class: "plm-quiet" }, TEXT.note),
  );
  form.addEventListener("submit", (event) => event.preventDefault());
  el.append(frame(TEXT.title, question, form, spoken));

  const fill = (i) => `plm-part-${i % 6}${i % 2 ? " plm-pale" : ""}`;

  /** One stacked bar; each part has a letter, the same as in the table. */
  function drawBar(width, name, parts) {
    const all = sum(parts), drawing = node("svg", { width, height: 52, viewBox: `0 0 ${width} 52`, role: "img" });
    let x = 0;
    Object.entries(parts).forEach(([part, count], i) => {
      const wide = (count / all) * width;
      if (wide > 0) drawing.append(node("rect", { class: fill(i), x: x.toFixed(2), y: 2, width: wide.toFixed(2), height: 30, "data-part": part }));
      if (wide >= 12) drawing.append(node("text", { x: (x + wide / 2).toFixed(1), y: 48, "text-anchor": "middle" }, LETTERS[i]));
      x += wide;
    });
    drawing.setAttribute("aria-label", TEXT.bar(name, grouped(all), Object.entries(parts).filter(([, count]) => count).map(([part, count]) => `${part} ${grouped(count)}`).join(", ")));
    bar.replaceChildren(drawing);
  }

  function writeTable(columns, rows, totals, shown) {
    heads.replaceChildren(...columns.map((column) => node("th", { scope: "col", role: "columnheader" }, column)));
    const line = (label, values, swatch) => node("tr", { role: "row" }, node("th", { scope: "row", role: "rowheader" }, ...swatch, label), ...values.map((value) => node("td", { role: "cell" }, value)));
    body.replaceChildren(...rows.map(([part, ...values], i) => {
      if (!(part in shown)) return line(part, values, []);
      const key = node("svg", { width: 26, height: 12, viewBox: "0 0 26 12", "aria-hidden": "true", class: "plm-key" });
      key.append(node("rect", { class: fill(i), width: 12, height: 12 }), node("text", { x: 17, y: 11 }, LETTERS[i]));
      return line(part, values, [key]);
    }), line(TEXT.total, totals, []));
  }

  const perToken = (c, S) => sum(countMultiplyAdds(c, S, predictionCount(S))) / S;

  function drawModels(width, S) {
    const points = PUBLISHED.map((c) => ({ ...c, head: state.head })).map((c) => ({ ...c, p: sum(countParameters(c)), w: perToken(c, S) }));
    const here = { p: sum(countParameters(state)), w: perToken(state, S) }, all = [...points, here];
    const works = all.map(({ w }) => w / 1e6), range = [Math.min(10, ...works) * 0.8, Math.max(1e4, ...works) * 1.2];
    const most = Math.max(...all.map(({ p }) => p)) / 1e6;
    const scales = axes({ width, height: 300, x: range, y: [0, 1.1 * most], xName: TEXT.work, yName: TEXT.parameters, logX: true });
    const place = ({ p, w }) => `translate(${scales.toX(w / 1e6).toFixed(1)} ${scales.toY(p / 1e6).toFixed(1)})`;
    for (const point of points) {
      // Names stand where no other mark is, at any width: above the smallest model, left of BERT and of what is far right.
      const x = scales.toX(point.w / 1e6), y = scales.toY(point.p / 1e6), above = point.name === "ALBERT base";
      const anchor = above ? "middle" : point.family === 0 || x > 0.6 * width ? "end" : "start";
      scales.drawing.append(
        node("path", { class: `plm-mark plm-${point.family}`, d: MARKS[point.family], transform: place(point), "data-model": point.name }),
        node("text", { x: (x + { middle: 0, start: 9, end: -11 }[anchor]).toFixed(1), y: (y + (above ? -9 : 4)).toFixed(1), "text-anchor": anchor, class: "plm-name" }, point.name),
      );
    }
    scales.drawing.append(node("path", { class: "plm-here", d: HERE, transform: place(here), "data-model": "here" }));
    scales.drawing.setAttribute("aria-label", TEXT.plot(TEXT.point(TEXT.here, millions(here.p), millions(here.w)), points.map(({ name, p, w }) => TEXT.point(name, millions(p), millions(w))).join("; ")));
    plot.replaceChildren(scales.drawing);
    note.textContent = `+ ${TEXT.point(TEXT.here, grouped(here.p), grouped(here.w))}`;
  }

  function drawWidths(width) {
    const at = (embedding_size) => sum(countParameters({ ...state, embedding_size })), H = state.hidden_size, most = Math.max(2 * H, state.embedding_size);
    const steps = [...new Set(Array.from({ length: 160 }, (_, i) => Math.round(8 * (most / 8) ** (i / 159))))].filter((e) => e > 0 && e !== H);
    const whole = at(H), here = at(state.embedding_size), points = steps.map((e) => [e, at(e) / 1e6]);
    const top = Math.max(...points.map(([, y]) => y), whole / 1e6);
    const scales = axes({ width, height: 300, x: [Math.min(8, state.embedding_size, ...steps), most], y: [0, 1.08 * top], xName: TEXT.width, yName: TEXT.parameters, logX: true });
    scales.inside.append(
      node("path", { class: "plm-curve plm-0", d: pathThrough(points, scales), "data-curve": "factored" }),
      node("path", { class: "plm-curve plm-1", d: pathThrough([[points[0][0], whole / 1e6], [most, whole / 1e6]], scales), "data-curve": "tied" }),
    );
    scales.drawing.append(node("path", { class: "plm-here", d: HERE, transform: `translate(${scales.toX(state.embedding_size).toFixed(1)} ${scales.toY(here / 1e6).toFixed(1)})`, "data-model": "here" }));
    note.textContent = TEXT.gain(state.embedding_size, grouped(whole), grouped(here));
    scales.drawing.setAttribute("aria-label", note.textContent);
    plot.replaceChildren(scales.drawing);
  }

  function draw() {
    const { hidden_size, num_attention_heads, sequence_length, max_position_embeddings } = state;
    message.textContent = takeState(model, state, ALLOWED, TEXT.wrong);
    if (state.hidden_size % state.num_attention_heads) {
      message.textContent = TEXT.divide;
      Object.assign(state, { hidden_size, num_attention_heads });
    }
    if (state.sequence_length > state.max_position_embeddings) {
      message.textContent = TEXT.fit;
      Object.assign(state, { sequence_length, max_position_embeddings });
    }
    const { view, sequence_length: S, batch_size: B } = state;
    question.textContent = TEXT.questions[view];
    views.show(view);
    preset.show(PUBLISHED.find((other) => SIZES.every((part) => other[part] === state[part]))?.name ?? "");
    sharing.show(state.shared_parameters);
    head.show(state.head);
    dropout.checked = state.dropout;
    for (const [name, control] of Object.entries(sliders)) control.show(name === "factor" ? state.intermediate_size / state.hidden_size : state[name]);
    for (const [name, control] of Object.entries(fields)) control.show(state[name]);
    const width = Math.round(form.clientWidth);
    if (!width) return; // not shown yet: the observer calls again

    const parameters = countParameters(state), work = countMultiplyAdds(state, S, predictionCount(S));
    const memory = trainingBytes(state, B, S, predictionCount(S)), inMemory = view === "memory", shown = inMemory ? memory : parameters;
    const all = sum(shown), share = (count) => `${((100 * count) / all).toFixed(1)} %`;
    bar.hidden = view !== "parts" && !inMemory;
    plot.hidden = note.hidden = !bar.hidden;
    if (!bar.hidden) drawBar(width, inMemory ? TEXT.views.memory : TEXT.views.parts, shown);
    else if (view === "models") drawModels(width, S);
    else drawWidths(width);
    if (inMemory) writeTable(TEXT.columns.memory, Object.entries(memory).map(([part, bytes]) => [part, grouped(bytes), share(bytes)]), [grouped(all), share(all)], shown);
    else {
      const parts = Object.keys(parameters);
      const rows = parts.map((part) => [part, grouped(parameters[part]), share(parameters[part]), part in work ? grouped(work[part] / S) : "\u2013"]);
      rows.push(["attention scores", "0", share(0), grouped(work["attention scores"] / S)]);
      writeTable(TEXT.columns.parts, rows, [grouped(all), share(all), grouped(sum(work) / S)], shown);
    }
    say(`${grouped(sum(parameters))} ${TEXT.columns.parts[1]}, ${grouped(sum(work) / S)} ${TEXT.columns.parts[3]}, ${grouped(sum(memory))} ${TEXT.columns.memory[1]}`);
  }

  return keepDrawn(model, Object.keys(ALLOWED), form, draw);
}

export default { render };
