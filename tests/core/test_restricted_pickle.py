"""Foreign pickles: what comes out of NVIDIA-style files, and what is refused."""

import collections
import io
import os
import pickle
import pickletools
import sys
import types

import numpy as np
import pytest
import torch
from core.errors import PortraitError
from core.restricted_pickle import ForeignObject, read_checkpoint
from torch import nn


def module(monkeypatch, name, **members):
    """A module of this name that pickles may refer to."""
    made = types.ModuleType(name)
    for key, value in members.items():
        value.__module__, value.__qualname__, value.__name__ = name, key, key
        setattr(made, key, value)
    monkeypatch.setitem(sys.modules, name, made)
    return made


@pytest.fixture
def persistent(monkeypatch):
    """A base class whose instances pickle themselves as NVIDIA's do: a record with source code, class name and state."""

    def rebuild(meta):
        raise AssertionError("executed")

    class EasyDict(dict):
        def __getattr__(self, name):
            try:
                return self[name]
            except KeyError:
                raise AttributeError(name) from None

    module(monkeypatch, "torch_utils")
    module(monkeypatch, "torch_utils.persistence", _reconstruct_persistent_obj=rebuild)
    module(monkeypatch, "dnnlib")
    easy = module(monkeypatch, "dnnlib.util", EasyDict=EasyDict).EasyDict

    class Persistent(nn.Module):
        def __init__(self, **kwargs):
            super().__init__()
            self._init_args, self._init_kwargs = (), easy(kwargs)

        def __reduce__(self):
            source = "raise SystemExit('the source was executed')"
            meta = {"type": "class", "version": 6, "module_src": source, "class_name": type(self).__name__, "state": self.__dict__}
            return rebuild, (meta,)

    return Persistent


@pytest.fixture
def network(persistent):
    class Layer(persistent):
        def __init__(self, width):
            super().__init__(width=width)
            self.weight = nn.Parameter(torch.arange(2.0 * width).view(2, width).t().contiguous().t())
            self.register_parameter("bias", None)
            self.gain = 1 / np.sqrt(width)
            self.register_buffer("filter", torch.eye(2))

    class Network(persistent):
        def __init__(self):
            super().__init__(sizes=[3, 4], options={"start": 2.25, "name": "auto"})
            self.net = nn.Sequential(Layer(3), nn.Softplus(), Layer(4))
            self.table = np.arange(6, dtype=">f4").reshape(2, 3)
            self.small = nn.Parameter(torch.randn(4, 4)[1:3, ::2].half())

    torch.manual_seed(0)
    return Network()


def refusal(path):
    with pytest.raises(PortraitError) as caught:
        read_checkpoint(path)
    assert caught.value.code == "E_WEIGHTS"
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_and_arguments_come_out_and_nothing_runs(tmp_path, network, protocol):
    file = tmp_path / "net.pkl"
    file.write_bytes(pickle.dumps({"G": None, "G_ema": network}, protocol))
    found = read_checkpoint(file)["G_ema"]
    assert isinstance(found, ForeignObject)
    assert found.kind == "Network"
    assert found.arguments == {"sizes": [3, 4], "options": {"start": 2.25, "name": "auto"}}
    expected = dict(network.state_dict())
    tensors = found.tensors()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], value) and tensors[name].dtype == value.dtype for name, value in expected.items())
    np.testing.assert_array_equal(found.state["table"], network.table)
    layer = found.state["_modules"]["net"].state["_modules"]["0"]
    assert layer.kind == "Layer"
    assert layer.state["gain"] == pytest.approx(3**-0.5, rel=1e-15)


def test_a_shared_part_stays_shared(tmp_path, persistent):
    part = [1, 2]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": part, "b": part, "c": collections.OrderedDict(x=(part,))}))
    found = read_checkpoint(tmp_path / "a.pkl")
    assert found["a"] is found["b"] is found["c"]["x"][0]


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("evil", "name"),
    [
        (Evil(os.system, ("touch {}",)), f"{os.system.__module__}.system"),
        (Evil(eval, ("open('{}', 'w')",)), "builtins.eval"),
        (Evil(getattr, ("text", "upper")), "builtins.getattr"),
        (Evil(torch.load, ("{}",)), "torch.serialization.load"),  # noqa: TID251 - what a file might ask for
        (Evil(np.load, ("{}",)), "numpy.load"),
        (nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    ],
)
@pytest.mark.parametrize("place", ["alone", "nested"])
def test_other_names_are_refused(tmp_path, network, evil, name, place):
    trace = tmp_path / "executed"
    if isinstance(evil, Evil):
        evil = Evil(evil.call[0], tuple(x.format(trace) if isinstance(x, str) else x for x in evil.call[1]))
    if place == "nested":
        network.hidden = {"deep": [evil]}
    file = tmp_path / "evil.pkl"
    file.write_bytes(pickle.dumps({"G_ema": network if place == "nested" else evil}))
    assert name in refusal(file)
    assert not trace.exists()


def test_a_storage_with_a_program_inside_is_refused(tmp_path):
    inner = io.BytesIO()
    torch.save(Evil(os.system, (f"touch {tmp_path / 'executed'}",)), inner)
    file = tmp_path / "evil.pkl"
    file.write_bytes(pickle.dumps(Evil(torch.storage._load_from_bytes, (inner.getvalue(),))))
    assert "system" in refusal(file)
    assert not (tmp_path / "executed").exists()


def test_what_the_list_offers_cannot_be_changed(tmp_path):
    program = b"\x80\x02cdnnlib.util\nEasyDict\nN}(X\x03\x00\x00\x00getX\x01\x00\x00\x00xu\x86b."
    pickletools.dis(program, io.StringIO())  # a well-formed program: EasyDict.get = "x"
    file = tmp_path / "evil.pkl"
    file.write_bytes(program)
    assert "Mapping.get" in refusal(file)


def test_tensors_stay_within_their_storage(tmp_path):
    storage = torch.zeros(4).storage()
    rebuild = torch._utils._rebuild_tensor_v2
    for offset, size, stride in ((0, (5,), (1,)), (2, (2, 2), (2, 1)), (0, (2,), (-1,)), (-1, (1,), (1,))):
        file = tmp_path / "evil.pkl"
        file.write_bytes(pickle.dumps(Evil(rebuild, (storage, offset, size, stride, False, collections.OrderedDict()))))
        assert "beyond its storage" in refusal(file)


def test_arrays_hold_numbers_only(tmp_path):
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps(np.array([{}, []], dtype=object)))
    assert "type O8" in refusal(file)


@pytest.mark.parametrize("cut", [0, 1, 30, -1])
def test_truncated_file(tmp_path, network, cut):
    file = tmp_path / "cut.pkl"
    file.write_bytes(pickle.dumps(network)[:cut])
    assert "not a whole weights file" in refusal(file)


def test_wrong_protocol_and_no_pickle(tmp_path):
    file = tmp_path / "a.pkl"
    file.write_bytes(b"\x80\x09K\x01.")
    assert "unsupported pickle protocol: 9" in refusal(file)
    file.write_bytes(b"<html>404</html>")
    assert "not a whole weights file" in refusal(file)
    assert "No such file" in refusal(tmp_path / "absent.pkl")
    assert "cannot read" in refusal(tmp_path)


def test_endless_object(tmp_path):
    endless = []
    endless.append(endless)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(endless))
    assert "contains itself" in refusal(tmp_path / "a.pkl")


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_checkpoints(tmp_path, zipped):
    file, content = tmp_path / "net.pt", {"model": {"weight": torch.randn(3, 2)}, "step": 7}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(file)
    assert found["step"] == 7
    assert torch.equal(found["model"]["weight"], content["model"]["weight"])
    torch.save({"model": Evil(os.system, ("true",))}, file, _use_new_zipfile_serialization=zipped)
    assert f"{os.system.__module__}.system" in refusal(file)
