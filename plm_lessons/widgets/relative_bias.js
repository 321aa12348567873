// What attention adds to a score for the places of query and key, in three designs. Maths first (pure, exported, tested), then the view.

const TEXT = {
  title: "Attention and position: three ways to score a pair",
  mode: "Design",
  modes: { t5: "T5 buckets", relative_key: "relative_key (Shaw)", absolute: "absolute table" },
  questions: {
    t5: "At which distance does the last bucket really begin, and which of the encoder's buckets is never used? Guess first, then move the distance.",
    relative_key: "Two rows of the map hold the same numbers, one moved along. Which, and why? Then shift the sentence: what changes?",
    absolute: "Shift the sentence by 1. Which scores stay as they were?",
  },
  depends: {
    t5: "Score: bias[head][bucket(s − t)]. It depends on the distance alone, so every diagonal of the map has one value.",
    relative_key: "Score: q(t) · e(t − s) / √D. It depends on the query's word and on the distance. Illustrative vectors, D = 4.",
    absolute: "Score: p(t) · p(s) / √D, what the two positions bring by themselves. It depends on both. Illustrative vectors, D = 4.",
  },
  direction: "Direction",
  directions: { bidirectional: "bidirectional (encoder)", "one-sided": "one-sided (decoder)" },
  num_buckets: "num_buckets",
  max_distance: "max_distance",
  head: "head",
  query: "query",
  distance: "distance",
  shift: "shift",
  rows: { query: "Query, at position t", key: "Key, at position s", distance: "Distance, s − t", bucket: "Bucket", value: "Score" },
  place: (word, position) => `“${word}” at ${position}`,
  outside: (position) => `${position}, outside the sentence`,
  none: "none: the design has no buckets",
  masked: "hidden: in a decoder no query sees a later key",
  illustrative: "The scores of the buckets are illustrative numbers, not trained ones.",
  given: "The scores of the buckets are the values given in Python.",
  misfit: (count) => `The values given in Python are for ${count} buckets: for another number, illustrative ones are shown.`,
  shifted: (k, change) => `Sentence shifted by ${k}: the scores in the map change by ${change === "0" ? "nothing" : `up to ${change}`}.`,
  unshifted: "The sentence begins at position 0. Shift it and see whether a score changes.",
  legend: (what, most) => `In the map: ${what} The stronger a cell, the further is its score from 0, at most ${most}; a bar at its foot: below 0.`,
  inCell: { t5: "the number is the bucket.", relative_key: "the number is the score, where there is room.", absolute: "the number is the score, where there is room." },
  map: (readout) => `Map of the scores, a row for each query, a column for each key. ${readout}`,
  lines: "score by distance, a line for each query",
  staircase: "bucket by distance",
  wrong: {
    mode: "mode must be t5, relative_key or absolute.",
    num_buckets: "num_buckets must be an even number from 4 to 32.",
    max_distance: "max_distance must be a whole number from 17 to 256.",
    direction: "direction must be bidirectional or one-sided.",
    shift: "shift must be a whole number from 0 to 20.",
    query: "query must be a whole number from 0 to 11.",
    distance: "distance must be a whole number from −300 to 300.",
    values: "values must be a list of at most 128 heads, each a list of the same even number of finite numbers, 4 to 32.",
    head: "head must be a whole number below the number of heads.",
  },
};

export const WORDS = "the small cat sat on the old mat and slept all day".split(" ");
const LAST = WORDS.length - 1;
const GUTTER = 62; // for the words at the map
const HEADS = 3; // illustrative ones
const f32 = Math.fround;

/** T5's bucket of a distance (key minus query), in float32 as its code: on the border of two buckets rounding decides. */
export function bucket(distance, bidirectional = true, numBuckets = 32, maxDistance = 128) {
  const perDirection = bidirectional ? Math.floor(numBuckets / 2) : numBuckets, exact = Math.floor(perDirection / 2);
  const far = bidirectional ? Math.abs(distance) : Math.max(0, -distance);
  let found = far;
  if (far >= exact) {
    const share = f32(f32(Math.log(f32(far / exact))) / f32(Math.log(maxDistance / exact)));
    found = Math.min(perDirection - 1, exact + Math.floor(f32(share * (perDirection - exact))));
  }
  return found + (bidirectional && distance > 0 ? perDirection : 0);
}

/** Numbers for the buckets where none are given: head 0 prefers near keys, 1 the word before, 2 far keys; then again. */
export function illustrative(head, numBuckets, bidirectional) {
  const perDirection = bidirectional ? numBuckets / 2 : numBuckets;
  return Array.from({ length: numBuckets }, (_, b) => {
    const near = b % perDirection, slope = 1.5 - (3 * near) / (perDirection - 1);
    return [slope, b === 1 ? 2 : -0.5, -slope][head % HEADS];
  });
}

const vector = (entry) => [0, 1, 2, 3].map((d) => entry(d + 1));
const dot = (a, b) => a.reduce((sum, x, d) => sum + x * b[d], 0);
/** Illustrative vectors: of a position, of a word as query, of a distance (query minus key). */
export const positionVector = (i) => vector((d) => Math.sin(1.3 * d + 0.11 * d * i * i));
export const queryVector = (word) => vector((d) => Math.cos(2.4 * d * (WORDS.indexOf(word) + 1)));
export const distanceVector = (r) => vector((d) => Math.cos(0.45 * d * r + d));

/** The values of the head's buckets in a state, and whether they are those given. */
export function bias({ values, head, num_buckets, direction }) {
  const given = values.length > 0 && values[0].length === num_buckets;
  return { given, table: given ? values[head] : illustrative(head, num_buckets, direction === "bidirectional") };
}

/** The scores that a design adds for every pair: a row for each query of the sentence, a column for each key. */
export function scores(state) {
  const pairs = (value) => WORDS.map((_, i) => WORDS.map((_, j) => value(i, j)));
  const byDistance = (value) => Array.from({ length: 2 * WORDS.length - 1 }, (_, n) => value(n - LAST));
  if (state.mode === "absolute") {
    const places = WORDS.map((_, i) => positionVector(state.shift + i));
    return pairs((i, j) => dot(places[i], places[j]) / 2);
  }
  if (state.mode === "relative_key") {
    const queries = WORDS.map(queryVector), distances = byDistance(distanceVector);
    return pairs((i, j) => dot(queries[i], distances[i - j + LAST]) / 2);
  }
  const { table } = bias(state), buckets = byDistance((r) => bucket(r, state.direction === "bidirectional", state.num_buckets, state.max_distance));
  return pairs((i, j) => table[buckets[j - i + LAST]]);
}

const isWhole = (least, most) => (v) => Number.isInteger(v) && v >= least && v <= most;
const isEven = (v) => isWhole(4, 32)(v) && v % 2 === 0;
const isName = (names) => (v) => typeof v === "string" && Object.hasOwn(names, v);
/** One decimal, for a cell of the map: .9 or −1.2. */
const brief = (value) => (Math.round(10 * value) / 10 || 0).toFixed(1).replace(/^(-?)0\./, "$1.").replace("-", "\u2212");

export function render({ model, el }) {
  const state = { mode: "t5", num_buckets: 32, max_distance: 128, direction: "bidirectional", shift: 0, query: 5, distance: -3, values: [], head: 0 };
  const heads = () => state.values.length || HEADS;
  const allowed = {
    mode: isName(TEXT.modes),
    num_buckets: isEven,
    max_distance: isWhole(17, 256),
    direction: isName(TEXT.directions),
    shift: isWhole(0, 20),
    query: isWhole(0, LAST),
    distance: isWhole(-300, 300),
    values: (v) => Array.isArray(v) && v.length <= 128 && v.every((row) => Array.isArray(row) && isEven(row.length) && row.length === v[0].length && row.every(Number.isFinite)),
    head: (v) => isWhole(0, heads() - 1)(v),
  };
  const update = (changes) => {
    for (const [name, next] of Object.entries(changes)) model.set(name, next);
    model.save_changes();
  };

  const radios = (name, options) => {
    const made = choice(TEXT[name], options, (picked) => update({ [name]: picked }));
    for (const input of made.element.querySelectorAll("input")) input.name = name; // two sets in one form
    return made;
  };
  const modes = radios("mode", TEXT.modes), directions = radios("direction", TEXT.directions);
  const slide = (name, attributes) => {
    const input = node("input", { type: "range", "aria-label": TEXT[name], ...attributes }), output = node("output");
    input.addEventListener("input", () => update({ [name]: Number(input.value) }));
    const show = (written = format(state[name], 0)) => {
      input.value = state[name];
      input.setAttribute("aria-valuetext", written);
      output.textContent = written;
    };
    return { element: node("label", { class: "plm-slide" }, node("span", {}, TEXT[name]), input, output), input, show };
  };
  const buckets = slide("num_buckets", { min: 4, max: 32, step: 2 });
  const furthest = slide("max_distance", { min: 17, max: 256, step: 1 });
  const query = slide("query", { min: 0, max: LAST, step: 1 });
  const distance = slide("distance", { step: 1 });
  const shift = slide("shift", { min: 0, max: 20, step: 1 });
  const head = node("select");
  head.addEventListener("change", () => update({ head: Number(head.value) }));
  const settings = node(
    "div", { class: "plm-settings" }, directions.element,
    node("div", { class: "plm-slides" }, buckets.element, furthest.element, node("label", {}, TEXT.head, head)),
  );

  const map = node("div", { class: "plm-map" }), lines = node("div"), stairs = node("div");
  const results = Object.fromEntries(Object.keys(TEXT.rows).map((name) => [name, node("td")]));
  const table = node("table", {}, node("tbody", {}, ...Object.entries(results).map(([name, cell]) => node("tr", {}, node("th", { scope: "row" }, TEXT.rows[name]), cell))));
  const question = node("p"), depends = node("p"), source = node("p", { class: "plm-quiet" }), legend = node("p", { class: "plm-quiet" }), effect = node("p", { class: "plm-effect" });
  const message = node("p", { class: "plm-message", role: "alert" });
  const spoken = node("p", { class: "plm-unseen", role: "status", "aria-live": "polite" });
  const say = announcer(spoken);
  const form = node(
    "form", { novalidate: "", autocomplete: "off" },
    modes.element, question, depends, settings, message,
    node("div", { class: "plm-slides" }, query.element, distance.element, shift.element), effect,
    node("div", { class: "plm-halves" }, map, node("div", {}, table, lines)), legend, stairs, source,
  );
  form.addEventListener("submit", (event) => event.preventDefault());
  el.append(frame(TEXT.title, form, spoken));

  let grid, unmoved, cells, labels, bars, cell, mapMark, lineScales, lineMark, stairScales, stairMark;
  const masked = (i, j) => state.mode === "t5" && state.direction === "one-sided" && j > i;
  const bucketAt = (r) => bucket(r, state.direction === "bidirectional", state.num_buckets, state.max_distance);
  const reach = () => (state.mode === "t5" ? Math.min(300, Math.ceil(1.15 * state.max_distance)) : LAST);

  // Nodes are made once for a width; then only what differs is written, so that a slider is followed at once.
  const set = (part, name, next) => part.getAttribute(name) !== next && part.setAttribute(name, next);
  const tell = (part, text) => part.textContent !== text && (part.textContent = text);

  const drawnAs = {};
  const changed = (what, now) => drawnAs[what] !== (drawnAs[what] = JSON.stringify(now));

  function makeMap() {
    const width = Math.min(map.clientWidth, 430), drawing = node("svg", { width, height: width, viewBox: `0 0 ${width} ${width}`, role: "img" });
    cell = (width - GUTTER) / WORDS.length;
    const size = cell < 22 ? 9 : 11, edge = (i) => GUTTER + i * cell;
    labels = WORDS.map((_, i) => [
      node("text", { x: GUTTER - 5, y: edge(i + 0.5) + 4, "text-anchor": "end", "font-size": 11 }),
      node("text", { transform: `translate(${edge(i + 0.5) + 4} ${GUTTER - 6}) rotate(-90)`, "font-size": 11 }),
    ]);
    cells = WORDS.map((_, i) => WORDS.map((_, j) => ({
      rect: node("rect", { x: edge(j), y: edge(i), width: cell, height: cell, "data-pair": `${i} ${j}` }),
      text: node("text", { class: "plm-in-cell", x: edge(j + 0.5), y: edge(i + 0.5) + size / 3, "text-anchor": "middle", "font-size": size }),
    })));
    bars = node("path", { class: "plm-below" });
    mapMark = node("g");
    const flat = cells.flat();
    drawing.append(...labels.flat(), ...flat.map(({ rect }) => rect), bars, ...flat.map(({ text }) => text), mapMark);
    map.replaceChildren(drawing);
  }

  function paintMap(most) {
    let below = "";
    grid.forEach((row, i) => {
      for (const label of labels[i]) tell(label, `${WORDS[i]} ${state.shift + i}`);
      row.forEach((value, j) => {
        const { rect, text } = cells[i][j], hidden = masked(i, j);
        set(rect, "class", `plm-cell plm-${value < 0 ? 1 : 0}`);
        set(rect, "fill-opacity", (hidden || !most ? 0 : (0.45 * Math.abs(value)) / most).toFixed(3));
        tell(text, hidden ? "×" : state.mode === "t5" ? String(bucketAt(j - i)) : cell < 26 ? "" : brief(value));
        if (value < 0 && !hidden) below += `M${(GUTTER + (j + 0.25) * cell).toFixed(1)} ${(GUTTER + (i + 0.88) * cell).toFixed(1)}h${(cell / 2).toFixed(1)}`;
      });
    });
    set(bars, "d", below);
  }

  function drawLines() {
    const all = grid.flat(), low = Math.min(0, ...all), high = Math.max(0, ...all), room = 0.08 * (high - low) || 1;
    lineScales = axes({ width: Math.round(lines.clientWidth), height: 220, x: [-LAST - 0.5, LAST + 0.5], y: [low - room, high + room], xName: TEXT.rows.distance, yName: TEXT.lines });
    for (const [i, row] of grid.entries()) {
      const points = row.map((value, j) => [j - i, value]).filter((_, j) => !masked(i, j));
      lineScales.inside.append(node("path", { class: "plm-curve plm-line", d: pathThrough(points, lineScales), "data-query": i }));
    }
    lineScales.drawing.append((lineMark = node("g")));
    lines.replaceChildren(lineScales.drawing);
  }

  function drawStairs() {
    const most = reach(), points = [];
    stairScales = axes({ width: Math.round(stairs.clientWidth), height: 200, x: [-most, most], y: [-1, state.num_buckets], xName: TEXT.rows.distance, yName: TEXT.staircase });
    for (let r = -most, last; r <= most; r++) {
      const b = bucketAt(r);
      if (b !== last) points.push([r - 0.5, last ?? b], [r - 0.5, b]); // a step
      last = b;
    }
    points.push([most, bucketAt(most)]);
    stairScales.inside.append(node("path", { class: "plm-curve plm-0", d: pathThrough(points, stairScales) }));
    stairScales.drawing.append((stairMark = node("g")));
    stairs.replaceChildren(stairScales.drawing);
  }

  const mark = ({ toX, toY }, x, y) => node("path", { class: "plm-mark plm-0", d: "M-5 0A5 5 0 1 1 5 0A5 5 0 1 1-5 0Z", transform: `translate(${toX(x).toFixed(1)} ${toY(y).toFixed(1)})` });

  function drawPair() {
    const { query: i, distance: r, mode } = state, j = i + r, inside = j >= 0 && j <= LAST;
    const box = (row, column, kind) => node("rect", { class: kind, x: GUTTER + column * cell, y: GUTTER + row * cell, width: cell, height: cell });
    const diagonal = WORDS.map((_, row) => row).filter((row) => row + r >= 0 && row + r <= LAST);
    mapMark.replaceChildren(...diagonal.map((row) => box(row, row + r, "plm-same")), ...(inside ? [box(i, j, "plm-pair-mark")] : []));
    const hidden = masked(i, j), value = mode === "t5" ? bias(state).table[bucketAt(r)] : inside ? grid[i][j] : undefined;
    lineMark.replaceChildren(
      node("path", { class: "plm-curve plm-0", d: lineScales.inside.querySelector(`[data-query="${i}"]`).getAttribute("d") }),
      ...(inside && !hidden ? [mark(lineScales, r, value)] : []),
    );
    if (mode === "t5") stairMark.replaceChildren(...(Math.abs(r) <= reach() ? [mark(stairScales, r, bucketAt(r))] : []));
    results.query.textContent = TEXT.place(WORDS[i], state.shift + i);
    results.key.textContent = inside ? TEXT.place(WORDS[j], state.shift + j) : TEXT.outside(format(state.shift + j, 0));
    results.distance.textContent = format(r, 0);
    results.bucket.textContent = mode === "t5" ? String(bucketAt(r)) : TEXT.none;
    results.value.textContent = hidden ? TEXT.masked : value === undefined ? "–" : format(value);
    const readout = Object.entries(results).map(([name, part]) => `${TEXT.rows[name]}: ${part.textContent}`).join("; ");
    map.firstChild.setAttribute("aria-label", TEXT.map(readout));
    lineScales.drawing.setAttribute("aria-label", `${TEXT.lines}. ${readout}`);
    if (mode === "t5") stairScales.drawing.setAttribute("aria-label", `${TEXT.staircase}. ${readout}`);
    say(`${readout}. ${effect.textContent}`);
  }

  function draw() {
    message.textContent = takeState(model, state, allowed, TEXT.wrong);
    if (!allowed.head(state.head)) state.head = 0; // its head went with the values
    const { mode, values, shift: k } = state;
    modes.show(mode);
    directions.show(state.direction);
    question.textContent = TEXT.questions[mode];
    depends.textContent = TEXT.depends[mode];
    settings.hidden = mode !== "t5";
    if (head.options.length !== heads()) head.replaceChildren(...Array.from({ length: heads() }, (_, i) => node("option", { value: i }, String(i))));
    head.value = state.head;
    const word = (i) => (i >= 0 && i <= LAST ? TEXT.place(WORDS[i], k + i) : "");
    distance.input.min = -reach();
    distance.input.max = reach();
    for (const slider of [buckets, furthest, shift, distance]) slider.show();
    query.show(word(state.query));
    const given = bias(state).given;
    source.textContent = mode !== "t5" ? "" : given ? TEXT.given : values.length ? TEXT.misfit(values[0].length) : TEXT.illustrative;
    if (!map.clientWidth) return; // not shown yet: the observer calls again
    const width = form.clientWidth, rest = { ...state, query: 0, distance: 0 };
    if (changed("scores", rest)) [grid, unmoved] = [scores(state), scores({ ...state, shift: 0 }).flat()];
    const seen = grid.flatMap((row, i) => row.filter((_, j) => !masked(i, j)));
    const most = Math.max(...seen.map(Math.abs));
    effect.textContent = !k ? TEXT.unshifted : TEXT.shifted(k, format(Math.max(...grid.flat().map((value, n) => Math.abs(value - unmoved[n])))));
    legend.textContent = TEXT.legend(TEXT.inCell[mode], format(most, 2));
    if (changed("map", width)) makeMap();
    if (changed("paint", [width, rest])) paintMap(most);
    if (changed("lines", [width, grid, seen.length])) drawLines();
    stairs.hidden = mode !== "t5";
    if (!stairs.hidden && changed("stairs", [width, state.direction, state.num_buckets, state.max_distance])) drawStairs();
    drawPair();
  }

  // The pair follows the pointer over the map, the distance over the staircase.
  map.style.touchAction = stairs.style.touchAction = "pan-y";
  const overMap = (event) => {
    const box = map.firstChild.getBoundingClientRect();
    const [j, i] = [event.clientX - box.left, event.clientY - box.top].map((at) => Math.floor((at - GUTTER) / cell));
    if (Math.min(i, j) < 0 || Math.max(i, j) > LAST || (i === state.query && j - i === state.distance)) return;
    update({ query: i, distance: j - i });
  };
  const overStairs = (event) => {
    const r = Math.round(stairScales.fromX(event.clientX - stairs.getBoundingClientRect().left));
    if (Math.abs(r) <= reach() && r !== state.distance) update({ distance: r });
  };
  for (const kind of ["pointermove", "pointerdown"]) {
    map.addEventListener(kind, overMap);
    stairs.addEventListener(kind, overStairs);
  }

  return keepDrawn(model, Object.keys(allowed), form, draw);
}

export default { render };
