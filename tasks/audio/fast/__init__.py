"""Compiled loops: the Fourier transform, and the kernels of denoising and features."""
