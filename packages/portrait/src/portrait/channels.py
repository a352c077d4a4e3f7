"""What the command line allows, light to import: what may move each channel of a face, by name; everything else is the name of a file."""

POSES = ("static", "idle")
BLINK_MODES = ("natural", "model", "none", "period")
BROWS = ("prosody",)
GAZE_MODES = ("natural", "still")
TIME_FILES = (".txt", ".csv")
"""What a file with the times of blinks ends with; other files are videos."""
MOST_STEPS = 10_000
"""Of the refinement."""
PRECISIONS = ("auto", "float32", "bfloat16")
BENCHED = ("tiny", "paper", "debug")
LOOKAHEADS = (0, 4, 8, 12)
"""Frames that a live talk can hear ahead; see docs/measurements.md."""
