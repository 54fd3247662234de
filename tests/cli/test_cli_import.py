#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""config import: LMCache's files become tiers, and what is lost is said. YAML and variables."""

import json

import command

CPU_AND_REDIS = """\
# One node, one Redis
chunk_size: 256
local_cpu: true
max_local_cpu_size: 20
remote_url: "redis://cache.example:6379"
remote_serde: "naive"
save_unfull_chunk: false
"""
VALKEY = """\
chunk_size: 128
local_disk: "file:///local/disk_test/local_disk/"
max_local_disk_size: 5
remote_url: "valkey://a.example:7000"
blocking_timeout_secs: 3
pre_caching_hash_algorithm: sha256_cbor
extra_config:
  valkey_username: kv
  valkey_password: "s3cr3t$x"
  valkey_num_workers: 4
  valkey_enable_ttl: true
  request_timeout: 2.5
  ping_timeout: 1
  use_exists_sync: true
"""
FS = """\
remote_url: fs://host:0/mnt/kv
enable_async_loading: True
internal_api_server_enabled: True
extra_config: { fs_connector_relative_tmp_dir: tmp, save_chunk_meta: False }
trace: { size: 8MiB }
no_such_key: 1
"""

SEVERAL = """\
remote_url: audit://host:1?verify=true
remote_storage_plugins: [fs.second, redis]
extra_config:
  remote_storage_plugin.fs.second.base_path: /mnt/kv
  redis_url: redis://cache.example:6379
  audit_actual_remote_url: lm://cache.example:65432
  audit_exclude_cmds: exists
  histogram_bucket_remote_time_to_get: [1, 2.5, 10]
"""


class Import(command.Case):
    def write(self, text, name="lmcache.yaml"):
        path = self.dir / name
        path.write_text(text)
        return path

    def turn(self, text, name="lmcache.yaml"):
        """The tier form, which is valid and says the same, and what was said about the rest."""
        path = self.write(text, name)
        done = self.ok("config", "import", path)
        out = self.write(done.text, "tiers.json")
        self.assertEqual(self.ok("config", "check", out, "--json").json["notes"], [])
        before, after = (self.values(p) for p in (path, out))
        for key in before.keys() | after.keys():
            if not key.startswith("lmcache."):
                self.assertEqual(before.get(key), after.get(key), key)
        return done.json, done.err

    def values(self, path):
        shown = self.ok("config", "show", path).text
        lines = [line.split("  # ")[0].split(None, 1) for line in shown.splitlines()]
        return {line[0]: line[1].strip() if len(line) > 1 else "" for line in lines}

    def test_cpu_and_redis(self):
        made, err = self.turn(CPU_AND_REDIS)
        self.assertEqual(made["tiers"], [
            {"name": "remote", "url": "redis://cache.example:6379", "format": "lmcache"}])
        self.assertEqual(made["memory"], {"objects": "20GiB"})
        self.assertEqual(made["keys"], "lmcache")
        self.assertIn("lmcache.yaml:3:1: warning: local_cpu is left out: it is the engine's own", err)
        self.assertNotIn("remote_url", err)

    def test_several_stores(self):
        made, err = self.turn(SEVERAL)
        alike = {"format": "lmcache", "promote": {"on": "never"}}
        self.assertEqual(made["tiers"], [
            {"name": "fs-second", "url": "fs:///mnt/kv", **alike},
            {"name": "redis", "url": "redis://cache.example:6379", **alike},
            {"name": "remote", "url": "lm://cache.example:65432", "promote": {"on": "never"},
             "audit": "verify", "audit_exclude": "exists"}])
        self.assertIn("histogram_bucket_remote_time_to_get is left out: only LMCache's flat form", err)
        self.assertEqual(err.count("warning"), 1)

    def test_valkey(self):
        made, err = self.turn(VALKEY)
        self.assertEqual(made["tiers"][0], {
            "name": "remote", "url": "valkey://a.example:7000", "format": "bare",
            "lanes": {"bulk": 4}, "timeout": "2500ms", "ttl": "1d", "user": "kv",
            "password": "s3cr3t$x"})
        self.assertEqual(made["timeouts"]["blocking"], "3s")
        self.assertEqual(made["engine"], {"chunk_tokens": 128})
        for key in ("local_disk", "max_local_disk_size", "pre_caching_hash_algorithm", "ping_timeout"):
            self.assertIn(f" {key} is left out: ", err)
        self.assertIn("use_exists_sync is ignored: ", err)
        self.assertNotIn("s3cr3t", err)

    def test_fs(self):
        made, err = self.turn(FS)
        self.assertEqual(made["tiers"][0]["tmp_dir"], "tmp")
        self.assertIs(made["tiers"][0]["save_chunk_meta"], False)
        self.assertEqual(made["trace"], {"size": "8MiB"})
        self.assertIn('unknown key "no_such_key"', err)
        self.assertIn("internal_api_server_enabled is left out", err)

    def test_json(self):
        made, err = self.turn(json.dumps({"remote_url": "redis://h:1", "remote_serde": "kivi"}), "lm.json")
        self.assertEqual(made["tiers"][0]["serde"], "kivi")
        self.assertEqual(err, "")

    def test_variables_stay_names(self):
        path = self.write("remote_url: redis://u:${PW}@h:1\nengine: { worker_id: env:RANK }\n")
        made = self.ok("config", "import", path, env={"PW": "s3cr3t", "RANK": "2"}).json
        self.assertEqual(made["tiers"][0]["url"], "redis://u:${PW}@h:1")
        self.assertEqual(made["engine"]["worker_id"], "env:RANK")

    def test_what_cannot_be_imported(self):
        path = self.write("tiers: [ { name: a, url: memory:// } ]\n")
        self.fails(2, "tiers already", "config", "import", path)
        path = self.write("remote_url: redis://h:1\nremote_serde: cachegen\n")
        done = self.fails(2, "lmcache.yaml:2:15: ", "config", "import", path)
        self.assertEqual(done.text, "")
        self.fails(2, "none.yaml", "config", "import", self.dir / "none.yaml")
        self.fails(2, "usage: kvrelay config", "config", "import")

    def test_yaml_mistakes_have_a_caret(self):
        done = self.fails(2, "lmcache.yaml:2:13: ", "config", "check",
                          self.write("remote_url: redis://h:1\nchunk_size: many\n"))
        self.assertIn("chunk_size: many\n              ^", done.err)

    def test_variables_are_shown_as_origins(self):
        path = self.write("lmcache_env: true\n")
        text = self.ok("config", "show", path, env={"LMCACHE_REMOTE_URL": "redis://h:1"}).text
        self.assertRegex(text, r"tiers\.remote\.url +redis://h:1 +# env LMCACHE_REMOTE_URL\n")
        self.fails(2, "LMCACHE_REMOTE_URL is not set", "config", "show", path)


if __name__ == "__main__":
    command.main()
