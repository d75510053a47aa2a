"""Scores blocks of rows with a scoring folder's own score.py; run by scoring.batch.pool in the proven environment.

    python -I -B worker.py SETTINGS.json

SETTINGS.json holds {"folder", "cells": cells.py, "form", "probabilities": [class names], "columns": [...]}, each column
with "name" and "type". A message is its length in 8 bytes and then that much JSON, both ways. In comes
{"header": [...], "records": [CSV text, ...]} or {"rows": [{...}, ...]}; out goes
{"results": [...], "rejects": [[position, reason], ...]}. A result, for each row that is not rejected, is a list: the
prediction, then the probabilities that were asked for. The first message out is {"ready": true}.

Needs nothing but the folder's environment, of any Python from 3.8 on: no module of ours is imported, but the named one.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import struct
import sys
from types import ModuleType
from typing import Any, BinaryIO

TOGETHER = 64  # rows that are sent to score.py again as a whole, while it names some that it can't take
LENGTH = struct.Struct(">Q")


def main() -> None:
    csv.field_size_limit(2**31 - 1)  # whoever sends the records bounds them
    with open(sys.argv[1], encoding="utf-8") as stream:
        settings = json.load(stream)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a model prints is no answer
    os.environ["AZUREML_MODEL_DIR"] = os.path.join(settings["folder"], "model")
    sys.path.insert(0, settings["folder"])
    cells = load("cells", settings["cells"])
    score = load("score", os.path.join(settings["folder"], "score.py"))
    score.init()
    send(answers, {"ready": True})
    while (message := receive(sys.stdin.buffer)) is not None:
        send(answers, Block(score, cells, settings).answer(message))


def load(name: str, path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Block:
    """The rows of one message, with what becomes of each."""

    def __init__(self, score: ModuleType, cells: ModuleType, settings: dict[str, Any]) -> None:
        self.score, self.cells, self.settings = score, cells, settings
        self.results: dict[int, Any] = {}
        self.rejects: dict[int, str] = {}

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        if "records" in message:
            rows = self.read(message["header"], message["records"])
        else:
            names = [one["name"] for one in self.settings["columns"]]
            rows = [(number, {name: row[name] for name in names}) for number, row in enumerate(message["rows"])]
        self.ask(rows)
        return {
            "results": [self.results[number] for number in sorted(self.results)],
            "rejects": sorted(self.rejects.items()),
        }

    def read(self, header: list[str], records: list[str]) -> list[tuple[int, dict[str, Any]]]:
        """Records of a CSV file as rows of the model's columns, each with its position."""
        places = [(header.index(one["name"]), one["name"], one["type"]) for one in self.settings["columns"]]
        rows = []
        value = self.cells.value
        for number, record in enumerate(records):
            try:
                [found] = csv.reader([record], strict=True)
            except (csv.Error, ValueError) as error:
                self.rejects[number] = f"not CSV: {error}"
                continue
            if len(found) != len(header):
                self.rejects[number] = f"{len(found)} cells, and the header has {len(header)}"
                continue
            row = {}
            for place, name, kind in places:
                try:
                    row[name] = value(found[place], kind)
                except ValueError as error:
                    self.rejects[number] = f"column {json.dumps(name, ensure_ascii=False)}: {error}"
                    break
            else:
                rows.append((number, row))
        return rows

    def ask(self, rows: list[tuple[int, dict[str, Any]]]) -> None:
        """Score rows; of those that can't be scored together, each part by itself, down to the ones at fault."""
        while rows:
            results, details, reason = self.call([row for _, row in rows])
            if results is not None:
                self.results.update(zip((number for number, _ in rows), results))
                return
            if len(rows) > TOGETHER or (not details and len(rows) > 1):
                middle = len(rows) // 2
                self.ask(rows[:middle])
                rows = rows[middle:]
                continue
            if not details:
                self.rejects[rows[0][0]] = reason
                return
            for place in sorted(details):
                self.rejects[rows[place][0]] = "; ".join(details[place])
            rows = [row for place, row in enumerate(rows) if place not in details]

    def call(self, rows: list[dict[str, Any]]) -> tuple[list[Any] | None, dict[int, list[str]], str]:
        """What score.py makes of rows; or, where it refuses, the problems by row, and what it says of all."""
        predictions, details, reason = self.run(rows, "predict")
        names = self.settings["probabilities"]
        if predictions is None or not names:
            return predictions and [[one] for one in predictions], details, reason
        found, details, reason = self.run(rows, "predict_proba")
        if found is None:
            return None, details, reason
        return [[one, *map(row.get, names)] for one, row in zip(predictions, found)], {}, ""

    def run(self, rows: list[dict[str, Any]], method: str) -> tuple[list[Any] | None, dict[int, list[str]], str]:
        try:
            answer = self.score.run(**body(self.settings["form"], rows, method))
            document = json.loads(answer.get_data())
        except Exception as error:  # noqa: BLE001 - a model may fail on a row in any way; the row is at fault then
            return None, {}, f"the model fails: {type(error).__name__}: {error}"[:300]
        results = document.get("Results") if isinstance(document, dict) else document
        if answer.status_code == 200 and isinstance(results, list) and len(results) == len(rows):
            return results, {}, ""
        told = document.get("error", {}) if isinstance(document, dict) else {}
        details: dict[int, list[str]] = {}
        for one in told.get("details", ()):
            if isinstance(one.get("row"), int) and one["row"] < len(rows):
                column = json.dumps(one.get("column"), ensure_ascii=False)
                details.setdefault(one["row"], []).append(f"column {column}: {one.get('problem')}")
        reason = "the model fails" if answer.status_code >= 500 else str(told.get("message", "refused"))
        return None, details, reason


def body(form: str, rows: list[dict[str, Any]], method: str) -> dict[str, Any]:
    """The arguments of run() for these rows, as in scoring/requests.py."""
    if form == "data":
        return {"data": rows} if method == "predict" else {"data": rows, "GlobalParameters": {"method": method}}
    columns = list(rows[0])
    lists = [[row[name] for name in columns] for row in rows]
    if form == "array":
        return {"data": lists}
    split = {"input_data": {"columns": columns, "index": list(range(len(rows))), "data": lists}}
    return split if method == "predict" else {**split, "params": {"method": method}}


def send(stream: BinaryIO, document: dict[str, Any]) -> None:
    raw = json.dumps(document).encode()
    stream.write(LENGTH.pack(len(raw)) + raw)
    stream.flush()


def receive(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    raw = stream.read(LENGTH.unpack(head)[0])
    return json.loads(raw) if len(raw) == LENGTH.unpack(head)[0] else None


if __name__ == "__main__":
    main()
