"""A stack as the scene shows it: compositor nodes, image planes, strips."""
