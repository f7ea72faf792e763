"""The bridge process that is connected to the server, and the requests that go through it."""
