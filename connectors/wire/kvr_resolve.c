/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_resolve.h"
#include "kvr_lock.h"
#include "kvr_spawn.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Held by the caller and by the thread; whoever drops it last frees it. */
struct job {
	_Atomic uint32_t holders;
	_Atomic bool     done;    /* publishes rc and addrs to the caller */
	int              done_fd; /* wakes the caller */
	int              rc;      /* of getaddrinfo */
	int              sys_errno;
	struct kvr_addrs addrs;
	char             host[256];
	char             port[8];
};

/* The C library's timeout for a name server: if no look-up began or ended for so long, all hang. */
#define HANG_NS KVR_SEC(5)
/* How late a kick may be noticed while waiting for a thread. */
#define LOOK_NS KVR_MS(5)

static _Atomic uint32_t n_threads;
static _Atomic uint32_t n_ended;  /* also wakes those who wait for a thread */
static _Atomic uint64_t moved_ns; /* when the last look-up began or ended */

static int
look_up(const char *host, const char *port, int flags, struct kvr_addrs *addrs)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags };
	struct addrinfo *list = NULL;
	int rc = getaddrinfo(host, port, &hints, &list);
	if (rc != 0)
		return rc;
	addrs->n = 0;
	for (struct addrinfo *a = list; a != NULL && addrs->n < KVR_RESOLVE_MAX; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(addrs->addr[0].at))
			continue;
		struct kvr_addr *to = &addrs->addr[addrs->n++];
		memcpy(&to->at, a->ai_addr, a->ai_addrlen);
		to->len = a->ai_addrlen;
	}
	freeaddrinfo(list);
	return addrs->n > 0 ? 0 : EAI_NONAME;
}

static void
drop(struct job *take)
{
	if (atomic_fetch_sub_explicit(&take->holders, 1, memory_order_acq_rel) > 1)
		return;
	close(take->done_fd);
	free(take);
}

static bool
take_thread(void)
{
	uint32_t n = atomic_load(&n_threads);
	while (n < KVR_RESOLVE_THREADS) {
		/*
		 * Before taking a thread: otherwise a caller that finds all just taken would think
		 * that they hang.
		 */
		atomic_store(&moved_ns, kvr_now_ns());
		if (atomic_compare_exchange_weak(&n_threads, &n, n + 1))
			return true;
	}
	return false;
}

static void
give_thread(void)
{
	atomic_store(&moved_ns, kvr_now_ns());
	atomic_fetch_sub(&n_threads, 1);
	atomic_fetch_add(&n_ended, 1);
	kvr_wake_every(&n_ended);
}

/*
 * When the lanes of a few tiers, or of a cluster, dial all at once, there are more names than
 * threads, and the lanes take turns. They do not wait for look-ups that hang. DOWN: all of them do.
 */
static enum kvr_err
wait_thread(uint64_t until_ns, struct kvr_kick *kick)
{
	for (;;) {
		uint32_t ended = atomic_load(&n_ended);
		if (take_thread())
			return KVR_OK;
		uint64_t now_ns = kvr_now_ns();
		uint64_t hang_ns = atomic_load(&moved_ns) + HANG_NS;
		if (kick != NULL && kvr_kicked(kick))
			return KVR_E_CANCELLED;
		if (now_ns >= hang_ns)
			return KVR_E_DOWN;
		if (now_ns >= until_ns)
			return KVR_E_TIMEOUT;
		(void)kvr_sleep_on(&n_ended, ended,
		    KVR_MIN(KVR_MIN(until_ns, hang_ns), now_ns + LOOK_NS));
	}
}

static void *
thread_main(void *arg)
{
	struct job *job = arg;
	uint64_t one = 1;
	job->rc = look_up(job->host, job->port, 0, &job->addrs);
	job->sys_errno = errno;
	atomic_store_explicit(&job->done, true, memory_order_release);
	while (write(job->done_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	drop(job);
	give_thread();
	return NULL;
}

static int
start_thread(struct job *job)
{
	pthread_t thread;
	int rc = kvr_spawn(&thread, thread_main, job);
	if (rc == 0)
		KVR_CHECK(pthread_detach(thread) == 0);
	return rc;
}

static enum kvr_err
wait_done(const struct job *job, uint64_t until_ns, struct kvr_kick *kick)
{
	for (;;) {
		struct pollfd p[2] = { { .fd = job->done_fd, .events = POLLIN },
			{ .fd = kick != NULL ? kick->fd : -1, .events = POLLIN } };
		if (kick != NULL && kvr_kicked(kick))
			return KVR_E_CANCELLED;
		(void)!poll(p, 2, kvr_poll_ms(until_ns));
		/* Pairs with the release in thread_main. */
		if (atomic_load_explicit(&job->done, memory_order_acquire))
			return KVR_OK;
		if (kvr_now_ns() >= until_ns)
			return KVR_E_TIMEOUT;
	}
}

static struct job *
job_new(const char *host, const char *port)
{
	struct job *job = calloc(1, sizeof(*job));
	if (job == NULL)
		return NULL;
	atomic_init(&job->holders, 2);
	job->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (job->done_fd < 0) {
		free(job);
		return NULL;
	}
	snprintf(job->host, sizeof(job->host), "%s", host);
	snprintf(job->port, sizeof(job->port), "%s", port);
	return job;
}

static enum kvr_err
start(const char *host, const char *port, uint64_t until_ns, struct kvr_kick *kick,
    struct job **ret, char *why, size_t why_cap)
{
	enum kvr_err err = wait_thread(until_ns, kick);
	if (err == KVR_E_DOWN)
		snprintf(why, why_cap,
		    "%s: %u name look-ups hang already; check the name server or "
		    "use a numeric address",
		    host, KVR_RESOLVE_THREADS);
	else if (err != KVR_OK)
		snprintf(why, why_cap, "%s: name look-up: %s", host, kvr_err_text(err));
	if (err != KVR_OK)
		return err;
	struct job *job = job_new(host, port);
	int rc = job != NULL ? start_thread(job) : ENOMEM;
	if (rc == 0) {
		*ret = job;
		return KVR_OK;
	}
	give_thread();
	snprintf(why, why_cap, "%s: no thread to look up the name: %s", host, strerror(rc));
	if (job != NULL) {
		close(job->done_fd);
		free(job);
	}
	return KVR_E_DOWN;
}

static enum kvr_err
say(const char *host, int rc, int sys_errno, char *why, size_t why_cap)
{
	const char *text = rc == EAI_SYSTEM ? strerror(sys_errno) : gai_strerror(rc);
	snprintf(why, why_cap, "%s: name look-up failed: %s", host, text);
	return KVR_E_DOWN;
}

enum kvr_err
kvr_resolve(const char *host, uint16_t port_number, uint64_t until_ns, struct kvr_kick *kick,
    struct kvr_addrs *ret, char *why, size_t why_cap)
{
	char port[8];
	struct job *job = NULL;
	snprintf(port, sizeof(port), "%u", (unsigned)port_number);
	if (strlen(host) >= sizeof(job->host)) {
		snprintf(why, why_cap, "host name of %zu bytes is too long", strlen(host));
		return KVR_E_DOWN;
	}
	/* AI_NUMERICHOST asks no server, so it cannot hang. */
	int rc = look_up(host, port, AI_NUMERICHOST, ret);
	if (rc == 0)
		return KVR_OK;
	if (rc != EAI_NONAME)
		return say(host, rc, errno, why, why_cap);
	enum kvr_err err = start(host, port, until_ns, kick, &job, why, why_cap);
	if (err != KVR_OK)
		return err;
	err = wait_done(job, until_ns, kick);
	if (err != KVR_OK)
		snprintf(why, why_cap, "%s: name look-up: %s", host, kvr_err_text(err));
	else if (job->rc != 0)
		err = say(host, job->rc, job->sys_errno, why, why_cap);
	else
		*ret = job->addrs;
	drop(job);
	return err;
}
