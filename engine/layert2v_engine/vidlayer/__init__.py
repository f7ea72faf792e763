"""Data sets of layered video: cut from ordinary footage, inspected, written and read again."""
