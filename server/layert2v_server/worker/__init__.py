"""The worker process, which loads an engine and runs jobs, and its messages."""
