"""Uploads and downloads: checked and resumable."""

from layert2v_client.transfer.download import (
    DownloadItem,
    discard,
    discard_partial,
    download_files,
    download_stack,
    finished_artifacts,
    target_path,
)
from layert2v_client.transfer.file_hash import has_content
from layert2v_client.transfer.options import TransferOptions
from layert2v_client.transfer.upload import LocalFile, find_missing, local_file, upload_files

__all__ = [
    "DownloadItem",
    "LocalFile",
    "TransferOptions",
    "discard",
    "discard_partial",
    "download_files",
    "download_stack",
    "find_missing",
    "finished_artifacts",
    "has_content",
    "local_file",
    "target_path",
    "upload_files",
]
