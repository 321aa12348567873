"""BERT, RoBERTa, ALBERT and T5, built to be read: the package behind the book.

`layers`, `corpus` and `tokenization` are the ground floor; `objectives` and `models` stand on it, `training` above.
`widgets` are beside: they know nothing of models.
"""

from plm_lessons.models.bert import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

__version__ = "0.1.0"

__all__ = [
    "BertConfig",
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
]
