"""The documentation: built, linked, in step with the code, and each of its commands run or checked."""
