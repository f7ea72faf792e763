"""Where the subject is on each frame, roughly: found by itself, by words, or by hints."""
