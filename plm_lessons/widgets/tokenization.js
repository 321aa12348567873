// The tokenizers that ship with the book, in the page: they cut a text as the library `tokenizers` does. tokenization.py packs their pieces.

/** WordPiece: from the left, always the longest piece that fits. A word that pieces do not cover completely, or that is too long, is unknown as a whole. */
function longestMatch(word, known) {
  const letters = Array.from(word), found = [];
  for (let start = 0, stop; start < letters.length; start = stop) {
    const piece = () => (start ? "##" : "") + letters.slice(start, stop).join("");
    for (stop = letters.length; stop > start && !known.has(piece()); ) stop--;
    if (stop === start) return ["[UNK]"];
    found.push(piece());
  }
  return letters.length > 100 ? ["[UNK]"] : found;
}

/** Byte-pair encoding: again and again merges the pair of neighbours that training merged first. */
function mergePairs(word, ranks) {
  const found = Array.from(word), rank = (i) => ranks.get(`${found[i]} ${found[i + 1]}`) ?? Infinity;
  const pairs = found.map((_, i) => rank(i));
  for (;;) {
    const at = pairs.indexOf(pairs.reduce((a, b) => Math.min(a, b)));
    if (pairs[at] === Infinity) return found;
    found.splice(at, 2, found[at] + found[at + 1]);
    pairs.splice(at, 1);
    for (const i of [at - 1, at]) if (i >= 0) pairs[i] = rank(i);
  }
}

/** Unigram: of all ways to cut, the one with the highest sum of scores. A letter without a piece scores `unknown`. */
function mostProbable(word, { scores, longest, unknown }) {
  // The best way to end at each place.
  const letters = Array.from(word), best = [{ score: 0 }];
  const reach = (stop, way) => {
    if (!(best[stop]?.score >= way.score)) best[stop] = way;
  };
  letters.forEach((letter, start) => {
    for (let stop = start + 1, piece = ""; stop <= Math.min(letters.length, start + longest); stop++) {
      piece += letters[stop - 1];
      if (scores.has(piece)) reach(stop, { start, piece, score: best[start].score + scores.get(piece) });
    }
    if (!scores.has(letter)) reach(start + 1, { start, piece: letter, score: best[start].score + unknown, lost: true });
  });
  const found = [];
  for (let way = best[letters.length], next = {}; way.piece; next = way, way = best[way.start]) {
    // Neighbouring letters without a piece become one token.
    if (way.lost && next.lost) found[0] = way.piece + found[0];
    else found.unshift(way.piece);
  }
  return found;
}

// Each letter by itself, whatever its neighbours are.
const lower = (text) => Array.from(text, (c) => c.toLowerCase()).join("");
const split = (text) => text.split(/\p{White_Space}+/u).filter(Boolean);

const CONTROL = /(?![\t\n\r])[\ufffd\p{Cc}\p{Cf}\p{Co}]/gu, MARK = /\p{Mn}/gu, PUNCTUATION = /[!-/:-@[-`{-~]|\p{P}/gu;
const CHINESE = /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;
const bertWords = (text) => split(lower(text.replace(CONTROL, "").replace(CHINESE, " $& ").normalize("NFD").replace(MARK, "")).replace(PUNCTUATION, " $& "));

const GPT2 = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
// A byte is written as the character with that number if it is visible, otherwise as one from 256 on.
const BYTES = [];
for (let byte = 0, unseen = 256; byte < 256; byte++) BYTES.push(String.fromCharCode(/[!-~¡-¬®-ÿ]/.test(String.fromCharCode(byte)) ? byte : unseen++));
const byteWords = (text) => (text.match(GPT2) ?? []).map((word) => Array.from(new TextEncoder().encode(word), (byte) => BYTES[byte]).join(""));

// How Unigram writes a space.
const SPACE = "\u2581";
const unigramWords = (text) => split(text).flatMap((word) => (word.startsWith(SPACE) ? word : SPACE + word).match(/\u2581[^\u2581]*/g));
const albertNormal = (text) => lower(text.replace(/``|''/g, '"').normalize("NFKD").replace(/\p{M}/gu, "")).normalize("NFKC");

// How each kind splits a text into words, how it recognises a piece that begins a word, and how it cuts a word into pieces.
const noLetters = (piece) => !/^[a-z]+$/i.test(piece);
const KINDS = {
  wordpiece: { words: bertWords, begins: (piece) => !piece.startsWith("##"), cut: longestMatch },
  byte_level_bpe: { words: byteWords, begins: (piece) => piece.startsWith(BYTES[32]), cut: mergePairs },
  unigram: { words: (text) => unigramWords(albertNormal(text)), begins: noLetters, cut: mostProbable },
  t5_unigram: { words: (text) => unigramWords(text.normalize("NFKC")), begins: noLetters, cut: mostProbable },
};

/** What the cutting of a kind needs to know about its pieces: which there are, when they were merged, or their scores. */
function knowledge(pieces, { kind, numbers }) {
  if (kind === "wordpiece") return new Set(pieces);
  if (kind === "byte_level_bpe") {
    // The merges made the last pieces, except the very last, <mask>; for each of them a digit says how long its left part is.
    const merged = pieces.slice(-1 - numbers.length, -1);
    return new Map(merged.map((piece, rank) => [`${piece.slice(0, parseInt(numbers[rank], 36))} ${piece.slice(parseInt(numbers[rank], 36))}`, rank]));
  }
  // Each score is written as how far it lies below the one before it.
  let millionths = 0;
  const scores = new Map(numbers.split(" ").map((fall, i) => [pieces[i], (millionths -= fall) / 1e6]));
  return { scores, longest: Math.max(...pieces.map((piece) => piece.length)), unknown: Math.min(...scores.values()) - 10 };
}

/** A tokenizer from what tokenization.py packed: its pieces in the order of their ids, and a function that turns a text into [token, number of its word]; for a special token that is -1. */
export function openTokenizer(packed) {
  const pieces = packed.pieces.split(" "), { words, begins, cut } = KINDS[packed.kind];
  // The unknown token is an ordinary one.
  const special = new Set(packed.special.filter((token) => token !== packed.unknown));
  const escaped = packed.special.map((token) => (token === packed.greedy ? "\\p{White_Space}*" : "") + token.replace(/[[\]|]/g, "\\$&"));
  const typed = new RegExp(`(${escaped.join("|")})`, "u");
  let known;
  function tokenize(text) {
    known ??= knowledge(pieces, packed);
    const inside = text.split(typed).flatMap((part, i) => (i % 2 ? [part.replace(/^\p{White_Space}+/u, "")] : words(part).flatMap((word) => cut(word, known))));
    let word = -1, open = false;
    return [...packed.before, ...inside, ...packed.after].map((token) => {
      if (special.has(token)) return [token, (open = false) - 1];
      if (!open || begins(token)) word++;
      open = true;
      return [token, word];
    });
  }
  return { pieces, tokenize };
}
