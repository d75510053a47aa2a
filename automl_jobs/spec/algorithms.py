"""Azure's algorithms by task: what a job file may allow or block, and what a run calls them.

The names are those of the azure-ai-ml enums ClassificationModels, RegressionModels and ForecastingModels, which are
also the values of `run_algorithm` in a run. A file may write them in CamelCase or snake_case.
"""

from __future__ import annotations

from forestay.documents.names import snake

CLASSIFICATION = (
    "LogisticRegression",
    "SGD",
    "MultinomialNaiveBayes",
    "BernoulliNaiveBayes",
    "SVM",
    "LinearSVM",
    "KNN",
    "DecisionTree",
    "RandomForest",
    "ExtremeRandomTrees",
    "LightGBM",
    "GradientBoosting",
    "XGBoostClassifier",
)
REGRESSION = (
    "ElasticNet",
    "GradientBoosting",
    "DecisionTree",
    "KNN",
    "LassoLars",
    "SGD",
    "RandomForest",
    "ExtremeRandomTrees",
    "LightGBM",
    "XGBoostRegressor",
)
FORECASTING = (
    "AutoArima",
    "Prophet",
    "Naive",
    "SeasonalNaive",
    "Average",
    "SeasonalAverage",
    "ExponentialSmoothing",
    "Arimax",
    "TCNForecaster",
    *REGRESSION,
)

# Those that tell several labels apart, one by one, on the sparse features of texts.
MULTILABEL = ("LogisticRegression", "LinearSVM", "SGD", "MultinomialNaiveBayes", "BernoulliNaiveBayes")

# Azure trains language models for text tasks and takes no list of algorithms there; the local engine classifies texts
# with these.
BY_TASK: dict[str, tuple[str, ...]] = {
    "classification": CLASSIFICATION,
    "regression": REGRESSION,
    "forecasting": FORECASTING,
    "text_classification": CLASSIFICATION,
    "text_classification_multilabel": MULTILABEL,
}


def by_snake(task: str) -> dict[str, str]:
    """Snake-case name -> run name, of the algorithms of a task."""
    return {snake(name): name for name in BY_TASK.get(task, ())}
