"""A server that is up at once: what the tests of endpoints start where it is not the real server that they are about.

It is started as an environment's Python would be, with the command line of scoring.server, answers with the golden
predictions of the folder, and ends as gunicorn does: it takes nothing more, and answers what it has taken. With a file
`broken` in the folder it ends at once; with `wrong` it answers something else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scoring import environment

SCRIPT = """\
#!{python} -I
import http.server, json, os, pathlib, select, signal, socket, sys, threading

folder = pathlib.Path(sys.argv[sys.argv.index("gunicorn") - 1])
if (folder / "broken").exists():
    sys.exit("RuntimeError: broken")
answers = folder / "answers.json"  # where golden.json is not, as in an image
golden = json.loads((answers if answers.exists() else folder / "golden.json").read_text())
version = json.loads((folder / "service.json").read_text())["version"]
keys = [os.environ.get(name) for name in ("FORESTAY_KEY_PRIMARY", "FORESTAY_KEY_SECONDARY")]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        described = folder / "openapi.json"
        self.reply(200, described.read_bytes() if self.path == "/openapi.json" and described.exists() else b"Healthy")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print("POST /score", flush=True)
        if any(keys) and self.headers.get("Authorization") not in [f"Bearer {{key}}" for key in keys]:
            return self.reply(401, b"{{}}")
        results = golden["predictions"]
        if body.get("GlobalParameters", {{}}).get("method") == "predict_proba":
            results = [dict(zip(golden["classes"], row)) for row in golden["probabilities"]]
        results = results[: len(body["data"])]
        self.reply(200, json.dumps({{"Results": ["wrong"] if (folder / "wrong").exists() else results}}).encode())

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("x-model-version", version)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # server_close() waits for them


server = Server(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket.close()
ended, end = os.pipe()
signal.signal(signal.SIGTERM, lambda *_: os.write(end, b"x"))
listening = [socket.socket(fileno=int(word[5:])) for word in sys.argv if word.startswith("fd://")]
for one in listening:
    one.listen(128)
    one.setblocking(False)
while True:
    ready, _, _ = select.select([ended, *listening], [], [])
    if ended in ready:
        break
    for one in ready:
        try:
            connection, address = one.accept()
        except BlockingIOError:  # the other server took it
            continue
        connection.setblocking(True)
        server.process_request(connection, address)
for one in listening:
    one.close()
server.server_close()
"""


SCHEMA = {
    "task": "classification", "target": "y", "target_type": "string", "classes": ["no", "yes"],
    "columns": [{"name": "a", "type": "numeric", "used": True}], "algorithm": "None", "python": "3.11.7",
    "packages": {}, "files": {},
}  # fmt: skip
GOLDEN: dict[str, Any] = {
    "rows": [{"a": 1}, {"a": 2}], "predictions": ["yes", "no"], "classes": ["no", "yes"],
    "probabilities": [[0.1, 0.9], [0.8, 0.2]],
}  # fmt: skip
INTERFACE = {
    "paths": {"/score": {"post": {"requestBody": {"content": {"application/json": {
        "examples": {"data": {"value": {"data": GOLDEN["rows"][:1]}}},
    }}}}}},
}  # fmt: skip
LOCK = "".join(f"{name}==1.0\n" for name in ("azureml-inference-server-http", "inference-schema", "numpy", "pandas"))


def scoring_folder(path: Path, version: str, *more: str) -> Path:
    """A scoring folder that this server can serve, with the files `more` in it."""
    (path / "model").mkdir(parents=True)
    record = {"generator": "forestay", "forestay": "0", "model": "Quick", "job": "j", "trial": "t", "files": {}}
    documents = {
        "model/model_schema.json": SCHEMA,
        "golden.json": GOLDEN,
        "sample_request.json": {"data": GOLDEN["rows"][:1]},
        "service.json": {"model": "Quick", "version": version},
        "openapi.json": INTERFACE,
        "forestay.json": {**record, "version": version},
    }
    for name, document in documents.items():
        (path / name).write_text(json.dumps(document))
    (path / "conda_env.yaml").write_text("dependencies: [python=3.11.7, {pip: []}]")
    (path / "requirements.lock").write_text(LOCK)
    for name in ("score.py", "wsgi.py", *more):
        (path / name).write_text("")
    return path


def install(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let every environment be the one with this server; gives its Python."""
    python = place / "bin" / "python"
    python.parent.mkdir()
    python.write_text(SCRIPT.format(python=sys.executable))
    python.chmod(0o755)
    monkeypatch.setattr(environment, "ensure", lambda *_: environment.Environment(python, built=False))
    return python
