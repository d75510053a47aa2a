"""What `pulumi up` starts: the program of the installed `infra` package, on this project's stacks."""

import infra.__main__  # noqa: F401
