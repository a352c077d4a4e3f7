"""HuBERT: long sound in pieces, half precision, fairseq's files, features kept on disk. Networks are tiny and random."""

import copy
import sys
import types

import numpy as np
import pytest
import torch
from audio2motion import Audio2Motion, StreamingAudio2Motion, motion_from_audio
from audio2motion.config import Audio2MotionConfig
from audio2motion.encoders import encoder_for, require_encoder
from audio2motion.fairseq_hubert import read_fairseq_hubert
from audio2motion.feature_cache import CachedEncoder
from audio2motion.hubert import HubertEncoder
from core.errors import PortraitError

transformers = pytest.importorskip("transformers")
LARGE = dict(do_stable_layer_norm=True, feat_extract_norm="layer", conv_bias=True)
BASE = dict(do_stable_layer_norm=False, feat_extract_norm="group", conv_bias=False)


def tiny(kind=LARGE, seed=0):
    torch.manual_seed(seed)
    config = transformers.HubertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24, conv_dim=(8,) * 7, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2, **kind,
    )  # fmt: skip
    network = transformers.HubertModel(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2) if parameter.ndim > 1 else torch.nn.init.normal_(parameter, 0.5, 0.1)
    return network


@pytest.fixture(scope="module")
def wave():
    rng = np.random.default_rng(0)
    return torch.from_numpy((0.1 * rng.normal(size=640 * 100 + 7)).astype(np.float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("hubert")
    tiny().save_pretrained(path)
    return str(path)


def test_pieces_with_context_equal_the_whole(folder, wave, tmp_path):
    """Exactly where nothing reaches farther than the context; nearly with attention, which does."""
    local = tiny()
    for layer in local.encoder.layers:
        torch.nn.init.zeros_(layer.attention.out_proj.weight)
        torch.nn.init.zeros_(layer.attention.out_proj.bias)
    local.save_pretrained(tmp_path)
    for source, tolerance in ((str(tmp_path), 1e-4), (folder, 0.1)):
        whole = HubertEncoder(source, piece=1000)(wave)
        assert whole.shape == (201, 16)
        pieces = HubertEncoder(source, piece=40, context=20)(wave)
        bare = HubertEncoder(source, piece=40, context=0)(wave)
        error, without = float((pieces - whole).abs().max()), float((bare - whole).abs().max())
        assert error < tolerance * float(whole.std())
        assert without > 3 * error


def test_half_precision(folder, wave):
    full, half = HubertEncoder(folder)(wave[:32_000]), HubertEncoder(folder, half=True)
    assert next(half._network.parameters()).dtype == torch.float16
    made = half(wave[:32_000])
    assert made.dtype == torch.float32
    assert not torch.equal(made, full)
    torch.testing.assert_close(made, full, atol=0.05, rtol=0.05)


def test_damaged_and_empty_sound(folder, wave):
    encoder, broken = HubertEncoder(folder), wave[:16_000].clone()
    broken[5:50], broken[70] = float("nan"), float("inf")
    assert torch.isfinite(encoder(broken)).all()
    assert torch.isfinite(encoder(torch.zeros(8000))).all()
    assert encoder(torch.zeros(0)).shape == (0, 16)
    torch.testing.assert_close(encoder(wave[:16_000] * 0.01 + 0.3), encoder(wave[:16_000]), atol=0.02, rtol=0.02)


def test_live_speech_through_hubert(folder, wave):
    """Blocks do not matter, and memory of the past is all that the whole has more."""
    torch.manual_seed(0)
    sizes = Audio2MotionConfig.preset("debug").__dict__ | {"audio": "hubert", "audio_width": 16, "audio_source": folder}
    net, encoder = Audio2Motion(Audio2MotionConfig(**sizes)).eval(), HubertEncoder(folder)
    sound = wave[:32_000].numpy()
    one, other = (torch.cat(list(StreamingAudio2Motion(net, encoder, chunk=16).stream(np.array_split(sound, n)))) for n in (1, 23))
    assert one.shape == (50, 64)
    assert torch.equal(one, other)
    voice = encoder.measure(wave[:32_000])
    live = StreamingAudio2Motion(net, encoder, voice, temperature=0.0, chunk=16, lookahead=36).stream([sound])
    torch.testing.assert_close(torch.cat(list(live)), motion_from_audio(net, sound, temperature=0.0), atol=0.02, rtol=0)


# ---- fairseq

RULES = {
    "post_extract_proj": "feature_projection.projection", "encoder.pos_conv.0": "encoder.pos_conv_embed.conv",
    "self_attn.k_proj": "encoder.layers.*.attention.k_proj", "self_attn.v_proj": "encoder.layers.*.attention.v_proj",
    "self_attn.q_proj": "encoder.layers.*.attention.q_proj", "self_attn.out_proj": "encoder.layers.*.attention.out_proj",
    "self_attn_layer_norm": "encoder.layers.*.layer_norm", "fc1": "encoder.layers.*.feed_forward.intermediate_dense",
    "fc2": "encoder.layers.*.feed_forward.output_dense", "final_layer_norm": "encoder.layers.*.final_layer_norm",
    "encoder.layer_norm": "encoder.layer_norm",
}  # fmt: skip
"""Fragments of names in fairseq and where transformers' converter puts them (its MAPPING); "*" is the layer."""


def fairseq_names(network):
    """Names and tensors as fairseq's HubertModel has them, written down from its modules; values of ``network`` are not looked at."""
    config, rng = network.config, torch.Generator().manual_seed(7)
    hidden, by_layer = config.hidden_size, config.feat_extract_norm == "layer"
    shapes = {"mask_emb": (hidden,), "layer_norm.weight": (8,), "layer_norm.bias": (8,), "post_extract_proj.weight": (hidden, 8),
              "post_extract_proj.bias": (hidden,), "encoder.pos_conv.0.bias": (hidden,), "encoder.pos_conv.0.weight_g": (1, 1, 16),
              "encoder.pos_conv.0.weight_v": (hidden, hidden // 2, 16), "encoder.layer_norm.weight": (hidden,),
              "encoder.layer_norm.bias": (hidden,), "label_embs_concat": (10, 4), "final_proj.weight": (4, hidden),
              "final_proj.bias": (4,)}  # fmt: skip
    for index, kernel in enumerate(config.conv_kernel):
        at = f"feature_extractor.conv_layers.{index}"
        shapes[f"{at}.0.weight"] = (8, 8 if index else 1, kernel)
        if by_layer:
            shapes |= {f"{at}.0.bias": (8,), f"{at}.2.1.weight": (8,), f"{at}.2.1.bias": (8,)}
        elif index == 0:
            shapes |= {f"{at}.2.weight": (8,), f"{at}.2.bias": (8,)}
    for index in range(2):
        at = f"encoder.layers.{index}"
        shapes |= {f"{at}.self_attn.{name}_proj.weight": (hidden, hidden) for name in ("k", "v", "q", "out")}
        shapes |= {f"{at}.self_attn.{name}_proj.bias": (hidden,) for name in ("k", "v", "q", "out")}
        shapes |= {f"{at}.{name}.{kind}": (hidden,) for name in ("self_attn_layer_norm", "final_layer_norm") for kind in ("weight", "bias")}
        shapes |= {f"{at}.fc1.weight": (24, hidden), f"{at}.fc1.bias": (24,), f"{at}.fc2.weight": (hidden, 24), f"{at}.fc2.bias": (hidden,)}
    return {name: 0.3 * torch.randn(shape, generator=rng) + (0.5 if len(shape) == 1 else 0.0) for name, shape in shapes.items()}


def converted(network, tensors):
    """The tensors in transformers' network by the rules of its converter."""
    for name, tensor in tensors.items():
        kind = next((kind for kind in ("weight_g", "weight_v", "weight", "bias") if name.endswith(kind)), None)
        if "conv_layers" in name:
            index, part = name.split("conv_layers.")[1].split(".")[:2]
            layer = network.feature_extractor.conv_layers[int(index)]
            place = layer.conv if part == "0" else layer.layer_norm
        else:
            fragments = [fragment for fragment in RULES if fragment in name]
            if name == "mask_emb":
                network.masked_spec_embed.data = tensor
                continue
            if name.split(".")[0] == "layer_norm":
                place = network.feature_projection.layer_norm
            elif len(fragments) == 1:
                layer = name.split(fragments[0])[0].split(".")[-2] if "*" in RULES[fragments[0]] else ""
                place = network.get_submodule(RULES[fragments[0]].replace("*", layer))
            else:
                assert name.startswith(("final_proj", "label_embs"))
                continue
        if kind in ("weight_g", "weight_v"):
            getattr(place.parametrizations.weight, "original0" if kind == "weight_g" else "original1").data = tensor
        else:
            assert getattr(place, kind).shape == tensor.shape
            getattr(place, kind).data = tensor
    return network


@pytest.fixture
def dictionary(monkeypatch):
    """An instance of what stands for fairseq's word list in real checkpoints."""
    kind = type("Dictionary", (), {"__module__": "fairseq.data.dictionary"})
    for name in ("fairseq", "fairseq.data", "fairseq.data.dictionary"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["fairseq.data.dictionary"].Dictionary = kind
    words = kind()
    words.symbols, words.count, words.indices = ["<s>", "0"], [1, 2], {"<s>": 0, "0": 1}
    return words


@pytest.mark.parametrize(("kind", "prefix"), [(LARGE, ""), (BASE, ""), (LARGE, "w2v_encoder.w2v_model.")])
def test_fairseq_checkpoints_by_the_rules_of_transformers(kind, prefix, tmp_path, dictionary, wave):
    network = tiny(kind, seed=3)
    tensors = fairseq_names(network)
    options = {"_name": "hubert", "encoder_attention_heads": 4, "layer_norm_first": kind is LARGE, "extractor_mode": "layer_norm"}
    if prefix:
        options = {"_name": "hubert_ctc", "w2v_args": {"model": options, "task": {}}}
    content = {"args": None, "cfg": {"model": options}, "model": {prefix + name: tensor for name, tensor in tensors.items()},
               "task_state": {"dictionaries": [dictionary]}, "optimizer_history": [{"num_updates": 3, "lr": 0.1}]}  # fmt: skip
    torch.save(content, tmp_path / "hubert.pt")
    sys.modules.pop("fairseq.data.dictionary")
    read = read_fairseq_hubert(tmp_path / "hubert.pt")
    expected = converted(copy.deepcopy(network), tensors)
    assert {name: value.shape for name, value in read.state_dict().items()} == {n: v.shape for n, v in expected.state_dict().items()}
    with torch.no_grad():
        ours, theirs = (each(wave[None, :8000]).last_hidden_state for each in (read, expected))
    assert float(theirs.std()) > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert HubertEncoder(str(tmp_path / "hubert.pt"))(wave[:3200]).shape == (10, 16)


def test_older_files_keep_options_in_a_namespace(tmp_path, wave):
    from argparse import Namespace

    network = tiny(LARGE)
    options = Namespace(encoder_attention_heads=4, layer_norm_first=True)
    torch.save({"args": options, "cfg": None, "model": fairseq_names(network)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert read_fairseq_hubert(tmp_path / "old.pt").config.num_attention_heads == 4


def test_other_files_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return eval, ("__import__('pathlib').Path('executed').touch()",)

    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(PortraitError, match=r"E_WEIGHTS: .*eval, which is not data and was refused"):
        read_fairseq_hubert(tmp_path / "evil.pt")
    torch.save({"model": {"conv.weight": torch.zeros(3)}}, tmp_path / "other.pt")
    with pytest.raises(PortraitError, match="no HuBERT of fairseq"):
        read_fairseq_hubert(tmp_path / "other.pt")
    tensors = fairseq_names(tiny(LARGE))
    torch.save(
        {"cfg": {"model": {"encoder_attention_heads": 4}}, "model": {**tensors, "encoder.extra": torch.zeros(1)}}, tmp_path / "more.pt"
    )
    with pytest.raises(PortraitError, match=r"unknown tensor encoder\.extra"):
        read_fairseq_hubert(tmp_path / "more.pt")
    with pytest.raises(PortraitError, match="E_WEIGHTS: cannot read"):
        HubertEncoder(str(tmp_path / "absent.pt"))


# ---- features on disk


class Counting:
    """A cheap encoder that counts what it is asked."""

    kind, width, rate, fingerprint = "hubert", 3, 50, "a"

    def __init__(self):
        self.calls = 0

    def measure(self, wave, floor=0.0):
        from audio2motion.features import Voice

        return Voice.of(wave, floor)

    def __call__(self, wave, voice=None):
        self.calls += 1
        return wave.new_ones(-(-len(wave) // 320), 3) * float(wave.sum()) * (1.0 if voice is None else voice.gain)


def test_what_was_heard_before_is_read(tmp_path, wave):
    inner = Counting()
    cached = CachedEncoder(inner, tmp_path / "features")
    first = cached(wave[:3200])
    assert torch.equal(cached(wave[:3200]), first)
    assert inner.calls == 1
    again = Counting()
    assert torch.equal(CachedEncoder(again, tmp_path / "features")(wave[:3200]), first)
    assert again.calls == 0
    cached(wave[:3200] * 1.0001)
    cached(wave[:3200], cached.measure(wave))
    inner.fingerprint = "b"
    cached(wave[:3200])
    assert inner.calls == 4
    files = [path for path in (tmp_path / "features").rglob("*") if path.is_file()]
    assert len(files) == 4
    assert not [path for path in files if path.suffix != ".safetensors" or path.name.startswith(".")]


def test_broken_and_unwritable_caches_only_cost_time(tmp_path, wave):
    inner = Counting()
    cached = CachedEncoder(inner, tmp_path)
    first = cached(wave[:640])
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:20])
    assert torch.equal(cached(wave[:640]), first)
    assert torch.equal(cached(wave[:640]), first)
    assert inner.calls == 2
    (tmp_path / "file").write_text("")
    assert CachedEncoder(inner, tmp_path / "file" / "deeper")(wave[:640]).shape == (2, 3)


def test_fingerprints_tell_weights_apart(folder, tmp_path):
    tiny(seed=1).save_pretrained(tmp_path)
    one, same, other = HubertEncoder(folder), HubertEncoder(folder), HubertEncoder(str(tmp_path))
    assert one.fingerprint == same.fingerprint
    assert len({one.fingerprint, other.fingerprint, HubertEncoder(folder, half=True).fingerprint}) == 3


def test_weights_name_their_encoder(folder, tmp_path):
    config = Audio2MotionConfig(audio_source=folder, audio_width=16)
    encoder = encoder_for(config, cache=tmp_path)
    require_encoder(config, encoder)
    with pytest.raises(PortraitError, match="E_FEATURES: the weights expect 1024-wide hubert features at 50 Hz"):
        require_encoder(Audio2MotionConfig(), encoder)
    with pytest.raises(ValueError, match="audio_rate"):
        Audio2MotionConfig(audio_rate=100)
