"""A node graph as data, and its two forms: a script, and nodes built with Nuke's functions."""
