"""What a job is and how it lives. Pure: no store, no messages."""
