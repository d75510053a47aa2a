"""What has to be set up once in a CI system and in Azure before rendered pipelines can run; no secret is among it.

https://docs.github.com/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-azure
https://learn.microsoft.com/azure/devops/pipelines/release/configure-workload-identity
"""

from __future__ import annotations

from collections.abc import Iterator

from forestay import LOCAL
from forestay.pipelines import FOLDERS
from forestay.pipelines.settings import AZURE_DEVOPS, FILE, GITHUB, HOSTED, PipelineSettings

VARIABLES = "AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_SUBSCRIPTION_ID"


def steps(s: PipelineSettings) -> Iterator[str]:
    """One line for each thing."""
    yield from _github(s) if s.ci == GITHUB else _devops(s)
    if s.requirements is None and s.wheel is None and "/" not in s.install:
        yield (
            f"an index with {s.install} that pip asks, by the variable PIP_INDEX_URL where it is your own; or name a "
            f"wheel of the project or git+https as `install` in {FILE}, or a lock as `requirements`"
        )
    yield from _runners(s)
    if s.estates:
        yield "these identities under forestay:principals of their stacks, and a state of Pulumi's that they reach"


def _runners(s: PipelineSettings) -> Iterator[str]:
    """Runners of one's own, with what hosted ones have."""
    tools = ["Linux on x64", "git", "jq", "curl", f"Python {s.python}", *(["az"] if s.ci == AZURE_DEVOPS else [])]
    if s.runner != (HOSTED,):
        comments = ["gh"] if s.ci == GITHUB and s.stacks else []
        yield f"a runner with {', '.join(s.runner)} for pull requests: {', '.join([*tools, *comments])}"
    for env in s.all:
        runner = s.of(env).runner
        if runner != (HOSTED,):
            images = ["docker, podman or buildah"] if s.in_stacks and env in s.deploy else []
            yield f"a runner with {', '.join(runner)} for {env}: {', '.join([*tools, *images])}"


def _github(s: PipelineSettings) -> Iterator[str]:
    for env in s.all:
        one = s.of(env)
        for name in (env, one.reader) if one.reader else (env,):
            if env == LOCAL:
                yield f"environment {name}: only the branch {s.branch} may deploy"
            else:
                identity = "that only reads" if name == one.reader else "of its own"
                subject = f"repo:OWNER/NAME:environment:{name}"
                yield (
                    f"environment {name}: only the branch {s.branch} may deploy; variables {VARIABLES} of an identity "
                    f"{identity}, whose federated credential has the subject {subject}"
                )
    yield f"environment {s.deploy[-1]}: reviewers, who approve what gets there"
    waiting = [env for env in s.estates if env == s.deploy[-1] and s.of(env).reader is None]
    yield from (
        f"environment {env} without reviewers as its `reader`, or drift checks wait for them" for env in waiting
    )
    if s.in_stacks:
        yield f"leave for the workflows to push stacks/*-services.yaml to {s.branch}"


def _devops(s: PipelineSettings) -> Iterator[str]:
    yield f"a pipeline of each file in {FOLDERS[s.ci]}"
    for env in s.estates:
        yield f"service connection {s.connection(env)}: workload identity federation, an identity of its own"
    for env in s.all:
        checks = (
            "approvals, branch control, exclusive lock" if env == s.deploy[-1] else "branch control, exclusive lock"
        )
        yield f"environment {env}: checks ({checks})"
    yield f"a branch policy of {s.branch} that builds forestay-pull-request; the build service may write comments"
    if s.in_stacks:
        yield f"leave for the build service to push stacks/*-services.yaml to {s.branch}"
