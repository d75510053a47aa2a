"""Whether this machine, this project and an environment in Azure are fit for work, each with the one thing to do.

In order: `checks` (which looks there are, what each needs) -> `machine`, `place`, `state` (here) -> `access`,
`estate`, `names` (an environment in Azure) -> `run` (all side by side, each within its time) -> findings.

A look reads and asks; it changes nothing, neither here nor in Azure.
"""

from __future__ import annotations

from forestay.doctor.checks import checks_for
from forestay.doctor.model import OK, PROBLEM, WARNING, Check, Finding, exit_code
from forestay.doctor.run import Progress, run

__all__ = ["OK", "PROBLEM", "WARNING", "Check", "Finding", "Progress", "checks_for", "exit_code", "run"]
