"""Pictures, sound and video in and out. The decoders (PyAV, soundfile) are imported when first used: ``pip install real3d-core[media]``."""

from core.media.audio import read_audio, resample, write_audio
from core.media.image import read_image, write_image
from core.media.video import VideoInfo, VideoWriter, read_video, video_info

__all__ = ["VideoInfo", "VideoWriter", "read_audio", "read_image", "read_video", "resample", "video_info", "write_audio", "write_image"]
