#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""doctor over what stands beside the process: EIC's adapter, and a HyperPod daemon with its memory."""

import os
import socket
import subprocess
import unittest

import command
from test_cli_doctor import Findings

FAKE, PLAIN, OTHER = (os.environ[f"KVR_EIC_{name}"] for name in ("FAKE", "PLAIN", "OTHER"))
DAEMON = os.environ.get("KVR_HYPERPOD_DAEMON", "")


class Eic(Findings):
    def tier(self, library=FAKE, **eic):
        return self.deploy({"name": "eic", "url": "eic://h:12500", "eic": {"library": library, **eic}})

    def test_which_adapter_and_what_it_was_given(self):
        flags = self.dir / "eic.flags"
        flags.write_text("--eic_use_polling_mode=false\n")
        found = self.findings(1, "--config", self.tier(trans_type=0, flag_file=str(flags), log_dir=str(self.dir)))
        self.level(found, "eic", "library", "ok", f"{FAKE}, version 2")
        self.level(found, "eic", "transport", "ok", "TCP")
        self.level(found, "eic", "flag_file", "ok", str(flags))
        self.level(found, "eic", "log_dir", "ok", str(self.dir))
        self.level(found, "eic", "canary", "ok", "compared, deleted")
        self.level(found, "eic", "format", "warn", "not verified")

    def test_what_it_was_given_is_not_there(self):
        found = self.findings(1, "--config", self.tier(flag_file="/no/such.flags", log_dir="/no/logs"))
        self.level(found, "eic", "transport", "ok", "RDMA")
        self.level(found, "eic", "flag_file", "warn", "/no/such.flags: No such file")
        self.level(found, "eic", "log_dir", "warn", "/no/logs: No such file")

    def test_gdr_needs_an_adapter_that_registers(self):
        found = self.findings(1, "--config", self.tier(trans_type=3))
        self.level(found, "eic", "transport", "ok", "GDR")
        self.level(found, "eic", "canary", "ok")
        found = self.findings(2, "--config", self.tier(PLAIN, trans_type=3))
        self.assertIn("trans_type", self.level(found, "eic", "transport", "fail", "cannot register")["advice"])
        self.level(found, "eic", "canary", "fail", "DOWN")

    def test_no_adapter_or_another(self):
        found = self.findings(2, "--config", self.tier("/no/libkvr_eic.so"))
        self.level(found, "eic", "connect", "fail", "install an adapter of EIC's SDK")
        self.assertNotIn(("eic", "canary"), found)
        found = self.findings(2, "--config", self.tier(OTHER))
        self.level(found, "eic", "connect", "fail", "version 99 of the interface, not 2")


@unittest.skipUnless(DAEMON, "this build speaks no HTTP")
class HyperPod(Findings):
    def setUp(self):
        super().setUp()
        self.segment = f"kvr_doctor_{os.getpid()}_{self._testMethodName}"
        self.daemon = subprocess.Popen([DAEMON, self.segment, "0"], stdout=subprocess.PIPE)
        self.addCleanup(self.stop)
        self.port = int(self.daemon.stdout.readline())

    def stop(self):
        self.daemon.kill()
        self.daemon.wait()
        self.daemon.stdout.close()
        if os.path.exists(f"/dev/shm/{self.segment}"):
            os.unlink(f"/dev/shm/{self.segment}")

    def tier(self, segment, **more):
        return self.deploy({"name": "node", "url": f"sagemaker-hyperpod://127.0.0.1:{self.port}",
                            "hyperpod": {"shared_memory_name": segment}, "format": "bare"}, **more)

    def test_the_daemon_and_its_memory(self):
        found = self.findings(1, "--config", self.tier(self.segment))
        self.level(found, "node", "daemon", "ok", f"http://127.0.0.1:{self.port} answers 404")
        self.level(found, "node", "memory", "ok", f"/dev/shm/{self.segment}: 512.0 MiB, readable")
        self.level(found, "node", "canary", "ok", "left: the store cannot delete")

    def test_a_bench_says_what_stays_where_nothing_can_be_deleted(self):
        done = self.ok("bench", "--chunks", "4", "--size", "64KiB", "--batch", "2", "--verify", "--json",
                       "--config", self.tier(self.segment))
        self.assertEqual((done.json["chunks"], done.json["wrong"], done.json["missing"]), (4, 0, 0))
        self.assertIn("4 chunks stay in the store, which deletes nothing; their keys begin with "
                      "'kvrelay-bench-", done.err)

    def test_memory_that_is_not_there(self):
        found = self.findings(2, "--config", self.tier("kvr_no_such_memory"))
        self.level(found, "node", "connect", "fail", "kvr_no_such_memory is not there; see shared_memory_name")
        self.assertNotIn(("node", "canary"), found)

    def test_nobody_listens(self):
        config = self.tier(self.segment)
        self.stop()
        with socket.socket() as nobody:  # else another test might take the port
            nobody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            nobody.bind(("127.0.0.1", self.port))
            found = self.findings(2, "--config", config)
        self.level(found, "node", "connect", "fail", f"http://127.0.0.1:{self.port}")


if __name__ == "__main__":
    command.main("__main__")
