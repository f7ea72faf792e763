"""The command line ``layert2v``."""
