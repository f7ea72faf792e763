"""Work of the running server: taking jobs in, giving them to executors, telling of changes."""
