"""Every row, in the order of the table. Add yours here."""

from benchmarks import faces, frame, landmarks, people, portrait, raster, speech, volume
from benchmarks.row import Row

ROWS: tuple[Row, ...] = (*raster.ROWS, *faces.ROWS, *frame.ROWS, *landmarks.ROWS, *people.ROWS, *portrait.ROWS, *speech.ROWS, *volume.ROWS)
