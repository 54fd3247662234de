/* SPDX-License-Identifier: Apache-2.0 */
/* An instance begins: configuration, identity, tables and threads, in this order. */
#include "kvrelay.h"

#include "kvr_call.h"
#include "kvr_canary.h"
#include "kvr_change.h"
#include "kvr_end.h"
#include "kvr_endpoint.h"
#include "kvr_entry.h"
#include "kvr_fingerprint.h"
#include "kvr_instance.h"
#include "kvr_instance_device.h"
#include "kvr_open.h"
#include "kvr_layout.h"
#include "kvr_ledger.h"
#include "kvr_map.h"
#include "kvr_notify.h"
#include "kvr_pool.h"
#include "kvr_puts.h"
#include "kvr_range.h"
#include "kvr_system.h"
#include "kvr_thread.h"
#include "kvr_user_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_TEXT = 65536 };
#define OPEN_NS KVR_SEC(10)

static enum kvr_err
why(char *ret, size_t cap, enum kvr_err err, const char *text)
{
	if (ret != NULL && cap > 0)
		snprintf(ret, cap, "%s", text);
	return err;
}

/* ---- configuration ---- */

/* Nobody runs `config check` for an embedder, so its log must contain the warnings. */
static void
pass_warning(void *arg, const struct kvr_config_note *note)
{
	char text[512];

	if (!note->warning)
		return;
	kvr_config_note_print(note, false, text, sizeof(text));
	kvr_say(arg, KVR_LOG_WARN, "%s", text);
}

static enum kvr_err
load(struct kvr *k, const struct kvr_options *o, char *ret_why, size_t cap)
{
	/* By the names of kvr_options: an engine has no options of a command. */
	const struct kvr_config_opts opts = { .set = o->set,
		.n_set = o->n_set,
		.set_name = "set",
		.url_name = "url",
		.note = pass_warning,
		.note_arg = k };
	int n = (o->config_file != NULL) + (o->config_text != NULL) + (o->url != NULL);

	if (n != 1)
		return why(ret_why, cap, KVR_E_INVALID,
		    "kvr_open: give exactly one of config_file, config_text and url");
	if (!kvr_sets_given(o->set, o->n_set))
		return why(ret_why, cap, KVR_E_INVALID,
		    "kvr_open: n_set without set, or a NULL among its texts");
	if (o->config_file != NULL)
		return kvr_config_load(o->config_file, &opts, &k->config, ret_why, cap);
	if (o->config_text != NULL)
		return kvr_config_parse(
		    o->config_text, strlen(o->config_text), &opts, &k->config, ret_why, cap);
	return kvr_config_from_url(o->url, &opts, &k->config, ret_why, cap);
}

static enum kvr_err
identify(struct kvr *k, const struct kvr_identity *who, char *ret_why, size_t cap)
{
	const struct kvr_config_identity id = { .model = who->model,
		.fingerprint = who->revision,
		.world_size = who->world_size,
		.use_mla = who->use_mla != 0,
		.worker_id = who->world_size == 0 ? -1 : (int32_t)who->worker_id };

	if (who->role > KVR_SCHEDULER || who->keys > KVR_KEYS_LMCACHE ||
	    (who->world_size != 0 && who->worker_id >= who->world_size) ||
	    who->worker_id > INT32_MAX)
		return why(ret_why, cap, KVR_E_INVALID,
		    "kvr_open: identity has an unknown role or kind of keys, or worker_id is not "
		    "below world_size");
	return kvr_config_identify(k->config, &id, ret_why, cap);
}

/* Only one rank writes what all share, as in LMCache; LMCache's flat form has a switch for that. */
static void
set_mla(struct kvr *k, uint32_t keys)
{
	const struct kvr_config *c = k->config;
	bool other = c->engine.use_mla && c->engine.world_size > 1 && c->engine.worker_id > 0;

	k->parse_keys = keys == KVR_KEYS_LMCACHE || c->keys == KVR_CONFIG_KEYS_LMCACHE;
	k->rewrite = k->parse_keys && other && (!c->flat || c->lmcache.mla_worker_id_as0);
	k->skip_puts = k->rewrite;
}

static enum kvr_err
set_layout(struct kvr *k, const struct kvr_layout *given, char *ret_why, size_t cap)
{
	const struct kvr_meta *said = &k->config->engine.layout;
	struct kvr_meta meta;
	uint64_t bytes;

	if (kvr_layout_read(given, &meta, &bytes) != KVR_OK)
		return why(
		    ret_why, cap, KVR_E_INVALID, "kvr_open: the layout is none: see kvr_layout");
	if (given != NULL && said->n_groups > 0 && !kvr_meta_same(&meta, said))
		return why(ret_why, cap, KVR_E_CONFIG,
		    "kvr_open: the layout given is not the one of engine.kv_shape in the "
		    "configuration");
	if (given == NULL && said->n_groups > 0) {
		meta = *said;
		if (kvr_meta_bytes(&meta, &bytes) != KVR_OK)
			return why(
			    ret_why, cap, KVR_E_CONFIG, "kvr_open: engine.kv_shape is no shape");
	}
	if (meta.n_groups > 0) {
		k->layout = meta;
		k->layout_bytes = bytes;
		atomic_store(&k->has_layout, true);
	}
	k->header_groups = meta.n_groups > 0 ? meta.n_groups : 1;
	return KVR_OK;
}

/* ---- tables ---- */

static enum kvr_err
make_tables(struct kvr *k, const struct kvr_options *o, uint32_t role)
{
	const struct kvr_pool_memory memory = {
		.get = o->mem_get, .put = o->mem_put, .arg = o->mem_arg
	};

	k->ledger = kvr_ledger_new(k->config->memory.staging_bytes);
	k->sides = kvr_map(KVR_KEYS_MAX * sizeof(k->sides[0]));
	k->chain = kvr_map(KVR_PUT_CHAINS * sizeof(k->chain[0]));
	if (k->ledger == NULL || k->sides == NULL || k->chain == NULL ||
	    !kvr_range_init(&k->keys, KVR_KEYS_MAX, KVR_KEYS_MAX) ||
	    !kvr_range_init(&k->texts, KVR_TEXT_UNITS, KVR_TEXT_UNITS) ||
	    !kvr_range_init(&k->runs, KVR_RUN_UNITS, KVR_RUN_UNITS))
		return KVR_E_NOMEM;
	kvr_range_give(&k->keys, 0, KVR_KEYS_MAX);
	kvr_range_give(&k->texts, 0, KVR_TEXT_UNITS);
	kvr_range_give(&k->runs, 0, KVR_RUN_UNITS);
	for (uint32_t i = KVR_OPS_MAX; i-- > 0;) {
		k->call[i].slot = i;
		k->call[i].next_free = k->free_op;
		k->free_op = i + 1;
		atomic_init(&k->call[i].word, 1U << KVR_WORD_GEN);
	}
	k->ops_limit = KVR_MIN(k->config->limits.ops, (uint32_t)KVR_OPS_MAX);
	k->keys_limit = KVR_MIN(k->config->limits.keys, (uint32_t)KVR_KEYS_MAX);
	if (role == KVR_SCHEDULER || k->config->memory.objects_bytes == 0)
		return KVR_OK;
	k->pool = kvr_pool_new(k, k->config->memory.objects_bytes, &memory);
	if (k->pool == NULL)
		return KVR_E_NOMEM;
	uint64_t slot = k->config->memory.slot_bytes;

	kvr_pool_set_slot(k->pool, slot != 0 ? slot : k->layout_bytes);
	return KVR_OK;
}

/* ---- threads ---- */

static const char *kind = "kvr";

void
kvr_open_as(const char *name)
{
	kind = name;
}

static enum kvr_err
start(struct kvr *k, const struct kvr_identity *who, char *ret_why, size_t cap)
{
	char name[32], build[32];
	char *text = malloc(CONFIG_TEXT);
	struct kvr_system_options o = { .config = k->config,
		.ledger = k->ledger,
		.log = &k->log,
		.outside = kvr_outside,
		.arg = k,
		.instance = name,
		.config_text = text,
		.build = build,
		.fingerprint = kvr_fingerprint(k->config, who->engine, who->salt),
		.slot_bytes = k->layout_bytes != 0 ? k->layout_bytes : k->config->memory.slot_bytes,
		.canary = !k->skip_puts,
		.n_groups = k->header_groups,
		.device = kvr_device_memory(k),
		.device_number = k->device_number };
	sigset_t before;
	enum kvr_err err = text == NULL ? KVR_E_NOMEM : KVR_OK;

	if (err == KVR_OK) {
		snprintf(name, sizeof(name), "%s%u", kind, k->number);
		snprintf(build, sizeof(build), "kvrelay %u.%u.%u", KVR_VERSION_MAJOR,
		    KVR_VERSION_MINOR, KVR_VERSION_PATCH);
		kvr_config_show(k->config, text, CONFIG_TEXT);
		/* The queue library starts its threads at its first call; they inherit this mask. */
		kvr_signals_block(&before);
		err = kvr_notifier_open(k);
		if (err == KVR_OK)
			err = kvr_system_open(&o, &k->system, ret_why, cap);
		if (err == KVR_OK)
			err = kvr_notifier_start(k);
		if (err == KVR_OK)
			err = kvr_canary_open(k);
		if (err == KVR_OK)
			err = kvr_endpoint_open(k, ret_why, cap);
		kvr_signals_restore(&before);
	}
	free(text);
	return err;
}

/* Undoes everything so far, threads included. */
static void
give_up(struct kvr *k)
{
	atomic_store(&k->life, KVR_LIFE_CLOSING);
	uint64_t until_ns = kvr_now_ns() + KVR_SEC(2);
	bool ended = kvr_endpoint_close(k, until_ns);

	ended = kvr_canary_end(k, until_ns) && ended;
	if ((k->system != NULL && kvr_join_system(k, until_ns) > 0) || !ended) {
		if (k->system != NULL)
			kvr_system_leave(k->system);
		kvr_log_leave_user(k);
		return; /* stays in memory, because one of its threads hangs */
	}
	KVR_CHECK(kvr_notifier_stop(k, UINT64_MAX));
	kvr_instance_free(k);
}

static enum kvr_err
open_all(struct kvr *k, const struct kvr_options *o, uint64_t until_ns, char *ret_why, size_t cap)
{
	struct kvr_identity who = { .size = sizeof(who) };
	enum kvr_err err;

	if (o->identity != NULL && !kvr_read_struct(&who, sizeof(who), sizeof(who), o->identity))
		return why(
		    ret_why, cap, KVR_E_INVALID, "kvr_open: size of kvr_identity is not set");
	err = load(k, o, ret_why, cap);
	if (err == KVR_OK)
		err = identify(k, &who, ret_why, cap);
	if (err == KVR_OK)
		err = set_layout(k, o->layout, ret_why, cap);
	if (err != KVR_OK)
		return err;
	k->log.level = (enum kvr_log_level)k->config->log.level;
	k->now = *k->config;
	kvr_limits_set(k, k->config);
	k->role = who.role;
	set_mla(k, who.keys);
	err = make_tables(k, o, who.role);
	if (err == KVR_OK) {
		err = kvr_device_take(k, until_ns, ret_why, cap);
		if (err != KVR_OK)
			return err;
	}
	if (err == KVR_OK && kvr_now_ns() < until_ns)
		err = start(k, &who, ret_why, cap);
	if (err == KVR_OK && kvr_now_ns() >= until_ns)
		return why(ret_why, cap, KVR_E_TIMEOUT, "kvr_open: the deadline passed");
	if (err == KVR_E_NOMEM)
		return why(ret_why, cap, err,
		    "kvr_open: the system has no memory, thread or file descriptor left for it: "
		    "see ulimit -v, -u and -n");
	return err;
}

static struct kvr *
make(const struct kvr_options *o)
{
	static _Atomic uint32_t number;
	struct kvr *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	k->magic = KVR_INSTANCE_MAGIC;
	k->number = atomic_fetch_add(&number, 1) + 1;
	k->opened_ns = kvr_now_ns();
	k->user_log = o->log;
	k->user_log_arg = o->log_arg;
	k->log = (struct kvr_log){ .level = KVR_LOG_WARN,
		.fn = o->log == NULL ? kvr_log_default() : kvr_log_to_user,
		.arg = k };
	KVR_CHECK(pthread_mutex_init(&k->put_off.lock, NULL) == 0);
	KVR_CHECK(pthread_mutex_init(&k->lock, NULL) == 0);
	KVR_CHECK(pthread_mutex_init(&k->change_lock, NULL) == 0);
	KVR_CHECK(pthread_mutex_init(&k->put_lock, NULL) == 0);
	KVR_CHECK(pthread_mutex_init(&k->region_lock, NULL) == 0);
	KVR_CHECK(pthread_mutex_init(&k->end_lock, NULL) == 0);
	kvr_cond_init(&k->end_bell);
	return k;
}

/* Memory for the page by which a child is told, before the first thread is started. */
static enum kvr_err
watch_forks(char *ret_why, size_t cap)
{
	enum kvr_err err = kvr_fork_watch();

	if (err == KVR_E_UNSUPPORTED)
		return why(ret_why, cap, err,
		    "kvr_open: this kernel has no MADV_WIPEONFORK, by which a forked child is told: "
		    "Linux 4.14 has it");
	return err == KVR_OK ? err : why(ret_why, cap, err, "kvr_open: no memory");
}

/* What is wrong before anything is made; *ret_o is the caller's struct, read. */
static enum kvr_err
check_call(const struct kvr_options *from, uint64_t until_ns, struct kvr_options *ret_o,
    char *ret_why, size_t cap)
{
	const char *wrong = NULL;

	if (kvr_forked())
		return why(ret_why, cap, KVR_E_FORKED,
		    "kvr_open: the parent of this process has opened an instance: open before "
		    "fork, or exec");
	if (kvr_in_callback())
		wrong = "kvr_open: not from a callback";
	else if (from == NULL || !kvr_read_struct(ret_o, sizeof(*ret_o), sizeof(*ret_o), from))
		wrong = "kvr_open: size of kvr_options is not set";
	else if ((ret_o->mem_get == NULL) != (ret_o->mem_put == NULL))
		wrong = "kvr_open: mem_get and mem_put come together";
	else if (until_ns != 0 && until_ns < kvr_now_ns())
		wrong = "kvr_open: until_ns has passed: pass an instant of CLOCK_MONOTONIC, not a "
		        "duration";
	else if (until_ns == KVR_NEVER)
		wrong = "kvr_open: KVR_NEVER is for waits only: pass an instant, or 0 for 10 s";
	return wrong == NULL ? KVR_OK : why(ret_why, cap, KVR_E_INVALID, wrong);
}

enum kvr_err
kvr_open(const struct kvr_options *options, uint64_t until_ns, struct kvr **ret, char *ret_why,
    size_t why_cap)
{
	KVR_UNCANCELLED;
	struct kvr_options o;
	uint64_t end_ns = until_ns == 0 ? kvr_now_ns() + OPEN_NS : until_ns;
	char spare[KVR_WHY_MAX]; /* the layers below always get room for their sentence */

	if (ret_why == NULL || why_cap == 0) {
		ret_why = spare;
		why_cap = sizeof(spare);
	}
	ret_why[0] = '\0';
	enum kvr_err err = check_call(options, until_ns, &o, ret_why, why_cap);

	if (err == KVR_OK && ret == NULL)
		err = why(ret_why, why_cap, KVR_E_INVALID, "kvr_open: no place for the instance");
	if (err == KVR_OK)
		err = watch_forks(ret_why, why_cap);
	if (err != KVR_OK)
		return err;
	struct kvr *k = make(&o);

	if (k == NULL)
		return why(ret_why, why_cap, KVR_E_NOMEM, "kvr_open: no memory");
	err = open_all(k, &o, end_ns, ret_why, why_cap);
	if (err == KVR_OK)
		*ret = k;
	else
		give_up(k);
	return err;
}
