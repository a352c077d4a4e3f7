"""Faces, outlines and parts of a photo, with the networks bundled in MediaPipe; imported when first used: ``real3d-core[face]``."""
