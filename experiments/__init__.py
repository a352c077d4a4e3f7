"""Wiring of the stages: YAML files and the ``lightning`` launcher. Nothing imports this package."""
