"""Models that come from a file and not from a job: their files lie in a run of their own, outside all jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from automl_jobs.runs import names, registry, tags, writer
from automl_jobs.runs.rows import ModelVersion
from forestay import project

if TYPE_CHECKING:
    from automl_jobs.runs.store import RunStore

EXPERIMENT = "registered_from_files"


def register(store: RunStore, outputs: Path, name: str, file: str, algorithm: str) -> ModelVersion:
    """See `RunStore.register_file`. Raises InputError for a name that is none."""
    name = name.removeprefix("local:")
    names.check_model_name(name)
    labels = {
        tags.FILE: file,
        tags.ALGORITHM: algorithm,
        tags.CONTENT: project.sha256(outputs / "model_schema.json"),
    }
    with store.writing() as client:
        same = (
            found for found in registry.versions(store, name) if found.tags.get(tags.CONTENT) == labels[tags.CONTENT]
        )
        before = next(same, None)
        if before is not None:
            return replace(registry.with_card(store, registry.model(store, name, before.version)), existing=True)
        run = client.create_run(
            writer.experiment(store, EXPERIMENT),
            start_time=writer.now(),
            run_name=name,
            tags={tags.KIND: "file", **labels, **writer.origin()},
        )
        client.log_artifacts(run.info.run_id, str(outputs), "outputs")
        client.set_terminated(run.info.run_id, "FINISHED")
        made = registry.new_version(client, name, run.info.run_id, "outputs", labels)
        return registry.with_card(store, registry.model(store, name, made))
