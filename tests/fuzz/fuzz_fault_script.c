/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts of outages: what is accepted is in order and within its limits, what is not has a place. */
#include <string.h>

#include "kvr_fault_script.h"
#include "kvr_fuzz.h"

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const char *const seeds[] = {
		"seed 7\n0s pass # well\n10ms down\n1.5s hang on get,put\n2min repeat\n",
		"0s delay 5ms to 20ms on size\n0s drip 64KiB/s\n1s drop 0.1% on lookup,remove\n",
		"0s reset 5%\r\n0s error OOM 50% on put\r\n0s truncate 2%\r\n1s flip\r\n",
	};
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}

static void
accepted(const struct kvr_fault_script *s)
{
	const struct kvr_fault *first = NULL;
	uint64_t before_ns = 0;

	KVR_CHECK(s->n > 0 && s->n <= KVR_FAULTS_MAX);
	for (uint32_t i = 0; i < s->n; i++) {
		const struct kvr_fault *f = &s->fault[i];
		KVR_CHECK(f->kind < KVR_FAULT_N && f->ppm <= KVR_FAULT_PPM);
		KVR_CHECK(f->verbs > 0 && f->verbs <= KVR_FAULT_ON_ALL);
		KVR_CHECK(f->at_ns >= before_ns && f->kind != KVR_FAULT_N);
		KVR_CHECK(f->kind != KVR_FAULT_DRIP || f->least > 0);
		KVR_CHECK(f->kind != KVR_FAULT_DELAY || f->most >= f->least);
		KVR_CHECK(strlen(f->code) < sizeof(f->code));
		before_ns = f->at_ns;
		uint32_t n = kvr_fault_script_now(s, f->at_ns, &first);
		KVR_CHECK(s->period_ns > 0 || (n > 0 && first->at_ns == f->at_ns));
		KVR_CHECK(n == 0 || first + n <= s->fault + s->n);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static struct kvr_fault_script s;
	struct kvr_fault_wrong wrong = { 0 };

	if (kvr_fault_script_parse((const char *)at, len, &s, &wrong))
		accepted(&s);
	else
		KVR_CHECK(wrong.line > 0 && wrong.column > 0 && wrong.what[0] != '\0');
	return 0;
}
