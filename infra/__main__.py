"""What `pulumi up` runs: the stack's settings, checked, and everything that they declare."""

import pulumi
from pulumi.runtime.config import get_config_env, get_config_secret_keys_env

from forestay.errors import ForestayError
from infra import stackfile
from infra.program import declare

try:
    settings = stackfile.from_pulumi(get_config_env(), pulumi.get_stack(), get_config_secret_keys_env())
except ForestayError as error:
    raise pulumi.RunError("\n".join(error.lines())) from error  # a message, without a traceback
declare(settings)
