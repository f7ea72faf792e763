"""The one reader of footage: what files say about themselves is followed, or refused by name."""
