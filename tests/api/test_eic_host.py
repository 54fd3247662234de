#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""EIC's adapter in a process that is Python's already, as an inference engine's is: the interpreter that
runs the engine runs the vendor's module too, or the adapter says that it was built for another one.

  test_eic_host.py LIBRARY ADAPTER VERSION-OF-PYTHON MODULE-DIRECTORY
"""

import ctypes as c
import os
import sys
import tempfile
import threading
import time
import unittest

LIBRARY, ADAPTER, VERSION, MODULE = sys.argv[1:5]

sys.path.insert(0, MODULE)
sys.dont_write_bytecode = True
sys.argv[2] = ""  # test_ctypes wants a program there, for tests that are not run here
import test_ctypes as abi  # noqa: E402

N, LEN = 24, 2 * 2 * 16 * 64 * 2
SAME = "%d.%d" % sys.version_info[:2] == ".".join(VERSION.split(".")[:2])


class Host(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.calls = os.path.join(self.dir.name, "calls")
        os.environ["KVR_EIC_CALLS"] = self.calls
        self.lib = lib = c.CDLL(LIBRARY)
        lib.kvr_open.argtypes = [c.POINTER(abi.Options), c.c_uint64, c.POINTER(c.c_void_p), c.c_char_p,
                                 c.c_size_t]
        lib.kvr_run.argtypes = [c.c_void_p, c.POINTER(abi.Batch), c.POINTER(abi.Opts), c.POINTER(abi.Done),
                                c.POINTER(abi.Results)]
        lib.kvr_close.argtypes = [c.c_void_p, c.c_uint64, c.c_uint32, c.POINTER(abi.CloseReport)]
        lib.kvr_free.argtypes = [c.c_void_p]
        lib.kvr_err_name.restype = c.c_char_p
        group = abi.Group(dtype=3, n_dims=4, dim=(c.c_uint64 * 4)(2, 2, 16, 64))
        layout = abi.sized(abi.Layout, format=1, n_groups=1, group=c.pointer(group))
        settings = (c.c_char_p * 3)(b"on_panic=abort", b"tiers.remote.eic.trans_type=3",
                                    b"tiers.remote.eic.library=" + ADAPTER.encode())
        options = abi.sized(abi.Options, url=b"eic://127.0.0.1:12500", layout=c.pointer(layout), set=settings,
                            n_set=3)
        self.kvr = c.c_void_p()
        why = c.create_string_buffer(512)
        self.assertEqual(lib.kvr_open(options, 0, self.kvr, why, len(why)), abi.OK, why.value)

    def tearDown(self):
        report = abi.sized(abi.CloseReport)
        self.assertEqual(self.lib.kvr_close(self.kvr, 0, 0, report), abi.OK)
        self.assertEqual(report.stuck_threads, 0)
        self.lib.kvr_free(self.kvr)
        self.dir.cleanup()

    def run_batch(self, kind, name, buffers):
        keys = b"".join(b"m@1@0@%x@bfloat16\0" % (name * N + i) for i in range(N))
        at = (c.c_void_p * N)(*(c.addressof(b) for b in buffers))
        lengths = (c.c_uint64 * N)(*[LEN] * N)
        batch = abi.sized(abi.Batch, kind=kind, n=N, keys=keys, at=at, len=lengths)
        done = abi.sized(abi.Done)
        err = self.lib.kvr_run(self.kvr, batch, None, done, None)
        self.assertEqual((err, done.n_ok), (abi.OK, N), (self.lib.kvr_err_name(err), done.why))

    def round_trip(self, name):
        values = [os.urandom(LEN) for _ in range(N)]
        self.run_batch(abi.PUT, name, [c.create_string_buffer(v, LEN) for v in values])
        back = [c.create_string_buffer(LEN) for _ in range(N)]
        self.run_batch(abi.GET, name, back)
        self.assertEqual([b.raw for b in back], values)

    @unittest.skipIf(SAME, "the adapter was built for this Python")
    def test_another_python_is_refused(self):
        health = abi.sized(abi.Health)
        self.lib.kvr_health.argtypes = [c.c_void_p, c.POINTER(abi.Health)]
        until = time.monotonic() + 60
        while b"built for" not in health.why and time.monotonic() < until:
            self.assertEqual(self.lib.kvr_health(self.kvr, health), abi.OK)
            time.sleep(0.001)
        self.assertIn(b"built for Python " + VERSION.encode(), health.why)

    @unittest.skipUnless(SAME, "the adapter was built for another Python")
    def test_the_hosts_own_interpreter_calls_the_module(self):
        self.round_trip(0)
        self.assertEqual(os.path.dirname(sys.modules["eic"].__file__), os.path.realpath(MODULE))
        with open(self.calls, encoding="utf-8") as f:
            lines = f.read().splitlines()
        self.assertTrue(lines[0].startswith("init None 127.0.0.1:12500 "), lines[0])
        self.assertTrue(lines[1].startswith("register_memory "), lines[1])
        self.assertTrue(any(f":{LEN}r" in line for line in lines), lines)

    @unittest.skipUnless(SAME, "the adapter was built for another Python")
    def test_threads_of_the_host_go_on(self):
        wrong = []

        def one(name):
            try:
                for _ in range(5):
                    self.round_trip(name)
            except BaseException as e:  # noqa: BLE001 - it has to be seen by the thread that asserts
                wrong.append(e)

        threads = [threading.Thread(target=one, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
