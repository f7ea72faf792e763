"""Shots as jobs of a farm manager: one whole shot a task, run by the engine without a server."""
