#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the command stores, others find; what others store, the command finds. The others are
redis-cli for servers and plain reads and writes for files; what has to lie there is golden data of
LMCache, bytes that no part of this project has written.
"""

import shutil
import socket
import subprocess
import sys

import command


class Cross(command.Case):
    """A golden entry is put by kvrelay and looked at by others, then the other way round."""

    def put(self, entry, *place):
        shape = ",".join(map(str, entry["shape"]))
        self.ok("put", *place, entry["key"], "-", "--shape", shape, "--dtype", entry["dtype"], "--format",
                entry["fmt"], stdin=bytes.fromhex(entry["payload_hex"]))

    def get(self, entry, *place):
        return self.ok("get", *place, entry["key"]).out.hex()


class Server(Cross):
    def setUp(self):
        super().setUp()
        six = ("--bind", "127.0.0.1", "::1") if command_has_six() else ()
        self.redis = command.Redis(*six, port=True)
        self.addCleanup(self.redis.stop)

    def cli(self, *words, stdin=None):
        """redis-cli ends what it prints with a newline of its own."""
        done = subprocess.run(["redis-cli", "-p", str(self.redis.port), *words], input=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=command.PATIENCE_S,
                              check=True)
        self.assertEqual(done.stdout[-1:], b"\n")
        return done.stdout[:-1]

    def both_ways(self, url, names, some=None, place=None):
        """names: of an entry, what redis-cli must find under which name, as hex."""
        place = place or ("--url", url)
        for entry in command.golden("redis_layout")["entries"][:some]:
            with self.subTest(entry["name"], url=url):
                self.put(entry, *place)
                want = names(entry)
                self.assertEqual(self.cli("DBSIZE"), str(len(want)).encode())
                for name, value in want.items():
                    self.assertEqual(self.cli("--raw", "GET", name).hex(), value)
                    self.assertEqual(self.cli("TTL", name), b"-1")
                self.cli("FLUSHALL")
                for name, value in want.items():
                    self.assertEqual(self.cli("-x", "SET", name, stdin=bytes.fromhex(value)), b"OK")
                self.ok("exists", *place, entry["key"])
                self.assertEqual(self.get(entry, *place), entry["payload_hex"])
                self.ok("rm", *place, entry["key"])
                self.assertEqual(self.cli("DBSIZE"), b"0")

    def test_lmcache_in_redis(self):
        self.both_ways(f"redis://127.0.0.1:{self.redis.port}",
                       lambda e: {n: v["value_hex"] for n, v in e["redis"].items()})

    def test_the_same_over_resp3(self):
        self.both_ways(f"redis://127.0.0.1:{self.redis.port}?protocol=3",
                       lambda e: {n: v["value_hex"] for n, v in e["redis"].items()}, some=1)

    def test_the_same_over_ipv6(self):
        if not command_has_six():
            self.skipTest("there is no IPv6 on the loopback device")
        self.both_ways(f"redis://[::1]:{self.redis.port}",
                       lambda e: {n: v["value_hex"] for n, v in e["redis"].items()}, some=1)

    def test_february_in_valkey(self):
        """Two names with colons, the values those of Redis."""
        def names(entry):
            old = {n: v["value_hex"] for n, v in entry["redis"].items()}
            return {f"{entry['key']}:{part}": old[entry["key"] + part] for part in ("metadata", "kv_bytes")}
        url = f"valkey://127.0.0.1:{self.redis.port}"
        config = self.deploy({"name": "v", "url": url, "format": "lmcache"})
        self.both_ways(url, names, some=3, place=("--config", config))

    def test_one_name_and_no_header(self):
        """LMCache's native client, and its Valkey connector since April 2026."""
        for scheme in "resp", "valkey":
            self.both_ways(f"{scheme}://127.0.0.1:{self.redis.port}", lambda e: {e["key"]: e["payload_hex"]}, some=3)

    def test_what_valkey_writes_resp_reads(self):
        entry = command.golden("redis_layout")["entries"][0]
        self.put(entry, "--url", f"valkey://127.0.0.1:{self.redis.port}")
        self.assertEqual(self.cli("--raw", "GET", entry["key"]).hex(), entry["payload_hex"])
        self.assertEqual(self.get(entry, "--url", f"resp://127.0.0.1:{self.redis.port}"), entry["payload_hex"])

    def test_a_sealed_value_survives_a_copy_by_others(self):
        config = self.deploy({"name": "far", "url": f"redis://127.0.0.1:{self.redis.port}", "format": "sealed"})
        place = ("--config", config)
        self.ok("put", *place, "k", "-", stdin=bytes(range(256)) * 40)
        value = self.cli("--raw", "GET", "k@kvr%1")
        self.cli("DEL", "k@kvr%1")
        self.fails(1, "no tier has it", "get", *place, "k")
        self.cli("-x", "SET", "k@kvr%1", stdin=value)
        self.assertEqual(self.ok("get", *place, "k").out, bytes(range(256)) * 40)
        # Under another name it is somebody else's.
        self.cli("-x", "SET", "other@kvr%1", stdin=value)
        self.fails(1, "sealed for another key", "get", *place, "other")
        self.cli("-x", "SET", "k@kvr%1", stdin=value[:-1])
        self.fails(1, "shorter or longer than its header", "get", *place, "k")


class Files(Cross):
    def both_ways(self, set_name, direct=False, some=None, **options):
        paths = {"two_directories": f"{self.dir}/p0,{self.dir}/p1"}
        url = "fs://" + paths.get(set_name, str(self.dir / "p0"))
        config = self.deploy({"name": "disk", "url": url, "format": "lmcache", "direct": direct, **options})
        place = ("--config", config)
        for entry in command.golden("fs_layout")["sets"][set_name]["entries"][:some]:
            with self.subTest(entry["name"], set=set_name):
                self.put(entry, *place)
                found = {p.name: p.read_bytes().hex() for p in self.files(".") if p.suffix == ".data"}
                self.assertEqual(found, {name.split("/")[-1]: v for name, v in entry["files"].items()})
                where = [p for p in self.files(".") if p.suffix == ".data"]
                for path in where:
                    path.write_bytes(bytes.fromhex(found[path.name]))
                self.assertEqual(self.get(entry, *place), entry["payload_hex"])
                self.ok("rm", *place, entry["key"])
                self.assertFalse(any(path.exists() for path in where))

    def test_one_directory(self):
        self.both_ways("one_directory")
        self.both_ways("one_directory", direct=True, some=2)

    def test_two_directories(self):
        self.both_ways("two_directories")

    def test_without_headers(self):
        self.both_ways("without_chunk_meta", save_chunk_meta=False)
        self.both_ways("without_chunk_meta", direct=True, some=2, save_chunk_meta=False)

    def test_a_temporary_directory(self):
        self.both_ways("relative_tmp_dir", tmp_dir="tmp")


def command_has_six():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


if __name__ == "__main__":
    command.needs_redis()
    if shutil.which("redis-cli") is None:
        print("not run: redis-cli is not installed")
        sys.exit(77)
    command.main()
