"""What a model costs: parameters, work, and memory in training, each by a formula in the sizes of its configuration.

The formulas are exact for every configuration of BERT, RoBERTa, ALBERT and T5 as they are built here. `head` says what
is on top of the encoder:

- "none": the bare encoder with its pooler, `BertModel`.
- "masked_lm": the masked-language-modelling head without a pooler, `BertForMaskedLM`.
- "pre_training": that head, the pooler and the question about two segments, `BertForPreTraining`; not for RoBERTa.

All layers are counted in full, as `forward` computes them by default. Our training skips most of the last one
(`last_layer_everywhere=False`).

T5 has no heads to choose from, so `head` must be "none": the whole `T5ForConditionalGeneration` is counted, with
its encoder, its decoder and the scoring of words. Its parts have names of their own; see `costs_t5`.

Letters: B batch, S sequence length (T5: source length), T target length, H hidden size, E embedding size (H except
in ALBERT), A heads, D head size, F intermediate size, L layers, V vocabulary, P positions predicted.
"""

from __future__ import annotations

from plm_lessons.checks import check_choice, check_whole
from plm_lessons.models import costs_t5
from plm_lessons.models.albert import AlbertConfig
from plm_lessons.models.bert_configuration import BertConfig
from plm_lessons.models.costs_activation import vectors_kept
from plm_lessons.models.roberta import RobertaConfig
from plm_lessons.models.t5_configuration import T5Config

# Adam keeps for each parameter a running mean of its gradient and one of the gradient's square.
BYTES_PER_PARAMETER = {"weights": 4, "gradients": 4, "Adam moments": 8}


def _check(config: BertConfig | T5Config, head: str) -> None:
    if not isinstance(config, BertConfig | T5Config):
        raise ValueError(f"config={config!r:.80}: must be that of a BERT, RoBERTa, ALBERT or T5")
    heads = ["none"]
    if isinstance(config, BertConfig):
        heads += ["masked_lm"] if isinstance(config, RobertaConfig) else ["masked_lm", "pre_training"]
    check_choice("head", head, heads)


def _check_lengths(
    config: BertConfig | T5Config, sequence_length: int, positions_predicted: int | None, target_length: int | None
) -> int:
    """Check the lengths; return the number of positions at which words are scored: P, or T for a T5 (S if None)."""
    if isinstance(config, T5Config):
        if positions_predicted is not None:
            raise ValueError(f"positions_predicted={positions_predicted}: must be None: a T5 predicts its whole target")
        check_whole("sequence_length", sequence_length, least=1)
        target = sequence_length if target_length is None else target_length
        check_whole("target_length", target, least=1)
        return target
    if target_length is not None:
        raise ValueError(f"target_length={target_length}: must be None: only a T5 has a target")
    longest = config.max_position_embeddings
    if isinstance(config, RobertaConfig):
        longest -= (config.pad_token_id or 0) + 1
    check_whole("sequence_length", sequence_length, 1, longest)
    predicted = sequence_length if positions_predicted is None else positions_predicted
    check_whole("positions_predicted", predicted, 1, sequence_length, why=" = sequence_length")
    return predicted


def _embedding_size(config: BertConfig) -> int:
    return config.embedding_size if isinstance(config, AlbertConfig) else config.hidden_size


def _maps_embeddings(config: BertConfig) -> bool:
    return isinstance(config, AlbertConfig) and config.maps_embeddings


def _layers_applied(config: BertConfig) -> int:
    return config.num_hidden_layers * (config.inner_group_num if isinstance(config, AlbertConfig) else 1)


def _distances_used(config: BertConfig) -> int:
    """How many of a token's vectors (query, key) are multiplied with the embeddings of distances."""
    return {"absolute": 0, "relative_key": 1, "relative_key_query": 2}[config.position_embedding_type]


def _layers_stored(config: BertConfig, part: str) -> int:
    """How many different attentions, or feed-forward networks, there are."""
    if isinstance(config, AlbertConfig) and config.shared_parameters in ("all", part):
        return config.num_hidden_groups * config.inner_group_num
    return _layers_applied(config)


def count_parameters(config: BertConfig | T5Config, head: str = "none") -> dict[str, int]:
    """The number of parameters of each part; their sum is the model's `num_parameters()`.

    With relative positions each stored attention has a table of distances, instead of one of positions at the input.

    Raises:
        ValueError: There is no such configuration or head.
    """
    _check(config, head)
    if isinstance(config, T5Config):
        return costs_t5.count_parameters(config)
    size, hidden, inner = _embedding_size(config), config.hidden_size, config.intermediate_size
    attentions, feed_forwards = _layers_stored(config, "attention"), _layers_stored(config, "feed_forward")
    words, has_pooler = head != "none", head != "masked_lm"
    positions = config.max_position_embeddings * size
    if _distances_used(config):
        distances = 2 * config.max_position_embeddings - 1
        positions = attentions * distances * (hidden // config.num_attention_heads)
    return {
        "word embeddings": config.vocab_size * size,
        "position and segment embeddings": positions + config.type_vocab_size * size,
        "embedding mapping": _maps_embeddings(config) * (size * hidden + hidden),
        "attention": attentions * 4 * (hidden * hidden + hidden),
        "feed-forward": feed_forwards * (2 * hidden * inner + inner + hidden),
        "layer norms": 2 * size + (attentions + feed_forwards) * 2 * hidden,
        "pooler": has_pooler * (hidden * hidden + hidden),
        # The output matrix is that of the word embeddings.
        "masked-LM head": words * (hidden * size + size + 2 * size + config.vocab_size),
        "pair head": (head == "pre_training") * (2 * hidden + 2),
    }


def count_multiply_adds(
    config: BertConfig | T5Config,
    head: str = "none",
    sequence_length: int = 128,
    positions_predicted: int | None = None,
    target_length: int | None = None,
) -> dict[str, int]:
    """Multiply-adds of each part in a forward pass over one sequence; sharing parameters saves none.

    One multiplication with one addition counts as one (two "FLOPs"). A backward pass takes twice as many again. Only
    products of matrices are counted, not norms, softmax, activations, sums or embedding look-ups. The products with the
    embeddings of distances (relative positions) are part of the "attention scores".

    Args:
        config, head: The model.
        sequence_length: S; for T5 the length of the source. Divide by it for the cost per token, which grows with S in
            "attention scores" only.
        positions_predicted: P, the number of positions at which words are scored; all S if None. Not for T5.
        target_length: T, the number of tokens that T5's decoder reads and predicts; S if None. For T5 only.

    Raises:
        ValueError: There is no such configuration or head, or a length is impossible.
    """
    _check(config, head)
    predicted = _check_lengths(config, sequence_length, positions_predicted, target_length)
    if isinstance(config, T5Config):
        return costs_t5.count_multiply_adds(config, sequence_length, target_length=predicted)
    size, hidden, inner = _embedding_size(config), config.hidden_size, config.intermediate_size
    length, layers = sequence_length, _layers_applied(config)
    words, has_pooler = head != "none", head != "masked_lm"
    # From -(S-1) to S-1: relative positions score every distance for each token, and pick those of its pairs.
    distances = _distances_used(config) * (2 * length - 1)
    return {
        "embedding mapping": _maps_embeddings(config) * length * size * hidden,
        "attention": layers * length * 4 * hidden * hidden,
        # Query times key, then weights times value: S numbers for each of S tokens, H = A heads times their size.
        "attention scores": layers * length * (2 * length + distances) * hidden,
        "feed-forward": layers * length * 2 * hidden * inner,
        "pooler": has_pooler * hidden * hidden,
        "masked-LM head": words * predicted * (hidden * size + size * config.vocab_size),
        "pair head": (head == "pre_training") * 2 * hidden,
    }


def count_activations(
    config: BertConfig | T5Config,
    head: str = "none",
    batch_size: int = 1,
    sequence_length: int = 128,
    positions_predicted: int | None = None,
    target_length: int | None = None,
) -> dict[str, int]:
    """Numbers that each part of a training step's forward pass keeps for the backward pass.

    Sharing parameters saves none of these either, since each application of a layer keeps its own. Not counted are the
    batch, whole numbers (such as the indices of table rows), single numbers, what the caller holds (such as the
    logits) and short-lived intermediate results.

    A dropout mask counts as one number per place, but each takes a single byte (see `layers.dropout`). Fused
    attention, which is not used in training, would not keep the attention weights.

    Args:
        config, head, sequence_length, positions_predicted, target_length: As for `count_multiply_adds`.
        batch_size: B.

    Raises:
        ValueError: As for `count_multiply_adds`, or the batch is empty.
    """
    _check(config, head)
    predicted = _check_lengths(config, sequence_length, positions_predicted, target_length)
    check_whole("batch_size", batch_size, least=1)
    if isinstance(config, T5Config):
        return costs_t5.count_activations(config, batch_size, sequence_length, target_length=predicted)
    predicted *= batch_size
    size, hidden, layers = _embedding_size(config), config.hidden_size, _layers_applied(config)
    tokens = batch_size * sequence_length
    weights = layers * config.num_attention_heads * tokens * sequence_length
    by_activation = vectors_kept(config.hidden_act)
    # RoBERTa's head has the exact GELU, whatever the layers have.
    by_heads_activation = vectors_kept("gelu") if isinstance(config, RobertaConfig) else by_activation
    distances = _distances_used(config)
    copies = distances * (config.num_attention_heads > 1 and sequence_length > 1)
    by_distance = distances * layers * config.num_attention_heads * tokens * (2 * sequence_length - 1)
    words, pair, has_pooler = head != "none", head == "pre_training", head != "masked_lm"
    gathers = words and positions_predicted is not None
    hidden_dropout, attention_dropout = config.hidden_dropout_prob > 0, config.attention_probs_dropout_prob > 0
    pair_dropout = pair and isinstance(config, AlbertConfig) and config.classifier_dropout_prob > 0
    return {
        "embedding mapping": _maps_embeddings(config) * tokens * size,
        # The input; query, key and value; the input of the output map. Relative positions take heads and tokens in
        # another order, which needs a copy of the query (and of the key) if there are several of both.
        "attention": layers * tokens * (5 + copies) * hidden,
        # And the scores of all distances, from which those of the pairs are picked.
        "attention weights": weights * (1 + attention_dropout) + by_distance,
        "feed-forward": layers * tokens * (hidden + by_activation * config.intermediate_size),
        # The input, and the mean and the deviation of each token.
        "layer norms": tokens * (size + 2) + layers * tokens * 2 * (hidden + 2),
        "dropout masks": hidden_dropout * tokens * (size + layers * 2 * hidden)
        + attention_dropout * weights
        + pair_dropout * batch_size * hidden,
        "last hidden state": tokens * hidden,
        "pooler": has_pooler * batch_size * hidden,
        "masked-LM head": gathers * predicted * hidden
        + words * predicted * ((by_heads_activation + 1) * size + 2 + config.vocab_size),
        "pair head": pair * batch_size * 2 + pair_dropout * batch_size * hidden,
    }


def training_bytes(
    config: BertConfig | T5Config,
    head: str = "none",
    batch_size: int = 1,
    sequence_length: int = 128,
    positions_predicted: int | None = None,
    target_length: int | None = None,
) -> dict[str, int]:
    """Bytes needed to train with Adam in float32: 16 per parameter, 4 per number of `count_activations` (1 in a mask).

    Arguments and errors are those of `count_activations`.
    """
    parameters = sum(count_parameters(config, head).values())
    activations = count_activations(config, head, batch_size, sequence_length, positions_predicted, target_length)
    masks = sum(places for part, places in activations.items() if part.endswith("dropout masks"))
    return {name: size * parameters for name, size in BYTES_PER_PARAMETER.items()} | {
        "activations": 4 * sum(activations.values()) - 3 * masks
    }
