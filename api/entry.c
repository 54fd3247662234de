/* SPDX-License-Identifier: Apache-2.0 */
/* What every call begins with: the right process, an open instance, valid arguments. */
#include "kvr_entry.h"

#include "kvr_instance.h"
#include "kvr_thread.h"
#include "kvr_user_log.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- fork ---- */

/*
 * A page that the kernel clears in a child. It must be checked before anything else: in a child,
 * the queue library aborts the process at the first call, and locks may be held by threads that do
 * not exist there. Comparing process ids instead would cost a system call per entry.
 */
static _Atomic(const volatile uint32_t *) fork_page;
static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER;
static const uint32_t fork_mark = KVR_MAGIC('H', 'E', 'R', 'E');

bool
kvr_forked(void)
{
	const volatile uint32_t *page = atomic_load_explicit(&fork_page, memory_order_acquire);

	return page != NULL && *page != fork_mark;
}

enum kvr_err
kvr_fork_watch(void)
{
	enum kvr_err err = KVR_OK;
	size_t size = (size_t)sysconf(_SC_PAGESIZE);

	pthread_mutex_lock(&fork_lock);
	if (atomic_load_explicit(&fork_page, memory_order_acquire) == NULL) {
		uint32_t *page =
		    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED) {
			err = KVR_E_NOMEM;
		} else if (madvise(page, size, MADV_WIPEONFORK) != 0) {
			munmap(page, size);
			err = KVR_E_UNSUPPORTED;
		} else {
			*page = fork_mark;
			atomic_store_explicit(&fork_page, page, memory_order_release);
		}
	}
	pthread_mutex_unlock(&fork_lock);
	return err;
}

static _Thread_local bool in_callback;

bool
kvr_in_callback(void)
{
	return in_callback;
}

void
kvr_set_in_callback(bool is)
{
	in_callback = is;
}

/* ---- the gate ---- */

enum kvr_err
kvr_check_instance(const struct kvr *k)
{
	if (kvr_forked())
		return KVR_E_FORKED;
	return k == NULL || k->magic != KVR_INSTANCE_MAGIC ? KVR_E_INVALID : KVR_OK;
}

int
kvr_cancel_off(void)
{
	int before;

	KVR_CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
	return before;
}

void
kvr_cancel_back(const int *before)
{
	KVR_CHECK(pthread_setcancelstate(*before, NULL) == 0);
}

/* Of the thread that is inside: how deep, and what it was before. */
static _Thread_local struct {
	uint32_t depth;
	int before;
} gate;

static enum kvr_err
enter(struct kvr *k, uint32_t last)
{
	enum kvr_err err = kvr_check_instance(k);

	if (err != KVR_OK)
		return err;
	if (gate.depth++ == 0)
		gate.before = kvr_cancel_off();
	/* There is one total order: either the closer sees us inside, or we see that it is closing. */
	atomic_fetch_add(&k->inside, 1);
	if (atomic_load(&k->life) > last)
		err = KVR_E_SHUTDOWN;
	else if (atomic_load(&k->dead) != 0)
		err = KVR_E_DEAD;
	if (err != KVR_OK)
		kvr_leave(k);
	return err;
}

enum kvr_err
kvr_enter(struct kvr *k)
{
	return enter(k, KVR_LIFE_OPEN);
}

enum kvr_err
kvr_enter_canary(struct kvr *k)
{
	return enter(k, KVR_LIFE_ENDING);
}

void
kvr_leave(struct kvr *k)
{
	if (atomic_fetch_sub(&k->inside, 1) == 1 &&
	    (atomic_load(&k->life) != KVR_LIFE_OPEN || atomic_load(&k->dead) != 0))
		kvr_wake_all(&k->inside);
	if (--gate.depth == 0)
		kvr_cancel_back(&gate.before);
}

/*
 * Decades after every instant of CLOCK_MONOTONIC, and within a day of the date: a call with it has
 * no deadline at all, and nobody notices until a store hangs.
 */
static bool
is_date(uint64_t until_ns)
{
	struct timespec t;
	const uint64_t year_2001_ns = KVR_SEC(UINT64_C(1000000000)), day_ns = KVR_SEC(86400);

	if (until_ns < year_2001_ns || clock_gettime(CLOCK_REALTIME, &t) != 0)
		return false;
	uint64_t date_ns = KVR_SEC((uint64_t)t.tv_sec);

	return until_ns + day_ns > date_ns && until_ns < date_ns + day_ns;
}

enum kvr_err
kvr_until(struct kvr *k, const char *call, uint64_t until_ns, uint64_t limit_ns, bool never,
    uint64_t *ret_ns)
{
	uint64_t now_ns = kvr_now_ns();

	if (until_ns == 0)
		*ret_ns = limit_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + limit_ns;
	else if (until_ns == KVR_NOW)
		*ret_ns = now_ns;
	else if (until_ns == KVR_NEVER && !never)
		return kvr_bad(
		    k, KVR_E_INVALID,
		    "%s: KVR_NEVER is for kvr_wait, kvr_layer_wait and kvr_quiet only", call);
	else if (until_ns < k->opened_ns)
		return kvr_bad(k, KVR_E_INVALID,
		    "%s: until_ns %llu lies before kvr_open: pass an instant of CLOCK_MONOTONIC, "
		    "not a duration",
		    call, (unsigned long long)until_ns);
	else if (is_date(until_ns))
		return kvr_bad(k, KVR_E_INVALID,
		    "%s: until_ns %llu is a date: pass an instant of CLOCK_MONOTONIC, not of "
		    "CLOCK_REALTIME",
		    call, (unsigned long long)until_ns);
	else
		*ret_ns = until_ns;
	return KVR_OK;
}

bool
kvr_read_struct(void *to, size_t to_size, size_t least, const void *from)
{
	uint32_t size;
	const char *at = from;

	memcpy(&size, from, sizeof(size));
	if (size < least || size > 65536)
		return false;
	for (size_t i = to_size; i < size; i++) {
		if (at[i] != 0)
			return false; /* uses something that only a newer library knows */
	}
	memset(to, 0, to_size);
	memcpy(to, from, KVR_MIN(to_size, (size_t)size));
	return true;
}

/* ---- sleeping on a word ---- */

void
kvr_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
	struct timespec at = { .tv_sec = (time_t)(until_ns / UINT64_C(1000000000)),
		.tv_nsec = (long)(until_ns % UINT64_C(1000000000)) };

	/* WAIT_BITSET takes an instant of CLOCK_MONOTONIC; plain WAIT takes a duration. */
	syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
	    until_ns == UINT64_MAX ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
}
