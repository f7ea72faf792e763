"""Certificates of a test's own, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path


def make_authority(folder: Path, name: str = "authority") -> Pair:
    """Make an authority; skip the test where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates of this test, is not installed")
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl("req", "-x509", *_new_key(pair), "-days", "2", "-subj", f"/CN={name}")
    return pair


def make_certificate(authority: Pair, folder: Path, name: str) -> Pair:
    """Make a certificate for localhost that is signed by ``authority``."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    request, names = folder / f"{name}.csr", folder / f"{name}.names"
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    _openssl("req", *_new_key(pair)[:-2], "-out", str(request), "-subj", f"/CN={name}")
    signing = ["-CA", str(authority.certificate), "-CAkey", str(authority.key), "-CAcreateserial"]
    signed = ["-in", str(request), "-out", str(pair.certificate), "-extfile", str(names)]
    _openssl("x509", "-req", "-days", "2", *signing, *signed)
    return pair


def _new_key(pair: Pair) -> list[str]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    return [*curve, "-keyout", str(pair.key), "-out", str(pair.certificate)]


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
