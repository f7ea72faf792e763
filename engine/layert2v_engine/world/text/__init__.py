"""Words, scenes and captions of the world."""
