#!/usr/bin/env python3
"""Records what Hugging Face computes for configurations that no fixture has.

    pip install --no-deps torch==2.15.0 && pip install transformers==5.23.0 safetensors gguf
    python record.py        # writes rope.json, variants.json and variants.safetensors beside itself

rope.json: inverse frequencies and attention factors of every rope type, by transformers' own functions.
variants.*: logits and greedy tokens of the tiny fixtures' weights under changed configurations, and of
the GGUF files' weights as transformers dequantises and un-permutes them.
"""
import json, pathlib
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

HERE = pathlib.Path(__file__).parent
TINY = HERE / "../../../ci/fixtures/tiny"
torch.set_num_threads(1)

LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
LONG = {"short_factor": [1.0 + 0.03 * i for i in range(10)], "long_factor": [1.5 + 0.4 * i for i in range(10)]}
ROPES = [  # rope_parameters, head_dim, max_position_embeddings, sequence lengths
    ({"rope_type": "default", "rope_theta": 10000.0}, 64, 2048, [1]),
    ({"rope_type": "default", "rope_theta": 1000000.0}, 128, 32768, [1]),
    ({"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}, 80, 8192, [1]),
    ({"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}, 64, 2048, [1, 2048, 2049, 5000]),
    ({"rope_type": "dynamic", "rope_theta": 500000.0, "factor": 3.5}, 20, 8, [8, 13, 64]),
    ({"rope_type": "yarn", "rope_theta": 10000.0, "factor": 16.0, "original_max_position_embeddings": 4096}, 128, 65536, [1]),
    ({"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0, "original_max_position_embeddings": 32768,
      "beta_fast": 24, "beta_slow": 2, "truncate": False}, 64, 131072, [1]),
    ({"rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "original_max_position_embeddings": 4096,
      "mscale": 0.707, "mscale_all_dim": 1.0}, 64, 163840, [1]),
    ({"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32,
      "attention_factor": 1.25}, 12, 128, [1]),
    ({"rope_type": "llama3", "rope_theta": 500000.0, **LLAMA3}, 128, 131072, [1]),
    ({"rope_type": "llama3", "rope_theta": 500000.0, **LLAMA3, "factor": 32.0}, 64, 131072, [1]),
    ({"rope_type": "longrope", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 512, **LONG}, 20, 4096, [512, 513]),
]


def rope_case(parameters, head_dim, positions, length):
    config = LlamaConfig(head_dim=head_dim, max_position_embeddings=positions, rope_parameters=dict(parameters))
    function = ROPE_INIT_FUNCTIONS.get(parameters["rope_type"], LlamaRotaryEmbedding.compute_default_rope_parameters)
    inv_freq, factor = function(config, device="cpu", seq_len=length)
    return {"rope_parameters": parameters, "head_dim": head_dim, "max_position_embeddings": positions,
            "length": length, "inv_freq": inv_freq.tolist(), "attention_factor": float(factor)}


VARIANTS = {  # fixture, changes to its config
    "llama_dynamic": ("llama", {"max_position_embeddings": 8, "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}}),
    "llama_longrope": ("llama", {"rope_parameters": {"rope_type": "longrope", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 10, **LONG}}),
    "llama_yarn_mscale": ("llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "mscale": 0.707, "mscale_all_dim": 1.0,
                                                        "original_max_position_embeddings": 32, "truncate": False}}),
    "llama_gelu": ("llama", {"hidden_act": "gelu_pytorch_tanh"}),
    "mistral_full": ("mistral", {"sliding_window": None}),
    "qwen2_windows": ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1, "layer_types": None}),
    "qwen3_windows": ("qwen3", {"use_sliding_window": True, "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}),
}


def variant(name, fixture, changes):
    config = json.loads((TINY / fixture / "config.json").read_text()) | changes
    folder = pathlib.Path("/tmp/variant"); folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes((TINY / fixture / "model.safetensors").read_bytes())

    def load(dtype):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()

    return measure(name, fixture, config, load(torch.float32), load(torch.float64))


def gguf_variant(name, file):
    # transformers leaves out rope_freqs.weight: the configuration is the fixture's.
    with torch.device("meta"):
        meta = LlamaForCausalLM(LlamaConfig.from_pretrained(TINY / "llama"))
    tensors = load_gguf_checkpoint(str(TINY / "../gguf" / file), return_tensors=True, model_to_load=meta)["tensors"]

    def load(dtype):
        config = LlamaConfig.from_pretrained(TINY / "llama", attn_implementation="eager")
        model = LlamaForCausalLM(config).eval()
        model.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=True)
        return model.to(dtype)

    return measure(name, "llama", {"gguf": file}, load(torch.float32), load(torch.float64))


def measure(name, fixture, config, model, double):
    inputs = load_file(TINY / fixture / "inputs.safetensors")
    with torch.no_grad():
        ids = inputs["input_ids"]
        logits = model(ids).logits
        noise = (logits - double(ids).logits).abs().max().item()
        prompt, generated = ids[:1], []
        for _ in range(20):  # without a cache: what the architecture means, not what a cache does to it
            step = model(prompt).logits[0, -1]
            generated.append(step.argmax().item())
            prompt = torch.cat([prompt, step.argmax().reshape(1, 1)], dim=1)
    tensors = {f"{name}.logits": logits[:, -1].contiguous(), f"{name}.generated": torch.tensor(generated)}
    return {"fixture": fixture, "config": config, "f32_vs_f64_max_abs": noise, "std": logits.std().item()}, tensors


cases = [rope_case(p, d, m, n) for p, d, m, lengths in ROPES for n in lengths]
(HERE / "rope.json").write_text(json.dumps(cases, indent=1) + "\n")
described, tensors = {}, {}
for name, (fixture, changes) in VARIANTS.items():
    described[name], outputs = variant(name, fixture, changes)
    tensors |= outputs
for kind in ["F16", "Q8_0"]:
    described[f"gguf_{kind}"], outputs = gguf_variant(f"gguf_{kind}", f"llama_open_{kind}.gguf")
    tensors |= outputs
(HERE / "variants.json").write_text(json.dumps(described, indent=1) + "\n")
save_file(tensors, HERE / "variants.safetensors")
