"""What `pulumi up` runs: the stack's settings, checked, and everything that they declare."""

import pulumi
from pulumi.runtime.config import get_config_env, get_config_secret_keys_env

from infra import stackfile
from infra.program import declare

declare(stackfile.from_pulumi(get_config_env(), pulumi.get_stack(), get_config_secret_keys_env()))
