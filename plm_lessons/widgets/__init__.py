"""Interactive pictures for notebooks, the built book and any HTML page."""

from __future__ import annotations

from plm_lessons.widgets.attention_viewer import AttentionViewer
from plm_lessons.widgets.gelu import GeluWidget
from plm_lessons.widgets.masking_patterns import MaskingPatternsWidget
from plm_lessons.widgets.model_sizes import ModelSizesWidget
from plm_lessons.widgets.relative_bias import RelativeBiasWidget
from plm_lessons.widgets.rms_norm import RMSNormWidget
from plm_lessons.widgets.sentence_pairs import SentencePairs

__all__ = [
    "AttentionViewer",
    "GeluWidget",
    "MaskingPatternsWidget",
    "ModelSizesWidget",
    "RMSNormWidget",
    "RelativeBiasWidget",
    "SentencePairs",
]
