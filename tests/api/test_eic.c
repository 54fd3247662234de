/* SPDX-License-Identifier: Apache-2.0 */
/* EIC as an embedder sees it: by a tier, by LMCache's keys, and when the SDK never comes back. */
#include "kvr_api_bed.h"
#include "kvr_eic_fake.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

enum { N = 12, LEN = 1 << 16, LATE_MS = 5000 /* of a machine under sanitizers and other tests */ };

static struct kvr_eic_fake *fake;
static char  text[N][32];
static const char *key[N];
static void *in[N], *out[N];
static uint64_t len[N];
static uint8_t bytes[2][N][LEN];

/* LEN bytes: 2 * 2 * 16 * 512 elements of 2 bytes. */
static const struct kvr_group group = { .dtype = KVR_DT_BFLOAT16, .n_dims = 4,
	.dim = { 2, 2, 16, 512 } };
static const struct kvr_layout layout = { .size = sizeof(layout), .format = KVR_FMT_KV_2LTD,
	.n_groups = 1, .group = &group };

static void
begin(void)
{
	void *library = dlopen(KVR_EIC_FAKE, RTLD_NOW);
	ck_assert_msg(library != NULL, "%s", dlerror());
	fake = dlsym(library, "kvr_eic_fake");
	ck_assert_ptr_nonnull(fake);
	for (uint32_t i = 0; i < N; i++) {
		snprintf(text[i], sizeof(text[i]), "m@1@0@%x@bfloat16", 4096 + i);
		key[i] = text[i];
		in[i] = bytes[0][i];
		out[i] = bytes[1][i];
		len[i] = LEN;
		bed_fill(in[i], LEN, i);
	}
}

static enum kvr_err
run(struct kvr *k, uint32_t kind, uint64_t until_ns, struct kvr_done *done)
{
	const struct kvr_batch b = { .size = sizeof(b), .kind = kind, .n = N, .key = key,
		.at = kind == KVR_PUT ? in : out, .len = len };
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = until_ns };
	*done = (struct kvr_done){ .size = sizeof(*done) };
	return kvr_run(k, &b, &o, done, NULL);
}

static void
must(struct kvr *k, uint32_t kind)
{
	struct kvr_done done;
	enum kvr_err err = run(k, kind, bed_in_ms(60000), &done);
	ck_assert_msg(err == KVR_OK && done.n_ok == N, "%s: %s", kvr_err_name(err), done.why);
}

static void
round_trip(struct kvr *k)
{
	memset(bytes[1], 0, sizeof(bytes[1]));
	must(k, KVR_PUT);
	must(k, KVR_LOOKUP);
	must(k, KVR_GET);
	ck_assert_mem_eq(bytes[0], bytes[1], sizeof(bytes[0]));
}

static void
no_deviation(void)
{
	ck_assert_msg(atomic_load(&fake->deviations) == 0, "%s", fake->first_deviation);
	ck_assert_uint_eq(atomic_load(&fake->clients), 0);
}

START_TEST(a_tier_of_a_configuration)
{
	begin();
	struct kvr *k = bed_open("{ \"tiers\": [ { \"name\": \"eic\", \"url\": \"eic://h:12500\","
	    " \"ttl\": \"90s\", \"eic\": { \"library\": \"" KVR_EIC_FAKE "\","
	    " \"namespace\": \"team\", \"trans_type\": 0, \"instance_id\": \"uuid\","
	    " \"flag_file\": \"/etc/eic.flags\", \"log_dir\": \"/tmp/eic\","
	    " \"log_level\": 3 } } ] }",
	    NULL, &layout, NULL);
	round_trip(k);
	ck_assert_str_eq(fake->endpoint, "h:12500");
	ck_assert_str_eq(fake->last_ns, "team");
	ck_assert_str_eq(fake->instance_id, "uuid");
	ck_assert_str_eq(fake->flag_file, "/etc/eic.flags");
	ck_assert_str_eq(fake->log_dir, "/tmp/eic");
	ck_assert_int_eq(fake->log_level, 3);
	ck_assert_int_eq(fake->trans_type, 0);
	ck_assert_int_eq((int)fake->last_ttl_s, 90);
	ck_assert_uint_eq(atomic_load(&fake->regs), 0);
	bed_close(k);
	no_deviation();
}
END_TEST

/* LMCache's transport is GDR when nothing is said. */
START_TEST(lmcaches_own_keys_and_all_payloads_in_registered_memory)
{
	begin();
	/* LMCache has no name for the adapter: the loader finds it, or it is set like this. */
	static const char *const set[] = { "on_panic=abort",
		"tiers.remote.eic.library=" KVR_EIC_FAKE };
	const struct kvr_options o = { .size = sizeof(o), .layout = &layout, .set = set, .n_set = 2,
		.config_text = "{ \"remote_url\": \"eic://h:12500;i:12500/\", \"chunk_size\": 16,"
		    " \"eic_kv_ns\": \"team\", \"eic_kv_ttl\": 60,"
		    " \"eic_instance_id\": \"uuid\" }" };
	char why[512] = "";
	struct kvr *k = NULL;
	ck_assert_msg(kvr_open(&o, 0, &k, why, sizeof(why)) == KVR_OK, "%s", why);
	round_trip(k);
	ck_assert_str_eq(fake->endpoint, "h:12500;i:12500");
	ck_assert_int_eq(fake->trans_type, 3);
	ck_assert_int_eq((int)fake->last_ttl_s, 60);
	ck_assert_uint_eq(atomic_load(&fake->regs), 1);
	ck_assert_uint_ge(atomic_load(&fake->direct), 2 * N);
	bed_close(k);
	ck_assert_uint_eq(atomic_load(&fake->unregs), 1);
	no_deviation();
}
END_TEST

#define TWO_TIERS(eic) \
	"{ \"tiers\": [ { \"name\": \"host\", \"url\": \"memory://\", \"format\": \"bare\" }," \
	" { \"name\": \"far\", \"url\": \"eic://h:12500\", \"write\": \"back\"," \
	"   \"eic\": { \"library\": \"" eic "\", \"trans_type\": 0 } } ] }"

START_TEST(without_a_library_the_other_tiers_work)
{
	struct bed_log log = BED_LOG;
	begin();
	struct kvr *k = bed_open(TWO_TIERS("/no/such/libkvr_eic.so"), NULL, &layout, &log);
	round_trip(k);
	bed_log_wait(&log, "install an adapter of EIC's SDK");
	bed_close(k);
}
END_TEST

START_TEST(a_call_that_never_returns_costs_its_deadline_and_is_told_at_the_end)
{
	struct kvr_close_report r = { .size = sizeof(r) };
	struct kvr_done done;
	begin();
	struct kvr *k = bed_open("{ \"tiers\": [ { \"name\": \"eic\", \"url\": \"eic://h:12500\","
	    " \"eic\": { \"library\": \"" KVR_EIC_FAKE "\", \"trans_type\": 3 } } ] }",
	    NULL, &layout, NULL);
	round_trip(k);
	memset(bytes[1], 0, sizeof(bytes[1]));
	atomic_store(&fake->hold, 1);
	/* On a machine that is busy enough a deadline may pass before a lane has begun. */
	do {
		uint64_t until_ns = bed_in_ms(300);
		enum kvr_err err = run(k, KVR_GET, until_ns, &done);
		ck_assert_msg(err == KVR_E_TIMEOUT, "%s: %s", kvr_err_name(err), done.why);
		ck_assert_uint_lt(bed_now_ns(), until_ns + LATE_MS * UINT64_C(1000000));
		/* The SDK was never handed the caller's memory, so that is the caller's again. */
		ck_assert_uint_eq(done.flags & KVR_DONE_QUIET, KVR_DONE_QUIET);
	} while (atomic_load(&fake->held) == 0);
	uint64_t until_ns = bed_in_ms(500);
	ERR(kvr_close(k, until_ns, KVR_DRAIN, &r), KVR_E_STUCK);
	ck_assert_uint_lt(bed_now_ns(), until_ns + LATE_MS * UINT64_C(1000000));
	ck_assert_uint_ge(r.stuck_threads, 1);
	ck_assert_uint_eq(r.not_quiet, 0);
	ERR(run(k, KVR_GET, bed_in_ms(1000), &done), KVR_E_SHUTDOWN);
	/* What the thread may still touch stays: its library, the client, registered staging. */
	kvr_free(k);
	ck_assert_uint_eq(atomic_load(&fake->clients), 1);
	ck_assert_uint_eq(atomic_load(&fake->unregs), 0);
	/* And when it does come back, what it writes is nobody's. */
	atomic_store(&fake->hold, 0);
	for (int i = 0; atomic_load(&fake->held) > 0; i++) {
		ck_assert_int_lt(i, 60000);
		usleep(1000);
	}
	for (size_t i = 0; i < sizeof(bytes[1]); i++)
		if (bytes[1][i / LEN][i % LEN] != 0)
			ck_abort_msg("byte %zu was written after the completion", i);
	ck_assert_msg(atomic_load(&fake->deviations) == 0, "%s", fake->first_deviation);
}
END_TEST

/* Threads of lanes that the process has; the kernel keeps 15 bytes of a name. */
static int
lanes(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		char path[300], name[32] = "";
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		FILE *f = fopen(path, "re");
		if (f != NULL && fgets(name, sizeof(name), f) != NULL)
			n += strncmp(name, "kvr-lane", 8) == 0;
		if (f != NULL)
			fclose(f);
	}
	closedir(d);
	return n;
}

START_TEST(a_call_that_returns_after_the_end_leaves_nothing_behind)
{
	struct kvr_done done;
	begin();
	int before = lanes();
	struct kvr *k = bed_open("{ \"tiers\": [ { \"name\": \"eic\", \"url\": \"eic://h:12500\","
	    " \"eic\": { \"library\": \"" KVR_EIC_FAKE "\", \"trans_type\": 3 } } ] }",
	    NULL, &layout, NULL);
	round_trip(k);
	ck_assert_int_gt(lanes(), before);
	atomic_store(&fake->hold, 1);
	do
		ERR(run(k, KVR_GET, bed_in_ms(300), &done), KVR_E_TIMEOUT);
	while (atomic_load(&fake->held) == 0);
	ERR(kvr_close(k, bed_in_ms(100), KVR_ABORT, NULL), KVR_E_STUCK);
	atomic_store(&fake->hold, 0);
	for (int i = 0; lanes() > before; i++) {
		ck_assert_int_lt(i, 60000);
		usleep(1000);
	}
	kvr_free(k);
	ck_assert_uint_eq(atomic_load(&fake->clients), 0);
	ck_assert_uint_eq(atomic_load(&fake->unregs), 1);
	no_deviation();
}
END_TEST

START_TEST(an_init_that_never_returns_holds_up_nobody_else)
{
	struct kvr_close_report r = { .size = sizeof(r) };
	struct kvr_done done;
	begin();
	atomic_store(&fake->hold, 1);
	struct kvr *k = bed_open(TWO_TIERS(KVR_EIC_FAKE), NULL, &layout, NULL);
	/* The tier beside it has nothing to do with that. */
	must(k, KVR_PUT);
	must(k, KVR_GET);
	for (int i = 0; atomic_load(&fake->held) == 0; i++) {
		ck_assert_int_lt(i, 60000);
		usleep(1000);
	}
	uint64_t until_ns = bed_in_ms(500);
	ERR(kvr_close(k, until_ns, KVR_ABORT, &r), KVR_E_STUCK);
	ck_assert_uint_lt(bed_now_ns(), until_ns + LATE_MS * UINT64_C(1000000));
	ck_assert_uint_ge(r.stuck_threads, 1);
	ERR(run(k, KVR_GET, bed_in_ms(1000), &done), KVR_E_SHUTDOWN);
	kvr_free(k);
}
END_TEST

KVR_CHECK_MAIN("api.eic", a_tier_of_a_configuration,
    lmcaches_own_keys_and_all_payloads_in_registered_memory,
    without_a_library_the_other_tiers_work,
    a_call_that_never_returns_costs_its_deadline_and_is_told_at_the_end,
    a_call_that_returns_after_the_end_leaves_nothing_behind,
    an_init_that_never_returns_holds_up_nobody_else)
