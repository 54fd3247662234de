/* SPDX-License-Identifier: Apache-2.0 */
/* Which session a dial goes on with, and how long one is kept. What a session is plays no part. */
#include "kvr_check.h"
#include "kvr_tls_keep.h"
#include "kvr_tls_lib.h"

#include <stdio.h>

enum { N = 200 };

struct kvr_tls_session {
	int freed;
};

static struct kvr_tls_session session[N];
static struct kvr_tls_keep    keep;

void
kvr_tls_session_free(struct kvr_tls_session *take)
{
	if (take != NULL)
		take->freed++;
}

static void
begin(void)
{
	memset(session, 0, sizeof(session));
	memset(&keep, 0, sizeof(keep));
}

static struct kvr_tls_peer
peer(const char *name, uint8_t at)
{
	struct kvr_tls_peer p;
	memset(&p, 0, sizeof(p));
	snprintf(p.name, sizeof(p.name), "%s", name);
	memset(&p.at, at, sizeof(p.at));
	return p;
}

static void
put(uint32_t i, const struct kvr_tls_peer *p, uint64_t proved_ns, uint64_t now_ns)
{
	kvr_tls_keep_put(&keep, p, (struct kvr_tls_kept){ &session[i], proved_ns }, now_ns);
}

/* Its number; -1: none. */
static int
take(const struct kvr_tls_peer *p, uint64_t now_ns)
{
	struct kvr_tls_kept kept = kvr_tls_keep_take(&keep, p, now_ns);
	return kept.session != NULL ? (int)(kept.session - session) : -1;
}

START_TEST(the_newest_of_the_same_name_and_address)
{
	const struct kvr_tls_peer a = peer("a", 1), b = peer("b", 1), other = peer("a", 2);
	begin();
	put(0, &a, 10, 10);
	put(1, &b, 20, 20);
	put(2, &a, 30, 30);
	put(3, &other, 40, 40);
	ck_assert_int_eq(take(&a, 50), 2);
	ck_assert_int_eq(take(&a, 50), 0);
	ck_assert_int_eq(take(&a, 50), -1);
	ck_assert_int_eq(take(&b, 50), 1);
	ck_assert_int_eq(take(&other, 50), 3);
	ck_assert_uint_eq(keep.n, 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(session[i].freed, 0);
}
END_TEST

START_TEST(an_hour_after_the_certificate_was_shown_it_is_over)
{
	const struct kvr_tls_peer a = peer("a", 1);
	begin();
	put(0, &a, 1000, 1000);
	ck_assert_int_eq(take(&a, 1000 + KVR_TLS_KEEP_NS - 1), 0);
	/* It went on and came back, and is no younger for it. */
	put(0, &a, 1000, 1000 + KVR_TLS_KEEP_NS - 1);
	put(1, &a, 999, 1000 + KVR_TLS_KEEP_NS - 2);
	ck_assert_int_eq(take(&a, 1000 + KVR_TLS_KEEP_NS), -1);
	put(2, &a, 1000, 1000 + KVR_TLS_KEEP_NS);
	ck_assert_uint_eq(keep.n, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(session[i].freed, 1);
}
END_TEST

START_TEST(there_are_never_more_than_the_slots)
{
	const struct kvr_tls_peer a = peer("a", 1), b = peer("b", 1);
	begin();
	for (uint32_t i = 0; i < N; i++)
		put(i, i % 2 == 0 ? &a : &b, 5, 5);
	ck_assert_uint_eq(keep.n, KVR_TLS_KEEP_MAX);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_int_eq(session[i].freed, i < N - KVR_TLS_KEEP_MAX);
	ck_assert_int_eq(take(&a, 5), N - 2);
	kvr_tls_keep_forget(&keep, &a);
	ck_assert_int_eq(take(&a, 5), -1);
	ck_assert_uint_eq(keep.n, KVR_TLS_KEEP_MAX / 2);
	kvr_tls_keep_forget(&keep, NULL);
	ck_assert_uint_eq(keep.n, 0);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_int_eq(session[i].freed, i != N - 2);
}
END_TEST

KVR_CHECK_MAIN("wire.tls_keep", the_newest_of_the_same_name_and_address,
    an_hour_after_the_certificate_was_shown_it_is_over, there_are_never_more_than_the_slots)
