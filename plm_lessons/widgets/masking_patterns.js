// Which tokens are hidden in each epoch: masks made once (static) and masks made anew (dynamic). The view; tokenization.js and masking_patterns.maths.js come before it.

const LAST_READ = "The last valid text is still shown.";
const TEXT = {
  title: "Masking patterns",
  question: {
    tokens: "After which epoch does static masking show nothing new? Does dynamic masking ever repeat itself?",
    words: "No piece of a hidden word is left to give it away. Look at the dashed line: which positions are chosen less often than others, and why?",
    ngrams: "ALBERT draws 3 pairs and 2 triples of words per 6 single words. Which are chosen less often than that? Lower the masking rate: which vanish first?",
    spans: "Step through some epochs. Which token is always hidden and which never, although masks are random?",
  },
  unit: "What is chosen",
  units: { tokens: "single tokens (BERT, RoBERTa)", words: "whole words", ngrams: "n-grams (ALBERT)", spans: "spans (T5)" },
  text: "The text. Type your own.",
  typed: {
    nothing: `Type at least one word. ${LAST_READ}`,
    long: (count, most) => `${count} characters; the limit is ${most}. ${LAST_READ}`,
    tokens: (count, most) => `This text makes ${count} tokens; the limit is ${most}. ${LAST_READ}`,
  },
  sliders: {
    masking_rate: "masking rate",
    mask_share: "share of mask tokens",
    random_share: "share of random tokens",
    mean_span_length: "mean span length",
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
  sides: { input: "input", target: "target" },
  key: {
    tokens: "Below each chosen token is the right answer. Solid box: mask token. Dashed box: random token. Double box: left as it is.",
    spans: "Box: a sentinel. In the input it replaces a span; in the target it names the span that follows it.",
  },
  answer: (token) => ` (answer: ${token})`,
  plotKey: { static: "static", dynamic: "dynamic", expected: "expected", drawn: "as drawn" },
  position: "position of the token",
  words: "words of the n-gram",
  times: "times chosen so far",
  columns: ["so far", "static", "dynamic", "expected"],
  rows: {
    distinct: "Different sets of positions", chosen: "Tokens chosen so far", mask: "of these: mask token", random: "random token", kept: "left as they are",
    size1: "n-grams of 1 word", size2: "of 2 words", size3: "of 3 words",
  },
  drawn: (share) => `drawn: ${share}`,
  atMost: (count) => `at most ${count}`,
  distinct: (copies, epochs) => `at most ${copies} static, ${epochs} dynamic`,
  caption: (kind, count, always) => `Cut by this book's ${kind} tokenizer (${count} pieces). The rules are the chapter's, but the random numbers are drawn on this page (mulberry32, from seed and epoch), not by torch.${always ? " At least one token is chosen." : ""}`,
  kinds: { wordpiece: "WordPiece", byte_level_bpe: "byte-level BPE", unigram: "Unigram (ALBERT)", t5_unigram: "Unigram (T5)" },
  said: (epoch, chosen) => `Epoch ${epoch}. Chosen by the dynamic mask: ${chosen || "nothing"}.`,
  plot: (epochs, what, low, high, wanted) => `Times chosen up to epoch ${epochs}, by ${what}. Static: ${low}. Dynamic: ${high}. ${wanted}`,
  range: (values) => (Math.min(...values) === Math.max(...values) ? String(values[0]) : `from ${Math.min(...values)} to ${Math.max(...values)}`),
  last: "This is the last epoch that is shown here.",
  begin: "This is the first epoch.",
  impossible: "No mask fits: there must be two tokens or more, and no more spans than tokens outside them.",
  rules: {
    text: "text must be a text of at most 600 characters that makes 2 to 128 tokens, at least one of which may be chosen.",
    tokenizer: "tokenizer must be one that tokenization.py packs.",
  },
  shares: "mask_share + random_share must be at most 1.",
};
const NUMBERS = { masking_rate: [0, 0.5], mask_share: [0, 1], random_share: [0, 1], mean_span_length: [1, 10] };
const WHOLE = { copies: [1, 40], seed: [0, 2 ** 32 - 1], epochs: [1, 400] };
const MOST_EPOCHS = WHOLE.epochs[1], MOST_CHARACTERS = 600, MOST_TOKENS = 128;
const LOOKS = { mask: "plm-solid", random: "plm-dashed", kept: "plm-double" };
const KINDS_OF_MASK = ["static", "dynamic"], SIZES = ["size1", "size2", "size3"], FATES = Object.keys(LOOKS);
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function render({ model, el }) {
  const state = {
    text: "no text", tokenizer: { kind: "wordpiece", pieces: "[MASK] no text", numbers: "", special: ["[MASK]"], before: [], after: [], mask: "[MASK]" },
    unit: "tokens", masking_rate: 0.15, mask_share: 0.8, random_share: 0.1, mean_span_length: 3, copies: 10, seed: 0, epochs: 12,
  };
  const update = sender(model), message = messageLine();

  // The tokens of a text, the random numbers and the chances are kept until something that they depend on changes.
  const store = {};
  const kept = (name, make, ...needs) => {
    if (!store[name]?.needs.every((need, i) => need === needs[i])) store[name] = { needs, value: make() };
    return store[name].value;
  };
  const tokenizer = () => kept("tokenizer", () => openTokenizer(state.tokenizer), state.tokenizer);
  const given = model.get("read"), first = model.get("tokenizer"); // a page without a kernel gets its text's tokens
  const cut = (text) => (text === given?.text && state.tokenizer === first ? given.sentence : tokenizer().tokenize(text));
  const read = (text) => kept("sentence", () => cut(text), text, state.tokenizer);
  /** What is wrong with a text, or "". */
  function fault(text) {
    const characters = Array.from(text).length;
    // Half a character.
    if (/\p{Surrogate}/u.test(text)) return TEXT.rules.text;
    if (characters > MOST_CHARACTERS) return TEXT.typed.long(characters, MOST_CHARACTERS);
    const sentence = read(text);
    if (sentence.length > MOST_TOKENS) return TEXT.typed.tokens(sentence.length, MOST_TOKENS);
    return sentence.length < 2 || sentence.every(([, word]) => word < 0) ? TEXT.typed.nothing : "";
  }
  const { allowed, wrong } = rules({
    others: { tokenizer: [(v) => typeof v?.pieces === "string" && Object.hasOwn(TEXT.kinds, v.kind), TEXT.rules.tokenizer], text: [(v) => typeof v === "string" && !fault(v), TEXT.rules.text] },
    numbers: NUMBERS, wholes: WHOLE, names: { unit: TEXT.units },
  });

  const units = choice(TEXT.unit, TEXT.units, (unit) => update({ unit }));
  const typed = node("textarea", { rows: 2, spellcheck: "false", autocapitalize: "off", dir: "auto" });
  // What is wrong with the typed text; the message stays until the text is corrected or another one comes.
  let unread = "", lastText;
  const tellUnread = () => (unread ? typed.setAttribute("aria-invalid", "true") : typed.removeAttribute("aria-invalid"));
  typed.addEventListener("focus", () => tokenizer().tokenize("")); // so that the first letter need not wait
  typed.addEventListener("input", () => {
    unread = fault(typed.value);
    if (unread) putText(message, unread);
    else update({ text: typed.value });
    tellUnread();
  });
  const slider = (name, step, written, changes = (value) => ({ [name]: value })) => {
    const [min, max] = NUMBERS[name] ?? WHOLE[name];
    const { element, show } = labelledSlider(TEXT.sliders[name], { min, max, step }, (value) => update(changes(value)));
    return { element, show: (value) => show(value, written(value)) };
  };
  // Together the two shares are at most 1: the one that is moved takes from the other, and gives it back.
  const wishes = {};
  const beside = (name, other) => (value) => {
    if (state[name] + state[other] < 0.995 || wishes[other] === undefined) wishes[other] = state[other];
    wishes[name] = value;
    return { [other]: Math.round(100 * Math.min(wishes[other], 1 - value)) / 100, [name]: value };
  };
  const sliders = {
    masking_rate: slider("masking_rate", 0.01, percent),
    mask_share: slider("mask_share", 0.01, percent, beside("mask_share", "random_share")),
    random_share: slider("random_share", 0.01, percent, beside("random_share", "mask_share")),
    mean_span_length: slider("mean_span_length", 0.5, (mean) => mean.toFixed(1)),
    copies: slider("copies", 1, String),
  };
  const seedField = numberField(TEXT.seed, { min: 0, max: WHOLE.seed[1], step: 1 }, allowed.seed, (seed) => update({ seed }), () => (message.textContent = wrong.seed));
  const toEpoch = (text, next) => pushButton(text, () => {
    const before = state.epochs, wanted = next(before);
    update({ epochs: Math.min(Math.max(1, wanted), MOST_EPOCHS) });
    if (wanted > MOST_EPOCHS) message.textContent = TEXT.last;
    else if (state.epochs === before) message.textContent = TEXT.begin;
  });
  const epoch = node("b", { class: "plm-epoch" });
  const buttons = node(
    "div", { class: "plm-row" }, epoch, toEpoch(TEXT.back, (now) => now - 1), toEpoch(TEXT.next, (now) => now + 1),
    toEpoch(TEXT.ten, (now) => now + 10), toEpoch(TEXT.first, () => 1), seedField.element,
  );

  const shown = Object.fromEntries(KINDS_OF_MASK.map((kind) => [kind, { head: node("p", { class: "plm-head" }), rows: node("div") }]));
  const { table, body, row, cell } = valueTable(TEXT.columns);
  const cells = {}, lines = {};
  for (const [name, label] of Object.entries(TEXT.rows)) {
    cells[name] = TEXT.columns.slice(1).map(() => cell());
    body.append((lines[name] = row(label, cells[name])));
  }
  const question = node("p"), key = node("p", { class: "plm-quiet" }), caption = node("p", { class: "plm-quiet" });
  const plot = node("div", { class: "plm-plot" });
  const plotKey = Object.fromEntries(Object.entries(TEXT.plotKey).map(([kind, text]) => {
    const sample = Object.hasOwn(shown, kind) ? node("rect", { class: `plm-bar-${kind}`, x: 8, y: 1, width: 10, height: 12 }) : node("path", { class: "plm-expected", d: "M0 7H26" });
    return [kind, node("span", { class: "plm-swatch" }, node("svg", { width: 26, height: 14, viewBox: "0 0 26 14" }, sample), text)];
  }));
  const { form, say } = fillBox(
    el, TEXT.title, question, units.element, node("label", { class: "plm-typed" }, TEXT.text, typed), message,
    node("div", { class: "plm-sliders" }, ...Object.values(sliders).map(({ element }) => element)), buttons,
    ...KINDS_OF_MASK.flatMap((kind) => [shown[kind].head, shown[kind].rows]), key,
    node("div", { class: "plm-row", "aria-hidden": "true" }, ...Object.values(plotKey)), plot, table, caption,
  );

  const side = ([name, what]) => node("div", { class: "plm-side" }, node("span", { class: "plm-quiet" }, what), tokenList(name));
  const tokenList = (name) => node("div", { class: "plm-tokens", role: "list", "data-side": name });

  /** Writes the chips of a list, but only what differs: [text, look, what the model must answer if it is asked]. */
  function writeChips(list, wanted) {
    while (list.childElementCount > wanted.length) list.lastChild.remove();
    while (list.childElementCount < wanted.length) list.append(node("span", { role: "listitem", dir: "auto" }, node("span")));
    wanted.forEach(([text, look, answer], i) => {
      const chip = list.children[i];
      putAttribute(chip, "class", `plm-token ${look}`.trim());
      putText(chip.firstChild, text);
      if (answer === undefined) while (chip.childElementCount > 1) chip.lastChild.remove();
      else {
        if (chip.childElementCount === 1) chip.append(node("span", { class: "plm-unseen" }), node("small", { "aria-hidden": "true", dir: "auto" }));
        putText(chip.children[1], TEXT.answer(answer));
        putText(chip.children[2], answer);
      }
    });
  }

  /** Writes what the model reads in this epoch, and with spans also what it must answer. */
  function writeMask(here, tokens, { chosen, fates, replacements }, spans) {
    if (here.spans !== spans) here.rows.replaceChildren(...(spans ? Object.entries(TEXT.sides).map(side) : [tokenList("reads")]));
    here.spans = spans;
    const lists = Object.fromEntries([...here.rows.querySelectorAll(".plm-tokens")].map((list) => [list.dataset.side, list]));
    for (const [name, list] of Object.entries(lists)) putAttribute(list, "aria-label", `${here.head.textContent}, ${TEXT.sides[name] ?? TEXT.reads}`);
    if (spans) {
      const pair = spanPair(tokens, chosen, state.tokenizer.after);
      for (const name of Object.keys(TEXT.sides)) writeChips(lists[name], pair[name].map(([text, sentinel]) => [text, sentinel ? LOOKS.mask : ""]));
      return;
    }
    const fateOf = new Map(chosen.map((position, i) => [position, i]));
    writeChips(lists.reads, tokens.map((token, position) => {
      const i = fateOf.get(position), fate = fates[i];
      if (i === undefined) return [token, ""];
      return [fate === "mask" ? state.tokenizer.mask : fate === "random" ? tokenizer().pieces[replacements[i]] : token, LOOKS[fate], token];
    }));
  }

  function writeTable(seen, expected) {
    const { epochs, copies, mask_share, random_share } = state;
    const shareOf = (times, all) => (all ? `${times} = ${percent(times / all)}` : times);
    KINDS_OF_MASK.forEach((kind, i) => {
      const { fates, counts, sizes, distinct } = seen[kind];
      putText(cells.distinct[i], distinct);
      putText(cells.chosen[i], sum(counts));
      for (const fate of FATES) putText(cells[fate][i], shareOf(fates[fate], sum(counts)));
      SIZES.forEach((name, n) => putText(cells[name][i], shareOf(sizes[n], sum(sizes))));
    });
    const chosen = expected && sum(expected) * epochs, shares = { mask: mask_share, random: random_share, kept: Math.max(0, 1 - mask_share - random_share) };
    putText(cells.distinct[2], TEXT.distinct(Math.min(copies, epochs), epochs));
    putText(cells.chosen[2], expected ? chosen.toFixed(1) : TEXT.atMost(predictionCount(read(state.text).length, state.masking_rate) * epochs));
    for (const fate of FATES) putText(cells[fate][2], expected ? `${(shares[fate] * chosen).toFixed(1)} = ${percent(shares[fate])}` : percent(shares[fate]));
    SIZES.forEach((name, n) => putText(cells[name][2], TEXT.drawn(percent(NGRAM_SHARES[n]))));
  }

  const plotted = plotIn(plot);
  const path = (kind) => node("path", { class: kind });
  const drawn = { static: path("plm-bar-static"), dynamic: path("plm-bar-dynamic"), expected: path("plm-expected") };
  let bars;
  /** Bars of both kinds side by side, one pair for each of `counts`, and the expected times as a line: the same for both, or two for each pair. */
  function drawPlot(width, counts, expected, inWords) {
    const count = counts.static.length, start = inWords ? 0.5 : 0, most = Math.max(1, ...expected, ...counts.static, ...counts.dynamic), step = count / expected.length;
    const names = { xName: inWords ? TEXT.words : TEXT.position, yName: TEXT.times, xMarks: inWords ? [1, 2, 3] : undefined };
    bars = plotted({ width, height: 220, x: [start, count + start], y: [0, roundUp(1.05 * most)], ...names });
    if (bars.fresh) bars.inside.append(...Object.values(drawn));
    const wide = (bars.toX(0.38) - bars.toX(0)).toFixed(1), foot = bars.toY(0).toFixed(1);
    const bar = (x, times) => (times ? `M${bars.toX(x).toFixed(1)} ${foot}V${bars.toY(times).toFixed(1)}h${wide}V${foot}Z` : "");
    KINDS_OF_MASK.forEach((kind, k) => putAttribute(drawn[kind], "d", counts[kind].map((times, i) => bar(i + start + 0.12 + 0.38 * k, times)).join("")));
    putAttribute(drawn.expected, "d", pathThrough(expected.flatMap((times, i) => [[start + step * i, times], [start + step * (i + 1), times]]), bars));
  }

  function draw(width) {
    const { mask_share, random_share } = state;
    let said = takeState(model, state, allowed, wrong);
    if (state.mask_share + state.random_share > 1 + 1e-9) {
      said = TEXT.shares;
      Object.assign(state, { mask_share, random_share });
    }
    const { unit, epochs, copies, text } = state, spans = unit === "spans", ngrams = unit === "ngrams";
    const sentence = read(text), [tokens, numbers] = kept("columns", () => [0, 1].map((i) => sentence.map((pair) => pair[i])), sentence);
    if (text !== lastText) {
      unread = "";
      if (typed.value !== text) typed.value = text;
      tellUnread();
    }
    lastText = text;
    putText(question, TEXT.question[unit]);
    putText(key, TEXT.key[spans ? "spans" : "tokens"]);
    units.show(unit);
    for (const [name, control] of Object.entries(sliders)) control.show(state[name]);
    seedField.show(state.seed);
    for (const part of [sliders.mask_share.element, sliders.random_share.element, ...FATES.map((name) => lines[name])]) putHidden(part, spans);
    for (const part of [plotKey.drawn, ...SIZES.map((name) => lines[name])]) putHidden(part, !ngrams);
    putHidden(sliders.mean_span_length.element, !spans);
    putHidden(plotKey.expected, ngrams);
    putText(epoch, TEXT.epoch(epochs));
    putText(shown.static.head, TEXT.static(((epochs - 1) % copies) + 1, copies));
    putText(shown.dynamic.head, TEXT.dynamic);
    putText(caption, TEXT.caption(TEXT.kinds[state.tokenizer.kind], tokenizer().pieces.length, spans || unit === "tokens"));

    const source = kept("source", () => randomSource(state.seed, numbers.length), state.seed, numbers.length);
    const settings = { ...state, numbers, pool: tokenizer().pieces.length, source };
    const seen = history(settings, epochs, copies);
    for (const part of [shown.static.rows, shown.dynamic.rows, plot, table]) putHidden(part, !seen);
    putText(message, said || unread || (seen ? "" : TEXT.impossible));
    if (!seen) return;
    for (const kind of KINDS_OF_MASK) writeMask(shown[kind], tokens, seen[kind].now, spans);
    const expected = kept("chances", () => chances(settings), sentence, unit, state.masking_rate, state.mean_span_length);
    writeTable(seen, expected);
    // Without a width it is not shown yet: the observer calls again.
    if (width) {
      const counts = Object.fromEntries(KINDS_OF_MASK.map((kind) => [kind, ngrams ? seen[kind].sizes : seen[kind].counts]));
      // As many n-grams as each kind has, in the shares in which they are drawn.
      const wanted = ngrams ? NGRAM_SHARES.flatMap((share) => KINDS_OF_MASK.map((kind) => share * sum(counts[kind]))) : expected.map((chance) => chance * epochs);
      drawPlot(width, counts, wanted, ngrams);
      const told = (values) => (ngrams ? values.join(", ") : TEXT.range(values.filter((_, i) => numbers[i] >= 0)));
      const [low, high] = KINDS_OF_MASK.map((kind) => told(counts[kind]));
      putAttribute(bars.drawing, "aria-label", TEXT.plot(epochs, ngrams ? TEXT.words : TEXT.position, low, high, `${TEXT.plotKey[ngrams ? "drawn" : "expected"]}: ${told(wanted.map((value) => Number(value.toFixed(2))))}.`));
    }
    say(TEXT.said(epochs, seen.dynamic.now.chosen.map((position) => tokens[position]).join(", ")));
  }

  return keepDrawn(model, Object.keys(allowed), form, draw);
}

export default { render };
