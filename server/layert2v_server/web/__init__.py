"""What the server shows over HTTP: metrics, and the page of the queue and results."""
