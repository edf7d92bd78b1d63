#!/usr/bin/env python3
"""Exports tiny transformers to ONNX (opset 20), with what torch computes.

usage: generate.py OUT [NAME ...]

For each architecture: a random model of two layers (seed 0), exported by torch.onnx with the TorchScript
exporter (`NAME.script.onnx`) and with the dynamo exporter (`NAME.dynamo.onnx`), and `NAME.safetensors`, which
holds `input.*`, `output.*` and `output_f64.*`: what both files take, and what torch makes of it in f32 and f64.

Of the metadata that the dynamo exporter writes beside each node, only the module's name is kept: stack traces and
class names are most of a small file.

Needs torch, transformers, onnxscript and safetensors; see requirements.txt.
"""

import copy
import inspect
import sys
import warnings
from pathlib import Path

import onnx
import torch
import transformers as t
from safetensors.torch import save_file

OPSET = 20
TOKENS = 7
DECODER = dict(
    vocab_size=48,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=32,
)
ENCODER = dict(
    vocab_size=48,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=32,
)
VISION = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=16, patch_size=8)


def text():
    """Token ids, and a mask that hides the first two of the second row (what left-padding tokenizers give)."""

    def inputs():
        ids = torch.randint(1, 48, (2, TOKENS))
        mask = torch.ones(2, TOKENS, dtype=torch.int64)
        mask[1, :2] = 0
        return {"input_ids": ids, "attention_mask": mask}

    return inputs


def pixels():
    return {"pixel_values": torch.randn(2, 3, 16, 16)}


def mel():
    return {"input_features": torch.randn(1, 16, 24)}


# Name: class, config, inputs, attention implementation, the names of the outputs that are kept.
MODELS = {
    "llama": (t.LlamaForCausalLM, t.LlamaConfig(**DECODER), text(), "sdpa", ["logits"]),
    "qwen2": (t.Qwen2ForCausalLM, t.Qwen2Config(**DECODER), text(), "eager", ["logits"]),
    "qwen3": (t.Qwen3ForCausalLM, t.Qwen3Config(**DECODER, head_dim=12), text(), "sdpa", ["logits"]),
    "mistral": (t.MistralForCausalLM, t.MistralConfig(**DECODER, sliding_window=4), text(), "eager", ["logits"]),
    "gemma2": (
        t.Gemma2ForCausalLM,
        t.Gemma2Config(**DECODER, head_dim=8, query_pre_attn_scalar=8, sliding_window=4),
        text(),
        "eager",
        ["logits"],
    ),
    "gpt2": (
        t.GPT2LMHeadModel,
        t.GPT2Config(vocab_size=48, n_embd=32, n_layer=2, n_head=4, n_positions=32, n_inner=48),
        text(),
        "eager",
        ["logits"],
    ),
    "bert": (t.BertModel, t.BertConfig(**ENCODER), text(), "sdpa", ["last_hidden_state", "pooler_output"]),
    "distilbert": (
        t.DistilBertModel,
        t.DistilBertConfig(vocab_size=48, dim=32, hidden_dim=48, n_layers=2, n_heads=4, max_position_embeddings=32),
        text(),
        "eager",
        ["last_hidden_state"],
    ),
    "vit": (t.ViTModel, t.ViTConfig(**VISION), pixels, "eager", ["last_hidden_state", "pooler_output"]),
    "clip_vision": (
        t.CLIPVisionModel,
        t.CLIPVisionConfig(**VISION),
        pixels,
        "sdpa",
        ["last_hidden_state", "pooler_output"],
    ),
    "t5_encoder": (
        t.T5EncoderModel,
        t.T5Config(vocab_size=48, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"),
        text(),
        "eager",
        ["last_hidden_state"],
    ),
    "whisper_encoder": (
        t.models.whisper.modeling_whisper.WhisperEncoder,
        t.WhisperConfig(
            d_model=32,
            encoder_layers=2,
            encoder_attention_heads=4,
            encoder_ffn_dim=48,
            num_mel_bins=16,
            max_source_positions=12,
            vocab_size=48,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        ),
        mel,
        "sdpa",
        ["last_hidden_state"],
    ),
    "phi3": (t.Phi3ForCausalLM, t.Phi3Config(**DECODER, pad_token_id=0), text(), "sdpa", ["logits"]),
}


class Flat(torch.nn.Module):
    """A model whose inputs are positional and whose outputs are a tuple, as exporters want."""

    def __init__(self, model, inputs, outputs):
        super().__init__()
        self.model, self.inputs, self.outputs = model, inputs, outputs
        self.cache = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}

    def forward(self, *args):
        given = dict(zip(self.inputs, args))
        result = self.model(**given, **self.cache, return_dict=True)
        return tuple(getattr(result, name) for name in self.outputs)


def randomise(model):
    """Weights of some size: the initial ones of 0.02 make attention uniform and norms of ones hide mistakes."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            scale = 0.25 if p.ndim > 1 else 0.1
            noise = torch.randn(p.shape) * scale
            p.copy_(p + noise if p.ndim < 2 else noise)


def generate(name, out):
    cls, config, inputs, attention, outputs = MODELS[name]
    torch.manual_seed(0)
    config._attn_implementation = attention
    model = cls(config)
    randomise(model)
    model.eval()
    given = inputs()
    flat = Flat(model, list(given), outputs).eval()
    args = tuple(given.values())
    with torch.no_grad():
        results = flat(*args)
        doubled = [x.double() if x.is_floating_point() else x for x in args]
        twins = copy.deepcopy(flat).double()(*doubled)
    tensors = {f"input.{k}": v.contiguous() for k, v in given.items()}
    tensors |= {f"output.{k}": v.contiguous() for k, v in zip(outputs, results)}
    tensors |= {f"output_f64.{k}": v.contiguous() for k, v in zip(outputs, twins)}
    save_file(tensors, out / f"{name}.safetensors")
    for kind, dynamo in (("script", False), ("dynamo", True)):
        path = out / f"{name}.{kind}.onnx"
        try:
            export(flat, args, path, list(given), outputs, dynamo)
            strip(path)
            print(f"{path.name}: {path.stat().st_size} bytes")
        except Exception as error:  # noqa: BLE001 an exporter that cannot do a model leaves no file
            path.unlink(missing_ok=True)
            print(f"{path.name}: NOT EXPORTED: {type(error).__name__}: {str(error).splitlines()[0][:200]}")


def export(flat, args, path, inputs, outputs, dynamo):
    more = dict(external_data=False, verbose=False) if dynamo else {}
    torch.onnx.export(
        flat,
        args,
        str(path),
        input_names=inputs,
        output_names=outputs,
        opset_version=OPSET,
        dynamo=dynamo,
        **more,
    )


def strip(path):
    """Drops what only a debugger reads."""
    model = onnx.load(path)
    for node in [*model.graph.node, *(n for f in model.functions for n in f.node)]:
        kept = [p for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
        node.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.initializer, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
        value.doc_string = ""
    del model.graph.value_info[:]
    onnx.save(model, path)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for wanted in sys.argv[2:] or MODELS:
        generate(wanted, folder)
