"""What the job file's `featurization` says of transformers: what is wrong with it, and what has no effect here."""

from __future__ import annotations

from automl_jobs.data import ColumnType
from automl_jobs.prepare.findings import Findings, listed
from automl_jobs.prepare.uses import ColumnUse
from automl_jobs.spec import transformers
from automl_jobs.spec.jobs import JobSpec

PARAMETERS = "featurization.transformer_params"
# Of column types: what Azure hashes is counted level by level here, the rare ones together.
HASHED = "CategoricalHash"
IMPUTED = (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.CATEGORICAL)


def check(spec: JobSpec, uses: tuple[ColumnUse, ...], findings: Findings) -> None:
    """Wrong parameters are errors; what nothing here goes by is a warning."""
    types = {use.name: use.type for use in uses if use.used}
    for name, entries in spec.featurization.transformer_params.items():
        for entry in entries:
            problem = transformers.wrong(name, entry.parameters)
            if problem is not None:
                findings.error(PARAMETERS, *problem)
            suited = (ColumnType.TEXT,) if name == "TfIdf" else IMPUTED
            others = [column for column in entry.fields_ if column in types and types[column] not in suited]
            if others and name != "HashOneHotEncoder":
                kind = "a text" if name == "TfIdf" else "a number or a category"
                findings.warn(
                    PARAMETERS,
                    f"{name} has no effect on what is not {kind}: {listed(others)}",
                    "give such a column a type in featurization.column_name_and_types",
                )
    hashed = [name for name, kind in spec.featurization.column_name_and_types.items() if kind == HASHED]
    if hashed or "HashOneHotEncoder" in spec.featurization.transformer_params:
        findings.warn(
            "featurization.column_name_and_types" if hashed else PARAMETERS,
            "categories are not hashed here: the 200 most frequent levels of a column count one by one, the others "
            "together, and trees see each level",
            "Azure hashes them as the file says",
        )
    if spec.featurization.dataset_language not in (None, "eng"):
        findings.warn(
            "featurization.dataset_language",
            "words are told apart in the same way for every language here",
            "in Azure the language chooses the word embeddings",
        )
