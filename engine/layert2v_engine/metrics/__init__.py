"""Measures of images, mattes and motion. Knows no model and no data set."""
