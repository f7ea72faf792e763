"""Readers of layered video data sets: the authors' two forms, our own, and any by patterns."""

from layert2v_engine.vidlayer.readers.open import open_data_set
from layert2v_engine.vidlayer.readers.sample import DataSet, LayeredSample, LayerFiles, read_sample

__all__ = ["DataSet", "LayerFiles", "LayeredSample", "open_data_set", "read_sample"]
