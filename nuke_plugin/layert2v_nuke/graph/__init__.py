"""A node graph as data, and what it is written as."""
