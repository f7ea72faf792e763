"""The clean plate: what was hidden is seen in other frames, and invented where it never was."""
