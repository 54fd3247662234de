#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""doctor over a Redis server that speaks TLS: what it says of certificates and of revocation lists."""

import shutil
import subprocess
import sys
import time

import command
from test_cli_doctor import Findings

CA_CONF = "[ca]\ndefault_ca = c\n[c]\ndatabase = index.txt\ndefault_md = sha256\nunique_subject = no\n"
NEW_KEY = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc"
POLICY = "new_certs_dir = .\nrand_serial = yes\npolicy = p\n[p]\ncommonName = supplied\n"
OPENSSL_CA = "openssl ca -config ca.conf -cert ca.pem -keyfile ca.key"


def needs_tls():
    command.needs_redis()
    line = ["redis-server", "--tls-port", "0", "--no-such-option", "1"]
    said = subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    # It names the first option that it does not know, and starts nothing.
    knows = any(l.startswith(">>>") and "no-such-option" in l for l in (said.stdout + said.stderr).split("\n"))
    if shutil.which("openssl") is None or not knows:
        print("not run: openssl or a redis-server with TLS is missing")
        sys.exit(77)


class Tls(Findings):
    def openssl(self, line):
        subprocess.run(line, shell=True, check=True, capture_output=True, cwd=self.dir)

    def setUp(self):
        super().setUp()
        (self.dir / "ca.conf").write_text(CA_CONF + POLICY)
        (self.dir / "index.txt").write_text("")
        (self.dir / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        self.openssl(f"{NEW_KEY} -x509 -keyout ca.key -out ca.pem -days 2 -subj '/CN=doctor CA'")
        self.openssl(f"{NEW_KEY} -keyout server.key -out server.csr -subj /CN=server")
        self.openssl("openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -out server.pem -days 30 "
                     "-extfile ext -set_serial 7")
        self.port = command.Port()
        self.redis = command.Redis(
            "--tls-port", str(self.port.number), "--tls-cert-file", f"{self.dir}/server.pem",
            "--tls-key-file", f"{self.dir}/server.key", "--tls-auth-clients", "no",
            "--tls-ca-cert-file", f"{self.dir}/ca.pem", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
        self.addCleanup(self.port.give)
        self.addCleanup(self.redis.stop)

    def look(self, status, **more):
        tls = {"ca": f"{self.dir}/ca.pem", **(more or {"crl": f"{self.dir}/crl.pem"})}
        url = f"rediss://127.0.0.1:{self.port.number}"
        return self.findings(status, "--config", self.deploy({"name": "far", "url": url, "tls": tls}))

    def test_what_a_list_says_of_the_server(self):
        self.openssl(f"{OPENSSL_CA} -gencrl -crldays 2 -out crl.pem")
        found = self.look(0)
        self.level(found, "far", "connect", "ok")
        self.level(found, "far", "certificate", "ok", "ends in")
        self.openssl(f"{OPENSSL_CA} -gencrl -crl_lastupdate 20200101000000Z -crl_nextupdate 20200102000000Z "
                     "-out crl.pem")
        self.level(self.look(2), "far", "connect", "fail", "CRL has expired, renew it in tls.crl: until 2020-01-02")
        self.openssl(f"{OPENSSL_CA} -revoke server.pem && {OPENSSL_CA} -gencrl -crldays 2 -out crl.pem")
        self.level(self.look(2), "far", "connect", "fail", "certificate is revoked, give it a new one: /CN=server")
        (self.dir / "crl.pem").write_text("nothing\n")
        found = self.look(2)
        self.assertTrue(any("tls.crl" in f["text"] and f["level"] == "fail" for f in found.values()), found)

    def client(self, begins, ends):
        """Our own certificate; the server does not ask for it and says nothing."""
        self.openssl(f"{NEW_KEY} -keyout client.key -out client.csr -subj /CN=client")
        self.openssl(f"{OPENSSL_CA} -batch -notext -in client.csr -out client.pem -startdate {begins} -enddate {ends}")
        return {"cert": f"{self.dir}/client.pem", "key": f"{self.dir}/client.key"}

    def at_open(self, found, level, text):
        self.assertEqual(found["far", "store"]["level"], level, found)
        self.assertIn(text, found["far", "store"]["text"])

    @staticmethod
    def in_days(days):
        return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400))

    def test_what_its_own_certificate_has_still_to_live(self):
        good = self.client("20200101000000Z", self.in_days(40.5))
        self.level(self.look(0, **good), "far", "tls.cert", "ok", f"ours ends in 40 days: {self.dir}/client.pem")
        found = self.look(1, **self.client("20200101000000Z", self.in_days(13.5)))
        soon = self.level(found, "far", "tls.cert", "warn", "ours ends in 13 days")
        self.assertIn("put a new one in its place before that", soon["advice"])
        found = self.look(1, **self.client("20200101000000Z", "20200102000000Z"))
        self.at_open(found, "warn", "tls.cert has expired: put a new one in its place")
        self.assertNotIn(("far", "tls.cert"), found)
        found = self.look(1, **self.client(self.in_days(2.5), self.in_days(40)))
        self.at_open(found, "warn", "tls.cert is not valid yet, for 60 hours: is the clock")
        self.openssl(f"{NEW_KEY} -keyout other.key -out other.csr -subj /CN=other")
        found = self.look(2, cert=f"{self.dir}/client.pem", key=f"{self.dir}/other.key")
        self.at_open(found, "fail", f"tls.key: {self.dir}/other.key: key values mismatch")


if __name__ == "__main__":
    needs_tls()
    command.main(Tls.__module__)
