/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy worker over the host's memory and over a device that does what the test says: each way
 * in order, neither waiting for the other; a device that fails costs a part, one that is lost all
 * of its own and nothing else.
 */
#include "kvr_thread.h"
#include "kvr_workers.h"

#include "kvr_check.h"

#include <stdio.h>
#include <string.h>

enum { REPLIES = 64, STAGING = 65536, VALUE = 3000, ROW = 8, BLOCK = 4, BLOCKS = 8, PLANES = 2 };

/* ---- what is around it ---- */

struct kvr_domain {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct kvr_mailbox *mailbox;
	uint32_t n, taken;
	struct kvr_msg reply[REPLIES];
};

void
kvr_domain_attach(struct kvr_domain *d, uint16_t id, struct kvr_mailbox *mailbox)
{
	ck_assert_uint_eq(id, KVR_ID_COPY);
	d->mailbox = mailbox;
}

enum kvr_err
kvr_domain_post(struct kvr_domain *d, const struct kvr_msg *msg)
{
	pthread_mutex_lock(&d->lock);
	KVR_CHECK(d->n < REPLIES);
	d->reply[d->n++] = *msg;
	pthread_cond_broadcast(&d->moved);
	pthread_mutex_unlock(&d->lock);
	return KVR_OK;
}

void
kvr_words_set(struct kvr_words *w, int32_t err, const char *text)
{
	(void)err;
	pthread_mutex_lock(&w->lock);
	snprintf(w->text[KVR_WORDS_LAST], sizeof(w->text[KVR_WORDS_LAST]), "%s", text);
	pthread_mutex_unlock(&w->lock);
}

/* ---- a device that obeys ---- */

enum { ENDLESS = 1000000 };

static struct {
	_Atomic uint32_t done[KVR_WAYS];               /* marks that may be reached */
	_Atomic uint32_t bad_copy, bad_mark, bad_poll; /* so many calls fail */
	_Atomic uint32_t wait_polls;                   /* so many answer UNFINISHED first */
	_Atomic uint32_t lost, no_open, n_open, copies;
	_Atomic uint32_t bad_record, records;
	void *_Atomic event; /* that copies wait for */
	void *_Atomic recorded;
} device;

static bool
take_one(_Atomic uint32_t *from)
{
	uint32_t n = atomic_load(from);

	while (n > 0 && !atomic_compare_exchange_weak(from, &n, n - 1))
		;
	return n > 0;
}

static enum kvr_err
fails(_Atomic uint32_t *how_often, const char *call, char *why, size_t cap)
{
	if (!take_one(how_often))
		return KVR_OK;
	snprintf(why, cap, "%s: the script says so", call);
	return KVR_E_DEVICE;
}

static uint32_t
device_current(void)
{
	return 3;
}

static enum kvr_err
device_open(uint32_t number, struct kvr_copier **ret, char *why, size_t cap)
{
	KVR_CHECK(number == 3);
	if (atomic_load(&device.no_open)) {
		snprintf(why, cap, "openDevice: nobody at home");
		return KVR_E_DEVICE;
	}
	atomic_fetch_add(&device.n_open, 1);
	return kvr_device_host.copy->open(0, ret, why, cap);
}

static void
device_close(struct kvr_copier *take)
{
	atomic_fetch_sub(&device.n_open, 1);
	kvr_device_host.copy->close(take);
}

static enum kvr_err
device_copy(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, uint32_t n,
    char *why, size_t cap)
{
	enum kvr_err err = fails(&device.bad_copy, "copyPieces", why, cap);

	atomic_fetch_add(&device.copies, 1);
	return err == KVR_OK ? kvr_device_host.copy->copy(c, way, piece, n, why, cap) : err;
}

static enum kvr_err
device_mark(struct kvr_copier *c, enum kvr_way way, char *why, size_t cap)
{
	enum kvr_err err = fails(&device.bad_mark, "recordEvent", why, cap);

	return err == KVR_OK ? kvr_device_host.copy->mark(c, way, why, cap) : err;
}

static enum kvr_err
device_poll(struct kvr_copier *c, enum kvr_way way, char *why, size_t cap)
{
	if (take_one(&device.wait_polls) || !take_one(&device.done[way]))
		return KVR_E_UNFINISHED;
	KVR_CHECK(kvr_device_host.copy->poll(c, way, why, cap) == KVR_OK);
	return fails(&device.bad_poll, "queryEvent", why, cap);
}

static bool
device_lost(const struct kvr_copier *c)
{
	(void)c;
	return atomic_load(&device.lost) != 0;
}

static enum kvr_err
device_await(struct kvr_copier *c, enum kvr_way way, void *event, char *why, size_t cap)
{
	(void)c;
	(void)way;
	(void)why;
	(void)cap;
	atomic_store(&device.event, event);
	return KVR_OK;
}

static enum kvr_err
device_record(struct kvr_copier *c, enum kvr_way way, void *event, char *why, size_t cap)
{
	(void)c;
	ck_assert_int_eq(way, KVR_WAY_OUT);
	atomic_store(&device.recorded, event);
	atomic_fetch_add(&device.records, 1);
	return fails(&device.bad_record, "recordForThem", why, cap);
}

static const struct kvr_copy_ops ops = { .current = device_current,
	.open = device_open,
	.close = device_close,
	.await = device_await,
	.record = device_record,
	.copy = device_copy,
	.mark = device_mark,
	.poll = device_poll,
	.lost = device_lost };
static const struct kvr_device script = { "script", NULL, NULL, NULL, &ops };

/* ---- the bed ---- */

struct bed {
	struct kvr_domain domain;
	struct kvr_words words;
	struct kvr_log log;
	struct kvr_work work;
	struct kvr_ledger *ledger;
	struct kvr_copy_worker *worker;
	struct kvr_pages pages;
	uint8_t *base[PLANES];
	uint8_t memory[KVR_PART_KEYS][VALUE], cache[PLANES][BLOCKS * BLOCK * ROW];
};

static void
quiet(void *arg, enum kvr_log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static struct bed *
bed_new(bool with_device)
{
	struct bed *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	pthread_mutex_init(&b->domain.lock, NULL);
	pthread_cond_init(&b->domain.moved, NULL);
	pthread_mutex_init(&b->words.lock, NULL);
	b->log = (struct kvr_log){ .level = KVR_LOG_WARN, .fn = quiet };
	b->ledger = kvr_ledger_new(STAGING);
	b->work = (struct kvr_work){ .instance = "copy",
		.ledger = b->ledger,
		.domain = &b->domain,
		.log = &b->log,
		.device = with_device ? &script : NULL,
		.device_number = 3 };
	b->pages = (struct kvr_pages){ .n_layers = 1,
		.n_planes = PLANES,
		.n_heads = 1,
		.block_tokens = BLOCK,
		.n_blocks = BLOCKS,
		.memfmt = KVR_MEMFMT_KV_2LTD,
		.head_bytes = ROW,
		.block_stride = BLOCK * ROW,
		.token_stride = ROW,
		.head_stride = ROW,
		.base = b->base };
	for (uint32_t p = 0; p < PLANES; p++) {
		b->base[p] = b->cache[p];
		for (uint32_t i = 0; i < sizeof(b->cache[p]); i++)
			b->cache[p][i] = (uint8_t)(p * 100 + i);
	}
	/* Operation 1 has tokens of the cache, and its key 15 those of slots 9, 10, 3; others have spans. */
	b->ledger->ops[1].pages = &b->pages;
	b->ledger->keys[15] = (struct kvr_key){ .op = 1, .room = 5 * ROW * PLANES };
	b->ledger->places[15].run = 7;
	b->ledger->places[15].tokens = 3;
	b->ledger->runs[7] = (struct kvr_run){ 9, 2 };
	b->ledger->runs[8] = (struct kvr_run){ 3, 1 };
	for (uint32_t i = 0; i < 15; i++) {
		memset(b->memory[i], (int)i + 1, VALUE);
		b->ledger->keys[i] = (struct kvr_key){ .at = b->memory[i], .room = VALUE };
	}
	ck_assert_int_eq(kvr_copy_start(&b->work, &b->words, &b->worker), KVR_OK);
	return b;
}

static void
bed_free(struct bed *b)
{
	ck_assert_int_eq(kvr_copy_join(b->worker, UINT64_MAX), KVR_OK);
	ck_assert_uint_eq(b->domain.n, b->domain.taken);
	ck_assert_uint_eq(atomic_load(&device.n_open), 0);
	kvr_ledger_free(b->ledger);
	free(b);
}

static struct kvr_row *
row_of(struct bed *b, uint32_t part)
{
	return &b->ledger->rows[kvr_part_rows(part)];
}

static void
post_that(struct bed *b, uint32_t part, uint32_t key, uint32_t len, bool out, bool on_device,
    bool tells)
{
	struct kvr_msg m = { .type = KVR_MSG_COPY,
		.from = KVR_ID_TRANSFER,
		.to = KVR_ID_COPY,
		.n_rows = 1,
		.rows = kvr_part_rows(part),
		.part = part };

	m.COPY.to_caller = out;
	m.COPY.device = on_device;
	m.COPY.tells = tells;
	*row_of(b, part) = (struct kvr_row){
		.len = len, .key = key, .buf = part + 1, .err = out ? KVR_OK : KVR_PENDING
	};
	ck_assert_int_eq(kvr_mailbox_post(b->domain.mailbox, &m), KVR_OK);
}

/* A part of one row: key, and a staging page of its own. */
static void
post(struct bed *b, uint32_t part, uint32_t key, uint32_t len, bool out, bool on_device)
{
	post_that(b, part, key, len, out, on_device, false);
}

static uint8_t *
stage(struct bed *b, uint32_t part)
{
	return kvr_ledger_staging(b->ledger, part + 1);
}

/* The next answer; a minute is for ever. */
static struct kvr_msg
next(struct bed *b)
{
	struct kvr_domain *d = &b->domain;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	pthread_mutex_lock(&d->lock);
	while (d->n == d->taken)
		ck_assert_int_eq(pthread_cond_timedwait(&d->moved, &d->lock, &until), 0);
	struct kvr_msg m = d->reply[d->taken++];

	pthread_mutex_unlock(&d->lock);
	ck_assert_uint_eq(m.to, KVR_ID_TRANSFER);
	return m;
}

static struct kvr_msg
answer(struct bed *b)
{
	struct kvr_msg m = next(b);

	ck_assert_uint_eq(m.type, KVR_MSG_COPIED);
	return m;
}

static void
has_begun(struct bed *b, uint32_t part)
{
	struct kvr_msg m = next(b);

	ck_assert_uint_eq(m.type, KVR_MSG_BEGUN);
	ck_assert_uint_eq(m.part, part);
	ck_assert_uint_eq(m.n_rows, 1);
	ck_assert_uint_eq(m.rows, kvr_part_rows(part));
}

static void
is(struct bed *b, uint32_t part, int32_t err, bool is_lost)
{
	struct kvr_msg m = answer(b);

	ck_assert_uint_eq(m.part, part);
	ck_assert_msg(
	    m.COPIED.err == err, "%s instead of %s", kvr_err_name(m.COPIED.err), kvr_err_name(err));
	ck_assert_uint_eq(m.COPIED.lost, is_lost);
}

/* ---- tests ---- */

START_TEST(spans_and_tokens_are_copied_both_ways)
{
	struct bed *b = bed_new(false);

	post(b, 1, 4, VALUE, false, false);
	is(b, 1, KVR_OK, false);
	ck_assert_int_eq(memcmp(stage(b, 1), b->memory[4], VALUE), 0);
	ck_assert_uint_eq(row_of(b, 1)->flags, KVR_ROW_STAGED);
	memset(stage(b, 2), 77, VALUE);
	post(b, 2, 5, VALUE - 1, true, false);
	is(b, 2, KVR_OK, false);
	ck_assert_uint_eq(b->memory[5][VALUE - 2], 77);
	ck_assert_uint_eq(b->memory[5][VALUE - 1], 6);
	post(b, 3, 15, 3 * ROW * PLANES, false, false);
	is(b, 3, KVR_OK, false);
	for (uint32_t p = 0; p < PLANES; p++) {
		ck_assert_int_eq(
		    memcmp(stage(b, 3) + p * 3 * ROW, &b->cache[p][9 * ROW], 2 * ROW), 0);
		ck_assert_int_eq(
		    memcmp(stage(b, 3) + (p * 3 + 2) * ROW, &b->cache[p][3 * ROW], ROW), 0);
	}
	/* Fewer tokens than were asked for: the first of them, and the others' rows stay. */
	memset(stage(b, 4), 55, VALUE);
	post(b, 4, 15, 1 * ROW * PLANES, true, false);
	is(b, 4, KVR_OK, false);
	ck_assert_uint_eq(b->cache[1][9 * ROW], 55);
	ck_assert_uint_eq(b->cache[1][10 * ROW], (uint8_t)(100 + 10 * ROW));
	ck_assert_uint_eq(b->cache[1][8 * ROW], (uint8_t)(100 + 8 * ROW));
	post(b, 5, 6, 0, false, false);
	is(b, 5, KVR_OK, false);
	bed_free(b);
}
END_TEST

START_TEST(a_length_that_does_not_fit_is_the_rows_own_error)
{
	struct bed *b = bed_new(false);

	post(b, 1, 4, VALUE + 1, true, false);             /* longer than the caller's memory */
	post(b, 2, 15, 3 * ROW * PLANES - 1, true, false); /* no whole tokens */
	post(b, 3, 15, 4 * ROW * PLANES, true, false);     /* more than the table has */
	for (uint32_t part = 1; part <= 3; part++) {
		is(b, part, KVR_OK, false);
		ck_assert_int_eq(row_of(b, part)->err, KVR_E_LENGTH);
	}
	ck_assert_uint_eq(b->memory[4][0], 5);
	ck_assert_uint_eq(b->cache[0][9 * ROW], 9 * ROW);
	bed_free(b);
}
END_TEST

/* Gets do not wait for puts: of each way the oldest is over first, whatever the other does. */
START_TEST(each_way_ends_in_order_and_for_itself)
{
	struct bed *b = bed_new(true);

	for (uint32_t part = 1; part <= KVR_COPY_PLACES; part++)
		post(b, part, part, VALUE, false, true);
	post(b, 9, 9, 16, true, true);
	post(b, 10, 10, 16, true, true);
	atomic_store(&device.done[KVR_WAY_OUT], 2);
	is(b, 9, KVR_OK, false);
	is(b, 10, KVR_OK, false);
	post(b, 11, 11, 16, false, false); /* the host's memory: at once */
	is(b, 11, KVR_OK, false);
	for (uint32_t part = 1; part <= KVR_COPY_PLACES; part++) {
		atomic_store(&device.done[KVR_WAY_IN], 1);
		is(b, part, KVR_OK, false);
	}
	bed_free(b);
}
END_TEST

START_TEST(a_part_waits_for_the_event_of_its_operation)
{
	struct bed *b = bed_new(true);

	b->ledger->ops[1].ready = b;
	atomic_store(&device.done[KVR_WAY_IN], ENDLESS);
	post(b, 1, 1, VALUE, false, true);
	is(b, 1, KVR_OK, false);
	ck_assert_ptr_null(atomic_load(&device.event));
	post(b, 2, 15, 3 * ROW * PLANES, false, true);
	is(b, 2, KVR_OK, false);
	ck_assert_ptr_eq(atomic_load(&device.event), b);
	bed_free(b);
}
END_TEST

START_TEST(a_failure_has_the_calls_name_and_costs_one_part)
{
	struct bed *b = bed_new(true);
	_Atomic uint32_t *const what[] = { &device.bad_copy, &device.bad_mark, &device.bad_poll };
	const char *const said[] = { "copyPieces: the script says so",
		"recordEvent: the script says so", "queryEvent: the script says so" };

	atomic_store(&device.done[KVR_WAY_OUT], ENDLESS);
	for (uint32_t i = 0; i < KVR_LEN(what); i++) {
		atomic_store(what[i], 1);
		post(b, 1, 1, VALUE, true, true);
		is(b, 1, KVR_E_DEVICE, false);
		ck_assert_str_eq(b->words.text[KVR_WORDS_LAST], said[i]);
		post(b, 2, 2, VALUE, true, true);
		is(b, 2, KVR_OK, false);
	}
	bed_free(b);
}
END_TEST

START_TEST(a_lost_device_says_so_and_the_host_goes_on)
{
	struct bed *b = bed_new(true);

	for (uint32_t part = 1; part <= 3; part++)
		post(b, part, part, VALUE, false, true);
	atomic_store(&device.lost, 1);
	atomic_store(&device.bad_poll, 3);
	atomic_store(&device.done[KVR_WAY_IN], ENDLESS);
	for (uint32_t part = 1; part <= 3; part++)
		is(b, part, KVR_E_DEVICE, true);
	post(b, 4, 4, VALUE, false, false);
	is(b, 4, KVR_OK, false);
	bed_free(b);
}
END_TEST

START_TEST(a_device_that_cannot_be_opened_is_a_lost_one)
{
	atomic_store(&device.no_open, 1);
	struct bed *b = bed_new(true);

	post(b, 1, 1, VALUE, false, true);
	is(b, 1, KVR_E_DEVICE, true);
	ck_assert_str_eq(b->words.text[KVR_WORDS_LAST], "openDevice: nobody at home");
	post(b, 2, 2, VALUE, false, false);
	is(b, 2, KVR_OK, false);
	bed_free(b);
}
END_TEST

START_TEST(the_end_waits_for_what_runs)
{
	struct bed *b = bed_new(true);

	atomic_store(&device.wait_polls, 50);
	atomic_store(&device.done[KVR_WAY_IN], ENDLESS);
	post(b, 1, 1, VALUE, false, true);
	post(b, 2, 2, VALUE, false, true);
	ck_assert_int_eq(kvr_copy_join(b->worker, UINT64_MAX), KVR_OK);
	is(b, 1, KVR_OK, false);
	is(b, 2, KVR_OK, false);
	ck_assert_uint_eq(atomic_load(&device.n_open), 0);
	kvr_ledger_free(b->ledger);
	free(b);
}
END_TEST

/* ---- layer by layer ---- */

enum { LAYERS = 70, KEY_A = 20, KEY_B = 21 };

/* Operation 2 has a cache of more layers than there are marks; two keys of two tokens and of three. */
static uint8_t deep[LAYERS * PLANES][BLOCKS * BLOCK * ROW];
static uint8_t *deep_base[LAYERS * PLANES];
static struct kvr_pages deep_pages;

static void
deepen(struct bed *b)
{
	deep_pages = b->pages;
	deep_pages.n_layers = LAYERS;
	deep_pages.base = deep_base;
	for (uint32_t i = 0; i < LAYERS * PLANES; i++) {
		deep_base[i] = deep[i];
		memset(deep[i], 0xa5, sizeof(deep[i]));
	}
	b->ledger->ops[2].pages = &deep_pages;
	for (uint32_t i = 0; i < 2; i++) {
		b->ledger->keys[KEY_A + i] =
		    (struct kvr_key){ .op = 2, .room = (2 + i) * LAYERS * PLANES * ROW };
		b->ledger->places[KEY_A + i].run = 20 + i;
		b->ledger->places[KEY_A + i].tokens = 2 + i;
		b->ledger->runs[20 + i] = (struct kvr_run){ 4 + 8 * i, 2 + i };
	}
}

/* Key A and B in one part; their values take two pages each. */
static void
post_layers(struct bed *b, uint32_t part, bool out, uint32_t first, uint32_t n)
{
	struct kvr_msg m = { .type = KVR_MSG_COPY,
		.from = KVR_ID_TRANSFER,
		.to = KVR_ID_COPY,
		.n_rows = 2,
		.rows = kvr_part_rows(part),
		.part = part };

	m.COPY.to_caller = out;
	m.COPY.device = 1;
	m.COPY.by_layer = 1;
	m.COPY.layer = (uint16_t)first;
	m.COPY.n_layers = (uint16_t)n;
	for (uint32_t i = 0; i < 2; i++)
		row_of(b, part)[i] = (struct kvr_row){ .len = (2 + i) * LAYERS * PLANES * ROW,
			.key = KEY_A + i,
			.buf = part + 1 + 2 * i,
			.err = out ? KVR_OK : KVR_PENDING };
	ck_assert_int_eq(kvr_mailbox_post(b->domain.mailbox, &m), KVR_OK);
}

/* Where a token of key i stands in its value: [plane, layer, token]. */
static uint8_t *
in_value(struct bed *b, uint32_t part, uint32_t i, uint32_t plane, uint32_t layer)
{
	uint8_t *at = kvr_ledger_staging(b->ledger, part + 1 + 2 * i);

	return at + ((size_t)plane * LAYERS + layer) * (2 + i) * ROW;
}

static uint8_t *
in_deep(uint32_t i, uint32_t plane, uint32_t layer)
{
	return &deep[layer * PLANES + plane][(4 + 8 * i) * ROW];
}

static void
fill_values(struct bed *b, uint32_t part)
{
	for (uint32_t l = 0; l < LAYERS * PLANES * 2; l++)
		memset(in_value(b, part, l & 1, l >> 1 & 1, l >> 2), (int)(l + 1),
		    (size_t)(2 + (l & 1)) * ROW);
}

static bool
layer_is_there(struct bed *b, uint32_t part, uint32_t layer)
{
	bool there = true;

	for (uint32_t i = 0; i < 4; i++)
		there = there && memcmp(in_deep(i & 1, i >> 1, layer),
		                     in_value(b, part, i & 1, i >> 1, layer),
		                     (size_t)(2 + (i & 1)) * ROW) == 0;
	return there;
}

static uint32_t
landed(struct bed *b, uint32_t key)
{
	return atomic_load(&b->ledger->places[key].landed);
}

/* Until so many layers have landed; a minute is for ever. */
static void
lands(struct bed *b, uint32_t n)
{
	uint64_t until_ns = kvr_now_ns() + KVR_SEC(60);

	for (;;) {
		uint32_t seen = atomic_load(&b->ledger->bells[2]);

		if (landed(b, KEY_A) >= n && landed(b, KEY_B) >= n)
			return;
		ck_assert(kvr_sleep_on(&b->ledger->bells[2], seen, until_ns));
	}
}

/* A word for each mark that the device has reached, and behind it the layer; both keys, in order. */
START_TEST(a_layer_is_told_of_when_it_has_come)
{
	struct bed *b = bed_new(true);

	deepen(b);
	fill_values(b, 1);
	post_layers(b, 1, true, 0, 0);
	for (uint32_t n = 1; n <= 8; n++) {
		atomic_fetch_add(&device.done[KVR_WAY_OUT], 1);
		lands(b, n);
		ck_assert_uint_eq(landed(b, KEY_B), n); /* not one more: the next mark is not reached */
		ck_assert(layer_is_there(b, 1, n - 1));
	}
	atomic_store(&device.done[KVR_WAY_OUT], ENDLESS);
	is(b, 1, KVR_OK, false);
	ck_assert_uint_eq(landed(b, KEY_A), LAYERS);
	for (uint32_t l = 0; l < LAYERS; l++)
		ck_assert(layer_is_there(b, 1, l));
	ck_assert_uint_eq(deep[5][0], 0xa5);
	bed_free(b);
}
END_TEST

/* What was told before it is right, and nothing is told behind it. */
START_TEST(a_failure_between_layers_leaves_those_that_have_come)
{
	_Atomic uint32_t *const what[] = { &device.bad_poll, &device.bad_copy, &device.bad_mark };
	struct bed *b = bed_new(true);

	deepen(b);
	for (uint32_t i = 0; i < KVR_LEN(what); i++) {
		atomic_store(&device.done[KVR_WAY_OUT], 0);
		atomic_store(&b->ledger->places[KEY_A].landed, 0);
		atomic_store(&b->ledger->places[KEY_B].landed, 0);
		fill_values(b, 2);
		if (i > 0)
			atomic_store(what[i], 1);
		post_layers(b, 2, true, 0, 0);
		if (i == 0) { /* the fourth of its marks */
			atomic_fetch_add(&device.done[KVR_WAY_OUT], 3);
			lands(b, 3);
			atomic_store(what[i], 1);
		}
		atomic_store(&device.done[KVR_WAY_OUT], ENDLESS);
		is(b, 2, KVR_E_DEVICE, false);
		ck_assert_uint_eq(landed(b, KEY_A), i == 0 ? 3 : 0);
		ck_assert_uint_eq(landed(b, KEY_B), i == 0 ? 3 : 0);
		ck_assert(i > 0 || layer_is_there(b, 2, 2));
	}
	post_layers(b, 5, true, 0, 0); /* the next part has nothing of it */
	is(b, 5, KVR_OK, false);
	bed_free(b);
}
END_TEST

/* Behind the copies and in front of their end; the event is recorded by then. */
START_TEST(a_part_that_tells_says_that_it_has_begun)
{
	struct bed *b = bed_new(true);
	int event;

	b->ledger->ops[0].recorded = &event;
	atomic_store(&device.recorded, NULL);
	atomic_store(&device.records, 0);
	post_that(b, 1, 4, VALUE, true, true, true);
	has_begun(b, 1);
	ck_assert_ptr_eq(atomic_load(&device.recorded), &event);
	atomic_store(&device.done[KVR_WAY_OUT], 1);
	is(b, 1, KVR_OK, false);
	/* Its row is as it will be. */
	post_that(b, 2, 4, VALUE + 1, true, true, true);
	has_begun(b, 2);
	ck_assert_int_eq(row_of(b, 2)->err, KVR_E_LENGTH);
	atomic_store(&device.done[KVR_WAY_OUT], 1);
	is(b, 2, KVR_OK, false);
	/* What fails has not begun, and neither has what could not be recorded. */
	atomic_store(&device.bad_copy, 1);
	atomic_store(&device.done[KVR_WAY_OUT], 2);
	post_that(b, 3, 4, VALUE, true, true, true);
	is(b, 3, KVR_E_DEVICE, false);
	atomic_store(&device.bad_record, 1);
	post_that(b, 4, 4, VALUE, true, true, true);
	is(b, 4, KVR_E_DEVICE, false);
	ck_assert_uint_eq(atomic_load(&device.records), 3);
	/* Nothing is recorded for those that do not tell; the host tells and has no events. */
	atomic_store(&device.done[KVR_WAY_OUT], 1);
	post(b, 5, 4, VALUE, true, true);
	is(b, 5, KVR_OK, false);
	ck_assert_uint_eq(atomic_load(&device.records), 3);
	b->ledger->ops[0].recorded = NULL;
	post_that(b, 6, 4, VALUE, true, false, true);
	has_begun(b, 6);
	is(b, 6, KVR_OK, false);
	bed_free(b);
}
END_TEST

/* Only the layers that are asked for are read, each behind its event. */
START_TEST(a_put_fetches_the_layers_that_are_ready)
{
	struct bed *b = bed_new(true);
	uint8_t *stage_a = kvr_ledger_staging(b->ledger, 2), *stage_b = kvr_ledger_staging(b->ledger, 4);

	deepen(b);
	atomic_store(&device.done[KVR_WAY_IN], ENDLESS);
	for (uint32_t at = 0, n = 1; at < LAYERS; at += n, n = KVR_MIN(2 * n, LAYERS - at)) {
		for (uint32_t l = at; l < at + n; l++)
			for (uint32_t i = 0; i < 4; i++)
				memset(in_deep(i & 1, i >> 1, l), (int)(l * 4 + i), (size_t)(2 + (i & 1)) * ROW);
		memset(stage_a, 0x5a, 2 * KVR_PAGE);
		memset(stage_b, 0x5a, 2 * KVR_PAGE);
		kvr_ledger_events(b->ledger, 2)[at] = &deep[at];
		post_layers(b, 1, false, at, n);
		is(b, 1, KVR_OK, false);
		ck_assert_ptr_eq(atomic_load(&device.event), &deep[at]);
		for (uint32_t l = 0; l < LAYERS; l++)
			for (uint32_t i = 0; i < 4; i++)
				ck_assert_uint_eq(*in_value(b, 1, i & 1, i >> 1, l),
				    l >= at && l < at + n ? (uint8_t)(l * 4 + i) : 0x5a);
		ck_assert((row_of(b, 1)->flags & KVR_ROW_STAGED) != 0);
	}
	bed_free(b);
}
END_TEST

/* A value of a wrong length is its key's affair; the other key goes its way, layer by layer. */
START_TEST(a_row_that_does_not_fit_has_no_layers)
{
	struct bed *b = bed_new(true);

	deepen(b);
	atomic_store(&device.done[KVR_WAY_OUT], ENDLESS);
	b->ledger->keys[KEY_A].room = ROW;
	fill_values(b, 1);
	post_layers(b, 1, true, 0, 0);
	is(b, 1, KVR_OK, false);
	ck_assert_int_eq(row_of(b, 1)[0].err, KVR_E_LENGTH);
	ck_assert_uint_eq(landed(b, KEY_A), 0);
	ck_assert_uint_eq(landed(b, KEY_B), LAYERS);
	bed_free(b);
}
END_TEST

KVR_CHECK_MAIN("actors.copy", a_layer_is_told_of_when_it_has_come,
    a_failure_between_layers_leaves_those_that_have_come, a_put_fetches_the_layers_that_are_ready,
    a_row_that_does_not_fit_has_no_layers, a_part_that_tells_says_that_it_has_begun,
    spans_and_tokens_are_copied_both_ways, a_length_that_does_not_fit_is_the_rows_own_error,
    each_way_ends_in_order_and_for_itself, a_part_waits_for_the_event_of_its_operation,
    a_failure_has_the_calls_name_and_costs_one_part, a_lost_device_says_so_and_the_host_goes_on,
    a_device_that_cannot_be_opened_is_a_lost_one, the_end_waits_for_what_runs)
