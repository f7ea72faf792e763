"""The trained splitter: its network, its weights, and how footage goes through it."""

from layert2v_engine.decompose.splitter.trained import TrainedSplitter

__all__ = ["TrainedSplitter"]
