"""Writes the expected values of this folder with numpy and sentencepiece (versions are kept in the files).

    pip install numpy sentencepiece && python record.py
"""
import io
import json
from pathlib import Path

import numpy as np
import sentencepiece as spm

HERE = Path(__file__).parent
CASES = json.loads((HERE / "../../../../ci/fixtures/tiny/llama/tokenizer_cases.json").read_text())["cases"]
TEXTS = [case["text"] for case in CASES]


def write(name, value):
    (HERE / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def sentencepiece_bpe():
    lines = ("\n".join(TEXTS) + "\n" + Path(__file__).read_text()).split("\n")
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 3), model_writer=model, vocab_size=420, model_type="bpe", byte_fallback=True,
        character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=True, split_digits=True, hard_vocab_limit=False, minloglevel=2)
    sp = spm.SentencePieceProcessor(model_proto=model.getvalue())
    kind = lambda i: 2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 1
    ids = range(sp.get_piece_size())
    texts = [text for text in TEXTS if "<s>" not in text]
    write("sentencepiece.json", {
        "sentencepiece": spm.__version__,
        "tokens": [sp.id_to_piece(i) for i in ids],
        "scores": [sp.get_score(i) for i in ids],
        "token_types": [kind(i) for i in ids],
        "bos": sp.bos_id(), "eos": sp.eos_id(), "unk": sp.unk_id(),
        "cases": [{"text": t, "ids": sp.encode(t), "decoded": sp.decode(sp.encode(t))} for t in texts],
    })


def warped(logits, temperature, top_k, top_p):
    """transformers' TemperatureLogitsWarper, TopKLogitsWarper and TopPLogitsWarper, in numpy."""
    softmax = lambda x: np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    scores = logits.astype(np.float64) / temperature
    if top_k is not None:
        k = min(top_k, scores.size)
        scores = np.where(scores < np.sort(scores)[-k], -np.inf, scores)
    if top_p is not None:
        order = np.argsort(scores)
        remove = np.cumsum(softmax(scores[order])) <= 1 - top_p
        remove[-1:] = False
        scores[order[remove]] = -np.inf
    return softmax(scores)


def warpers():
    rng = np.random.default_rng(3)
    cases = []
    for temperature, top_k, top_p in [(1.0, None, None), (0.7, 12, None), (0.7, None, 0.8), (1.3, 20, 0.6),
                                      (0.2, 3, 0.95), (2.0, 1, 0.5), (1.0, None, 0.01), (1.0, 100, 1.0)]:
        logits = (rng.standard_normal(40) * 3).astype(np.float32)
        probabilities = warped(logits, temperature, top_k, top_p)
        cases.append({"temperature": temperature, "top_k": top_k, "top_p": top_p,
                      "logits": [float(x) for x in logits], "probabilities": [float(x) for x in probabilities]})
    write("warpers.json", {"numpy": np.__version__, "cases": cases})


sentencepiece_bpe()
warpers()
