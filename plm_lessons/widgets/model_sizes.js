// What a BERT, RoBERTa or ALBERT of any size costs. The view; model_sizes.maths.js comes before it.

const TEXT = {
  title: "Model sizes",
  questions: {
    parts: "Let the layers share nothing. Which parts grow L-fold, and which total does not change at all?",
    models: "ALBERT xxlarge has fewer parameters than BERT large. How many times the work per token does it need?",
    embedding: "Raise E. Up to about which E does the detour through E cost fewer parameters than a table H wide?",
    memory: "Does sharing parameters save memory in training? Raise the batch and see which part decides.",
  },
  view: "Show",
  views: { parts: "parameters by part", models: "published models", embedding: "choice of E", memory: "memory in training" },
  preset: "published model",
  custom: "your own sizes",
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
  refused: {
    max_position_embeddings: (length) => `Choose from ${length} (S) to ${LIMITS.max_position_embeddings} positions.`,
    type_vocab_size: () => `Choose from 1 to ${LIMITS.type_vocab_size} segments.`,
  },
  numbers: { max_position_embeddings: "positions in the table", type_vocab_size: "segments in the table" },
  sharing: "layers share",
  shared: { all: "all parameters", attention: "attention", feed_forward: "feed-forward", none: "nothing" },
  head: "head",
  heads: { none: "none (encoder with pooler)", masked_lm: "masked language modelling" },
  dropout: "dropout",
  columns: { parts: ["Part", "parameters", "share", "multiply-adds per token"], memory: ["Part", "memory", "share"] },
  total: "Total",
  parameters: "parameters, in millions",
  work: "multiply-adds per token, in millions",
  width: "embedding size E",
  here: "here",
  gain: (e, whole, less) => `+ here, E = ${e}: ${less} parameters. Dashed line, with tables H wide and no map: ${whole}.`,
  bar: (name, total, parts) => `${name}: ${total}, of which ${parts}.`,
  plot: (here, others) => `Here: ${here}. ${others}.`,
  point: (name, parameters, work) => `${name}: ${parameters} parameters, ${work} multiply-adds per token`,
  kept: (bytes) => `A training step with B sequences keeps ${bytes} in memory.`,
  note: "Counted at sequence length S, with words scored at 15% of the positions if there is a head. A multiplication and its addition count as one; the backward pass adds twice as many. Memory: float32, Adam; no fused attention, dropout masks of one byte each. k, M, G and T are powers of a thousand: 1 GB is 10⁹ bytes.",
  headsMoved: (heads, hidden) => `The number of heads must divide H: at H = ${hidden} it is ${heads}.`,
  lengthMoved: (length) => `S cannot exceed the ${length} positions of the table.`,
  switch: "dropout must be true or false.",
  divide: "num_attention_heads must divide hidden_size.",
  fit: "sequence_length must be at most max_position_embeddings.",
};
const LIMITS = {
  vocab_size: 1e6, hidden_size: 16384, embedding_size: 16384, num_hidden_layers: 96, num_attention_heads: 256, intermediate_size: 131072,
  max_position_embeddings: 8192, type_vocab_size: 16, sequence_length: 8192, batch_size: 16384,
};

const { allowed, wrong } = rules({
  wholes: Object.fromEntries(Object.entries(LIMITS).map(([name, most]) => [name, [1, most]])),
  names: { view: TEXT.views, shared_parameters: TEXT.shared, head: TEXT.heads },
  others: { dropout: [(v) => typeof v === "boolean", TEXT.switch] },
});
const SIZES = Object.keys(PUBLISHED[0]).filter((name) => name in allowed);
const HERE = "M-2-8H2V-2H8V2H2V8H-2V2H-8V-2H-2Z";
const LETTERS = "abcdefghi", SCORES = "attention scores";
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
const bytes = (count) => amount(count, "B");
const divisors = (hidden) => Array.from({ length: Math.min(256, hidden) }, (_, i) => i + 1).filter((heads) => hidden % heads === 0);

function render({ model, el }) {
  const { name: _, family: __, ...start } = PUBLISHED[7];
  const state = { view: "models", ...start, head: "none", sequence_length: 512, batch_size: 8 };
  const update = sender(model), message = messageLine();

  const views = choice(TEXT.view, TEXT.views, (view) => update({ view }));
  const published = () => PUBLISHED.find((other) => SIZES.every((part) => other[part] === state[part]))?.name ?? "";
  const names = Object.fromEntries(PUBLISHED.map(({ name }) => [name, name]));
  let free, wished, last = {}; // whether E is a size of its own, or H, with which it moves; and how many heads were chosen
  const preset = labelledSelect(TEXT.preset, { "": TEXT.custom, ...names }, (name) => {
    const found = PUBLISHED.find((other) => other.name === name);
    if (!found) return preset.show(published());
    const length = Math.min(state.sequence_length, 512);
    last = {};
    update({ sequence_length: length, ...Object.fromEntries(SIZES.map((part) => [part, found[part]])) });
  });
  const sharing = labelledSelect(TEXT.sharing, TEXT.shared, (shared_parameters) => update({ shared_parameters }));
  const head = labelledSelect(TEXT.head, TEXT.heads, (next) => update({ head: next }));
  const dropout = node("input", { type: "checkbox" });
  dropout.addEventListener("change", () => update({ dropout: dropout.checked }));

  // What moves with H and with the positions, so that no impossible model is asked for; a message below the controls says so.
  const changes = {
    hidden_size(hidden) {
      const heads = divisors(hidden).reduce((best, next) => (Math.abs(next - wished) < Math.abs(best - wished) ? next : best));
      const said = heads === wished ? "" : TEXT.headsMoved(heads, hidden);
      last.heads = heads;
      const tied = free ? {} : { embedding_size: hidden };
      return [{ num_attention_heads: heads, hidden_size: hidden, ...tied, intermediate_size: Math.min(LIMITS.intermediate_size, Math.max(1, Math.round((state.intermediate_size / state.hidden_size) * hidden))) }, said];
    },
    factor: (factor) => [{ intermediate_size: Math.min(LIMITS.intermediate_size, factor * state.hidden_size) }],
    sequence_length(length) {
      const longest = Math.min(length, state.max_position_embeddings);
      return [{ sequence_length: longest }, longest === length ? "" : TEXT.lengthMoved(longest)];
    },
  };
  // A slider over a list of usual sizes; one that is not in the list (from Python, or a preset) is shown at the nearest one below.
  const ladder = (name, steps) => {
    const { element, input, show } = labelledSlider(TEXT.sizes[name], { min: 0, step: 1 }, (place) => {
      const next = steps()[place], [changed, said = ""] = changes[name]?.(next) ?? [{ [name]: next }];
      update(changed);
      message.textContent ||= said;
    });
    const showSize = (current) => {
      const list = steps();
      putAttribute(input, "max", list.length - 1);
      show(Math.max(0, list.findLastIndex((step) => step <= current)), Number.isInteger(current) ? grouped(current) : current.toFixed(2));
    };
    return { element, show: showSize };
  };
  const sliders = Object.fromEntries(Object.keys(TEXT.sizes).map((name) => [name, ladder(name, () => LADDERS[name] ?? divisors(state.hidden_size))]));
  const fields = Object.fromEntries(Object.entries(TEXT.numbers).map(([name, label]) => [name, numberField(
    label, { min: 1, max: LIMITS[name], step: 1 }, (v) => allowed[name](v) && (name === "type_vocab_size" || v >= state.sequence_length),
    (next) => update({ [name]: next }), () => (message.textContent = TEXT.refused[name](state.sequence_length)),
  )]));

  const question = node("p"), bar = node("div", { class: "plm-bar" }), plot = node("div", { class: "plm-plot" }), note = node("p"), kept = node("p");
  const tables = node("div", { class: "plm-sizes" }), shape = node("div", { class: "plm-row" }, preset.element, sharing.element, head.element, node("label", {}, dropout, TEXT.dropout));
  const { form, say } = fillBox(
    el, TEXT.title, question, views.element, shape,
    node("div", { class: "plm-sliders" }, ...Object.values(sliders).map(({ element }) => element)),
    node("div", { class: "plm-row" }, ...Object.values(fields).map(({ element }) => element)), message, bar, plot, note, tables, kept, node("p", { class: "plm-quiet" }, TEXT.note),
  );

  // Six colours for up to eight parts, neighbours in different strengths: a colour that is used again has the other strength.
  const fill = (i) => `plm-part-${i % 6}${i % 2 !== Number(i > 5) ? " plm-pale" : ""}`;

  /** One stacked bar; each part has a letter, the same as in the table. */
  function drawBar(width, name, parts, inBytes) {
    const all = sum(parts), drawing = node("svg", { width, height: 52, viewBox: `0 0 ${width} 52`, role: "img" });
    const written = inBytes ? bytes : amount;
    let x = 0, last = -Infinity;
    Object.entries(parts).forEach(([part, count], i) => {
      const wide = (count / all) * width;
      if (wide > 0) drawing.append(node("rect", { class: fill(i), x: x.toFixed(2), y: 2, width: wide.toFixed(2), height: 30, "data-part": part }));
      const middle = Math.max(4, x + wide / 2);
      if (wide >= 2 && middle - last >= 9) drawing.append(node("text", { x: (last = middle).toFixed(1), y: 48, "text-anchor": "middle" }, LETTERS[i]));
      x += wide;
    });
    drawing.setAttribute("aria-label", TEXT.bar(name, written(all), Object.entries(parts).filter(([, count]) => count).map(([part, count]) => `${part} ${written(count)}`).join(", ")));
    bar.replaceChildren(drawing);
  }

  // One table for the parts and one for memory, made once: the rows stay the same.
  const shares = Object.fromEntries(Object.entries(TEXT.columns).map(([kind, columns]) => {
    const { table, body, row, cell } = valueTable(columns), lines = {};
    const names = kind === "memory" ? Object.keys(trainingBytes(state, 1, 1, 1)) : [...Object.keys(countParameters(state)), SCORES];
    [...names, TEXT.total].forEach((name, i) => {
      const key = node("svg", { width: 26, height: 12, viewBox: "0 0 26 12", "aria-hidden": "true", class: "plm-key" }, node("rect", { class: fill(i), width: 12, height: 12 }), node("text", { x: 17, y: 11 }, LETTERS[i]));
      lines[name] = columns.slice(1).map(() => cell());
      body.append(row(name === TEXT.total || name === SCORES ? name : [key, name], lines[name]));
    });
    return [kind, { table, lines }];
  }));

  function writeTable(kind, values, work) {
    const { table, lines } = shares[kind], all = sum(values);
    if (table.parentNode !== tables) tables.replaceChildren(table);
    for (const [name, cells] of Object.entries(lines)) {
      const count = name === TEXT.total ? all : values[name] ?? 0;
      const written = [kind === "memory" ? bytes(count) : amount(count), `${((100 * count) / all).toFixed(1)} %`, name in work ? amount(work[name]) : "\u2013"];
      cells.forEach((cell, i) => putText(cell, written[i]));
    }
  }

  const plotted = plotIn(plot);
  const here = node("path", { class: "plm-here", d: HERE, "data-model": "here" });

  function drawModels(width, S) {
    const cost = (c) => ({ p: sum(countParameters(c)) / 1e6, w: sum(countMultiplyAdds(c, S, predictionCount(S))) / S / 1e6 });
    const points = PUBLISHED.map((c) => ({ ...c, ...cost({ ...c, head: state.head }) })), own = cost(state), all = [...points, own];
    const works = all.map(({ w }) => w), range = [Math.min(8, ...works) * 0.8, roundUp(Math.max(1e4, ...works) * 1.2)];
    const scales = plotted({ width, height: 300, x: range, y: [0, roundUp(1.1 * Math.max(...all.map(({ p }) => p)))], xName: TEXT.work, yName: TEXT.parameters, logX: true });
    if (scales.fresh) {
      scales.parts = points.map(({ name, family }) => ({ mark: markAt(family, 0, 0, { "data-model": name }), label: node("text", { class: "plm-name" }, name) }));
      scales.drawing.append(...scales.parts.flatMap(({ mark, label }) => [mark, label]), here);
    }
    const taken = [];
    points.forEach(({ name, family, p, w }, i) => {
      // Names are where no other mark is, at any width: above the smallest model, left of the BERT models and of those far right.
      const x = scales.toX(w), y = scales.toY(p), above = name === "ALBERT base", { mark, label } = scales.parts[i];
      const anchor = above ? "middle" : family === 0 || x > 0.6 * width ? "end" : "start";
      moveTo(mark, x, y);
      moveTo(label, x + { middle: 0, start: 9, end: -11 }[anchor], y + (above ? -9 : 4));
      putAttribute(label, "text-anchor", anchor);
      // A model of the reader's own far above the published ones presses them together: then some names have no room.
      const wide = 6.6 * name.length, left = x + { middle: -wide / 2, start: 9, end: -11 - wide }[anchor], box = [left, left + wide, y + (above ? -9 : 4)];
      const isFree = taken.every(([from, to, at]) => box[1] < from || box[0] > to || Math.abs(box[2] - at) > 11);
      if (isFree) taken.push(box);
      putAttribute(label, "visibility", isFree ? "visible" : "hidden");
    });
    moveTo(here, scales.toX(own.w), scales.toY(own.p));
    const told = ({ p, w }) => [amount(1e6 * p), amount(1e6 * w)];
    putAttribute(scales.drawing, "aria-label", TEXT.plot(TEXT.point(TEXT.here, ...told(own)), points.map((point) => TEXT.point(point.name, ...told(point))).join("; ")));
    putText(note, `+ ${TEXT.point(TEXT.here, ...told(own))}`);
  }

  function drawWidths(width) {
    const at = (embedding_size) => sum(countParameters({ ...state, embedding_size })), H = state.hidden_size, most = Math.max(2 * H, state.embedding_size);
    const steps = [...new Set(Array.from({ length: 160 }, (_, i) => Math.round(8 * (most / 8) ** (i / 159))))].filter((e) => e > 0 && e !== H);
    // The axis is the same for every H, so that one sees how the crossing moves; the curve ends at twice H.
    const whole = at(H), own = at(state.embedding_size), points = steps.map((e) => [e, at(e) / 1e6]);
    const top = Math.max(...points.map(([, y]) => y), whole / 1e6);
    const scales = plotted({ width, height: 300, x: [Math.min(8, state.embedding_size, ...steps), Math.max(16384, most)], y: [0, roundUp(1.08 * top)], xName: TEXT.width, yName: TEXT.parameters, logX: true });
    if (scales.fresh) {
      scales.parts = [0, 1].map((i) => node("path", { class: `plm-curve plm-${i}`, "data-curve": ["factored", "tied"][i] }));
      scales.inside.append(...scales.parts);
      scales.drawing.append(here);
    }
    putAttribute(scales.parts[0], "d", pathThrough(points, scales));
    putAttribute(scales.parts[1], "d", pathThrough([[points[0][0], whole / 1e6], [most, whole / 1e6]], scales));
    moveTo(here, scales.toX(state.embedding_size), scales.toY(own / 1e6));
    putText(note, TEXT.gain(grouped(state.embedding_size), amount(whole), amount(own)));
    putAttribute(scales.drawing, "aria-label", note.textContent);
  }

  function draw(width) {
    const { hidden_size, num_attention_heads, sequence_length, max_position_embeddings } = state;
    putText(message, takeState(model, state, allowed, wrong));
    if (state.hidden_size % state.num_attention_heads) {
      message.textContent = TEXT.divide;
      Object.assign(state, { hidden_size, num_attention_heads });
    }
    if (state.sequence_length > state.max_position_embeddings) {
      message.textContent = TEXT.fit;
      Object.assign(state, { sequence_length, max_position_embeddings });
    }
    const { view, sequence_length: S, batch_size: B } = state;
    if (state.embedding_size !== last.width) free = state.embedding_size !== state.hidden_size;
    if (state.num_attention_heads !== last.heads) wished = state.num_attention_heads;
    last = { width: state.embedding_size, heads: state.num_attention_heads };
    putText(question, TEXT.questions[view]);
    views.show(view);
    preset.show(published());
    sharing.show(state.shared_parameters);
    head.show(state.head);
    dropout.checked = state.dropout;
    for (const [name, control] of Object.entries(sliders)) control.show(name === "factor" ? state.intermediate_size / state.hidden_size : state[name]);
    for (const [name, control] of Object.entries(fields)) control.show(state[name]);
    if (!width) return; // not shown yet: the observer calls again

    const parameters = countParameters(state), work = countMultiplyAdds(state, S, predictionCount(S));
    const memory = trainingBytes(state, B, S, predictionCount(S)), inMemory = view === "memory", shown = inMemory ? memory : parameters;
    putHidden(bar, view !== "parts" && !inMemory);
    for (const part of [plot, note]) putHidden(part, !bar.hidden);
    tables.classList.toggle("plm-without-bar", bar.hidden);
    if (!bar.hidden) drawBar(width, TEXT.views[view], shown, inMemory);
    else if (view === "models") drawModels(width, S);
    else drawWidths(width);
    const perToken = Object.fromEntries([...Object.entries(work), [TEXT.total, sum(work)]].map(([part, count]) => [part, count / S]));
    writeTable(inMemory ? "memory" : "parts", shown, perToken);
    putHidden(kept, inMemory);
    putText(kept, TEXT.kept(bytes(sum(memory))));
    say(`${amount(sum(parameters))} ${TEXT.columns.parts[1]}, ${amount(perToken[TEXT.total])} ${TEXT.columns.parts[3]}, ${bytes(sum(memory))} ${TEXT.columns.memory[1]}`);
  }

  return keepDrawn(model, Object.keys(allowed), form, draw);
}

export default { render };
