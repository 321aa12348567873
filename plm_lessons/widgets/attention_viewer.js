// Attention weights as lines between tokens and as a map, for every head of a model. The view; attention_viewer.maths.js comes before it.

const TEXT = {
  title: "Attention viewer",
  questions: {
    encoder: "Which head looks most at the token before, and which at special tokens or punctuation? Guess from the small maps, then check their numbers.",
    decoder: "Where does the first token look, in every head, and why? How can you tell a decoder from its maps alone?",
    cross: "Which tokens of the source does a token of the target read? Is there a head that goes through the source in order?",
  },
  sentence: "Sentence",
  kind: "Attention",
  kinds: { encoder: "encoder", decoder: "decoder", cross: "cross: decoder to encoder" },
  layer: "layer",
  head: "head",
  heads: "Layer and head",
  titleOf: (kind, layer, head) => `${kind[0].toUpperCase()}${kind.slice(1)}, layer ${layer}, head ${head}`,
  pick: (layer, head, name, value) => `layer ${layer}, head ${head}. ${name}: ${value}`,
  measure: "Number below each head",
  measures: {
    previous: "Weight on the token before",
    self: "Weight on the token itself",
    next: "Weight on the next token",
    special: "Weight on special tokens",
    punctuation: "Weight on punctuation",
    distance: "Mean distance, in tokens",
    spread: "Spread, in tokens: exp of the entropy",
  },
  places: { previous: "the token before", self: "the token itself", next: "the next token", special: "special tokens", punctuation: "punctuation" },
  habits: {
    mostly: (what, share) => `It mostly looks at ${what}: ${share} of its weight.`,
    even: (what, share, spread, even) => `It spreads its weight as if evenly over ${spread} tokens; an even head would have ${even}.`,
    mixed: (what, share) => `No single habit: the largest share, ${share}, is on ${what}.`,
  },
  query: "Query",
  all: "all tokens",
  token: (token, i) => `“${token}” (${i})`,
  lookers: "Queries: the tokens that look",
  lookedAt: (all) => `Keys: what is looked at, with ${all ? "its mean weight" : "its weight"}`,
  meanTo: (key, weight) => `All queries together give the most weight to ${key}: ${weight} on average.`,
  pair: (query, key, weight, distance) => `${query} gives ${key} the weight ${weight}${distance}.`,
  distance: (distance) => `, at distance ${distance}`,
  map: (title, habit, readout) => `Map of the weights, a row for each query, a column for each key. ${title}. ${habit} ${readout}`,
  note: "Point at a token on the left or at the map to see one query; click to keep it. The largest number in the overview is underlined. The wider a line and the stronger a colour, the more weight (square root; no lines below 0.01). Weights are stored in 8 bits: the second decimal may be off by one. Layers, heads and tokens are counted from 0. Where columns are narrow, only some are labelled.",
  wrong: {
    sentences: "sentences must be a list of 1 to 12 sentences with their attention weights, as Python packs them.",
    sentence: "sentence must be the number of an existing sentence.",
    kind: "kind must be encoder, decoder or cross, and present.",
    layer: "layer must be the number of an existing layer.",
    head: "head must be the number of an existing head.",
    query: "query must be −1 or the place of a token.",
  },
};
const KINDS = Object.keys(TEXT.kinds);
const LEVELS = 10; // of lines: the square root of a weight in tenths; what is below 0.01 has level 1 and is not drawn

const isWhole = (v, least, most) => Number.isInteger(v) && v >= least && v <= most;
const isTokens = (v, least) => Array.isArray(v) && v.length >= least && v.length <= 64 && v.every((token) => typeof token === "string" && token !== "");
const sides = ({ tokens, target_tokens }) => ({ encoder: [tokens, tokens], decoder: [target_tokens, target_tokens], cross: [target_tokens, tokens] });
function isSentences(v) {
  const isKind = (one, kind, { layers, heads, weights }) => {
    const [T, S] = sides(one)[kind].map(({ length }) => length);
    return isWhole(layers, 1, 24) && isWhole(heads, 1, 16) && T * S > 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(weights) && weights.length % 4 === 0 && atob(weights).length === layers * heads * T * S;
  };
  const isOne = (one) => {
    if (!one || typeof one.name !== "string" || !isTokens(one.tokens, 1) || !isTokens(one.target_tokens, 0)) return false;
    const kinds = Object.entries(one.attentions ?? {});
    return kinds.length > 0 && kinds.every(([kind, found]) => KINDS.includes(kind) && found && isKind(one, kind, found));
  };
  return Array.isArray(v) && v.length >= 1 && v.length <= 12 && v.every(isOne);
}

const percent = (share) => `${Math.round(100 * share)}\u00a0%`;
const written = (name, value) => (value === null ? "–" : SHARES.includes(name) ? percent(value) : value.toFixed(1));
const argmax = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

function render({ model, el }) {
  const state = { sentences: [], sentence: 0, kind: "encoder", layer: 0, head: 0, query: -1, measure: "previous" };
  const update = sender(model);
  const kinds = () => Object.keys(state.sentences[state.sentence].attentions);
  const shown = () => state.sentences[state.sentence].attentions[state.kind];
  const texts = () => sides(state.sentences[state.sentence])[state.kind];
  const { allowed, wrong } = rules({
    others: {
      sentences: [(v) => v === state.sentences || isSentences(v), TEXT.wrong.sentences],
      sentence: [(v) => isWhole(v, 0, state.sentences.length - 1), TEXT.wrong.sentence],
      kind: [(v) => typeof v === "string" && kinds().includes(v), TEXT.wrong.kind],
      layer: [(v) => isWhole(v, 0, shown().layers - 1), TEXT.wrong.layer],
      head: [(v) => isWhole(v, 0, shown().heads - 1), TEXT.wrong.head],
      query: [(v) => isWhole(v, -1, texts()[0].length - 1), TEXT.wrong.query],
    },
    names: { measure: TEXT.measures },
  });

  const sentence = labelledSelect(TEXT.sentence, {}, (next) => update({ query: -1, sentence: Number(next) }));
  sentence.element.classList.add("plm-heads-sentence");
  const choices = choice(TEXT.kind, TEXT.kinds, (kind) => {
    const { layers, heads } = state.sentences[state.sentence].attentions[kind];
    update({ query: -1, layer: Math.min(state.layer, layers - 1), head: Math.min(state.head, heads - 1), kind });
  }, "kind");
  const query = labelledSlider(TEXT.query, { min: -1, step: 1 }, (next) => update({ query: next }));
  query.element.classList.add("plm-heads-query");
  const question = node("p"), habit = node("p"), title = node("p", { class: "plm-head" }), readout = node("p", { class: "plm-heads-readout" });
  const message = messageLine();

  // The overview: a set of radio buttons, each with a small map. Arrows up and down go from layer to layer.
  const overview = node("div", { class: "plm-heads-all", role: "radiogroup", "aria-label": TEXT.heads });
  overview.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key], next = state.layer + step;
    if (!step || event.altKey || event.ctrlKey || event.metaKey || shown().layers === 1) return;
    event.preventDefault();
    if (!isWhole(next, 0, shown().layers - 1)) return;
    update({ layer: next });
    picks[next * shown().heads + state.head].input.focus();
  });
  const measures = Object.entries(TEXT.measures).map(([name, text]) => {
    const input = node("input", { type: "radio", name: "measure", value: name }), cell = node("td");
    input.addEventListener("change", () => update({ measure: name }));
    return { name, input, cell, row: node("tr", {}, node("th", { scope: "row" }, node("label", {}, input, text)), cell) };
  });
  const table = node("table", {}, node("caption", {}, TEXT.measure), node("tbody", {}, ...measures.map(({ row }) => row)));

  // The lines: queries on the left, keys on the right, one path for each level of weight between them.
  const left = node("div", { class: "plm-heads-queries", role: "list", "aria-label": TEXT.lookers }), right = node("div", { role: "list" });
  const paths = Array.from({ length: LEVELS - 1 }, (_, n) => node("path", { class: "plm-heads-line", "stroke-width": 0.6 + 0.4 * n, "stroke-opacity": 0.2 + 0.1 * n }));
  const drawing = node("svg", { "aria-hidden": "true", preserveAspectRatio: "none" }); // on paper it has another width
  drawing.append(...paths);
  const rightTitle = node("p", { class: "plm-quiet" });
  const lines = node("div", { class: "plm-heads-lines" }, node("p", { class: "plm-quiet" }, TEXT.lookers), node("span"), rightTitle, left, drawing, right);

  // The map: a pixel of a canvas for each pair, enlarged; names and frames are elements over and beside it.
  const canvas = node("canvas", { role: "img" }), rowFrame = node("i", { class: "plm-heads-row" }), cellFrame = node("i", { class: "plm-heads-cell" });
  const top = node("div", { class: "plm-heads-top", "aria-hidden": "true" }), side = node("div", { class: "plm-heads-side", "aria-hidden": "true" });
  const map = node("div", { class: "plm-heads-map" }, top, side, node("div", { class: "plm-heads-ground" }, canvas, rowFrame, cellFrame));
  const { form, say } = fillBox(
    el, TEXT.title, question, node("div", { class: "plm-row" }, sentence.element, choices.element), message,
    node("div", { class: "plm-heads-two" }, overview, node("div", {}, title, habit, table)), query.element, node("div", { class: "plm-heads-two" }, lines, map), readout, node("p", { class: "plm-quiet" }, TEXT.note),
  );

  let all, figures, picks, names, narrow, cell, rowHeight, reach, colour, over = null;
  const changed = changes();
  const rows = () => all[state.layer * shown().heads + state.head];
  const token = (text, attributes = {}) => node("span", { dir: "auto", title: text, ...attributes }, text);

  /** Everything that depends on the tokens: made once for each sentence and kind. */
  function makeTexts() {
    const { layers, heads } = shown(), [queries, keys] = texts();
    all = unpack(shown(), queries.length, keys.length);
    figures = all.map((one) => headMeasures(one, keys, state.kind));
    picks = all.map((_, n) => {
      const input = node("input", { type: "radio", name: "head", value: `${Math.floor(n / heads)} ${n % heads}` }), small = node("canvas"), number = node("span");
      input.addEventListener("change", () => update({ layer: Math.floor(n / heads), head: n % heads }));
      return { input, small, number, element: node("label", {}, small, input, number) };
    });
    names = Array.from({ length: heads }, (_, n) => node("span", {}, String(n)));
    const layerNames = Array.from({ length: layers }, (_, n) => node("span", {}, `${TEXT.layer} ${n}`));
    overview.style.gridTemplateColumns = `max-content repeat(${heads}, minmax(0, 4.5rem))`;
    overview.replaceChildren(node("span"), ...names, ...layerNames.flatMap((name, layer) => [name, ...picks.slice(layer * heads, (layer + 1) * heads).map(({ element }) => element)]));
    left.replaceChildren(...queries.map((text, i) => token(text, { role: "listitem", "data-query": i })));
    right.replaceChildren(...keys.map((text) => node("div", { role: "listitem" }, token(text), node("b"))));
    side.replaceChildren(...queries.map((text) => token(text)));
    top.replaceChildren(...keys.map((text) => node("div", {}, token(text))));
    putText(question, TEXT.questions[state.kind]);
    sentence.show(state.sentence);
    choices.element.hidden = kinds().length < 2;
    for (const label of choices.element.querySelectorAll("label")) label.hidden = !kinds().includes(label.firstChild.value);
    choices.show(state.kind);
    query.input.max = queries.length - 1;
    over = null;
  }

  const pen = node("canvas").getContext("2d");

  /** Writes tokens into spans, shortened to the pixels available; where tokens are read aloud, they stay whole. */
  function fit(spans, list, font, room, isQuery, isRead) {
    pen.font = `${isQuery ? 700 : 400} ${font}`; // a chosen query is bold
    spans.forEach((span, n) => {
      let text = list[n], most = Array.from(text).length;
      while (most > 3 && pen.measureText(text).width > room) text = shortened(list[n], --most);
      if (text === list[n] || !isRead) putText(span, text);
      else span.replaceChildren(node("i", { class: "plm-unseen" }, list[n]), node("i", { class: "plm-short", "aria-hidden": "true" }, text));
    });
  }

  function layOut() {
    const [queries, keys] = texts(), [T, S] = [queries.length, keys.length], gutter = Math.min(96, Math.round(0.26 * map.clientWidth));
    const width = Math.min(24, (map.clientWidth - gutter - 2) / S), rooms = [left.clientWidth - 10, right.clientWidth - 50, gutter - 10, 84];
    reach = drawing.clientWidth;
    narrow = overview.clientWidth / names.length < 64;
    const inLines = [...right.children].map(({ firstChild }) => firstChild), inMap = [...top.children].map(({ firstChild }) => firstChild);
    const lists = [[left.children, queries], [inLines, keys], [side.children, queries], [inMap, keys]];
    const fonts = lists.map(([[first]]) => {
      const { fontSize, fontFamily } = getComputedStyle(first);
      return `${fontSize} ${fontFamily}`;
    });
    findColour();
    // Whatever is asked for has been asked: from here on the page is only changed, so that it is laid out once.
    const atLeast = (pixels, n) => Math.max(pixels, Math.ceil(1.2 * parseFloat(fonts[n]))); // a reader may enlarge texts alone
    rowHeight = atLeast(Math.max(T, S) > 32 ? 16 : 20, 0);
    cell = { width, height: atLeast(Math.max(width, 16), 2) };
    const high = rowHeight * Math.max(T, S);
    drawing.style.height = `${high}px`;
    putAttribute(drawing, "viewBox", `0 0 ${reach} ${high}`);
    map.style.gridTemplateColumns = `${gutter}px ${width * S}px`;
    canvas.style.height = `${cell.height * T}px`;
    const every = Math.ceil(11 / width); // so many narrow columns share the room of one name
    [...top.children].forEach(({ firstChild }, n) => putHidden(firstChild, n % every > 0));
    lists.forEach(([spans, list], n) => fit([...spans], list, fonts[n], rooms[n], n % 2 === 0, n < 2));
    for (const [name, pixels] of [["row", rowHeight], ["cell", cell.height], ["width", width]]) form.style.setProperty(`--${name}`, `${pixels}px`);
    names.forEach((name, n) => putText(name, narrow ? n : `${TEXT.head} ${n}`));
  }

  /** A pixel for each weight: the square root is the opacity. */
  function paint(target, weights) {
    const [width, height] = [weights[0].length, weights.length], pixels = new ImageData(width, height);
    weights.flat().forEach((weight, n) => {
      pixels.data.set(colour, 4 * n);
      pixels.data[4 * n + 3] = Math.round(255 * Math.sqrt(weight));
    });
    Object.assign(target, { width, height });
    target.getContext("2d").putImageData(pixels, 0, 0);
  }

  const findColour = () => (colour ??= getComputedStyle(canvas).color.match(/[\d.]+/g).slice(0, 3).map(Number));

  // A canvas does not follow the theme by itself.
  function repaint() {
    if (!all || !(colour || canvas.isConnected)) return; // outside the page there are no colours; the next move brings them
    findColour();
    if (changed("small", all, ...colour)) picks.forEach(({ small }, n) => paint(small, all[n]));
    if (changed("map", rows(), ...colour)) paint(canvas, rows());
  }

  function drawHead() {
    const { heads } = shown(), n = state.layer * heads + state.head, found = figures[n];
    const named = found[state.measure] === null ? "spread" : state.measure, best = Math.max(...figures.map((one) => one[named]));
    picks.forEach(({ input, number }, i) => {
      const value = written(named, figures[i][named]);
      input.checked = i === n;
      putAttribute(input, "aria-label", TEXT.pick(Math.floor(i / heads), i % heads, TEXT.measures[named], value));
      putText(number, narrow ? value.replace("\u00a0%", "") : value);
      number.classList.toggle("plm-heads-best", best > 0 && figures[i][named] === best);
    });
    for (const { name, input, cell, row } of measures) {
      putHidden(row, found[name] === null);
      input.checked = name === named;
      putText(cell, written(name, found[name]));
    }
    const even = evenSpread(state.kind, ...texts().map(({ length }) => length)), { kind, best: most } = habitOf(found, even);
    putText(habit, TEXT.habits[kind](TEXT.places[most], percent(found[most]), found.spread.toFixed(1), even.toFixed(1)));
    putText(title, TEXT.titleOf(state.kind, state.layer, state.head));
  }

  /** The lines and weights of the query that is pointed at, or else of the chosen one, or else of all. */
  function drawQuery() {
    const [queries, keys] = texts(), i = over ? over[0] : state.query, weights = i < 0 ? received(rows()) : rows()[i];
    const half = reach / 2, middle = (n) => (n + 0.5) * rowHeight, ds = paths.map(() => "");
    rows().forEach((row, from) => (i < 0 || i === from) && row.forEach((weight, to) => {
      const level = Math.ceil(LEVELS * Math.sqrt(weight) - 1e-9);
      if (level > 1) ds[Math.min(level, LEVELS) - 2] += `M0 ${middle(from)}C${half} ${middle(from)} ${half} ${middle(to)} ${reach} ${middle(to)}`;
    }));
    paths.forEach((path, n) => putAttribute(path, "d", ds[n]));
    const most = argmax(weights), j = over?.[1] ?? most, name = (list, n) => TEXT.token(list[n], n);
    [...right.children].forEach((item, n) => {
      putText(item.lastChild, weights[n].toFixed(2));
      item.style.backgroundSize = `${(100 * weights[n]).toFixed(1)}% 100%`;
      item.classList.toggle("plm-heads-most", n === most);
    });
    for (const list of [left, side]) [...list.children].forEach((item, n) => item.classList.toggle("plm-heads-looks", n === i));
    putHidden(rowFrame, i < 0);
    putHidden(cellFrame, over?.[1] === undefined);
    rowFrame.style.transform = `translateY(${i * cell.height}px)`;
    cellFrame.style.transform = `translate(${j * cell.width}px, ${i * cell.height}px)`;
    putText(rightTitle, TEXT.lookedAt(i < 0));
    putAttribute(right, "aria-label", TEXT.lookedAt(i < 0));
    const distance = state.kind === "cross" ? "" : TEXT.distance(format(j - i, 0));
    putText(readout, i < 0 ? TEXT.meanTo(name(keys, j), weights[j].toFixed(2)) : TEXT.pair(name(queries, i), name(keys, j), weights[j].toFixed(2), distance));
    putAttribute(canvas, "aria-label", TEXT.map(title.textContent, habit.textContent, readout.textContent));
  }

  function draw(width) {
    if (model.get("sentences") !== state.sentences && isSentences(model.get("sentences")))
      Object.assign(state, { sentences: model.get("sentences"), sentence: 0, kind: KINDS.find((kind) => kind in model.get("sentences")[0].attentions), layer: 0, head: 0, query: -1 });
    putText(message, takeState(model, state, allowed, wrong));
    for (const [name, first] of Object.entries({ kind: kinds()[0], layer: 0, head: 0, query: -1 })) if (!allowed[name](state[name])) state[name] = first;
    const { sentences, kind, query: i } = state, [queries] = texts();
    if (changed("sentences", sentences)) sentence.input.replaceChildren(...sentences.map(({ name }, n) => node("option", { value: n }, name)));
    if (changed("texts", sentences, state.sentence, kind)) makeTexts();
    if (changed("query", i) && i !== over?.[0]) over = null; // a query that was just chosen is shown, wherever the pointer rests
    query.show(i, i < 0 ? TEXT.all : TEXT.token(queries[i], i));
    if (!width) return; // not shown yet: the observer calls again
    if (changed("layout", all, width)) layOut();
    if (changed("head", all, width, state.layer, state.head, state.measure)) drawHead();
    repaint();
    drawQuery();
    say(`${title.textContent}. ${habit.textContent} ${readout.textContent}`);
  }

  // A query is shown for as long as it is pointed at; a click keeps it, a second click releases it.
  const point = (next) => {
    if (String(next) === String(over)) return;
    over = next;
    drawQuery();
  };
  const onLeft = (event) => {
    const found = event.target.closest("[data-query]");
    return found && [Number(found.dataset.query)];
  };
  const onMap = (event) => {
    const box = canvas.getBoundingClientRect();
    const [i, j] = [(event.clientY - box.top) / cell.height, (event.clientX - box.left) / cell.width].map(Math.floor);
    return rows()[i]?.[j] === undefined ? null : [i, j];
  };
  for (const [part, found] of [[left, onLeft], [canvas, onMap]]) {
    part.addEventListener("pointermove", (event) => point(found(event)));
    part.addEventListener("pointerleave", () => point(null));
    part.addEventListener("click", (event) => {
      const at = found(event);
      if (at) update({ query: at[0] === state.query ? -1 : at[0] });
    });
  }

  const inAnotherTheme = () => {
    colour = undefined;
    repaint();
  };
  const ends = [keepDrawn(model, Object.keys(allowed), form, draw), watchTheme(inAnotherTheme)];
  return () => ends.forEach((end) => end());
}

export default { render };
