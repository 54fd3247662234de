#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example of a deployment over a cluster, with three nodes that have a third of the slots each."""

import time

import command

SMALL = ("bench", "--chunks", "24", "--size", "64KiB", "--batch", "8", "--verify")
SLOTS = 16384


class Cluster(command.Case):
    @classmethod
    def setUpClass(cls):
        options = ("--cluster-enabled", "yes", "--requirepass", "pw")
        # The port of the cluster's own bus is that of the node plus 10000.
        cls.nodes = [command.Redis(*options, port=True, below=55000) for _ in range(3)]
        for i, node in enumerate(cls.nodes):
            node("AUTH", "pw")
            node("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            node("CLUSTER", "ADDSLOTS", *range(SLOTS * i // 3, SLOTS * (i + 1) // 3))
            cls.nodes[0]("CLUSTER", "MEET", "127.0.0.1", node.port)
        until = time.monotonic() + command.PATIENCE_S
        while not all(cls.is_ready(node) for node in cls.nodes):
            if time.monotonic() > until:
                raise AssertionError("the nodes do not find each other")
        cls.url = f"redis-cluster://127.0.0.1:{cls.nodes[1].port}"

    @classmethod
    def tearDownClass(cls):
        for node in cls.nodes:
            node.stop()

    @staticmethod
    def is_ready(node):
        info = node("CLUSTER", "INFO")
        return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info

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


if __name__ == "__main__":
    command.needs_redis()
    command.main()
