"""``layert2v info``: what a server and its models offer, and what the caller has there."""

from __future__ import annotations

import argparse
from typing import TextIO

from layert2v.status_text import account_text, file_size
from layert2v_client.cli.common import ENGINE_START_S, open_client, server_address, wait_for_models
from layert2v_client.cli.config import ClientConfig
from layert2v_client.cli.terminal import ProgressLine
from layert2v_client.types import Account


def info(args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine) -> None:
    """Print the server's devices and disk, and what its models offer."""
    with open_client(args, config, line) as client:
        server = wait_for_models(
            client, line, 0.0 if server_address(args, config) else ENGINE_START_S
        )
    line.clear()
    out.write(f"LayerT2V server {server.version}\n")
    out.write(
        f"disk     {file_size(server.used_bytes)} used, {file_size(server.free_bytes)} free\n"
    )
    if server.storage_problem:
        out.write(f"problem  {server.storage_problem}\n")
    if server.account is not None:
        out.write(f"you      {_account_line(server.account)}\n")
    for device in server.devices:
        memory = f", {file_size(device.memory_bytes)}" if device.memory_bytes else ""
        out.write(f"device   {device.name}{memory}, {'ready' if device.ready else 'not ready'}\n")
    for model in server.models:
        (low_w, high_w), (low_h, high_h) = model.width_range, model.height_range
        low, high = model.frames_range
        out.write(
            f"model    {model.name}: {model.title}\n"
            f"  size        {model.default_width}x{model.default_height}, from {low_w}x{low_h} "
            f"to {high_w}x{high_h} in steps of {model.size_step}\n"
            f"  frames      {model.default_frames}, from {low} to {high} in steps of "
            f"{model.frames_step}, {model.default_fps:g} fps\n"
            f"  steps       {model.default_steps}, guidance {model.default_guidance:g}\n"
            f"  foregrounds up to {model.max_foregrounds}\n"
            f"  colorspaces {', '.join(model.colorspaces)}\n"
        )
        for preset in model.presets:
            out.write(f"  preset      {preset.name}: {preset.text}\n")
        for kind, words in model.vocabulary.items():
            out.write(f"  {kind:<11} {', '.join(words)}\n")


def _account_line(account: Account) -> str:
    text = account_text(
        account.used_bytes,
        account.max_bytes,
        account.open_jobs,
        account.queued_jobs,
        account.max_open_jobs,
    )
    return f"{account.user}: {text}; priorities {', '.join(account.priorities)}"
