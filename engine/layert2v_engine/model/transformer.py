"""Wan's video transformer with layers: the streams of one scene denoised on one shared trajectory.

Same blocks and weights as diffusers' ``WanTransformer3DModel``. What is new: one time per stream, a
learned modulation per role (LayerAdaLN), text routed prompt by prompt, and rotary positions that
run on from stream to stream. With one stream and a zero modulation it is the stock network.
Sources: LayerT2V (arXiv 2508.04228), Wan 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from layert2v_engine.layout import StreamRole
from layert2v_engine.model.attention import (
    KVCache,
    Rotary,
    RoutedTextAttnProcessor,
    StreamAttnProcessor,
    TextContext,
    one_way_mask,
    plan_routes,
)
from layert2v_engine.model.chunked import chunk_count
from layert2v_engine.model.diffusers_classes import (
    Transformer2DModelOutput,
    WanTransformer3DModel,
    WanTransformerBlock,
    register_to_config,
)
from layert2v_engine.model.parallel import Parallelism, TokenShare

ROTARY_THETA = 10000.0


class StreamRotary(nn.Module):
    """Rotary angles of every token.

    dims: the (even) head dimensions given to stream, time, height and width. With 0 for the
        stream, streams differ by time alone: stream s, latent frame k sits at
        s * frames_per_stream + frame_offset + k.
    positions: how many positions each axis has.
    """

    def __init__(self, dims: tuple[int, int, int, int], positions: int) -> None:
        super().__init__()
        self.dims = dims
        for i, width in enumerate(dims):
            frequencies = 1.0 / ROTARY_THETA ** (
                torch.arange(0, width, 2, dtype=torch.float64) / width
            )
            angles = torch.outer(torch.arange(positions), frequencies)
            self.register_buffer(f"cos_{i}", angles.cos().float(), persistent=False)
            self.register_buffer(f"sin_{i}", angles.sin().float(), persistent=False)

    def forward(
        self, stream_indices: Sequence[int], grid: tuple[int, int, int], offset: int, stride: int
    ) -> Rotary:
        """Return cosines and sines [1, S * f * h * w, 1, head_dim / 2] of the streams' tokens.

        grid: tokens (f, h, w) of each stream. offset, stride: latent frames before the first, and
        between two streams. Raises ValueError for more frames or streams than the table has
        positions for, and for streams whose positions overlap.
        """
        frames, height, width = grid
        streams, device = len(stream_indices), self.get_buffer("cos_1").device
        last = offset + frames + (0 if self.dims[0] else max(stream_indices) * stride)
        if max(last, height, width) > len(self.get_buffer("cos_1")):
            raise ValueError(
                f"{last} positions in time are more than this transformer has "
                f"({len(self.get_buffer('cos_1'))}): raise rope_max_seq_len"
            )
        if not self.dims[0] and max(stream_indices) > 0 and offset + frames > stride:
            raise ValueError(
                f"a clip of {offset + frames} latent frames does not fit between two streams, "
                f"which lie {stride} positions apart"
            )
        stream = torch.tensor(list(stream_indices), device=device)
        time = (offset + torch.arange(frames, device=device)).expand(streams, frames)
        if not self.dims[0]:
            time = time + stream[:, None] * stride
        axes = (
            (stream, (streams, 1, 1, 1)),
            (time, (streams, frames, 1, 1)),
            (torch.arange(height, device=device), (1, 1, height, 1)),
            (torch.arange(width, device=device), (1, 1, 1, width)),
        )
        shape = (streams, frames, height, width, -1)

        def table(name: str) -> Tensor:
            parts = [
                self.get_buffer(f"{name}_{i}")[index].reshape(*where, -1).expand(shape)
                for i, (index, where) in enumerate(axes)
            ]
            return torch.cat(parts, -1).flatten(0, 3)[None, :, None]

        return table("cos"), table("sin")


def _matmul_dtype(x: Tensor) -> torch.dtype:
    """Return the type a linear layer works in: under autocast the residual stream stays float32."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class LayeredWanBlock(WanTransformerBlock):
    """Wan's block with one modulation per stream, broadcast over its tokens, and routed text.

    is_chunked: whether tokens may take turns, so that its layers are called several times a pass.
    """

    is_chunked = True

    def __init__(
        self,
        dim: int,
        ffn_dim: int,
        heads: int,
        qk_norm: str | None,
        cross_attn_norm: bool,
        eps: float,
    ):
        super().__init__(dim, ffn_dim, heads, qk_norm, cross_attn_norm, eps)
        self.attn1.set_processor(StreamAttnProcessor())
        self.attn2.set_processor(RoutedTextAttnProcessor())
        self._widest = ffn_dim

    def forward(
        self,
        hidden_states: Tensor,  # [B, S * n, D]
        encoder_hidden_states: TextContext,
        temb: Tensor,  # [B, S, 6, D] float32
        rotary_emb: Rotary,
        stream_mask: Tensor | None = None,  # [B, S, S]: which stream sees which
        kv_cache: KVCache | None = None,
    ) -> Tensor:
        """Return tokens [B, S * n, D] of S streams after attention and feed-forward."""
        streams, dtype = temb.shape[1], _matmul_dtype(hidden_states)
        modulation = (self.scale_shift_table.unsqueeze(0) + temb).unsqueeze(3).unbind(2)
        shift, scale, gate, *ffn = modulation  # each [B, S, 1, D]

        x = hidden_states.unflatten(1, (streams, -1))  # [B, S, n, D]
        h = _modulate(self.norm1(x.float()), shift, scale).to(dtype)
        h = self.attn1(h.flatten(1, 2), None, stream_mask, rotary_emb, kv_cache=kv_cache)
        x = (x.float() + h.unflatten(1, (streams, -1)) * gate).type_as(x)
        del h

        count = self._count_chunks(x, dtype)
        if count == 1:
            return self._read_text_and_feed(x, encoder_hidden_states, ffn, kv_cache).flatten(1, 2)
        kv_cache = kv_cache or KVCache(stores_frozen=False)  # text is projected once
        for part in x.chunk(count, 2):
            part.copy_(self._read_text_and_feed(part, encoder_hidden_states, ffn, kv_cache))
        return x.flatten(1, 2)

    def _count_chunks(self, x: Tensor, dtype: torch.dtype) -> int:
        """Return in how many parts the tokens [B, S, n, D] take turns."""
        widest = max(x.shape[3] * 4, self._widest * dtype.itemsize)
        return chunk_count(x[..., 0].numel(), widest, x.device) if self.is_chunked else 1

    def _read_text_and_feed(
        self, x: Tensor, text: TextContext, modulation: Sequence[Tensor], kv_cache: KVCache | None
    ) -> Tensor:
        """Return tokens [B, S, n, D] after what needs no others: text and feed-forward."""
        dtype = _matmul_dtype(x)
        shift, scale, gate = modulation
        h = self.norm2(x.float()).to(dtype)
        h = self.attn2(h.flatten(1, 2), text, kv_cache=kv_cache)
        x = x + h.unflatten(1, (x.shape[1], -1))

        h = _modulate(self.norm3(x.float()), shift, scale).to(dtype)
        return (x.float() + self.ffn(h).float() * gate).type_as(x)


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return x * (1 + scale) + shift, in one piece of memory."""
    return torch.addcmul(shift, x, 1 + scale)


class LayeredWanTransformer3DModel(WanTransformer3DModel):
    """Wan's transformer over the streams of a scene.

    Beside Wan's own arguments (without the image ones, which are accepted and unused):

    roles: names of the LayerAdaLN rows, a role (``foreground``) or one stream (``foreground_02``).
    rope_dims: head dimensions for stream, time, height and width; None is Wan's own split with the
        streams in series.
    position_grid: rows and columns of a learned table of absolute positions, resized to the token
        grid; None is Wan, which has none.
    """

    _repeated_blocks: ClassVar = ["LayeredWanBlock"]
    _no_split_modules: ClassVar = ["LayeredWanBlock"]
    _keep_in_fp32_modules: ClassVar = [
        *WanTransformer3DModel._keep_in_fp32_modules,
        "layer_modulation",
        "position_table",
    ]
    _cp_plan = None  # Wan's plan splits the sequence without regard to streams

    @register_to_config
    def __init__(
        self,
        patch_size: Sequence[int] = (1, 2, 2),
        num_attention_heads: int = 40,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 13824,
        num_layers: int = 40,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        roles: Sequence[str] = tuple(StreamRole),
        rope_dims: Sequence[int] | None = None,
        position_grid: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            patch_size=tuple(patch_size),
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            text_dim=text_dim,
            freq_dim=freq_dim,
            num_layers=0,  # the blocks are ours
            rope_max_seq_len=rope_max_seq_len,
        )
        self.register_to_config(num_layers=num_layers, ffn_dim=ffn_dim)
        dim = num_attention_heads * attention_head_dim
        self.blocks = nn.ModuleList(
            LayeredWanBlock(dim, ffn_dim, num_attention_heads, qk_norm, cross_attn_norm, eps)
            for _ in range(num_layers)
        )
        self.rope = StreamRotary(_rotary_dims(attention_head_dim, rope_dims), rope_max_seq_len)
        self.layer_modulation = nn.Parameter(torch.zeros(len(roles), 6, dim))
        self.position_table = (
            nn.Parameter(torch.zeros(*position_grid, dim)) if position_grid else None
        )
        self._share: TokenShare | None = None

    def share_tokens(self, kind: Parallelism) -> None:
        """Compute from now on the tokens of this process' share, and tell all outputs to all."""
        self._share = TokenShare(kind)
        for block in self.blocks:
            block.get_submodule("attn1").processor.share = self._share  # type: ignore[union-attr]

    def enable_cache(self, config: Any) -> None:
        """Let diffusers skip blocks as ``config``, one of its cache configurations, says.

        Its caches look up exact classes, so that they do not know a subclass of Wan's block by
        themselves. Their registry imports every transformer there is, and is not touched before.
        """
        from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry

        TransformerBlockRegistry.register(
            model_class=LayeredWanBlock,
            metadata=TransformerBlockMetadata(
                return_hidden_states_index=0, return_encoder_hidden_states_index=None
            ),
        )
        super().enable_cache(config)

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        *,
        roles: Sequence[int],
        attended_prompts: Sequence[Sequence[int]],
        prompt_mask: Tensor | None = None,
        frame_offset: int = 0,
        frames_per_stream: int | None = None,
        frozen: Tensor | None = None,
        stream_indices: Sequence[int] | None = None,
        kv_caches: Sequence[KVCache] | None = None,
        return_dict: bool = True,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Predict for latents [B, S, C, F, H, W] a tensor of the same shape.

        timestep: [B] or one per stream [B, S], 0 (clean) to 1000 (noise).
        encoder_hidden_states: [B, P, L, text_dim], prompts apart.
        roles: the LayerAdaLN row of each stream.
        attended_prompts: for each stream the indices of the prompts it attends to.
        prompt_mask: [B, P, L], true at real tokens; None attends to padding too, as Wan does.
        frame_offset, frames_per_stream: rotary positions in latent frames; a still that stands for
            frame 2 of a clip of 3 is (2, 3). The default is a whole clip.
        frozen: [B, S], true at streams that see one another only, while the rest sees all; None
            lets every stream see all.
        stream_indices: which streams of the scene these are, where they are not all of them.
        kv_caches: one per block, for the passes of one run with the same text.
        Raises ValueError for latents that are no whole number of patches or have no positions.
        """
        batch, streams, _, frames, height, width = hidden_states.shape
        patch = self.config.patch_size
        sides = zip((frames, height, width), patch, strict=True)
        if any(side % length for side, length in sides):
            raise ValueError(
                f"latents of {frames} x {height} x {width} are no whole patches of "
                f"{' x '.join(map(str, patch))}"
            )
        grid = (frames // patch[0], height // patch[1], width // patch[2])
        if timestep.ndim == 1:
            timestep = timestep[:, None].expand(batch, streams)

        x = self._embed_latents(hidden_states, grid)
        time, modulation = self._embed_time(timestep)
        modulation = modulation + self.layer_modulation[list(roles)]
        is_text_cached = kv_caches is not None and kv_caches[0].text is not None
        states = encoder_hidden_states
        if not is_text_cached:
            states = self.condition_embedder.text_embedder(states)
        text = TextContext(states, prompt_mask, plan_routes(attended_prompts))
        indices = range(streams) if stream_indices is None else stream_indices
        rotary = self.rope(indices, grid, frame_offset, frames_per_stream or grid[0])
        if self._share is not None:
            own = self._share.split
            x = own(x.unflatten(1, (streams, -1))).flatten(1, 2)
            cos, sin = (own(each.unflatten(1, (streams, -1))).flatten(1, 2) for each in rotary)
            rotary = cos, sin
        stream_mask = None if frozen is None else one_way_mask(frozen)

        for i, block in enumerate(self.blocks):
            kv_cache = kv_caches[i] if kv_caches else None
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                x = self._gradient_checkpointing_func(
                    block, x, text, modulation, rotary, stream_mask
                )
            else:
                x = block(x, text, modulation, rotary, stream_mask, kv_cache)

        shift, scale = (self.scale_shift_table.unsqueeze(0) + time.unsqueeze(2)).chunk(2, dim=2)
        y = _modulate(self.norm_out(x.float()).unflatten(1, (streams, -1)), shift, scale)
        y = self.proj_out(y.to(_matmul_dtype(x)))  # [B, S, n, patch * C]
        if self._share is not None:
            y = self._share.join(y)
        y = y.view(batch, streams, *grid, *patch, -1).permute(0, 1, 8, 2, 5, 3, 6, 4, 7)
        sample = y.flatten(7, 8).flatten(5, 6).flatten(3, 4)
        return Transformer2DModelOutput(sample=sample) if return_dict else (sample,)

    def _embed_latents(self, latents: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Embed latents [B, S, C, F, H, W] as tokens [B, S * n, D], in float32 under autocast."""
        batch = latents.shape[0]
        x = self.patch_embedding(latents.flatten(0, 1))  # [B * S, D, f, h, w]
        if torch.is_autocast_enabled(x.device.type):
            x = x.float()
        if self.position_table is not None:
            x = x + _resize_table(self.position_table, grid[1:]).to(x.dtype)
        return x.flatten(2).transpose(1, 2).reshape(batch, -1, x.shape[1])

    def _embed_time(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """Embed times [B, S] as [B, S, D] and modulation [B, S, 6, D], never under autocast."""
        embedder = self.condition_embedder
        with torch.autocast(timestep.device.type, enabled=False):
            waves = embedder.timesteps_proj(timestep.flatten()).unflatten(0, timestep.shape)
            time = embedder.time_embedder(waves.to(embedder.time_embedder.linear_1.weight.dtype))
            time = time.to(embedder.time_proj.weight.dtype)
            modulation = embedder.time_proj(embedder.act_fn(time))
        return time, modulation.unflatten(2, (6, -1)).float()


def _resize_table(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return a table [h, w, D] at the size of a token grid, as [D, 1, h, w]."""
    image = table.permute(2, 0, 1)
    if image.shape[1:] != grid:
        image = F.interpolate(image[None], grid, mode="bicubic")[0]
    return image[:, None]


def _rotary_dims(head_dim: int, dims: Sequence[int] | None) -> tuple[int, int, int, int]:
    if dims is None:
        side = 2 * (head_dim // 6)
        return 0, head_dim - 2 * side, side, side
    stream, time, height, width = dims
    if stream + time + height + width != head_dim or any(d % 2 for d in dims):
        raise ValueError(f"rope_dims {tuple(dims)} must be even and add up to {head_dim}")
    return stream, time, height, width
