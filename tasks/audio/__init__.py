"""From audio bytes to strips: decode, denoise, chunk, spectrogram, features, augment."""
