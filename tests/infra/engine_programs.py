"""Programs of tests, run through `infra.operate` as the commands run the real one:

    python -m tests.infra.engine_programs COMMAND PROGRAM STACK

prints the outcome as JSON; what is refused ends as the commands end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest import mock

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_azure_native import resources, storage

from forestay.errors import ForestayError
from infra import estate, operate, stackfile
from infra.components.identities import Identities, IdentitiesArgs
from infra.program import declare
from infra.settings import StackSettings


def renamed(settings: StackSettings) -> None:
    """The real program after somebody gave a component another name, and an alias."""

    class Renamed(Identities):
        def __init__(self, name: str, args: IdentitiesArgs) -> None:
            super().__init__("principals", args, pulumi.ResourceOptions(aliases=[pulumi.Alias(name=name)]))

    with mock.patch.object(estate, "Identities", Renamed):
        declare(settings)


def wrong_store(settings: StackSettings) -> None:
    """A body with a member that ARM's schema does not know."""
    group = resources.ResourceGroup("group", resource_group_name="wrong", location=settings.location)
    storage.StorageAccount(
        "store",
        account_name="wrong",
        resource_group_name=group.name,
        location=settings.location,
        kind="StorageV2",
        sku={"name": "Standard_LRS"},
        network_rule_set={"defaultAction": "Deny", "bypas": "None"},
    )


def wrong_map(_: StackSettings) -> None:
    """An object with a member that Kubernetes' schema does not know."""
    cluster = kubernetes.Provider("cluster", kubeconfig="{}")
    opts = pulumi.ResourceOptions(provider=cluster)
    kubernetes.core.v1.ConfigMap("map", metadata={"name": "map", "lables": {}}, opts=opts)


def pair(settings: StackSettings) -> None:
    """Two groups, one after the other."""
    first = resources.ResourceGroup("first", resource_group_name="first", location=settings.location)
    resources.ResourceGroup(
        "second",
        resource_group_name="second",
        location=settings.location,
        opts=pulumi.ResourceOptions(depends_on=[first]),
    )


PROGRAMS = {program.__name__: program for program in (renamed, wrong_store, wrong_map, pair)}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(command: str, program: str, stack: str) -> int:
    found = stackfile.load(Path.cwd(), stack)
    try:
        outcome = getattr(operate, command)(found, PROGRAMS[program], _say)
    except ForestayError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit_code
    print(json.dumps(outcome.as_dict()))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
