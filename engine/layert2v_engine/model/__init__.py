"""The networks of a model, and their checkpoint folder."""
