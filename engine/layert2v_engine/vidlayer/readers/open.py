"""A data set by its path, whatever its form."""

from __future__ import annotations

from pathlib import Path

from layert2v_engine.vidlayer.readers.authors import AuthorsFolder, AuthorsLines, is_clip_folder
from layert2v_engine.vidlayer.readers.layout import LAYOUT, LayoutDataSet
from layert2v_engine.vidlayer.readers.own import CATALOGUE, OwnDataSet
from layert2v_engine.vidlayer.readers.sample import DataSet, DataSetError


def open_data_set(path: Path, split: str = "") -> DataSet:
    """Open a data set; its form is told by what lies there. Raises ``DataSetError``.

    split: of our own form, ``train`` or ``held_out``; other forms have none and are read whole.
    """
    data_set: DataSet | None = None
    if path.suffix == ".jsonl" and path.is_file():
        data_set = AuthorsLines(path)
    elif (path / CATALOGUE).is_file():
        data_set = OwnDataSet(path, split)
    elif (path / LAYOUT).is_file():
        data_set = LayoutDataSet(path)
    elif path.is_dir() and any(is_clip_folder(each) for each in path.iterdir()):
        data_set = AuthorsFolder(path)
    if data_set is None:
        raise DataSetError(
            f"There is no data set of a known form at {path}.",
            f"Give a folder with {CATALOGUE} or {LAYOUT}, a folder of clip folders with "
            "full_video.mp4, or a .jsonl file.",
            reason="DATA_SET_UNKNOWN",
        )
    if not data_set.samples:
        of_split = f" of the split {split}" if split and isinstance(data_set, OwnDataSet) else ""
        raise DataSetError(
            f"The data set at {path} holds no clips{of_split}.", "Choose another one."
        )
    return data_set
