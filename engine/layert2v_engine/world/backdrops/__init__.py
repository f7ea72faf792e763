"""Places, their light and their weather."""
