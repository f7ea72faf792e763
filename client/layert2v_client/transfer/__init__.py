"""Files to a server and from it, checked and resumable."""
