"""Programs of tests, run through `infra.operate` as the commands run the real one:

    python -m tests.infra.engine_programs COMMAND PROGRAM STACK

prints the outcome as JSON; what is refused ends as the commands end.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from unittest import mock

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_azure_native import resources, storage

from forestay.errors import ForestayError
from infra import estate, operate, stackfile
from infra.addresses import Addresses, names_of
from infra.components import front, handover
from infra.components.aci import ContainerGroup, ContainerGroupArgs
from infra.components.base import Common
from infra.components.group import Group, GroupArgs
from infra.components.identities import Identities, IdentitiesArgs
from infra.program import declare
from infra.services import Service
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


def fronted(settings: StackSettings) -> None:
    """A model behind a Traffic Manager: its image's digest, and how its group answers, are of the environment."""
    digest, answer = os.environ["FORESTAY_DIGEST"], os.environ["FORESTAY_ANSWER"]
    # The engine calls the hooks after the program has ended: these stay as they are for the whole process.
    handover.ask = lambda url: answer
    handover.READY_SECONDS, handover.PAUSE_SECONDS, front.TTL_SECONDS = 0.5, 0.1, 1
    place = names_of(settings).of("resourceGroup")
    group = Group("group", GroupArgs(place, settings.location, settings.tags))
    common = Common(names_of(settings), settings.location, group.name, settings.tags)
    service = Service.model_validate(
        {
            "target": "aci",
            "image": f"contoso.azurecr.io/churn@sha256:{digest}",
            "model": "churn",
            "version": "1",
            "auth": "anonymous",
            "public": True,
            "front": "traffic_manager",
        }
    )
    identity = Addresses(settings).of("endpointIdentity").id
    made = ContainerGroup("api", ContainerGroupArgs(common, "api", service, identity, None, {}))
    front.TrafficManager("api-front", front.TrafficManagerArgs(common, "api", service, made.host))


PROGRAMS = {program.__name__: program for program in (renamed, wrong_store, wrong_map, pair, fronted)}


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
