"""Clips of data sets as latents and text states on disk, computed once."""
