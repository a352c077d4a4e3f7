"""fairseq's HuBERT checkpoints (``.pt``) as ``transformers.HubertModel``, without importing fairseq and without executing anything.

Names follow transformers' converter (``models/hubert/convert_hubert_original_pytorch_checkpoint_to_pytorch.py`` up to version 4).
Sizes come from the tensors' shapes; the file's own options tell what shapes cannot.
"""

import re
from pathlib import Path
from typing import Any

from core.errors import PortraitError
from core.restricted_pickle import ForeignObject, read_checkpoint
from torch import Tensor

PREFIX = re.compile(r"^(w2v_encoder\.)?(w2v_model\.)?")
"""In front of all names of a fine-tuned network."""
NAMES = (
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.(weight|bias)", r"feature_extractor.conv_layers.\1.conv.\2"),
    (r"feature_extractor\.conv_layers\.(\d+)\.2(?:\.1)?\.(weight|bias)", r"feature_extractor.conv_layers.\1.layer_norm.\2"),
    (r"layer_norm\.(weight|bias)", r"feature_projection.layer_norm.\1"),
    (r"post_extract_proj\.(weight|bias)", r"feature_projection.projection.\1"),
    (r"mask_emb", "masked_spec_embed"),
    (r"encoder\.pos_conv\.0\.bias", "encoder.pos_conv_embed.conv.bias"),
    (r"encoder\.pos_conv\.0\.weight_g", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"encoder\.pos_conv\.0\.weight_v", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"(encoder\.layer_norm\..+)", r"\1"),
    (r"encoder\.layers\.(\d+)\.self_attn\.(.+)", r"encoder.layers.\1.attention.\2"),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.(.+)", r"encoder.layers.\1.layer_norm.\2"),
    (r"encoder\.layers\.(\d+)\.fc1\.(.+)", r"encoder.layers.\1.feed_forward.intermediate_dense.\2"),
    (r"encoder\.layers\.(\d+)\.fc2\.(.+)", r"encoder.layers.\1.feed_forward.output_dense.\2"),
    (r"(encoder\.layers\.\d+\.final_layer_norm\..+)", r"\1"),
)
UNUSED = re.compile(r"final_proj\..+|label_embs_concat|proj\..+|target_glu\..+")
"""Heads of the pre-training and of speech recognition."""
STRIDES = (5, 2, 2, 2, 2, 2, 2)


def read_fairseq_hubert(path: str | Path) -> Any:
    """``transformers.HubertModel`` in eval mode on the CPU, pre-trained or fine-tuned, base or large.

    Raises:
        PortraitError: ``E_WEIGHTS`` when the file is absent or damaged, asks to execute something, or holds another network.
    """
    from transformers import HubertConfig, HubertModel

    content = read_checkpoint(path)
    try:
        tensors = {PREFIX.sub("", name): value for name, value in content["model"].items()}
        network = HubertModel(HubertConfig(**_config(tensors, _options(content))))
        renamed = _renamed(tensors)
        if "masked_spec_embed" in network.state_dict():  # of the pre-training; fine-tuned files may lack it
            renamed.setdefault("masked_spec_embed", network.masked_spec_embed.detach())
        network.load_state_dict(renamed)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        remedy = "Use a HuBERT checkpoint of fairseq, or a folder or hub id in the format of transformers."
        raise PortraitError("E_WEIGHTS", f"{path} is no HuBERT of fairseq that this code knows: {reason}", remedy) from error
    return network.eval()


def _renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        if UNUSED.fullmatch(name):
            continue
        found = [re.sub(pattern, replacement, name) for pattern, replacement in NAMES if re.fullmatch(pattern, name)]
        if len(found) != 1:
            raise KeyError(f"unknown tensor {name}")
        renamed[found[0]] = tensor.float()
    return renamed


def _options(content: dict[str, Any]) -> dict[str, Any]:
    """Options of the network, wherever this version of fairseq kept them; the innermost are those of HuBERT itself."""
    found = content.get("cfg") or content.get("args") or {}
    options: dict[str, Any] = {}
    while found:
        found = found.state if isinstance(found, ForeignObject) else found
        found = found.get("model", found)
        found = found.state if isinstance(found, ForeignObject) else found
        options |= found
        found = found.get("w2v_args")
    return options


def _config(tensors: dict[str, Tensor], options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of ``HubertConfig``."""
    convolutions = [tensors[f"feature_extractor.conv_layers.{index}.0.weight"].shape for index in range(len(STRIDES))]
    hidden, inner = tensors["encoder.layers.0.self_attn.q_proj.weight"].shape[0], tensors["encoder.layers.0.fc1.weight"].shape[0]
    position = tensors["encoder.pos_conv.0.weight_v"].shape
    layers = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("encoder.layers."))
    by_layer = "feature_extractor.conv_layers.0.2.1.weight" in tensors
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": int(options.get("encoder_attention_heads", hidden // 64)),
        "intermediate_size": inner,
        "hidden_act": options.get("activation_fn", "gelu"),
        "feat_extract_norm": "layer" if by_layer else "group",
        "do_stable_layer_norm": bool(options.get("layer_norm_first", by_layer)),
        "conv_dim": tuple(shape[0] for shape in convolutions),
        "conv_kernel": tuple(shape[2] for shape in convolutions),
        "conv_stride": STRIDES,
        "conv_bias": "feature_extractor.conv_layers.0.0.bias" in tensors,
        "num_conv_pos_embeddings": position[2],
        "num_conv_pos_embedding_groups": hidden // position[1],
    }
