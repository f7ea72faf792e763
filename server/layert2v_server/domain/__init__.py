"""Jobs, their states and their requests. Pure: no store, no messages."""
