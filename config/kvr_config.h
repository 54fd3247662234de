/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deployment as plain data: what a JSON file, a single URL and overrides by path say, checked and
 * with every default filled in. Nothing here opens, connects or starts anything.
 *
 * Values and texts belong to the config object and live until kvr_config_free. Any thread may read
 * them as long as nobody calls kvr_config_set or kvr_config_identify.
 *
 * Names, types, limits, defaults and help are rows of one table (option_table.c). The parser,
 * `config show`, the help text and the JSON Schema are made from it.
 */
#ifndef KVR_CONFIG_H
#define KVR_CONFIG_H

#include "kvr_limits.h"
#include "kvr_meta.h"

#define KVR_CONFIG_BUCKETS_MAX 20U

/* The config layer does not include the connector table, so it has its own names for formats. */
enum kvr_config_format {
	KVR_CONFIG_FORMAT_DEFAULT, /* only for a scheme that the config layer does not know */
	KVR_CONFIG_FORMAT_LMCACHE,
	KVR_CONFIG_FORMAT_BARE,
	KVR_CONFIG_FORMAT_SEALED
};

enum kvr_config_serde {
	KVR_CONFIG_SERDE_NAIVE,
	KVR_CONFIG_SERDE_ZSTD,
	KVR_CONFIG_SERDE_KIVI,
	KVR_CONFIG_SERDE_PLANES
};
enum kvr_config_write { KVR_CONFIG_WRITE_THROUGH, KVR_CONFIG_WRITE_BACK, KVR_CONFIG_WRITE_NEVER };
enum kvr_config_promote { KVR_CONFIG_PROMOTE_HIT, KVR_CONFIG_PROMOTE_NEVER };
enum kvr_config_panic { KVR_CONFIG_PANIC_POISON, KVR_CONFIG_PANIC_ABORT };
enum kvr_config_keys { KVR_CONFIG_KEYS_OPAQUE, KVR_CONFIG_KEYS_LMCACHE };
enum kvr_config_device { KVR_CONFIG_DEVICE_NONE, KVR_CONFIG_DEVICE_AUTO, KVR_CONFIG_DEVICE_CUDA };
enum kvr_config_log {
	KVR_CONFIG_LOG_ERROR,
	KVR_CONFIG_LOG_WARN,
	KVR_CONFIG_LOG_INFO,
	KVR_CONFIG_LOG_DEBUG
};

/* Who the process is. NULL, 0 or a worker_id of -1: not given, so neither written nor compared. */
struct kvr_config_engine {
	const char *model;
	const char *fingerprint; /* weights revision or the like, compared by sealed values */
	uint32_t world_size;
	int32_t worker_id; /* read from the variable that the file names */
	bool use_mla;
	uint32_t chunk_tokens;
	uint32_t kv_dtype; /* enum kvr_dtype_code */
	struct kvr_meta
	    layout; /* of a full chunk, from kv_shape or kv_groups; n_groups 0: not given */
};

struct kvr_config_memory {
	uint64_t staging_bytes, objects_bytes; /* limits; both arenas start empty */
	uint64_t slot_bytes;                   /* 0: from the layout, else from the values */
	bool hugepages;
	uint32_t device; /* enum kvr_config_device */
};

struct kvr_config_timeouts {
	uint64_t blocking_ns, lookup_ns, put_ns, connect_ns;
};

enum kvr_config_audit {
	KVR_CONFIG_AUDIT_OFF,
	KVR_CONFIG_AUDIT_LOG,
	KVR_CONFIG_AUDIT_SUM,
	KVR_CONFIG_AUDIT_VERIFY
};

enum kvr_config_verify { KVR_CONFIG_VERIFY_ON, KVR_CONFIG_VERIFY_OFF };

struct kvr_config_tier {
	const char *name;
	const char *url; /* contains its secrets: print it only through kvr_config_redact */
	uint64_t capacity_bytes, free_floor_bytes; /* 0: none */
	uint32_t format;                           /* enum kvr_config_format, resolved */
	uint32_t serde;                            /* enum kvr_config_serde */
	struct {
		uint32_t control, bulk;
	} lanes;
	uint64_t timeout_ns; /* 0: half of the remaining deadline, in the last tier all of it */
	uint32_t write;      /* enum kvr_config_write */
	struct {
		uint32_t on; /* enum kvr_config_promote */
		uint32_t after;
	} promote;
	uint64_t ttl_ns;             /* 0: none */
	const char *user, *password; /* NULL: those in the URL, else none */
	struct {
		uint32_t faults;
		uint64_t backoff_min_ns, backoff_max_ns;
	} breaker;
	const char *prefix;   /* put before every stored key; NULL: none */
	const char *tmp_dir;  /* fs only; NULL: beside the file */
	bool direct;          /* fs only: bypass the page cache */
	bool staged;          /* fs only: never lend a caller's memory to a disk */
	bool save_chunk_meta; /* fs in LMCache's format: put a header in front of the payload */
	struct {
		const char *ca, *cert, *key; /* PEM files; NULL: the system's CAs, no certificate */
		const char *crl;             /* PEM too; NULL: revocation is not checked */
		uint32_t verify;             /* enum kvr_config_verify */
		const char *server_name;     /* NULL: the host of the URL */
	} tls; /* only if the scheme uses TLS */
	struct {
		const char *service;         /* NULL: in the URL */
		const char *user, *password; /* for the sentinels themselves; NULL: none */
		const char *password_env;    /* only for messages */
	} sentinel; /* only if the URL names sentinels */
	bool replicas; /* only then, and for clusters: read from a replica first */
	const char *faults; /* script of a rehearsed outage; NULL: none */
	uint32_t audit;            /* enum kvr_config_audit */
	const char *audit_exclude; /* "exists,stat"; NULL: nothing */
	struct {
		const char *bucket, *shared_memory_name; /* NULL: from the URL, or LMCache's default */
		uint64_t timeout_ns, lease_wait_ns, lease_ttl_ns; /* lease_wait 0: from the others */
		uint64_t max_lease_bytes;                         /* 0: none */
		uint64_t put_stream_chunk_bytes;
		uint32_t max_concurrent_requests, max_connections, max_connections_per_host;
		bool use_https;
	} hyperpod; /* sagemaker-hyperpod only */
	struct {
		const char *library, *instance_id, *ns, *log_dir, *flag_file; /* NULL: not given */
		uint32_t trans_type, log_level;
	} eic; /* eic only */

	/* The variable that held the password; only for messages. */
	const char *password_env;
};

enum kvr_config_fallback { KVR_CONFIG_RECOMPUTE, KVR_CONFIG_LOCAL_CPU };

/* LMCache's histograms of remote stores: their names, and their units in microseconds. */
#define KVR_HISTOGRAM_TABLE(X)                                                                     \
	X(GET, "remote_time_to_get", 1000)                                                         \
	X(PUT, "remote_time_to_put", 1000)                                                         \
	X(GET_SYNC, "remote_time_to_get_sync", 1000)                                               \
	X(GET_BATCH, "remote_backend_batched_get_blocking_time", 1000000)                          \
	X(GET_AT_STORES, "instrumented_connector_batched_get_time", 1000000)                       \
	X(LOOKUP, "time_to_lookup", 1000000)
enum kvr_histogram_id {
#define X(name, text, unit) KVR_HISTOGRAM_##name,
	KVR_HISTOGRAM_TABLE(X)
#undef X
	KVR_HISTOGRAMS
};
struct kvr_histogram {
	const char *name;
	uint32_t unit_us;
};
extern const struct kvr_histogram kvr_histograms[KVR_HISTOGRAMS];

struct kvr_config_bounds {
	uint32_t n, us[KVR_CONFIG_BUCKETS_MAX]; /* ascending; n 0: LMCache's default */
};

/* LMCache's own settings, which apply only if `flat` is set. */
struct kvr_config_lmcache {
	bool save_unfull_chunk;
	bool mla_worker_id_as0; /* default: engine.use_mla */
	uint64_t ping_timeout_ns, ping_interval_ns;
	uint32_t get_blocking_failed_threshold;
	uint64_t waiting_time_for_recovery_ns;
	uint32_t fallback; /* enum kvr_config_fallback; for the engine, reported by kvr_health */
	struct kvr_config_bounds histogram[KVR_HISTOGRAMS];
};

struct kvr_config {
	struct kvr_config_engine engine;
	struct kvr_config_memory memory;
	struct kvr_config_timeouts timeouts;
	struct {
		uint32_t ops, keys;
		uint64_t put_bytes; /* 0: no limit */
	} limits;
	struct {
		uint32_t threads;
	} serde;
	struct {
		const char *listen; /* "host:port" or "unix:/path"; NULL: off */
		uint64_t canary_ns; /* period; 0: off */
		const char *buckets; /* as written; NULL: the default bounds of histograms */
		uint32_t n_buckets, bucket_us[KVR_CONFIG_BUCKETS_MAX]; /* parsed from it, ascending */
	} metrics;
	struct {
		const char *dir; /* absolute; NULL: the per-user folder in shared memory */
		uint64_t size_bytes;
		bool keys;     /* record key texts too */
		uint32_t keep; /* files */
	} trace;
	struct {
		uint32_t level; /* enum kvr_config_log */
	} log;
	uint32_t on_panic; /* enum kvr_config_panic */
	bool rehearse;     /* tiers may fail on purpose */
	uint32_t keys;     /* enum kvr_config_keys */
	bool flat;         /* LMCache's flat form: one tier, gated by LMCache's health check */

	struct kvr_config_lmcache lmcache;
	uint32_t n_tiers;
	struct kvr_config_tier tier[KVR_TIERS_MAX];

	struct kvr_config_own *own; /* memory and origins; of this layer only */
};

/* bounds.c. The bounds of kvrelay's own histograms, and of one of LMCache's. */
const uint32_t *kvr_config_own_bounds(const struct kvr_config *, uint32_t *ret_n);
const uint32_t *kvr_config_lmcache_bounds(
    const struct kvr_config *, enum kvr_histogram_id, uint32_t *ret_n);
/*
 * All bounds, ascending, without duplicates. For a configuration that was loaded all of them fit.
 */
uint32_t kvr_config_bounds(const struct kvr_config *, uint32_t ret_us[KVR_BOUNDS_MAX]);

/* One error or warning. Texts live for the call; secrets are masked. */
struct kvr_config_note {
	bool warning;
	const char *source;    /* file name, "--url", "--set", "text" */
	uint32_t line, column; /* from 1, in bytes; line 0: no position */
	const char *what;
	const char *context; /* the line of the source; NULL: none */
	size_t context_len;
};
typedef void kvr_config_note_fn(void *arg, const struct kvr_config_note *);

/*
 * "file:line:column: what" in one line; with `lines` also the source line and a caret below it.
 * Returns the bytes it needs without the NUL, as snprintf does.
 */
size_t kvr_config_note_print(
    const struct kvr_config_note *, bool lines, char *ret_text, size_t cap);

/* All members may be zero. */
struct kvr_config_opts {
	const char *const *schemes; /* NULL-terminated; NULL: the schemes known to this layer */
	const char *const *set;     /* n_set times "tiers.remote.timeout=500ms"; overrides the file */
	uint32_t n_set;
	/*
	 * What messages call an override and the URL. NULL: by the command's options. They must
	 * outlive the configuration.
	 */
	const char *set_name, *url_name;
	/*
	 * LMCACHE_* variables override LMCache's keys in the file, as with "lmcache_env": true in
	 * the file. No effect on the tier form.
	 */
	bool lmcache_env;
	const char *(*env)(void *arg, const char *name); /* NULL: getenv */
	void *env_arg;
	/*
	 * Checks the script of a tier's faults. False: what is wrong, at which line and column;
	 * line 0: the file itself. NULL: scripts are not checked.
	 */
	bool (*faults)(
	    const char *path, uint32_t *ret_line, uint32_t *ret_column, char *ret_what, size_t cap);
	/* Called for every error and warning; NULL: only the first error is reported, in why. */
	kvr_config_note_fn *note;
	void *note_arg;
};

/*
 * KVR_OK, KVR_E_CONFIG (why: the first error in one line) or KVR_E_NOMEM. Relative paths in a file
 * are relative to the file's directory, those in a text or URL to the current one.
 */
KVR_MUST_USE enum kvr_err kvr_config_load(const char *path, const struct kvr_config_opts *,
    struct kvr_config **ret, char *why, size_t why_cap);
KVR_MUST_USE enum kvr_err kvr_config_parse(const char *text, size_t len,
    const struct kvr_config_opts *, struct kvr_config **ret, char *why, size_t why_cap);
/* For YAML. A file is YAML if its name ends in .yaml or .yml. */
KVR_MUST_USE enum kvr_err kvr_config_parse_yaml(const char *text, size_t len,
    const struct kvr_config_opts *, struct kvr_config **ret, char *why, size_t why_cap);
/* One tier named "remote", in LMCache's format if the store supports it. */
KVR_MUST_USE enum kvr_err kvr_config_from_url(const char *url, const struct kvr_config_opts *,
    struct kvr_config **ret, char *why, size_t why_cap);
void kvr_config_free(struct kvr_config *take); /* wipes secrets; NULL is fine */

/*
 * n times "path=value". They are checked together, so their order does not matter; on failure
 * nothing has changed.
 */
KVR_MUST_USE enum kvr_err kvr_config_set(
    struct kvr_config *, const char *const *set, uint32_t n, char *why, size_t why_cap);

/* What the embedder says about itself. NULL, 0, false, or a worker_id of -1: not given. */
struct kvr_config_identity {
	const char *model, *fingerprint;
	uint32_t world_size;
	int32_t worker_id;
	bool use_mla;
};
/* Fills in what the configuration left open. A contradiction is an error that names both places. */
KVR_MUST_USE enum kvr_err kvr_config_identify(
    struct kvr_config *, const struct kvr_config_identity *, char *why, size_t why_cap);

/*
 * Rewrites a file of LMCache's keys in the tier form, as JSON. Notes name each key that is left
 * out, and why. ${NAME} and passwords stay as they are: the text is for a file, not for a log. Wipe
 * *ret_text before you free() it.
 */
KVR_MUST_USE enum kvr_err kvr_config_import(const char *path, const struct kvr_config_opts *,
    char **ret_text, char *why, size_t why_cap);

/*
 * All of these write text, truncated at cap and always NUL-terminated (cap 0: nothing is written),
 * and return the bytes that the full text needs without the NUL.
 */
/* Every value and where it came from, secrets masked. */
size_t kvr_config_show(const struct kvr_config *, char *ret_text, size_t cap);
/* Where one value came from: "default", "deploy.json:7:14", "env RANK", "--set", "--url", "api". */
size_t kvr_config_origin(const struct kvr_config *, const char *path, char *ret_text, size_t cap);
/* One entry per option: name, unit, default, range, sentence. */
size_t kvr_config_help(char *ret_text, size_t cap);
/* The JSON Schema of both forms; config/kvrelay.schema.json is this text. */
size_t kvr_config_schema(char *ret_text, size_t cap);
/* A URL without its password. */
size_t kvr_config_redact(const char *url, char *ret_text, size_t cap);

/* What one operation, key, ... costs; computed with sizeof by the owners of the tables. */
struct kvr_config_costs {
	uint64_t op_bytes, key_bytes, row_bytes, tier_bytes, lane_bytes, fixed_bytes;
	uint64_t stack_bytes;   /* of one thread of ours, as reserved */
	uint32_t fixed_threads; /* scheduler, notifier, copier */
	uint32_t queue_threads; /* threads of the queue library */
};
/* Memory and threads per process, and for a node of `ranks` processes, one line per term. */
size_t kvr_config_sum(const struct kvr_config *, const struct kvr_config_costs *, uint32_t ranks,
    char *ret_text, size_t cap);

/* For checks and messages of the layers above. */
const char *kvr_config_format_name(uint32_t format);
const char *kvr_config_serde_name(uint32_t serde);
/*
 * Whether it changes payloads: the tier then needs the sealed format, and the process serde
 * threads.
 */
bool kvr_config_serde_encodes(uint32_t serde);
/* 0 if no tier's serde encodes, because the threads would have nothing to do. */
uint32_t kvr_config_serde_threads(const struct kvr_config *);
/* The versions of the libraries at run time; for YAML it may be "left out". */
const char *kvr_json_library(void);
const char *kvr_yaml_library(void);

#endif
