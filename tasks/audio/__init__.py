"""From bytes to strips: decode, denoise, chunk, spectrogram, features, augment."""
