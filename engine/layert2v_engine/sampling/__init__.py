"""Sampling: noise levels, solvers, guidance, the denoising loop."""
