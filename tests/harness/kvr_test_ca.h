/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate authority for one test program, in a directory of its own, and a redis-server that
 * speaks TLS with what it signs. Everything is made by the openssl command when the test runs, so
 * nothing of it can expire in the repository. A test file says KVR_NEEDS_TLS once: where openssl or
 * a redis-server with TLS is missing it then exits with 77.
 *
 * A function that cannot do its work ends the program with a message.
 */
#ifndef KVR_HARNESS_TEST_CA_H
#define KVR_HARNESS_TEST_CA_H

#include "kvr_redis_server.h"

struct kvr_test_ca {
	char     dir[64];
	pid_t    maker; /* only it takes the directory away */
	unsigned serial;
};

/* ca.pem and ca.key. */
struct kvr_test_ca *kvr_test_ca_make(const char *name);
void kvr_test_ca_drop(struct kvr_test_ca *take); /* NULL, and in another process: nothing */

/* NAME.pem and NAME.key. alt: "DNS:localhost,IP:127.0.0.1". days: how long it is good, -1: it was. */
void kvr_test_ca_sign(struct kvr_test_ca *, const char *name, const char *alt, int days);
/*
 * FILE: the list of what has been revoked, with NAME.pem on it from now on; NULL: nobody new.
 * is_old: one whose time is over.
 */
void kvr_test_ca_crl(
    const struct kvr_test_ca *, const char *file, const char *name, bool is_old);
/* A shell command in that directory, which must succeed. */
void kvr_test_ca_sh(const struct kvr_test_ca *, const char *command);
/* The path of a file of it; one of the last eight that were asked for. */
const char *kvr_test_ca_file(const struct kvr_test_ca *, const char *file);

struct kvr_tls_server {
	struct kvr_redis_server *redis; /* it has a plain port too */
	uint16_t    port;
	char        url[64];  /* rediss://127.0.0.1:port */
	char        port_text[8], cert[96], key[96], ca[96];
	const char *args[32];
};

/* clients: what it asks of them, "no", "optional" or "yes". more: further options, or NULL. */
struct kvr_tls_server *kvr_tls_server_start(const struct kvr_test_ca *, const char *cert,
    const char *clients, const char *password, const char *const *more);
void kvr_tls_server_stop(struct kvr_tls_server *take);

int kvr_tls_missing(void);

#define KVR_NEEDS_TLS \
	__attribute__((constructor)) static void kvr_needs_tls(void) \
	{ \
		if (kvr_tls_missing()) { \
			fprintf(stderr, "not run: openssl or a redis-server with TLS is missing\n"); \
			_exit(77); \
		} \
	}

#endif
