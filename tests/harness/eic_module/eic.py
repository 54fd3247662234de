# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the vendor's module "eic": an in-memory store behind the names that are documented.

It is strict: a name, a type or an order of calls that nobody documents raises. What the numbers of
the codes are is not known, so they are none that could be guessed. With KVR_EIC_CALLS=FILE a line for
each call is added there. Keys and instances choose what goes wrong:

  instance "refuse"   init answers 5
  key with "raise"    the call raises
  key with "fail"     that key fails
  key with "down"     the call fails, and its list of codes is empty
  key with "bare"     the call is good, and its list of codes is empty
"""

import ctypes
import enum
import os
import threading


class StatusCode(enum.Enum):
    SUCCESS = "a"
    PARTIAL_FAILED = "b"
    KEY_NOT_EXIST = "c"
    FAILED = "d"


LogLevel = enum.IntEnum("LogLevel", [(f"LEVEL_{n}", n) for n in range(6)])
TransportType = enum.IntEnum("TransportType", {"TRANSPORT_TCP": 0, "TRANSPORT_RDMA": 2, "TRANSPORT_GDR": 3})
MemoryType = enum.Enum("MemoryType", ["MEMORY_DEFAULT", "MEMORY_CUDA"])


def _tell(line):
    path = os.environ.get("KVR_EIC_CALLS")
    if path:
        with open(path, "a", encoding="utf-8") as f:
            f.write(line + "\n")


class _Members:
    """An object with these members, of these types, and no others."""
    known = {}

    def __setattr__(self, name, value):
        kind = self.known[name]
        if type(value) is not kind:
            raise TypeError(f"{type(self).__name__}.{name} is a {kind.__name__}, not {value!r}")
        super().__setattr__(name, value)

    def told(self):
        return " ".join(f"{n}={getattr(self, n)}" for n in self.known if hasattr(self, n))


class InitOption(_Members):
    known = {"log_dir": str, "log_level": LogLevel, "transport_type": TransportType, "flag_file": str,
             "multi_net_local_interface_names": str}


class SetOption(_Members):
    known = {"ns": str, "ttl_second": int}


class GetOption(_Members):
    known = {"ns": str}


class ExistOption(_Members):
    known = {"ns": str}


class DelOption(_Members):
    known = {"ns": str}


class MemoryInfo(_Members):
    known = {"type": MemoryType, "cuda_id": int}


class StringVector:
    def __init__(self):
        self._texts = []

    def append(self, text):
        if type(text) is not str:
            raise TypeError(f"a key is a text, not {text!r}")
        text.encode("utf-8")
        self._texts.append(text)


class IOBuffers:
    def __init__(self):
        self._parts = []

    def append(self, address, size, registered):
        if type(address) is not int or type(size) is not int or type(registered) is not bool:
            raise TypeError("append(address, size, registered)")
        if size > 0 and address == 0:
            raise ValueError("an address of nothing")
        self._parts.append((address, size, registered))


class _Outcome:
    def __init__(self, codes):
        self.status_codes = codes


class Client:
    def __init__(self):
        self._ready = False
        self._region = None
        self._values = {}
        self._lock = threading.Lock()

    def init(self, instance, endpoint, option):
        if self._ready or type(option) is not InitOption or type(endpoint) is not str:
            raise TypeError("init(instance, endpoint, option), once")
        if instance is not None and type(instance) is not str:
            raise TypeError("an instance is a text or None")
        _tell(f"init {instance} {endpoint} {option.told()}")
        if instance == "refuse":
            return 5
        self._transport = option.transport_type
        self._ready = True
        return 0

    def register_memory(self, buffers, info):
        (address, size, registered), = buffers._parts
        if not self._ready or self._region is not None or not registered:
            raise RuntimeError("one region, once, after init")
        _tell(f"register_memory {size} {info.told()}")
        if self._transport is not TransportType.TRANSPORT_GDR or info.type is not MemoryType.MEMORY_CUDA:
            return False
        self._region = address, address + size
        return True

    def _begin(self, verb, keys, option, kind, buffers=None):
        if not self._ready or type(keys) is not StringVector or type(option) is not kind:
            raise TypeError(f"{verb} wants init, a StringVector and a {kind.__name__}")
        texts, parts = keys._texts, [None] * len(keys._texts)
        if buffers is not None:
            if type(buffers) is not IOBuffers or len(buffers._parts) != len(texts):
                raise TypeError(f"{verb} wants IOBuffers with one part for each key")
            parts = buffers._parts
            for address, size, registered in parts:
                if registered and (self._region is None or address < self._region[0] or
                                   address + size > self._region[1]):
                    raise ValueError("a buffer is said to be registered and is not")
        marks = ["" if p is None else f":{p[1]}{'r' if p[2] else ''}" for p in parts]
        _tell(f"{verb} {option.told()} " + " ".join(k + m for k, m in zip(texts, marks)))
        if any("raise" in k for k in texts):
            raise RuntimeError("the stand-in raises")
        return option.ns, list(zip(texts, parts))

    @staticmethod
    def _end(keys, codes):
        if any("down" in k for k, _ in keys):
            return StatusCode.FAILED, _Outcome([])
        good = sum(c is StatusCode.SUCCESS for c in codes)
        status = (StatusCode.SUCCESS if good == len(codes) else
                  StatusCode.PARTIAL_FAILED if good > 0 else StatusCode.FAILED)
        if any("bare" in k for k, _ in keys) and status is StatusCode.SUCCESS:
            codes = []
        return status, _Outcome(codes)

    def _each(self, keys, one):
        with self._lock:
            return self._end(keys, [StatusCode.FAILED if "fail" in k else one(k, p) for k, p in keys])

    def mset(self, keys, buffers, option):
        ns, keys = self._begin("mset", keys, option, SetOption, buffers)

        def one(key, part):
            self._values[ns, key] = ctypes.string_at(part[0], part[1])
            return StatusCode.SUCCESS

        return self._each(keys, one)

    def mget(self, keys, option, buffers):
        ns, keys = self._begin("mget", keys, option, GetOption, buffers)

        def one(key, part):
            value = self._values.get((ns, key))
            if value is None:
                return StatusCode.KEY_NOT_EXIST
            if len(value) != part[1]:
                return StatusCode.FAILED
            ctypes.memmove(part[0], value, len(value))
            return StatusCode.SUCCESS

        status, outcome = self._each(keys, one)
        return status, buffers, outcome

    def _known(self, ns, key):
        return StatusCode.SUCCESS if (ns, key) in self._values else StatusCode.KEY_NOT_EXIST

    def mexist(self, keys, option):
        ns, keys = self._begin("mexist", keys, option, ExistOption)
        return self._each(keys, lambda key, _: self._known(ns, key))

    def mdel(self, keys, option):
        ns, keys = self._begin("mdel", keys, option, DelOption)

        def one(key, _):
            code = self._known(ns, key)
            self._values.pop((ns, key), None)
            return code

        return self._each(keys, one)
