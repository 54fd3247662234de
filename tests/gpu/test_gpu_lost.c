/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine's own kernel writes where there is nothing, and the process has no device from then on:
 * what lies in the device is a miss with the driver's words, what lies in the host's memory goes on,
 * and nothing hangs.
 */
#include "gpu_engine.h"

#include "gpu_check.h"

#include <sys/mman.h>

enum { LEN = 70000 };

static struct gpu_engine engine;
static uint8_t value[LEN], back[LEN];

static enum kvr_err
run_host(struct kvr *k, uint32_t kind, uint8_t *at)
{
	const uint64_t len = LEN;
	void *place = at;
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = kind, .n = 1, .keys = "host", .at = &place, .len = &len
	};

	return kvr_run(k, &b, NULL, NULL, NULL);
}

static void
host_goes_on(struct kvr *k, uint32_t round)
{
	bed_fill(value, LEN, round);
	OK(run_host(k, KVR_PUT, value));
	memset(back, 0, LEN);
	OK(run_host(k, KVR_GET, back));
	ck_assert_int_eq(memcmp(value, back, LEN), 0);
}

static void
is_a_miss(uint32_t kind)
{
	struct kvr_done d = { .size = sizeof(d) };
	kvr_op op;

	OK(gpu_engine_submit(&engine, kind, "k", 60000, &op));
	ERR(kvr_wait(engine.kvr, op, 0, &d, NULL), KVR_E_DEVICE);
	ck_assert_msg(strncmp(d.why, "cuda", 4) == 0 || strncmp(d.why, "the copy", 8) == 0, "'%s'", d.why);
	ck_assert((d.flags & KVR_DONE_QUIET) != 0);
}

/* Whether one can be had is the driver's to say; not to crash is ours. */
static void
opens_anew(const char *device)
{
	char json[256], why[512] = "";
	struct kvr *k = NULL;
	const struct kvr_options o = { .size = sizeof(o), .config_text = json, BED_SET };

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"8MiB\",\"device\":\"%s\"},\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    device);
	enum kvr_err err = kvr_open(&o, 0, &k, why, sizeof(why));

	if (err == KVR_OK) {
		host_goes_on(k, 9);
		bed_close(k);
	} else {
		ck_assert_str_eq(device, "cuda");
		ck_assert_msg(strstr(why, "memory.device is \"cuda\": ") != NULL, "'%s'", why);
	}
}

START_TEST(a_broken_kernel_of_the_engine_costs_misses)
{
	struct kvr *k = gpu_open_store("memory://", "");
	struct kvr_close_report r = { .size = sizeof(r) };
	void *near = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(near != MAP_FAILED);
	gpu_engine_open(&engine, k, 3, 16);
	gpu_engine_moves(&engine, KVR_PUT, "k");
	gpu_engine_poison(&engine);
	gpu_engine_moves(&engine, KVR_GET, "k");
	gpu_engine_came_back(&engine);
	OK(kvr_memory_register(k, near, 1 << 20, 0));
	ck_assert(gpu_spoil());
	for (uint32_t round = 0; round < 3; round++) {
		is_a_miss(round == 1 ? KVR_PUT : KVR_GET);
		host_goes_on(k, round);
	}
	opens_anew("auto");
	opens_anew("cuda");
	OK(kvr_close(k, bed_in_ms(60000), KVR_DRAIN, &r));
	ck_assert_uint_eq(r.stuck_threads, 0);
	ck_assert_uint_eq(r.not_quiet, 0);
	kvr_free(k);
	gpu_engine_forget(&engine);
	munmap(near, 1 << 20);
}
END_TEST

int
main(int argc, char **argv)
{
	const TTest *const tests[] = { a_broken_kernel_of_the_engine_costs_misses };

	gpu_open(argc, argv);
	if (!gpu_may_err()) {
		fprintf(stderr, "not run: nothing may fail here\n");
		return 77;
	}
	printf("on %s\n", gpu_name());
	return gpu_run("gpu.lost", tests, 1);
}
