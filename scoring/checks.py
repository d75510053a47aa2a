"""What must hold of a served scoring folder. Each function asks a running server and returns a Check.

Labels must be equal, and of the same JSON type. Numbers and probabilities may differ by RELATIVE (or, near zero, by
ABSOLUTE): the same versions of the same packages give the same bits, but summing in another order does not.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from scoring import requests, server
from scoring.proofs import Check
from scoring.schema import Golden, ModelSchema
from scoring.styles import Style

RELATIVE = 1e-9
ABSOLUTE = 1e-12
SHOWN = 3  # how many differing rows a detail shows
SHOWN_ROW = 300  # characters of a row's JSON
CURL_SECONDS = 30
README_ADDRESS = "http://127.0.0.1:5001"  # as templates/scoring/README.md.j2 writes it
TIMED_REQUESTS = 30
_AGAIN = "if the model is right, generate the folder again: forestay score generate"


def health(url: str) -> Check:
    healthy = server.is_healthy(url)
    return Check("health", healthy, "GET / says Healthy" if healthy else "GET / does not say Healthy")


def openapi(url: str, schema: ModelSchema, style: Style, folder: Path) -> Check:
    """The server publishes a valid OpenAPI whose rows have the model's columns, or are lists where those have no names.

    The one that lies in the folder is valid too.
    """
    expected = {column.name for column in schema.required}
    # Rows of values of several types, which are lists here, can't be described in version 2.
    for query in ("?version=3",) if style.forms[0] == requests.NO_CODE else ("", "?version=3"):
        answer = server.ask(url, "GET", f"/swagger.json{query}")
        document = answer.json
        if answer.status != 200 or not isinstance(document, dict):
            return Check("openapi", False, f"GET /swagger.json{query} answers {answer.status}")
    written = json.loads((folder / "openapi.json").read_bytes())
    for what, one in (("what is served", document), ("openapi.json", written)):
        fault = invalid_openapi(one)
        if fault is not None:
            return Check("openapi", False, f"{what} is no valid OpenAPI: {fault}; {_AGAIN}")
    try:
        properties = document["components"]["schemas"]["ServiceInput"]["properties"]
        if style.forms[0] == requests.NO_CODE:
            kinds = properties["input_data"]["properties"]
            return Check("openapi", "columns" in kinds, f"served and valid, with input_data of {', '.join(kinds)}")
        rows = properties["data"]["items"]
        if style.forms[0] == requests.ARRAY:
            told = f"served and valid, with rows that are of type {rows['type']}"
            return Check("openapi", rows["type"] == "array", told)
        rows = rows["properties"]
    except (KeyError, TypeError):
        return Check("openapi", False, 'the OpenAPI does not describe the rows of "data"')
    if rows.keys() != expected:
        differing = sorted(rows.keys() ^ expected)
        return Check("openapi", False, f"the OpenAPI has other columns than the model: {_shown(differing[0])}")
    return Check("openapi", True, f"served and valid, with {len(expected)} columns; openapi.json is valid")


def invalid_openapi(document: Any) -> str | None:
    """What is wrong with an OpenAPI document, by openapi-spec-validator; None when nothing is."""
    from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

    newer = isinstance(document, dict) and str(document.get("openapi")).startswith("3.1.")
    validator = OpenAPIV31SpecValidator if newer else OpenAPIV30SpecValidator
    try:
        error = next(validator(document).iter_errors(), None)
    except Exception as failure:  # noqa: BLE001 - a document far from the form breaks its parser in its own ways
        return f"{type(failure).__name__}: {failure}"[:300]
    if error is None:
        return None
    place = ".".join(str(part) for part in error.absolute_path) or "the document"
    return f"{place}: {error.message.splitlines()[0]}"[:300]


def readme_curl(url: str, folder: Path, style: Style) -> Check:
    """The curl lines of the README are run as they stand there, but for the port, and each gets what it asks for."""
    name = "readme"
    curl = shutil.which("curl")
    text = (folder / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    curl ") and README_ADDRESS in line]
    if not lines:
        return Check(name, False, f"README.md has no curl line; {_AGAIN}")
    if curl is None:
        return Check(name, True, f"{len(lines)} curl lines not run: there is no curl on this machine")
    for line in lines:
        words = shlex.split(line.replace(README_ADDRESS, url))
        done = subprocess.run(
            [curl, "--silent", "--show-error", "--noproxy", "*", *words[1:]],
            cwd=folder,
            capture_output=True,
            timeout=CURL_SECONDS,
            check=False,
        )
        try:
            results = requests.results(style.forms[0], json.loads(done.stdout))
        except ValueError:
            results = None
        if results is None:
            told = (done.stdout or done.stderr).decode("utf-8", "replace").strip()[:300]
            return Check(name, False, f"{line}: exit code {done.returncode}, {told or 'no answer'}; {_AGAIN}")
        if not results:
            return Check(name, False, f"{line}: answers without a result; {_AGAIN}")
    return Check(name, True, f"{len(lines)} curl lines run as written")


def ping(url: str) -> Check:
    """MLflow's own server says that it is up."""
    status = server.ask(url, "GET", "/ping").status
    return Check("mlflow_ping", status == 200, f"GET /ping answers {status}")


def mlflow_refusals(url: str, schema: ModelSchema) -> Check:
    """MLflow's own server, which reads requests in its own way, answers what the model can't take with a 4xx."""
    row = requests.sample_row(schema)
    first = schema.used[0].name
    wrong = {
        "missing column": [{key: value for key, value in row.items() if key != first}],
        "a list for a value": [{**row, first: [1]}],
        **{
            f"a number for {column.type}": [{**row, column.name: 1700000000000}]
            for column in schema.used
            if column.type not in ("numeric", "boolean")
        },
        **{
            f"text for {column.type}": [{**row, column.name: "abc"}]
            for column in schema.used
            if column.type == "boolean"
        },
    }
    got = {
        what: server.post(url, {"dataframe_records": rows}, path="/invocations").status for what, rows in wrong.items()
    }
    failed = [f"{what}: gets {status}, not a 4xx" for what, status in got.items() if not 400 <= status < 500]
    if failed:
        return Check("mlflow_refusals", False, _listed(failed))
    return Check("mlflow_refusals", True, f"{len(got)} requests that don't fit get a 4xx")


def sample_request(url: str, path: Path, style: Style) -> Check:
    """A request that the folder offers as a sample is answered, each of its rows."""
    sent = path.read_bytes()
    answer = server.ask(url, "POST", "/score", sent, headers={"Content-Type": "application/json"})
    results = requests.results(style.forms[0], answer.json)
    document = json.loads(sent)
    count = len(document.get("data", document.get("input_data", {}).get("data", ())))
    if answer.status != 200 or results is None or len(results) != count:
        return Check(path.stem, False, f"{path.name} gets {answer.status}: {_body(answer)}")
    return Check(path.stem, True, f"answered with {_shown(results[-1])}")


def golden(url: str, form: str, rows: Golden, *, real: bool = False, key: str = "") -> Check:
    """The golden rows, sent in one form of a request, come back as the training process predicted them.

    Of `real` rows, which a proof must not keep, only the number is told. `key` is shown where the server asks for one.
    """
    path = "/invocations" if form in requests.MLFLOW else "/score"  # MLflow's own address
    return golden_by(lambda document: server.post(url, document, path, key), form, rows, real=real)


def golden_by(ask: Callable[[Any], server.Answer], form: str, rows: Golden, *, real: bool = False) -> Check:
    """The same of a server that is asked by a function, with a request's document."""
    name = f"golden_{'real_' if real else ''}{form.lower()}"
    differing: list[str] = []
    for method, quantiles, expected in _expectations(rows):
        answer = ask(requests.request(form, rows.rows, method, quantiles))
        results = requests.results(form, answer.json)
        if answer.status != 200 or results is None:
            told = "see the server's answer by sending them to forestay score serve" if real else _body(answer)
            return Check(name, False, f"{method} gets {answer.status}: {told}; {_AGAIN}")
        if len(results) != len(expected):
            return Check(name, False, f"{method} gives {len(results)} results for {len(expected)} rows; {_AGAIN}")
        differing += _differences(expected, results, None if real else rows.rows)
    if differing:
        return Check(name, False, f"{_listed(differing)}; {_AGAIN}")
    methods = " and ".join(method for method, _, _ in _expectations(rows))
    tolerance = f"labels equal, numbers within {RELATIVE:g} of each other"
    return Check(name, True, f"{len(rows.rows)} rows, {methods} as in training: {tolerance}")


def bad_requests(url: str, bad: Iterable[requests.BadRequest]) -> Check:
    """Requests that don't fit get a 4xx that names the column, and the server goes on."""
    wrong = []
    sent = 0
    for one in bad:
        sent += 1
        answer = server.ask(url, "POST", "/score", one.body, headers={"Content-Type": one.content_type})
        if not 400 <= answer.status < 500:
            wrong.append(f"{one.what}: gets {answer.status}, not a 4xx")
        elif one.column is not None and one.column not in _columns_named(answer):
            wrong.append(f"{one.what}: the answer does not name the column {_shown(one.column)}")
    if wrong:
        return Check("bad_requests", False, _listed(wrong))
    return Check("bad_requests", True, f"{sent} requests that don't fit get a 4xx")


def latency(url: str, form: str, rows: Golden) -> tuple[float, float]:
    """Milliseconds for one row as a client sees them: the median, and the 99th percentile of a few requests."""
    taken = []
    for number in range(TIMED_REQUESTS):
        started = time.perf_counter()
        server.post(url, requests.request(form, [rows.rows[number % len(rows.rows)]]))
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=100, method="inclusive")[98]


def _expectations(rows: Golden) -> list[tuple[str, Sequence[float], Sequence[Any]]]:
    """What is asked of the golden rows: method, quantiles, and the answers that must come."""
    found: list[tuple[str, Sequence[float], Sequence[Any]]] = [("predict", (), rows.predictions)]
    if rows.probabilities is not None:
        names = [label if isinstance(label, str) else json.dumps(label) for label in rows.classes or ()]
        named = [dict(zip(names, values, strict=True)) for values in rows.probabilities]
        found.append(("predict_proba", (), named))
    if rows.quantiles:
        by_row = zip(*rows.quantiles.values(), strict=True)
        levels = [dict(zip(rows.quantiles, values, strict=True)) for values in by_row]
        whole = [{"forecast": value, "quantiles": level} for value, level in zip(rows.predictions, levels, strict=True)]
        found.append(("forecast", [float(level) for level in rows.quantiles], whole))
    return found


def _differences(expected: Sequence[Any], results: Sequence[Any], rows: Sequence[dict[str, Any]] | None) -> list[str]:
    """A line for each value that differs: which row it is, both values, and what was sent."""
    lines: list[str] = []
    recorded = "the trained model has" if rows is None else "golden.json has"
    for number, (want, got) in enumerate(zip(expected, results, strict=True)):
        parts, found = _parts(want), _parts(got)
        sent = "" if rows is None else f" to {_shown(rows[number], SHOWN_ROW)}"
        if parts and parts.keys() == found.keys():
            lines += [
                f"row {number}, {part}: {recorded} {parts[part]!r}, the server answers {found[part]!r}{sent}"
                for part in parts
                if not same(parts[part], found[part])
            ]
        elif not same(want, got):
            lines.append(f"row {number}: {recorded} {_shown(want)}, the server answers {_shown(got)}{sent}")
    return lines


def _parts(answer: Any) -> dict[str, Any]:
    """The numbers of an answer that has several, each named for a message; empty for a plain one."""
    if not isinstance(answer, dict):
        return {}
    quantiles = answer.get("quantiles")
    if isinstance(quantiles, dict):
        named = {f"quantile {_shown(level)}": value for level, value in quantiles.items()}
        return {"forecast": answer.get("forecast"), **named}
    return {f"class {_shown(name)}": value for name, value in answer.items()}


def same(want: Any, got: Any) -> bool:
    """Whether a served value is the recorded one: numbers within the tolerance, all else equal and of one type.

    Lists of labels are compared in their order, which is that of the classes.
    """
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(same(one, other) for one, other in zip(want, got, strict=True))
    if isinstance(want, float) or isinstance(got, float):
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (want, got))
        return numbers and math.isclose(want, got, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return type(want) is type(got) and bool(want == got)


def _columns_named(answer: server.Answer) -> set[Any]:
    try:
        return {detail["column"] for detail in answer.json["error"]["details"]}
    except (KeyError, TypeError):
        return set()


def _listed(lines: list[str]) -> str:
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def _shown(value: Any, most: int = 80) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else text[: most - 3] + "..."


def _body(answer: server.Answer) -> str:
    return answer.body.decode("utf-8", "replace")[:300]
