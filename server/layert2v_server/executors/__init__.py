"""Where jobs run: in worker processes (the default) or, for tests, in a thread of this process."""
