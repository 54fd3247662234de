# SPDX-License-Identifier: Apache-2.0
"""What a figure is of: the machine, what it did besides, the server and the compiler."""

import os
import platform
import re
import subprocess


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=20,
                              check=False)
        return done.stdout.split("\n")[0]
    except OSError:
        return ""


def cpu():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        found = re.search(r"^model name\s*: (.*)$", f.read(), flags=re.M)
    return found.group(1) if found else platform.machine()


def vectors():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        flags = set(f.read().split())
    return [name for name in ("avx2", "avx512f") if name in flags]


def facts(compiler):
    server = os.environ.get("KVR_TEST_SERVER") or "redis-server"
    version = re.search(r"v=([\d.]+)", first_line(server, "--version"))
    return {"cpu": cpu(), "vectors": vectors(), "cpus": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "machine": platform.machine(), "server": f"{os.path.basename(server)} {version.group(1)}" if version else "none",
            "compiler": first_line(compiler, "--version"), "load": round(os.getloadavg()[0], 2)}
