"""A server of this machine: one for a single call, one shared by all that run here."""
