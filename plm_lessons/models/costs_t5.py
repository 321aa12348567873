"""What a T5 costs: the formulas behind `costs`, which checks the arguments and says what is included.

The model is `T5ForConditionalGeneration`, trained with the correct targets as its input (teacher forcing). The names in
each count tell the encoder's parts, the decoder's and the rest apart.

Letters: B batch, S source length, T target length, H hidden size (d_model), A heads (num_heads), D head size (d_kv),
F intermediate size (d_ff), L layers of a stack, V vocabulary.
"""

from __future__ import annotations

from plm_lessons.models.costs_activation import vectors_kept
from plm_lessons.models.t5_configuration import T5Config


def count_parameters(config: T5Config) -> dict[str, int]:
    """The number of parameters of each part; "output matrix" is 0 where it is tied to the word embeddings."""
    hidden, inner = config.d_model, config.num_heads * config.d_kv
    encoders, decoders = config.num_layers, config.num_decoder_layers
    attention, feed_forward = 4 * hidden * inner, (2 + config.is_gated_act) * hidden * config.d_ff
    biases = config.relative_attention_num_buckets * config.num_heads
    return {
        "word embeddings": config.vocab_size * hidden,
        # One table for all layers of a stack.
        "encoder position biases": biases,
        "encoder attention": encoders * attention,
        "encoder feed-forward": encoders * feed_forward,
        "encoder norms": (2 * encoders + 1) * hidden,
        "decoder position biases": biases,
        "decoder attention": decoders * attention,
        "cross-attention": decoders * attention,
        "decoder feed-forward": decoders * feed_forward,
        "decoder norms": (3 * decoders + 1) * hidden,
        "output matrix": (not config.tie_word_embeddings) * config.vocab_size * hidden,
    }


def count_multiply_adds(config: T5Config, sequence_length: int, target_length: int) -> dict[str, int]:
    """Multiply-adds of each part in a forward pass over one source of S tokens and its target of T.

    Position biases cost nothing here, since adding them to the scores is not a product.
    """
    source, target = sequence_length, target_length
    hidden, inner = config.d_model, config.num_heads * config.d_kv
    encoders, decoders = config.num_layers, config.num_decoder_layers
    feed_forward = (2 + config.is_gated_act) * hidden * config.d_ff
    return {
        "encoder attention": encoders * source * 4 * hidden * inner,
        # Query times key, then weights times value: A heads * D numbers for each pair of tokens, twice.
        "encoder attention scores": encoders * source * source * 2 * inner,
        "encoder feed-forward": encoders * source * feed_forward,
        "decoder attention": decoders * target * 4 * hidden * inner,
        # For all pairs: the scores of later tokens are computed too, and then masked.
        "decoder attention scores": decoders * target * target * 2 * inner,
        # Queries and outputs are the target's; each layer makes its own keys and values from the encoder's output.
        "cross-attention": decoders * (target + source) * 2 * hidden * inner,
        "cross-attention scores": decoders * target * source * 2 * inner,
        "decoder feed-forward": decoders * target * feed_forward,
        "output matrix": target * hidden * config.vocab_size,
    }


def count_activations(config: T5Config, batch_size: int, sequence_length: int, target_length: int) -> dict[str, int]:
    """Numbers that each part of a training step's forward pass keeps for the backward pass."""
    hidden, inner, heads = config.d_model, config.num_heads * config.d_kv, config.num_heads
    encoders, decoders = config.num_layers, config.num_decoder_layers
    source, target = batch_size * sequence_length, batch_size * target_length  # tokens
    dropout = config.dropout_rate > 0

    # For each token: the input; query, key and value; the input of the output map.
    attention = hidden + 4 * inner
    # The input, and what goes through the activation. Gating keeps its two factors, one of which is the activation's
    # own output, and their product.
    if config.is_gated_act:
        feed_forward = hidden + (vectors_kept(config.dense_act_fn) + 2) * config.d_ff
    else:
        feed_forward = hidden + vectors_kept(config.dense_act_fn, then_dropout=dropout) * config.d_ff
    # The input, the input divided by its root mean square, and the inverse of that root. The output, multiplied by the
    # gain, is the next part's input.
    norm = 2 * hidden + 1
    encoder_weights = encoders * heads * source * sequence_length
    decoder_weights = decoders * heads * target * target_length
    cross_weights = decoders * heads * target * sequence_length
    # For the embeddings and the output of a stack; in each layer, for each sub-layer's output and inside feed-forward.
    encoder_masks = source * (2 * hidden + encoders * (2 * hidden + config.d_ff)) + encoder_weights
    decoder_masks = target * (2 * hidden + decoders * (3 * hidden + config.d_ff)) + decoder_weights + cross_weights
    return {
        "encoder attention": encoders * source * attention,
        "encoder attention weights": encoder_weights * (1 + dropout),
        "encoder feed-forward": encoders * source * feed_forward,
        "encoder norms": (2 * encoders + 1) * source * norm,
        "encoder dropout masks": dropout * encoder_masks,
        # All layers of the decoder make their keys and values from this.
        "encoder output": source * hidden,
        "decoder attention": decoders * target * attention,
        "decoder attention weights": decoder_weights * (1 + dropout),
        # For the target the input, the query and the input of the output map; for the source key and value.
        "cross-attention": decoders * (target * (hidden + 2 * inner) + source * 2 * inner),
        "cross-attention weights": cross_weights * (1 + dropout),
        "decoder feed-forward": decoders * target * feed_forward,
        "decoder norms": (3 * decoders + 1) * target * norm,
        "decoder dropout masks": dropout * decoder_masks,
        # The input, and the logarithm of each word's probability.
        "output matrix": target * (hidden + config.vocab_size),
    }
