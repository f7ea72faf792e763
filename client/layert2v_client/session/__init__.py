"""What a host needs: requests in the background, events on its own thread."""
