# SPDX-License-Identifier: Apache-2.0
"""LMCache's own RemoteBackend, driven line by line: a request of JSON in, an answer of JSON out.

Runs under an interpreter that can import LMCache and knows nothing of kvrelay. Payloads come and go as
files. What LMCache and its libraries print goes to standard error.

  version   of LMCache
  open      dir, url, extra, shape, dtype, mla, world, worker, chunk, groups; plugin in the place of url
  text      keys: as LMCache writes them
  put       chunks: key, shapes, dtypes, format, file; one by one, or as a batch
  get       keys; how: one, batch, async; answers file, shapes, dtypes and format of each, or null
  contains  keys; how: one, batch, async
  close     what was opened last

Classes and their arguments have changed from version to version: each is given what it has a name for.
"""

import asyncio
import importlib.metadata
import inspect
import json
import os
import sys
import threading
import types

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

try:
    import torch
    from lmcache.utils import CacheEngineKey, LayerCacheEngineKey
    from lmcache.v1.config import LMCacheEngineConfig
    from lmcache.v1.memory_management import MemoryFormat
    from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend
    from lmcache.v1.storage_backend.remote_backend import RemoteBackend
except ImportError as e:
    sys.exit(f"{sys.executable}: {e}")
try:
    from lmcache.v1.metadata import LMCacheMetadata as Metadata
except ImportError:
    from lmcache.config import LMCacheEngineMetadata as Metadata

PATIENCE_S = 100
DTYPES = {"half": torch.float16, "bfloat16": torch.bfloat16, "float": torch.float32,
          "double": torch.float64, "uint8": torch.uint8,
          "fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def known(function, **arguments):
    """The call, without arguments that this version has no name for."""
    names = inspect.signature(function).parameters
    return function(**{k: v for k, v in arguments.items() if k in names})


def key_of(said):
    tags = {f"lmcache.tag.{k}": v for k, v in said.get("tags", [])}
    number = bytes.fromhex(said["bytes"]) if "bytes" in said else int(said["hash"])
    return known(LayerCacheEngineKey if "layer" in said else CacheEngineKey, fmt="vllm",
                 model_name=said["model"], world_size=said["world"], worker_id=said["worker"],
                 chunk_hash=number, dtype=DTYPES[said["dtype"]], request_configs=tags or None,
                 layer_id=said.get("layer"))


def groups_of(said):
    """What an engine's adapter registers: layers that are alike, their count, width and dtype."""
    groups = [types.SimpleNamespace(dtype=DTYPES[dtype], num_layers=layers, hidden_dim_size=hidden,
                                    shape_desc=types.SimpleNamespace(kv_size=planes))
              for dtype, planes, layers, hidden in said]
    return types.SimpleNamespace(kernel_groups=groups, kv_layer_groups=groups, num_kernel_groups=len(groups),
                                 num_groups=len(groups))


class End:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.files, self.former = 0, []

    def open(self, said):
        self.dir = said["dir"]
        layers, planes, heads, head = said["shape"]
        shape = (layers, planes, said["chunk"], heads, head)
        metadata = known(Metadata, model_name="m", world_size=said["world"], local_world_size=said["world"],
                         worker_id=said["worker"], local_worker_id=said["worker"], fmt="vllm",
                         kv_dtype=DTYPES[said["dtype"]], kv_shape=shape, use_mla=said["mla"],
                         role="worker", chunk_size=said["chunk"])
        if said.get("groups"):
            metadata.kv_layer_groups_manager = groups_of(said["groups"])
        config = LMCacheEngineConfig.from_defaults(
            chunk_size=said["chunk"], local_cpu=False, max_local_cpu_size=0.1,
            remote_url=said.get("url"), remote_serde="naive")
        config.extra_config = said["extra"]
        self.cpu = known(LocalCPUBackend, config=config, metadata=metadata, dst_device="cpu")
        self.remote = known(RemoteBackend, config=config, metadata=metadata, loop=self.loop,
                            local_cpu_backend=self.cpu, dst_device="cpu", plugin_name=said.get("plugin"))
        put = inspect.signature(self.remote.batched_submit_put_task).parameters
        self.calls_back = "on_complete_callback" in put
        return {"connected": self.remote.connection is not None}

    def version(self, said):
        return importlib.metadata.version("lmcache")

    def text(self, said):
        return [key_of(k).to_string() for k in said["keys"]]

    def filled(self, chunk):
        shapes = [torch.Size(s) for s in chunk["shapes"]]
        dtypes = [DTYPES[d] for d in chunk["dtypes"]]
        one = len(shapes) == 1
        obj = self.cpu.allocate(shapes[0] if one else shapes, dtypes[0] if one else dtypes,
                                MemoryFormat[chunk["format"]])
        with open(chunk["file"], "rb") as f:
            memoryview(obj.byte_array).cast("B")[:] = f.read()
        return obj

    def put_batch(self, keys, objs):
        left, done = set(range(len(keys))), threading.Event()

        def landed(_):
            left.pop()
            if not left:
                done.set()
        known(self.remote.batched_submit_put_task, keys=keys, memory_objs=objs, on_complete_callback=landed)
        while not done.wait(0.02):  # versions of 2025 tell nobody
            if self.calls_back:
                continue
            if all(self.remote.contains(k) for k in keys):
                break

    def put(self, said):
        keys = [key_of(c["key"]) for c in said["chunks"]]
        objs = [self.filled(c) for c in said["chunks"]]
        if said.get("batch"):
            self.put_batch(keys, objs)
        else:
            for key, obj in zip(keys, objs):
                self.remote.submit_put_task(key, obj).result(PATIENCE_S)
        for obj in objs:
            obj.ref_count_down()
        return None

    def told(self, obj):
        if obj is None:
            return None
        meta = obj.metadata
        shapes = getattr(meta, "shapes", None) or [meta.shape]
        dtypes = getattr(meta, "dtypes", None) or [meta.dtype]
        self.files += 1
        path = os.path.join(self.dir, f"lmcache-{self.files}")
        with open(path, "wb") as f:
            f.write(memoryview(obj.byte_array).cast("B"))
        obj.ref_count_down()
        return {"file": path, "format": meta.fmt.name, "shape": list(meta.shape),
                "shapes": [list(s) for s in shapes], "dtypes": [NAMES[d] for d in dtypes]}

    def get(self, said):
        keys = [key_of(k) for k in said["keys"]]
        how = said.get("how", "batch")
        if how == "one":
            return [self.told(self.remote.get_blocking(k)) for k in keys]
        if how == "async":
            future = asyncio.run_coroutine_threadsafe(self.remote.batched_get_non_blocking("lookup", keys),
                                                      self.loop)
            return [self.told(o) for o in future.result(PATIENCE_S)]
        return [self.told(o) for o in self.remote.batched_get_blocking(keys)]

    def contains(self, said):
        keys = [key_of(k) for k in said["keys"]]
        how = said.get("how", "one")
        if how == "batch":
            return self.remote.batched_contains(keys)
        if how == "async":
            asked = self.remote.batched_async_contains("lookup", keys)
            return asyncio.run_coroutine_threadsafe(asked, self.loop).result(PATIENCE_S)
        return [self.remote.contains(k) for k in keys]

    def close(self, said):
        """Of the memory only: RemoteBackend.close() waits for ever on the loop that should close Redis."""
        self.cpu.memory_allocator.close()
        self.former.append(self.remote)


def main():
    end = End()
    for line in sys.stdin:
        said = json.loads(line)
        try:
            answer = {"ok": getattr(end, said["do"])(said)}
        except Exception as e:  # what LMCache raises is an answer
            answer = {"raised": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), file=answers, flush=True)
    os._exit(0)  # its threads are not all daemons


main()
