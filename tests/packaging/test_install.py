#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installs the build, moves the installed tree, and uses it the four ways that a consumer can.

The tree is moved because a prefix that is written down anywhere in it works on the machine of
whoever built it and nowhere else.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ARGS = argparse.Namespace()


def run(*command, env=None, cwd=None):
    done = subprocess.run(
        [str(c) for c in command],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # where the library logs, unless it is told otherwise
        text=True,
        timeout=240,
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\nexit {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def needed(binary):
    lines = run("readelf", "-d", binary).splitlines()
    return [line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line]


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp(prefix="kvr-install-"))
        cls.first = cls.dir / "first" / "prefix"
        cls.prefix = cls.dir / "moved"
        run(ARGS.cmake, "--install", ARGS.build, "--prefix", cls.first)
        shutil.move(cls.first, cls.prefix)
        cls.lib = cls.prefix / ARGS.libdir

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def pkg_config(self, libdir, *flags):
        env = {"PKG_CONFIG_PATH": str(libdir / "pkgconfig")}
        return run("pkg-config", *flags, "kvrelay", env=env).split()

    def compile_and_run(self, name, flags):
        program = self.dir / name
        source = HERE / "consumer" / "consumer.c"
        run(ARGS.cc, "-std=gnu11", "-Wall", "-Wextra", "-Werror", source, "-o", program, *flags)
        out = run(program, env={"LD_LIBRARY_PATH": str(self.lib)})
        self.assertEqual(out.strip(), f"kvrelay {ARGS.version}")
        return needed(program)

    def test_no_path_of_the_build_is_left(self):
        seen = 0
        for path in self.prefix.rglob("*"):
            if path.suffix in (".pc", ".cmake", ".h"):
                text = path.read_text()
                self.assertNotIn(str(self.first), text, path)
                self.assertNotIn(ARGS.build, text, path)
                self.assertNotIn(ARGS.source, text, path)
                seen += 1
        self.assertGreaterEqual(seen, 6)

    def test_soname_and_links(self):
        lib = self.lib / "libkvrelay.so"
        soname = f"libkvrelay.so.{ARGS.version.split('.')[0]}"
        self.assertIn(f"Library soname: [{soname}]", run("readelf", "-d", lib))
        self.assertEqual(os.readlink(lib), soname)
        self.assertEqual(os.readlink(self.lib / soname), f"libkvrelay.so.{ARGS.version}")

    def test_no_run_path(self):
        for binary in [self.lib / "libkvrelay.so", *self.prefix.glob("bin/*")]:
            dynamic = run("readelf", "-d", binary)
            self.assertNotIn("RUNPATH", dynamic, binary)
            self.assertNotIn("RPATH", dynamic, binary)

    def test_pkg_config_shared(self):
        flags = self.pkg_config(self.lib, "--cflags", "--libs")
        self.assertIn("libkvrelay.so.0", self.compile_and_run("shared", flags))

    def test_pkg_config_static(self):
        # Without the shared library in the way, as where only the archive is shipped.
        alone = self.dir / "alone"
        shutil.copytree(self.prefix, alone, symlinks=True)
        for shared in (alone / ARGS.libdir).glob("libkvrelay.so*"):
            shared.unlink()
        flags = self.pkg_config(alone / ARGS.libdir, "--static", "--cflags", "--libs")
        for lib in self.compile_and_run("static", flags):
            self.assertNotIn("kvrelay", lib)

    def find_package(self, target):
        build = self.dir / target.replace(":", "_")
        run(
            ARGS.cmake, "-G", "Ninja", "-S", HERE / "consumer", "-B", build,
            f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_C_COMPILER={ARGS.cc}",
            f"-DKVR_CONSUMER_TARGET={target}",
        )
        run(ARGS.cmake, "--build", build)
        self.assertEqual(run(build / "consumer").strip(), f"kvrelay {ARGS.version}")
        return needed(build / "consumer")

    def test_find_package_shared(self):
        libs = self.find_package("kvrelay::kvrelay")
        self.assertIn("libkvrelay.so.0", libs)
        self.assertNotIn("libnng.so.1", libs)

    def test_find_package_static(self):
        for lib in self.find_package("kvrelay::static"):
            self.assertNotIn("kvrelay", lib)

    def test_the_command_stands_alone(self):
        command = self.prefix / "bin" / "kvrelay"
        self.assertEqual(command.exists(), ARGS.command == "yes")
        if command.exists():
            self.assertNotIn("libkvrelay.so.0", needed(command))

    def eic_works(self, adapter):
        """With the stand-in for the vendor's module: a value is taken. It forgets it with the process."""
        dynamic = run("readelf", "-d", adapter)
        self.assertNotIn("RUNPATH", dynamic)
        for lib in needed(adapter):
            self.assertNotIn("kvrelay", lib)
        module = Path(ARGS.source) / "tests" / "harness" / "eic_module"
        run(self.prefix / "bin" / "kvrelay", "put", "--url", "eic://h:1", "key", Path(ARGS.source) / "LICENSE",
            "--raw", "--set", f"tiers.remote.eic.library={adapter}",
            env={"PYTHONPATH": str(module), "PYTHONDONTWRITEBYTECODE": "1"})

    def test_an_adapter_of_eic_needs_no_more_than_the_installed_header(self):
        if ARGS.eic != "yes":
            self.skipTest("no headers of Python")
        source, adapter = self.dir / "eic_python.c", self.dir / "libkvr_eic_apart.so"
        shutil.copy(Path(ARGS.source) / "connectors" / "adapter" / source.name, source)
        python = run("pkg-config", "--cflags", "--libs", "python3-embed").split()
        run(ARGS.cc, "-std=gnu11", "-fPIC", "-shared", source, f"-I{self.prefix / 'include'}", *python, "-ldl",
            "-lpthread", "-o", adapter)
        self.eic_works(adapter)

    def test_the_adapter_of_eic_is_installed_where_it_is_asked_for(self):
        self.assertFalse(list(self.prefix.rglob("libkvr_eic*")))
        if ARGS.eic != "yes":
            self.skipTest("no headers of Python")
        build, prefix = self.dir / "eic", self.dir / "eic-prefix"
        run(ARGS.cmake, "-G", "Ninja", "-S", ARGS.source, "-B", build, f"-DCMAKE_C_COMPILER={ARGS.cc}",
            "-DKVR_EIC_ADAPTER=ON")
        run(ARGS.cmake, "--build", build, "--target", "kvr_eic")
        run(ARGS.cmake, "--install", build, "--component", "eic", "--prefix", prefix)
        self.assertEqual([p.name for p in prefix.rglob("*") if p.is_file()], ["libkvr_eic.so"])
        self.eic_works(next(prefix.rglob("libkvr_eic.so")))


def main():
    parser = argparse.ArgumentParser()
    for name in ("cmake", "cc", "source", "build", "libdir", "version", "command", "eic"):
        parser.add_argument(f"--{name}", required=True)
    _, rest = parser.parse_known_args(namespace=ARGS)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
