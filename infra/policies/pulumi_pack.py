"""The rules as policies of Pulumi's own policy framework.

The engine starts a pack in one of two ways. Through `pulumi-analyzer-policy-python` it hands over the stack's
configuration in the environment, as it does to a program; through a language host it does not, and the framework keeps
what `ConfigureStack` says to itself. Then a resource's URN names the stack, and the stack's file says the rest.

An input that is not known yet in a preview raises when a rule reads it; the framework then says which rule could not
look, and looks at `up`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache

import pulumi_policy as policy
from pulumi.runtime.config import get_config_env

from forestay import project
from infra import stackfile
from infra.policies.estate import STACK_RULES
from infra.policies.model import Facts, Rule, StackRule, Subject
from infra.policies.rules import RULES

NAME = "forestay"


FactsOf = Callable[[str], Facts]


def start() -> None:
    """Serve the pack until the engine ends it."""
    config = get_config_env()
    given = facts(config, os.environ.get("PULUMI_STACK", "")) if config else None

    def known(urn: str) -> Facts:
        return given or facts_of_file(stack_in(urn))

    policies: list[policy.Policy] = [_resource_policy(rule, known) for rule in RULES]
    policies += [_stack_policy(rule, known) for rule in STACK_RULES]
    policy.PolicyPack(NAME, policies)


def facts(config: Mapping[str, str], stack: str) -> Facts:
    """What the rules need to know of the stack, from its configuration as the engine hands it over."""
    # Secrets of services arrive in clear here; no rule needs them.
    without = {key: text for key, text in config.items() if key != "forestay:services"}
    return Facts.of(stackfile.from_pulumi(without, stack))


@cache
def facts_of_file(stack: str) -> Facts:
    """The same from the stack's file, in the project that the pack runs in. Raises InputError where there is none."""
    return Facts.of(stackfile.load(project.root(), stack).settings)


def stack_in(urn: str) -> str:
    """The stack that a URN is of: `urn:pulumi:STACK::PROJECT::TYPE::NAME`."""
    return urn.partition("::")[0].rpartition(":")[2]


def _resource_policy(rule: Rule, known: FactsOf) -> policy.ResourceValidationPolicy:
    def validate(args: policy.ResourceValidationArgs, report: Callable[..., None]) -> None:
        subject = Subject(args.resource_type, args.name, args.props, args.urn, args.opts.protect)
        for message in rule.check(subject, known(args.urn)):
            report(f"{args.name} {message}; {rule.fix}")

    return policy.ResourceValidationPolicy(rule.name, rule.what, validate, policy.EnforcementLevel(rule.level))


def _stack_policy(rule: StackRule, known: FactsOf) -> policy.StackValidationPolicy:
    def validate(args: policy.StackValidationArgs, report: Callable[..., None]) -> None:
        stack = [_subject(one) for one in args.resources]
        names = {one.urn: one.name for one in stack}
        for violation in rule.check(stack, known(stack[0].urn)) if stack else ():
            report(f"{names[violation.urn]} {violation.message}; {rule.fix}", violation.urn)

    return policy.StackValidationPolicy(rule.name, rule.what, validate, policy.EnforcementLevel(rule.level))


def _subject(one: policy.PolicyResource) -> Subject:
    sources = {key: tuple(source.urn for source in found) for key, found in one.property_dependencies.items()}
    return Subject(one.resource_type, one.name, one.props, one.urn, one.opts.protect, sources=sources)
