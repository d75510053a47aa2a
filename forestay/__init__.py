"""What every room shares: errors, console, project layout, the command tree, the whole loop (ship)."""

__version__ = "0.1.0"

LOCAL = "local"
"""The environment that is this machine; any other is a stack's."""
