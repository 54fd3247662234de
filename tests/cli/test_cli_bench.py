#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench over what needs no server: memory, files, the example deployments, what can go wrong."""

import re
import shutil
import signal
from pathlib import Path

import command

SMALL = ("bench", "--chunks", "12", "--size", "64KiB", "--batch", "5", "--verify")


class Bench(command.Case):
    def check(self, seen, chunks):
        self.assertEqual((seen["chunks"], seen["wrong"], seen["missing"]), (chunks, 0, 0))
        self.assertTrue(seen["verified"])
        for name in ("write", "read warm"):
            phase = seen["phases"][name]
            self.assertEqual((phase["chunks"], phase["bytes"]), (chunks, chunks * seen["size"]))
            self.assertGreater(phase["gb_per_s"], 0)
            self.assertGreaterEqual(phase["p99_ms"], phase["p50_ms"])
        return seen

    def test_memory_alone_has_no_cold_read(self):
        seen = self.check(self.ok(*SMALL, "--url", "memory://", "--json").json, 12)
        self.assertFalse(seen["cold_read"])
        self.assertNotIn("read cold", seen["phases"])
        text = self.ok(*SMALL, "--url", "memory://").text
        self.assertIn("no cold read", text)
        self.assertIn("verified 12 chunks, 0 wrong", text)

    def test_files_are_read_cold_and_removed(self):
        seen = self.check(self.ok(*SMALL, "--url", "fs://./c", "--lookups", "20", "--json").json, 12)
        self.assertEqual(seen["phases"]["read cold"]["from"], {"remote": 12})
        self.assertEqual(seen["phases"]["lookup"]["from"], {"remote": 20})
        self.assertEqual(seen["tiers"][0]["given"], 12 * 65536)
        self.assertEqual(self.files("c"), [])

    def test_write_back_reaches_the_second_tier(self):
        config = self.deploy({"name": "host", "url": "memory://", "capacity": "16MiB"},
                             {"name": "disk", "url": "fs://./c", "write": "back"})
        seen = self.check(self.ok(*SMALL, "--config", config, "--json").json, 12)
        self.assertEqual(seen["phases"]["read cold"]["from"], {"disk": 12})
        # A hit is promoted after its answer, so the last ones may still be on their way.
        warm = seen["phases"]["read warm"]["from"]
        self.assertEqual((sum(warm.values()), set(warm) | {"disk"}), (12, {"host", "disk"}), warm)
        self.assertEqual([t["given"] for t in seen["tiers"]], [12 * 65536] * 2)
        self.assertEqual(self.files("c"), [])

    def test_zstd_stores_less_than_it_is_given(self):
        config = self.deploy({"name": "disk", "url": "fs://./c", "serde": "zstd"})
        seen = self.check(self.ok(*SMALL, "--config", config, "--json").json, 12)
        share = seen["tiers"][0]["stored"] / seen["tiers"][0]["given"]
        self.assertLess(share, 0.8, "planes of bf16 are separated")
        self.assertGreater(share, 0.5)

    def test_metrics_are_kept(self):
        (self.dir / "m").mkdir()
        self.ok(*SMALL, "--url", "fs://./c", "--metrics", self.dir / "m")
        self.assertIn('kvrelay_tier_keys_ok_total{tier="remote",verb="put"} 12',
                      (self.dir / "m" / "write.prom").read_text())
        self.assertIn('kvrelay_tier_keys_ok_total{tier="remote",verb="get"} 24',
                      (self.dir / "m" / "read.prom").read_text())
        self.fails(2, "--metrics", *SMALL, "--url", "fs://./c", "--metrics", self.dir / "none")
        self.assertEqual(self.files("c"), [])

    def test_the_sample(self):
        own = self.dir / "own.bin"
        own.write_bytes(bytes(range(256)) * 64)
        seen = self.ok(*SMALL, "--url", "memory://", "--json", "--input", own).json
        self.assertEqual(seen["sample"], str(own))
        env = {"KVRELAY_SAMPLE": str(own)}
        self.assertEqual(self.ok(*SMALL, "--url", "memory://", "--json", env=env).json["sample"], str(own))
        env = {"KVRELAY_SAMPLE": str(self.dir / "none")}
        self.fails(2, ["none", "--input"], *SMALL, "--url", "memory://", env=env)
        own.write_bytes(b"short")
        self.fails(2, "4 KiB", *SMALL, "--url", "memory://", "--input", own)

    def test_sizes_that_cannot_be(self):
        for size in ("0", "1000", "2GiB"):
            self.fails(2, "--size", "bench", "--url", "memory://", "--size", size)
        self.fails(2, "--chunks", "bench", "--url", "memory://", "--chunks", "0")
        self.fails(2, "--batch", "bench", "--url", "memory://", "--batch", "0")
        self.fails(2, "no argument", "bench", "--url", "memory://", "more")
        self.ok("bench", "--url", "memory://", "--size", "512", "--chunks", "3", "--verify")

    def test_a_batch_that_write_back_cannot_hold(self):
        config = self.deploy({"name": "host", "url": "memory://", "capacity": "64MiB"},
                             {"name": "disk", "url": "fs://./c", "write": "back"},
                             memory={"staging": "8MiB"})
        self.fails(2, ["write-back", "memory.staging"], "bench", "--config", config, "--size", "1MiB",
                   "--batch", "16")

    def test_a_full_tier_is_an_error_and_leaves_nothing(self):
        config = self.deploy({"name": "disk", "url": "fs://./c", "free_floor": "100TiB"})
        self.fails(2, "write failed", *SMALL, "--config", config)
        self.assertEqual(self.files("c"), [])

    def test_what_was_evicted_is_missing(self):
        config = self.deploy({"name": "disk", "url": "fs://./c", "capacity": "1MiB"})
        done = self.call("bench", "--config", config, "--chunks", "40", "--size", "64KiB", "--batch", "5",
                         "--verify", "--json")
        self.assertEqual(done.status, 1, done.err)
        self.assertGreater(done.json["missing"], 20)
        self.assertEqual(done.json["wrong"], 0)
        self.assertEqual(self.files("c"), [])

    def test_an_interrupt_cleans_up(self):
        running = self.start("bench", "--url", "fs://./c", "--chunks", "20000", "--size", "64KiB",
                             "--batch", "4")
        self.wait(lambda: len(self.files("c")) > 8, running)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=command.PATIENCE_S)
        self.assertEqual(running.returncode, 2, err)
        self.assertIn(b"interrupted", err)
        self.assertEqual(self.files("c"), [])

    def test_a_value_that_was_changed_is_wrong(self):
        """Bare values have no checksum: the bench itself has to see it."""
        config = self.deploy({"name": "disk", "url": "fs://./c", "format": "bare"})
        # Not one that is being written: it has another name a moment later.
        whole = lambda: [f for f in self.files("c") if f.suffix != ".tmp"]
        stands = lambda: re.search(r"^State:\tT", Path(f"/proc/{running.pid}/status").read_text(), flags=re.M)
        n = 600
        while n == 600:  # It stands still for that; if it has written all by then, it may have read some.
            running = self.start("bench", "--config", config, "--chunks", "600", "--size", "256KiB",
                                 "--batch", "2", "--verify", "--json")
            self.wait(lambda: len(whole()) > 4, running)
            running.send_signal(signal.SIGSTOP)
            self.wait(stands, running)
            n = len(whole())
            if n == 600:
                running.send_signal(signal.SIGCONT)
                running.communicate(timeout=command.PATIENCE_S)
        victim = whole()[0]
        with victim.open("r+b") as f:
            f.seek(1000)
            f.write(b"changed")
        running.send_signal(signal.SIGCONT)
        out, err = running.communicate(timeout=command.PATIENCE_S)
        self.assertEqual(running.returncode, 1, err)
        self.assertEqual(command.Done(0, out, err).json["wrong"], 2)


class Examples(command.Case):
    def test_embedded(self):
        config = self.dir / "embedded.json"
        shutil.copy(command.ARGS.source / "config" / "examples" / "embedded.json", config)
        seen = self.ok(*SMALL, "--config", config, "--json", "--set", "tiers.disk.free_floor=1MiB").json
        self.assertEqual(seen["phases"]["read cold"]["from"], {"disk": 12})
        self.assertEqual(self.files("cache"), [])

    def test_fs_zstd(self):
        config = command.ARGS.source / "config" / "examples" / "fs-zstd.json"
        env = {"KVRELAY_REVISION": "r1", "KVRELAY_DIR": str(self.dir / "cache")}
        seen = self.ok(*SMALL, "--config", config, "--json", "--set", "tiers.nvme.free_floor=1MiB", env=env).json
        self.assertLess(seen["tiers"][0]["stored"], seen["tiers"][0]["given"])
        self.assertEqual(self.files("cache"), [])


if __name__ == "__main__":
    command.main()
