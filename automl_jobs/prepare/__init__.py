"""A job file and its data: what would run, and whether it can. Used by `job check` and `job submit`.

Order: read the tables -> uses (which columns, as what type) -> checks (target, weights, folds, series, the other
tables) -> plan (how models are validated). Nothing is trained; all problems are said at once.
"""

from __future__ import annotations

from automl_jobs.prepare.plan import ValidationPlan
from automl_jobs.prepare.prepared import Prepared, prepare
from automl_jobs.prepare.uses import ColumnUse

__all__ = ["ColumnUse", "Prepared", "ValidationPlan", "prepare"]
