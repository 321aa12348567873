// What attention adds to a score for the positions of query and key, in three designs: pure, exported, and compared with the package and relative_bias.py.

export const WORDS = "the small cat sat on the old mat and slept all day".split(" ");
const LAST = WORDS.length - 1;
const HEADS = 3; // illustrative ones of T5
const f32 = Math.fround;

/** T5's bucket of a distance (key minus query), in float32 as in its code: on the border of two buckets rounding decides. */
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

/** Numbers for the buckets where none are given: head 0 prefers near keys, 1 the word before, 2 far keys; then it repeats. */
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

/** The name of the state's part that holds a design's trained scores, and how many heads they are for. */
export const TRAINED = { t5: "values", relative_key: "relative_key_scores", absolute: "absolute_scores" };
export const headCount = (state) => state[TRAINED[state.mode]].length || (state.mode === "t5" ? HEADS : 1);

/** The trained table of the state's head, or undefined if none is given or it is for another number of buckets. */
export function trained(state) {
  const table = state[TRAINED[state.mode]][state.head];
  return state.mode === "t5" && table?.length !== state.num_buckets ? undefined : table;
}

/** The score of each of T5's buckets. */
export const bucketScores = (state) => trained(state) ?? illustrative(state.head, state.num_buckets, state.direction === "bidirectional");

/** The scores that a design adds for every pair: a row for each query of the sentence, a column for each key. */
export function scores(state) {
  const pairs = (value) => WORDS.map((_, i) => WORDS.map((_, j) => value(i, j)));
  const byDistance = (value) => Array.from({ length: 2 * WORDS.length - 1 }, (_, n) => value(n - LAST));
  const { mode, shift } = state;
  if (mode === "t5") {
    const table = bucketScores(state), buckets = byDistance((r) => bucket(r, state.direction === "bidirectional", state.num_buckets, state.max_distance));
    return pairs((i, j) => table[buckets[j - i + LAST]]);
  }
  const given = trained(state);
  if (mode === "absolute") {
    if (given) return pairs((i, j) => given[shift + i][shift + j]);
    const places = WORDS.map((_, i) => positionVector(shift + i));
    return pairs((i, j) => dot(places[i], places[j]) / 2);
  }
  if (given) return pairs((i, j) => given[i][j - i + LAST]);
  const queries = WORDS.map(queryVector), distances = byDistance(distanceVector);
  return pairs((i, j) => dot(queries[i], distances[i - j + LAST]) / 2);
}
