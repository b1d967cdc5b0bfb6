"""Compiled loops: the FFT and the kernels of denoising and features."""
