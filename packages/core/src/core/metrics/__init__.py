"""Metrics of talking portraits, each a pure function and a ``torchmetrics.Metric``; one file per family, defined in ``docs/metrics.md``.

Pictures are RGB in [0, 1], points are MediaPipe's in [0, 1] across a square picture.
Needs torchmetrics: ``pip install real3d-core[metrics]``.
"""
