"""Pictures: compositing, colour, EXR files and whole layer stacks on disk. Knows no model and no job."""
