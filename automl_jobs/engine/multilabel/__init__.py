"""Multi-label classification of texts: what differs from a job that gives each row one class."""
