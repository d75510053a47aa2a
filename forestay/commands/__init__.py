"""The commands, a module a group. A command parses, calls a room, prints, and picks the exit code."""
