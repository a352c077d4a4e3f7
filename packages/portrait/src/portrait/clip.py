"""From a plan to a video file."""

from dataclasses import replace
from pathlib import Path

from core.media.image import write_image
from core.media.video import VideoWriter

from portrait.badge import Badge
from portrait.listening import FPS
from portrait.pipeline import Portrait
from portrait.plan import Plan
from portrait.sheet import contact_sheet, sheet_frames
from portrait.stream import Progress, closed, prefetch, silently


def write_clip(
    portrait: Portrait, plan: Plan, path: Path, sheet: Path | None = None, badge: bool = True, progress: Progress = silently
) -> None:
    """Render and encode at the same time; the file appears when it is complete, and not at all when anything fails.

    Args:
        portrait: the networks.
        plan: the clip.
        path: video to write, replaced if it exists.
        sheet: contact sheet to write as well (a picture).
        badge: draw the visible "AI generated" label.
        progress: shows how far rendering is.

    Raises:
        PortraitError: when rendering or writing fails.
    """
    chosen = sheet_frames(len(plan)) if sheet else []
    mark = Badge(portrait.size) if badge else None
    kept = []
    frames = progress(prefetch(portrait.render(plan, chosen)), "render", len(plan))
    with VideoWriter(path, portrait.size, FPS, plan.sound) as video, closed(frames):
        for frame in frames:
            shown = replace(frame, image=mark(frame.image)) if mark else frame
            video.write(shown.image)
            if shown.maps:
                kept.append(shown)
    if sheet:
        write_image(sheet, contact_sheet(plan.source.image, kept))
