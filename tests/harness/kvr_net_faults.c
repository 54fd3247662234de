/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_net_faults.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * KVR_SEC(1) + (uint64_t)t.tv_nsec;
}

static uint64_t
draw(struct kvr_net_faults *f)
{
	uint64_t z = f->rand += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* The one of this kind that holds now; NULL: none. */
static const struct kvr_fault *
holds(const struct kvr_net_faults *f, enum kvr_fault_kind kind)
{
	const struct kvr_fault *first = NULL;
	uint32_t n = kvr_fault_script_now(&f->script, now_ns() - f->begun_ns, &first);

	for (uint32_t i = 0; i < n; i++)
		if (first[i].kind == kind)
			return &first[i];
	return NULL;
}

static bool
hits(struct kvr_net_faults *f, enum kvr_fault_kind kind)
{
	const struct kvr_fault *fault = holds(f, kind);

	return fault != NULL && draw(f) % KVR_FAULT_PPM < fault->ppm;
}

bool
kvr_net_faults_parse(struct kvr_net_faults *ret, const char *text)
{
	struct kvr_fault_wrong wrong;

	if (!kvr_fault_script_parse(text, strlen(text), &ret->script, &wrong)) {
		fprintf(stderr, "script:%u:%u: %s\n", wrong.line, wrong.column, wrong.what);
		return false;
	}
	for (uint32_t i = 0; i < ret->script.n; i++) {
		if (ret->script.fault[i].verbs != KVR_FAULT_ON_ALL) {
			fprintf(stderr, "script:%u: a network knows no operations\n",
			    ret->script.fault[i].line);
			return false;
		}
	}
	ret->begun_ns = now_ns();
	ret->rand = ret->script.seed;
	return true;
}

bool
kvr_net_faults_down(const struct kvr_net_faults *f)
{
	return holds(f, KVR_FAULT_DOWN) != NULL;
}

void
kvr_net_faults_meet(struct kvr_net_faults *f, char *bytes, size_t len, struct kvr_net_chunk *ret)
{
	const struct kvr_fault *delay = holds(f, KVR_FAULT_DELAY), *drip = holds(f, KVR_FAULT_DRIP);

	*ret = (struct kvr_net_chunk){ .left = UINT64_MAX, .since_ns = now_ns() };
	ret->hang = holds(f, KVR_FAULT_HANG) != NULL;
	ret->rate = drip != NULL ? drip->least : 0;
	if (delay != NULL)
		ret->due_ns =
		    ret->since_ns + delay->least + draw(f) % (delay->most - delay->least + 1);
	if (hits(f, KVR_FAULT_DROP))
		ret->left = 0;
	if (hits(f, KVR_FAULT_TRUNCATE))
		ret->left = draw(f) % len;
	if (hits(f, KVR_FAULT_RESET)) {
		ret->left = draw(f) % len;
		ret->reset = true;
	}
	if (hits(f, KVR_FAULT_FLIP)) {
		uint64_t bit = draw(f) % (8 * len);
		bytes[bit / 8] ^= (char)(1U << bit % 8);
	}
}

ssize_t
kvr_net_chunk_room(const struct kvr_net_chunk *c, size_t len)
{
	uint64_t now = now_ns(), room = KVR_MIN(len, c->left);

	if (len == 0)
		return 0;
	if (c->left == 0)
		return -1;
	if (c->hang || now < c->due_ns)
		return 0;
	if (c->rate > 0) {
		uint64_t ns = KVR_MIN(now - c->since_ns, KVR_SEC(10));
		uint64_t may = KVR_MAX(ns / 1000 * c->rate / 1000000, c->sent) - c->sent;
		room = KVR_MIN(room, may);
	}
	return (ssize_t)room;
}

void
kvr_net_chunk_sent(struct kvr_net_chunk *c, size_t n)
{
	c->sent += n;
	if (c->left != UINT64_MAX)
		c->left -= n;
}

int
kvr_net_faults_hit_command(void *faults)
{
	return hits(faults, KVR_FAULT_ERROR);
}

const char *
kvr_net_faults_code(const struct kvr_net_faults *f)
{
	const struct kvr_fault *fault = holds(f, KVR_FAULT_ERROR);

	return fault != NULL ? fault->code : "ERR";
}
