"""How good a decomposition is: clips with truth, measures, and the table of docs/decompose.md."""
