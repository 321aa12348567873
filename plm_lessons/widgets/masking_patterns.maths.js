// The rules of masking, as in plm_lessons.objectives and masking_patterns.py: pure, exported, and compared with both.

/** To the nearest whole number, halves to the even one, as Python's `round`. */
export function roundEven(value) {
  const below = Math.floor(value), rest = value - below;
  return below + Number(rest > 0.5 || (rest === 0.5 && below % 2 === 1));
}

/** How many tokens BERT's code chooses among `length`, special ones counted. */
export const predictionCount = (length, rate) => Math.max(1, roundEven(length * rate));

/** Tokens of noise and spans in a text of `length` tokens (T5), or null where no such mask exists. */
export function spanCounts(length, rate, mean) {
  if (length < 2) return null;
  const noise = Math.min(Math.max(roundEven(length * rate), 1), length - 1);
  const spans = Math.max(roundEven(noise / mean), 1);
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

/** `count` uniform numbers in [0, 1) of one stream (mulberry32; masking_patterns.py draws the same). */
export function uniforms(seed, stream, count) {
  let state = streamKey(seed, stream);
  return Float64Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  });
}

/** First position and position after the last of each word: neighbours with the same number, -1 belongs to none. */
export function wordBounds(numbers) {
  const words = [];
  for (let start = 0, stop; start < numbers.length; start = stop) {
    for (stop = start + 1; numbers[stop] === numbers[start]; ) stop++;
    if (numbers[start] >= 0) words.push([start, stop]);
  }
  return words;
}

const lowest = (scores) => (a, b) => scores[a] - scores[b] || a - b;
const partition = (total, parts, scores) => {
  const cuts = Array.from({ length: total - 1 }, (_, i) => i).sort(lowest(scores)).slice(0, parts - 1).map((cut) => cut + 1);
  return [0, ...cuts.sort((a, b) => a - b), total].map((cut, i, all) => all[i + 1] - cut).slice(0, parts);
};

/** The positions that one mask chooses, in rising order; null where the spans of T5 have no room. */
export function choose({ numbers, unit, masking_rate, mean_span_length }, scores) {
  const candidates = numbers.map((_, i) => i).filter((i) => numbers[i] >= 0);
  if (unit === "spans") {
    const counts = spanCounts(candidates.length, masking_rate, mean_span_length);
    if (!counts) return null;
    const [noise, spans] = counts;
    const hidden = partition(noise, spans, scores), open = partition(candidates.length - noise, spans, scores.subarray(noise));
    const chosen = [];
    for (let span = 0, at = 0; span < spans; span++) {
      at += open[span];
      chosen.push(...candidates.slice(at, (at += hidden[span])));
    }
    return chosen;
  }
  const count = predictionCount(numbers.length, masking_rate);
  if (unit === "tokens") return candidates.sort(lowest(scores)).slice(0, count).sort((a, b) => a - b);
  const chosen = [];
  for (const [start, stop] of wordBounds(numbers).sort(([a], [b]) => lowest(scores)(a, b)))
    if (chosen.length + stop - start <= count) for (let i = start; i < stop; i++) chosen.push(i);
  return chosen.sort((a, b) => a - b);
}

/** The mask of one stream: positions, and for each of them its fate and which of the random tokens it would get. */
export function maskOf(settings, stream) {
  const { numbers, seed, mask_share, random_share, pool } = settings, length = numbers.length;
  const drawn = uniforms(seed, stream, 3 * length), chosen = choose(settings, drawn);
  if (!chosen) return null;
  const fate = (u) => (u < mask_share ? "mask" : u < mask_share + random_share ? "random" : "kept");
  return { chosen, fates: chosen.map((i) => fate(drawn[length + i])), replacements: chosen.map((i) => Math.floor(drawn[2 * length + i] * pool)) };
}

/** What epochs 0 to `epochs` - 1 have shown. Static epochs take turns among `copies` masks; dynamic ones have streams of their own. */
export function history(settings, epochs, copies) {
  const streams = {
    static: Array.from({ length: Math.min(copies, epochs) }, (_, copy) => [2 * copy + 1, Math.ceil((epochs - copy) / copies)]),
    dynamic: Array.from({ length: epochs }, (_, epoch) => [2 * epoch, 1]),
  };
  const found = {};
  for (const [kind, list] of Object.entries(streams)) {
    const met = new Set(), counts = new Array(settings.numbers.length).fill(0), fates = { mask: 0, random: 0, kept: 0 };
    for (const [stream, times] of list) {
      const mask = maskOf(settings, stream);
      if (!mask) return null;
      met.add(mask.chosen.join());
      mask.chosen.forEach((position, i) => {
        counts[position] += times;
        fates[mask.fates[i]] += times;
      });
    }
    found[kind] = { counts, fates, distinct: met.size, now: maskOf(settings, kind === "static" ? 2 * ((epochs - 1) % copies) + 1 : 2 * (epochs - 1)) };
  }
  return found;
}

/** The chance of each position to be chosen by a mask, exactly; null where there is no mask. */
export function chances({ numbers, unit, masking_rate, mean_span_length }) {
  const found = new Array(numbers.length).fill(0), candidates = numbers.map((_, i) => i).filter((i) => numbers[i] >= 0);
  const count = predictionCount(numbers.length, masking_rate);
  if (unit === "tokens") for (const i of candidates) found[i] = Math.min(1, count / candidates.length);
  if (unit === "words") {
    // A word that is too long stays so: each next word is one of those that fit, evenly. Words of a length are alike.
    const words = wordBounds(numbers), lengths = [...new Set(words.map(([start, stop]) => stop - start))];
    const has = lengths.map((length) => words.filter(([start, stop]) => stop - start === length).length), known = new Map();
    const taken = (left, room) => {
      const key = left.join();
      if (known.has(key)) return known.get(key);
      const sum = lengths.map(() => 0), fits = lengths.map((length, k) => (length <= room ? left[k] : 0));
      const all = fits.reduce((a, b) => a + b, 0);
      fits.forEach((ways, k) => {
        if (!ways) return;
        const rest = taken(left.map((n, j) => n - Number(j === k)), room - lengths[k]);
        rest.forEach((more, j) => (sum[j] += (ways / all) * (more + Number(j === k))));
      });
      known.set(key, sum);
      return sum;
    };
    const expected = taken(has, count);
    for (const [start, stop] of words) found.fill(expected[lengths.indexOf(stop - start)] / has[lengths.indexOf(stop - start)], start, stop);
  }
  if (unit === "spans") {
    const counts = spanCounts(candidates.length, masking_rate, mean_span_length);
    if (!counts) return null;
    const [noise, spans] = counts, open = candidates.length - noise;
    const ways = (n, k) => {
      if (k === -1) return Number(n === -1);
      let product = Number(n >= k);
      for (let i = 0; i < k && product; i++) product *= (n - i) / (i + 1);
      return product;
    };
    // Count the masks whose span j holds this place, with `a` open tokens before it and `k` hidden ones.
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

/** T5's pair for a mask, as [text, is a sentinel]: each run of chosen tokens becomes a sentinel in the input, and follows it in the target. */
export function spanPair(tokens, chosen) {
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
  return { input, target };
}
