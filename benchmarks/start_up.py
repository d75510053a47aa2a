"""How soon the command line answers when there is nothing to do, against an interpreter that imports click."""

from __future__ import annotations

from benchmarks.harness import Measured, compare, forestay, python

PEER = "python -c 'import click'"
BOUND = 3.0


def measure() -> list[Measured]:
    peer = python("import click")
    return [
        compare("forestay --help", forestay("--help"), PEER, peer, BOUND),
        compare("forestay job --help", forestay("job", "--help"), PEER, peer, BOUND),
        compare("forestay job submit --help", forestay("job", "submit", "--help"), PEER, peer, BOUND),
        compare("a command that is not there", forestay("nothing"), PEER, peer, BOUND, codes=(2,)),
        compare("an option that is not there", forestay("job", "list", "--nothing"), PEER, peer, BOUND, codes=(2,)),
    ]
