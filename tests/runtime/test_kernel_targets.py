#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""For which devices the copy kernel was compiled: the fat binary inside an object file.

  test_kernel_targets.py OBJECT ARCH...

Code of its own for each ARCH, and PTX of the last one, from which a driver makes code for devices
that are newer than the toolkit.
"""

import struct
import sys

MAGIC, PTX, ELF = struct.pack("<I", 0xBA55ED50), 1, 2


def entries(blob):
    at = blob.index(MAGIC)
    head, size = struct.unpack_from("<HQ", blob, at + 6)
    at, end = at + head, at + head + size
    while at < end:
        kind, _, head, size = struct.unpack_from("<HHIQ", blob, at)
        (arch,) = struct.unpack_from("<I", blob, at + 28)
        yield kind, arch
        at += head + size


def main():
    want = [int(a) for a in sys.argv[2:]]
    with open(sys.argv[1], "rb") as f:
        found = sorted(entries(f.read()))
    expected = sorted([(ELF, a) for a in want] + [(PTX, want[-1])])
    print("compiled for", found)
    return 0 if found == expected else 1


if __name__ == "__main__":
    sys.exit(main())
