"""Coloured triangle meshes as PLY (binary) and GLB (glTF 2.0), which Blender, MeshLab, browsers and phones open."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from core.errors import PortraitError
from core.media.files import atomic_path


@dataclass(frozen=True)
class Mesh:
    """A closed surface with a colour per vertex.

    Attributes:
        vertices: world units; x right, y up, z towards the viewer, as glTF has them.
        faces: vertex numbers, counter-clockwise seen from outside.
        colours: sRGB.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    colours: UInt8[np.ndarray, "v 3"]

    def normals(self) -> Float[np.ndarray, "v 3"]:
        """Unit normals of the vertices: the mean of their triangles', by area."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        of_faces = np.cross(b - a, c - a)
        total = np.zeros_like(self.vertices)
        for k in range(3):
            np.add.at(total, self.faces[:, k], of_faces)
        return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def write_mesh(path: str | Path, mesh: Mesh) -> None:
    """Write a mesh; the file appears when it is complete.

    Raises:
        PortraitError: ``E_FORMAT`` for an ending other than .ply and .glb, ``E_WRITE`` when the file cannot be written.
    """
    encode = {".ply": _ply, ".glb": _glb}.get(Path(path).suffix.lower())
    if encode is None:
        raise PortraitError("E_FORMAT", f"cannot write a mesh named {str(path)!r}", "End the name with .ply or .glb.")
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode(mesh))


def _ply(mesh: Mesh) -> bytes:
    properties = [*(f"property float {n}" for n in ("x", "y", "z", "nx", "ny", "nz")),
                  *(f"property uchar {n}" for n in ("red", "green", "blue"))]  # fmt: skip
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(mesh.vertices)}", *properties,
              f"element face {len(mesh.faces)}", "property list uchar int vertex_indices", "end_header", ""]  # fmt: skip
    vertices = np.zeros(len(mesh.vertices), [("place", "<f4", 3), ("normal", "<f4", 3), ("colour", "u1", 3)])
    vertices["place"], vertices["normal"], vertices["colour"] = mesh.vertices, mesh.normals(), mesh.colours
    faces = np.zeros(len(mesh.faces), [("count", "u1"), ("vertices", "<i4", 3)])
    faces["count"], faces["vertices"] = 3, mesh.faces
    return "\n".join(header).encode() + vertices.tobytes() + faces.tobytes()


def _glb(mesh: Mesh) -> bytes:
    """One node, one mesh, one primitive; colours linear and 16 bits wide, as the format wants them."""
    places = mesh.vertices.astype("<f4")
    srgb = mesh.colours / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    colours = np.full((len(places), 4), 65535, "<u2")
    colours[:, :3] = np.round(linear * 65535)
    parts = [places, mesh.normals().astype("<f4"), colours, mesh.faces.astype("<u4").reshape(-1)]
    kinds = ((5126, "VEC3"), (5126, "VEC3"), (5123, "VEC4"), (5125, "SCALAR"))  # float, float, ushort, uint
    sizes = [part.nbytes for part in parts]
    accessors = [
        {"bufferView": i, "componentType": component, "count": len(part), "type": kind}
        for i, (part, (component, kind)) in enumerate(zip(parts, kinds, strict=True))
    ]
    accessors[0] |= {"min": places.min(0).tolist(), "max": places.max(0).tolist()}
    accessors[2]["normalized"] = True
    views = [{"buffer": 0, "byteOffset": sum(sizes[:i]), "byteLength": size} for i, size in enumerate(sizes)]
    material = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}
    attributes = {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}
    scene = {
        "asset": {"version": "2.0", "generator": "real3d"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}],
        "materials": [material],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": sum(sizes)}],
    }
    words = json.dumps(scene, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 4)
    data = b"".join(part.tobytes() for part in parts)  # every part is a multiple of four bytes long
    chunks = struct.pack("<I4s", len(words), b"JSON") + words + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
