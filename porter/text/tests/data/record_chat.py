"""Writes chat/expected.json: the templates of chat/ as transformers renders them.

The environment is the one that transformers documents for chat templates (and builds in
utils/chat_template_utils.py); jinja2 does the rendering.

    pip install jinja2 && python record_chat.py
"""
import json
from datetime import datetime, timezone
from pathlib import Path

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = Path(__file__).parent / "chat"
NOW = 1_790_000_000


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


ENVIRONMENT = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
ENVIRONMENT.filters["tojson"] = tojson
ENVIRONMENT.globals["raise_exception"] = raise_exception
ENVIRONMENT.globals["strftime_now"] = lambda form: datetime.fromtimestamp(NOW, timezone.utc).strftime(form)

TALK = [{"role": "user", "content": "What is 2 + 2?\nBe brief."}, {"role": "assistant", "content": " Four — vier 四 "},
        {"role": "user", "content": "  Thanks <b>& bye</b> "}]
SYSTEM = [{"role": "system", "content": "  You are terse.\n"}, *TALK]
TOOLS = [{"type": "function", "function": {"name": "add", "description": "Adds <two> & \"numbers\" é",
          "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {}}, "required": ["a"],
                         "additional": False, "max": 1.5, "none": None, "list": []}}}]
CASES = [
    ("smollm2", TALK, {}, True), ("smollm2", SYSTEM, {}, False), ("smollm2", [], {}, True),
    ("tools", SYSTEM, {"bos_token": "<s>", "tools": TOOLS, "options": {"a": True, "b": None, "c": "x'y", "d": 1.0}}, True),
    ("tools", [*TALK, {"role": "other", "content": "?"}, {"role": "assistant", "content": "<think>a</think>\n\nb"},
               {"role": "user", "content": "STOP here"}, *TALK], {"bos_token": "<s>", "options": {}}, False),
    ("generation", TALK, {}, True), ("generation", SYSTEM, {}, False),
    ("alternating", TALK, {"bos_token": "<s>", "eos_token": "</s>"}, False),
    ("alternating", SYSTEM, {"bos_token": "<s>", "eos_token": "</s>"}, False),
]
recorded = []
for name, messages, variables, prompt in CASES:
    case = {"template": name, "messages": messages, "variables": variables, "add_generation_prompt": prompt}
    try:
        template = ENVIRONMENT.from_string((HERE / f"{name}.jinja").read_text())
        case["text"] = template.render(messages=messages, add_generation_prompt=prompt, **variables)
    except jinja2.exceptions.TemplateError as error:
        case["raises"] = error.message
    recorded.append(case)
document = {"jinja2": jinja2.__version__, "now": NOW, "cases": recorded}
(HERE / "expected.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
