"""Named ways from footage or a sentence to a stack, with networks that their owners publish.

A recipe says what it needs before it starts, and never goes online.
"""
