/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real redis-server for one test: on a free loopback port and on a Unix socket, in a directory of
 * its own, without persistence. It dies with the process that started it. A test file that needs
 * one says KVR_NEEDS_REDIS once; where redis-server is not installed it then exits with 77, which
 * CTest reports as not run. The environment's KVR_TEST_SERVER names another server that speaks the
 * same protocol and takes the same options.
 *
 * A function that cannot do its work ends the test with a message.
 */
#ifndef KVR_HARNESS_REDIS_SERVER_H
#define KVR_HARNESS_REDIS_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

struct kvr_redis_server {
	pid_t       pid; /* 0: not running */
	uint16_t    port;
	char        dir[64];
	char        sock[96];     /* path of the Unix socket */
	char        url[64];      /* redis://127.0.0.1:port */
	char        unix_url[128]; /* unix:///path */
	const char *password;
	const char *const *args;
	bool        is_sentinel;
};

/* password: NULL for none. args: more of the server's options, NULL-terminated; NULL: none. */
struct kvr_redis_server *kvr_redis_server_start(const char *password, const char *const *args);
/* A sentinel; conf is the text of its configuration, which it writes to as it goes. */
struct kvr_redis_server *kvr_redis_sentinel_start(const char *conf, const char *const *args);
void kvr_redis_server_stop(struct kvr_redis_server *take); /* NULL is fine */

void kvr_redis_server_pause(struct kvr_redis_server *); /* SIGSTOP; returns when it stands still */
void kvr_redis_server_resume(struct kvr_redis_server *);
void kvr_redis_server_kill(struct kvr_redis_server *);    /* SIGKILL; returns when it is gone */
void kvr_redis_server_restart(struct kvr_redis_server *); /* on the same port, empty */

int kvr_redis_server_missing(void);
const char *kvr_redis_server_program(void);

#define KVR_NEEDS_REDIS \
	__attribute__((constructor)) static void kvr_needs_redis(void) \
	{ \
		if (kvr_redis_server_missing()) { \
			fprintf(stderr, "not run: %s is not installed\n", \
			    kvr_redis_server_program()); \
			_exit(77); \
		} \
	}

#endif
