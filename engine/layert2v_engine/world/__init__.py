"""The closed picture world that Mini learns: named figures in named places, true layers.

Words and captions need nothing but the standard library; drawing needs numpy and torch.
"""
