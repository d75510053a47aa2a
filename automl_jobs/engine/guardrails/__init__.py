"""Data guardrails: what could spoil a model, looked for before training and told in Azure's words.

Names and states are those of "Data guardrails" in Azure's page on data featurization: Passed (nothing wrong), Done
(something was found and is handled), Alerted (something was found that only the user can mend).

guardrail  what a guardrail says
azure      Azure's own for a table: validation, missing values, cardinality, class balance, memory
leaks      beyond Azure's: leaked targets, repeated rows, entities and time, which make a model look too good
series     a forecast's: validation, frequency, gaps, length of series, lags
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_jobs.engine.guardrails.guardrail import ALERTED, DONE, PASSED, Guardrail

if TYPE_CHECKING:
    from automl_jobs.engine.problem import Problem
    from automl_jobs.prepare import Prepared

__all__ = ["ALERTED", "DONE", "PASSED", "Guardrail", "alerts", "check"]


def check(prepared: Prepared, problem: Problem | None = None) -> tuple[Guardrail, ...]:
    """All guardrails of a job whose data was read; quick on large tables, which are sampled.

    Parameters
    ----------
    problem: the job's training problem where it is known; its splits are then looked at, too.

    Nothing is checked (an empty tuple) when the data can't be reached from here.
    """
    from automl_jobs.engine.guardrails import azure, leaks, series

    if prepared.train is None or not prepared.columns:
        return ()
    if prepared.outline is not None:
        return (*series.checks(prepared, prepared.outline), azure.memory(prepared))
    found = [azure.validation_split(prepared), azure.missing_values(prepared), azure.high_cardinality(prepared)]
    task = prepared.loaded.spec.task
    if task == "forecasting":
        return (*found, azure.memory(prepared))
    if task != "regression":
        found.append(azure.class_balance(prepared))
    return (
        *found,
        azure.constant_target(prepared, problem),
        leaks.target_leakage(prepared),
        leaks.repeated_rows(prepared),
        leaks.entities(prepared),
        leaks.time_order(prepared),
        azure.memory(prepared),
    )


def alerts(guardrails: tuple[Guardrail, ...]) -> list[Guardrail]:
    """Those that are Alerted."""
    return [guardrail for guardrail in guardrails if guardrail.status == ALERTED]
