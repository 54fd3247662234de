#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/setup on a system of straw: dpkg-query, apt-get, sudo and id are small programs that keep
their state in a folder, so what it asks for can be read and nothing real is installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SETUP = Path(sys.argv.pop(1)) / "scripts" / "setup"

DPKG_QUERY = """#!/bin/sh
for last; do :; done
grep -qx "$last:arm64" "$STRAW/installed" && echo installed arm64
grep -qx "$last" "$STRAW/installed" && echo installed amd64
"""
DPKG = """#!/bin/sh
echo amd64
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$STRAW/calls"
case "$*" in *install*) ;; *) exit 0 ;; esac
[ -e "$STRAW/apt-is-broken" ] && exit 0
for word; do echo "$word"; done >>"$STRAW/installed"
"""
SUDO = """#!/bin/sh
echo "sudo $1" >>"$STRAW/calls"
exec "$@"
"""
BUILD = "gcc libc6-dev cmake ninja-build pkg-config libnng-dev libhiredis-dev libzstd-dev libcjson-dev" \
    " libyaml-dev libssl-dev libcurl4-openssl-dev"


class Setup(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="kvr-setup-"))
        self.program("dpkg-query", DPKG_QUERY)
        self.program("dpkg", DPKG)
        self.program("apt-get", APT_GET)
        self.program("id", "#!/bin/sh\necho 0\n")
        self.have(BUILD + " libxxhash-dev")
        self.program("promtool", "#!/bin/sh\n")
        # Only these: what is not in here is not there, sudo for one.
        for tool in ("bash", "env", "sh", "grep", "cat"):
            os.symlink(shutil.which(tool), self.dir / tool)

    def tearDown(self):
        shutil.rmtree(self.dir)

    def program(self, name, text):
        (self.dir / name).write_text(text)
        (self.dir / name).chmod(0o755)

    def have(self, packages):
        (self.dir / "installed").write_text("\n".join(packages.split()) + "\n")

    def run_setup(self, *args):
        env = {"PATH": str(self.dir), "STRAW": str(self.dir)}
        done = subprocess.run(
            [shutil.which("bash"), SETUP, *args], env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        )
        calls = self.dir / "calls"
        return done.returncode, done.stdout, calls.read_text() if calls.exists() else ""

    def test_nothing_to_do(self):
        self.assertEqual(self.run_setup(), (0, "setup: all 13 packages are there\n", ""))

    def test_update_then_install_what_is_missing_only(self):
        self.have(BUILD)
        code, out, calls = self.run_setup()
        self.assertEqual(code, 0, out)
        update, install = calls.strip().split("\n")
        self.assertTrue(update.endswith(" update"), update)
        self.assertTrue(install.endswith(" install --no-install-recommends libxxhash-dev"), install)
        self.assertIn("done, 1 packages installed", out)
        self.assertEqual(self.run_setup()[0:2], (0, "setup: all 13 packages are there\n"))

    def test_an_install_that_did_not_install(self):
        self.have(BUILD)
        (self.dir / "apt-is-broken").touch()
        code, out, _ = self.run_setup()
        self.assertEqual(code, 1)
        self.assertIn("libxxhash-dev is still missing", out)

    def test_not_root_with_sudo(self):
        self.have(BUILD)
        self.program("id", "#!/bin/sh\necho 1000\n")
        self.program("sudo", SUDO)
        code, out, calls = self.run_setup()
        self.assertEqual(code, 0, out)
        self.assertEqual([c.split()[0] for c in calls.strip().split("\n")],
                         ["sudo", "apt-get", "sudo", "apt-get"])

    def test_not_root_without_sudo(self):
        self.have(BUILD)
        self.program("id", "#!/bin/sh\necho 1000\n")
        code, out, calls = self.run_setup()
        self.assertEqual((code, calls), (1, ""))
        self.assertIn("apt-get install libxxhash-dev", out)

    def test_list_changes_nothing(self):
        code, out, calls = self.run_setup("--tests", "--list")
        self.assertEqual((code, calls), (1, ""))
        self.assertIn("missing: check redis-server openssl clang", out)

    def test_not_debian(self):
        (self.dir / "apt-get").unlink()
        code, out, _ = self.run_setup()
        self.assertEqual(code, 1)
        self.assertIn("not a Debian system", out)
        self.assertIn("libnng-dev", out)

    def test_fedora(self):
        (self.dir / "apt-get").unlink()
        self.program("dnf", "#!/bin/sh\nexit 1\n")
        code, out, _ = self.run_setup("--tests")
        self.assertEqual(code, 1)
        self.assertIn("dnf install gcc", out)
        self.assertIn(" nng-devel ", out)
        self.assertIn(" check-devel ", out)
        self.assertNotIn("libnng-dev", out)
        self.assertNotIn("check-devel", self.run_setup()[1])

    def test_packages_of_another_architecture_too(self):
        self.have(BUILD + " libxxhash-dev libnng-dev:arm64 libzstd-dev:arm64")
        self.assertEqual(self.run_setup(), (0, "setup: all 13 packages are there\n", ""))
        self.have(BUILD + " libxxhash-dev:arm64")
        self.assertIn("missing: libxxhash-dev\n", self.run_setup("--list")[1])

    def have_all(self):
        listing = self.run_setup("--tests", "--list")[1]
        self.have(BUILD + " libxxhash-dev " + listing.split("missing:")[1])

    def test_valkey_is_there(self):
        self.have_all()
        self.program("valkey-server", "#!/bin/sh\n")
        code, out, calls = self.run_setup("--tests")
        self.assertEqual((code, calls), (0, ""))
        self.assertNotIn("valkey", out)

    def test_valkey_is_optional(self):
        self.have_all()
        code, out, calls = self.run_setup("--tests")
        self.assertEqual((code, calls), (0, ""))
        self.assertIn("install valkey-server by its own means", out)
        self.assertIn("without valkey-server", out)
        # Neither without tests nor when only asked what is missing.
        self.assertNotIn("valkey", self.run_setup()[1])
        self.assertNotIn("valkey", self.run_setup("--tests", "--list")[1])

    def test_promtool_is_optional(self):
        self.have_all()
        self.program("valkey-server", "#!/bin/sh\n")
        (self.dir / "promtool").unlink()
        code, out, _ = self.run_setup("--tests")
        self.assertEqual(code, 0, out)
        self.assertIn("goes on without promtool", out)
        self.assertNotIn("promtool", self.run_setup()[1])
        self.assertNotIn("promtool", self.run_setup("--tests", "--list")[1])

    def test_promtool_alone_is_taken_out_of_its_package(self):
        self.have_all()
        self.program("valkey-server", "#!/bin/sh\n")
        (self.dir / "promtool").unlink()
        for tool in ("mkdir", "rm", "ln", "head"):
            os.symlink(shutil.which(tool), self.dir / tool)
        self.program("mktemp", '#!/bin/sh\nmkdir -p "$STRAW/work" && echo "$STRAW/work"\n')
        self.program("dpkg-deb", '#!/bin/sh\necho "dpkg-deb $1" >>"$STRAW/calls"\n')
        self.program("install", f'#!/bin/sh\necho "install $4" >>"$STRAW/calls"\n'
                                f'ln -s /bin/true "$STRAW/promtool"\n')
        code, out, calls = self.run_setup("--tests")
        self.assertEqual(code, 0, out)
        self.assertIn("setup-promtool: done", out)
        self.assertIn("download prometheus\ndpkg-deb -x\ninstall /usr/local/bin/promtool\n", calls)

    def test_valkey_of_the_release_itself(self):
        self.have_all()
        # Of straw as well: the policy that keeps a service from starting is a file of the system.
        for tool in ("rm", "chmod"):
            self.program(tool, "#!/bin/sh\n")
        self.program("tee", "#!/bin/sh\ncat >/dev/null\n")
        self.program("mktemp", '#!/bin/sh\necho "$STRAW/work"\n')
        self.program("apt-cache", "#!/bin/sh\necho '  Candidate: 8.1.1'\n")
        self.program("systemctl", "#!/bin/sh\n")
        self.program("update-rc.d", "#!/bin/sh\n")
        code, out, calls = self.run_setup("--tests")
        self.assertEqual(code, 0, out)
        self.assertIn("setup-valkey: done", out)
        self.assertIn("install --no-install-recommends valkey-server", calls)

    def test_an_unknown_option(self):
        code, out, _ = self.run_setup("--tset")
        self.assertEqual(code, 2)
        self.assertIn("--tset is not an option", out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
