"""Baselines of the downstream tasks without a neural network: word counts, and a few lines of code for each task.

Each learns from the same training examples as the models. The regularisation strength of the logistic regressions is
chosen on the validation split.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from scipy import sparse
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from plm_lessons.corpus import LabelledText, split_sentences
from plm_lessons.downstream import LabelledPair, LabelledWords, Question
from plm_lessons.training.downstream import class_figures
from plm_lessons.training.question_answering import answer_figures

STRENGTHS = (1.0, 10.0, 100.0)
Features = Callable[[Sequence], sparse.csr_matrix]


def best_classifier(features: Features, train: Sequence, validation: Sequence) -> LogisticRegression | DummyClassifier:
    """Return the logistic regression on these features that is most often right on the validation split."""
    labels, others = [[example.label for example in examples] for examples in (train, validation)]
    inputs, asked = features(train), features(validation)
    if len(set(labels)) == 1:  # a few examples may all be of one class
        return DummyClassifier().fit(inputs, labels)
    fitted = [LogisticRegression(C=strength, max_iter=1000).fit(inputs, labels) for strength in STRENGTHS]
    return max(fitted, key=lambda classifier: classifier.score(asked, others))


def classify_texts(
    train: Sequence[LabelledText], validation: Sequence[LabelledText], test: Sequence[LabelledText]
) -> dict[str, float]:
    """Measure logistic regression on the TF-IDF of the words. (Adding pairs of words does no better here.)"""
    vectorizer = TfidfVectorizer(sublinear_tf=True).fit([example.text for example in train])

    def features(examples: Sequence[LabelledText]) -> sparse.csr_matrix:
        return vectorizer.transform([example.text for example in examples])

    classifier = best_classifier(features, train, validation)
    return class_figures(classifier.predict(features(test)).tolist(), [example.label for example in test])


def classify_pairs(
    train: Sequence[LabelledPair], validation: Sequence[LabelledPair], test: Sequence[LabelledPair]
) -> dict[str, float]:
    """Measure logistic regression on the TF-IDF of both texts: their product, cosine, and share of common words.

    The product is taken word by word; the share is that of the first text's words in the second. The two vectors
    themselves are left out: half of the pairs that contain a given text are right, so they say nothing.
    """
    texts = [text for example in train for text in (example.first, example.second)]
    vectorizer = TfidfVectorizer(sublinear_tf=True).fit(texts)

    def features(examples: Sequence[LabelledPair]) -> sparse.csr_matrix:
        firsts = vectorizer.transform([example.first for example in examples])
        seconds = vectorizer.transform([example.second for example in examples])
        product = firsts.multiply(seconds)
        shared = (firsts > 0).multiply(seconds > 0).sum(axis=1) / np.maximum((firsts > 0).sum(axis=1), 1)
        return sparse.hstack([product, sparse.csr_matrix(product.sum(axis=1)), sparse.csr_matrix(shared)]).tocsr()

    classifier = best_classifier(features, train, validation)
    return class_figures(classifier.predict(features(test)).tolist(), [example.label for example in test])


def label_words(
    train: Sequence[LabelledWords], validation: Sequence[LabelledWords], test: Sequence[LabelledWords]
) -> dict[str, float]:
    """Give each word its most frequent label in that place: at the beginning of a sentence, or within one.

    A word not seen in that place gets its most frequent label anywhere; an unseen word, that of words seen once.
    """
    seen: dict[Hashable, Counter[int]] = defaultdict(Counter)
    times = Counter(word for example in train for _, word in _places(example.text))
    for example in train:
        for (first, word), label in zip(_places(example.text), example.labels, strict=True):
            # From the most to the least specific; the last three serve for words that were never seen.
            for key in ((first, word), word, *(((first, None), None) if times[word] == 1 else ()), "any"):
                seen[key][label] += 1
    predicted = []
    for first, word in (place for example in test for place in _places(example.text)):
        known = next(key for key in ((first, word), word, (first, None), None, "any") if key in seen)
        predicted.append(seen[known].most_common(1)[0][0])
    return class_figures(predicted, [label for example in test for label in example.labels])


def _places(text: str) -> Iterator[tuple[bool, str]]:
    """Yield for each word whether it begins a sentence, and the word without punctuation marks."""
    first = True
    for word in text.split():
        yield first, word.strip(".,;:!?()[]\"'“”")
        first = word.rstrip(")\"'”").endswith((".", "!", "?"))


def answer_questions(
    train: Sequence[Question], validation: Sequence[Question], test: Sequence[Question]
) -> dict[str, float]:
    """Answer with the start of the sentence most similar to the question, up to what usually follows a title."""
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    vectorizer.fit([text for asked in train for text in (asked.question, *split_sentences(asked.context))])
    answers = []
    for asked in test:
        sentences = split_sentences(asked.context)
        cosines = vectorizer.transform(sentences) @ vectorizer.transform([asked.question]).T
        sentence = sentences[int(cosines.toarray().argmax())]
        beginning = re.match(r"(?:The |An? )?(.+?)(?:,| \(| is | are | was | were |$)", sentence)
        answers.append(beginning[1] if beginning else sentence)
    return answer_figures(answers, [asked.answer for asked in test])


BASELINES: dict[str, Callable[..., dict[str, float]]] = {
    "text": classify_texts,
    "pair": classify_pairs,
    "words": label_words,
    "question": answer_questions,
}
"""For each kind of task, a function from training, validation and test examples to figures."""
