"""Uploads and downloads: checked and resumable."""
