"""Images: color, compositing, EXR, stills, video, atomic files. Knows no stack, no model."""
