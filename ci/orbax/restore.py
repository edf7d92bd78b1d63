"""Restores checkpoints that Porter wrote as MaxText restores them, and compares every array.

    restore.py CASES.json

CASES.json: {checkpoint folder: {"hf": Hugging Face folder, "scan_layers": bool}}.

Restoring is what `maxtext.common.checkpointing.load_params_from_path` does: orbax's v0 handler in
releases up to 2025, its v1 `load` in MaxText 0.2.5, both with MaxText's defaults `use_ocdbt` and
`use_zarr3`. Expected arrays follow MaxText's hooks in
`checkpoint_conversion/utils/param_mapping.py`, in numpy, from the Hugging Face tensors.
"""

import json
import pathlib
import re
import sys

import jax
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import v1
from safetensors import safe_open

# safetensors' numpy side has no bf16; torch is not needed for it.
DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}

TOP = {
    "model.embed_tokens.weight": "token_embedder.embedding",
    "model.norm.weight": "decoder.decoder_norm.scale",
    "lm_head.weight": "decoder.logits_dense.kernel",
}
LAYER = {
    "input_layernorm.weight": "pre_self_attention_layer_norm.scale",
    "post_attention_layernorm.weight": "post_self_attention_layer_norm.scale",
    "self_attn.q_proj.weight": "self_attention.query.kernel",
    "self_attn.k_proj.weight": "self_attention.key.kernel",
    "self_attn.v_proj.weight": "self_attention.value.kernel",
    "self_attn.o_proj.weight": "self_attention.out.kernel",
    "self_attn.q_proj.bias": "self_attention.query.bias",
    "self_attn.k_proj.bias": "self_attention.key.bias",
    "self_attn.v_proj.bias": "self_attention.value.bias",
    "self_attn.q_norm.weight": "self_attention.query_norm.scale",
    "self_attn.k_norm.weight": "self_attention.key_norm.scale",
    "mlp.gate_proj.weight": "mlp.wi_0.kernel",
    "mlp.up_proj.weight": "mlp.wi_1.kernel",
    "mlp.down_proj.weight": "mlp.wo.kernel",
}


def read_hf(folder):
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        if path.name.split(".")[0] in ("inputs", "reference"):
            continue
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        for name, info in header.items():
            if name != "__metadata__":
                begin, end = (8 + length + offset for offset in info["data_offsets"])
                array = np.frombuffer(data[begin:end], DTYPES[info["dtype"]])
                tensors[name] = array.reshape(info["shape"])
        # The header is read by hand for bf16; the library must agree on what there is.
        with safe_open(path, "np") as opened:
            assert set(opened.keys()) <= set(tensors)
    return tensors


def expected(name, tensor, config):
    """MaxText's array of one Hugging Face tensor, in f32."""
    kind = config["model_type"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {}
    x = tensor.astype(np.float32)
    if name in ("lm_head.weight",) or name.startswith("mlp."):
        return x.T
    if name == "self_attn.o_proj.weight":
        return x.T.reshape(heads, head_dim, x.shape[0])
    match = re.fullmatch(r"self_attn\.([qkv])_proj\.(weight|bias)", name)
    if not match:
        return x
    count = heads if match[1] == "q" else kv_heads
    x = x.T.reshape(x.shape[1:] + (count, head_dim))
    # adjust_rope: Hugging Face's halves to MaxText's pairs, which llama3.1's embedding takes.
    if match[1] in "qk" and rope.get("rope_type") == "llama3":
        half = head_dim // 2
        x = np.stack([x[..., :half], x[..., half:]], axis=-1).reshape(x.shape)
    # scale_query_layer: the llama2 and mistral blocks do not scale scores.
    if match[1] == "q" and kind in ("llama", "mistral"):
        x = x * np.float32(1 / np.sqrt(head_dim))
    return x


def expected_tree(folder, scan_layers):
    config = json.loads((folder / "config.json").read_text())
    flat, layers = {}, {}
    for name, tensor in read_hf(folder).items():
        match = re.fullmatch(r"model\.layers\.(\d+)\.(.*)", name)
        if not match:
            flat[TOP[name]] = expected(name, tensor, config)
        elif scan_layers:
            layers.setdefault(LAYER[match[2]], {})[int(match[1])] = expected(match[2], tensor, config)
        else:
            flat[f"decoder.layers_{match[1]}.{LAYER[match[2]]}"] = expected(match[2], tensor, config)
    for name, by_layer in layers.items():
        stacked = [by_layer[i] for i in range(config["num_hidden_layers"])]
        flat[f"decoder.layers.{name}"] = np.stack(stacked, axis=1)
    return flat


def nested(flat):
    tree = {}
    for name, leaf in flat.items():
        *path, last = name.split(".")
        node = tree
        for key in path:
            node = node.setdefault(key, {})
        node[last] = leaf
    return tree


def flattened(tree, path=()):
    if not isinstance(tree, dict):
        return {".".join(path): tree}
    return {k: v for key, node in tree.items() for k, v in flattened(node, path + (key,)).items()}


def restore_v0(folder, abstract):
    handler = ocp.PyTreeCheckpointHandler(
        restore_concurrent_gb=96, save_concurrent_gb=96, use_ocdbt=True, use_zarr3=True
    )
    restore_args = ocp.checkpoint_utils.construct_restore_args(abstract)
    restored = ocp.Checkpointer(handler).restore(
        epath.Path(folder / "0" / "items"),
        item={"params": abstract},
        transforms={},
        restore_args={"params": restore_args},
    )
    return restored["params"]


def restore_v1(folder, abstract):
    context = v1.Context()
    context.array.saving.use_ocdbt = True
    context.array.saving.use_zarr3 = True
    context.pytree.loading.partial_load = True
    with context:
        restored = v1.load(folder / "0", {"params": abstract}, checkpointable_name="items")
    return restored["params"]


def stored_names(folder):
    metadata = v1.metadata(folder / "0", checkpointable_name="items")
    return set(flattened(metadata.metadata)), metadata.custom_metadata


def main():
    cases = json.loads(pathlib.Path(sys.argv[1]).read_text())
    assert cases
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    compared = 0
    for folder, case in cases.items():
        folder = pathlib.Path(folder)
        want = expected_tree(pathlib.Path(case["hf"]), case["scan_layers"])
        names, custom = stored_names(folder)
        assert names == {f"params.params.{name}" for name in want}, (folder, names ^ set(want))
        assert custom["scan_layers"] == case["scan_layers"], custom
        assert ocp.CheckpointManager(folder, item_names=("items",)).latest_step() == 0
        for dtype in (np.float32, ml_dtypes.bfloat16):
            abstract = {
                "params": nested(
                    {k: jax.ShapeDtypeStruct(v.shape, dtype, sharding=sharding) for k, v in want.items()}
                )
            }
            for restore in (restore_v0, restore_v1):
                found = flattened(restore(folder, abstract)["params"])
                assert found.keys() == want.keys()
                for name, array in found.items():
                    assert array.dtype == dtype and array.shape == want[name].shape, (folder, name)
                    np.testing.assert_array_equal(
                        np.asarray(array).astype(np.float32),
                        want[name].astype(dtype).astype(np.float32),
                        err_msg=f"{folder}: {name}",
                    )
                    compared += 1
    print(f"orbax {ocp.__version__}, jax {jax.__version__}: {len(cases)} checkpoints, {compared} arrays equal")


if __name__ == "__main__":
    main()
