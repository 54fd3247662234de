#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example of a deployment behind sentinels, over a real one."""

import json

import command

SMALL = ("bench", "--chunks", "12", "--size", "64KiB", "--batch", "4", "--verify")


class Sentinel(command.Case):
    def setUp(self):
        super().setUp()
        self.data = command.Redis("--requirepass", "pw", port=True)
        self.addCleanup(self.data.stop)
        conf = self.dir / "sentinel.conf"
        conf.write_text(f"sentinel monitor mymaster 127.0.0.1 {self.data.port} 1\n"
                        "sentinel auth-pass mymaster pw\nrequirepass watch\n")
        self.sentinel = command.Redis("--sentinel", port=True, conf=conf)
        self.addCleanup(self.sentinel.stop)
        self.url = f"redis-sentinel://127.0.0.1:{self.sentinel.port}"
        self.env = {"KV_PASSWORD": "pw", "KV_SENTINEL_PASSWORD": "watch"}

    def test_the_example(self):
        config = command.ARGS.source / "config" / "examples" / "redis-sentinel.json"
        seen = self.ok(*SMALL, "--config", config, "--json", "--set", f"tiers.fleet.url={self.url}",
                       "--set", f"trace.dir={self.dir}/trace", env=self.env).json
        self.assertEqual((seen["wrong"], seen["missing"]), (0, 0))

    def test_doctor_asks_each(self):
        tier = {"name": "fleet", "url": f"{self.url}?service=mymaster", "password": "pw",
                "sentinel": {"password": "watch"}}
        found = self.call("doctor", "--config", self.deploy(tier), "--json").json["findings"]
        self.assertEqual([f["text"] for f in found if f["topic"] == "sentinels"], ["all 1 answer"])
        more = {**tier, "url": f"redis-sentinel://127.0.0.1:{self.sentinel.port},127.0.0.1:1?service=mymaster"}
        found = self.call("doctor", "--config", self.deploy(more), "--json").json["findings"]
        (away,) = [f for f in found if f["topic"] == "sentinel"]
        self.assertEqual(away["level"], "warn")
        self.assertIn("sentinel 127.0.0.1:1: ", away["text"])
        self.assertEqual([f for f in found if f["topic"] == "sentinels"], [])

    def test_lmcaches_keys(self):
        conf = self.dir / "open.conf"
        conf.write_text(f"sentinel monitor fleet 127.0.0.1 {self.data.port} 1\n")
        sentinel = command.Redis("--sentinel", port=True, conf=conf)
        self.addCleanup(sentinel.stop)
        config = self.dir / "lmcache.json"
        config.write_text(json.dumps({"remote_url": f"redis-sentinel://:pw@127.0.0.1:{sentinel.port}"}))
        seen = self.ok(*SMALL, "--config", config, "--json", env={"REDIS_SERVICE_NAME": "fleet"}).json
        self.assertEqual((seen["wrong"], seen["missing"]), (0, 0))


if __name__ == "__main__":
    command.needs_redis()
    command.main()
