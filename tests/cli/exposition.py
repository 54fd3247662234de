# SPDX-License-Identifier: Apache-2.0
"""The metrics of a real run, as text and as samples."""

import re

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


def of_a_run(case):
    """Two tiers, written and read: what `bench --metrics` keeps after the read."""
    (case.dir / "m").mkdir()
    config = case.deploy({"name": "host", "url": "memory://"},
                         {"name": "disk", "url": f"fs://{case.dir}/data", "serde": "zstd"})
    case.ok("bench", "--chunks", "8", "--size", "64KiB", "--batch", "4", "--lookups", "4",
            "--config", config, "--metrics", case.dir / "m")
    return (case.dir / "m" / "read.prom").read_text()


def samples(text):
    """[(name, labels, value)]; every line that is no comment has to be one."""
    found = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        m = SAMPLE.fullmatch(line)
        assert m, line
        found.append((m[1], dict(LABEL.findall(m[2] or "")), float(m[3])))
    return found
