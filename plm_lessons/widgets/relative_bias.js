// What attention adds to a score for the positions of query and key, in three designs. The view; relative_bias.maths.js comes before it.

const TEXT = {
  title: "Attention and position: three ways to score a pair",
  mode: "Design",
  modes: { t5: "T5 buckets", relative_key: "relative_key (Shaw)", absolute: "absolute table" },
  questions: {
    t5: "At which distance does the last bucket really begin, and which of the encoder's buckets is never used? Guess first, then move the distance.",
    relative_key: "Two rows of the map hold the same numbers, but offset. Which, and why? Then shift the sentence: what changes?",
    absolute: "Shift the sentence by 1. Do its scores stay the same? In which of the other designs would they?",
  },
  depends: {
    t5: "Score: bias[head][bucket(s − t)]. It depends on the distance alone, so every diagonal of the map has one value.",
    relative_key: "Score: q(t) · e(t − s) / √D. It depends on the query's word and on the distance.",
    absolute: "Score: p(t) · p(s) / √D, what the two positions alone contribute. It depends on both.",
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
  illustrative: "The scores are illustrative numbers, not trained ones.",
  given: "The scores are the values given in Python.",
  givenBuckets: "The scores are the values given in Python, one for each bucket. They were learnt with one direction and max_distance; with others, only the buckets are right.",
  misfit: (count) => `The values given in Python are for ${count} buckets: for another number, illustrative ones are shown.`,
  shifted: (k, stay, all, change) => `Sentence shifted by ${k}: ${stay === all ? "all" : stay || "none"} of the ${all} scores in the map ${stay === 1 ? "stays the same" : "stay the same"}${stay === all ? "" : `; the largest change is ${change}`}.`,
  unshifted: "The sentence begins at position 0. Shift it and see whether a score changes.",
  numbers: "Numbers in the map: buckets. ",
  legend: (most) => `The stronger a cell's colour, the further its score is from 0 (at most ${most}); a bar at its foot: below 0. Thick box: the pair; thin boxes: the same distance. Point at a cell, or move with the arrow keys.`,
  columnsOfMap: "key →",
  rowsOfMap: "query ↓",
  mapKeys: "Map of the scores. Up and down choose the query, left and right the key.",
  map: (readout) => `Map of the scores, a row for each query, a column for each key. ${readout}`,
  lines: "score by distance, one line per query",
  staircase: "bucket by distance",
  rules: {
    num_buckets: "num_buckets must be an even number from 4 to 32.",
    values: "values must be a list of at most 128 heads, each a list of the same even number, 4 to 32, of finite numbers from −1e6 to 1e6.",
    absolute_scores: "absolute_scores must be a list of at most 128 heads, each 32 lists of 32 finite numbers from −1e6 to 1e6.",
    relative_key_scores: "relative_key_scores must be a list of at most 128 heads, each 12 lists of 23 finite numbers from −1e6 to 1e6.",
    head: "head must be a whole number below the number of heads.",
  },
};

const GUTTER = 62; // for the words beside the map
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -LAST], End: [0, LAST] };
const isEven = (v) => Number.isInteger(v) && v >= 4 && v <= 32 && v % 2 === 0;
const isRow = (length) => (v) => Array.isArray(v) && v.length === length && v.every((score) => Math.abs(score) <= 1e6 && typeof score === "number");
const isHeads = (isTable) => (v) => Array.isArray(v) && v.length <= 128 && v.every(isTable);
const isTable = (rows, columns) => isHeads((v) => Array.isArray(v) && v.length === rows && v.every(isRow(columns)));
const { allowed, wrong } = rules({
  wholes: { max_distance: [17, 256], shift: [0, 20], query: [0, LAST], distance: [-300, 300] },
  names: { mode: TEXT.modes, direction: TEXT.directions },
  others: {
    num_buckets: [isEven, TEXT.rules.num_buckets],
    values: [(v) => isHeads((row) => isEven(row?.length) && isRow(v[0].length)(row))(v), TEXT.rules.values],
    absolute_scores: [isTable(32, 32), TEXT.rules.absolute_scores],
    relative_key_scores: [isTable(WORDS.length, 2 * LAST + 1), TEXT.rules.relative_key_scores],
    head: [(v) => Number.isInteger(v) && v >= 0, TEXT.rules.head],
  },
});
function render({ model, el }) {
  const state = {
    mode: "t5", num_buckets: 32, max_distance: 128, direction: "bidirectional", shift: 0, query: 5, distance: -3, head: 0,
    values: [], absolute_scores: [], relative_key_scores: [],
  };
  const update = sender(model), message = messageLine();

  /** These changes, with the distance, or the nearest one that its slider can then reach. */
  const nearest = (changes) => {
    const most = reach({ ...state, ...changes });
    return { ...changes, distance: Math.max(-most, Math.min(most, changes.distance ?? state.distance)) };
  };
  const modes = choice(TEXT.mode, TEXT.modes, (mode) => update(nearest({ mode, head: state.head < headCount({ ...state, mode }) ? state.head : 0 })), "mode");
  const directions = choice(TEXT.direction, TEXT.directions, (direction) => update({ direction }), "direction");
  const slide = (name, attributes) => labelledSlider(TEXT[name], attributes, (next) => update(nearest({ [name]: next })));
  const sliders = {
    num_buckets: slide("num_buckets", { min: 4, max: 32, step: 2 }),
    max_distance: slide("max_distance", { min: 17, max: 256, step: 1 }),
    query: slide("query", { min: 0, max: LAST, step: 1 }),
    distance: slide("distance", { step: 1 }),
    shift: slide("shift", { min: 0, max: 20, step: 1 }),
  };
  const { num_buckets, max_distance, ...pairSliders } = sliders;
  const head = labelledSelect(TEXT.head, {}, (picked) => update({ head: Number(picked) }));
  const settings = node("div", {}, directions.element, node("div", { class: "plm-sliders" }, num_buckets.element, max_distance.element));

  const canvas = node("canvas", { width: WORDS.length, height: WORDS.length, "aria-hidden": "true" });
  // The numbers are one text, and so are the words of each side: far quicker to lay out than a text for each cell.
  const numbers = node("div", { class: "plm-in-cells" }), queries = node("div", { class: "plm-map-queries" }), keys = node("div", { class: "plm-map-keys" });
  const texts = node("div", { "aria-hidden": "true" }, numbers, queries, keys);
  const map = node("div", { class: "plm-map", role: "application", tabindex: 0, "aria-label": TEXT.mapKeys }, canvas, texts), lines = node("div"), staircase = node("div");
  const [bars, diagonal, pair, highlight] = ["plm-below", "plm-same", "plm-pair-mark", "plm-curve plm-0"].map((kind) => node("path", { class: kind }));
  const curves = node("path", { class: "plm-curve plm-line" }), stairs = node("path", { class: "plm-curve plm-0" }), [onLine, onStairs] = [markAt(0, 0, 0), markAt(0, 0, 0)];
  const { table, cells: results } = readings(TEXT.rows);
  const question = node("p"), depends = node("p"), source = node("p", { class: "plm-quiet" }), legend = node("p", { class: "plm-quiet" }), effect = node("p", { class: "plm-effect" });
  const { form, say } = fillBox(
    el, TEXT.title, question, modes.element, depends, settings, head.element, message,
    node("div", { class: "plm-sliders" }, ...Object.values(pairSliders).map(({ element }) => element)), effect,
    node("div", { class: "plm-halves" }, map, node("div", {}, table, lines)), legend, staircase, source,
  );

  let widths, colours, grid, most, cell, lineScales, stairScales, line = 20, enlarged; // 20 pixels: relative_bias.css
  const masked = (i, j) => state.mode === "t5" && state.direction === "one-sided" && j > i;
  const bucketAt = (r) => bucket(r, state.direction === "bidirectional", state.num_buckets, state.max_distance);
  const reach = ({ mode, max_distance } = state) => (mode === "t5" ? Math.min(300, roundUp(1.15 * max_distance)) : LAST);

  // Nodes are made once for a width; then only what differs is written, so that the widget follows a slider at once.
  const changed = changes();

  function makeMap(width) {
    cell = Math.floor((width - GUTTER) / WORDS.length); // Safari cuts the height of a line, which is a cell's, to whole pixels
    width = GUTTER + cell * WORDS.length;
    const drawing = node("svg", { width, height: width, viewBox: `0 0 ${width} ${width}`, role: "img" });
    const edge = (i) => GUTTER + i * cell;
    const corner = [TEXT.columnsOfMap, TEXT.rowsOfMap].map((text, i) => node("text", { x: GUTTER - 5, y: GUTTER - 22 + 15 * i, "text-anchor": "end" }, text));
    const borders = [...WORDS, ""].map((_, i) => `M${GUTTER} ${edge(i)}H${width}M${edge(i)} ${GUTTER}V${width}`).join("");
    drawing.append(...corner, node("path", { class: "plm-grid", d: borders }), bars, diagonal, pair);
    line = cell / enlarged;
    for (const [name, pixels] of [["gutter", GUTTER], ["cell", cell], ["line", line], ["map", width - GUTTER]]) map.style.setProperty(`--${name}`, `${pixels}px`);
    map.replaceChildren(canvas, texts, drawing);
  }

  /** Asked for once in each theme: the page is laid out for the answer. */
  function findColours() {
    if (colours) return;
    const { color, borderTopColor } = getComputedStyle(canvas);
    colours = [color, borderTopColor].map((found) => found.match(/[\d.]+/g).slice(0, 3).map(Number));
  }

  /** A pixel for each pair: the further its score is from 0, the more opaque it is. */
  function paintColours() {
    const pixels = new ImageData(WORDS.length, WORDS.length);
    if (!colours && !canvas.isConnected) return; // outside the page there are no colours; the next move brings them
    findColours();
    const [above, below] = colours;
    grid.flat().forEach((value, n) => {
      const hidden = masked(Math.floor(n / WORDS.length), n % WORDS.length) || !most;
      pixels.data.set([...(value < 0 ? below : above), hidden ? 0 : Math.round((255 * 0.45 * Math.abs(value)) / most)], 4 * n);
    });
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }

  function paintMap() {
    const written = (i, j) => (masked(i, j) ? "×" : String(bucketAt(j - i))).padStart(2, "\u2007"); // a space as wide as a digit
    const sides = WORDS.map((word, i) => `${word} ${state.shift + i}`).join("\n"), length = (cell / 2).toFixed(1);
    for (const side of [queries, keys]) putText(side, sides);
    putText(numbers, state.mode === "t5" ? WORDS.map((_, i) => WORDS.map((_, j) => written(i, j)).join(" ")).join("\n") : "");
    const below = grid.flatMap((row, i) => row.map((value, j) => (value < 0 && !masked(i, j) ? `M${(GUTTER + (j + 0.25) * cell).toFixed(1)} ${(GUTTER + (i + 0.88) * cell).toFixed(1)}h${length}` : "")));
    putAttribute(bars, "d", below.join(""));
    paintColours();
  }

  const linesIn = plotIn(lines), stairsIn = plotIn(staircase);

  function drawLines(width) {
    const all = grid.flat(), edge = (value) => Math.sign(value) * roundUp(1.05 * Math.abs(value) || 1);
    const y = [edge(Math.min(0, ...all)), edge(Math.max(0, ...all))];
    lineScales = linesIn({ width, height: 220, x: [-LAST - 0.5, LAST + 0.5], y: y[0] < y[1] ? y : [-1, 1], xName: TEXT.rows.distance, yName: TEXT.lines });
    if (lineScales.fresh) {
      lineScales.inside.append(curves);
      lineScales.drawing.append(highlight, onLine);
    }
    putAttribute(curves, "d", grid.map((_, i) => lineOf(i)).join(""));
  }
  const lineOf = (i) => pathThrough(grid[i].map((value, j) => [j - i, value]).filter((_, j) => !masked(i, j)), lineScales);

  function drawStairs(width) {
    const most = reach(), points = [];
    stairScales = stairsIn({ width, height: 200, x: [-most, most], y: [-1, roundUp(state.num_buckets)], xName: TEXT.rows.distance, yName: TEXT.staircase });
    if (stairScales.fresh) {
      stairScales.inside.append(stairs);
      stairScales.drawing.append(onStairs);
    }
    for (let r = -most, last; r <= most; r++) {
      const b = bucketAt(r);
      if (b !== last) points.push([r - 0.5, last ?? b], [r - 0.5, b]); // a step
      last = b;
    }
    points.push([most, bucketAt(most)]);
    putAttribute(stairs, "d", pathThrough(points, stairScales));
  }

  function drawPair() {
    const { query: i, distance: r, mode } = state, j = i + r, inside = j >= 0 && j <= LAST;
    const box = (row, column) => `M${GUTTER + column * cell} ${GUTTER + row * cell}h${cell}v${cell}h${-cell}Z`;
    putAttribute(diagonal, "d", WORDS.map((_, row) => (row + r >= 0 && row + r <= LAST ? box(row, row + r) : "")).join(""));
    putAttribute(pair, "d", inside ? box(i, j) : "");
    const hidden = masked(i, j), value = mode === "t5" ? bucketScores(state)[bucketAt(r)] : inside ? grid[i][j] : undefined;
    putAttribute(highlight, "d", lineOf(i));
    putMark(onLine, lineScales, inside && !hidden, r, value);
    if (mode === "t5") putMark(onStairs, stairScales, Math.abs(r) <= reach(), r, bucketAt(r));
    const told = {
      query: TEXT.place(WORDS[i], state.shift + i),
      key: inside ? TEXT.place(WORDS[j], state.shift + j) : TEXT.outside(format(state.shift + j, 0)),
      distance: format(r, 0),
      bucket: mode === "t5" ? String(bucketAt(r)) : TEXT.none,
      value: hidden ? TEXT.masked : value === undefined ? "–" : format(value),
    };
    for (const [name, text] of Object.entries(told)) putText(results[name], text);
    const readout = Object.entries(told).map(([name, text]) => `${TEXT.rows[name]}: ${text}`).join("; ");
    putAttribute(map.lastChild, "aria-label", TEXT.map(readout));
    putAttribute(lineScales.drawing, "aria-label", `${TEXT.lines}. ${readout}`);
    if (mode === "t5") putAttribute(stairScales.drawing, "aria-label", `${TEXT.staircase}. ${readout}`);
    say(`${readout}. ${effect.textContent}`);
  }

  function whatTheShiftDid(k) {
    const unmoved = scores({ ...state, shift: 0 }).flat(), moved = grid.flat().map((value, n) => Math.abs(value - unmoved[n]));
    return TEXT.shifted(k, moved.filter((change) => change === 0).length, moved.length, format(Math.max(...moved), 2));
  }

  function draw(width) {
    if (width && changed("width", width)) {
      widths = { map: Math.min(map.clientWidth, 430), lines: lines.clientWidth };
      // Where a reader enlarges texts alone, Firefox enlarges lines with them, but not the map.
      enlarged = (parseFloat(getComputedStyle(numbers).lineHeight) || line) / line;
      findColours();
    }
    putText(message, takeState(model, state, allowed, wrong));
    const { mode, values, shift: k } = state, heads = headCount(state);
    if (state.head >= heads) {
      putText(message, message.textContent || wrong.head);
      state.head = 0;
    }
    modes.show(mode);
    directions.show(state.direction);
    putText(question, TEXT.questions[mode]);
    putText(depends, TEXT.depends[mode]);
    putHidden(settings, mode !== "t5");
    putHidden(head.element, heads === 1);
    if (head.input.options.length !== heads) head.input.replaceChildren(...Array.from({ length: heads }, (_, i) => node("option", { value: i }, String(i))));
    head.show(state.head);
    const word = (i) => (i >= 0 && i <= LAST ? TEXT.place(WORDS[i], k + i) : "");
    for (const [end, at] of [["min", -reach()], ["max", reach()]]) putAttribute(sliders.distance.input, end, at);
    for (const [name, slider] of Object.entries(sliders)) slider.show(state[name], name === "query" ? word(state.query) : format(state[name], 0));
    const misfit = mode === "t5" && values.length && !trained(state);
    putText(source, misfit ? TEXT.misfit(values[0].length) : !trained(state) ? TEXT.illustrative : mode === "t5" ? TEXT.givenBuckets : TEXT.given);
    if (!width) return; // not shown yet: the observer calls again
    const { query: _, distance: __, ...rest } = state;
    if (changed("scores", ...Object.values(rest))) {
      grid = scores(state);
      putText(effect, k ? whatTheShiftDid(k) : TEXT.unshifted);
    }
    const seen = grid.flatMap((row, i) => row.filter((_, j) => !masked(i, j)));
    most = Math.max(...seen.map(Math.abs));
    putText(legend, (mode === "t5" ? TEXT.numbers : "") + TEXT.legend(format(most, 2)));
    if (changed("map", widths.map)) makeMap(widths.map);
    if (changed("paint", width, ...Object.values(rest)) || !colours) paintMap();
    if (changed("lines", width, grid, seen.length)) drawLines(widths.lines);
    putHidden(staircase, mode !== "t5");
    if (!staircase.hidden && changed("stairs", width, state.direction, state.num_buckets, state.max_distance)) drawStairs(width);
    drawPair();
  }

  // The pair follows the pointer over the map, the distance over the staircase.
  const overMap = (event) => {
    const box = map.lastChild.getBoundingClientRect();
    const [j, i] = [event.clientX - box.left, event.clientY - box.top].map((at) => Math.floor((at - GUTTER) / cell));
    if (Math.min(i, j) < 0 || Math.max(i, j) > LAST || (i === state.query && j - i === state.distance)) return;
    update({ query: i, distance: j - i });
  };
  const overStairs = (event) => {
    const r = Math.round(stairScales.fromX(event.clientX - staircase.getBoundingClientRect().left));
    if (Math.abs(r) <= reach() && r !== state.distance) update({ distance: r });
  };
  map.addEventListener("keydown", (event) => {
    if (!Object.hasOwn(ARROWS, event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const inside = (i) => Math.min(LAST, Math.max(0, i)), [down, right] = ARROWS[event.key];
    const i = inside(state.query + down), j = inside(inside(state.query + state.distance) + right);
    update({ query: i, distance: j - i });
  });
  followPointer(map, overMap, true);
  followPointer(staircase, overStairs, true);

  const repaint = () => {
    colours = undefined;
    if (grid) paintColours();
  };
  const ends = [keepDrawn(model, Object.keys(allowed), form, draw), watchTheme(repaint)];
  return () => ends.forEach((end) => end());
}

export default { render };
