"""Limits, featurization, training and forecasting: the sections of a job file that say how to search.

Key sets are those of azure-ai-ml's schemas in _schema/automl. Its client leaves defaults to the service; those here
are the service's (TableVerticalLimitSettings and NlpVerticalLimitSettings of the REST API 2023-04-01-preview).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from automl_jobs.spec import algorithms
from automl_jobs.spec.common import Distribution, Section, task_of
from forestay.documents.names import plain, refuse, shown, snake, suggest
from forestay.documents.values import (
    FOREIGN,
    AsList,
    AsMapping,
    AutoOrCount,
    Count,
    Flag,
    Fraction,
    FreeMap,
    Name,
    NameOrNames,
    Names,
    Number,
    Scalar,
    Text,
    auto_or,
    kind,
    one_of,
    taking,
    whole,
    whole_from,
)


@taking("a number of threads, or -1 for all cores")
def cores(value: Any) -> int:
    """Threads of one trial: -1 for all, or a number of them."""
    number = whole(value)
    if number != -1 and number < 1:
        raise refuse(f"must be -1 or at least 1, not {number}", "allowed: -1 (all cores), or 1 or more")
    return number


@taking("a number of periods, or a list of them")
def lags(value: Any) -> Any:
    """A number of periods, or a list of them."""
    positive = whole_from(1)
    return [positive(item) for item in value] if isinstance(value, list) else positive(value)


AutoOrLags = Annotated[int | str | tuple[int, ...], BeforeValidator(auto_or(lags))]


class Limits(Section):
    """When to stop. Minutes are whole numbers, as in Azure; seconds are `forestay.time_budget` in `properties`.

    Attributes
    ----------
    max_trials: a baseline is one of them. timeout_minutes: of the whole job. trial_timeout_minutes: of one trial.
    max_concurrent_trials: trials at once. max_cores_per_trial: threads of one trial.
    max_nodes: nodes of Azure's cluster for one job.
    exit_score: the job ends when a trial is as good as this; here a baseline, which is no model, does not count.
    enable_early_termination: the search ends when it has not become better for a while.
    """

    max_trials: Count = 1000
    timeout_minutes: Count = 360
    trial_timeout_minutes: Count = 30
    max_concurrent_trials: Count = 1
    max_cores_per_trial: Annotated[int, BeforeValidator(cores)] = -1
    max_nodes: Count | None = None
    exit_score: Number | None = None
    enable_early_termination: Flag = True


class TextLimits(Limits):
    """A text task fine-tunes one model unless it is told to sweep: one trial, within seven days."""

    max_trials: Count = 1
    timeout_minutes: Count = 7 * 24 * 60
    trial_timeout_minutes: Count = 7 * 24 * 60
    max_nodes: Count | None = 1
    max_cores_per_trial: Annotated[int, FOREIGN] = -1
    exit_score: Annotated[float | None, FOREIGN] = None
    enable_early_termination: Annotated[bool, FOREIGN] = True


class ImageLimits(TextLimits):
    trial_timeout_minutes: Annotated[int, FOREIGN] = 7 * 24 * 60
    max_nodes: Annotated[int | None, FOREIGN] = None


# What `column_name_and_types` may make of a column: the feature types of Azure AutoML
# (azureml.automl.core.constants.FeatureType), by their plain names.
PURPOSES = {
    plain(name): name
    for name in ("Numeric", "Categorical", "CategoricalHash", "DateTime", "Text", "Hashes", "Ignore", "AllNan")
}
BLOCKABLE_TRANSFORMERS = (
    "TextTargetEncoder",
    "OneHotEncoder",
    "CatTargetEncoder",
    "TfIdf",
    "WoETargetEncoder",
    "LabelEncoder",
    "WordEmbedding",
    "NaiveBayes",
    "CountVectorizer",
    "HashOneHotEncoder",
)
PARAMETER_TRANSFORMERS = ("Imputer", "TfIdf", "HashOneHotEncoder")


def _named(names: tuple[str, ...], value: Any) -> str:
    """The CamelCase name that a CamelCase or snake_case one stands for."""
    by_snake = {snake(name): name for name in names}
    if isinstance(value, str) and snake(value) in by_snake:
        return by_snake[snake(value)]
    if isinstance(value, str):
        raise refuse(f"{shown(value)!r} is not known", suggest(value, by_snake))
    raise refuse(f"must be a name, not {kind(value)}", f"valid: {', '.join(by_snake)}")


@taking("`auto`, `custom`, `off`")
def _mode(value: Any) -> str:
    """YAML reads an unquoted `off` as false: it is taken as `off`."""
    return "off" if value is False else one_of("auto", "custom", "off")(value)


@taking(f"one of {', '.join(PURPOSES.values())}")
def _purpose(value: Any) -> str:
    if isinstance(value, str) and plain(value) in PURPOSES:
        return PURPOSES[plain(value)]
    if isinstance(value, str):
        raise refuse(f"{shown(value)!r} is not a column type of Azure's", suggest(value, PURPOSES.values()))
    raise refuse(f"must be a column type, not {kind(value)}", f"valid: {', '.join(PURPOSES.values())}")


class ColumnTransformer(Section):
    """Parameters of a transformer, for the columns in `fields`, or for all of them without.

    Attributes
    ----------
    fields_: columns. parameters: of the transformer, by name.
    """

    fields_: Names = Field(default=(), alias="fields")
    parameters: Annotated[dict[str, Scalar], AsMapping] = Field(default_factory=dict)


@taking(f"a mapping from {', '.join(PARAMETER_TRANSFORMERS)} to a list of column transformers")
def _transformers(value: Any) -> Any:
    """The keys as CamelCase names; `imputer` and `Imputer` are the same one."""
    if not isinstance(value, dict):
        raise refuse(
            f"must be a mapping from a transformer to a list, not {kind(value)}", "write `imputer:` and a list"
        )
    renamed: dict[str, Any] = {}
    for key, item in value.items():
        name = _named(PARAMETER_TRANSFORMERS, key)
        if name in renamed:
            raise refuse(f"names {name} twice", "keep one of the two")
        renamed[name] = item
    return renamed


Transformers = Annotated[
    dict[str, Annotated[tuple[Annotated[ColumnTransformer, AsMapping], ...], AsList]], BeforeValidator(_transformers)
]


@taking(f"one of {', '.join(BLOCKABLE_TRANSFORMERS)}")
def _blocked(value: Any) -> str:
    return _named(BLOCKABLE_TRANSFORMERS, value)


Blocked = Annotated[str, BeforeValidator(_blocked)]


class Featurization(Section):
    """How columns become features. Names of transformers are CamelCase here, however they were written.

    Attributes
    ----------
    mode: `off` takes columns as they are; `custom` says that the other keys are given.
    blocked_transformers: what must not be used. column_name_and_types: the kind of a column, where it is not the
        guessed one. transformer_params: parameters of transformers.
    dataset_language: three letters, as `deu`; for Azure only. enable_dnn_featurization: for Azure only.
    """

    mode: Annotated[str, BeforeValidator(_mode)] = "auto"
    blocked_transformers: Annotated[tuple[Blocked, ...], AsList] = ()
    column_name_and_types: Annotated[dict[str, Annotated[str, BeforeValidator(_purpose)]], AsMapping] = Field(
        default_factory=dict
    )
    transformer_params: Transformers = Field(default_factory=dict)
    dataset_language: Text | None = None
    enable_dnn_featurization: Flag = False


class TextFeaturization(Featurization):
    mode: Annotated[str, FOREIGN] = "auto"
    blocked_transformers: Annotated[tuple[str, ...], FOREIGN] = ()
    column_name_and_types: Annotated[dict[str, str], FOREIGN] = Field(default_factory=dict)
    transformer_params: Annotated[dict[str, tuple[ColumnTransformer, ...]], FOREIGN] = Field(default_factory=dict)
    enable_dnn_featurization: Annotated[bool, FOREIGN] = False


META_LEARNERS = (
    "none",
    "logistic_regression",
    "logistic_regression_cv",
    "light_gbm_classifier",
    "elastic_net",
    "elastic_net_cv",
    "light_gbm_regressor",
    "linear_regression",
)


class StackEnsembleSettings(Section):
    """Azure's meta-learners, made here on held-out predictions.

    Attributes
    ----------
    stack_meta_learner_type: which one; `none` takes the task's usual one. stack_meta_learner_kwargs: its parameters.
    stack_meta_learner_train_percentage: the share of the training rows that it learns from, without folds.
    """

    stack_meta_learner_type: Annotated[str, BeforeValidator(one_of(*META_LEARNERS))]
    stack_meta_learner_kwargs: FreeMap | None = None
    stack_meta_learner_train_percentage: Fraction = 0.2


@taking("an algorithm of the task, such as `LightGBM`")
def _algorithm(value: Any, info: ValidationInfo) -> str:
    """A run name such as LightGBM, out of LightGBM or light_gbm."""
    task = task_of(info)
    by_snake = algorithms.by_snake(task)
    if isinstance(value, str) and snake(value) in by_snake:
        return by_snake[snake(value)]
    if isinstance(value, str):
        raise refuse(f"{shown(value)!r} is not an algorithm of {task}", suggest(value, by_snake))
    raise refuse(f"must be the name of an algorithm, not {kind(value)}", f"valid: {', '.join(by_snake)}")


Algorithms = Annotated[tuple[Annotated[str, BeforeValidator(_algorithm)], ...], AsList]


class Training(Section):
    """Which models to train. Names of algorithms are run names here, however they were written.

    Attributes
    ----------
    allowed_training_algorithms: only these; all without it. blocked_training_algorithms: none of these.
    enable_onnx_compatible_models, enable_dnn_training, training_mode: for Azure only.
    enable_model_explainability: importances of the columns are kept with the best trial.
    enable_stack_ensemble: a meta-learner on held-out predictions of the best trials.
    enable_vote_ensemble: a weighted mean of the best trials. stack_ensemble_settings: of the meta-learner.
    ensemble_model_download_timeout_minutes: for Azure only.
    """

    allowed_training_algorithms: Algorithms | None = None
    blocked_training_algorithms: Algorithms | None = None
    enable_onnx_compatible_models: Flag = False
    enable_dnn_training: Flag = False
    enable_model_explainability: Flag = True
    enable_stack_ensemble: Flag = True
    enable_vote_ensemble: Flag = True
    stack_ensemble_settings: Annotated[StackEnsembleSettings, AsMapping] | None = None
    ensemble_model_download_timeout_minutes: Count = 5
    training_mode: Annotated[str, BeforeValidator(one_of("auto", "distributed", "non_distributed"))] = "auto"

    @field_validator("allowed_training_algorithms")
    @classmethod
    def _some_allowed(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value == ():
            raise refuse("allows no algorithm", "name at least one, or remove the line to allow all")
        return value

    @field_validator("blocked_training_algorithms")
    @classmethod
    def _some_left(cls, value: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        allowed = info.data.get("allowed_training_algorithms") or ()
        both = [name for name in value or () if name in allowed]
        if both:
            raise refuse(
                f"{', '.join(map(snake, both))} is also in allowed_training_algorithms", "remove it from one of the two"
            )
        every = algorithms.BY_TASK.get(task_of(info), ())
        if every and not allowed and set(every) <= set(value or ()):
            raise refuse("blocks every algorithm", "leave at least one")
        return value


@taking("`none`, `season`, `seasontrend`")
def _stl(value: Any) -> str:
    """azure-ai-ml takes `SeasonTrend` and, unlike its documentation, not `season_trend`: both are taken here."""
    return one_of("none", "season", "seasontrend")("seasontrend" if value == "season_trend" else str(value).lower())


def _lower(*names: str) -> BeforeValidator:
    check = one_of(*names)

    @taking(vars(check)["takes"])
    def lower(value: Any) -> str:
        return check(value.lower() if isinstance(value, str) else value)

    return BeforeValidator(lower)


class Forecasting(Section):
    """What a forecast needs to know of time. Defaults: the service's, as in the REST API's ForecastingSettings.

    Attributes
    ----------
    time_column_name: the column with the moments. time_series_id_column_names: the columns that tell series apart.
    forecast_horizon: how many periods ahead. frequency: the length of a period, as `D` or `W-SUN`; else it is found.
    target_lags: earlier values of the target as features. feature_lags: the same of the other columns.
    target_rolling_window_size: periods whose mean, least and largest target are features.
    seasonality: periods until things repeat. use_stl: trend and season as features.
    short_series_handling_config: what becomes of series that are too short: filled up, dropped, or an error.
    target_aggregate_function: makes one row of several in a period.
    country_or_region_for_holidays: a country by its two letters. cv_step_size: periods between two folds.
    features_unknown_at_forecast_time: columns that nobody knows ahead.
    """

    time_column_name: Name
    time_series_id_column_names: NameOrNames = ()
    forecast_horizon: AutoOrCount = 1
    frequency: Text | None = None
    target_lags: AutoOrLags | None = None
    feature_lags: Annotated[str, _lower("none", "auto")] = "none"
    target_rolling_window_size: AutoOrCount | None = None
    seasonality: AutoOrCount = "auto"
    short_series_handling_config: Annotated[str, _lower("none", "auto", "pad", "drop")] = "auto"
    use_stl: Annotated[str, BeforeValidator(_stl)] = "none"
    target_aggregate_function: Annotated[str, _lower("none", "sum", "max", "min", "mean")] = "none"
    country_or_region_for_holidays: Text | None = None
    cv_step_size: Count | None = None
    features_unknown_at_forecast_time: NameOrNames = ()


SCHEDULERS = ("none", "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup")
_scheduler = one_of(*SCHEDULERS)


class TextParameters(Section):
    """Fixed parameters of the language model that Azure fine-tunes."""

    model_name: Text | None = None
    gradient_accumulation_steps: Count | None = None
    learning_rate: Number | None = None
    learning_rate_scheduler: Annotated[str, BeforeValidator(_scheduler)] | None = None
    number_of_epochs: Count | None = None
    training_batch_size: Count | None = None
    validation_batch_size: Count | None = None
    warmup_ratio: Number | None = None
    weight_decay: Number | None = None


def _one_or_many(value: Any) -> Any:
    """A single value stands for a choice of one."""
    if isinstance(value, list):
        raise refuse("must be a value or a mapping with the key type", "write {type: choice, values: [...]}")
    return value if isinstance(value, dict) else {"type": "choice", "values": [value]}


Swept = Annotated[Distribution, BeforeValidator(_one_or_many)]


class TextSearchSpace(Section):
    """The same parameters, each a value or a distribution."""

    model_name: Swept | None = None
    gradient_accumulation_steps: Swept | None = None
    learning_rate: Swept | None = None
    learning_rate_scheduler: Swept | None = None
    number_of_epochs: Swept | None = None
    training_batch_size: Swept | None = None
    validation_batch_size: Swept | None = None
    warmup_ratio: Swept | None = None
    weight_decay: Swept | None = None
