/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what this compiler makes of the public structs and constants, for test_ctypes.py. */
#include "kvrelay.h"

#include <stdio.h>

#define SIZE(type) printf("size %s %zu\n", #type, sizeof(struct type))
#define AT(type, member)                                                                           \
	printf("member %s %s %zu %zu\n", #type, #member, offsetof(struct type, member),            \
	    sizeof(((struct type *)0)->member))
#define VALUE(name) printf("value %s %lld\n", #name, (long long)(name))

static void
describe_keys(void)
{
	SIZE(kvr_group);
	AT(kvr_group, dtype);
	AT(kvr_group, n_dims);
	AT(kvr_group, dim);
	SIZE(kvr_layout);
	AT(kvr_layout, size);
	AT(kvr_layout, format);
	AT(kvr_layout, n_groups);
	AT(kvr_layout, spare);
	AT(kvr_layout, group);
	SIZE(kvr_key_parts);
	AT(kvr_key_parts, size);
	AT(kvr_key_parts, dtype);
	AT(kvr_key_parts, engine);
	AT(kvr_key_parts, model);
	AT(kvr_key_parts, world_size);
	AT(kvr_key_parts, worker_id);
	AT(kvr_key_parts, layer);
	AT(kvr_key_parts, hash);
	AT(kvr_key_parts, hash_bytes);
	AT(kvr_key_parts, n_hash_bytes);
	AT(kvr_key_parts, hash_kind);
	AT(kvr_key_parts, n_tags);
	AT(kvr_key_parts, spare);
	AT(kvr_key_parts, tag_name);
	AT(kvr_key_parts, tag_value);
}

static void
describe_instances(void)
{
	SIZE(kvr_identity);
	AT(kvr_identity, size);
	AT(kvr_identity, role);
	AT(kvr_identity, keys);
	AT(kvr_identity, world_size);
	AT(kvr_identity, worker_id);
	AT(kvr_identity, use_mla);
	AT(kvr_identity, model);
	AT(kvr_identity, revision);
	AT(kvr_identity, engine);
	AT(kvr_identity, salt);
	SIZE(kvr_options);
	AT(kvr_options, size);
	AT(kvr_options, n_set);
	AT(kvr_options, config_file);
	AT(kvr_options, config_text);
	AT(kvr_options, url);
	AT(kvr_options, set);
	AT(kvr_options, identity);
	AT(kvr_options, layout);
	AT(kvr_options, log);
	AT(kvr_options, log_arg);
	AT(kvr_options, mem_get);
	AT(kvr_options, mem_put);
	AT(kvr_options, mem_arg);
	SIZE(kvr_close_report);
	AT(kvr_close_report, size);
	AT(kvr_close_report, stuck_threads);
	AT(kvr_close_report, finished);
	AT(kvr_close_report, dropped);
	AT(kvr_close_report, not_quiet);
	SIZE(kvr_health);
	AT(kvr_health, size);
	AT(kvr_health, ok);
	AT(kvr_health, n_tiers);
	AT(kvr_health, n_up);
	AT(kvr_health, in_flight);
	AT(kvr_health, not_quiet);
	AT(kvr_health, why);
	AT(kvr_health, recompute);
	AT(kvr_health, spare);
}

static void
describe_operations(void)
{
	SIZE(kvr_obj_info);
	AT(kvr_obj_info, size);
	AT(kvr_obj_info, format);
	AT(kvr_obj_info, n_groups);
	AT(kvr_obj_info, refs);
	AT(kvr_obj_info, pins);
	AT(kvr_obj_info, spare);
	AT(kvr_obj_info, at);
	AT(kvr_obj_info, len);
	AT(kvr_obj_info, room);
	AT(kvr_obj_info, group);
	SIZE(kvr_batch);
	AT(kvr_batch, size);
	AT(kvr_batch, kind);
	AT(kvr_batch, n);
	AT(kvr_batch, per_chunk);
	AT(kvr_batch, key);
	AT(kvr_batch, keys);
	AT(kvr_batch, at);
	AT(kvr_batch, len);
	AT(kvr_batch, obj);
	AT(kvr_batch, layout);
	AT(kvr_batch, tokens);
	AT(kvr_batch, ready);
	AT(kvr_batch, recorded);
	SIZE(kvr_opts);
	AT(kvr_opts, size);
	AT(kvr_opts, flags);
	AT(kvr_opts, until_ns);
	AT(kvr_opts, tag);
	AT(kvr_opts, queue);
	AT(kvr_opts, done);
	AT(kvr_opts, done_arg);
	AT(kvr_opts, request);
}

static void
describe_caches(void)
{
	SIZE(kvr_cache_shape);
	AT(kvr_cache_shape, size);
	AT(kvr_cache_shape, order);
	AT(kvr_cache_shape, format);
	AT(kvr_cache_shape, dtype);
	AT(kvr_cache_shape, n_layers);
	AT(kvr_cache_shape, n_planes);
	AT(kvr_cache_shape, n_heads);
	AT(kvr_cache_shape, head_size);
	AT(kvr_cache_shape, block_tokens);
	AT(kvr_cache_shape, n_blocks);
	AT(kvr_cache_shape, layerwise);
	AT(kvr_cache_shape, n_base);
	AT(kvr_cache_shape, memory);
	AT(kvr_cache_shape, spare);
	AT(kvr_cache_shape, base);
	AT(kvr_cache_shape, layer_stride);
	AT(kvr_cache_shape, plane_stride);
	AT(kvr_cache_shape, block_stride);
	AT(kvr_cache_shape, token_stride);
	AT(kvr_cache_shape, head_stride);
	AT(kvr_cache_shape, number);
	AT(kvr_cache_shape, next);
	SIZE(kvr_tokens);
	AT(kvr_tokens, size);
	AT(kvr_tokens, n);
	AT(kvr_tokens, cache);
	AT(kvr_tokens, slot);
	AT(kvr_tokens, block);
	AT(kvr_tokens, first);
	AT(kvr_tokens, layer);
	AT(kvr_tokens, ready);
	AT(kvr_tokens, next);
	VALUE(KVR_CACHE_BLOCKS);
	VALUE(KVR_MEMORY_DEVICE);
}

static void
describe_outcomes(void)
{
	SIZE(kvr_results);
	AT(kvr_results, size);
	AT(kvr_results, cap);
	AT(kvr_results, need);
	AT(kvr_results, spare);
	AT(kvr_results, err);
	AT(kvr_results, len);
	AT(kvr_results, tier);
	AT(kvr_results, layers);
	SIZE(kvr_done);
	AT(kvr_done, size);
	AT(kvr_done, kind);
	AT(kvr_done, flags);
	AT(kvr_done, err);
	AT(kvr_done, op);
	AT(kvr_done, tag);
	AT(kvr_done, bytes);
	AT(kvr_done, took_ns);
	AT(kvr_done, first);
	AT(kvr_done, n);
	AT(kvr_done, n_ok);
	AT(kvr_done, prefix);
	AT(kvr_done, why);
	VALUE(KVR_LOOKUP);
	VALUE(KVR_GET);
	VALUE(KVR_PUT);
	VALUE(KVR_DONE_QUIET);
	VALUE(KVR_E_DEVICE);
	VALUE(KVR_WHY_MAX);
	VALUE(KVR_DIMS_MAX);
	VALUE(KVR_DRAIN);
}

int
main(void)
{
	describe_keys();
	describe_instances();
	describe_operations();
	describe_caches();
	describe_outcomes();
	return 0;
}
