# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command share: the command, folders, a Redis server, golden data."""

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ARGS = argparse.Namespace(command=None, source=None)
PATIENCE_S = 120


def main(module="__main__"):
    parser = argparse.ArgumentParser()
    parser.add_argument("--command", required=True)
    parser.add_argument("--source", required=True, type=Path)
    args, rest = parser.parse_known_args()
    ARGS.command, ARGS.source = os.path.abspath(args.command), args.source.resolve()
    unittest.main(module=module, argv=[sys.argv[0], *rest])


def needs_redis():
    if shutil.which("redis-server") is None:
        print("not run: redis-server is not installed")
        sys.exit(77)


def golden(name):
    return json.loads((ARGS.source / "tests" / "golden" / f"{name}.json").read_text())


class Done:
    """How a command ended. out is bytes, text and err are texts."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err.decode()

    @property
    def text(self):
        return self.out.decode()

    @property
    def json(self):
        return json.loads(self.text)


def environment(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("KVRELAY_", "LMCACHE_"))}
    return {**env, **(extra or {})}


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="kvr-cli-"))
        self.addCleanup(shutil.rmtree, self.dir)

    def call(self, *args, env=None, stdin=b"", user=None):
        done = subprocess.run(
            [ARGS.command, *map(str, args)],
            input=stdin, cwd=self.dir, env=environment(env), timeout=PATIENCE_S, user=user,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *args, **kwargs):
        done = self.call(*args, **kwargs)
        self.assertEqual(done.status, 0, (args, done.out[:4096], done.err))
        return done

    def fails(self, status, words, *args, **kwargs):
        done = self.call(*args, **kwargs)
        self.assertEqual(done.status, status, (args, done.out[:4096], done.err))
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, done.err)
        return done

    def start(self, *args):
        process = subprocess.Popen(
            [ARGS.command, *map(str, args)], cwd=self.dir, env=environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def wait(self, what, process=None):
        """Until what() is true: the process whose work that is must be alive meanwhile."""
        until = time.monotonic() + PATIENCE_S
        while not what():
            self.assertLess(time.monotonic(), until, "waited too long")
            if process is not None and process.poll() is not None:
                self.fail(f"it has ended with {process.returncode}: {process.communicate()}")

    def deploy(self, *tiers, name="deploy.json", **more):
        """The file of a deployment in the test's folder."""
        path = self.dir / name
        trace = {"dir": str(self.dir / "trace"), "size": "4MiB"}
        memory = {"staging": "64MiB", "objects": "16MiB"}
        path.write_text(json.dumps({"tiers": list(tiers), "trace": trace, "memory": memory, **more}))
        return path

    def files(self, under):
        """What a person sees there: a page of statistics is hidden."""
        return sorted(p for p in (self.dir / under).rglob("[!.]*") if p.is_file())


class Port:
    """A port of the loopback device that no other test has until it is given back, and the one 10000 above it.

    tests/harness/kvr_port.h says why; names and numbers are the same there.
    """

    FIRST, COUNT, BUS = 10240, 9728, 10000

    def __init__(self):
        begin = random.randrange(self.COUNT)
        for n in range(self.COUNT):
            self.number = self.FIRST + (begin + n) % self.COUNT
            if self.hold():
                if self.is_free(self.number) and self.is_free(self.number + self.BUS):
                    return
                self.give()
        raise AssertionError("no port is free")

    def hold(self):
        self.name = socket.socket(socket.AF_UNIX)
        try:
            self.name.bind(f"\0kvrelay-test-port-{self.number}")
        except OSError:
            self.name.close()
            return False
        return True

    @staticmethod
    def is_free(number):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", number))
            except OSError:
                return False
            return True

    def give(self):
        self.name.close()


class Redis:
    """A server of its own on a Unix socket, and the few commands that a test needs.

    port=True: on a free port of the loopback device too. conf: its configuration file.
    """

    def __init__(self, *options, port=False, conf=None):
        self.dir = Path(tempfile.mkdtemp(prefix="kvr-redis-"))
        self.sock = self.dir / "sock"
        self.url = f"unix://{self.sock}"
        self.stream = None
        self.held = Port() if port else None
        self.port = self.held.number if port else 0
        if self.start(options, conf):
            return
        self.stop()
        raise AssertionError("redis-server did not start")

    def start(self, options, conf):
        self.process = subprocess.Popen(
            ["redis-server"] + [str(conf)] * (conf is not None) +
            ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.sock), "--save", "",
             "--appendonly", "no", "--dir", str(self.dir), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + PATIENCE_S
        while self.stream is None and time.monotonic() < until and self.process.poll() is None:
            self.stream = self.connect()
        if self.stream is None:
            self.process.kill()
            self.process.wait()
        return self.stream is not None

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(str(self.sock))
        except OSError:
            s.close()
            return None
        s.settimeout(PATIENCE_S)
        self.socket = s
        return s.makefile("rb")

    def stop(self):
        if self.stream is not None:
            self.stream.close()
            self.socket.close()
        self.process.terminate()
        self.process.wait()
        if self.held is not None:
            self.held.give()
        shutil.rmtree(self.dir)

    def __call__(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        out = b"*%d\r\n" % len(words)
        out += b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        self.socket.sendall(out)
        return self.reply()

    def reply(self):
        line = self.stream.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        if kind == b"-":
            raise AssertionError(rest.decode())
        return int(rest) if kind == b":" else rest


class Nodes:
    """A Redis Cluster of three servers, with a third of the slots each."""

    SLOTS = 16384

    def __init__(self, password=None):
        secret = ("--requirepass", password) if password else ()
        self.nodes = [Redis("--cluster-enabled", "yes", *secret, port=True) for _ in range(3)]
        for i, node in enumerate(self.nodes):
            if password:
                node("AUTH", password)
            node("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            node("CLUSTER", "ADDSLOTS", *range(self.SLOTS * i // 3, self.SLOTS * (i + 1) // 3))
            self.nodes[0]("CLUSTER", "MEET", "127.0.0.1", node.port)
        self.wait_for(self.is_ready)

    def wait_for(self, is_so):
        until = time.monotonic() + PATIENCE_S
        while not all(is_so(node) for node in self.nodes):
            if time.monotonic() > until:
                raise AssertionError(f"not so on every node: {is_so.__name__}")

    @staticmethod
    def is_ready(node):
        info = node("CLUSTER", "INFO")
        return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info

    def stop(self):
        for node in self.nodes:
            node.stop()
