"""Figures that move: animals, sprites, vehicles."""
