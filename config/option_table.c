/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every option, once: the parser, the help, `config show` and the schema are made from these rows.
 * Defaults are texts, so that they go through the same parser as a file's values.
 */
#include "kvr_config.h"
#include "kvr_option.h"

#include <string.h>

static const struct kvr_choice formats[] = {
	{ "default", KVR_CONFIG_FORMAT_DEFAULT },
	{ "lmcache", KVR_CONFIG_FORMAT_LMCACHE },
	{ "bare", KVR_CONFIG_FORMAT_BARE },
	{ "sealed", KVR_CONFIG_FORMAT_SEALED },
	{ NULL, 0 },
};

static const struct kvr_choice serdes[] = {
	{ "naive", KVR_CONFIG_SERDE_NAIVE },
	{ "zstd", KVR_CONFIG_SERDE_ZSTD },
	{ "planes", KVR_CONFIG_SERDE_PLANES },
	{ "kivi", KVR_CONFIG_SERDE_KIVI },
	{ NULL, 0 },
};

static const struct kvr_choice writes[] = {
	{ "through", KVR_CONFIG_WRITE_THROUGH },
	{ "back", KVR_CONFIG_WRITE_BACK },
	{ "never", KVR_CONFIG_WRITE_NEVER },
	{ NULL, 0 },
};

static const struct kvr_choice promotes[] = {
	{ "hit", KVR_CONFIG_PROMOTE_HIT },
	{ "never", KVR_CONFIG_PROMOTE_NEVER },
	{ NULL, 0 },
};

static const struct kvr_choice audits[] = {
	{ "off", KVR_CONFIG_AUDIT_OFF },
	{ "log", KVR_CONFIG_AUDIT_LOG },
	{ "sum", KVR_CONFIG_AUDIT_SUM },
	{ "verify", KVR_CONFIG_AUDIT_VERIFY },
	{ NULL, 0 },
};

static const struct kvr_choice verifies[] = {
	{ "on", KVR_CONFIG_VERIFY_ON },
	{ "off", KVR_CONFIG_VERIFY_OFF },
	{ NULL, 0 },
};

static const struct kvr_choice panics[] = {
	{ "poison", KVR_CONFIG_PANIC_POISON },
	{ "abort", KVR_CONFIG_PANIC_ABORT },
	{ NULL, 0 },
};

static const struct kvr_choice key_kinds[] = {
	{ "opaque", KVR_CONFIG_KEYS_OPAQUE },
	{ "lmcache", KVR_CONFIG_KEYS_LMCACHE },
	{ NULL, 0 },
};

static const struct kvr_choice devices[] = {
	{ "none", KVR_CONFIG_DEVICE_NONE },
	{ "auto", KVR_CONFIG_DEVICE_AUTO },
	{ "cuda", KVR_CONFIG_DEVICE_CUDA },
	{ NULL, 0 },
};

static const struct kvr_choice levels[] = {
	{ "error", KVR_CONFIG_LOG_ERROR },
	{ "warn", KVR_CONFIG_LOG_WARN },
	{ "info", KVR_CONFIG_LOG_INFO },
	{ "debug", KVR_CONFIG_LOG_DEBUG },
	{ NULL, 0 },
};

/* The first name of a code is the one that is shown; the others are accepted too. */
static const struct kvr_choice dtypes[] = {
	{ "none", KVR_DTYPE_NONE },
	{ "bfloat16", KVR_DTYPE_BFLOAT16 },
	{ "float16", KVR_DTYPE_FLOAT16 },
	{ "half", KVR_DTYPE_FLOAT16 },
	{ "float32", KVR_DTYPE_FLOAT32 },
	{ "float", KVR_DTYPE_FLOAT32 },
	{ "float64", KVR_DTYPE_FLOAT64 },
	{ "double", KVR_DTYPE_FLOAT64 },
	{ "uint8", KVR_DTYPE_UINT8 },
	{ "fp8_e4m3fn", KVR_DTYPE_FP8_E4M3FN },
	{ "fp8_e5m2", KVR_DTYPE_FP8_E5M2 },
	{ "fp8_e4m3fnuz", KVR_DTYPE_FP8_E4M3FNUZ },
	{ "fp8_e5m2fnuz", KVR_DTYPE_FP8_E5M2FNUZ },
	{ "int8", KVR_DTYPE_INT8 },
	{ "int16", KVR_DTYPE_INT16 },
	{ "int32", KVR_DTYPE_INT32 },
	{ "int64", KVR_DTYPE_INT64 },
	{ "bool", KVR_DTYPE_BOOL },
	{ NULL, 0 },
};

#define MS         KVR_MS(1)
#define DAY        KVR_SEC(86400)
#define KIB        KVR_KIB(1)
#define MIB        KVR_MIB(1)
#define TIB        (KVR_MIB(1) << 20)
#define AT(member) offsetof(struct kvr_config, member)
#define IN(member) offsetof(struct kvr_config_tier, member)

#define ROW(path, type, offset, def, zero, min, max, choice, help)                                 \
	{                                                                                          \
		path, false, KVR_TYPE_##type, offset, def, zero, min, max, choice, help            \
	}
#define TIER(path, type, offset, def, zero, min, max, choice, help)                                \
	{                                                                                          \
		path, true, KVR_TYPE_##type, offset, def, zero, min, max, choice, help             \
	}

const struct kvr_option kvr_option_table[] = {
	ROW("engine.model", TEXT, AT(engine.model), "", NULL, 0, 0, NULL,
	    "name of the model, compared by sealed values"),
	ROW("engine.fingerprint", TEXT, AT(engine.fingerprint), "", NULL, 0, 0, NULL,
	    "what else a stored value must agree on, such as the revision of the weights"),
	ROW("engine.world_size", COUNT, AT(engine.world_size), "0", NULL, 0, 1048576, NULL,
	    "ranks that share one model; 0 leaves it open"),
	ROW("engine.worker_id", RANK, AT(engine.worker_id), "", NULL, 0, 1048575, NULL,
	    "where the rank of this process is found: \"env:\" and the name of a variable"),
	ROW("engine.use_mla", BOOL, AT(engine.use_mla), "false", NULL, 0, 0, NULL,
	    "the model uses latent attention: all ranks hold the same values, rank 0 writes"),
	ROW("engine.chunk_tokens", COUNT, AT(engine.chunk_tokens), "256", NULL, 1, 1048576, NULL,
	    "tokens of a full chunk"),
	ROW("engine.kv_dtype", CHOICE, AT(engine.kv_dtype), "none", NULL, 0, 0, dtypes,
	    "type of one element of the cache"),
	ROW("engine.kv_shape", SHAPE, AT(engine.layout), "", NULL, 1, 1048576, NULL,
	    "layers, 2 (1 with latent attention), tokens, heads, head size; per rank"),
	ROW("engine.kv_groups", GROUPS, AT(engine.layout), "", NULL, 1, 1048576, NULL,
	    "kv_dtype and kv_shape of each group of equal layers, instead of the two above"),

	ROW("memory.staging", SIZE, AT(memory.staging_bytes), "2GiB", NULL, MIB, 64 * TIB, NULL,
	    "limit of the memory that values pass through, per process; taken as needed"),
	ROW("memory.objects", SIZE, AT(memory.objects_bytes), "4GiB", NULL, 0, 64 * TIB, NULL,
	    "limit of the memory that callers may hold, per process; taken as needed"),
	ROW("memory.slot_size", SIZE, AT(memory.slot_bytes), "auto", "auto", 4 * KIB, TIB, NULL,
	    "largest value of one slot; auto is a full chunk"),
	ROW("memory.hugepages", BOOL, AT(memory.hugepages), "false", NULL, 0, 0, NULL,
	    "take that memory in huge pages"),
	ROW("memory.device", CHOICE, AT(memory.device), "none", NULL, 0, 0, devices,
	    "who page-locks staging, all of it at open; cuda insists, auto takes the host instead"),

	ROW("timeouts.blocking", DURATION, AT(timeouts.blocking_ns), "10s", NULL, MS, DAY, NULL,
	    "deadline of a read that names none"),
	ROW("timeouts.lookup", DURATION, AT(timeouts.lookup_ns), "3s", NULL, MS, DAY, NULL,
	    "deadline of a lookup that names none"),
	ROW("timeouts.put", DURATION, AT(timeouts.put_ns), "60s", NULL, MS, DAY, NULL,
	    "deadline of a write that names none"),
	ROW("timeouts.connect", DURATION, AT(timeouts.connect_ns), "1s", NULL, MS, DAY, NULL,
	    "longest time for one connection to come up"),

	ROW("limits.ops", COUNT, AT(limits.ops), "1024", NULL, 4, KVR_OPS_MAX, NULL,
	    "operations in flight; beyond it calls answer BUSY"),
	ROW("limits.keys", COUNT, AT(limits.keys), "65536", NULL, 64, KVR_KEYS_MAX, NULL,
	    "keys of all operations in flight"),
	ROW("limits.put_bytes", SIZE, AT(limits.put_bytes), "none", "none", 1, 64 * TIB, NULL,
	    "payload bytes of all puts in flight; beyond it one more put answers BUSY"),
	ROW("serde.threads", COUNT, AT(serde.threads), "2", NULL, 1, KVR_SERDE_MAX, NULL,
	    "threads that encode and decode; none is started where no tier needs one"),

	ROW("metrics.listen", LISTEN, AT(metrics.listen), "off", "off", 0, 0, NULL,
	    "address:port or unix:/path of /metrics, /healthz, /readyz, /statusz; {rank} is replaced, and "
	    "a port may be counted up: 127.0.0.1:9477+{rank}"),
	ROW("metrics.canary", DURATION, AT(metrics.canary_ns), "off", "off", MS, DAY, NULL,
	    "how often a value is written to, read from and deleted in each tier that is written; 30s "
	    "where metrics.listen is set and nothing is said"),
	ROW("metrics.buckets", TEXT, AT(metrics.buckets), "", NULL, 0, 0, NULL,
	    "upper bounds of kvrelay's histograms, such as \"1ms 5ms 25ms 100ms 1s\"; at most 20"),
	ROW("trace.dir", PATH, AT(trace.dir), "auto", "auto", 0, 0, NULL,
	    "directory of trace files; auto is a folder of this user in shared memory"),
	ROW("trace.size", SIZE, AT(trace.size_bytes), "16MiB", NULL, MIB, 4096 * MIB, NULL,
	    "bytes of the ring of one instance"),
	ROW("trace.keys", BOOL, AT(trace.keys), "false", NULL, 0, 0, NULL,
	    "record the texts of keys, not only their digests"),
	ROW("trace.keep", COUNT, AT(trace.keep), "8", NULL, 1, 10000, NULL,
	    "trace files that are kept, of engines and of commands each"),
	ROW("log.level", CHOICE, AT(log.level), "info", NULL, 0, 0, levels,
	    "the least important lines that are still logged"),
	ROW("on_panic", CHOICE, AT(on_panic), "poison", NULL, 0, 0, panics,
	    "after a broken invariant: answer everything DEAD, or abort the process"),
	ROW("rehearse", BOOL, AT(rehearse), "false", NULL, 0, 0, NULL,
	    "lets tiers fail on purpose as their faults say; never where somebody relies on it"),
	ROW("keys", CHOICE, AT(keys), "opaque", NULL, 0, 0, key_kinds,
	    "lmcache: keys are parsed for labels and rewritten for latent attention"),

	TIER("name", NAME, IN(name), "", NULL, 1, 32, NULL, "letters, digits, '-' and '_'; unique"),
	TIER("url", URL, IN(url), "", NULL, 0, 0, NULL,
	    "the store; ${NAME} is replaced, fs://./dir counts from the directory of this file"),
	TIER("capacity", SIZE, IN(capacity_bytes), "none", "none", 1, 1024 * 1024 * TIB, NULL,
	    "bytes that the tier may hold; a memory tier has 1GiB when nothing is said"),
	TIER("free_floor", SIZE, IN(free_floor_bytes), "none", "none", 1, 1024 * 1024 * TIB, NULL,
	    "bytes to leave free on the file system"),
	TIER("format", CHOICE, IN(format), "default", NULL, 0, 0, formats,
	    "layout of stored values; default is sealed where the store can hold it"),
	TIER("serde", CHOICE, IN(serde), "naive", NULL, 0, 0, serdes,
	    "how payloads are encoded; zstd and planes need the sealed format"),
	TIER("lanes.control", COUNT, IN(lanes.control), "1", NULL, 1, KVR_LANES_MAX - 1, NULL,
	    "connections for lookups and removals"),
	TIER("lanes.bulk", COUNT, IN(lanes.bulk), "2", NULL, 1, KVR_LANES_MAX - 1, NULL,
	    "connections for payloads"),
	TIER("timeout", DURATION, IN(timeout_ns), "auto", "auto", MS, DAY, NULL,
	    "longest time an operation spends here; auto is half of what is left, all in the last"),
	TIER("write", CHOICE, IN(write), "through", NULL, 0, 0, writes,
	    "through: a put waits for this tier; back: it does not; never: nothing is put here"),
	TIER("promote.on", CHOICE, IN(promote.on), "hit", NULL, 0, 0, promotes,
	    "copy values that are read here to the tiers above"),
	TIER("promote.after", COUNT, IN(promote.after), "1", NULL, 1, 255, NULL,
	    "hits of one key before it is copied up"),
	TIER("ttl", DURATION, IN(ttl_ns), "none", "none", MS, 36500 * DAY, NULL,
	    "values expire after this time, where the store can do that"),
	TIER("user", TEXT, IN(user), "", NULL, 0, 0, NULL, "instead of the one in the URL"),
	TIER("password", SECRET, IN(password), "", NULL, 0, 0, NULL,
	    "instead of the one in the URL; taken as it is, ${NAME} too"),
	TIER("password_env", TEXT, IN(password_env), "", NULL, 0, 0, NULL,
	    "name of the variable that holds the password"),
	TIER("breaker.faults", COUNT, IN(breaker.faults), "5", NULL, 1, 1000, NULL,
	    "faults in a row before the tier is left alone for a while"),
	TIER("breaker.backoff_min", DURATION, IN(breaker.backoff_min_ns), "100ms", NULL, MS, DAY,
	    NULL, "first pause before the next attempt"),
	TIER("breaker.backoff_max", DURATION, IN(breaker.backoff_max_ns), "10s", NULL, MS, DAY,
	    NULL, "longest pause between attempts"),
	TIER("hyperpod.bucket", TEXT, IN(hyperpod.bucket), "", NULL, 0, 0, NULL,
	    "sagemaker-hyperpod: the bucket; lmcache when nothing is said, else ?bucket= in the URL"),
	TIER("hyperpod.shared_memory_name", TEXT, IN(hyperpod.shared_memory_name), "", NULL, 0, 0,
	    NULL, "sagemaker-hyperpod: the daemon's shared memory, below /dev/shm; shared_memory "
	    "when nothing is said"),
	TIER("hyperpod.timeout", DURATION, IN(hyperpod.timeout_ns), "5s", NULL, KVR_MS(100), DAY,
	    NULL, "sagemaker-hyperpod: longest time of one request"),
	TIER("hyperpod.lease_wait", DURATION, IN(hyperpod.lease_wait_ns), "auto", "auto", MS, DAY,
	    NULL, "sagemaker-hyperpod: how long the daemon may wait for a key that it has not; auto "
	    "is hyperpod.timeout, 1s in the format bare, and never more than a deadline leaves"),
	TIER("hyperpod.lease_ttl", DURATION, IN(hyperpod.lease_ttl_ns), "30s", NULL, MS, DAY, NULL,
	    "sagemaker-hyperpod: time of a lease; what takes longer to copy is not believed"),
	TIER("hyperpod.max_lease_size", SIZE, IN(hyperpod.max_lease_bytes), "none", "none", 1,
	    1024 * TIB, NULL, "sagemaker-hyperpod: longer objects are not read"),
	TIER("hyperpod.max_concurrent_requests", COUNT, IN(hyperpod.max_concurrent_requests), "100",
	    NULL, 1, 1024, NULL, "sagemaker-hyperpod: puts in flight, and as many others"),
	TIER("hyperpod.max_connections", COUNT, IN(hyperpod.max_connections), "256", NULL, 1, 65536,
	    NULL, "sagemaker-hyperpod: limits the requests in flight too"),
	TIER("hyperpod.max_connections_per_host", COUNT, IN(hyperpod.max_connections_per_host),
	    "128", NULL, 1, 65536, NULL, "sagemaker-hyperpod: the same, for there is one host"),
	TIER("hyperpod.put_stream_chunk", SIZE, IN(hyperpod.put_stream_chunk_bytes), "64KiB", NULL,
	    KIB, MIB, NULL, "sagemaker-hyperpod: how much of a value is handed to HTTP at a time"),
	TIER("hyperpod.use_https", BOOL, IN(hyperpod.use_https), "false", NULL, 0, 0, NULL,
	    "sagemaker-hyperpod: speak TLS; tls.* apply"),
	TIER("eic.library", PATH, IN(eic.library), "", NULL, 0, 0, NULL,
	    "eic: the adapter of the vendor's SDK; libkvr_eic.so of the system when nothing is said"),
	TIER("eic.instance_id", TEXT, IN(eic.instance_id), "", NULL, 0, 0, NULL,
	    "eic: UUID of the cluster"),
	TIER("eic.namespace", TEXT, IN(eic.ns), "", NULL, 0, 0, NULL, "eic: namespace of all keys"),
	TIER("eic.trans_type", COUNT, IN(eic.trans_type), "2", NULL, 0, 3, NULL,
	    "eic: 0 is TCP, 2 is RDMA, 3 is GDR, which registers all of memory.staging"),
	TIER("eic.log_dir", PATH, IN(eic.log_dir), "", NULL, 0, 0, NULL,
	    "eic: directory of the SDK's log files"),
	TIER("eic.log_level", COUNT, IN(eic.log_level), "1", NULL, 0, 16, NULL,
	    "eic: the SDK's own number"),
	TIER("eic.flag_file", PATH, IN(eic.flag_file), "", NULL, 0, 0, NULL,
	    "eic: file of the SDK's flags, --name=value in each line"),
	TIER("sentinel.service", TEXT, IN(sentinel.service), "", NULL, 0, 0, NULL,
	    "redis-sentinel: the service whose master is the store; else ?service= in the URL"),
	TIER("sentinel.user", TEXT, IN(sentinel.user), "", NULL, 0, 0, NULL,
	    "redis-sentinel: user of the sentinels themselves"),
	TIER("sentinel.password", SECRET, IN(sentinel.password), "", NULL, 0, 0, NULL,
	    "redis-sentinel: password of the sentinels themselves"),
	TIER("sentinel.password_env", TEXT, IN(sentinel.password_env), "", NULL, 0, 0, NULL,
	    "name of the variable that holds that password"),
	TIER("replicas", BOOL, IN(replicas), "false", NULL, 0, 0, NULL,
	    "redis-sentinel and clusters: read from a replica, and from the master what that has not"),
	TIER("prefix", TEXT, IN(prefix), "", NULL, 0, 0, NULL, "put before every stored key"),
	TIER("tmp_dir", TEXT, IN(tmp_dir), "", NULL, 0, 0, NULL,
	    "fs: directory below the tier's own in which files are written before they are named"),
	TIER("direct", BOOL, IN(direct), "false", NULL, 0, 0, NULL,
	    "fs: files are read and written past the page cache (O_DIRECT), where that works"),
	TIER("staged", BOOL, IN(staged), "false", NULL, 0, 0, NULL,
	    "fs: values pass through memory.staging on a local disk too, so that one that hangs holds "
	    "no call beyond its deadline; costs a copy"),
	TIER("save_chunk_meta", BOOL, IN(save_chunk_meta), "true", NULL, 0, 0, NULL,
	    "fs in LMCache's format: a header in front of each payload"),
	TIER("tls.ca", PATH, IN(tls.ca), "", NULL, 0, 0, NULL,
	    "TLS: file or directory of the CAs to believe, instead of the system's"),
	TIER("tls.crl", PATH, IN(tls.crl), "", NULL, 0, 0, NULL,
	    "TLS: file or directory of the CAs' revocation lists; what they name is refused"),
	TIER("tls.cert", PATH, IN(tls.cert), "", NULL, 0, 0, NULL,
	    "TLS: file of the certificate that is shown to the server"),
	TIER("tls.key", PATH, IN(tls.key), "", NULL, 0, 0, NULL,
	    "TLS: file of its key; without it the key stands in the file of tls.cert"),
	TIER("tls.verify", CHOICE, IN(tls.verify), "on", NULL, 0, 0, verifies,
	    "TLS: off takes any server for the right one, so others may read and answer"),
	TIER("tls.server_name", TEXT, IN(tls.server_name), "", NULL, 0, 0, NULL,
	    "TLS: the name that the server's certificate must have; else the URL's host"),
	TIER("faults", PATH, IN(faults), "", NULL, 0, 0, NULL,
	    "script of what goes wrong here and when; only with rehearse"),
	TIER("audit", CHOICE, IN(audit), "off", NULL, 0, 0, audits,
	    "log: a line for each key; sum: with its SHA-256; verify: a get that differs is CORRUPT"),
	TIER("audit_exclude", TEXT, IN(audit_exclude), "", NULL, 0, 0, NULL,
	    "what the audit says nothing of: exists, get, put, del and stat, separated by commas"),
};

const uint32_t kvr_option_count = KVR_LEN(kvr_option_table);
_Static_assert(KVR_LEN(kvr_option_table) <= KVR_OPTIONS_MAX, "origins have a place per option");

const struct kvr_option *
kvr_option_find(bool in_tier, const char *path, size_t len)
{
	for (uint32_t i = 0; i < kvr_option_count; i++) {
		const struct kvr_option *o = &kvr_option_table[i];

		if (o->in_tier == in_tier && strlen(o->path) == len &&
		    memcmp(o->path, path, len) == 0)
			return o;
	}
	return NULL;
}

uint32_t
kvr_option_index(const struct kvr_option *option)
{
	return (uint32_t)(option - kvr_option_table);
}
