"""What the job file's `featurization` says of transformers: what is wrong with it, and what has no effect here."""

from __future__ import annotations

from collections.abc import Mapping

from automl_jobs.data import ColumnType
from automl_jobs.prepare.findings import Findings, listed
from automl_jobs.prepare.uses import ColumnUse
from automl_jobs.spec import transformers
from automl_jobs.spec.jobs import JobSpec
from automl_jobs.spec.sections import ColumnTransformer
from forestay.documents.names import shown

PARAMETERS = "featurization.transformer_params"
NUMBERS = (ColumnType.NUMERIC, ColumnType.BOOLEAN)
IMPUTED = (*NUMBERS, ColumnType.CATEGORICAL)

SUITED = {"TfIdf": (ColumnType.TEXT,), transformers.HASHER: (ColumnType.CATEGORICAL,)}


def check(spec: JobSpec, uses: tuple[ColumnUse, ...], findings: Findings) -> None:
    """Wrong parameters are errors; what nothing here goes by is a warning."""
    types = {use.name: use.type for use in uses if use.used}
    for name, entries in spec.featurization.transformer_params.items():
        for entry in entries:
            problem = transformers.wrong(name, entry.parameters)
            if problem is not None:
                findings.error(PARAMETERS, *problem)
            elif name == "Imputer":
                _check_constant(entry, types, findings)
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


def _check_constant(entry: ColumnTransformer, types: Mapping[str, ColumnType], findings: Findings) -> None:
    """A word can't fill a column of numbers: an error where the column is named, else it is for the others."""
    if transformers.fills_numbers(entry.parameters):
        return
    value = shown(str(transformers.constant(entry.parameters)))
    named = [name for name in entry.fields_ if types.get(name) in NUMBERS]
    if named:
        findings.error(
            PARAMETERS,
            f"Imputer can't fill columns of numbers with {value!r}: {listed(named)}",
            "give a number as fill_value, or the column the type Categorical in featurization.column_name_and_types",
        )
    left = [name for name, kind in types.items() if kind in NUMBERS]
    if left and not entry.fields_:
        findings.warn(
            PARAMETERS,
            f"Imputer's fill_value {value!r} has no effect on columns of numbers: {listed(left)}",
            "name the columns that it is for in `fields`, and give those of numbers a number",
        )
