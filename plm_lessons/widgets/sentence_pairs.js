// A game with sentence pairs: guess, then see what shared words and trained models say. The view; sentence_pairs.maths.js comes before it.

const TEXT = {
  title: "Sentence pairs: a game",
  questions: {
    one: (models) => `One player only counts the words that A and B share. Can you beat it?${models ? ` Can the model${models > 1 ? "s" : ""}?` : ""}`,
    two: "One player only counts the words that A and B share. In which of the two games does that help, and why not in the other?",
  },
  task: "Game",
  tasks: { nsp: "next sentence (NSP)", sop: "sentence order (SOP)" },
  short: { nsp: "NSP", sop: "SOP" },
  asks: {
    nsp: "Does B follow A in its text, or is it from another text?",
    sop: "A and B are neighbours in one text. Are they in order, or were they swapped?",
  },
  guesses: { nsp: ["B follows A", "B is from another text"], sop: ["In order", "Swapped"] },
  says: { nsp: ["next", "random"], sop: ["in order", "swapped"] },
  truths: { nsp: ["B follows A.", "B is from another text."], sop: ["They are in order.", "They were swapped."] },
  right: "Right:",
  wrong: "Wrong:",
  source: " Source: ",
  sources: [" A: ", ", B: "],
  overlap: (words) => (words.length ? `${words.length} content ${words.length === 1 ? "word" : "words"} in both, underlined: ${words.join(", ")}.` : "No content word in both."),
  next: "Next pair",
  again: "New game",
  progress: (number, count) => `Pair ${number} of ${count}`,
  you: "you",
  rule: "word overlap",
  columns: { who: "who", pair: "this pair", score: (task) => `${task}: right so far` },
  chance: (probability, says) => {
    const whole = (100 * probability).toFixed(0);
    return `${whole === "50" ? (100 * probability).toFixed(1) : whole} % ${says}`; // the side of 50 % decides
  },
  shared: (count) => `${count} shared`,
  none: "–",
  of: (right, asked) => `${right} of ${asked}`,
  interval: (low, high) => `${(100 * low).toFixed(0)} to ${(100 * high).toFixed(0)} %`,
  verdict: (task, right, asked, interval, against) => `${task}: you got ${right} of ${asked} right. That fits a true rate of ${interval}${against}`,
  against: { below: ", worse than guessing.", within: ", so it may still be luck.", above: ", better than guessing." },
  key: "Under each score: the share right (dot), its 95 % interval (bar; Wilson) and guessing (dashed, 50 %). Word overlap says “next” or “in order” if A and B share a content word: any except common ones such as “the” or “with”; a plural -s is ignored.",
};
const ENOUGH = 5; // guesses in a game before they are judged
const MOST_SEED = 2 ** 32 - 1;

const isText = (v, most) => typeof v === "string" && v.trim() !== "" && [...v].length <= most;
const isName = (v) => isText(v, 30) && v !== TEXT.you && v !== TEXT.rule;
const isTask = (v) => v === "nsp" || v === "sop";
const isLabel = (v) => v === 0 || v === 1;
const isPair = (v) =>
  v !== null && typeof v === "object" && isTask(v.task) && isText(v.first, 1000) && isText(v.second, 1000) && isLabel(v.label) &&
  v.probabilities !== null && typeof v.probabilities === "object" && Object.entries(v.probabilities).every(([name, p]) => isName(name) && Number.isFinite(p) && p >= 0 && p <= 1) &&
  Array.isArray(v.sources) && [0, 2].includes(v.sources.length) && v.sources.every((title) => isText(title, 200));

function render({ model, el }) {
  const state = { pairs: [], seed: 0, task: "nsp", guesses: [] };
  const isPlayed = (v) => state.pairs.some(({ task }) => task === v);
  const fits = (v) => Array.isArray(v) && [0, state.pairs.length].includes(v.length) && v.every((guess) => guess === null || isLabel(guess));
  const { allowed, wrong } = rules({
    others: {
      pairs: [(v) => Array.isArray(v) && v.length >= 1 && v.length <= 200 && v.every(isPair) && modelNames(v).length <= 6, "pairs must be a list of 1 to 200 pairs, each with task (nsp or sop), first and second (texts), label (0 or 1), probabilities (from 0 to 1, by name; up to 6 names) and sources (two texts or none)."],
      task: [isPlayed, "task must be nsp or sop, and there must be pairs of it."],
      guesses: [fits, "guesses must be empty, or a list of 0, 1 or null for each pair."],
    },
    wholes: { seed: [0, MOST_SEED] },
  });
  const update = sender(model);
  let current; // the number of the pair on show: one whose answer is being read, or the first that is not guessed

  const guessed = (i) => (state.guesses[i] ?? null) !== null;
  // A pressed button goes away: the focus moves on to what comes next.
  const focusOn = (control) => control.focus({ preventScroll: true });
  const guesses = [0, 1].map((label) =>
    pushButton("", () => {
      update({ guesses: state.pairs.map((_, i) => (i === current ? label : state.guesses[i] ?? null)) });
      focusOn(next.hidden ? answer : next); // not on "New game": one more key press would end the whole game
    }));
  const next = pushButton(TEXT.next, (event) => {
    if (event.detail > 1) return; // the second half of a double click on a guess
    current = undefined;
    draw();
    focusOn(guesses[0]);
  });
  const again = pushButton(TEXT.again, () => update({ guesses: [], seed: (state.seed + 1) % (MOST_SEED + 1) }));
  const games = choice(TEXT.task, TEXT.tasks, (task) => update({ task }));

  const question = node("p"), progress = node("span", { class: "plm-game-progress plm-quiet" }), asks = node("p", { class: "plm-game-asks" });
  const texts = ["A", "B"].map((letter) => {
    const text = node("p", { dir: "auto" });
    return { text, element: node("div", { class: "plm-game-segment" }, node("b", { class: "plm-game-letter" }, letter), text) };
  });
  const answer = node("p", { class: "plm-game-answer", tabindex: -1 }), overlap = node("p", { class: "plm-game-overlap" }), verdict = node("p", { class: "plm-game-verdict" });
  const table = node("div"), message = messageLine();
  const { form, say } = fillBox(
    el, TEXT.title, question,
    node("div", { class: "plm-game-head" }, games.element, progress), asks, ...texts.map(({ element }) => element),
    node("div", { class: "plm-row plm-game-buttons" }, ...guesses, next, again), message, answer, overlap, table, verdict,
    node("p", { class: "plm-quiet" }, TEXT.key),
  );
  form.addEventListener("keydown", (event) => event.repeat && event.key === "Enter" && event.preventDefault());

  const mark = (right) => node("span", { class: right ? "plm-game-right" : "plm-game-wrong" }, node("span", { "aria-hidden": "true" }, right ? "✓ " : "✗ "), node("span", { class: "plm-unseen" }, right ? TEXT.right : TEXT.wrong, " "));
  const title = (text) => node("bdi", {}, `“${text}”`);
  function score([right, asked] = [0, 0]) {
    if (!asked) return [TEXT.none];
    const [low, high] = wilson(right, asked), at = (share) => `${(100 * share).toFixed(2)}%`;
    const line = (kind, from, to, y1, y2) => node("line", { class: kind, x1: at(from), x2: at(to), y1, y2 });
    const plot = node(
      "svg", { class: "plm-game-interval", width: "100%", height: 14, "aria-hidden": "true" },
      line("plm-grid", 0, 1, 7, 7), line("plm-game-guessing", 0.5, 0.5, 0, 14), line("plm-game-range", low, high, 7, 7),
      node("rect", { class: "plm-game-dot", x: at(right / asked), y: 2.5, width: 9, height: 9, rx: 4.5, transform: "translate(-4.5 0)" }),
    );
    return [TEXT.of(right, asked), node("span", { class: "plm-unseen" }, `, ${TEXT.interval(low, high)}`), plot];
  }

  function drawTable(pair, tasks, shown) {
    const said = new Map(shown ? [[TEXT.you, [state.guesses[current], null]], ...answers(pair, TEXT.rule).map(([name, label, p]) => [name, [label, p]])] : []);
    const found = tasks.map((task) => scores(state.pairs, state.guesses, task, TEXT.you, TEXT.rule));
    const says = TEXT.says[pair.task], count = sharedIn(pair).size;
    const heads = [TEXT.columns.who, TEXT.columns.pair, ...tasks.map((task) => TEXT.columns.score(TEXT.short[task]))];
    const answerOf = (name) => {
      if (!said.has(name)) return [TEXT.none];
      const [label, p] = said.get(name);
      const detail = name === TEXT.rule ? TEXT.shared(count) : p === null ? "" : TEXT.chance(p, says[0]);
      return [mark(label === pair.label), says[label], node("small", { class: "plm-quiet" }, detail)];
    };
    const made = valueTable(heads);
    made.table.classList.add("plm-game-table", `plm-game-${tasks.length}`);
    for (const name of [TEXT.you, TEXT.rule, ...modelNames(state.pairs)]) {
      const cells = [answerOf(name), ...found.map((all) => score(all.get(name)))].map((parts) => {
        const cell = made.cell();
        cell.replaceChildren(...parts);
        return cell;
      });
      made.body.append(made.row(node("bdi", {}, name), cells));
    }
    table.replaceChildren(made.table);
    const [right, asked] = found[tasks.indexOf(state.task)].get(TEXT.you) ?? [0, 0], [low, high] = wilson(right, asked);
    const against = TEXT.against[high < 0.5 ? "below" : low > 0.5 ? "above" : "within"];
    verdict.textContent = asked < ENOUGH ? "" : TEXT.verdict(TEXT.short[state.task], right, asked, TEXT.interval(low, high), against);
  }

  function draw() {
    message.textContent = takeState(model, state, allowed, wrong);
    if (!isPlayed(state.task)) state.task = state.pairs[0].task; // its pairs are gone
    if (!fits(state.guesses)) state.guesses = []; // they were for other pairs
    const { pairs, task, seed } = state, order = playingOrder(pairs, task, seed);
    if (!order.includes(current) || !guessed(current)) current = order.find((i) => !guessed(i)) ?? order.at(-1);
    const pair = pairs[current], shown = guessed(current), done = order.filter(guessed).length;
    const tasks = Object.keys(TEXT.tasks).filter((name) => pairs.some((other) => other.task === name));

    games.show(task);
    games.element.hidden = tasks.length === 1;
    question.textContent = tasks.length === 1 ? TEXT.questions.one(modelNames(state.pairs).length) : TEXT.questions.two;
    progress.textContent = TEXT.progress(done + Number(!shown), order.length);
    asks.textContent = TEXT.asks[task];
    const shared = sharedIn(pair);
    [pair.first, pair.second].forEach((text, i) =>
      texts[i].text.replaceChildren(...parts(text).map(([part, compared]) => (shown && shared.has(compared) ? node("mark", {}, part) : part))));
    guesses.forEach((control, label) => {
      control.textContent = TEXT.guesses[task][label];
      control.hidden = shown;
    });
    next.hidden = !shown || done === order.length;

    answer.replaceChildren();
    overlap.textContent = shown ? TEXT.overlap([...shared.values()]) : "";
    if (shown) {
      const right = state.guesses[current] === pair.label, [a, b] = pair.sources;
      const from = !a ? [] : a === b ? [TEXT.source, title(a)] : [TEXT.sources[0], title(a), TEXT.sources[1], title(b)];
      answer.append(node("b", {}, node("span", { class: right ? "plm-game-right" : "plm-game-wrong" }, right ? `✓ ${TEXT.right}` : `✗ ${TEXT.wrong}`), ` ${TEXT.truths[task][pair.label]}`), ...from);
    }
    drawTable(pair, tasks, shown);
    say(
      shown
        ? [answer.textContent, overlap.textContent, ...answers(pair, TEXT.rule).map(([name, label]) => `${name}: ${TEXT.says[task][label]}.`), verdict.textContent].join(" ").trim()
        : `${progress.textContent}. A: ${pair.first} B: ${pair.second}`,
    );
  }

  return keepDrawn(model, Object.keys(allowed), form, draw);
}

export default { render };
