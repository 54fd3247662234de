/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every key that LMCache reads for its remote backend. A key that is missing here is reported as
 * unknown in a warning, so a new key of LMCache's never stops a deployment.
 */
#include "kvr_flat.h"

#include "kvr_config.h"

#include <string.h>

#define ROOT(name, kind, option, def, why)                                                         \
	{                                                                                          \
		name, false, false, KVR_FLAT_##kind, option, 0, NULL, def, why                     \
	}
#define TIER(name, kind, option, def, why)                                                         \
	{                                                                                          \
		name, false, true, KVR_FLAT_##kind, option, 0, NULL, def, why                      \
	}
#define EXTRA(name, kind, option, def, why)                                                        \
	{                                                                                          \
		name, true, true, KVR_FLAT_##kind, option, 0, NULL, def, why                       \
	}
#define EXTRA_FOR(scheme, name, kind, option, why)                                                 \
	{                                                                                          \
		name, true, true, KVR_FLAT_##kind, option, 0, scheme, NULL, why                    \
	}
#define EXTRA_ROOT_FOR(scheme, name, kind, option, why)                                            \
	{                                                                                          \
		name, true, false, KVR_FLAT_##kind, option, 0, scheme, NULL, why                   \
	}
#define EIC(name, kind, option, def, why)                                                          \
	{                                                                                          \
		name, false, true, KVR_FLAT_##kind, option, 0, "eic", def, why                     \
	}
#define HYPERPOD(name, kind, option, why)                                                          \
	EXTRA_FOR("sagemaker-hyperpod", "sagemaker_hyperpod_" name, kind, "hyperpod." option, why)
#define LMCACHE(name, extra, kind, member, def, why)                                               \
	{                                                                                          \
		name, extra, false, KVR_FLAT_##kind, NULL,                                         \
		    offsetof(struct kvr_config, lmcache.member), NULL, def, why                    \
	}
#define ENGINE(name)                                                                               \
	{                                                                                          \
		name, false, false, KVR_FLAT_ENGINE, NULL, 0, NULL, NULL,                          \
		    "of the engine, not used here"                                                 \
	}
#define ENGINE_EXTRA(name)                                                                         \
	{                                                                                          \
		name, true, false, KVR_FLAT_ENGINE, NULL, 0, NULL, NULL,                           \
		    "of the engine, not used here"                                                 \
	}
#define AUDIT(name, extra, why)                                                                    \
	{                                                                                          \
		name, extra, true, KVR_FLAT_AUDIT, NULL, 0, NULL, NULL, why                        \
	}
#define PLUGIN(name, extra, why)                                                                   \
	{                                                                                          \
		name, extra, true, KVR_FLAT_PLUGIN, NULL, 0, NULL, NULL, why                       \
	}
#define BUCKETS(name, why)                                                                         \
	{                                                                                          \
		name, true, false, KVR_FLAT_BUCKETS, NULL, 0, NULL, NULL, why                      \
	}
#define IGNORED(name, extra, why)                                                                  \
	{                                                                                          \
		name, extra, false, KVR_FLAT_IGNORED, NULL, 0, NULL, NULL, why                     \
	}
#define REFUSED(name, extra, why)                                                                  \
	{                                                                                          \
		name, extra, false, KVR_FLAT_REFUSED, NULL, 0, NULL, NULL, why                     \
	}

const struct kvr_flat_key kvr_flat_table[] = {
	TIER("remote_url", TEXT, "url", NULL, "the store"),
	TIER("remote_serde", TEXT, "serde", "naive", "naive or kivi"),
	ROOT("blocking_timeout_secs", SECONDS, "timeouts.blocking", "10",
	    "wait limit of reads, in seconds"),
	ROOT("chunk_size", COUNT, "engine.chunk_tokens", "256", "tokens of a chunk"),
	ROOT("lookup_timeout_ms", MILLIS, "timeouts.lookup", "3000", "of a lookup"),
	ROOT("max_local_cpu_size", GIB, "memory.objects", "5.0", "GiB of memory objects"),
	ROOT("local_cpu_use_hugepages", BOOL, "memory.hugepages", "false",
	    "memory objects in huge pages"),
	LMCACHE("save_unfull_chunk", false, BOOL, save_unfull_chunk, "false",
	    "a partial last chunk is stored too"),
	AUDIT("audit_actual_remote_url", false, "the real store behind audit://"),
	PLUGIN("remote_storage_plugins", false, "names of stores, \"type\" or \"type.instance\"; fs and redis"),
	IGNORED("remote_config_url", false, "there is no remote configuration service"),
	IGNORED("app_id", false, "there is no remote configuration service"),
	EIC("eic_instance_id", TEXT, "eic.instance_id", NULL, "UUID of the cluster"),
	EIC("eic_kv_ns", TEXT, "eic.namespace", NULL, "namespace of all keys"),
	EIC("eic_kv_ttl", TTL_S, "ttl", NULL, "values expire, in seconds; -1: they do not"),
	EIC("eic_trans_type", COUNT, "eic.trans_type", "3", "0 TCP, 2 RDMA, 3 GDR"),
	EIC("eic_log_dir", TEXT, "eic.log_dir", NULL, "directory of the SDK's log files"),
	EIC("eic_log_level", COUNT, "eic.log_level", NULL, "the SDK's own number"),
	EIC("eic_flag_file", TEXT, "eic.flag_file", NULL, "file of the SDK's flags"),
	IGNORED("eic_thread_num", false, "it has no effect in LMCache either; see eic_flag_file"),
	IGNORED("eic_*", false, "settings of the vendor's SDK are read by the SDK itself"),

	ENGINE("use_layerwise"),
	ENGINE("enable_async_loading"),
	ENGINE("local_cpu"),
	ENGINE("local_disk"),
	ENGINE("max_local_disk_size"),
	ENGINE("reserve_local_cpu_size"),
	ENGINE("cache_policy"),
	ENGINE("pre_caching_hash_algorithm"),
	ENGINE("retrieve_locations"),
	ENGINE("store_location"),
	ENGINE("min_retrieve_tokens"),
	ENGINE("pin_timeout_sec"),
	ENGINE("pin_check_interval_sec"),
	ENGINE("lookup_server_worker_ids"),
	ENGINE("enable_kv_events"),
	ENGINE("enable_chunk_statistics"),
	ENGINE("enable_blending"),
	ENGINE("enable_p2p"),
	ENGINE("enable_pd"),
	ENGINE("enable_controller"),
	ENGINE("lmcache_instance_id"),
	ENGINE("controller_*"),
	ENGINE("chunk_statistics_*"),
	ENGINE("blend_*"),
	ENGINE("p2p_*"),
	ENGINE("pd_*"),
	ENGINE("internal_api_*"),

	LMCACHE("remote_enable_mla_worker_id_as0", true, BOOL, mla_worker_id_as0, NULL,
	    "with latent attention all ranks use the keys of rank 0; default: use_mla"),
	EXTRA("save_chunk_meta", BOOL, "save_chunk_meta", "true",
	    "a header with each payload, where the store has a choice (valkey: only when true is given)"),
	LMCACHE("ping_timeout", true, SECONDS, ping_timeout_ns, "5.0", "of the health check"),
	LMCACHE("ping_interval", true, SECONDS, ping_interval_ns, "30.0", "of the health check"),
	LMCACHE("get_blocking_failed_threshold", true, COUNT, get_blocking_failed_threshold, "10",
	    "failed reads per check before the store is bypassed"),
	LMCACHE("waiting_time_for_recovery", true, SECONDS, waiting_time_for_recovery_ns, "300.0",
	    "how long it is bypassed then"),
	EXTRA_FOR("fs", "fs_connector_relative_tmp_dir", TEXT, "tmp_dir",
	    "directory for temporary files, below the store's own"),
	EXTRA_FOR("fs", "fs_connector_use_odirect", BOOL, "direct",
	    "files are read and written past the page cache, headers or not"),
	EXTRA_FOR("resp", "username", TEXT, "user", "user of the store"),
	EXTRA_FOR("resp", "password", TEXT, "password", "password of that user"),
	EXTRA_FOR("resp", "resp_num_threads", COUNT, "lanes.bulk", "connections"),
	EXTRA_FOR("valkey", "valkey_username", TEXT, "user", "user of the store"),
	EXTRA_FOR("valkey", "valkey_password", TEXT, "password", "password of that user"),
	EXTRA_FOR("valkey", "valkey_num_workers", COUNT, "lanes.bulk", "connections"),
	EXTRA_FOR("valkey", "valkey_sync_num_workers", COUNT, "lanes.bulk", "connections"),
	EXTRA_FOR("valkey", "request_timeout", SECONDS, "timeout", "of one operation, in seconds"),
	EXTRA_ROOT_FOR("valkey", "connection_timeout", SECONDS, "timeouts.connect",
	    "of one connection, in seconds"),
	EXTRA_FOR("valkey", "valkey_enable_ttl", TTL, "ttl",
	    "values expire after valkey_ttl_sec, 86400 by default"),
	EXTRA_FOR("valkey", "valkey_ttl_sec", TTL, "ttl", "in seconds, with valkey_enable_ttl"),
	EXTRA_FOR("valkey", "valkey_mode", SCHEME, "url", "\"cluster\" is valkey-cluster:// here"),
	REFUSED("valkey_database", true, "name the database in the URL: valkey://host:port/N"),
	EXTRA_FOR("valkey", "tls_enable", SCHEME, "url", "true is valkeys:// here"),
	IGNORED("use_exists_sync", true, "a lookup never runs on an engine's event loop"),
	IGNORED("fs_connector_read_ahead_size", true, "files are read in one piece"),
	PLUGIN("fs_base_path", true, "of plugins of the type fs that have none of their own"),
	PLUGIN("redis_url", true, "of plugins of the type redis that have none of their own"),
	AUDIT("audit_actual_remote_url", true, "the real store behind audit://"),
	AUDIT("audit_calc_checksum", true, "audit:// logs the SHA-256 of each payload"),
	AUDIT("audit_verify_checksum", true, "audit:// refuses what this process has put otherwise"),
	AUDIT("audit_exclude_cmds", true, "methods that audit:// says nothing of"),
	IGNORED("audit_*", true, "use an audit:// URL"),
	PLUGIN("remote_storage_plugin.*", true, "base_path of fs and redis_url of redis, by their names"),
	BUCKETS(KVR_FLAT_BUCKET "*", "bounds of one of LMCache's histograms, in its unit"),
	IGNORED("local_cpu.pinned_align_bytes", true, "memory is aligned to 4096 bytes"),
	HYPERPOD("bucket", TEXT, "bucket", "the bucket"),
	HYPERPOD("shared_memory_name", TEXT, "shared_memory_name", "the daemon's shared memory"),
	HYPERPOD("max_concurrent_requests", COUNT, "max_concurrent_requests", "puts in flight, and "
	    "as many others"),
	HYPERPOD("max_connections", COUNT, "max_connections", "limits the requests in flight too"),
	HYPERPOD("max_connections_per_host", COUNT, "max_connections_per_host", "the same"),
	HYPERPOD("timeout_ms", MILLIS, "timeout", "of one request"),
	HYPERPOD("lease_wait_timeout_ms", MILLIS, "lease_wait", "how long a lease is waited for"),
	HYPERPOD("lease_ttl_s", SECONDS, "lease_ttl", "time of a lease"),
	HYPERPOD("lease_ttl_ms", MILLIS, "lease_ttl", "the same in milliseconds"),
	HYPERPOD("put_stream_chunk_bytes", BYTES, "put_stream_chunk", "how much is sent at a time"),
	HYPERPOD("use_https", BOOL, "use_https", "speak TLS"),
	HYPERPOD("max_lease_size_mb", MIB, "max_lease_size", "longer objects are not read"),
	ENGINE_EXTRA("save_only_first_rank"),
	ENGINE_EXTRA("first_rank_max_local_cpu_size"),
	LMCACHE("fallback_policy", true, POLICY, fallback, "recompute",
	    "what the engine does while the store is bypassed: recompute or local_cpu"),
	ENGINE_EXTRA("force_store_wait"),
};

const uint32_t kvr_flat_count = KVR_LEN(kvr_flat_table);

const struct kvr_flat_key *
kvr_flat_find(bool extra, const char *name)
{
	for (uint32_t i = 0; i < kvr_flat_count; i++) {
		const struct kvr_flat_key *key = &kvr_flat_table[i];
		size_t len = strlen(key->name);

		if (key->extra != extra)
			continue;
		if (strcmp(key->name, name) == 0)
			return key;
		if (key->name[len - 1] == '*' && strncmp(key->name, name, len - 1) == 0)
			return key;
	}
	return NULL;
}
