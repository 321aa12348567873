// Words in both sentences, the order of the pairs, and scores with their intervals, as in sentence_pairs.py: pure, exported, and compared with it.

export const STOP_WORDS = new Set(
  ("a about after against all also although an and another any are as at be because been before being between both but by can could did do does " +
    "during each either even every few for from had has have having he her here him his how however i if in into is it its itself just " +
    "like many may me might more most much must my neither no nor not now of off often on once one only or other our out over own per " +
    "s same she should since so some still such t than that the their them then there these they this those though through thus to too " +
    "under until up upon us very was we well were what when where whether which while who whom whose why will with within without would you your").split(" "),
);

const WORD = /([\p{L}\p{M}\p{N}]+)/u;

/** The text in parts: [part, what of it is compared, or null if it is not a content word]. A plural -s is left off. */
export const parts = (text) =>
  text.split(WORD).map((part, i) => {
    const word = part.toLowerCase();
    return [part, i % 2 && !STOP_WORDS.has(word) ? word.replace(/^(..+[^s])s$/u, "$1") : null];
  });

/** The content words of the first text that are also in the second: a map from what is compared to the word in lower case. */
export function sharedWords(first, second) {
  const others = new Set(parts(second).map(([, compared]) => compared)), found = new Map();
  for (const [part, compared] of parts(first))
    if (compared !== null && others.has(compared) && !found.has(compared)) found.set(compared, part.toLowerCase());
  return found;
}

const known = new WeakMap(); // order and scores ask for the words of every pair, at every move

/** `sharedWords` of a pair, counted once. */
export function sharedIn(pair) {
  if (!known.has(pair)) known.set(pair, sharedWords(pair.first, pair.second));
  return known.get(pair);
}

/** The answer of a rule that cannot read: 0, the two belong together as they are, if they share a content word; otherwise 1. */
export const overlapGuess = (pair) => Number(sharedIn(pair).size === 0);

/** The label that a probability of label 0 speaks for. */
export const guessOf = (probability) => Number(probability < 0.5);

/** The numbers of a task's pairs, shuffled by the seed; the first is a tempting one: it shares a word and has label 1, or at least the rule is wrong about it. */
export function playingOrder(pairs, task, seed) {
  const drawn = mulberry32(seed, pairs.length);
  const order = pairs.map((_, i) => i).filter((i) => pairs[i].task === task).sort((i, j) => drawn[i] - drawn[j] || i - j);
  const wrong = order.filter((i) => overlapGuess(pairs[i]) !== pairs[i].label);
  const tempting = wrong.find((i) => pairs[i].label === 1) ?? wrong[0] ?? order[0];
  return [tempting, ...order.filter((i) => i !== tempting)];
}

/** The names of all models that give a probability for some pair, in alphabetical order. */
export const modelNames = (pairs) => [...new Set(pairs.flatMap(({ probabilities }) => Object.keys(probabilities)))].sort();

/** What the rule and the models say about a pair, as [name, label, probability or null]. */
export const answers = (pair, rule) => [[rule, overlapGuess(pair), null], ...Object.entries(pair.probabilities).map(([name, p]) => [name, guessOf(p), p])];

/** How often each was right: a map from names to [right, asked], over those pairs of a task that the reader has guessed. */
export function scores(pairs, guesses, task, reader, rule) {
  const found = new Map();
  pairs.forEach((pair, i) => {
    if (pair.task !== task || (guesses[i] ?? null) === null) return;
    for (const [name, said] of [[reader, guesses[i]], ...answers(pair, rule)]) {
      const [right, asked] = found.get(name) ?? [0, 0];
      found.set(name, [right + Number(said === pair.label), asked + 1]);
    }
  });
  return found;
}

const Z = 1.959963984540054; // 95 % of a normal distribution lies within this many standard deviations

/** Wilson's 95 % interval for the chance of being right, of someone who was right this often; 0 to 1 before any question. */
export function wilson(right, asked) {
  if (!asked) return [0, 1];
  const share = right / asked, z2 = (Z * Z) / asked;
  const middle = share + z2 / 2, half = Z * Math.sqrt((share * (1 - share) + z2 / 4) / asked);
  return [right ? (middle - half) / (1 + z2) : 0, right < asked ? (middle + half) / (1 + z2) : 1];
}
