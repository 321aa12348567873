// Attention weights: read from what Python has packed, and measured head by head. Pure, exported, tested against torch.

export const SHARES = ["previous", "self", "next", "special", "punctuation"];

/** The heads of one kind, [layers * heads][T][S]: bytes are square roots, and each row is divided by its sum. */
export function unpack({ layers, heads, weights }, T, S) {
  const bytes = atob(weights);
  return Array.from({ length: layers * heads }, (_, head) =>
    Array.from({ length: T }, (_, i) => {
      const squares = Array.from({ length: S }, (_, j) => bytes.charCodeAt((head * T + i) * S + j) ** 2);
      const sum = squares.reduce((a, b) => a + b, 0) || 1;
      return squares.map((square) => square / sum);
    }),
  );
}

/** "special" for [SEP], </s> and their like, "punctuation", or "" for any other token. */
export function tokenClass(token) {
  if (/^(\[.+\]|<.+>)$/su.test(token)) return "special";
  return /^\p{P}+$/u.test(token.replace(/^(##|\u2581|\u0120)/, "")) ? "punctuation" : "";
}

/** A text of at most `most` characters, cut in its first half: <extra_id_10> and <extra_id_11> differ only at their ends. */
export function shortened(text, most) {
  const signs = Array.from(text), front = Math.floor(most / 3);
  return signs.length <= most ? text : [...signs.slice(0, front), "\u2026", ...signs.slice(1 + front - most)].join("");
}

const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);

/** The mean weight that each key receives. */
export const received = (rows) => rows[0].map((_, j) => mean(rows.map((row) => row[j])));

/** What one head looks at, as `head_measures` in attention_weights.py computes it; null where there is no such measure. */
export function headMeasures(rows, keys, kind) {
  const classes = keys.map(tokenClass), inOneText = kind !== "cross";
  const perQuery = (value) => mean(rows.map((row, i) => row.reduce((sum, weight, j) => sum + value(weight, i, j), 0)));
  const at = (offset) => (inOneText ? mean(rows.map((row, i) => row[i + offset]).filter((weight) => weight !== undefined)) : null);
  const on = (name) => perQuery((weight, _, j) => (classes[j] === name ? weight : 0));
  return {
    previous: at(-1),
    self: at(0),
    next: at(1),
    special: on("special"),
    punctuation: on("punctuation"),
    distance: inOneText ? perQuery((weight, i, j) => weight * Math.abs(i - j)) : null,
    spread: Math.exp(perQuery((weight) => (weight > 0 ? -weight * Math.log(weight) : 0))),
  };
}

/** The spread of a head that gives all the keys a query may see the same weight: a decoder's query sees none after it. */
export const evenSpread = (kind, T, S) =>
  kind === "decoder" ? Math.exp(mean(Array.from({ length: T }, (_, i) => Math.log(i + 1)))) : S;

/** What a head mostly does: "mostly" if at least half of its weight is on one kind of place, `best`; otherwise "even" or "mixed". */
export function habitOf(measures, even) {
  const best = SHARES.filter((name) => measures[name] !== null).reduce((one, other) => (measures[other] > measures[one] ? other : one));
  return { best, kind: measures[best] >= 0.5 ? "mostly" : measures.spread >= 0.6 * even ? "even" : "mixed" };
}
