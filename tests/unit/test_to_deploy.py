"""Which folder a deploy takes where none is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from automl_jobs.runs import RunStore
from forestay.errors import InputError
from scoring import diff, targets
from scoring.folder import open_folder
from tests import quick_server, served
from tests.runs_support import finished_job, new_store, outputs_folder

API = "quick-api"


@pytest.fixture
def deploy(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """to_deploy() of a model to a managed endpoint of dev; what it gave, and what it said."""
    monkeypatch.setattr(targets, "having", lambda *_: (object(), []))
    monkeypatch.setattr(diff, "guard", lambda *_: None)

    def run(model: str) -> tuple[Path, list[str]]:
        said: list[str] = []
        home = project / ".forestay"
        return targets.to_deploy(API, model, None, "managed", "dev", home, False, said.append)[1], said

    return run


def test_a_model_of_this_machine_is_told_where_it_comes_from_before_azure_serves_it(project: Path, deploy: Any) -> None:
    store = new_store(project / ".forestay")
    finished_job(store, outputs_folder(project / "outputs"))
    store.register("latest", 1, "Quick")
    folder = quick_server.scoring_folder(project / "quick-1", "1")
    served.keep_proof(open_folder(folder), project / ".forestay")
    assert deploy("Quick") == (folder, [f"Quick 1 of the registry on this machine, made by job j: {folder}"])


def test_a_model_that_azure_alone_has_is_to_be_proven_first(project: Path, deploy: Any) -> None:
    RunStore.open()
    with pytest.raises(InputError, match="on this machine there is no model 'Quick'") as caught:
        deploy("Quick")
    [problem] = caught.value.problems
    assert "forestay score generate Quick --env dev --to scoring" in problem.fix
    assert "--from scoring" in problem.fix
