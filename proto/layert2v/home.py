"""Where things of a user lie when nobody says where."""

from __future__ import annotations

import tempfile
from pathlib import Path


def data_folder() -> Path:
    """Return the data folder of this user: in the home folder, where there is one.

    Services and containers run as users without one; their data goes below the folder for
    temporary files, which a service should not rely on.
    """
    try:
        home = Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "layert2v"
    return home / ".layert2v"
