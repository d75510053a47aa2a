"""Where an environment lies in Azure: names from the stack's settings, nothing asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forestay import project
from forestay.errors import InputError

if TYPE_CHECKING:
    from infra.settings import Training

IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"


@dataclass(frozen=True)
class Place:
    """A workspace and what the stack says beside it.

    Attributes
    ----------
    env: the stack. subscription, group, workspace: where the workspace lies. region: of the stack.
    cluster: the name of the stack's own training cluster. training: its settings. trainer: id of its nodes' identity.
    private: whether the estate answers inside its own network only.
    server: id of the identity that served models have. registry: id of the container registry.
    stack_file: "stacks/Pulumi.dev.yaml", for messages.
    """

    env: str
    subscription: str
    group: str
    workspace: str
    region: str
    cluster: str
    trainer: str
    training: Training
    private: bool
    stack_file: str
    server: str = ""
    registry: str = ""

    @property
    def path(self) -> str:
        """The workspace's ARM id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )

    def compute_id(self, name: str) -> str:
        return f"{self.path}/computes/{name}"

    def data_id(self, name: str, version: str) -> str:
        return f"{self.path}/data/{name}/versions/{version}"

    def datastore_uri(self, datastore: str, path: str) -> str:
        """The long form of an address in a datastore, as Azure ML's clients write it."""
        return (
            f"azureml://subscriptions/{self.subscription}/resourcegroups/{self.group}/workspaces/{self.workspace}"
            f"/datastores/{datastore}/paths/{path}"
        )

    @property
    def studio(self) -> str:
        return f"https://ml.azure.com/?wsid={self.path}"


def of(env: str) -> Place:
    """The place of a stack. Raises InputError when there is no such stack, or it is one of served models."""
    from infra import stackfile
    from infra.addresses import Addresses
    from infra.settings import SERVICES

    try:
        root = project.root()
    except InputError as error:
        raise InputError(
            "names a stack, and there is no Pulumi.yaml here or in a folder above",
            where=f"--env {env}",
            fix="go to the project's folder, or leave --env out for this machine",
        ) from error
    stack = stackfile.load(root, env)
    settings = stack.settings
    if settings.layer == SERVICES:
        raise InputError(
            "is the stack of served models, which has no workspace",
            where=f"--env {env}",
            fix=f"say --env {settings.environment}",
        )
    addresses = Addresses(settings)
    workspace = addresses.of("workspace")
    return Place(
        env=env,
        subscription=workspace.subscription,
        group=workspace.group,
        workspace=workspace.name,
        region=settings.location,
        cluster=stack.names.of("computeCluster"),
        trainer=f"{addresses.group.id}/providers/{IDENTITIES}/{stack.names.of('computeIdentity')}",
        training=settings.training,
        private=settings.network.private,
        stack_file=str(stack.path),
        server=addresses.of("endpointIdentity").id,
        registry=addresses.of("containerRegistry").id,
    )
