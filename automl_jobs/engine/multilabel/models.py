"""The algorithms of a multi-label job: linear ones, one a label, by Azure's names."""

from __future__ import annotations

from typing import Any

# A portfolio and a space for each are those of the classifiers of the same name: see `engine.algorithms`.
NAMES = ("LogisticRegression", "LinearSVM", "SGD", "MultinomialNaiveBayes", "BernoulliNaiveBayes")


def make(name: str, parameters: dict[str, Any], seed: int) -> Any:
    """An unfitted classifier of one label. Its score is calibrated later, so that a margin will do."""
    from sklearn import linear_model, naive_bayes, svm

    if name == "LogisticRegression":
        # liblinear is many times faster than the others on the sparse matrix of one label.
        return linear_model.LogisticRegression(solver="liblinear", random_state=seed, **parameters)
    if name == "LinearSVM":
        return svm.LinearSVC(random_state=seed, **parameters)
    if name == "SGD":
        return linear_model.SGDClassifier(loss="log_loss", random_state=seed, **parameters)
    if name == "MultinomialNaiveBayes":
        return naive_bayes.MultinomialNB(**parameters)
    return naive_bayes.BernoulliNB(**parameters)
