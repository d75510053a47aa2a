"""How models are validated: Azure's rules, by what the job says and how many rows there are."""

from __future__ import annotations

from dataclasses import dataclass

from automl_jobs.spec import JobSpec

# Without validation data: "Default data splits and cross-validation in machine learning", in Azure ML's how-to on
# configuring cross-validation.
FEW_ROWS, FEW_ROWS_FOLDS = 1_000, 10
MANY_ROWS, SOME_ROWS_FOLDS = 20_000, 3
HOLDOUT_FRACTION = 0.1


@dataclass(frozen=True)
class ValidationPlan:
    """How models are validated.

    Attributes
    ----------
    kind: validation_data, holdout, cross_validation or rolling_origin; auto where the number of rows decides and the
        data can't be reached.
    folds: how many, for cross_validation and rolling_origin; None where the series' length decides.
    fraction: the share of rows held out, for holdout; with cross_validation it means Monte Carlo validation, each fold
        a random split of its own (Azure: n_cross_validations together with validation_data_size).
    """

    kind: str
    folds: int | None = None
    fraction: float | None = None

    def __str__(self) -> str:
        if self.kind == "validation_data":
            return "the validation data"
        if self.kind == "holdout":
            return f"a hold-out of {self.fraction or HOLDOUT_FRACTION:.0%} of the rows"
        if self.kind == "rolling_origin":
            return f"rolling origin, {self.folds} folds" if self.folds else "rolling origin"
        if self.kind == "cross_validation" and self.fraction:
            return f"{self.folds} random splits, {self.fraction:.0%} of the rows held out in each"
        if self.kind == "cross_validation":
            return f"cross-validation, {self.folds} folds"
        return "by the number of rows: cross-validation up to 20,000, else a hold-out of 10%"


def plan_validation(spec: JobSpec, rows: int | None) -> ValidationPlan:
    """The plan of a job whose training data has `rows` rows with a target; None when they can't be counted."""
    folds = spec.n_cross_validations if isinstance(spec.n_cross_validations, int) else None
    if spec.validation_data is not None:
        return ValidationPlan("validation_data")
    if spec.task == "forecasting":
        return ValidationPlan("rolling_origin", folds)
    if spec.cv_split_column_names:
        return ValidationPlan("cross_validation", len(spec.cv_split_column_names))
    if folds is not None:
        return ValidationPlan("cross_validation", folds, spec.validation_data_size)
    if spec.validation_data_size is not None:
        return ValidationPlan("holdout", None, spec.validation_data_size)
    if rows is None:
        return ValidationPlan("auto")
    if rows < FEW_ROWS:
        return ValidationPlan("cross_validation", FEW_ROWS_FOLDS)
    if rows <= MANY_ROWS:
        return ValidationPlan("cross_validation", SOME_ROWS_FOLDS)
    return ValidationPlan("holdout", None, HOLDOUT_FRACTION)
