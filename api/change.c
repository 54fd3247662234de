/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options that are read at every use, changed while an instance runs. The configuration with which
 * it was opened stays unchanged, because many threads read it. Changes are made in a copy; this
 * layer reads what it needs from atomics that are set from the copy, and deciders get the rest as
 * events.
 */
#include "kvr_change.h"

#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_system.h"
#include "kvr_user_log.h"

#include <stdio.h>
#include <string.h>

void
kvr_limits_set(struct kvr *k, const struct kvr_config *c)
{
	atomic_store(&k->limit.blocking_ns, c->timeouts.blocking_ns);
	atomic_store(&k->limit.lookup_ns, c->timeouts.lookup_ns);
	atomic_store(&k->limit.put_ns, c->timeouts.put_ns);
	atomic_store(&k->limit.put_bytes, c->limits.put_bytes);
}

/* "tiers.NAME.timeout", or "tiers.NAME.breaker." followed by more. */
static bool
of_tier(const char *path, size_t len)
{
	const char *name = path + strlen("tiers.");
	const char *dot =
	    len <= strlen("tiers.") ? NULL : memchr(name, '.', len - strlen("tiers."));

	if (dot == NULL || strncmp(path, "tiers.", strlen("tiers.")) != 0)
		return false;
	size_t rest = len - (size_t)(dot + 1 - path);

	return (rest == strlen("timeout") && memcmp(dot + 1, "timeout", rest) == 0) ||
	       (rest > strlen("breaker.") && memcmp(dot + 1, "breaker.", strlen("breaker.")) == 0);
}

/* The options that are read at every use. All others are read only once. */
static bool
may_change(const char *set)
{
	static const char *const paths[] = { "timeouts.blocking", "timeouts.lookup", "timeouts.put",
		"limits.put_bytes", "blocking_timeout_secs", "lookup_timeout_ms", "ping_timeout",
		"ping_interval", "get_blocking_failed_threshold", "waiting_time_for_recovery" };
	size_t len = strcspn(set, "=");

	for (size_t i = 0; i < KVR_LEN(paths); i++) {
		if (strlen(paths[i]) == len && memcmp(set, paths[i], len) == 0)
			return true;
	}
	return of_tier(set, len);
}

static void
tell(struct kvr *k, uint16_t to, enum kvr_setting what, uint32_t tier, uint64_t value)
{
	struct kvr_msg m = { .type = KVR_MSG_CONFIG, .from = KVR_ID_API, .to = to };

	m.CONFIG.what = what;
	m.CONFIG.tier = tier;
	m.CONFIG.value = value;
	enum kvr_err err = kvr_system_post(k->system, &m);
	(void)err; /* it is ending, and nobody needs it any more */
}

static void
tell_all(struct kvr *k, const struct kvr_config *c)
{
	for (uint32_t t = 0; t < c->n_tiers; t++) {
		const struct kvr_config_tier *tier = &c->tier[t];
		uint16_t to = KVR_ID_TIER_OF(t);

		tell(k, KVR_ID_ROUTER, KVR_SET_TIMEOUT, t, tier->timeout_ns);
		tell(k, to, KVR_SET_FAULTS, t, tier->breaker.faults);
		tell(k, to, KVR_SET_BACKOFF_MIN, t, tier->breaker.backoff_min_ns);
		tell(k, to, KVR_SET_BACKOFF_MAX, t, tier->breaker.backoff_max_ns);
		if (!c->flat)
			continue;
		tell(k, to, KVR_SET_PING_TIMEOUT, t, c->lmcache.ping_timeout_ns);
		tell(k, to, KVR_SET_PING_INTERVAL, t, c->lmcache.ping_interval_ns);
		tell(k, to, KVR_SET_FAILED, t,
		    KVR_MAX(c->lmcache.get_blocking_failed_threshold, 1U));
		tell(k, to, KVR_SET_RECOVERY, t, c->lmcache.waiting_time_for_recovery_ns);
	}
}

/* The lock must be held. */
static enum kvr_err
change(struct kvr *k, const char *const *set, uint32_t n, char *ret_why, size_t why_cap)
{
	struct kvr_config next = k->now;
	enum kvr_err err = KVR_OK;

	for (uint32_t i = 0; i < n && err == KVR_OK; i++) {
		if (!may_change(set[i])) {
			snprintf(ret_why, why_cap,
			    "%.100s: no option that a running instance can change; kvrelay.h lists "
			    "them",
			    set[i]);
			err = KVR_E_CONFIG;
		}
	}
	if (err == KVR_OK)
		err = kvr_config_set(&next, set, n, ret_why, why_cap);
	if (err != KVR_OK)
		return err;
	k->now = next;
	kvr_limits_set(k, &next);
	tell_all(k, &next);
	return KVR_OK;
}

bool
kvr_sets_given(const char *const *set, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (set == NULL || set[i] == NULL)
			return false;
	}
	return true;
}

enum kvr_err
kvr_change(struct kvr *k, const char *const *set, uint32_t n, char *ret_why, size_t why_cap)
{
	char spare[KVR_WHY_MAX];
	enum kvr_err err = kvr_enter(k);

	if (err != KVR_OK)
		return err;
	if (ret_why == NULL || why_cap == 0) {
		ret_why = spare;
		why_cap = sizeof(spare);
	}
	ret_why[0] = '\0';
	if (!kvr_sets_given(set, n)) {
		err = kvr_bad(
		    k, KVR_E_INVALID, "kvr_change: n without set, or a NULL among its texts");
	} else {
		pthread_mutex_lock(&k->change_lock);
		err = change(k, set, n, ret_why, why_cap);
		pthread_mutex_unlock(&k->change_lock);
	}
	kvr_leave(k);
	return err;
}
