"""Footage of a scene as inputs of a decomposition: its files, mattes of masks, the request."""
