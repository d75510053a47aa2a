"""What builds an image: a program on this machine, or the registry of an environment in Azure."""

from __future__ import annotations

from collections.abc import Callable

from automl_jobs.azure.arm import Arm
from forestay import LOCAL
from forestay.errors import InputError, OutsideError
from scoring.images import acr_tasks, builders
from scoring.images.builders import AZURES_PLATFORM, ImageBuilder

NAMES = (*builders.NAMES, acr_tasks.NAME)


def platform_of(tag: str, env: str) -> str:
    """What an image is to be built for: Azure's machines, where it goes there, whichever this machine is."""
    return AZURES_PLATFORM if env != LOCAL or builders.goes_elsewhere(tag) else builders.own_platform()


def choose(
    name: str | None,
    env: str = LOCAL,
    say: Callable[[str], None] = lambda _: None,
    *,
    platform: str = AZURES_PLATFORM,
) -> ImageBuilder:
    """The builder of this name; else the first that runs here; else, for an environment in Azure, its registry.

    `platform` is what it is to build for; Azure's registry builds for Azure.

    Raises InputError when the registry is asked for without an environment, OutsideError when nothing can build.
    """
    if name != acr_tasks.NAME:
        try:
            return builders.choose(name, platform)
        except OutsideError:
            if name is not None or env == LOCAL:
                raise
            say("no builder runs on this machine: the environment's registry builds")
    if env == LOCAL:
        fix = "name the environment whose registry it is: --env dev"
        raise InputError("needs a registry in Azure", where=f"--builder {acr_tasks.NAME}", fix=fix)
    return acr_tasks.AcrTasks(Arm.of(env))
