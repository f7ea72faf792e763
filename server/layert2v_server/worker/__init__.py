"""The other end of an executor: the process that loads an engine, and the messages it speaks."""
