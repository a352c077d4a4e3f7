"""Rasterising triangles: which triangle every pixel sees, and where in it.

Conventions of nvdiffrast (Laine et al. 2020): clip coordinates (x, y, z, w); row 0 of the result lies at NDC y = -1; a pixel is sampled at
its centre; both sides of a triangle are drawn; the nearest ``z / w`` wins; what lies outside ``|z / w| <= 1`` or behind the camera is cut.
"""

from core.raster.api import Backend, Size, interpolate, rasterize

__all__ = ["Backend", "Size", "interpolate", "rasterize"]
