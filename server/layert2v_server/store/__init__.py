"""Data that outlives the server process: the job table in SQLite and the folders of results."""
