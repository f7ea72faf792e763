"""Re-rendering: generate some layers of a stack again, around those that stay.

``plan`` says what happens to each layer, ``prepare`` checks a request and opens what comes with it,
``execute`` writes the new state, ``latents`` shows a model the layers that are there.
"""
