/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gets of values that a store does not keep as they were: kvrelay_campaign [GETS [SEED]]
 *
 * Whole instances read sealed values from a real Redis server and from files, through each serde.
 * Before each batch every stored value is damaged anew, or left as it is. A get that answers OK
 * must give the bytes that were put; a sound value must be OK; anything else must be one of the
 * errors that say so. One violation ends the run with status 1; the last line has the counts.
 */
#include "kvr_carrier.h"
#include "kvr_damage.h"
#include "kvr_redis_server.h"
#include "kvr_system_bed.h"

KVR_NEEDS_REDIS

enum { KEYS = 1024, LEN_MIN = 200, LEN_MAX = 3000, GETS = 10000, LENGTHS = 29 };

/* One instance, its keys, and what lies in its store. */
struct field {
	const char *name;
	const char *before, *behind; /* the key, in the store's name of it */
	struct kvr *kvr;
	struct kvr_carrier *carrier;
	struct kvr_carried sound[KEYS], stored[KEYS];
	enum kvr_damage damage[KEYS];
	char text[KEYS][24];
	const char *key[KEYS];
	uint8_t want[KEYS][LEN_MAX], got[KEYS][LEN_MAX];
	uint64_t len[KEYS], room[KEYS];
	void *from[KEYS], *to[KEYS];
	bool small;     /* payloads that shrink */
	uint32_t share; /* batches of it in a turn */
};

static uint64_t answers[KVR_DAMAGE_N][5]; /* right, CORRUPT, IDENTITY, LENGTH, sound in the end */
static uint64_t n_gets;

static void
fill(struct field *f)
{
	for (uint32_t i = 0; i < KEYS; i++) {
		snprintf(f->text[i], sizeof(f->text[i]), "key-%u", i);
		f->key[i] = f->text[i];
		/* Thirty-two neighbours have one length, so that swapped values often fit. */
		f->len[i] = LEN_MIN + (i / 32) % LENGTHS * 100;
		bed_fill(f->want[i], f->len[i], f->key[i]);
		for (uint64_t at = 0; f->small && at < f->len[i]; at++)
			f->want[i][at] &= 3;
		f->from[i] = f->want[i];
		f->to[i] = f->got[i];
	}
}

static void
put(struct field *f)
{
	struct kvr_done done = { .size = sizeof(done) };
	struct kvr_batch batch = { .size = sizeof(batch),
		.kind = KVR_PUT,
		.n = KEYS,
		.key = f->key,
		.at = f->from,
		.len = f->len };

	fill(f);
	OK(kvr_run(f->kvr, &batch, NULL, &done, NULL));
	for (uint32_t i = 0; i < KEYS; i++) {
		struct kvr_carried *v = &f->sound[i];

		snprintf(v->name, sizeof(v->name), "%s%s%s", f->before, f->key[i], f->behind);
		kvr_carrier_read(f->carrier, v, 0);
		MUST(!f->small || v->len < f->len[i] + 600, "%s did not shrink", v->name);
		f->stored[i] = *v;
		f->stored[i].at = malloc(LEN_MAX + 8192);
		MUST(f->stored[i].at != NULL, "no memory");
	}
}

static void
spoil(struct field *f, uint64_t *rand)
{
	for (uint32_t i = 0; i < KEYS; i++) {
		const struct kvr_carried *own = &f->sound[i];
		bool near = kvr_damage_draw(rand) % 4 != 0;
		uint32_t other = (uint32_t)kvr_damage_draw(rand) % KEYS;

		other = near ? i / 32 * 32 + other % 32 : other;
		f->damage[i] = (enum kvr_damage)(kvr_damage_draw(rand) % KVR_DAMAGE_N);
		f->stored[i].len = kvr_damage_make(f->damage[i], rand, own->at, own->len,
		    f->sound[other].at, f->sound[other].len, f->stored[i].at);
	}
	kvr_carrier_write(f->carrier, f->stored, KEYS);
}

static void
check(const struct field *f, uint32_t i, int32_t err, uint64_t len)
{
	const struct kvr_carried *own = &f->sound[i], *now = &f->stored[i];
	bool sound = now->len == own->len && memcmp(now->at, own->at, own->len) == 0;
	uint64_t *row = answers[f->damage[i]];

	if (err == KVR_OK) {
		MUST(sound, "%s: %s, %s: a damaged value was delivered", f->name, f->key[i],
		    kvr_damage_name(f->damage[i]));
		MUST(len == f->len[i] && memcmp(f->got[i], f->want[i], len) == 0,
		    "%s: %s: wrong bytes were delivered", f->name, f->key[i]);
		row[f->damage[i] == KVR_DAMAGE_NONE ? 0 : 4]++;
		return;
	}
	MUST(!sound, "%s: %s is sound and was not delivered: %s", f->name, f->key[i],
	    kvr_err_name(err));
	MUST(err == KVR_E_CORRUPT || err == KVR_E_IDENTITY || err == KVR_E_LENGTH, "%s: %s, %s: %s",
	    f->name, f->key[i], kvr_damage_name(f->damage[i]), kvr_err_name(err));
	row[err == KVR_E_CORRUPT ? 1 : err == KVR_E_IDENTITY ? 2 : 3]++;
}

static void
get(struct field *f, bool at_most)
{
	static int32_t err[KEYS];
	static uint64_t len[KEYS];
	struct kvr_done done = { .size = sizeof(done) };
	struct kvr_batch batch = { .size = sizeof(batch),
		.kind = KVR_GET,
		.n = KEYS,
		.key = f->key,
		.at = f->to,
		.len = f->room };
	struct kvr_opts opts = { .size = sizeof(opts),
		.flags = at_most ? KVR_AT_MOST : 0,
		.until_ns = bed_in_ms(60000) };
	struct kvr_results r = { .size = sizeof(r), .cap = KEYS, .err = err, .len = len };

	for (uint32_t i = 0; i < KEYS; i++)
		f->room[i] = at_most ? LEN_MAX : f->len[i];
	/* What an earlier get left here must not pass for what this one brings. */
	memset(f->got, 0x5c, sizeof(f->got));
	enum kvr_err all = kvr_run(f->kvr, &batch, &opts, &done, &r);
	MUST(done.n == KEYS, "%u keys of %d: %s", done.n, KEYS, kvr_err_name(all));
	for (uint32_t i = 0; i < KEYS; i++)
		check(f, i, err[i], len[i]);
	n_gets += KEYS;
}

static void
close_field(struct field *take)
{
	for (uint32_t i = 0; i < KEYS; i++) {
		free(take->sound[i].at);
		free(take->stored[i].at);
	}
	kvr_carrier_free(take->carrier);
	bed_close(take->kvr);
}

#define TIER(name, rest)                                                                           \
	"{'trace':{'dir':'none'},'log':{'level':'error'},'tiers':[{'name':'" name "'," rest "}]}"

static void
report(uint64_t seed)
{
	printf("%-14s %10s %10s %10s %10s %10s\n", "damage", "right", "CORRUPT", "IDENTITY",
	    "LENGTH", "none after all");
	for (int d = 0; d < KVR_DAMAGE_N; d++)
		printf("%-14s %10llu %10llu %10llu %10llu %10llu\n",
		    kvr_damage_name((enum kvr_damage)d), (unsigned long long)answers[d][0],
		    (unsigned long long)answers[d][1], (unsigned long long)answers[d][2],
		    (unsigned long long)answers[d][3], (unsigned long long)answers[d][4]);
	printf("%llu gets with seed %llu, 0 wrong deliveries\n", (unsigned long long)n_gets,
	    (unsigned long long)seed);
}

int
main(int argc, char **argv)
{
	static struct field fields[3] = {
		{ .name = "redis", .before = "n/", .behind = "@kvr%1", .share = 4 },
		{ .name = "redis, zstd",
		    .before = "z/",
		    .behind = "@kvr%1",
		    .share = 4,
		    .small = true },
		{ .name = "files", .before = "", .behind = ".kvr", .share = 1 },
	};
	uint64_t gets = argc > 1 ? strtoull(argv[1], NULL, 10) : GETS;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	uint64_t rand = seed;
	char dir[128];
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);

	bed_dir(dir, sizeof(dir));
	fields[0].kvr = bed_open(TIER("far", "'url':'%s','prefix':'n/'"), server->url);
	fields[1].kvr =
	    bed_open(TIER("far", "'url':'%s','prefix':'z/','serde':'zstd'"), server->url);
	fields[2].kvr = bed_open(TIER("disk", "'url':'fs://%s'"), dir);
	fields[0].carrier = kvr_carrier_redis(server->port);
	fields[1].carrier = kvr_carrier_redis(server->port);
	fields[2].carrier = kvr_carrier_dir(dir);
	for (int f = 0; f < 3; f++)
		put(&fields[f]);
	for (uint64_t turn = 0; n_gets < gets; turn++) {
		for (int f = 0; f < 3; f++) {
			for (uint32_t i = 0; i < fields[f].share && n_gets < gets; i++) {
				spoil(&fields[f], &rand);
				get(&fields[f], (turn + i) % 2 == 1);
			}
		}
	}
	for (int f = 0; f < 3; f++)
		close_field(&fields[f]);
	kvr_redis_server_stop(server);
	report(seed);
	return 0;
}
