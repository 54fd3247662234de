#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast kvrelay is beside LMCache's own clients: batches of puts and gets, in turns, on one Redis.

  bench_lmcache.py LIBKVRELAY.SO [--rounds N]

Runs under an interpreter that can import LMCache. LMCache's RemoteBackend is asked over its connector of
redis-py and over its native RESP client; kvrelay, in layout lmcache and bare, through kvr_run. Each client
has keys of its own, and each value is compared before anything is timed. What counts are the ratios: a
client's time by kvrelay's in the same round, the median of all rounds.
"""

import argparse
import asyncio
import ctypes as c
import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "cli"), str(HERE.parent / "api")]
import command  # noqa: E402
import kvr_ctypes as k  # noqa: E402

os.environ.setdefault("LMCACHE_LOG_LEVEL", "ERROR")
import torch  # noqa: E402
from lmcache.utils import CacheEngineKey  # noqa: E402
from lmcache.v1.config import LMCacheEngineConfig  # noqa: E402
from lmcache.v1.memory_management import MemoryFormat  # noqa: E402
from lmcache.v1.metadata import LMCacheMetadata  # noqa: E402
from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend  # noqa: E402
from lmcache.v1.storage_backend.remote_backend import RemoteBackend  # noqa: E402

PATIENCE_S = 100
TOKENS, PLANES, BF16 = 256, 2, 2
BFLOAT16, KV_2LTD = 3, 1  # kvrelay.h's
BATCHES = ((1 << 16, 64), (1 << 20, 32), (1 << 22, 16), (1 << 24, 4))
PAIRS = (("lmcache", "redis-py"), ("bare", "native"))


class Lmcache:
    def __init__(self, url, extra, size, n, model, loop):
        hidden = size // (PLANES * TOKENS * BF16)
        metadata = LMCacheMetadata(
            model_name=model, world_size=1, local_world_size=1, worker_id=0, local_worker_id=0,
            kv_dtype=torch.bfloat16, kv_shape=(1, PLANES, TOKENS, 1, hidden), role="worker", chunk_size=TOKENS)
        config = LMCacheEngineConfig.from_defaults(
            chunk_size=TOKENS, local_cpu=False, max_local_cpu_size=0.5, remote_url=url, remote_serde="naive")
        config.extra_config = extra
        self.cpu = LocalCPUBackend(config=config, metadata=metadata, dst_device="cpu")
        self.remote = RemoteBackend(
            config=config, metadata=metadata, loop=loop, local_cpu_backend=self.cpu, dst_device="cpu")
        self.keys = [CacheEngineKey(model, 1, 0, i + 1, torch.bfloat16, None) for i in range(n)]
        shape = torch.Size([PLANES, 1, TOKENS, hidden])
        self.objs = [self.cpu.allocate(shape, torch.bfloat16, MemoryFormat.KV_2LTD) for _ in range(n)]
        for obj in self.objs:
            memoryview(obj.byte_array).cast("B")[:] = os.urandom(size)

    def put(self):
        left, done = set(range(len(self.keys))), threading.Event()

        def landed(_):
            left.pop()
            if not left:
                done.set()
        self.remote.batched_submit_put_task(self.keys, self.objs, on_complete_callback=landed)
        if not done.wait(PATIENCE_S):
            sys.exit("LMCache does not come back from a put")

    def fetched(self):
        found = self.remote.batched_get_blocking(self.keys)
        if None in found:
            sys.exit("LMCache does not find what it has put")
        return found

    def get(self):
        for obj in self.fetched():
            obj.ref_count_down()

    def is_right(self):
        right = True
        for found, obj in zip(self.fetched(), self.objs):
            right = right and bytes(found.byte_array) == bytes(obj.byte_array)
            found.ref_count_down()
        return right

    def end(self):
        self.cpu.memory_allocator.close()


class Kvrelay:
    def __init__(self, library, tier, size, n, model):
        self.lib = c.CDLL(library)
        deployment = {"log": {"level": "warn"}, "tiers": [{"name": "t", **tier}]}
        options = k.sized(k.Options, config_text=json.dumps(deployment).encode())
        self.kvr, why = k.P(), c.create_string_buffer(512)
        if self.lib.kvr_open(c.byref(options), k.U64(0), c.byref(self.kvr), why, c.c_size_t(512)) != k.OK:
            sys.exit(why.value.decode())
        self.n = n
        self.out = [c.create_string_buffer(os.urandom(size), size) for _ in range(n)]
        self.back = [c.create_string_buffer(size) for _ in range(n)]
        self.keys = (k.TEXT * n)(*[f"{model}@1@0@{i + 1:x}@bfloat16".encode() for i in range(n)])
        self.len = (k.U64 * n)(*[size] * n)
        group = k.Group(BFLOAT16, 4, (k.U64 * 4)(PLANES, 1, TOKENS, size // (PLANES * TOKENS * BF16)))
        self.layout = k.sized(k.Layout, format=KV_2LTD, n_groups=1, group=c.pointer(group))

    def run(self, kind, buffers):
        at = (k.P * self.n)(*[c.addressof(b) for b in buffers])
        batch = k.sized(k.Batch, kind=kind, n=self.n, key=self.keys, at=at, len=self.len)
        if kind == k.PUT:
            batch.layout = c.pointer(self.layout)
        done = k.sized(k.Done)
        if self.lib.kvr_run(self.kvr, c.byref(batch), None, c.byref(done), None) != k.OK:
            sys.exit(f"kvrelay: {done.err}: {done.why.decode()}")

    def put(self):
        self.run(k.PUT, self.out)

    def get(self):
        self.run(k.GET, self.back)

    def is_right(self):
        self.get()
        return all(a.raw == b.raw for a, b in zip(self.out, self.back))

    def end(self):
        self.lib.kvr_close(self.kvr, k.U64(0), k.U32(0), None)
        self.lib.kvr_free(self.kvr)


def timed(what):
    begin = time.perf_counter()
    what()
    return time.perf_counter() - begin


def measure(clients, rounds):
    took = {(name, verb): [] for name in clients for verb in ("put", "get")}
    for name, client in clients.items():
        client.put()
        if not client.is_right():
            sys.exit(f"{name} reads something else than it has put")
    for i in range(rounds):
        for verb in ("put", "get"):
            for name in sorted(clients, reverse=i % 2 == 1):
                took[name, verb].append(timed(getattr(clients[name], verb)))
    return took


def show(took, size, n):
    for verb in ("put", "get"):
        row = [f"{verb} {n}x{size >> 10} KiB".ljust(18)]
        for ours, theirs in PAIRS:
            for name in (ours, theirs):
                row.append(f"{name} {n * size / statistics.median(took[name, verb]) / 1e9:.2f} GB/s")
            ratio = statistics.median(b / a for a, b in zip(took[ours, verb], took[theirs, verb]))
            row.append(f"ratio {ratio:.2f}")
        print("  ".join(row), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library", type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=21)
    args = parser.parse_args()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    redis = command.Redis(port=True)
    host = f"127.0.0.1:{redis.port}"
    for size, n in BATCHES:
        clients = {
            "redis-py": Lmcache(f"redis://{host}", {}, size, n, "a", loop),
            "native": Lmcache(f"resp://{host}", {"save_chunk_meta": False}, size, n, "b", loop),
            "lmcache": Kvrelay(args.library, {"url": f"redis://{host}", "format": "lmcache"}, size, n, "c"),
            "bare": Kvrelay(args.library, {"url": f"resp://{host}"}, size, n, "d"),
        }
        show(measure(clients, args.rounds), size, n)
        for client in clients.values():
            client.end()
    redis.stop()
    sys.stdout.flush()
    os._exit(0)  # LMCache's threads do not end by themselves


if __name__ == "__main__":
    main()
