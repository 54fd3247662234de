#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example of a deployment over a cluster, with three nodes that have a third of the slots each."""

import command

SMALL = ("bench", "--chunks", "24", "--size", "64KiB", "--batch", "8", "--verify")


class Cluster(command.Case):
    @classmethod
    def setUpClass(cls):
        cls.cluster = command.Nodes("pw")
        cls.nodes = cls.cluster.nodes
        cls.url = f"redis-cluster://127.0.0.1:{cls.nodes[1].port}"

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def test_the_example(self):
        config = command.ARGS.source / "config" / "examples" / "redis-cluster.json"
        seen = self.ok(*SMALL, "--config", config, "--json", "--set", f"tiers.fleet.url={self.url}",
                       "--set", f"trace.dir={self.dir}/trace", env={"KV_PASSWORD": "pw"}).json
        self.assertEqual((seen["wrong"], seen["missing"]), (0, 0))
        self.assertEqual(seen["phases"]["read cold"]["from"], {"fleet": 24})

    def test_what_lmcache_reads(self):
        url = self.url.replace("//", "//:pw@")
        self.ok("put", "--url", url, "k", "-", "--raw", stdin=b"payload")
        found = [node("KEYS", "*") for node in self.nodes]
        self.assertEqual(sorted(sum(found, [])), [b"kkv_bytes", b"kmetadata"])
        self.assertEqual(self.ok("get", "--url", url, "k").out, b"payload")
        self.ok("rm", "--url", url, "k")
        self.assertEqual([node("DBSIZE") for node in self.nodes], [0, 0, 0])

    def test_doctor_sees_slots_that_nobody_serves(self):
        def is_down(node):
            return b"cluster_state:fail" in node("CLUSTER", "INFO")

        url = self.url.replace("//", "//:pw@")
        well = self.call("doctor", "--url", url, "--json")
        self.assertEqual(self.slots(well)["level"], "ok", well.text)
        self.assertIn("16384 of 16384", self.slots(well)["text"])
        self.addCleanup(self.cluster.wait_for, self.cluster.is_ready)
        self.addCleanup(self.nodes[0], "CLUSTER", "ADDSLOTS", 7)
        for node in self.nodes:
            node("CLUSTER", "DELSLOTS", 7)
        self.cluster.wait_for(is_down)
        done = self.call("doctor", "--url", url, "--json")
        self.assertEqual(done.status, 2, done.text)
        self.assertEqual(self.slots(done)["level"], "fail")
        self.assertIn("state is fail, 16383 of 16384", self.slots(done)["text"])
        self.assertIn("redis-cli --cluster check", self.slots(done)["advice"])

    @staticmethod
    def slots(done):
        return next(f for f in done.json["findings"] if f["topic"] == "slots")


if __name__ == "__main__":
    command.needs_redis()
    command.main()
