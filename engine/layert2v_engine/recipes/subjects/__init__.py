"""Subjects by networks of others: boxes from words, masks through a shot."""
