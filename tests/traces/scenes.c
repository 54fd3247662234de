/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short runs of a simulated instance, each about one thing, as traces: kvrelay_scenes DIR writes
 * DIR/<scene>.kvrt. What is kept of them in this folder is what has been accepted.
 */
#include "kvr_sim_instance.h"
#include "kvr_tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kvr_sim_instance in;
static struct kvr_tape tape;
static const uint64_t names[] = { 101, 102, 103, 104 };

static void
before(void *arg, struct kvr_sim *sim, const struct kvr_event *ev)
{
	(void)sim;
	kvr_tape_before(arg, ev);
}

static void
after(void *arg, struct kvr_sim *sim, const struct kvr_actor *a, uint32_t state_before,
    uint64_t digest, const struct kvr_out *out)
{
	kvr_tape_after(arg, sim, a, state_before, digest, out);
}

static const struct kvr_sim_watch watch = { .before = before, .after = after, .arg = &tape };

/* One lane a tier, to be short. */
static void
defaults(uint32_t n_tiers)
{
	kvr_sim_instance_defaults(&in, n_tiers);
	for (uint32_t t = 0; t < n_tiers; t++) {
		in.tier[t].n_links = 1;
		in.tier[t].n_control = 0;
		in.tier[t].faults = 2;
		in.router.tier[t].bulk_lanes = 1;
	}
}

static void
pass(uint64_t ns)
{
	kvr_sim_run(in.sim, kvr_sim_now(in.sim) + ns);
}

static void
begin(void)
{
	kvr_sim_instance_open(&in, &(struct kvr_sim_options){ .seed = 7, .watch = &watch });
	KVR_CHECK(kvr_tape_open(&tape, in.sim, KVR_MIB(4), ""));
	kvr_sim_instance_start(&in);
	pass(KVR_MS(10));
}

static uint32_t
ask(enum kvr_op_kind kind, uint32_t n, uint64_t within_ns)
{
	return kvr_sim_ask(in.sim, &(struct kvr_sim_ask){ .kind = kind,
	                               .n = n,
	                               .len = 4096,
	                               .deadline_ns = kvr_sim_now(in.sim) + within_ns,
	                               .names = names });
}

static void
answered(uint32_t number, int32_t err)
{
	const struct kvr_sim_answer *a = kvr_sim_answer_to(in.sim, number);

	KVR_CHECK(a->n_complete == 1 && a->err == err);
}

/* ---- the scenes ---- */

/* A lookup that misses, a put, a get that hits in part. */
static void
put_get(void)
{
	defaults(1);
	begin();
	ask(KVR_OP_LOOKUP, 4, KVR_SEC(1));
	pass(KVR_MS(50));
	uint32_t put = ask(KVR_OP_PUT, 2, KVR_SEC(1));
	pass(KVR_MS(50));
	answered(put, KVR_OK);
	ask(KVR_OP_GET, 4, KVR_SEC(1));
	pass(KVR_MS(50));
}

/* The store goes away: faults, the breaker, DOWN at once, the cool-down, the probe, up again. */
static void
outage(void)
{
	defaults(1);
	begin();
	kvr_sim_down(in.sim, 0, true);
	ask(KVR_OP_PUT, 2, KVR_SEC(1));
	pass(KVR_MS(500));
	uint32_t get = ask(KVR_OP_GET, 1, KVR_SEC(1));
	pass(KVR_MS(10));
	answered(get, KVR_E_DOWN);
	kvr_sim_down(in.sim, 0, false);
	pass(KVR_SEC(2));
	uint32_t put = ask(KVR_OP_PUT, 2, KVR_SEC(1));
	pass(KVR_MS(100));
	answered(put, KVR_OK);
}

/* A store that is silent: the deadline calls the part back. */
static void
deadline(void)
{
	defaults(1);
	begin();
	kvr_sim_store(in.sim, 0)->stalls = 1024;
	uint32_t get = ask(KVR_OP_GET, 2, KVR_MS(30));
	pass(KVR_MS(200));
	answered(get, KVR_E_TIMEOUT);
}

/* Written back to the second tier after the answer; evicted from the first, found in the second. */
static void
two_tiers(void)
{
	defaults(2);
	in.router.tier[1].write = KVR_WRITE_BACK;
	in.router.tier[0].promote = 1;
	begin();
	uint32_t put = ask(KVR_OP_PUT, 1, KVR_SEC(1));
	pass(KVR_MS(100));
	answered(put, KVR_OK);
	kvr_sim_store(in.sim, 0)->evicts = 1024;
	uint32_t get = ask(KVR_OP_GET, 1, KVR_SEC(1));
	pass(KVR_MS(100));
	answered(get, KVR_OK);
	pass(KVR_MS(200));
}

/* A second put of a key waits for the first; a stop drains. */
static void
duplicate(void)
{
	defaults(1);
	begin();
	uint32_t first = ask(KVR_OP_PUT, 2, KVR_SEC(1));
	uint32_t second = ask(KVR_OP_PUT, 2, KVR_SEC(1));
	pass(KVR_MS(100));
	answered(first, KVR_OK);
	answered(second, KVR_OK);
	kvr_sim_instance_stop(&in, true);
	pass(KVR_SEC(1));
	KVR_CHECK(in.n_stopped == 1);
}

static const struct {
	const char *name;
	void (*play)(void);
} scenes[] = {
	{ "put_get", put_get },
	{ "outage", outage },
	{ "deadline", deadline },
	{ "two_tiers", two_tiers },
	{ "duplicate", duplicate },
};

/* What a head says of this machine and this moment is the same in every run. */
static void
anonymous(struct kvr_trace *t)
{
	uint64_t len;
	struct kvr_trace_head *h = (struct kvr_trace_head *)(uintptr_t)kvr_trace_bytes(t, &len);

	h->opened_mono_ns = h->opened_real_ns = 0;
	h->pid = 0;
	memset(h->build, 0, sizeof(h->build));
}

int
main(int argc, char **argv)
{
	char path[1024];

	if (argc != 2) {
		fprintf(stderr, "usage: kvrelay_scenes DIR\n");
		return 2;
	}
	for (size_t i = 0; i < KVR_LEN(scenes); i++) {
		scenes[i].play();
		anonymous(tape.trace);
		snprintf(path, sizeof(path), "%s/%s.kvrt", argv[1], scenes[i].name);
		if (!kvr_trace_save(tape.trace, path)) {
			perror(path);
			return 1;
		}
		kvr_trace_close(tape.trace);
		kvr_sim_instance_close(&in);
	}
	return 0;
}
