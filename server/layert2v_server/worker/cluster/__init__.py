"""A worker on another machine: an actor of a Ray cluster, and a process that speaks for it."""
