"""Recordings in formats that FFmpeg writes and libsndfile does not, encoded with PyAV."""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Format:
    """How to encode a recording. format: as `HeaderFacts.format` names it.  container, codec: FFmpeg's names.

    longest_padding: samples that encoder, container or decoder may add; 0 if the length is exact.
    accuracy: largest difference of a decoded sample; None for codecs that lose something.
    longest_loss: samples that FFmpeg's encoder leaves out at the end.
    level: largest relative change of a tone's level.
    """

    format: str
    container: str
    codec: str
    rate_hz: int = 32_000
    longest_padding: int = 0
    accuracy: float | None = None
    bit_rate: int = 96_000
    sample_format: str = ""
    longest_loss: int = 0
    level: float = 0.05

    def encoded(self, samples: Samples) -> bytes:
        """A file with these samples, (n,) or (n, 2)."""
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=self.container) as file:
            encode_into(file, self.stream_in(file, samples.ndim), samples)
        return buffer.getvalue()

    def stream_in(self, file: av.container.OutputContainer, channels: int = 1) -> av.AudioStream:
        """A new stream of an open file."""
        stream = file.add_stream(self.codec, rate=self.rate_hz, layout="mono" if channels == 1 else "stereo")
        stream.bit_rate = self.bit_rate
        if self.sample_format:
            stream.format = self.sample_format
        return stream


def encode_into(file: av.container.OutputContainer, stream: av.AudioStream, samples: Samples) -> None:
    """Encode all samples, (n,) or (n, 2), into a stream."""
    layout = stream.layout.name
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(np.atleast_2d(samples.T)), format="fltp", layout=layout)
    frame.sample_rate, frame.pts = stream.rate, 0
    size = stream.codec_context.frame_size or 1_024
    resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=stream.rate, frame_size=size)
    for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
        file.mux(stream.encode(piece))


LOSSLESS_16 = 2 / 32_768
FORMATS = [
    Format("MOV/AAC", "ipod", "aac"),
    Format("MOV/ALAC", "ipod", "alac", accuracy=LOSSLESS_16),
    Format("MOV/FLAC", "mp4", "flac", accuracy=LOSSLESS_16),
    Format("MOV/MP3FLOAT", "mp4", "mp3", longest_padding=1_152),
    Format("MOV/OPUS", "mp4", "libopus", rate_hz=48_000),
    Format("MOV/AMRNB", "3gp", "libopencore_amrnb", rate_hz=8_000, bit_rate=12_200, level=0.15),
    Format("MOV/PCM_S16LE", "mov", "pcm_s16le", accuracy=LOSSLESS_16),
    Format("AAC/AAC", "adts", "aac", longest_padding=2_048),
    Format("MATROSKA/AAC", "matroska", "aac", longest_padding=1_024),
    Format("MATROSKA/OPUS", "webm", "libopus", rate_hz=48_000),
    Format("MATROSKA/FLAC", "matroska", "flac", accuracy=LOSSLESS_16),
    Format("AMR/AMRNB", "amr", "libopencore_amrnb", rate_hz=8_000, longest_padding=320, bit_rate=12_200, level=0.15),
    Format("ASF/WMAV1", "asf", "wmav1", longest_padding=4_096, longest_loss=2_048),
    Format("ASF/WMAV2", "asf", "wmav2", longest_padding=4_096, longest_loss=2_048),
    Format("WV/WAVPACK", "wv", "wavpack", sample_format="s16p", accuracy=LOSSLESS_16),
    Format("TTA/TTA", "tta", "tta", sample_format="s16", accuracy=LOSSLESS_16),
    Format("AC3/AC3", "ac3", "ac3", longest_padding=3_072),
    Format("EAC3/EAC3", "eac3", "eac3", longest_padding=3_072),
    Format("AVI/PCM_S16LE", "avi", "pcm_s16le", accuracy=LOSSLESS_16),
    Format("AVI/MP3FLOAT", "avi", "mp3", longest_padding=2_304),
    Format("CAF/ALAC", "caf", "alac", accuracy=LOSSLESS_16),
]
