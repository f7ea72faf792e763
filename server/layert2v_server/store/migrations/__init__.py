"""Schema versions of the job store, oldest first."""
