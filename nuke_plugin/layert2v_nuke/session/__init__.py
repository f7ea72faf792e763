"""The process that holds the connection to the server, and what goes through it."""
