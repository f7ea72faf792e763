"""Draw some layers of a stack again and keep the others."""
