#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a compiler does not know.

  scripts/tidy.py                      checks the sources
  scripts/tidy.py --objects FILE...    checks the compiled deciders among these object files

Prints one line per finding, as a compiler would, and exits 1 when there is an error. A warning
is a rule that may be broken for a reason.
"""

import argparse
import fnmatch
import re
import subprocess
import sys
from pathlib import Path

COLUMNS = 120
TAB = 8
FILE_LINES = 400
FUNCTION_LINES = 40
# What is left undone, without a number. In pieces, so that this line is none.
UNDONE = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b(?!\(#\d+\))")
LAYERS = ("runtime", "connectors", "config", "actors", "api")
ROOTS = LAYERS + ("tests", "scripts", ".ci")

# One third-party library, one file of the library that sees it: swapping it is then one file.
# CUDA has six: its memory, its copies, those over the bus, what they stage there, its driver and its kernels; xxHash one for any processor and one for those with wide registers.
THIRD_PARTY = {
    "nng": (r"nng/", 1),
    "hiredis": (r"hiredis/", 1),
    "zstd": (r"(zstd|zdict)", 1),
    "cJSON": (r"(cjson/|cJSON)", 1),
    "xxHash": (r"xxh", 2),
    "OpenSSL": (r"openssl/", 1),
    "libcurl": (r"curl/", 1),
    "libyaml": (r"yaml\.h", 1),
    "Python": (r"Python\.h", 1),
    "CUDA": (r"cuda", 6),
    "Check": (r"check\.h", 0),
}

# All that a decider may call. Its own actor's other objects may be called too; nothing else may.
DECIDERS = ("router", "tier", "link", "transfer", "metrics")
ALLOWED = {
    "kvr_send", "kvr_later", "kvr_touch", "kvr_rand", "kvr_ignore", "kvr_panic", "kvr_rows",
    "kvr_err_name", "kvr_err_text", "kvr_err_may_pass", "kvr_err_stream", "kvr_err_blame",
    "memcpy", "memset", "memcmp", "memmove",
    "__popcountdi2",  # arithmetic: what the compiler makes of a popcount without the instruction
    "kvr_link_state_name", "kvr_tier_state_name",  # no calls: constants of the messages
    "_GLOBAL_OFFSET_TABLE_",  # not a call: how position-independent code finds its constants
}
WRITABLE = re.compile(r"^\.(data|bss|tdata|tbss)(\.|$)")
# Constant tables of pointers: written by the loader, then read-only.
RELOCATED = re.compile(r"^\.data\.rel\.ro(\.|$)")


class Findings:
    def __init__(self):
        self.errors = 0
        self.warnings = 0

    def error(self, path, line, text):
        self.errors += 1
        print(f"{path}:{line}: error: {text}")

    def warn(self, path, line, text):
        self.warnings += 1
        print(f"{path}:{line}: warning: {text}")


class Source:
    def __init__(self, root, path):
        self.path = path
        self.name = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.split("\n")

    @property
    def is_c(self):
        return self.path.suffix in (".c", ".h", ".cu")

    @property
    def in_library(self):
        return self.name.startswith(tuple(f"{layer}/" for layer in LAYERS)) and self.is_c


def is_program(path):
    """A script without a suffix, as scripts/setup."""
    if path.suffix or not path.is_file():
        return False
    with path.open("rb") as f:
        return f.read(2) == b"#!"


def sources(root):
    found = [root / "CMakeLists.txt"]
    for top in ROOTS:
        for path in sorted((root / top).rglob("*")):
            if "__pycache__" in path.parts or not path.is_file():
                continue
            known = path.suffix in (".c", ".h", ".cu", ".py", ".sh", ".cmake", ".map", ".in")
            if known or path.name == "CMakeLists.txt" or is_program(path):
                found.append(path)
    return [Source(root, path) for path in found if path.exists()]


def check_text(src, out):
    head = src.lines[:2] if src.lines[0].startswith("#!") else src.lines[:1]
    if "SPDX-License-Identifier: Apache-2.0" not in head[-1]:
        out.error(src.name, len(head), "the first line must be SPDX-License-Identifier: Apache-2.0")
    if not src.text.endswith("\n") or src.text.endswith("\n\n"):
        out.error(src.name, len(src.lines), "a file ends with one newline")
    for n, line in enumerate(src.lines, 1):
        if line != line.rstrip():
            out.error(src.name, n, "blanks at the end of the line")
        mark = UNDONE.search(line)
        if mark:
            out.error(src.name, n, f"name the issue: {mark[1]}(#12)")


def check_length(src, out):
    if not src.is_c:
        return
    wide = [n for n, line in enumerate(src.lines, 1) if len(line.expandtabs(TAB)) > COLUMNS]
    if wide:
        out.error(src.name, wide[0], f"{len(wide)} lines are wider than {COLUMNS} columns")
    if len(src.lines) - 1 > FILE_LINES:
        out.warn(src.name, 1, f"{len(src.lines) - 1} lines: does this file do one thing?")
    start = None
    for n, line in enumerate(src.lines, 1):
        if line == "{":
            start = n
        elif line == "}" and start is not None:
            if n - start - 1 > FUNCTION_LINES:
                name = re.match(r"\w*", src.lines[start - 2]).group() or "this function"
                out.warn(src.name, start, f"{name} has {n - start - 1} lines")
            start = None


def check_headers(all_sources, out):
    basenames, guards = {}, {}
    for src in all_sources:
        if src.path.suffix != ".h":
            continue
        base = src.path.name
        if base in basenames:
            out.error(src.name, 1, f"{basenames[base]} has the same name: an include finds either")
        basenames.setdefault(base, src.name)
        if src.in_library and not base.startswith("kvr"):
            out.error(src.name, 1, "headers are called kvr_<noun>.h: short names are in /usr/include")
        code = re.sub(r"/\*.*?\*/", "", src.text, flags=re.S)
        words = re.findall(r"^#\s*(\w+)[ \t]*(\w*)", code, flags=re.M)
        if len(words) < 2 or words[0][0] != "ifndef" or words[1] != ("define", words[0][1]):
            out.error(src.name, 1, "a header starts with its guard: #ifndef X, #define X")
            continue
        guard = words[0][1]
        if guard in guards:
            out.error(src.name, 1, f"the guard {guard} is also that of {guards[guard]}")
        guards.setdefault(guard, src.name)


def check_third_party(all_sources, out):
    for library, (pattern, limit) in THIRD_PARTY.items():
        include = re.compile(rf'^\s*#\s*include\s*[<"]{pattern}')
        seen = []
        for src in all_sources:
            if src.in_library:
                hits = [n for n, line in enumerate(src.lines, 1) if include.match(line)]
                if hits:
                    seen.append((src.name, hits[0]))
        if len(seen) > limit:
            names = ", ".join(name for name, _ in seen)
            out.error(*seen[-1], f"{library} may be seen by {limit} file(s) of the library: {names}")
        for name, line in seen:
            # A body is a source that several compile, each in its own way.
            if name.endswith(".h") and not name.endswith("_body.h"):
                out.error(name, line, f"{library} is seen by whoever includes this header")


def check_magics(all_sources, out):
    seen = {}
    for src in all_sources:
        if not src.in_library:
            continue
        for n, line in enumerate(src.lines, 1):
            for letters in re.findall(r"KVR_MAGIC\(\s*('.',\s*'.',\s*'.',\s*'.')\s*\)", line):
                magic = "".join(re.findall(r"'(.)'", letters))
                if magic in seen:
                    out.error(src.name, n, f"the magic {magic} is also that of {seen[magic]}")
                seen.setdefault(magic, f"{src.name}:{n}")


def noun(stem):
    return stem[4:] if stem.startswith("kvr_") else stem


def check_owners(root, all_sources, out):
    """Every source has a test: one of its noun, one that includes its header, one in the list."""
    tests = [s for s in all_sources if s.name.startswith("tests/") and s.is_c]
    nouns = {s.path.stem[5:] for s in tests if s.path.stem.startswith("test_")}
    nouns |= {s.path.stem[5:] for s in tests if s.path.stem.startswith("fuzz_")}
    included = set()
    for src in tests:
        included |= set(re.findall(r'^\s*#\s*include "([^"]+)"', src.text, flags=re.M))
    listed = read_owners(root, all_sources, out)
    for src in all_sources:
        if not src.in_library or src.path.suffix == ".h":
            continue
        # fs_read.c is of the noun fs_read, else of fs.
        words = noun(src.path.stem).split("_")
        mine = ["_".join(words[:n]) for n in range(len(words), 0, -1)]
        owned = any(n in nouns or f"kvr_{n}.h" in included for n in mine)
        if not owned and src.name not in listed:
            out.error(src.name, 1, "no test owns this file: tests/<layer>/test_<noun>.c, one that "
                      "includes kvr_<noun>.h, or a line in tests/owners.txt")


def read_owners(root, all_sources, out):
    """tests/owners.txt: a source or a pattern of sources, blanks, the test that covers it."""
    path = root / "tests" / "owners.txt"
    names = {s.name for s in all_sources}
    listed = set()
    if not path.exists():
        return listed
    for n, line in enumerate(path.read_text().split("\n"), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2:
            out.error("tests/owners.txt", n, "expected: SOURCE TEST")
            continue
        found = set(fnmatch.filter(names, words[0]))
        if not found:
            out.error("tests/owners.txt", n, f"{words[0]} does not exist")
        if words[1] not in names:
            out.error("tests/owners.txt", n, f"{words[1]} does not exist")
        listed |= found
    return listed


def check_sources(root):
    out = Findings()
    every = sources(root)
    for src in every:
        check_text(src, out)
        check_length(src, out)
    check_headers(every, out)
    check_third_party(every, out)
    check_magics(every, out)
    check_owners(root, every, out)
    not_yet = sum(
        len(re.findall(r"\bKVR_TODO_ERROR\(", s.text))
        for s in every if s.in_library and s.name != "runtime/base/kvr_base.h"
    )
    print(f"{len(every)} files: {out.errors} errors, {out.warnings} warnings, {not_yet} panics that "
          "ought to be errors")
    return out


def tool(*command):
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, timeout=60
    ).stdout


def actor_of(path):
    """The decider that an object belongs to, or None. Workers may call what they like."""
    stem = noun(Path(path).name.split(".")[0])
    if stem.endswith("_worker"):
        return None
    for name in DECIDERS:
        if stem == name or stem.startswith(f"{name}_"):
            return name
    return None


def symbols(path, *flags):
    lines = tool("nm", "--format=posix", *flags, path).splitlines()
    return {line.split()[0] for line in lines if line.strip()}


def check_objects(paths):
    out = Findings()
    actors = {}
    for path in paths:
        if actor_of(path) and not Path(path).exists():
            out.error(path, 0, "not built: build all before the check")
        elif actor_of(path):
            actors.setdefault(actor_of(path), []).append(path)
    for name, objects in sorted(actors.items()):
        own = set().union(*(symbols(p, "--defined-only", "--extern-only") for p in objects))
        for path in objects:
            for symbol in sorted(symbols(path, "--undefined-only") - ALLOWED - own):
                out.error(path, 0, f"the decider {name} may not call {symbol}")
            for line in tool("size", "-A", path).splitlines():
                words = line.split()
                if len(words) < 2 or not WRITABLE.match(words[0]) or RELOCATED.match(words[0]):
                    continue
                if words[1] != "0":
                    out.error(path, 0, f"the decider {name} keeps {words[1]} bytes in {words[0]}: "
                              "state beside its state is not replayed")
    count = sum(len(objects) for objects in actors.values())
    if not count and not out.errors:
        out.error("objects", 0, "no decider among them: nothing was checked")
    print(f"{count} objects of {len(actors)} deciders: {out.errors} errors")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--objects", nargs="+", metavar="FILE")
    args = parser.parse_args()
    out = check_objects(args.objects) if args.objects else check_sources(args.root.resolve())
    return 1 if out.errors else 0


if __name__ == "__main__":
    sys.exit(main())
