"""What `pulumi up` runs: the stack's settings, checked, and everything that they declare."""

import pulumi
from pulumi.runtime.config import get_config_env

from infra import stackfile
from infra.program import declare

declare(stackfile.from_pulumi(get_config_env(), pulumi.get_stack()))
