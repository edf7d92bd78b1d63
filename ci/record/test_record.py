"""Tests of porter_record.py, where torch is: python -m unittest discover ci/record"""

import json
import resource
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
LLAMA = HERE.parent / "fixtures" / "tiny" / "llama_bf16"
HOOK = """
import torch
from torch import nn

class Two(nn.Module):
    def forward(self, x):
        return x.float().relu(), {"twice": x * 2}

class Net(nn.Module):
    def __init__(self, layers=2, width=5):
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))
        self.two = Two()

    def forward(self, x):
        return self.two(self.net(self.net(x)))[0]

def example():
    return Net(), {"x": torch.ones(2, 5), "padded.x": torch.zeros(3, 5)}

def large():
    return Net(40, 1024), {"x": torch.ones(2048, 1024)}
"""


class Recorder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "hook.py").write_text(HOOK)

    def record(self, *words: str, out: str = "bundle") -> tuple[int, str]:
        """Runs the command; its exit code and what it said."""
        command = [sys.executable, HERE / "porter_record.py", *words, "-o", self.folder / out]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        return done.returncode, done.stderr

    def tensors(self, name: str = "reference", out: str = "bundle") -> dict:
        from safetensors.torch import load_file

        return load_file(self.folder / out / f"{name}.safetensors")

    def test_the_same_bytes_twice(self) -> None:
        for out in ("one", "two"):
            code, said = self.record(str(LLAMA), "--taps", "all", "--f64", "--length", "9", out=out)
            self.assertEqual(code, 0, said)
        for file in ("inputs.safetensors", "reference.safetensors", "bundle.json"):
            one, two = ((self.folder / out / file).read_bytes() for out in ("one", "two"))
            self.assertEqual(one, two, file)
        self.assertEqual(len(list((self.folder / "one").iterdir())), 3, "nothing is left behind")

    def test_a_model_of_transformers(self) -> None:
        import torch

        code, said = self.record(str(LLAMA), "--taps", "*.mlp", "--f64", "--generate", "4")
        self.assertEqual(code, 0, said)
        inputs, found = self.tensors("inputs"), self.tensors()
        notes = json.loads((self.folder / "bundle/bundle.json").read_text())
        self.assertEqual(list(notes["taps"]), ["model.layers.0.mlp", "model.layers.1.mlp"])
        self.assertEqual(notes["taps"]["model.layers.0.mlp"]["class"], "LlamaMLP")
        self.assertEqual(inputs["padded.attention_mask"].tolist(), [[1] * 16, [0] * 4 + [1] * 12])
        self.assertEqual(found["generated"].shape, (1, 4))
        self.assertEqual(found["generated_logits"].argmax(-1).tolist(), found["generated"][0].tolist())
        self.assertTrue(torch.equal(found["generated_logits"].argmax(-1)[0], found["logits"][0, -1].argmax()))
        for name in ("logits", "hidden_states.2", "model.layers.1.mlp"):
            single, double = found[name], found[name + "_f64"]
            self.assertEqual((single.dtype, double.dtype), (torch.float32, torch.float64))
            error = ((single - double).abs().max() / single.std()).item()
            self.assertTrue(0 < error < 1e-5, f"{name}: {error}")
        self.assertIn("padded.hidden_states.0", found)

    def test_a_twin_has_no_single_rounding_left(self) -> None:
        """transformers asks for float32 by name where it computes rotary angles."""
        code, said = self.record(str(LLAMA), "--taps", "model.rotary_emb", "--f64")
        self.assertEqual(code, 0, said)
        import torch

        cosine = self.tensors()["model.rotary_emb.0_f64"][0]
        half = torch.arange(0, 10, 2, dtype=torch.float64) / 10
        angles = torch.arange(16, dtype=torch.float64)[:, None] / 10000.0**half
        self.assertLess((cosine[:, :5] - angles.cos()).abs().max().item(), 1e-14)

    def test_any_module(self) -> None:
        code, said = self.record("--module", "hook.py:example", "--taps", "all", "--f64")
        self.assertEqual(code, 0, said)
        found = self.tensors()
        singles = {"net", "net.0", "net.1", "net#2", "net.0#2", "net.1#2", "two.0", "two.1.twice", "output"}
        self.assertEqual(set(found), singles | {f"{n}_f64" for n in singles} | {"padded.output"})
        self.assertEqual(found["padded.output"].shape, (3, 5))

    def test_memory_does_not_hold_the_taps(self) -> None:
        """82 taps of 8 MiB."""
        code, said = self.record("--module", "hook.py:example", "--taps", "all", out="small")
        self.assertEqual(code, 0, said)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        code, said = self.record("--module", "hook.py:large", "--taps", "all")
        self.assertEqual(code, 0, said)
        grown = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - before
        self.assertGreater((self.folder / "bundle/reference.safetensors").stat().st_size, 650 << 20)
        # The weights, 160 MiB, are held twice: the hook's and the recorded copy.
        self.assertLess(grown, 420 << 10, "KiB")

    def test_what_is_wrong_is_said_with_its_exit_code(self) -> None:
        llama = str(LLAMA)
        (self.folder / "empty").mkdir()
        for code, part, *words in (
            (2, "give either a model or --module"),
            (2, "start at 1", llama, "--length", "0"),
            (2, "--f64 is the twin of float32", llama, "--f64", "--dtype", "bfloat16"),
            (2, "paths are like model, model.embed_tokens", llama, "--taps", "nothing.*"),
            (2, "--inputs hook.py", llama, "--inputs", "hook.py"),
            (2, "with a file that exists", "--module", "absent.py:f"),
            (2, "no function 'absent'", "--module", "hook.py:absent"),
            (2, "expected (nn.Module", "--module", "hook.py:Two"),
            (2, "unrecognized arguments", llama, "--what"),
            (2, "empty", "empty"),
        ):
            found, said = self.record(*words)
            self.assertEqual((found, part in said), (code, True), said)
            self.assertNotIn("Traceback", said)
        self.assertFalse((self.folder / "bundle/reference.safetensors").exists())


if __name__ == "__main__":
    unittest.main()
