#!/usr/bin/env python3
"""Records a reference bundle: what a PyTorch model was given, what it returned, and what every module
inside it returned, for `porter check MODEL --reference BUNDLE`.

Needs torch and transformers (the pinned pair is in requirements.txt); one file, nothing of Porter.

A bundle is a folder:

  inputs.safetensors     the arguments of the forward pass; `padded.NAME`: those of a second, padded batch
  reference.safetensors  every output tensor by name, `hidden_states.N`, taps by module path, `NAME_f64`
                         (the same in double precision), `padded.NAME` (outputs and hidden states of the
                         padded batch, which has no taps and no twins), greedy tokens `generated` with
                         the logits that each was taken from, `generated_logits`
  bundle.json            the model, the hashes of its weights, versions, dtype, attention, seed, taps

A tap is a module's output by the module's path. A tuple's tensors are PATH.0, PATH.1; those of a
mapping (a ModelOutput) are PATH.KEY, without the hidden states that the outputs hold already. Where a
module runs several times in one pass, as shared layers do, the second run is PATH#2.

The same inputs, versions, thread count and processor give the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import hashlib
import importlib.util
import json
import math
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO

SCHEMA = 1
USAGE, ENVIRONMENT = 2, 5

try:
    import safetensors
    import torch
    from safetensors import safe_open
    from torch import Tensor, nn
    from torch.overrides import TorchFunctionMode
except ImportError as missing:
    print(f"porter_record: {missing}: pip install torch transformers safetensors", file=sys.stderr)
    sys.exit(ENVIRONMENT)

EXAMPLES = """examples:
  # A folder or a hub id; random token ids; all taps, with their twins in double precision
  porter_record.py ./my-model -o bundle --taps all --f64
  porter_record.py Qwen/Qwen3-0.6B -o bundle --text "The capital of France is" --text "Hello"

  # Only what the attention blocks return
  porter_record.py ./my-model -o bundle --taps '*.self_attn' '*.self_attn.*'

  # Any model with your own inputs; tensors named `padded.NAME` are the second batch
  porter_record.py ./my-vit -o bundle --inputs pixels.safetensors

  # Any nn.Module: my_model.py has `def example(): return module, {"x": torch.randn(1, 3)}`
  porter_record.py --module my_model.py:example -o bundle --taps all

exit codes: 0 recorded, 2 wrong usage, 5 the environment (a package, the disk, the network)
"""

# Safetensors' name of each type that can be stored.
DTYPES: dict[torch.dtype, str] = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip
PADDED = "padded."
TWIN = "_f64"
# What a transformers model collects from its layers.
COLLECTED = ("hidden_states", "attentions")


class RecordError(Exception):
    """Why nothing was recorded, for the one who called, with the exit code."""

    def __init__(self, message: str, code: int = USAGE):
        super().__init__(message)
        self.code = code


class TensorWriter:
    """A safetensors file that is written tensor by tensor and appears whole or not at all.

    The format puts names and offsets before the data, so data waits in one spool a element size,
    beside the target, until the last tensor is known. Wider elements come first: every tensor is
    aligned. Memory holds one tensor at a time, whatever the file's size.
    """

    def __init__(self, path: Path, metadata: Mapping[str, str]):
        self.path = path
        self.metadata = dict(sorted(metadata.items()))
        self.entries: dict[str, tuple[str, list[int], int, int, int]] = {}
        self.spools: dict[int, BinaryIO] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def add(self, name: str, tensor: Tensor) -> None:
        """Appends one tensor."""
        if name in self.entries:
            raise RecordError(f"two tensors want the name {name!r} in {self.path.name}")
        if tensor.dtype not in DTYPES:
            raise RecordError(f"{name!r} holds {tensor.dtype}, which a bundle cannot store")
        width = tensor.element_size()
        if width not in self.spools:
            self.spools[width] = tempfile.TemporaryFile(dir=self.path.parent)
        spool = self.spools[width]
        start = spool.tell()
        data = tensor.detach().to("cpu").contiguous().reshape(-1)
        spool.write(data.view(torch.uint8).numpy().data)
        self.entries[name] = (DTYPES[tensor.dtype], list(tensor.shape), width, start, spool.tell())

    def finish(self) -> None:
        """Writes header and data to a temporary file and renames it to the target."""
        base, bases = 0, {}
        for width in sorted(self.spools, reverse=True):
            bases[width] = base
            base += self.spools[width].tell()
        order = sorted(self.entries.items(), key=lambda item: (-item[1][2], item[1][3], item[1][4]))
        header: dict[str, Any] = {"__metadata__": self.metadata} if self.metadata else {}
        for name, (dtype, shape, width, start, end) in order:
            offsets = [bases[width] + start, bases[width] + end]
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with replacing(self.path) as out:
            out.write(len(text).to_bytes(8, "little") + text)
            for width in sorted(self.spools, reverse=True):
                self.spools[width].seek(0)
                shutil.copyfileobj(self.spools[width], out, 1 << 20)
        self.close()

    def close(self) -> None:
        """Gives the spools' disk space back."""
        for spool in self.spools.values():
            spool.close()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when it is complete, and never when it is not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Double(TorchFunctionMode):
    """Everything that asks for float32 by name gets float64.

    transformers computes norms, softmax and rotary angles in float32 whatever the model's dtype is;
    a twin with these roundings in it would not be one.
    """

    SINGLE = (torch.float32, torch.float16, torch.bfloat16)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is Tensor.float:
            func = Tensor.double
        widen = lambda x: torch.float64 if isinstance(x, torch.dtype) and x in self.SINGLE else x
        return func(*map(widen, args), **{key: widen(value) for key, value in (kwargs or {}).items()})


@dataclass
class Subject:
    """What is recorded: how to make it, its first batch, and what it is called."""

    # Makes the model with parameters of a type. A twin is made anew under `Double`, not cast: buffers
    # that are computed when a model is made, as rotary frequencies are, would stay rounded.
    make: Callable[[torch.dtype], nn.Module]
    inputs: dict[str, Tensor]
    padded: dict[str, Tensor]
    dtype: torch.dtype
    # For bundle.json.
    model: dict[str, Any]
    attention: str | None = None


@dataclass
class Plan:
    """What to record of it."""

    out: Path
    taps: Sequence[str] = ()
    f64: bool = False
    generate: int = 20
    seed: int = 0
    command: Sequence[str] = ()


@dataclass
class Recording:
    """The file being written, and what bundle.json says of it."""

    writer: TensorWriter
    taps: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Tensors that are no numbers, by name.
    skipped: dict[str, str] = field(default_factory=dict)
    not_finite: list[str] = field(default_factory=list)

    def add(self, name: str, tensor: Tensor) -> bool:
        """Appends a tensor; False where a bundle cannot hold it."""
        if tensor.dtype not in DTYPES or tensor.is_sparse or tensor.numel() == 0:
            what = "no elements" if tensor.numel() == 0 else f"{tensor.dtype}, {tensor.layout}"
            self.skipped[name] = what
            return False
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            self.not_finite.append(name)
        self.writer.add(name, tensor)
        return True


def tensors_of(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors in what a module returned: by position in a sequence, by key in a mapping."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from tensors_of(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (tuple, list)):
        for index, item in enumerate(value):
            yield from tensors_of(item, f"{name}.{index}")


def outputs_of(value: Any) -> Iterator[tuple[str, Tensor]]:
    """The model's results. One that has no name is `output`, or `output.N`."""
    yield from tensors_of(value, "" if isinstance(value, Mapping) else "output")


def chosen(model: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Module]:
    """The modules to tap: those whose path fits a pattern. `all` is every module but the model."""
    modules = {path: module for path, module in model.named_modules() if path}
    if not patterns:
        return {}
    fits = lambda path: any(p == "all" or fnmatchcase(path, p) for p in patterns)
    idle = [p for p in patterns if p != "all" and not any(fnmatchcase(path, p) for path in modules)]
    if idle:
        some = ", ".join(list(modules)[:8])
        raise RecordError(f"no module's path fits {', '.join(map(repr, idle))}; paths are like {some}")
    return {path: module for path, module in modules.items() if fits(path)}


@contextlib.contextmanager
def tapped(model: nn.Module, patterns: Sequence[str], recording: Recording, suffix: str) -> Iterator[None]:
    """Writes what each chosen module returns, as it returns it."""
    runs: dict[str, int] = {}

    def hook(path: str, module: nn.Module) -> Callable[..., None]:
        def write(_module: nn.Module, _arguments: Any, output: Any) -> None:
            runs[path] = runs.get(path, 0) + 1
            stem = path if runs[path] == 1 else f"{path}#{runs[path]}"
            if isinstance(output, Mapping):
                output = {key: value for key, value in output.items() if key not in COLLECTED}
            for name, tensor in tensors_of(output, stem):
                if suffix:
                    if name in recording.taps and tensor.is_floating_point():
                        recording.add(name + suffix, tensor)
                elif recording.add(name, tensor):
                    recording.taps[name] = {"module": path, "class": type(module).__name__}

        return write

    handles = [m.register_forward_hook(hook(p, m)) for p, m in chosen(model, patterns).items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def forward(model: nn.Module, inputs: Mapping[str, Tensor]) -> Any:
    """One pass; of a transformers model with every hidden state and without a cache."""
    arguments: dict[str, Any] = dict(inputs)
    if hasattr(model, "main_input_name"):
        arguments |= {"output_hidden_states": True, "return_dict": True}
        if getattr(model.config, "use_cache", None) is not None:
            arguments["use_cache"] = False
    try:
        with torch.no_grad():
            return model(**arguments)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in inputs.items())
        raise RecordError(f"{type(model).__name__} failed on {shapes}: {error}") from error


def record_pass(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    recording: Recording,
    prefix: str = "",
    suffix: str = "",
    taps: Sequence[str] = (),
) -> None:
    """Records one pass: taps while it runs, outputs after it."""
    with tapped(model, taps, recording, suffix):
        value = forward(model, inputs)
    count = 0
    for name, tensor in outputs_of(value):
        if not suffix or tensor.is_floating_point():
            count += recording.add(prefix + name + suffix, tensor)
    if count == 0:
        raise RecordError(f"{type(model).__name__} returned no tensor")


def in_double(value: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: x.double() if x.is_floating_point() else x for name, x in value.items()}


def generates(model: nn.Module, inputs: Mapping[str, Tensor]) -> bool:
    """True for a decoder that continues its input ids."""
    config = getattr(model, "config", None)
    can = getattr(model, "can_generate", lambda: False)
    return bool("input_ids" in inputs and can() and not getattr(config, "is_encoder_decoder", False))


def record_greedy(model: nn.Module, ids: Tensor, count: int, recording: Recording) -> float:
    """Records `count` tokens after the first row, each from a pass over all that precede it, and the
    logits that each was taken from. The smallest margin of a token over the next best is returned:
    below the noise of a port, tokens say nothing."""
    sequence, tokens, rows = ids[:1], [], []
    for _ in range(count):
        logits = forward(model, {"input_ids": sequence}).logits[0, -1]
        token = logits.argmax()
        tokens.append(token)
        rows.append(logits)
        sequence = torch.cat((sequence, token.reshape(1, 1)), dim=1)
    recording.add("generated", torch.stack(tokens)[None])
    recording.add("generated_logits", torch.stack(rows))
    best = torch.stack(rows).float().topk(2).values
    return (best[:, 0] - best[:, 1]).min().item()


def record(subject: Subject, plan: Plan) -> dict[str, Any]:
    """Writes the bundle; returns what bundle.json holds."""
    plan.out.mkdir(parents=True, exist_ok=True)
    model = subject.make(subject.dtype).eval()
    notes: dict[str, Any] = {
        "schema": SCHEMA,
        "model": subject.model | {"class": type(model).__name__},
        "versions": versions(),
        "dtype": str(subject.dtype).removeprefix("torch."),
        "attention": subject.attention,
        "seed": plan.seed,
        "command": list(plan.command),
    }
    inputs = TensorWriter(plan.out / "inputs.safetensors", {})
    for prefix, batch in (("", subject.inputs), (PADDED, subject.padded)):
        for name in sorted(batch):
            inputs.add(prefix + name, batch[name])
    recording = Recording(TensorWriter(plan.out / "reference.safetensors", metadata(notes)))
    try:
        record_pass(model, subject.inputs, recording, taps=plan.taps)
        if subject.padded:
            record_pass(model, subject.padded, recording, prefix=PADDED)
        if plan.generate and generates(model, subject.inputs):
            margin = record_greedy(model, subject.inputs["input_ids"], plan.generate, recording)
            notes["greedy_min_margin"] = margin
        del model
        if plan.f64:
            with Double():
                double = subject.make(torch.float64).eval()
                record_pass(double, in_double(subject.inputs), recording, suffix=TWIN, taps=plan.taps)
        notes |= {"taps": recording.taps, "skipped": recording.skipped}
        notes["not_finite"] = recording.not_finite
        inputs.finish()
        recording.writer.finish()
    finally:
        inputs.close()
        recording.writer.close()
    with replacing(plan.out / "bundle.json") as file:
        file.write((json.dumps(notes, indent=1) + "\n").encode())
    return notes


def versions() -> dict[str, Any]:
    """What the numbers may depend on beside the model."""
    found = {"python": platform.python_version(), "torch": torch.__version__}
    if "transformers" in sys.modules:
        found["transformers"] = sys.modules["transformers"].__version__
    found["safetensors"] = safetensors.__version__
    found["cpu"] = torch.backends.cpu.get_cpu_capability()
    return found | {"threads": torch.get_num_threads()}


def metadata(notes: Mapping[str, Any]) -> dict[str, str]:
    """The same for those who see only reference.safetensors."""
    model = notes["model"]
    arch = model.get("model_type") or model["class"]
    found = {"arch": arch, "dtype": notes["dtype"], "device": "cpu", "seed": str(notes["seed"])}
    if notes["attention"]:
        found["attn"] = notes["attention"]
    for package in ("torch", "transformers"):
        if package in notes["versions"]:
            found[package] = notes["versions"][package]
    return found


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def weight_files(folder: Path) -> dict[str, str]:
    """The hash of each file of weights in a checkpoint's folder."""
    names = ("model*.safetensors", "pytorch_model*.bin")
    files = sorted(path for pattern in names for path in folder.glob(pattern))
    return {path.name: sha256(path) for path in files}


def padded_batch(ids: Tensor, pad: int, left: bool, more: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A batch of at least two rows, every one but the first a quarter padded: `left`, as decoders are,
    or right."""
    ids = ids.clone() if len(ids) > 1 else ids.repeat(2, 1)
    length = ids.shape[1]
    gap = min(math.ceil(length / 4), length - 1)
    mask = torch.ones_like(ids)
    where = slice(None, gap) if left else slice(length - gap, None)
    ids[1:, where] = pad
    mask[1:, where] = 0
    types = {n: x if len(x) > 1 else x.repeat(2, 1) for n, x in more.items() if n == "token_type_ids"}
    return {"input_ids": ids, "attention_mask": mask} | types


def hf_folder(source: str) -> Path:
    """Where the files of a folder or a hub id are."""
    if Path(source).is_dir():
        return Path(source)
    from transformers.utils import cached_file

    try:
        return Path(str(cached_file(source, "config.json"))).parent
    except OSError as error:
        raise RecordError(
            f"{source!r} is no folder, and the hub did not give it: {error}", ENVIRONMENT
        ) from error


def hf_class(config: Any) -> Any:
    """The class that the checkpoint names, heads included."""
    import transformers

    for name in config.architectures or ():
        if hasattr(transformers, name):
            return getattr(transformers, name)
    return transformers.AutoModel


def hf_subject(
    source: str,
    dtype: torch.dtype = torch.float32,
    attention: str = "eager",
    inputs: Mapping[str, Tensor] | None = None,
    texts: Sequence[str] = (),
    shape: tuple[int, int] = (2, 16),
    seed: int = 0,
    pad: bool = True,
) -> Subject:
    """A transformers model, from a folder or the hub."""
    import transformers

    transformers.logging.disable_progress_bar()
    folder = hf_folder(source)
    try:
        config = transformers.AutoConfig.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(f"{source}: {error}") from error
    class_ = hf_class(config)

    def make(dtype: torch.dtype) -> nn.Module:
        model = class_.from_pretrained(source, dtype=dtype, attn_implementation=attention)
        # The fused kernels of experts know no float64.
        if getattr(model, "_can_set_experts_implementation", lambda: False)():
            model.set_experts_implementation("eager")
        return model

    text = config.get_text_config()
    is_decoder = class_.__name__.endswith(("ForCausalLM", "LMHeadModel"))
    pad_id = getattr(text, "pad_token_id", None) or 0
    second: dict[str, Tensor] = {}
    if inputs:
        first = {name: x for name, x in inputs.items() if not name.startswith(PADDED)}
        second = {name.removeprefix(PADDED): x for name, x in inputs.items() if name.startswith(PADDED)}
        if not first:
            raise RecordError("the inputs hold only a padded batch")
    elif texts:
        first, second = tokenised(source, texts, pad_id, is_decoder)
    elif getattr(class_, "main_input_name", "input_ids") == "input_ids" and not config.is_encoder_decoder:
        ids = torch.randint(3, text.vocab_size, shape, generator=torch.Generator().manual_seed(seed))
        first = (
            {"input_ids": ids} if is_decoder else {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        )
    else:
        raise RecordError(f"{class_.__name__} takes more than one row of token ids: give --inputs FILE")
    if pad and not second and set(first) <= {"input_ids", "attention_mask", "token_type_ids"}:
        second = padded_batch(first["input_ids"], pad_id, is_decoder, first)
    model = {"source": source, "model_type": config.model_type, "sha256": weight_files(folder)}
    return Subject(make, dict(first), second if pad else {}, dtype, model, attention)


def tokenised(
    source: str, texts: Sequence[str], pad: int, left: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The first text alone; all of them together, padded, if there are several."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    rows = [tokenizer(text)["input_ids"] for text in texts]
    first = {"input_ids": torch.tensor(rows[:1])}
    if not left:
        first["attention_mask"] = torch.ones_like(first["input_ids"])
    if len(rows) == 1:
        return first, {}
    length = max(map(len, rows))

    def fill(row: list[int], value: int) -> list[int]:
        rest = [value] * (length - len(row))
        return rest + row if left else row + rest

    ids = [fill(row, pad) for row in rows]
    mask = [fill([1] * len(row), 0) for row in rows]
    return first, {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def module_subject(hook: str, dtype: torch.dtype, inputs: Mapping[str, Tensor] | None = None) -> Subject:
    """Any module, by `file.py:function`, where the function returns it and its inputs by name."""
    path, _, function = hook.rpartition(":")
    if not path or not Path(path).is_file():
        raise RecordError(f"--module {hook}: expected FILE.py:FUNCTION with a file that exists")
    spec = importlib.util.spec_from_file_location("porter_record_hook", path)
    assert spec and spec.loader
    hooks = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(Path(path).resolve().parent))
    spec.loader.exec_module(hooks)
    if not callable(getattr(hooks, function, None)):
        raise RecordError(f"{path} has no function {function!r}")
    made = getattr(hooks, function)()
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module)):
        raise RecordError(f"{hook} returned {type(made).__name__}: expected (nn.Module, dict of inputs)")
    module, given = made
    first = dict(inputs or given)
    if not first or not all(isinstance(value, Tensor) for value in first.values()):
        raise RecordError(f"{hook}: inputs must be tensors by the names of forward's arguments")
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    source = f"{Path(path).name}:{function}"
    model = {"source": source, "model_type": None, "sha256": {"state_dict": digest.hexdigest()}}
    padded = {name.removeprefix(PADDED): x for name, x in first.items() if name.startswith(PADDED)}
    first = {name: x for name, x in first.items() if not name.startswith(PADDED)}
    return Subject(lambda dtype: copy.deepcopy(module).to(dtype), first, padded, dtype, model)


def read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, safetensors.SafetensorError) as error:
        raise RecordError(f"--inputs {path}: {error}") from error


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="porter_record.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is recorded")
    what.add_argument("model", nargs="?", help="a folder with config.json and weights, or a hub id")
    what.add_argument("--module", metavar="FILE.py:FUNCTION", help="a function that returns (module, inputs)")
    what.add_argument("-o", "--out", required=True, type=Path, help="the bundle's folder")
    what.add_argument("--taps", nargs="+", default=[], metavar="all|GLOB", help="modules to record, by path")
    what.add_argument(
        "--f64", action="store_true", help="a twin in double precision of every output, hidden state and tap"
    )
    what.add_argument("--generate", type=int, default=20, metavar="N", help="greedy tokens, 0 for none (20)")
    what.add_argument("--no-padded", action="store_true", help="record no second, padded batch")
    how = parser.add_argument_group("inputs: random token ids, unless")
    how.add_argument("--inputs", type=Path, metavar="FILE", help="a safetensors file, by argument name")
    how.add_argument("--text", action="append", default=[], help="a prompt; repeat it for the padded batch")
    how.add_argument("--batch", type=int, default=2, help="rows of random ids (2)")
    how.add_argument("--length", type=int, default=16, help="tokens a row of random ids (16)")
    how.add_argument("--seed", type=int, default=0, help="of the random ids, and of torch (0)")
    run = parser.add_argument_group("how it runs")
    run.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    run.add_argument("--attention", default="eager", help="transformers' attn_implementation (eager)")
    run.add_argument("--threads", type=int, default=1, help="more are faster, and sums may differ (1)")
    return parser


def check_usage(a: argparse.Namespace) -> None:
    """Everything that does not go together, at once."""
    wrong = []
    if bool(a.model) == bool(a.module):
        wrong.append("give either a model or --module")
    if a.inputs and a.text:
        wrong.append("--inputs and --text exclude each other")
    if a.module and a.text:
        wrong.append("--text needs a model with a tokenizer, not --module")
    if a.f64 and a.dtype != "float32":
        wrong.append("--f64 is the twin of float32: a narrower type is compared with the float32 bundle")
    if min(a.batch, a.length, a.threads) < 1 or a.generate < 0:
        wrong.append("--batch, --length and --threads start at 1, --generate at 0")
    if wrong:
        raise RecordError("; ".join(wrong))


def without_out(words: Sequence[str]) -> list[str]:
    """The command line but for where the bundle went, which is no property of it."""
    kept, skip = [], False
    for word in words:
        if not skip and not word.startswith("--out=") and word not in ("-o", "--out"):
            kept.append(word)
        skip = word in ("-o", "--out")
    return kept


def run(words: Sequence[str]) -> dict[str, Any]:
    """Records what the command line asks for."""
    a = arguments().parse_args(words)
    check_usage(a)
    torch.set_num_threads(a.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(a.seed)
    dtype = getattr(torch, a.dtype)
    inputs = read_tensors(a.inputs) if a.inputs else None
    if a.module:
        subject = module_subject(a.module, dtype, inputs)
    else:
        shape = (a.batch, a.length)
        subject = hf_subject(a.model, dtype, a.attention, inputs, a.text, shape, a.seed, pad=not a.no_padded)
    if a.no_padded:
        subject.padded = {}
    command = ["porter_record.py", *without_out(words)]
    return record(subject, Plan(a.out, a.taps, a.f64, a.generate, a.seed, command))


def main() -> int:
    """Runs the command line and says what came of it; returns the exit code."""
    try:
        notes = run(sys.argv[1:])
    except RecordError as error:
        print(f"porter_record: {error}", file=sys.stderr)
        return error.code
    except (OSError, ImportError) as error:
        print(f"porter_record: {error}", file=sys.stderr)
        return ENVIRONMENT
    for name, what in notes["skipped"].items():
        print(f"porter_record: {name} was not recorded: it holds {what}", file=sys.stderr)
    for name in notes["not_finite"]:
        print(f"porter_record: {name} holds values that are not finite", file=sys.stderr)
    print(f"recorded {notes['model']['class']} with {len(notes['taps'])} taps", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
