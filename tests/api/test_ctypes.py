#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The public structs as ctypes sees them, and a life through it: put, look up and get by a queue.

  test_ctypes.py LIBRARY ABI-PROGRAM

The structs of kvr_ctypes.py are held against what the program prints, which is what the C compiler makes
of the header: both must agree member by member.
"""

import ctypes as c
import os
import select
import subprocess
import sys
import unittest

from kvr_ctypes import (DONE, GET, LOG, LOOKUP, MISS, OK, P, PUT, TEXT, U32, U64, I32, Batch, CacheShape, CloseReport,
                        Done, Group, Health, Identity, KeyParts, Layout, ObjInfo, Options, Opts, Results, Tokens, sized)

LIBRARY, ABI = sys.argv[1], sys.argv[2]
STRUCTS = [Group, Layout, KeyParts, Identity, Options, CloseReport, Health, ObjInfo, CacheShape, Tokens,
           Batch, Results, Done, Opts]
VALUES = {"KVR_LOOKUP": 0, "KVR_GET": 1, "KVR_PUT": 2, "KVR_DONE_QUIET": 1, "KVR_E_DEVICE": -30,
          "KVR_WHY_MAX": 112, "KVR_DIMS_MAX": 4, "KVR_DRAIN": 0, "KVR_CACHE_BLOCKS": 2,
          "KVR_MEMORY_DEVICE": 1}


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
