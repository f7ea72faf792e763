"""The running server: submits jobs, schedules them on executors, notifies watchers of changes."""
