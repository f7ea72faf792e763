"""One sentence to a prompt per layer."""
