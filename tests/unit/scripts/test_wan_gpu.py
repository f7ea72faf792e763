"""The GPU job about Wan, rehearsed: every line of its report, with small networks on a CPU."""

from __future__ import annotations

from functools import partial
from types import ModuleType

import pytest

from fakes.scripts import load_script

SMALL = {"num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 64, "freq_dim": 32}
COMMAND = ["wan_gpu.py", "--device", "cpu", "--blocks", "2", "--size", "32x32", "--frames", "5"]


@pytest.fixture
def wan_gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    script = load_script("bench/wan_gpu")
    monkeypatch.setitem(script.KNOWN, "wan-1.3b", SMALL)
    small = partial(script.AutoencoderKLWan, base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    monkeypatch.setattr(script, "AutoencoderKLWan", small)
    monkeypatch.setattr(script, "measure_rate", lambda *_: 1e12)
    return script


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (
            ["--options", "plain", "cudnn", "skip 0.1", "--decode"],
            ["plain ", "does not run on cpu", "skip 0.1 ", "decoding together", "one by one"],
        ),
        (["--train", "full", "lora"], ["training full", "training lora"]),
    ],
)
def test_every_measurement_runs(
    wan_gpu: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    lines: list[str],
) -> None:
    monkeypatch.setattr("sys.argv", [*COMMAND, *options])
    wan_gpu.main()
    first, *found = capsys.readouterr().out.splitlines()
    assert first.startswith("5 streams, 40 tokens")
    assert len(found) == len(lines)
    for line, wanted in zip(found, lines, strict=True):
        assert wanted in line
