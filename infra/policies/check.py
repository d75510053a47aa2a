"""Runs all rules over a stack's resources."""

from __future__ import annotations

from collections.abc import Iterable

from infra.plan.model import Finding, PlannedResource
from infra.policies.estate import STACK_RULES
from infra.policies.model import MANDATORY, Facts, Subject
from infra.policies.rules import RULES


def check(resources: Iterable[PlannedResource], facts: Facts) -> tuple[Finding, ...]:
    """What the rules find, mandatory ones first. Resources that others own are not judged."""
    stack = [subject(one) for one in resources if not one.external and not one.component]
    found = [
        Finding(rule.name, rule.level, one.urn, message, rule.fix)
        for rule in RULES
        for one in stack
        for message in rule.check(one, facts)
    ]
    found += [
        Finding(rule.name, rule.level, violation.urn, violation.message, rule.fix)
        for rule in STACK_RULES
        for violation in rule.check(stack, facts)
    ]
    return tuple(sorted(found, key=lambda one: (one.level != MANDATORY, one.rule, one.resource, one.message)))


def subject(one: PlannedResource) -> Subject:
    return Subject(one.type, one.name, one.inputs, one.urn, one.protect, one.id, one.sources)
