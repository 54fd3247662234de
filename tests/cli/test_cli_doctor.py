#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""doctor over real stores: what is well, what is to be looked at, what is wrong, and what to do."""

import contextlib
import os
import re
import shutil
import socket
import threading

import command


NOBODY = 65534


class Findings(command.Case):
    def findings(self, status, *args, **kwargs):
        done = self.call("doctor", "--json", *args, **kwargs)
        self.assertEqual(done.status, status, (done.text, done.err))
        said = done.json
        self.assertEqual(len(said["findings"]), said["ok"] + said["warned"] + said["failed"])
        return {(f["where"], f["topic"]): f for f in said["findings"]}

    def level(self, findings, where, topic, level, text=""):
        f = findings[where, topic]
        self.assertEqual(f["level"], level, f)
        self.assertIn(text, f["text"])
        if level != "ok":
            self.assertNotEqual(f["advice"], "", f)
        return f


class Rude(Findings):
    """Servers that say what no terminal and no reader of JSON should get."""

    def serve(self, words):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def answer(peer):
            with peer, contextlib.suppress(OSError):
                while peer.recv(65536):
                    peer.sendall(words)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"redis://127.0.0.1:{server.getsockname()[1]}"

    def test_what_a_server_says_is_one_line_of_text(self):
        url = self.serve(b"-ERR \x1b[2J\x1b]0;owned\x07 \xc2\x9b31m \xff\r\n")
        done = self.call("doctor", "--url", url)
        self.assertEqual(done.status, 2, (done.out, done.err))
        self.assertIn(b"]0;owned", done.out)
        for command_byte in b"\x1b", b"\x07", b"\xc2\x9b":
            self.assertNotIn(command_byte, done.out)
        found = self.findings(2, "--url", url)
        self.level(found, "remote", "connect", "fail", "]0;owned    31m \ufffd")


class Doctor(Findings):
    @classmethod
    def setUpClass(cls):
        cls.redis = command.Redis()

    @classmethod
    def tearDownClass(cls):
        cls.redis.stop()

    def setUp(self):
        super().setUp()
        self.redis("CONFIG", "SET", "maxmemory", "64mb")
        self.redis("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        self.redis("FLUSHALL")

    def test_all_is_well(self):
        config = self.deploy({"name": "host", "url": "memory://"},
                             {"name": "disk", "url": f"fs://{self.dir}/data", "capacity": "64MiB"},
                             {"name": "far", "url": self.redis.url})
        (self.dir / "data").mkdir()
        found = self.findings(0, "--config", config)
        for tier in "host", "disk", "far":
            self.level(found, tier, "canary", "ok", "written, read, compared, deleted")
            self.level(found, tier, "connect", "ok", "ms")
        self.level(found, "far", "version", "ok", ".")
        self.level(found, "far", "memory", "ok", "allkeys-lru; 0 keys evicted and 0 expired in ")
        self.level(found, "disk", "space", "ok", "GiB free")
        self.level(found, "machine", "descriptors", "ok")
        self.level(found, "machine", "trace", "ok", "free")
        self.assertEqual(self.redis("DBSIZE"), 0)
        self.assertEqual(self.files("data"), [])
        text = self.ok("doctor", "--config", config)
        self.assertRegex(text.text, r"(?m)^ok    far +canary +written, read, compared, deleted$")
        self.assertRegex(text.text, r"(?m)^\d+ ok, 0 to look at, 0 wrong$")

    def test_what_is_to_be_looked_at(self):
        self.redis("CONFIG", "SET", "maxmemory", "0")
        shape = {"kv_dtype": "bfloat16", "kv_shape": [32, 2, 256, 8, 128]}
        config = self.deploy({"name": "far", "url": self.redis.url, "format": "lmcache"}, engine=shape)
        found = self.findings(1, "--config", config)
        self.assertIn("CONFIG SET maxmemory", self.level(found, "far", "memory", "warn")["advice"])
        self.level(found, "far", "format", "warn", "not verified")
        self.assertIn("MALLOC_CONF", self.level(found, "far", "allocator", "warn")["advice"])
        self.redis("CONFIG", "SET", "maxmemory", "64mb")
        self.redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
        found = self.findings(1, "--url", self.redis.url)
        self.assertIn("allkeys-lru", self.level(found, "remote", "memory", "warn", "noeviction")["advice"])

    def test_values_beyond_what_the_server_takes(self):
        shape = {"kv_dtype": "bfloat16", "kv_shape": [32, 2, 16, 8, 128]}  # 2 MiB
        config = self.deploy({"name": "far", "url": self.redis.url}, engine=shape)
        found = self.findings(0, "--config", config)
        self.level(found, "far", "lengths", "ok", "proto-max-bulk-len is 536870912")
        self.redis("CONFIG", "SET", "proto-max-bulk-len", "2mb")
        self.addCleanup(self.redis, "CONFIG", "SET", "proto-max-bulk-len", "512mb")
        found = self.findings(2, "--config", config)
        wrong = self.level(found, "far", "lengths", "fail", "proto-max-bulk-len is 2097152: they are refused")
        self.assertIn("CONFIG SET proto-max-bulk-len", wrong["advice"])
        self.redis("CONFIG", "SET", "proto-max-bulk-len", str((2 << 20) + 2048))
        self.level(self.findings(0, "--config", config), "far", "lengths", "ok", "values have at most")
        # Whoever may not ask is told nothing wrong.
        self.redis("ACL", "SETUSER", "plain", "on", ">pw-of-plain", "~*", "&*", "+@all", "-config")
        self.addCleanup(self.redis, "ACL", "DELUSER", "plain")
        config = self.deploy({"name": "far", "url": self.redis.url, "user": "plain", "password_env": "PW"})
        found = self.findings(0, "--config", config, env={"PW": "pw-of-plain"})
        self.level(found, "far", "lengths", "ok", "is not told")

    def test_a_full_store_that_keeps_everything(self):
        self.redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.redis("CONFIG", "SET", "maxmemory", "1")
        found = self.findings(2, "--config", self.deploy({"name": "far", "url": self.redis.url}))
        self.level(found, "far", "memory", "fail", "noeviction")
        self.level(found, "far", "canary", "fail", "put: NOSPACE")

    def test_rights_are_found_by_using_them(self):
        self.redis("ACL", "SETUSER", "reader", "on", ">secret-of-reader", "~*", "+get", "+exists", "+ping", "+getrange")
        url = self.redis.url
        config = self.deploy({"name": "far", "url": url, "user": "reader", "password_env": "PW"})
        done = self.call("doctor", "--config", config, env={"PW": "secret-of-reader"})
        self.assertEqual(done.status, 2, done.text)
        self.assertRegex(done.text, r"(?m)^warn  far +INFO +it is refused: NOPERM")
        self.assertRegex(done.text, r"(?m)^fail  far +canary +put: AUTH: ")
        done = self.call("doctor", "--config", config, env={"PW": "another-secret"})
        self.assertEqual(done.status, 2)
        self.assertRegex(done.text, r"(?m)^fail  far +connect +AUTH: ")
        for secret in "secret-of-reader", "another-secret":
            self.assertNotIn(secret, done.text + done.err)
        self.redis("ACL", "DELUSER", "reader")

    def test_rights_that_no_canary_needs(self):
        config = self.deploy({"name": "far", "url": self.redis.url, "user": "half", "password_env": "PW"})
        self.addCleanup(self.redis, "ACL", "DELUSER", "half")
        for word, topic in ("exists", "lookup"), ("getrange", "size"):
            self.redis("ACL", "SETUSER", "half", "on", ">half-secret", "~*", "&*", "+@all", f"-{word}")
            found = self.findings(2, "--config", config, env={"PW": "half-secret"})
            self.level(found, "far", topic, "fail", f"run the '{word}' command")
            self.level(found, "far", "canary", "ok")
        self.redis("ACL", "SETUSER", "half", "+@all")
        found = self.findings(0, "--config", config, env={"PW": "half-secret"})
        self.assertFalse({("far", "lookup"), ("far", "size")} & set(found))

    def test_rights_to_watch_long_values(self):
        plain = {"name": "far", "url": self.redis.url, "user": "half", "password_env": "PW"}
        for word in "watch", "multi", "exec":
            self.redis("ACL", "SETUSER", "half", "reset", "on", ">half-secret", "~*", "+@all", f"-{word}")
            self.addCleanup(self.redis, "ACL", "DELUSER", "half")
            config = self.deploy(dict(plain, format="bare"))
            found = self.findings(1, "--config", config, env={"PW": "half-secret"})
            self.level(found, "far", "watch", "warn", f"run the '{word}' command")
            self.level(found, "far", "canary", "ok")
            found = self.findings(0, "--config", self.deploy(plain), env={"PW": "half-secret"})
            self.assertNotIn(("far", "watch"), found)
        self.redis("ACL", "SETUSER", "half", "+@all")
        found = self.findings(1, "--config", self.deploy(dict(plain, format="bare")), env={"PW": "half-secret"})
        self.assertNotIn(("far", "watch"), found)

    def test_nothing_is_written_when_nothing_may_be(self):
        before = self.redis("INFO", "commandstats")
        self.ok("doctor", "--no-canary", "--config", self.deploy({"name": "far", "url": self.redis.url}))
        after = self.redis("INFO", "commandstats")
        writes = [l for l in after.split(b"\r\n") if l.startswith((b"cmdstat_set:", b"cmdstat_del:"))]
        self.assertEqual(writes, [l for l in before.split(b"\r\n") if l.startswith((b"cmdstat_set:", b"cmdstat_del:"))])

    def test_nobody_is_there(self):
        found = self.findings(2, "--url", f"unix://{self.dir}/none.sock")
        self.level(found, "remote", "connect", "fail", "none.sock")
        self.assertNotIn(("remote", "canary"), found)
        found = self.findings(2, "--url", "fs:///proc/kvrelay-cannot-be")
        self.assertTrue(any(f["level"] == "fail" for (where, _), f in found.items() if where == "remote"), found)

    def test_a_server_that_does_not_answer(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            there = "--no-canary", "--url", f"redis://127.0.0.1:{silent.getsockname()[1]}", "--set"
            found = self.findings(2, *there, "timeouts.connect=100ms")
            self.level(found, "remote", "connect", "fail", " (timeouts.connect, 100 ms)")
            found = self.findings(2, *there, "timeouts.connect=60s", "--timeout", "100ms")
            self.level(found, "remote", "connect", "fail", " (--timeout, 100 ms)")

    def test_a_server_that_answers_and_refuses(self):
        def serve(listener, reply):
            s, _ = listener.accept()
            with s:
                s.recv(4096)
                s.sendall(reply)

        with socket.create_server(("127.0.0.1", 0)) as there:
            url = f"redis://127.0.0.1:{there.getsockname()[1]}"
            for reply, words, advice in ((b"-LOADING Redis is loading\r\n", "PING: LOADING", "the server is there"),
                                         (b"-NOAUTH who?\r\n", "PING: NOAUTH", "user, password"),
                                         (b"220 smtp ESMTP\r\n", "PING: not a RESP2 reply", "is this its port")):
                server = threading.Thread(target=serve, args=(there, reply), daemon=True)
                server.start()
                found = self.findings(2, "--no-canary", "--url", url)
                server.join()
                self.assertIn(advice, self.level(found, "remote", "connect", "fail", words)["advice"])

    def test_a_server_that_cannot_save(self):
        redis = command.Redis("--save", "3600 1")
        self.addCleanup(redis.stop)
        self.addCleanup(redis, "CONFIG", "SET", "save", "")  # else it does not end
        redis("SET", "k", "v")  # and it is up
        (redis.dir / "dump.rdb").mkdir()
        redis("BGSAVE")
        self.wait(lambda: b"rdb_last_bgsave_status:err" in redis("INFO", "persistence"))
        found = self.findings(2, "--config", self.deploy({"name": "far", "url": redis.url}))
        self.level(found, "far", "connect", "ok")
        saving = self.level(found, "far", "saving", "warn", "could not write its snapshot: puts may be refused (MISCONF)")
        self.assertIn('CONFIG SET save ""', saving["advice"])
        self.level(found, "far", "canary", "fail", "put: REFUSED: SET: MISCONF")

    def test_a_limit_of_lengths_with_which_nothing_can_be_compared(self):
        self.redis("CONFIG", "SET", "proto-max-bulk-len", "2mb")
        self.addCleanup(self.redis, "CONFIG", "SET", "proto-max-bulk-len", "512mb")
        found = self.findings(1, "--config", self.deploy({"name": "far", "url": self.redis.url}))
        wrong = self.level(found, "far", "lengths", "warn", "is 2097152 bytes: longer values are refused")
        self.assertIn("engine.kv_shape", wrong["advice"])

    def test_a_file_system_that_is_full(self):
        free = f"{shutil.disk_usage(self.dir).total}B"
        here = {"name": "disk", "url": f"fs://{self.dir}/data"}
        self.ok("put", "--config", self.deploy({**here, "capacity": "64MiB"}), "k", "-", stdin=bytes(1 << 20))
        full = {**here, "capacity": "64MiB", "free_floor": free}
        # What is there gives way, so that this is how it is to be.
        found = self.findings(0, "--no-canary", "--config", self.deploy(full))
        self.level(found, "disk", "space", "ok", "1.0 MiB of ours give way")
        shutil.rmtree(self.dir / "data")
        found = self.findings(2, "--no-canary", "--config", self.deploy(full))
        self.assertIn("others have to make room", self.level(found, "disk", "space", "fail")["advice"])

    def test_nowhere_for_the_trace(self):
        config = self.deploy({"name": "host", "url": "memory://"})
        found = self.findings(1, "--config", config, "--set", "trace.dir=/proc/1/fd/none/of/these")
        wrong = self.level(found, "machine", "trace", "warn", "No such file or directory")
        self.assertIn("the trace dies with the process", wrong["advice"])
        # Root may write everywhere, so root becomes somebody else for this.
        user = NOBODY if os.geteuid() == 0 else None
        (self.dir / "locked").mkdir()
        (self.dir / "locked").chmod(0o555)
        self.dir.chmod(0o755)
        try:
            found = self.findings(1, "--config", config, "--set", f"trace.dir={self.dir}/locked", user=user)
        except PermissionError:
            self.skipTest("nobody else may run the command where it lies")
        self.level(found, "machine", "trace", "warn", "locked: Permission denied")

    def test_a_directory_that_is_read_as_a_host(self):
        config = self.deploy({"name": "disk", "url": f"fs://kv{self.dir}/data", "capacity": "64MiB"})
        done = self.call("doctor", "--no-canary", "--config", config)
        self.assertEqual(done.status, 1, (done.text, done.err))
        said = f'files go to {self.dir}/data, for "kv" is read as a host; for a relative directory write fs://./kv'
        self.assertRegex(done.text, f"(?m)^warn  config +config .*{re.escape(said)}")
        self.assertIn(said, self.ok("config", "check", config).err)

    def test_a_configuration_that_is_wrong(self):
        config = self.deploy({"name": "far", "url": "nosuch://x"})
        found = self.findings(2, "--config", config)
        self.level(found, "config", "config", "fail", "nosuch")
        self.fails(2, "say which deployment", "doctor")


if __name__ == "__main__":
    command.needs_redis()
    command.main(Doctor.__module__)
