"""Short clips with true layers, rendered by Cycles from objects that a seed makes."""
