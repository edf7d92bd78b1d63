"""Runs the action's `run:` steps in order, as GitHub's runner does; called by test.sh.

Knows what the action uses of the expression language, and fails on anything else: inputs, outputs of
earlier steps, `always()`, `==`, `!=`, `&&`, `||`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import yaml

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"
ACTION = yaml.safe_load((HERE / "action.yml").read_text())
GITHUB = {
    "github.server_url": f"file://{HERE.parents[2]}",
    "github.action_repository": HERE.parents[1].name,
    "github.repository": "team/models",
    "runner.os": "Linux",
    "runner.arch": "X64",
}


@dataclass
class Job:
    """One use of the action: its inputs, and what its steps left."""

    folder: Path
    inputs: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    ran: dict[str, int] = field(default_factory=dict)
    used: dict[str, dict[str, str]] = field(default_factory=dict)
    path: str = ""

    def value(self, name: str) -> str:
        """A term of an expression."""
        name = name.strip()
        if name.startswith("'"):
            return name.strip("'")
        if name.startswith("inputs."):
            spec = ACTION["inputs"][name.removeprefix("inputs.")]
            return self.inputs.get(name.removeprefix("inputs."), spec.get("default", ""))
        if name == "runner.temp":
            return str(self.folder)
        return self.outputs.get(name, "") if name.startswith("steps.") else GITHUB[name]

    def expand(self, text: str) -> str:
        """Text with its `${{ }}` filled in."""
        first = lambda terms: next(filter(None, (self.value(t) for t in terms.split("||"))), "")
        return re.sub(r"\$\{\{(.*?)\}\}", lambda m: first(m[1]), text)

    def holds(self, condition: str | None) -> bool:
        """An `if:`; a step without `always()` is skipped after a failure."""
        failed = any(code != 0 for code in self.ran.values())
        terms = [term.strip() for term in (condition or "").split("&&")]
        if failed and "always()" not in terms:
            return False
        for term in filter(lambda t: t and t != "always()", terms):
            match = re.fullmatch(r"(\S+) (==|!=) ('.*')", term)
            assert match, f"the tests do not know {term!r}"
            left, sign, right = match.groups()
            if (self.value(left) == self.value(right)) != (sign == "=="):
                return False
        return True

    def shell(self, step: dict) -> None:
        """Runs a script with the environment and the shell that the runner gives it."""
        out, summary = self.folder / "output", self.folder / "summary"
        out.write_text("")
        environment = {name: self.expand(text) for name, text in step.get("env", {}).items()}
        environment |= {
            "PATH": self.path + os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_ACTION_PATH": str(HERE),
            "GITHUB_OUTPUT": str(out),
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        passed = ("PORTER_PLUGIN_DIR", "PORTER_CACHE_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME")
        environment |= {name: os.environ[name] for name in passed if name in os.environ}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True)
        self.ran[step["name"]] = done.returncode
        if done.returncode and step["name"] != "Verdict":
            print(f"{step['name']}: {done.stdout}{done.stderr}", file=sys.stderr)
        for line in out.read_text().splitlines():
            name, _, value = line.partition("=")
            self.outputs[f"steps.{step['id']}.outputs.{name}"] = value

    def run(self) -> Job:
        self.folder.mkdir(parents=True)
        for step in ACTION["runs"]["steps"]:
            if self.holds(step.get("if")):
                if "uses" in step:
                    self.used[step["name"]] = {k: self.expand(v) for k, v in step.get("with", {}).items()}
                else:
                    self.shell(step)
        return self

    def output(self, name: str) -> str:
        return self.expand(ACTION["outputs"][name]["value"])

    def summary(self) -> str:
        return (self.folder / "summary").read_text()


def check_keys() -> None:
    """What a composite action must have, and what keeps inputs out of its scripts."""
    assert ACTION["runs"]["using"] == "composite" and ACTION["name"] and ACTION["description"]
    for name, spec in ACTION["inputs"].items():
        assert spec["description"] and ("default" in spec) != spec.get("required", False), name
    for step in ACTION["runs"]["steps"]:
        assert ("uses" in step) != ("run" in step), step
        if "run" in step:
            assert step["shell"] == "bash" and "${{" not in step["run"], step["name"]
    example = yaml.safe_load((HERE / "example.yml").read_text())
    uses = [step for step in example["jobs"]["check"]["steps"] if "porter" in step["uses"]]
    assert set(uses[0]["with"]) <= set(ACTION["inputs"]), uses


def check_pass(scratch: Path) -> None:
    model = str(FIXTURES / "tiny/llama_bf16")
    inputs = {"model": model, "reference": model, "binary": os.environ["PORTER"], "name": "bf16"}
    job = Job(scratch / "pass", inputs | {"args": "--dtype bf16\n--quiet"}).run()
    assert job.ran == {"Check": 0, "Summary": 0, "Verdict": 0}, job.ran
    assert (job.output("verdict"), job.output("exit-code")) == ("pass", "0")
    report = Path(job.output("report"))
    assert json.loads((report / "report.json").read_text())["dtype"] == "bf16"
    assert ElementTree.parse(report / "report.xml") and "<html" in (report / "report.html").read_text()
    assert job.used["Upload the report"] == {
        "name": "bf16", "path": str(report), "if-no-files-found": "error",
    }  # fmt: skip
    assert "| pass | `logits` |" in job.summary() and "0 over budget" in job.summary(), job.summary()


def check_fail(scratch: Path) -> None:
    """Q8_0 rounds the weights, which the budget of an f32 port does not forgive."""
    model, reference = FIXTURES / "gguf/llama_open_Q8_0.gguf", FIXTURES / "tiny/llama"
    inputs = {"model": str(model), "reference": str(reference), "binary": os.environ["PORTER"]}
    job = Job(scratch / "fail", inputs).run()
    assert job.ran == {"Check": 0, "Summary": 0, "Verdict": 1}, job.ran
    assert job.output("verdict") == "fail" and "Upload the report" in job.used
    assert "**FAIL**" in job.summary(), job.summary()


def check_error(scratch: Path) -> None:
    """Nothing was compared: the summary holds what porter said, and the exit code is its own."""
    inputs = {"model": "/nowhere", "reference": str(FIXTURES / "tiny/llama"), "binary": os.environ["PORTER"]}
    job = Job(scratch / "error", inputs).run()
    assert job.output("verdict") == "error" and job.ran["Verdict"] > 1, job.ran
    assert "/nowhere" in job.summary() and "Upload the report" in job.used


def check_flags_and_install(scratch: Path) -> None:
    """A cargo that installs a porter which writes down its arguments."""
    tools = scratch / "tools"
    tools.mkdir()
    cargo = tools / "cargo"
    cargo.write_text(
        "#!/bin/sh\n"
        'echo "$@" > "$RUNNER_TEMP/cargo"\n'
        'pwd > "$RUNNER_TEMP/cwd"\n'
        'mkdir -p "$RUNNER_TEMP/porter/bin"\n'
        'porter="$RUNNER_TEMP/porter/bin/porter"\n'
        """printf '#!/bin/sh\\necho "$@" > "$RUNNER_TEMP/porter-ran"\\necho {}\\n' > "$porter"\n"""
        'chmod +x "$porter"\n'
    )
    cargo.chmod(0o755)
    inputs = {"model": "hf:a/b c", "reference": "builtin", "args": "--hard  --bisect", "budget": "b.json"}
    job = Job(scratch / "install", inputs | {"ledger": "l.jsonl"}, path=f"{tools}:").run()
    assert job.ran["Install Porter"] == 0 and job.ran["Verdict"] == 0, job.ran
    said = lambda name: (job.folder / name).read_text().strip()
    assert said("cargo") == f"install --locked --path porter/cli --root {job.folder}/porter"
    assert said("cwd") == str(HERE.parents[1])
    report = job.output("report")
    assert said("porter-ran") == (
        f"check hf:a/b c --reference builtin --json --html {report}/report.html --junit {report}/report.xml "
        "--hard --bisect --budget b.json --ledger l.jsonl"
    )
    key = job.used["Restore Porter"]["key"]
    assert re.fullmatch(r"porter-Linux-X64-[0-9a-f]{64}", key), key

    # The same from another commit, here this repository's own.
    if (HERE.parents[1] / ".git").exists():
        job = Job(scratch / "version", inputs | {"version": "HEAD"}, path=f"{tools}:").run()
        assert said("cwd") == f"{job.folder}/porter-source" and job.ran["Verdict"] == 0, job.ran
        assert job.used["Restore Porter"]["key"] != key


def main() -> None:
    scratch = Path(sys.argv[1])
    check_keys()
    for check in (check_pass, check_fail, check_error, check_flags_and_install):
        check(scratch)
        print(f"{check.__name__}: ok")


if __name__ == "__main__":
    main()
