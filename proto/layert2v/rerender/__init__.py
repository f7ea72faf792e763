"""What changes about a stack, and what follows from it."""
