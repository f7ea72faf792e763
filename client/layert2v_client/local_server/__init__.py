"""Servers on this machine: a temporary one for a single call, and one that sessions share."""
