"""The local engine against other AutoML systems, on the same rows and cores."""
