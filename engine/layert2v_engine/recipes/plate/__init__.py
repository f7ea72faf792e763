"""Clean plates by video networks of others: sizes, windows, colors, and each network's adapter."""
