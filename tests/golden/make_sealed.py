#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes sealed.json: values of the sealed format, version 1, from its description alone.

Needs the Python module xxhash. The file it makes is kept; running this again must give the same
bytes, and a difference means that somebody changed what is stored in the field.
"""
import json
import struct
import sys

import xxhash

BLOCK = 1 << 20
M64 = (1 << 64) - 1


def payload(length):
    """Byte i is the top byte of i times a big odd number: cheap, and no two blocks are alike."""
    return bytes((i * 0x9E3779B97F4A7C15 & M64) >> 56 for i in range(length))


def header(case, digest):
    groups = b"".join(
        struct.pack("<II4Q", g["dtype"], len(g["dims"]), *(g["dims"] + [0] * (4 - len(g["dims"]))))
        for g in case["groups"]
    )
    front = struct.pack(
        "<4sIHHIIIII",
        b"KVR1",
        case["head_len"],
        1,
        0,
        case["serde"],
        case["serde_version"],
        len(case["groups"]),
        case["memfmt"],
        BLOCK,
    )
    front += struct.pack("<QQ", case["raw_len"], case["len"])
    front += struct.pack("<QQ", digest & M64, digest >> 64)
    front += struct.pack("<QII", int(case["fingerprint"]), len(case["key"].encode()), 0)
    assert len(front) == 80
    front = (front + groups).ljust(504, b"\0")
    front += struct.pack("<Q", xxhash.xxh3_64_intdigest(front))
    return front.ljust(case["head_len"], b"\0")


def seal(case):
    key = case["key"].encode()
    body = payload(case["len"])
    head = header(case, xxhash.xxh3_128_intdigest(key))
    table = b"".join(
        struct.pack("<Q", xxhash.xxh3_64_intdigest(body[at : at + BLOCK]))
        for at in range(0, len(body), BLOCK)
    )
    tail = key + table
    tail += struct.pack("<Q", xxhash.xxh3_64_intdigest(head + tail))
    case["header_hex"] = head.hex()
    case["trailer_hex"] = tail.hex()
    case["total"] = len(head) + len(body) + len(tail)
    case["value_xxh3_64"] = str(xxhash.xxh3_64_intdigest(head + body + tail))
    return case


def case(name, length, **more):
    made = {
        "name": name,
        "key": "m@1@0@1234abcd@bfloat16",
        "head_len": 512,
        "serde": 0,
        "serde_version": 0,
        "raw_len": length,
        "len": length,
        "memfmt": 0,
        "groups": [],
        "fingerprint": "0",
    }
    made.update(more)
    return seal(made)


BF16 = {"dtype": 3, "dims": [2, 32, 16, 128]}
CASES = [
    case("no payload", 0),
    case("one byte", 1),
    case("plain bytes, 4096 header", 100, head_len=4096),
    case("chunk of one block less a byte", BLOCK - 1, memfmt=1, groups=[BF16], fingerprint="1"),
    case("chunk of one block", BLOCK, memfmt=1, groups=[BF16], fingerprint=str(M64)),
    case("one byte in the second block", BLOCK + 1, head_len=4096),
    case(
        "three blocks and a bit, compressed",
        3 * BLOCK + 17,
        raw_len=5 * BLOCK,
        serde=2,
        serde_version=7,
        memfmt=1,
        groups=[{"dtype": 3, "dims": [2, 32, 80, 512]}],
        fingerprint="1311768467463790320",
        key="meta-llama/Llama-3.1-8B-Instruct@8@3@-5d1b8de6da1b6d09@bfloat16@17@tenant%acme",
    ),
    case(
        "eight groups",
        8 * 24,
        memfmt=6,
        groups=[{"dtype": 6, "dims": [1, g + 1, 2, 3]} for g in range(8)],
        fingerprint="42",
    ),
    case("fewer dims, codes that only we have", 24, memfmt=2, groups=[{"dtype": 66, "dims": [2, 3, 4]}]),
    case("key of one byte", 5, key="k"),
    case("key of 512 bytes, not ASCII", 5, key="\u6a21" * 170 + "ab"),
]

ABOUT = (
    "Sealed values, version 1: header and trailer of each, and the payload between them as a rule: "
    "byte i is the top byte of i * 0x9e3779b97f4a7c15 modulo 2^64. total is the length of the whole "
    "value, value_xxh3_64 its checksum. Numbers over 2^53 are decimal texts."
)

json.dump({"about": ABOUT, "cases": CASES}, sys.stdout, indent=1)
print()
