"""Mesh files, read back by the letter of their formats."""

import json
import struct

import numpy as np
import pytest
from core.errors import PortraitError
from core.media.mesh_files import Mesh, write_mesh


@pytest.fixture
def octahedron():
    vertices = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float32)
    faces = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [188, 188, 188], [0, 0, 0], [255, 255, 255]], np.uint8)
    return Mesh(vertices, faces, colours)


def test_normals_look_outwards(octahedron):
    np.testing.assert_allclose(octahedron.normals(), octahedron.vertices, atol=1e-6)


def test_ply(tmp_path, octahedron):
    write_mesh(tmp_path / "a.ply", octahedron)
    header, _, body = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    lines = header.decode().splitlines()
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 6"]
    assert "element face 8" in lines
    assert len(body) == 6 * (6 * 4 + 3) + 8 * (1 + 3 * 4)
    for k in range(6):
        values = struct.unpack_from("<6f3B", body, 27 * k)
        assert values[:3] == values[3:6] == tuple(octahedron.vertices[k])
        assert values[6:] == tuple(octahedron.colours[k])
    faces = [struct.unpack_from("<B3i", body, 6 * 27 + 13 * k) for k in range(8)]
    assert faces == [(3, *face) for face in octahedron.faces.tolist()]


def test_glb(tmp_path, octahedron):
    write_mesh(tmp_path / "a.GLB", octahedron)
    data = (tmp_path / "a.GLB").read_bytes()
    assert struct.unpack_from("<4sII", data) == (b"glTF", 2, len(data))
    length, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    assert length % 4 == 0
    scene = json.loads(data[20 : 20 + length])
    size, kind = struct.unpack_from("<I4s", data, 20 + length)
    blob = data[28 + length :]
    assert kind == b"BIN\0"
    assert size == len(blob) == scene["buffers"][0]["byteLength"]
    dtypes, widths = {5126: "<f4", 5123: "<u2", 5125: "<u4"}, {"VEC3": 3, "VEC4": 4, "SCALAR": 1}

    def read(number):
        accessor = scene["accessors"][number]
        view, dtype, width = scene["bufferViews"][accessor["bufferView"]], dtypes[accessor["componentType"]], widths[accessor["type"]]
        assert view["byteOffset"] % 4 == 0
        return np.frombuffer(blob, dtype, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)

    primitive = scene["meshes"][0]["primitives"][0]
    np.testing.assert_array_equal(read(primitive["attributes"]["POSITION"]), octahedron.vertices)
    np.testing.assert_array_equal(read(primitive["indices"]).reshape(-1, 3), octahedron.faces)
    colours = read(primitive["attributes"]["COLOR_0"]) / 65535
    np.testing.assert_allclose(colours[[0, 4, 5]], [[1, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1]])
    assert colours[3, 0] == pytest.approx(0.503, abs=1e-3)  # sRGB 188 is half the light
    assert scene["accessors"][0]["min"] == [-1, -1, -1]


def test_other_endings_are_refused(tmp_path, octahedron):
    with pytest.raises(PortraitError, match="E_FORMAT"):
        write_mesh(tmp_path / "a.obj", octahedron)
    assert not list(tmp_path.iterdir())
