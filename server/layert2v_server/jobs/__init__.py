"""What a job is, how it lives, and the board where the running server changes and observes it."""
