"""The estimators of our own that a fitted model is made of, under the one name that code and kept models know.

A pickle names a class by its module: models kept when this one held all of them find them here for good.
"""

from __future__ import annotations

from forestay_encoders import (
    CategoryCodes,
    DateParts,
    Dense,
    HashOneHot,
    MeanTarget,
    OneHot,
    Screened,
    TextTargetEncoder,
    Topics,
)
from forestay_labels import BlendedLabels, LinearLabels, said_labels
from forestay_models import (
    Blend,
    BlendedClassifier,
    BlendedRegressor,
    CalibrationFolds,
    LabelledClassifier,
    LogTarget,
    StackedClassifier,
    StackedRegressor,
    calibrated,
    decided,
    full_probabilities,
    stack_features,
)
from forestay_reading import FALSE_WORDS, FEW_ROWS, MANY_ROWS, NUMBERS, TRUE_WORDS, Cells, InputFrame, category_text
from forestay_serving import Columns, ServedPipeline, Side

__all__ = [
    "FALSE_WORDS",
    "FEW_ROWS",
    "MANY_ROWS",
    "NUMBERS",
    "TRUE_WORDS",
    "Blend",
    "BlendedClassifier",
    "BlendedLabels",
    "BlendedRegressor",
    "CalibrationFolds",
    "CategoryCodes",
    "Cells",
    "Columns",
    "DateParts",
    "Dense",
    "HashOneHot",
    "InputFrame",
    "LabelledClassifier",
    "LinearLabels",
    "LogTarget",
    "MeanTarget",
    "OneHot",
    "Screened",
    "ServedPipeline",
    "Side",
    "StackedClassifier",
    "StackedRegressor",
    "TextTargetEncoder",
    "Topics",
    "calibrated",
    "category_text",
    "decided",
    "full_probabilities",
    "said_labels",
    "stack_features",
]
