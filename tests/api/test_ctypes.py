#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The public structs as ctypes sees them, and a life through it: put, look up and get by a queue.

  test_ctypes.py LIBRARY ABI-PROGRAM

The structs here are written from the header by hand, as a binding's author would; the program prints
what the C compiler makes of them, and both must agree member by member.
"""

import ctypes as c
import os
import select
import subprocess
import sys
import unittest

LIBRARY, ABI = sys.argv[1], sys.argv[2]
U32, U64, I32, I64, P = c.c_uint32, c.c_uint64, c.c_int32, c.c_int64, c.c_void_p
TEXT = c.c_char_p


def struct(name, *members):
    return type(name, (c.Structure,), {"_fields_": list(members)})


Group = struct("kvr_group", ("dtype", U32), ("n_dims", U32), ("dim", U64 * 4))
Layout = struct("kvr_layout", ("size", U32), ("format", U32), ("n_groups", U32), ("spare", U32),
                ("group", c.POINTER(Group)))
KeyParts = struct("kvr_key_parts", ("size", U32), ("dtype", U32), ("engine", TEXT), ("model", TEXT),
                  ("world_size", I64), ("worker_id", I64), ("layer", I64), ("hash", I64),
                  ("hash_bytes", c.POINTER(c.c_uint8)), ("n_hash_bytes", U32), ("hash_kind", U32),
                  ("n_tags", U32), ("spare", U32), ("tag_name", c.POINTER(TEXT)),
                  ("tag_value", c.POINTER(TEXT)))
Identity = struct("kvr_identity", ("size", U32), ("role", U32), ("keys", U32), ("world_size", U32),
                  ("worker_id", U32), ("use_mla", U32), ("model", TEXT), ("revision", TEXT),
                  ("engine", TEXT), ("salt", TEXT))
LOG = c.CFUNCTYPE(None, P, c.c_int, TEXT)
Options = struct("kvr_options", ("size", U32), ("n_set", U32), ("config_file", TEXT),
                 ("config_text", TEXT), ("url", TEXT), ("set", c.POINTER(TEXT)),
                 ("identity", c.POINTER(Identity)), ("layout", c.POINTER(Layout)), ("log", LOG),
                 ("log_arg", P), ("mem_get", P), ("mem_put", P), ("mem_arg", P))
CloseReport = struct("kvr_close_report", ("size", U32), ("stuck_threads", U32), ("finished", U64),
                     ("dropped", U64), ("not_quiet", U64))
Health = struct("kvr_health", ("size", U32), ("ok", U32), ("n_tiers", U32), ("n_up", U32),
                ("in_flight", U64), ("not_quiet", U64), ("why", c.c_char * 112),
                ("recompute", U32), ("spare", U32))
ObjInfo = struct("kvr_obj_info", ("size", U32), ("format", U32), ("n_groups", U32), ("refs", U32),
                 ("pins", U32), ("spare", U32), ("at", P), ("len", U64), ("room", U64),
                 ("group", c.POINTER(Group)))
CacheShape = struct("kvr_cache_shape", ("size", U32), ("order", U32), ("format", U32), ("dtype", U32),
                    ("n_layers", U32), ("n_planes", U32), ("n_heads", U32), ("head_size", U32),
                    ("block_tokens", U32), ("n_blocks", U32), ("layerwise", U32), ("n_base", U32),
                    ("memory", U32), ("spare", U32), ("base", c.POINTER(P)), ("layer_stride", U64),
                    ("plane_stride", U64), ("block_stride", U64), ("token_stride", U64),
                    ("head_stride", U64), ("number", c.POINTER(U32)), ("next", P))
Tokens = struct("kvr_tokens", ("size", U32), ("n", U32), ("cache", P), ("slot", c.POINTER(I64)),
                ("block", c.POINTER(I32)), ("first", c.POINTER(U32)), ("layer", c.POINTER(U32)),
                ("ready", P), ("next", P))
Batch = struct("kvr_batch", ("size", U32), ("kind", U32), ("n", U32), ("per_chunk", U32),
               ("key", c.POINTER(TEXT)), ("keys", TEXT), ("at", c.POINTER(P)), ("len", c.POINTER(U64)),
               ("obj", c.POINTER(U64)), ("layout", c.POINTER(Layout)),
               ("tokens", c.POINTER(Tokens)), ("ready", P), ("recorded", P))
Results = struct("kvr_results", ("size", U32), ("cap", U32), ("need", U32), ("spare", U32),
                 ("err", c.POINTER(I32)), ("len", c.POINTER(U64)), ("tier", c.POINTER(U32)),
                 ("layers", c.POINTER(U32)))
Done = struct("kvr_done", ("size", U32), ("kind", U32), ("flags", U32), ("err", I32), ("op", U64),
              ("tag", U64), ("bytes", U64), ("took_ns", U64), ("first", U32), ("n", U32),
              ("n_ok", U32), ("prefix", U32), ("why", c.c_char * 112))
DONE = c.CFUNCTYPE(None, P, c.POINTER(Done), c.POINTER(Results))
Opts = struct("kvr_opts", ("size", U32), ("flags", U32), ("until_ns", U64), ("tag", U64), ("queue", P),
              ("done", DONE), ("done_arg", P), ("request", TEXT))
STRUCTS = [Group, Layout, KeyParts, Identity, Options, CloseReport, Health, ObjInfo, CacheShape, Tokens,
           Batch, Results, Done, Opts]
VALUES = {"KVR_LOOKUP": 0, "KVR_GET": 1, "KVR_PUT": 2, "KVR_DONE_QUIET": 1, "KVR_E_DEVICE": -30,
          "KVR_WHY_MAX": 112, "KVR_DIMS_MAX": 4, "KVR_DRAIN": 0, "KVR_CACHE_BLOCKS": 2,
          "KVR_MEMORY_DEVICE": 1}
LOOKUP, GET, PUT = 0, 1, 2
OK, MISS = 0, -1


def sized(struct_type, /, **members):
    return struct_type(size=c.sizeof(struct_type), **members)


class Abi(unittest.TestCase):
    def test_every_struct_is_the_compilers(self):
        seen, values = set(), {}
        known = {s.__name__: s for s in STRUCTS}
        members = {name: set() for name in known}
        for line in subprocess.run([ABI], check=True, capture_output=True, text=True).stdout.splitlines():
            what, name, *rest = line.split()
            if what == "size":
                self.assertEqual(c.sizeof(known[name]), int(rest[0]), name)
                seen.add(name)
            elif what == "member":
                field = getattr(known[name], rest[0])
                self.assertEqual((field.offset, field.size), (int(rest[1]), int(rest[2])), line)
                members[name].add(rest[0])
            else:
                values[name] = int(rest[0])
        self.assertEqual(seen, set(known))
        for name, kind in known.items():
            self.assertEqual(members[name], {field[0] for field in kind._fields_}, name)
        self.assertEqual(values, VALUES)


class Life(unittest.TestCase):
    def setUp(self):
        self.lib = lib = c.CDLL(LIBRARY)
        lib.kvr_open.argtypes = [c.POINTER(Options), U64, c.POINTER(P), c.c_char_p, c.c_size_t]
        lib.kvr_submit.argtypes = [P, c.POINTER(Batch), c.POINTER(Opts), c.POINTER(U64)]
        lib.kvr_run.argtypes = [P, c.POINTER(Batch), c.POINTER(Opts), c.POINTER(Done),
                                c.POINTER(Results)]
        lib.kvr_queue_open.argtypes = [P, c.POINTER(P)]
        lib.kvr_queue_fd.argtypes = [P]
        lib.kvr_drain.argtypes = [P, c.POINTER(Done), U32, c.POINTER(Results)]
        lib.kvr_close.argtypes = [P, U64, U32, c.POINTER(CloseReport)]
        lib.kvr_free.argtypes = [P]
        lib.kvr_err_name.restype = TEXT
        lib.kvr_quiet.argtypes = [P, U64, c.POINTER(U64)]
        self.lines = []
        # Kept alive as long as the instance: the library holds the pointer.
        self.log = LOG(lambda arg, level, line: self.lines.append((level, line)))
        options = sized(Options, url=b"memory://", log=self.log)
        self.kvr = P()
        why = c.create_string_buffer(512)
        err = lib.kvr_open(options, 0, self.kvr, why, len(why))
        self.assertEqual(err, OK, why.value)

    def tearDown(self):
        report = sized(CloseReport)
        self.assertEqual(self.lib.kvr_close(self.kvr, 0, 0, report), OK)
        self.assertEqual(report.stuck_threads, 0)
        self.lib.kvr_free(self.kvr)

    def test_put_look_up_get_by_a_queue(self):
        queue = P()
        self.assertEqual(self.lib.kvr_queue_open(self.kvr, queue), OK)
        values = [os.urandom(n) for n in (1, 100, 70000)]
        keys = b"".join(b"key-%d\0" % i for i in range(len(values)))
        places = [c.create_string_buffer(v, len(v)) for v in values]
        at = (P * len(values))(*[c.addressof(p) for p in places])
        lens = (U64 * len(values))(*[len(v) for v in values])

        def run(kind, tag, n=len(values), keys=keys):
            batch = sized(Batch, kind=kind, n=n, keys=keys, at=at, len=lens)
            op = U64()
            self.assertEqual(
                self.lib.kvr_submit(self.kvr, batch, sized(Opts, queue=queue, tag=tag), op), OK)
            fd = self.lib.kvr_queue_fd(queue)
            self.assertEqual(select.select([fd], [], [], 10)[0], [fd])
            errs = (I32 * 8)()
            found = (U64 * 8)()
            done = (Done * 2)()
            done[0].size = c.sizeof(Done)
            results = sized(Results, cap=8, err=errs, len=found)
            self.assertEqual(self.lib.kvr_drain(queue, done, 2, results), 1)
            self.assertEqual((done[0].op, done[0].tag, done[0].n), (op.value, tag, n))
            return done[0], list(errs[:n]), list(found[:n])

        done, errs, found = run(PUT, 1)
        self.assertEqual((done.err, done.n_ok, errs), (OK, 3, [OK] * 3))
        done, errs, found = run(LOOKUP, 2, 4, keys + b"nowhere\0")
        self.assertEqual((errs, done.prefix), ([OK] * 3 + [MISS], 3))
        for place in places:
            c.memset(place, 0, len(place))
        done, errs, found = run(GET, 3)
        self.assertEqual(found, [len(v) for v in values])
        self.assertEqual([p.raw for p in places], values)

    def test_tokens_of_a_paged_cache(self):
        blocks, tokens, layers, row = 8, 16, 2, 4 * 2 * 2  # 4 heads of 2 elements of 2 bytes
        lib = self.lib
        lib.kvr_cache_open.argtypes = [P, c.POINTER(CacheShape), c.POINTER(P)]
        memory = [c.create_string_buffer(os.urandom(2 * blocks * tokens * row)) for _ in range(layers)]
        before = [m.raw for m in memory]
        base = (P * layers)(*[c.addressof(m) for m in memory])
        shape = sized(CacheShape, format=1, dtype=3, n_layers=layers, n_planes=2, n_heads=4,
                      head_size=2, block_tokens=tokens, n_blocks=blocks, n_base=layers, base=base)
        cache = P()
        self.assertEqual(lib.kvr_cache_open(self.kvr, shape, cache), OK)
        table = sized(Tokens, n=3, cache=cache, block=(I32 * 3)(5, 0, 2))
        lens = (U64 * 1)(3 * tokens * row * 2 * layers)

        def run(kind):
            batch = sized(Batch, kind=kind, n=1, keys=b"paged", len=lens, tokens=c.pointer(table))
            return lib.kvr_run(self.kvr, batch, None, None, None)

        self.assertEqual(run(PUT), OK)
        for m in memory:
            c.memset(m, 0, len(before[0]))
        self.assertEqual(run(GET), OK)
        size = tokens * row
        for layer, old in zip(memory, before):
            for i in range(2 * blocks):
                mine = i % blocks in (5, 0, 2)
                got = layer.raw[i * size:(i + 1) * size]
                self.assertEqual(got, old[i * size:(i + 1) * size] if mine else bytes(size), i)

    def test_memory_of_the_callers(self):
        lib = self.lib
        lib.kvr_memory_register.argtypes = [P, P, c.c_size_t, U64]
        lib.kvr_memory_unregister.argtypes = [P, P]
        memory = c.create_string_buffer(100000)
        self.assertEqual(lib.kvr_memory_register(self.kvr, memory, len(memory), 0), OK)
        err = lib.kvr_memory_register(self.kvr, memory, 1, 0)
        self.assertEqual(lib.kvr_err_name(err), b"INVALID")
        self.assertEqual(lib.kvr_memory_unregister(self.kvr, memory), OK)

    def test_a_callback(self):
        heard = []
        hear = DONE(lambda arg, done, results: heard.append((done[0].tag, results[0].err[0])))
        batch = sized(Batch, kind=LOOKUP, n=1, keys=b"nowhere")
        self.assertEqual(
            self.lib.kvr_submit(self.kvr, batch, sized(Opts, done=hear, tag=2**64 - 1), None), OK)
        self.assertEqual(self.lib.kvr_close(self.kvr, 0, 0, None), OK)
        self.assertEqual(heard, [(2**64 - 1, MISS)])

    def test_a_wrong_call_is_logged(self):
        err = self.lib.kvr_run(self.kvr, sized(Batch, kind=99), None, None, None)
        self.assertEqual(self.lib.kvr_err_name(err), b"INVALID")
        self.assertTrue(any(b"99 is no kind" in text for _, text in list(self.lines)), self.lines)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
