"""What survives the server: the job table in SQLite and the folders of results."""
