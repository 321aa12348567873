// The rules of masking, as in plm_lessons.objectives and masking_patterns.py: pure, exported, and compared with both.

/** The numbers of noise tokens and of spans in a text of `length` tokens (T5), or null if no such mask exists. */
export function spanCounts(length, rate, mean) {
  if (length < 2) return null;
  const noise = Math.min(Math.max(roundHalfEven(length * rate), 1), length - 1);
  const spans = Math.max(roundHalfEven(noise / mean), 1);
  return spans > length - noise ? null : [noise, spans];
}

/** A 32-bit number from a seed and the number of a stream (the finaliser of MurmurHash3, twice). */
export function streamKey(seed, stream) {
  const mix = (h) => {
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) >>> 0;
  };
  return mix((seed ^ mix(stream + 1)) >>> 0);
}

/** The random numbers of a text's masks, a stream for each, and how the first of them rank its positions. They are kept: a slider asks for them again and again. */
export function randomSource(seed, length) {
  const known = new Map();
  return (stream) => {
    if (!known.has(stream)) {
      const drawn = mulberry32(streamKey(seed, stream), 4 * length);
      known.set(stream, { drawn, order: Array.from({ length }, (_, i) => i).sort((a, b) => drawn[a] - drawn[b] || a - b) });
    }
    return known.get(stream);
  };
}

/** First position and position after the last of each word: neighbours with the same number; -1 belongs to no word. */
export function wordBounds(numbers) {
  const words = [];
  for (let start = 0, stop; start < numbers.length; start = stop) {
    for (stop = start + 1; numbers[stop] === numbers[start]; ) stop++;
    if (numbers[start] >= 0) words.push([start, stop]);
  }
  return words;
}

/** The lengths of `parts` parts of `total` things: cuts between them at the places, counted from `first`, that rank lowest. */
function partition(total, parts, order, first = 0) {
  const cuts = order.filter((i) => i >= first && i < first + total - 1).slice(0, parts - 1).map((i) => i - first + 1);
  return [0, ...cuts.sort((a, b) => a - b), total].map((cut, i, all) => all[i + 1] - cut).slice(0, parts);
}

/** How often ALBERT draws n-grams of 1, 2 and 3 words: as 1/n. */
export const NGRAM_SHARES = [6 / 11, 3 / 11, 2 / 11];

/** Words in random order, each with the following ones that complete the n drawn for it, shortened to what may still be hidden. */
function chooseWords({ words, place, count }, longest, { drawn, order }) {
  const taken = new Set(), runs = [], [one, two] = NGRAM_SHARES;
  for (const start of order.filter((i) => place.has(i))) {
    const first = place.get(start), u = drawn[3 * order.length + start], size = Math.min(longest, 1 + (u >= one) + (u >= one + two));
    let last = first;
    while (last - first + 1 < size && words[last + 1]?.[0] === words[last][1]) last++;
    while (last >= first && taken.size + words[last][1] - start > count) last--;
    if (last < first) continue;
    const run = Array.from({ length: words[last][1] - start }, (_, i) => start + i);
    if (run.some((i) => taken.has(i))) continue;
    for (const i of run) taken.add(i);
    runs.push({ run, words: last - first + 1 });
  }
  return runs;
}

/** What all masks of a text have in common. */
function planOf({ numbers, masking_rate, mean_span_length }) {
  const candidates = numbers.map((_, i) => i).filter((i) => numbers[i] >= 0), words = wordBounds(numbers);
  return {
    candidates, words, place: new Map(words.map(([start], k) => [start, k])),
    count: predictionCount(numbers.length, masking_rate), counts: spanCounts(candidates.length, masking_rate, mean_span_length),
  };
}

/** What one mask chooses, as runs of positions; null if the spans of T5 have no room. */
function choose({ numbers, unit }, random, plan) {
  const { candidates, count, counts } = plan;
  if (unit === "words" || unit === "ngrams") return chooseWords(plan, unit === "words" ? 1 : NGRAM_SHARES.length, random);
  if (unit === "tokens") return random.order.filter((i) => numbers[i] >= 0).slice(0, count).map((i) => ({ run: [i] }));
  if (!counts) return null;
  const [noise, spans] = counts, open = partition(candidates.length - noise, spans, random.order, noise);
  let at = 0;
  return partition(noise, spans, random.order).map((length, span) => ({ run: candidates.slice((at += open[span]), (at += length)) }));
}

/** The mask of one stream: positions in ascending order, the fate of each and which of the pieces it would get, and how many words each n-gram has. */
export function maskOf(settings, stream, plan = planOf(settings)) {
  const { numbers, mask_share, random_share, pool } = settings, length = numbers.length;
  const random = settings.source(stream), { drawn } = random, runs = choose(settings, random, plan);
  if (!runs) return null;
  const chosen = runs.flatMap(({ run }) => run).sort((a, b) => a - b);
  const fate = (u) => (u < mask_share ? "mask" : u < mask_share + random_share ? "random" : "kept");
  return {
    chosen,
    fates: chosen.map((i) => fate(drawn[length + i])),
    replacements: chosen.map((i) => Math.floor(drawn[2 * length + i] * pool)),
    sizes: settings.unit === "ngrams" ? runs.map(({ words }) => words) : [],
  };
}

/** What epochs 0 to `epochs` - 1 have shown. Static epochs take turns among `copies` masks; dynamic ones have streams of their own. */
export function history(settings, epochs, copies) {
  const streams = {
    static: Array.from({ length: Math.min(copies, epochs) }, (_, copy) => [2 * copy + 1, Math.ceil((epochs - copy) / copies)]),
    dynamic: Array.from({ length: epochs }, (_, epoch) => [2 * epoch, 1]),
  };
  const found = {}, plan = planOf(settings), last = { static: 2 * ((epochs - 1) % copies) + 1, dynamic: 2 * (epochs - 1) };
  for (const [kind, list] of Object.entries(streams)) {
    let now;
    const met = new Set(), counts = new Array(settings.numbers.length).fill(0), fates = { mask: 0, random: 0, kept: 0 }, sizes = NGRAM_SHARES.map(() => 0);
    for (const [stream, times] of list) {
      const mask = maskOf(settings, stream, plan);
      if (!mask) return null;
      if (stream === last[kind]) now = mask;
      met.add(mask.chosen.join());
      mask.chosen.forEach((position, i) => {
        counts[position] += times;
        fates[mask.fates[i]] += times;
      });
      for (const size of mask.sizes) sizes[size - 1] += times;
    }
    found[kind] = { counts, fates, sizes, distinct: met.size, now };
  }
  return found;
}

/** The exact chance that a mask chooses each position; null if there is no mask, and for n-grams, which depend on each other too much. */
export function chances(settings) {
  const { numbers, unit } = settings, { candidates, words, count, counts } = planOf(settings), found = numbers.map(() => 0);
  if (unit === "ngrams") return null;
  if (unit === "tokens") for (const i of candidates) found[i] = Math.min(1, count / candidates.length);
  if (unit === "words") {
    // A word that is too long stays so: each next word is drawn evenly from those that fit. Words of one length are alike, so
    // a state is how many of each length are taken, written as one number. States hardly ever reached are not followed.
    const sizes = words.map(([start, stop]) => stop - start), kinds = [...new Set(sizes)];
    const has = kinds.map((kind) => sizes.filter((size) => size === kind).length), left = [...has], taken = has.map(() => 0);
    const digit = has.map((_, k) => has.slice(0, k).reduce((all, n) => all * (n + 1), 1));
    for (let states = new Map([[0, 1]]), next; states.size; states = next) {
      next = new Map();
      for (const [code, p] of states) {
        if (p < 1e-10) continue;
        let room = count, all = 0;
        has.forEach((n, k) => {
          left[k] = n - (Math.floor(code / digit[k]) % (n + 1));
          room -= kinds[k] * (n - left[k]);
        });
        left.forEach((n, k) => (all += left[k] = kinds[k] <= room ? n : 0));
        left.forEach((n, k) => {
          if (!n) return;
          const share = (p * n) / all, then = code + digit[k];
          taken[k] += share / has[k];
          next.set(then, (next.get(then) ?? 0) + share);
        });
      }
    }
    words.forEach(([start, stop], i) => found.fill(taken[kinds.indexOf(sizes[i])], start, stop));
  }
  if (unit === "spans") {
    if (!counts) return null;
    const [noise, spans] = counts, open = candidates.length - noise;
    const ways = (n, k) => {
      if (k === -1) return Number(n === -1);
      let product = Number(n >= k);
      for (let i = 0; i < k && product; i++) product *= (n - i) / (i + 1);
      return product;
    };
    // Count the masks whose span j contains this place, with `a` open tokens before it and `k` hidden ones.
    const all = ways(open - 1, spans - 1) * ways(noise - 1, spans - 1);
    candidates.forEach((position, i) => {
      for (let j = 1; j <= spans; j++)
        for (let a = Math.max(1, i - noise + 1); a <= Math.min(open, i); a++) {
          const k = i - a;
          found[position] += (ways(a - 1, j - 1) * ways(open - a - 1, spans - j - 1) * ways(k, j - 1) * ways(noise - 1 - k, spans - j)) / all;
        }
    });
  }
  return found;
}

/** T5's pair for a mask, as [text, is a sentinel]: each run of chosen tokens becomes a sentinel in the input, and follows it in the target. `after` ends both. */
export function spanPair(tokens, chosen, after = []) {
  const input = [], target = [], hidden = new Set(chosen);
  let sentinels = 0;
  tokens.forEach((token, i) => {
    if (!hidden.has(i)) return void input.push([token, false]);
    if (!hidden.has(i - 1)) {
      const sentinel = [`<extra_id_${sentinels++}>`, true];
      input.push(sentinel);
      target.push(sentinel);
    }
    target.push([token, false]);
  });
  return { input, target: [...target, ...after.map((token) => [token, false])] };
}
