"""Layer stacks on disk: written, changed, inspected, previewed. Knows no model and no job."""
