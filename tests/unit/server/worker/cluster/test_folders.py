from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from layert2v_server.worker.cluster.folders import claim_folder, clear_stale_folders

CLAIM = """
import sys
from pathlib import Path
from layert2v_server.worker.cluster.folders import claim_folder
print(claim_folder(Path(sys.argv[1])))
"""


def test_the_folders_of_processes_that_are_gone_are_deleted(tmp_path: Path) -> None:
    stale = subprocess.check_output([sys.executable, "-c", CLAIM, str(tmp_path)], text=True)
    mine = claim_folder(tmp_path)
    clear_stale_folders(tmp_path)
    assert not Path(stale.strip()).exists()
    assert list(tmp_path.iterdir()) == [mine]
