"""A stack's plan: the program's resources, and everything that follows from them."""

from __future__ import annotations

from infra.plan.costs import idle_costs
from infra.plan.model import Plan
from infra.plan.outages import outages_of
from infra.plan.prices import PriceList
from infra.plan.quota import quota_of
from infra.plan.roles import grants_of
from infra.plan.run import Declare, in_order, record
from infra.policies.check import check
from infra.policies.model import Facts
from infra.stackfile import Stack


def plan(stack: Stack, prices: PriceList, declare: Declare) -> Plan:
    """Run the program on a stack's settings, and say what it would make.

    Parameters
    ----------
    stack: whose settings. prices: for what bills while idle. declare: the program, infra.program.declare.
    """
    recorder = record(stack, declare)
    resources = in_order(recorder.recorded)
    principals = recorder.answers.principals
    return Plan(
        env=stack.name,
        location=stack.settings.location,
        resources=resources,
        policy=check(resources, Facts.of(stack.settings)),
        idle_cost=idle_costs(resources, prices),
        roles=grants_of(resources, principals),
        quota=quota_of(resources),
        outages=outages_of(resources, stack.settings.services),
        prices=prices.about,
        principals=dict(sorted(principals.items())),
        outputs=recorder.exports,
    )
