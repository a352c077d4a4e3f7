"""What things cost: ``make bench``, or ``python -m benchmarks --only raster,fit --quick --json out/bench.json``.

A row is a function that makes its inputs (always generated) on a device and returns a ``Case``: what to run, how many items one run
yields, and perhaps a baseline that is run in turns with it, so that a busy machine slows both alike. To add rows, write such functions in
a file named after what they measure and add its ``ROWS`` to ``benchmarks/rows.py``. Nothing here is installed or tested for speed.
"""
