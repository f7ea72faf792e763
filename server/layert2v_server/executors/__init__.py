"""Executors run jobs: in worker processes, or for tests in a thread of this process."""
