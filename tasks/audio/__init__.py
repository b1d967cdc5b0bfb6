"""Audio processing, from bytes to strips: decode, denoise, chunk, spectrogram, features, augment."""
