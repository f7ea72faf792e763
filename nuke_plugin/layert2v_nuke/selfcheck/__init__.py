"""Checks that only a licensed Nuke can settle."""
