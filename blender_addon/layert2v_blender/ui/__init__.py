"""Panels, preferences and the widgets they share."""
