/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that are replaced while lanes dial, stay up, and dial again. */
#include "kvr_tls_bed.h"

#include <pthread.h>

/* Certificates live for weeks, processes for months. */
START_TEST(replaced_files_count_from_the_next_dial)
{
	char path[128];
	struct bed b;
	struct kvr_test_ca *own = kvr_test_ca_make("first");
	kvr_test_ca_sign(own, "server", "IP:127.0.0.1", 2);
	struct kvr_tls_server *server = kvr_tls_server_start(own, "server", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	bed_up(&b, &opts);
	kvr_test_ca_sh(own, "cp ca.pem first.pem && openssl req -x509 -newkey ec -pkeyopt "
	    "ec_paramgen_curve:P-256 -noenc -keyout ca.key -out new.pem -days 2 -subj /CN=second");
	kvr_test_ca_sh(own, "mv new.pem ca.pem");
	kvr_test_ca_sign(own, "server", "IP:127.0.0.1", 2);
	kvr_redis_server_restart(server->redis);
	b.ops->hang_up(b.lane);
	b.lane = NULL;
	enum kvr_err err =
	    b.ops->dial(b.store, bed_in(BED_LONG), &b.kick, &b.lane, b.why, sizeof(b.why));
	ck_assert_msg(err == KVR_OK, "%s", b.why);
	tls_round_trip(&b, 2, 1000);
	snprintf(path, sizeof(path), "%s", kvr_test_ca_file(own, "ca.pem"));
	kvr_test_ca_sh(own, "echo rubbish > ca.pem");
	struct kvr_connector *second = NULL;
	err = b.ops->dial(b.store, bed_in(BED_LONG), &b.kick, &second, b.why, sizeof(b.why));
	ck_assert_int_eq(err, KVR_E_CONFIG);
	ck_assert_msg(strstr(b.why, path) != NULL, "%s", b.why);
	/* Who is up stays up. */
	tls_round_trip(&b, 2, 1000);
	bed_down(&b);
	kvr_tls_server_stop(server);
	kvr_test_ca_drop(own);
}
END_TEST

enum { THREADS = 6 };

struct caller {
	pthread_t         thread;
	struct kvr_store *store;
	uint32_t          number;
};

static void *
dial_and_run(void *arg)
{
	const struct caller *me = arg;
	for (uint32_t turn = 0; turn < 4; turn++) {
		struct bed b = { .ops = &kvr_redis_ops, .store = me->store };
		b.kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		enum kvr_err err = b.ops->dial(
		    b.store, bed_in(BED_LONG), &b.kick, &b.lane, b.why, sizeof(b.why));
		ck_assert_msg(err == KVR_OK, "%s", b.why);
		struct load l = load_new(4, 40000);
		for (uint32_t i = 0; i < l.n; i++)
			l.items[i].key_len = (uint32_t)snprintf(
			    l.keys[i], sizeof(l.keys[i]), "t%u.%u.%u", me->number, turn, i);
		bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
		load_wipe(&l);
		bed_ok(&b, KVR_VERB_GET, l.items, l.n);
		for (uint32_t i = 0; i < l.n; i++)
			ck_assert(load_same(&l, i));
		load_free(&l);
		b.ops->hang_up(b.lane);
		close(b.kick.fd);
	}
	return NULL;
}

START_TEST(lanes_dial_at_once_while_files_change)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_SEALED);
	struct caller callers[THREADS];
	struct bed b;
	kvr_test_ca_sh(ca, "cp ca.pem moving.pem");
	opts.tls.ca = kvr_test_ca_file(ca, "moving.pem");
	bed_up(&b, &opts);
	for (uint32_t i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){ .store = b.store, .number = i };
		ck_assert_int_eq(
		    pthread_create(&callers[i].thread, NULL, dial_and_run, &callers[i]), 0);
	}
	for (int i = 0; i < 5; i++)
		kvr_test_ca_sh(ca, "cp ca.pem next.pem && mv next.pem moving.pem");
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(callers[i].thread, NULL);
	bed_down(&b);
	kvr_tls_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_tls_files", replaced_files_count_from_the_next_dial,
    lanes_dial_at_once_while_files_change)
