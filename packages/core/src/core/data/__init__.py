"""Clips of labelled people on disk, and the layers of a portrait."""
