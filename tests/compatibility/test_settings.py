"""Settings that were written for v0.1 are read to the last key."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fakes.recorded import RECORDED, call, run
from layert2v_nuke import preferences
from layert2v_nuke.preferences import Preferences


def test_the_server_knows_every_setting() -> None:
    config = RECORDED / "layert2v.toml"
    shown = run("layert2v-server", "serve", "--config", config, "--show-config")
    written = tomllib.loads(config.read_text())["server"]
    written["expose_local_paths"] = written.pop("tell_paths")  # its name of then still works
    assert written.items() <= tomllib.loads(shown)["server"].items()


def test_the_client_connects_as_the_file_says() -> None:
    """Both files are right to the last key: what is missing is what they name."""
    plain = call("layert2v", "jobs", LAYERT2V_CONFIG=str(RECORDED / "layert2v.toml"))
    assert (plain.returncode, "render01:7433" in plain.stderr) == (3, True), plain.stderr
    safe = call("layert2v", "jobs", LAYERT2V_CONFIG=str(RECORDED / "client_tls.toml"))
    assert (safe.returncode, "/shots/ca.pem" in safe.stderr) == (2, True), safe.stderr


def test_nuke_reads_its_preferences(tmp_path: Path) -> None:
    assert preferences.load(RECORDED / "nuke_preferences.json", {}) == Preferences(
        server="render01:7433",
        token="open sesame",  # noqa: S106
        certificate="/shots/ca.pem",
        python="/opt/python/bin/python3",
        server_python="/opt/engine/bin/python3",
        stacks="/shots/stacks",
        cache="/shots/cache",
        cache_limit_gb=5.5,
        path_map=(("/mnt/show", "S:/show"),),
    )
