"""Subjects that move: animals, sprites, vehicles."""
