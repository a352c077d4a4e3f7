"""Losses of all stages as pure functions (Eq. 3, 4, 6, 7; spec 9)."""
