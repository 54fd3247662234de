#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README, and the one of the stores, are held to what they say: the program is built against an
installed prefix and run, commands are run, configurations are checked, and what is named is there.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ARGS = argparse.Namespace()
FENCE = re.compile(r"(?:<!-- run: (?P<run>[\w.]+) -->\n)?```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.M | re.S)
FOLDERS = ("runtime/", "connectors/", "config/", "actors/", "api/", "tests/", "scripts/", ".ci/")


def run(*command, env=None, cwd=None, ok=True):
    done = subprocess.run(
        [str(c) for c in command], env={**os.environ, **(env or {})}, cwd=cwd, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
    )
    if ok and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\nexit {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


class Readme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(ARGS.source)
        cls.text = (cls.root / "README.md").read_text(encoding="utf-8")
        # Links of the second one count from its folder.
        cls.text += (cls.root / "connectors" / "README.md").read_text(encoding="utf-8").replace("](../", "](")
        cls.blocks = list(FENCE.finditer(cls.text))
        # Indented lines are commands too, and so is what stands between backticks.
        prose = FENCE.sub("", cls.text)
        cls.spans = re.findall(r"`([^`\n]+)`", prose)
        cls.indented = re.findall(r"^ {4}(\S.*)$", prose, flags=re.M)
        cls.dir = Path(tempfile.mkdtemp(prefix="kvr-readme-"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def block(self, name):
        found = [b.group("body") for b in self.blocks if b.group("run") == name]
        self.assertEqual(len(found), 1, name)
        return found[0]

    def test_the_program(self):
        prefix, program = self.dir / "prefix", self.dir / "example"
        # As shown, but from this build and to a folder of its own.
        line = next(l for l in self.indented if l.startswith("cmake --install "))
        words = re.fullmatch(r"cmake (--install) build/release (--prefix) /usr/local", line).groups()
        run(ARGS.cmake, words[0], ARGS.build, words[1], prefix)
        (self.dir / "example.c").write_text(self.block("example.c"))
        lib = prefix / ARGS.libdir
        line = next(l for l in self.indented if l.startswith("cc example.c"))
        flags = re.fullmatch(r"cc example\.c \$\((pkg-config .*)\)", line).group(1).split()
        said = run(*flags, env={"PKG_CONFIG_PATH": str(lib / "pkgconfig")}).split()
        run(ARGS.cc, "-Wall", "-Wextra", "-Werror", "example.c", *said, "-o", program, cwd=self.dir)
        out = run(program, env={"LD_LIBRARY_PATH": str(lib)})
        self.assertEqual(out, "2 chunks came back, 2 in a row\n")

    def test_how_it_is_built(self):
        presets = json.loads((self.root / "CMakePresets.json").read_text(encoding="utf-8"))
        options = (self.root / "CMakeLists.txt").read_text(encoding="utf-8")
        lines = [l for l in self.indented if l.startswith("cmake ") and "--preset" in l]
        self.assertEqual(len(lines), 2)
        for line, kind in zip(lines, ("configurePresets", "buildPresets")):
            preset = re.search(r"--preset (\S+)", line).group(1)
            self.assertIn(preset, [p["name"] for p in presets[kind]], line)
            for option in re.findall(r"-D(\w+)=", line):
                self.assertIn(f"option({option} ", options, line)

    def test_the_commands(self):
        # As in a clone, but not in this one: some of them write beside the configuration.
        clone, tmp = self.dir / "clone", self.dir / "tmp"
        tmp.mkdir()
        shutil.copytree(self.root / "config", clone / "config")
        shutil.copy(self.root / "LICENSE", clone)
        path = f"{Path(ARGS.command).parent}:{os.environ['PATH']}"
        lines = self.block("commands").strip().split("\n")
        self.assertGreater(len(lines), 3)
        for line in lines:
            self.assertTrue(line.startswith("kvrelay "), line)
            run("sh", "-ec", line.replace("/tmp/", f"{tmp}/"), cwd=clone, env={"PATH": path})
        got = next(l.split(" -o ")[1].split()[0] for l in lines if " -o " in l)
        self.assertEqual((tmp / Path(got).name).read_bytes(), (self.root / "LICENSE").read_bytes())

    @staticmethod
    def shape(line):
        """A line of a screen without what differs from run to run."""
        line = re.sub(r"\d+(?:\.\d+)?(?: (?:us|ms|s|min|h|B|KiB|MiB|GiB))?", "N", line)
        return re.sub(r" +", " ", re.sub(r"/\S+/", "/", line)).strip().replace(" - ", " N ")

    def not_shown(self, name, real):
        """The lines of a screen in the README that are not in a real one."""
        known = {self.shape(line) for line in real.splitlines()}
        # What a file system or a machine has is not everywhere the same.
        return [line for line in self.block(name).splitlines() if self.shape(line) not in known
                and "O_DIRECT" not in line and " mount " not in line and "looked" not in line]

    def test_its_screens_are_what_the_command_shows(self):
        store = self.dir / "kvrelay-readme"
        done = subprocess.run([ARGS.command, "doctor", "--url", f"fs://{store}"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(self.not_shown("doctor.txt", done.stdout), [], done.stdout)
        config, trace = self.dir / "top.json", self.dir / "shown"
        config.write_text(json.dumps({"tiers": [
            {"name": "host", "url": "memory://", "capacity": "64MiB"},
            {"name": "disk", "url": f"fs://{self.dir}/disk", "capacity": "64MiB"}], "trace": {"dir": str(trace)}}))

        def start():
            return subprocess.Popen(
                [ARGS.command, "bench", "--config", config, "--chunks", "4000", "--batch", "4"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        bench = start()
        try:
            real, until = "", time.monotonic() + 100
            # Until both tiers have latencies: on a busy machine it takes a while, and a tier or the
            # whole may be said to be sick for a moment.
            while self.not_shown("top.txt", real):
                if bench.poll() is not None:
                    bench = start()
                self.assertLess(time.monotonic(), until, f"{self.not_shown('top.txt', real)}\nreal:\n{real}")
                real = subprocess.run([ARGS.command, "top", "--once", "--every", "200ms", "--dir", trace],
                                      stdout=subprocess.PIPE, text=True, timeout=100, check=False).stdout
        finally:
            bench.terminate()
            bench.wait()

    def test_the_configurations(self):
        checked = 0
        (self.dir / "outage.txt").write_text(self.block("outage.txt"))
        for block in self.blocks:
            if block.group("kind") == "json":
                file = self.dir / "block.json"
                file.write_text(block.group("body"))
                names = re.findall(r'"password_env": "(\w+)"|\$\{(\w+)\}', block.group("body"))
                env = {one or other: "1" for one, other in names}
                run(ARGS.command, "config", "check", file, env=env)
                checked += 1
        self.assertGreater(checked, 0)

    def test_its_figures_are_those_of_a_run(self):
        sys.path.insert(0, str(self.root / "tests" / "bench" / "report"))
        import show  # noqa: PLC0415
        shown = show.blocks(self.text)
        self.assertTrue(shown)
        for file, body in shown:
            document = json.loads((self.root / file).read_text(encoding="utf-8"))
            self.assertEqual(body, show.readme(document) + "\n", f"scripts/bench --readme {file}")

    def test_the_outage(self):
        (self.dir / "outage.txt").write_text(self.block("outage.txt"))
        for row in ("memory://", "fs://./store"):
            config = {"rehearse": True, "tiers": [{"name": "a", "url": row, "faults": "outage.txt"}]}
            (self.dir / "rehearsal.json").write_text(json.dumps(config))
            # It begins with a time in which nothing goes wrong.
            run(ARGS.command, "bench", "--config", self.dir / "rehearsal.json", "--chunks", "2",
                "--size", "64KiB", "--verify")

    def test_what_it_names_is_there(self):
        links = [link for link in re.findall(r"\]\(([^)#]+)\)", self.text) if "://" not in link]
        lines = [word for line in self.indented for word in line.split()]
        code = [word for b in self.blocks if b.group("kind") == "sh" for word in b.group("body").split()]
        names = {w.rstrip("/") for w in links + self.spans + lines + code
                 if w.startswith(FOLDERS) or w in links}
        for name in sorted(names):
            self.assertTrue((self.root / name).exists(), f"README.md names {name}")
        self.assertGreater(len(names), 15)

    def shown(self):
        """Every line that shows the command, without what is filled in."""
        for text in self.spans + self.indented + self.block("commands").split("\n"):
            if text.startswith("kvrelay "):
                yield text

    def test_what_it_shows_is_known_to_help(self):
        top = run(ARGS.command, "--help")
        commands = {m[0]: m[1] for m in re.findall(r"^  (\w+) +(\S*)", top, flags=re.M)}
        helps = {name: run(ARGS.command, name, "--help") for name in commands}
        seen = set()
        for line in self.shown():
            words = line.split()
            self.assertIn(words[1], commands, line)
            seen.add(words[1])
            if "|" in commands[words[1]]:
                self.assertIn(words[2], commands[words[1]].split("|"), line)
            for option in re.findall(r"(?<= )--?[a-z]\w*", line):
                self.assertRegex(helps[words[1]], rf"(?m)^  {option}\b", line)
        # What stands alone may also be an option of a script.
        any_help = "".join(helps.values()) + "".join(
            run(self.root / "scripts" / name, "--help") for name in ("bench", "setup", "test"))
        for option in (s.split()[0] for s in self.spans if s.startswith("--")):
            self.assertTrue(re.search(rf"(?m)^  {option}\b", any_help), option)
        self.assertGreater(len(seen), 5)

    def test_its_functions_and_errors_are_in_the_header(self):
        header = "".join(h.read_text() for h in (self.root / "api").glob("kvrelay*.h"))
        words = {w for span in self.spans if "/" not in span for w in re.findall(r"\b(?:kvr|KVR)_\w+", span)}
        words |= {f"KVR_E_{w}" for row in re.findall(r"^\| ((?:`[A-Z]+`(?:, )?)+) \|", self.text, flags=re.M)
                  for w in re.findall(r"[A-Z]+", row)}
        self.assertGreater(len(words), 10)
        for word in sorted(words):
            self.assertTrue(re.search(rf"\b{word}\b", header), f"the interface has no {word}")

    def test_its_table_of_stores_is_what_is_built_in(self):
        table = self.text[self.text.index("| store |"):].split("\n\n")[0]
        said = set(re.findall(r"`([a-z+-]+)://", table))
        self.assertGreater(len(said), 2)
        built = run(ARGS.command, "version")
        for scheme in said:
            self.assertRegex(built, rf"\b{scheme}\b")


def main():
    parser = argparse.ArgumentParser()
    for name in ("cmake", "cc", "source", "build", "libdir", "command"):
        parser.add_argument(f"--{name}", required=True)
    _, rest = parser.parse_known_args(namespace=ARGS)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
