"""What a licensed Nuke has to confirm."""
