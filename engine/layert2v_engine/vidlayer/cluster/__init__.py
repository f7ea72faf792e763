"""Data sets built by many machines: the stages as actors of a Ray cluster. Needs the extra ray."""
