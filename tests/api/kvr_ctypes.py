# SPDX-License-Identifier: Apache-2.0
"""The public structs for ctypes, written from the header by hand, as a binding's author would."""

import ctypes as c

U32, U64, I32, I64, P = c.c_uint32, c.c_uint64, c.c_int32, c.c_int64, c.c_void_p
TEXT = c.c_char_p


def struct(name, *members):
    return type(name, (c.Structure,), {"_fields_": list(members)})


Group = struct("kvr_group", ("dtype", U32), ("n_dims", U32), ("dim", U64 * 4))
Layout = struct("kvr_layout", ("size", U32), ("format", U32), ("n_groups", U32), ("spare", U32),
                ("group", c.POINTER(Group)))
KeyParts = struct("kvr_key_parts", ("size", U32), ("dtype", U32), ("engine", TEXT), ("model", TEXT),
                  ("world_size", I64), ("worker_id", I64), ("layer", I64), ("hash", I64),
                  ("hash_bytes", c.POINTER(c.c_uint8)), ("n_hash_bytes", U32), ("hash_kind", U32),
                  ("n_tags", U32), ("spare", U32), ("tag_name", c.POINTER(TEXT)),
                  ("tag_value", c.POINTER(TEXT)))
Identity = struct("kvr_identity", ("size", U32), ("role", U32), ("keys", U32), ("world_size", U32),
                  ("worker_id", U32), ("use_mla", U32), ("model", TEXT), ("revision", TEXT),
                  ("engine", TEXT), ("salt", TEXT))
LOG = c.CFUNCTYPE(None, P, c.c_int, TEXT)
Options = struct("kvr_options", ("size", U32), ("n_set", U32), ("config_file", TEXT),
                 ("config_text", TEXT), ("url", TEXT), ("set", c.POINTER(TEXT)),
                 ("identity", c.POINTER(Identity)), ("layout", c.POINTER(Layout)), ("log", LOG),
                 ("log_arg", P), ("mem_get", P), ("mem_put", P), ("mem_arg", P))
CloseReport = struct("kvr_close_report", ("size", U32), ("stuck_threads", U32), ("finished", U64),
                     ("dropped", U64), ("not_quiet", U64))
Health = struct("kvr_health", ("size", U32), ("ok", U32), ("n_tiers", U32), ("n_up", U32),
                ("in_flight", U64), ("not_quiet", U64), ("why", c.c_char * 112),
                ("recompute", U32), ("spare", U32))
ObjInfo = struct("kvr_obj_info", ("size", U32), ("format", U32), ("n_groups", U32), ("refs", U32),
                 ("pins", U32), ("spare", U32), ("at", P), ("len", U64), ("room", U64),
                 ("group", c.POINTER(Group)))
CacheShape = struct("kvr_cache_shape", ("size", U32), ("order", U32), ("format", U32), ("dtype", U32),
                    ("n_layers", U32), ("n_planes", U32), ("n_heads", U32), ("head_size", U32),
                    ("block_tokens", U32), ("n_blocks", U32), ("layerwise", U32), ("n_base", U32),
                    ("memory", U32), ("spare", U32), ("base", c.POINTER(P)), ("layer_stride", U64),
                    ("plane_stride", U64), ("block_stride", U64), ("token_stride", U64),
                    ("head_stride", U64), ("number", c.POINTER(U32)), ("next", P))
Tokens = struct("kvr_tokens", ("size", U32), ("n", U32), ("cache", P), ("slot", c.POINTER(I64)),
                ("block", c.POINTER(I32)), ("first", c.POINTER(U32)), ("layer", c.POINTER(U32)),
                ("ready", P), ("next", P))
Batch = struct("kvr_batch", ("size", U32), ("kind", U32), ("n", U32), ("per_chunk", U32),
               ("key", c.POINTER(TEXT)), ("keys", TEXT), ("at", c.POINTER(P)), ("len", c.POINTER(U64)),
               ("obj", c.POINTER(U64)), ("layout", c.POINTER(Layout)),
               ("tokens", c.POINTER(Tokens)), ("ready", P), ("recorded", P))
Results = struct("kvr_results", ("size", U32), ("cap", U32), ("need", U32), ("spare", U32),
                 ("err", c.POINTER(I32)), ("len", c.POINTER(U64)), ("tier", c.POINTER(U32)),
                 ("layers", c.POINTER(U32)))
Done = struct("kvr_done", ("size", U32), ("kind", U32), ("flags", U32), ("err", I32), ("op", U64),
              ("tag", U64), ("bytes", U64), ("took_ns", U64), ("first", U32), ("n", U32),
              ("n_ok", U32), ("prefix", U32), ("why", c.c_char * 112))
DONE = c.CFUNCTYPE(None, P, c.POINTER(Done), c.POINTER(Results))
Opts = struct("kvr_opts", ("size", U32), ("flags", U32), ("until_ns", U64), ("tag", U64), ("queue", P),
              ("done", DONE), ("done_arg", P), ("request", TEXT))
LOOKUP, GET, PUT = 0, 1, 2
OK, MISS = 0, -1


def sized(struct_type, /, **members):
    return struct_type(size=c.sizeof(struct_type), **members)
