"""What the columns of the training data hold, as a document that is kept with the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_jobs.prepare.prepared import Prepared

MOST_COLUMNS = 500


def profile(prepared: Prepared) -> dict[str, Any]:
    """The data profile of a prepared job whose data is at hand.

    Keys: rows; `columns` with name, type, used, reason (why not), missing, distinct, examples and warnings of each, the
    first 500; `left_out` counts the others.
    """
    table = prepared.require_local()
    read = {column.name: column for column in table.columns}
    uses = [use for use in prepared.columns if use.name in read]
    return {
        "schema_version": 1,
        "rows": len(table.frame),
        "columns": [
            {
                "name": use.name,
                "type": str(use.type),
                "used": use.used,
                "reason": use.reason,
                "missing": read[use.name].missing,
                "distinct": read[use.name].distinct,
                "examples": list(read[use.name].examples),
                "warnings": list(read[use.name].warnings),
            }
            for use in uses[:MOST_COLUMNS]
        ],
        "left_out": max(0, len(uses) - MOST_COLUMNS),
    }
