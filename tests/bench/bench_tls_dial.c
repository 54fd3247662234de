/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a dial over TLS costs that goes on with a session, beside one with a full handshake, in turn
 * and against the same server: bench_tls_dial [rounds]. From the socket to the answer to a PING;
 * prints medians, the CPU time that this side had of them, and the ratios.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kvr_control.h"
#include "kvr_median.h"
#include "kvr_stream_tls.h"
#include "kvr_test_ca.h"

enum { ROUNDS_MAX = 999 };

enum how { FULL, RESUMED, HOW_N };

struct figure {
	double us[ROUNDS_MAX], cpu_us[ROUNDS_MAX];
};

static struct kvr_sock sock;

_Noreturn static void
give_up(const char *what)
{
	fprintf(stderr, "bench_tls_dial: %s\n", what);
	exit(1);
}

static struct kvr_tls *
open_tls(const struct kvr_tls_server *server, const char *crl)
{
	const struct kvr_tls_opts opts = { .ca = server->ca, .crl = crl };
	struct kvr_tls *tls = NULL;
	char why[256];
	if (kvr_tls_open(&opts, &tls, why, sizeof(why)) != KVR_OK)
		give_up(why);
	return tls;
}

static double
cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
dial(struct kvr_tls *tls, uint16_t port, enum how how, double *ret_us, double *ret_cpu_us)
{
	struct kvr_control reply;
	double cpu = cpu_us();
	uint64_t from = kvr_now_ns(), until_ns = from + KVR_SEC(20);
	if (kvr_stream_dial_tcp(&sock, "127.0.0.1", port, until_ns, NULL) != KVR_OK ||
	    kvr_stream_tls(&sock, tls, "127.0.0.1", until_ns) != KVR_OK ||
	    kvr_stream_begin(&sock, until_ns, KVR_STREAM_AHEAD) != KVR_OK ||
	    kvr_control(&sock, 1, (const char *const[]){ "PING" }, &reply) != KVR_OK)
		give_up(sock.why);
	*ret_us = (double)(kvr_now_ns() - from) / 1e3;
	*ret_cpu_us = cpu_us() - cpu;
	if (kvr_stream_tls_resumed(&sock) != (how == RESUMED))
		give_up(how == RESUMED ? "a full handshake" : "a resumed one");
	kvr_stream_hang_up(&sock);
}

static void
bench(const struct kvr_tls_server *server, const char *what, const char *crl, int rounds)
{
	static struct figure f[HOW_N];
	double us[HOW_N], cpu[HOW_N], first[2];
	struct kvr_tls *kept = open_tls(server, crl);
	dial(kept, server->port, FULL, &first[0], &first[1]);
	for (int r = 0; r < rounds; r++) {
		/* Who has no session yet cannot go on with one. */
		struct kvr_tls *fresh = open_tls(server, crl);
		dial(fresh, server->port, FULL, &f[FULL].us[r], &f[FULL].cpu_us[r]);
		kvr_tls_close(fresh);
		dial(kept, server->port, RESUMED, &f[RESUMED].us[r], &f[RESUMED].cpu_us[r]);
	}
	kvr_tls_close(kept);
	for (int how = 0; how < HOW_N; how++) {
		us[how] = kvr_median(f[how].us, rounds);
		cpu[how] = kvr_median(f[how].cpu_us, rounds);
	}
	printf("dial, %-24s full %6.0f us, own CPU %5.0f us; resumed %6.0f us, %5.0f us; "
	       "resumed to full %4.2f, CPU %4.2f\n",
	    what, us[FULL], cpu[FULL], us[RESUMED], cpu[RESUMED], us[RESUMED] / us[FULL],
	    cpu[RESUMED] / cpu[FULL]);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 10;
	if (rounds < 1 || rounds > ROUNDS_MAX)
		give_up("rounds: 1 to 999");
	if (kvr_tls_missing()) {
		fprintf(stderr, "not run: openssl or a redis-server with TLS is missing\n");
		return 77;
	}
	struct kvr_test_ca *ca = kvr_test_ca_make("bench");
	char crl[96];
	kvr_test_ca_sign(ca, "p256", "IP:127.0.0.1", 2);
	kvr_test_ca_sign(ca, "rsa", "IP:127.0.0.1", 2);
	kvr_test_ca_crl(ca, "list.crl", NULL, false);
	snprintf(crl, sizeof(crl), "%s", kvr_test_ca_file(ca, "list.crl"));
	kvr_test_ca_sh(ca, "openssl req -newkey rsa:2048 -noenc -keyout rsa.key -out rsa.csr "
	    "-subj /CN=rsa && openssl x509 -req -in rsa.csr -CA ca.pem -CAkey ca.key -out rsa.pem "
	    "-days 2 -extfile rsa.ext -set_serial 7");
	for (int rsa = 0; rsa < 2; rsa++) {
		const char *name = rsa ? "rsa" : "p256";
		struct kvr_tls_server *server = kvr_tls_server_start(ca, name, "no", NULL, NULL);
		bench(server, rsa ? "RSA 2048" : "P-256", NULL, rounds);
		bench(server, rsa ? "RSA 2048, with a CRL" : "P-256, with a CRL", crl, rounds);
		kvr_tls_server_stop(server);
	}
	kvr_test_ca_drop(ca);
	return 0;
}
