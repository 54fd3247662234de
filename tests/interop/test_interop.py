#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kvrelay and LMCache on one store: what either writes the other reads, every byte compared.

  test_interop.py --command KVRELAY --source DIR

LMCache is the real one, in a process of its own: its RemoteBackend with its connectors, and its server.
KVR_LMCACHE_PYTHON names an interpreter that can import it, else python3 is tried; where LMCache cannot
be imported the test is not run.
"""

import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
import command  # noqa: E402

PYTHON = os.environ.get("KVR_LMCACHE_PYTHON", "python3")
QUIET = {"LMCACHE_LOG_LEVEL": "ERROR"}
SIZES = {"half": 2, "bfloat16": 2, "float": 4, "double": 8, "uint8": 1, "fp8_e4m3fn": 1, "fp8_e5m2": 1}
TOKENS, LAYERS, HEADS, HEAD = 16, 3, 2, 32
HIDDEN = HEADS * HEAD


class Raised(Exception):
    pass


class Lmcache:
    """The process in which LMCache runs, for all tests: to import it takes longer than they do."""

    process = None

    @classmethod
    def start(cls):
        cls.process = subprocess.Popen(
            [PYTHON, "-B", str(HERE / "lmcache_end.py")], env=command.environment(QUIET), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.version = cls.ask("version")

    @classmethod
    def since(cls, *version):
        return tuple(map(int, cls.version.split(".")[:3])) >= version

    @classmethod
    def stop(cls):
        cls.process.stdin.close()
        cls.process.wait()
        cls.process.stdout.close()

    @classmethod
    def ask(cls, what, **more):
        cls.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        cls.process.stdin.flush()
        # One line for one: nothing of the next answer is in a buffer.
        if not select.select([cls.process.stdout], [], [], 2 * command.PATIENCE_S)[0]:
            cls.process.kill()
        line = cls.process.stdout.readline()
        if not line:
            raise EOFError(f"LMCache has ended at {what}, or was ended because it did not")
        answer = json.loads(line)
        if "raised" in answer:
            raise Raised(answer["raised"])
        return answer["ok"]


def size_of(shapes, dtypes):
    total = 0
    for shape, dtype in zip(shapes, dtypes):
        n = SIZES[dtype]
        for dim in shape:
            n *= dim
        total += n
    return total


class Chunk:
    """A key as its parts, and what lies under it."""

    made = 0

    def __init__(self, shape=None, dtype="bfloat16", form="KV_2LTD", hash=None, **key):
        Chunk.made += 1
        self.shapes, self.dtypes, self.form = [shape or [2, LAYERS, TOKENS, HIDDEN]], [dtype], form
        self.key = {"model": "org/model-7B", "world": 2, "worker": 1, "dtype": dtype,
                    "hash": str(hash if hash is not None else 0x75bcd15 + Chunk.made), **key}
        self.payload = random.Random(Chunk.made).randbytes(size_of(self.shapes, self.dtypes))


def plain():
    """What a store that keeps headers must carry."""
    return [
        Chunk(),
        Chunk(dtype="half"),
        Chunk(dtype="float", hash=-255),
        Chunk(dtype="double", hash=1 << 63),
        Chunk(dtype="uint8", tags=[["tenant", "acme"], ["user", "a b"]]),
        Chunk(dtype="fp8_e4m3fn"),
        Chunk(dtype="fp8_e5m2"),
        Chunk(shape=[2, LAYERS, TOKENS - 5, HIDDEN]),
        Chunk(shape=[1, LAYERS, TOKENS, 576], form="KV_MLA_FMT", world=1, worker=0),
    ]


class Cross(command.Case):
    # What LMCache could not do before is not asked of it, nor what it did in another way: its server took
    # keys with the engine's name in front.
    FIRST = {"hash_of_bytes": (0, 3, 13), "layers": (0, 4, 2), "plugin": (0, 4, 3), "odirect": (0, 5, 6),
             "resp": (0, 3, 15), "groups": (0, 4, 7), "ttl": (0, 5, 6), "valkey_cluster": (0, 4, 3),
             "server": (0, 3, 13)}

    LM = {"shape": [LAYERS, 2, HEADS, HEAD], "dtype": "bfloat16", "mla": False, "world": 2, "worker": 1,
          "chunk": TOKENS}

    def needs(self, what):
        if not Lmcache.since(*self.FIRST[what]):
            self.skipTest(f"LMCache {Lmcache.version} cannot: {what}")

    def lm(self, url, extra=None, **more):
        said = {**self.LM, "dir": str(self.dir), "extra": extra or {}, "url": url, **more}
        self.assertTrue(Lmcache.ask("open", **said)["connected"], url)
        self.addCleanup(Lmcache.ask, "close")

    def flat(self, url, extra=None, **more):
        """LMCache's own configuration, as kvrelay reads it."""
        path = self.dir / f"flat-{len(list(self.dir.iterdir()))}.json"
        store = {"remote_url": url} if url else {}
        path.write_text(json.dumps({
            **store, "remote_serde": "naive", "chunk_size": TOKENS, "extra_config": extra or {},
            "trace": {"dir": str(self.dir / "trace"), "size": "4MiB"}, **more}))
        return ("--config", path)

    def text(self, *chunks):
        return Lmcache.ask("text", keys=[c.key for c in chunks])

    def lm_put(self, *chunks, batch=False):
        said = []
        for i, c in enumerate(chunks):
            path = self.dir / f"in-{i}"
            path.write_bytes(c.payload)
            said.append({"key": c.key, "shapes": c.shapes, "dtypes": c.dtypes, "format": c.form,
                         "file": str(path)})
        Lmcache.ask("put", chunks=said, batch=batch)

    def lm_get(self, *chunks, how="batch"):
        return Lmcache.ask("get", keys=[c.key for c in chunks], how=how)

    def same(self, chunk, got, header=True):
        self.assertIsNotNone(got)
        self.assertEqual(Path(got["file"]).read_bytes(), chunk.payload)
        os.unlink(got["file"])
        if header:
            self.assertEqual((got["shape"], got["format"]), (chunk.shapes[0], chunk.form))
            self.assertEqual((got["shapes"], got["dtypes"]), (chunk.shapes, chunk.dtypes))

    def kv_put(self, chunk, place):
        shape = ",".join(map(str, chunk.shapes[0]))
        self.ok("put", *place, self.text(chunk)[0], "-", "--shape", shape, "--dtype", chunk.dtypes[0],
                "--format", chunk.form, stdin=chunk.payload)

    def kv_get(self, chunk, place):
        self.assertEqual(self.ok("get", *place, self.text(chunk)[0]).out, chunk.payload)

    def lmcache_writes(self, chunks, place):
        half = len(chunks) // 2
        self.lm_put(*chunks[:half])
        self.lm_put(*chunks[half:], batch=True)
        # Over lm:// a put has no answer: what follows it on its connection has one.
        self.assertEqual(Lmcache.ask("contains", keys=[c.key for c in chunks]), [True] * len(chunks))
        texts = self.text(*chunks)
        self.ok("exists", *place, *texts)
        self.fails(1, "", "exists", *place, *texts, self.text(Chunk())[0])
        for chunk, text in zip(chunks, texts):
            with self.subTest(text, writes="LMCache"):
                self.kv_get(chunk, place)

    counts = ("batch", "async")

    def kvrelay_writes(self, chunks, place, header=True):
        for chunk in chunks:
            self.kv_put(chunk, place)
        n = len(chunks)
        missing = Chunk()
        keys = [c.key for c in chunks]
        self.assertEqual(Lmcache.ask("contains", keys=[*keys, missing.key]), [True] * n + [False])
        for how in self.counts:
            self.assertEqual(Lmcache.ask("contains", keys=[*keys, missing.key, *keys], how=how), n)
        for how in "one", "batch", "async":
            for chunk, got in zip(chunks, self.lm_get(*chunks, how=how), strict=True):
                with self.subTest(chunk.key, writes="kvrelay", how=how):
                    self.same(chunk, got, header)

    def both_ways(self, url, place, make=plain, extra=None, header=True, **more):
        self.lm(url, extra, **more)
        self.lmcache_writes(make(), place)
        self.kvrelay_writes(make(), place, header)


def layers():
    """A chunk of each layer of one key, as use_layerwise stores them."""
    return [Chunk(shape=[TOKENS, 2, HIDDEN], form="KV_T2D", hash=77, layer=i) for i in range(LAYERS)]


def full():
    """What fits a store without headers: whole chunks of the one shape that both sides know."""
    return [Chunk(), Chunk(hash=-1), Chunk(tags=[["a", "b"]])]


def parts():
    return [Chunk(shape=[2, LAYERS, n, HIDDEN]) for n in (1, TOKENS - 1, TOKENS)]


def bytes_hashes():
    return [Chunk(bytes="00ff" * 16), Chunk(bytes="ab" * 32)]


class EveryKind:
    """Of a store that holds all of LMCache's chunks, at self.url."""

    def test_both_ways(self):
        self.both_ways(self.url, self.flat(self.url))

    def test_layers(self):
        self.needs("layers")
        self.both_ways(self.url, self.flat(self.url), make=layers)

    def test_hashes_of_bytes(self):
        self.needs("hash_of_bytes")
        self.both_ways(self.url, self.flat(self.url), make=bytes_hashes)


class Redis(EveryKind, Cross):
    WITHOUT = {"save_chunk_meta": False}

    def setUp(self):
        super().setUp()
        self.redis = command.Redis(port=True)
        self.addCleanup(self.redis.stop)
        self.at = f"127.0.0.1:{self.redis.port}"
        self.url = f"redis://{self.at}"

    def test_by_url_and_with_a_database(self):
        self.both_ways(f"{self.url}/3", ("--url", f"{self.url}/3"), make=full)

    def test_half_a_chunk(self):
        """A header that has lost its payload is a miss."""
        chunk, place = Chunk(), self.flat(self.url)
        self.lm(self.url)
        self.lm_put(chunk)
        text = self.text(chunk)[0]
        self.redis("DEL", text + "kv_bytes")
        self.fails(1, "no tier has it", "get", *place, text)
        self.kv_put(chunk, place)
        self.redis("DEL", text + "kv_bytes")
        self.assertEqual(self.lm_get(chunk), [None])

    def test_latent_attention_reads_what_worker_0_wrote(self):
        chunks = [Chunk(shape=[1, LAYERS, TOKENS, 576], form="KV_MLA_FMT", worker=i) for i in range(2)]
        self.lm(self.url, mla=True, shape=[LAYERS, 1, 1, 576])
        mine = dict(chunks[0].key, worker=1)
        self.kv_put(chunks[0], ("--url", self.url))
        self.assertEqual(Lmcache.ask("contains", keys=[mine]), [True])
        self.same(chunks[0], Lmcache.ask("get", keys=[mine])[0])
        self.lm_put(chunks[1])
        self.assertEqual(self.redis("DBSIZE"), 2)

    def test_groups_of_layers(self):
        """The header has a shape of each; how many, both sides have to know."""
        self.needs("groups")
        groups = [("bfloat16", 1, LAYERS, 512), ("uint8", 1, LAYERS, 132)]
        chunk = Chunk(form="KV_MLA_FMT", world=1, worker=0)
        chunk.shapes = [[planes, n, TOKENS, hidden] for _, planes, n, hidden in groups]
        chunk.dtypes = [g[0] for g in groups]
        chunk.payload = random.Random(1).randbytes(size_of(chunk.shapes, chunk.dtypes))
        engine = {"use_mla": True, "kv_groups": [
            {"kv_dtype": dtype, "kv_shape": [n, planes, TOKENS, 1, hidden]} for dtype, planes, n, hidden in groups]}
        place = self.flat(self.url, engine=engine)
        self.lm(self.url, groups=groups, mla=True, world=1, worker=0, shape=[LAYERS, 1, 1, 512])
        self.lm_put(chunk)
        self.kv_get(chunk, place)
        self.redis("FLUSHALL")
        self.ok("put", *place, self.text(chunk)[0], "-", "--raw", stdin=chunk.payload)
        self.same(chunk, self.lm_get(chunk)[0])

    def test_resp(self):
        """Its native client may lose the answer to a call from another thread than its loop's."""
        self.needs("resp")
        self.counts = ("async",)
        url = f"resp://{self.at}"
        self.both_ways(url, self.flat(url, self.WITHOUT), make=full, extra=self.WITHOUT)

    def test_valkey(self):
        """One name and no header; up to 0.4.2 two names, which kvrelay has to be told."""
        url = f"valkey://{self.at}"
        if Lmcache.since(0, 4, 3):
            self.both_ways(url, self.flat(url), make=full)
        else:
            self.both_ways(url, self.flat(url, {"save_chunk_meta": True}))

    def test_valkey_with_a_ttl(self):
        self.needs("ttl")
        url, extra = f"valkey://{self.at}", {"valkey_enable_ttl": True, "valkey_ttl_sec": 600}
        self.both_ways(url, self.flat(url, extra), make=full, extra=extra)
        for name in self.redis("KEYS", "*"):
            self.assertIn(self.redis("TTL", name), range(1, 601))


class Cluster(Cross):
    def setUp(self):
        super().setUp()
        cluster = command.Nodes()
        self.addCleanup(cluster.stop)
        self.hosts = [f"127.0.0.1:{n.port}" for n in cluster.nodes]

    def test_redis(self):
        url = "redis-cluster://" + ",".join(self.hosts)
        self.both_ways(url, self.flat(url))

    def test_valkey(self):
        self.needs("valkey_cluster")
        url, extra = f"valkey://{self.hosts[0]}", {"valkey_mode": "cluster"}
        self.both_ways(url, self.flat(url, extra), make=full, extra=extra)


class Files(EveryKind, Cross):
    def setUp(self):
        super().setUp()
        self.url = f"fs://host:1{self.dir}/a"

    def test_two_directories_and_one_for_what_is_being_written(self):
        url, extra = f"{self.url},{self.dir}/b", {"fs_connector_relative_tmp_dir": "tmp"}
        self.both_ways(url, self.flat(url, extra), extra=extra)

    def test_no_header(self):
        """LMCache makes a shape of how long a file is, and where a part has one it does not say in all places."""
        extra = {"save_chunk_meta": False}
        self.both_ways(self.url, self.flat(self.url, extra), make=full, extra=extra)
        self.both_ways(self.url, self.flat(self.url, extra, save_unfull_chunk=True), make=parts, extra=extra,
                       header=False)

    def test_past_the_page_cache(self):
        self.needs("odirect")
        extra = {"save_chunk_meta": False, "fs_connector_use_odirect": True}
        (self.dir / "a").mkdir()
        self.both_ways(self.url, self.flat(self.url, extra), make=full, extra=extra)

    def test_a_plugin(self):
        self.needs("plugin")
        extra = {"remote_storage_plugin.fs.base_path": f"{self.dir}/a"}
        place = self.flat(None, extra, remote_storage_plugins=["fs"])
        self.both_ways(None, place, make=full, extra=extra, plugin="fs")


class Server(Cross):
    """LMCache's own server."""

    def setUp(self):
        super().setUp()
        self.needs("server")
        self.port = command.Port()
        self.addCleanup(self.port.give)
        self.url = f"lm://127.0.0.1:{self.port.number}"
        self.start_server()

    def start_server(self):
        self.server = subprocess.Popen(
            [PYTHON, "-B", "-m", "lmcache.v1.server", "127.0.0.1", str(self.port.number), "cpu"],
            env=command.environment(QUIET), cwd=self.dir,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.kill)
        self.wait(self.listens, self.server)

    def kill(self):
        if self.server.poll() is None:
            self.server.kill()
            self.server.wait()

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port.number)) == 0

    def has_a_client(self):
        """A connection to the server's port that stands."""
        there = f":{self.port.number:04X} 01"
        return any(there in line for line in Path("/proc/net/tcp").read_text().splitlines())

    def bench(self, config, *more):
        return self.ok("bench", "--config", config, "--verify", "--json", *more).json

    def test_both_ways(self):
        self.both_ways(self.url, self.flat(self.url))

    def test_layers(self):
        self.needs("layers")
        self.both_ways(self.url, ("--url", self.url), make=layers)

    def test_sizes_and_lanes(self):
        for size, chunks, batch, lanes in ("64KiB", 48, 16, 1), ("4MiB", 8, 4, 4), ("64MiB", 1, 1, 1):
            config = self.deploy({"name": "lm", "url": self.url, "lanes": {"bulk": lanes}},
                                 memory={"staging": "256MiB", "objects": "16MiB"})
            seen = self.bench(config, "--size", size, "--chunks", chunks, "--batch", batch)
            self.assertEqual((seen["chunks"], seen["wrong"], seen["missing"]), (chunks, 0, 0), size)

    def test_a_server_that_dies_in_a_put(self):
        """It has the connection, and reads nothing: no put may say that it was stored."""
        chunk = Chunk(shape=[2, LAYERS, TOKENS, 32768])
        path = self.dir / "chunk"
        path.write_bytes(chunk.payload)
        os.kill(self.server.pid, signal.SIGSTOP)
        put = self.start("put", "--url", self.url, self.text(chunk)[0], path, "--shape",
                         ",".join(map(str, chunk.shapes[0])), "--dtype", "bfloat16")
        self.wait(self.has_a_client, put)
        self.kill()
        self.assertIn("DOWN", put.communicate()[1].decode())
        self.assertEqual(put.returncode, 2)
        self.start_server()
        self.fails(1, "no tier has it", "get", "--url", self.url, self.text(chunk)[0])
        self.both_ways(self.url, ("--url", self.url), make=lambda: [chunk])


if __name__ == "__main__":
    if shutil.which(PYTHON) is None:
        print(f"not run: {PYTHON} is not there")
        sys.exit(77)
    try:
        Lmcache.start()
    except (EOFError, BrokenPipeError):
        print(f"not run: {PYTHON} cannot import LMCache")
        sys.exit(77)
    print(f"LMCache {Lmcache.version}", flush=True)
    if not Lmcache.since(0, 3, 12):
        print("not run: it is older than 0.3.12")
        sys.exit(77)
    try:
        command.main()
    finally:
        Lmcache.stop()
