"""Pictures: compositing, colour, EXR files, layer stacks on disk. Knows no model and no job."""
