#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""doctor over a Redis server that speaks TLS: what it says of certificates and of revocation lists."""

import shutil
import subprocess
import sys

import command
from test_cli_doctor import Findings

CA_CONF = "[ca]\ndefault_ca = c\n[c]\ndatabase = index.txt\ndefault_md = sha256\nunique_subject = no\n"
NEW_KEY = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc"
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
        (self.dir / "ca.conf").write_text(CA_CONF)
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

    def look(self, status):
        tls = {"ca": f"{self.dir}/ca.pem", "crl": f"{self.dir}/crl.pem"}
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


if __name__ == "__main__":
    needs_tls()
    command.main(Tls.__module__)
