// What a BERT, RoBERTa or ALBERT of any size costs: pure, exported, and compared with plm_lessons.models.costs.

const size = (name, family, vocab_size, embedding_size, hidden_size, num_hidden_layers, num_attention_heads, shared_parameters, dropout, max_position_embeddings = 512, type_vocab_size = 2) => ({
  name, family, vocab_size, embedding_size, hidden_size, num_hidden_layers, num_attention_heads,
  intermediate_size: 4 * hidden_size, shared_parameters, dropout, max_position_embeddings, type_vocab_size,
});
/** The published sizes. ALBERT's are those of version 2, which was trained without dropout. */
export const PUBLISHED = [
  size("BERT base", 0, 30522, 768, 768, 12, 12, "none", true),
  size("BERT large", 0, 30522, 1024, 1024, 24, 16, "none", true),
  size("RoBERTa base", 2, 50265, 768, 768, 12, 12, "none", true, 514, 1),
  size("RoBERTa large", 2, 50265, 1024, 1024, 24, 16, "none", true, 514, 1),
  size("ALBERT base", 1, 30000, 128, 768, 12, 12, "all", false),
  size("ALBERT large", 1, 30000, 128, 1024, 24, 16, "all", false),
  size("ALBERT xlarge", 1, 30000, 128, 2048, 24, 16, "all", false),
  size("ALBERT xxlarge", 1, 30000, 128, 4096, 12, 64, "all", false),
];

const maps = (c) => Number(c.embedding_size !== c.hidden_size);
const stored = (c, part) => (c.shared_parameters === "all" || c.shared_parameters === part ? 1 : c.num_hidden_layers);

/** The parameters of each part. There is a map from E to H only if they differ. */
export function countParameters(c) {
  const E = c.embedding_size, H = c.hidden_size, F = c.intermediate_size, words = Number(c.head === "masked_lm");
  const attentions = stored(c, "attention"), feedForwards = stored(c, "feed_forward");
  return {
    "word embeddings": c.vocab_size * E,
    "position and segment embeddings": (c.max_position_embeddings + c.type_vocab_size) * E,
    "embedding mapping": maps(c) * (E * H + H),
    attention: attentions * 4 * (H * H + H),
    "feed-forward": feedForwards * (2 * H * F + F + H),
    "layer norms": 2 * E + (attentions + feedForwards) * 2 * H,
    pooler: (1 - words) * (H * H + H),
    "masked-LM head": words * (H * E + E + 2 * E + c.vocab_size),
  };
}

/** Multiply-adds of a forward pass over one sequence of S tokens, with the words scored at `predicted` of them. */
export function countMultiplyAdds(c, S, predicted) {
  const E = c.embedding_size, H = c.hidden_size, L = c.num_hidden_layers, words = Number(c.head === "masked_lm");
  return {
    "embedding mapping": maps(c) * S * E * H,
    attention: L * S * 4 * H * H,
    "attention scores": L * S * S * 2 * H,
    "feed-forward": L * S * 2 * H * c.intermediate_size,
    pooler: (1 - words) * H * H,
    "masked-LM head": words * predicted * (H * E + E * c.vocab_size),
  };
}

/** Numbers that the forward pass of a training step keeps for the backward pass, GELU and dropout as in BERT. */
export function countActivations(c, B, S, predicted) {
  const E = c.embedding_size, H = c.hidden_size, L = c.num_hidden_layers, words = Number(c.head === "masked_lm"), drops = Number(c.dropout);
  const tokens = B * S, scored = B * predicted, weights = L * c.num_attention_heads * tokens * S;
  return {
    "embedding mapping": maps(c) * tokens * E,
    attention: L * tokens * 5 * H,
    "attention weights": weights * (1 + drops),
    "feed-forward": L * tokens * (H + 2 * c.intermediate_size),
    "layer norms": tokens * (E + 2) + L * tokens * 2 * (H + 2),
    "dropout masks": drops * (tokens * (E + L * 2 * H) + weights),
    "last hidden state": tokens * H,
    pooler: (1 - words) * B * H,
    "masked-LM head": words * scored * (H + 3 * E + 2 + c.vocab_size),
  };
}

/** Bytes of a training step with Adam in float32: 16 for each parameter, 4 for each activation, 1 for each element of a dropout mask. */
export function trainingBytes(c, B, S, predicted) {
  const parameters = sum(countParameters(c)), kept = countActivations(c, B, S, predicted);
  return { weights: 4 * parameters, gradients: 4 * parameters, "Adam moments": 8 * parameters, activations: 4 * sum(kept) - 3 * kept["dropout masks"] };
}

/** An amount for reading: four digits and k, M, G or T for powers of a thousand; amounts below a thousand are whole. */
export function amount(count, unit = "") {
  const rounded = count < 1000 ? Math.round(count) : Number(count.toPrecision(4));
  const power = [1e3, 1e6, 1e9, 1e12].filter((step) => rounded >= step).length;
  return `${power ? (rounded / 1000 ** power).toPrecision(4) : rounded}\u00a0${["", ..."kMGT"][power]}${unit}`.trim();
}

/** A count as a whole number, with its thousands separated by narrow spaces. */
export const grouped = (count) => String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
