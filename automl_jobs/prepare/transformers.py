"""What the job file's `featurization` says of transformers: what is wrong with it, and what has no effect here."""

from __future__ import annotations

from automl_jobs.data import ColumnType
from automl_jobs.prepare.findings import Findings, listed
from automl_jobs.prepare.uses import ColumnUse
from automl_jobs.spec import transformers
from automl_jobs.spec.jobs import JobSpec

PARAMETERS = "featurization.transformer_params"
IMPUTED = (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.CATEGORICAL)

SUITED = {"TfIdf": (ColumnType.TEXT,), transformers.HASHER: (ColumnType.CATEGORICAL,)}


def check(spec: JobSpec, uses: tuple[ColumnUse, ...], findings: Findings) -> None:
    """Wrong parameters are errors; what nothing here goes by is a warning."""
    types = {use.name: use.type for use in uses if use.used}
    for name, entries in spec.featurization.transformer_params.items():
        for entry in entries:
            problem = transformers.wrong(name, entry.parameters)
            if problem is not None:
                findings.error(PARAMETERS, *problem)
            suited = SUITED.get(name, IMPUTED)
            others = [column for column in entry.fields_ if column in types and types[column] not in suited]
            if others:
                kind = {"TfIdf": "a text", transformers.HASHER: "a category"}.get(name, "a number or a category")
                findings.warn(
                    PARAMETERS,
                    f"{name} has no effect on what is not {kind}: {listed(others)}",
                    "give such a column a type in featurization.column_name_and_types",
                )
    hashed = [name for name, kind in spec.featurization.column_name_and_types.items() if kind == transformers.HASHED]
    if transformers.HASHER in spec.featurization.blocked_transformers and (
        hashed or transformers.HASHER in spec.featurization.transformer_params
    ):
        findings.warn(
            "featurization.blocked_transformers",
            f"{transformers.HASHER} is blocked and asked for: it is left out, and categories count one by one",
            "take it out of one of the two",
        )
    if spec.featurization.dataset_language not in (None, "eng"):
        findings.warn(
            "featurization.dataset_language",
            "words are told apart in the same way for every language here",
            "in Azure the language chooses the word embeddings",
        )
