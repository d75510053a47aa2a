"""The Pulumi program: everything of one stack, by its layer.

It declares and asks nothing: names and ids come from the settings, so that a plan needs no login and no network.
"""

from __future__ import annotations

from infra.settings import ESTATE, StackSettings


def declare(settings: StackSettings) -> None:
    """Declare a stack's resources and export its outputs. Runs inside of a Pulumi program.

    Parameters
    ----------
    settings: the stack's; its layer says whether the estate or the served models are declared.
    """
    # Only one layer's modules of azure-native are loaded: they are large.
    if settings.layer == ESTATE:
        from infra.estate import declare_estate

        declare_estate(settings)
    else:
        from infra.serving import declare_services

        declare_services(settings)
