"""A forecasting job from its file to an endpoint that forecasts: trained, proven, served and asked over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from scoring import server
from scoring.folder import open_folder
from scoring.verify import verify
from tests.conftest import Run
from tests.forecasting_support import JOB, stores

pytestmark = pytest.mark.slow

HOSTILE = "{{ kind }} \"'<b>"
ROWS = """\
day,store,promotion,{header},sales
2024-04-30,north,0,b,160.5
2024-05-01,north,1,a,
2024-05-01,7,0,,
"""


@pytest.fixture
def job(project: Path) -> Path:
    """Two stores by day until 29 April 2024, with a category of a hostile name that is known ahead."""
    frame = stores()
    frame[HOSTILE] = ["a", "b", "c", None] * (len(frame) // 4)
    frame.to_csv(project / "train.csv", index=False)
    file = project / "job.yml"
    text = JOB.format(extra="  time_series_id_column_names: store\n")
    file.write_text(text + "limits: {max_trials: 4}\n", encoding="utf-8")
    return file


def ask(url: str, body: dict[str, Any]) -> tuple[int, Any]:
    answer = server.ask(url, "POST", "/score", json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    return answer.status, answer.json


def test_a_forecast_from_job_file_to_http(clean: Run, project: Path, job: Path) -> None:
    done = clean("ship", job, "--model", "Sales", "--endpoint", "sales-api", "--output", "json")
    assert done.returncode == 0, done.stderr
    shipped = json.loads(done.stdout)
    assert shipped["verified"] is True
    [forecast] = shipped["answer"]["Results"]
    assert 0 < forecast < 2000

    folder = open_folder(Path(shipped["path"]))
    assert folder.proof is not None
    checked = {check["name"]: check["detail"] for check in folder.proof["checks"]}
    assert "rows, predict and forecast as in training" in checked["golden_data"]
    assert checked["sample_request_history"].startswith('answered with {"forecast":')
    assert "model/forestay_forecasting.py" in folder.files

    rows = project / "rows.csv"
    rows.write_text(ROWS.format(header='"' + HOSTILE.replace('"', '""') + '"'), encoding="utf-8")
    asked = clean("endpoint", "invoke", "sales-api", "--data", rows)
    assert asked.returncode == 0, asked.stderr
    known, north, seven = json.loads(asked.stdout)["Results"]
    assert known == 160.5
    assert north < 300 < 900 < seven

    url = shipped["endpoint"]["scoring_uri"].removesuffix("/score")
    ahead = [
        {"day": str(day)[:10], "store": "north", "promotion": 0, HOSTILE: None, "sales": None}
        for day in pd.date_range("2024-05-07", "2024-04-30", freq="-1D")
    ]
    parameters = {"method": "forecast", "quantiles": [0.1, 0.9]}
    status, answer = ask(url, {"Inputs": {"data": ahead}, "GlobalParameters": parameters})
    assert status == 200
    assert len(answer["Results"]) == len(ahead)
    assert all(one["quantiles"]["0.1"] < one["forecast"] < one["quantiles"]["0.9"] for one in answer["Results"])
    status, refused = ask(url, {"data": [ahead[0], ahead[0], {**ahead[1], "store": "south"}]})
    assert status == 400
    assert [(one["row"], one["column"]) for one in refused["error"]["details"]] == [(1, "day"), (2, "store")]

    golden = json.loads((folder.path / "golden.json").read_text(encoding="utf-8"))
    golden["quantiles"]["0.9"][5] += 0.25
    (folder.path / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    failed = {check.name: check.detail for check in verify(folder.path, home=project / ".forestay").failed}
    assert set(failed) == {"files", "golden_data", "golden_inputs", "golden_input_data"}
    assert failed["golden_data"].startswith('row 5, quantile "0.9": golden.json has ')
