"""Logs of every level, in each Python process that has this folder on ``PYTHONPATH``."""

import logging

logging.root.setLevel(logging.DEBUG)
logging.root.setLevel = lambda level: None  # type: ignore[method-assign]  # of a later set-up
