"""Nuke runs this at every start, with and without an interface: nothing to do.

The folder is on Nuke's path, and so on Python's; callbacks and menus belong to ``menu.py``.
"""
