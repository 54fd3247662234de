/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rediss:// beside a client that is nothing but blocking OpenSSL calls, and beside the same
 * connector without TLS, in turns and against the same server: bench_redis_tls [rounds]. Prints
 * GB/s, CPU seconds per GB and the ratios of medians; every byte that was read is checked.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "kvr_connectors.h"
#include "kvr_median.h"
#include "kvr_test_ca.h"

#include <openssl/ssl.h>

enum { ROUNDS_MAX = 99, IN_FLIGHT = 4 };

enum who { RAW, TLS, PLAIN, WHO_N };

static const char *const names[WHO_N] = { "raw TLS", "connector TLS", "connector plain" };

struct figure {
	double gbps[ROUNDS_MAX], cpu[ROUNDS_MAX];
	int    n;
};

struct work {
	uint32_t              n;
	size_t                len;
	struct kvr_item      *items;
	struct kvr_meta       meta;
	char                (*keys)[32];
	uint8_t              *bytes;
	struct kvr_connector *lane[WHO_N];
	SSL                  *ssl;
};

_Noreturn static void
give_up(const char *what)
{
	fprintf(stderr, "bench_redis_tls: %s\n", what);
	exit(1);
}

static void
raw_send(struct work *w, const void *at, size_t len)
{
	size_t n = 0;
	if (SSL_write_ex(w->ssl, at, len, &n) != 1 || n != len)
		give_up("raw client: send failed");
}

static void
raw_recv(struct work *w, void *to, size_t len)
{
	uint8_t *at = to;
	while (len > 0) {
		size_t n = 0;
		if (SSL_read_ex(w->ssl, at, len, &n) != 1)
			give_up("raw client: receive failed");
		at += n;
		len -= n;
	}
}

static void
raw_get(struct work *w)
{
	char head[32], got[32], cmd[96], end[2];
	size_t head_len = (size_t)snprintf(head, sizeof(head), "$%zu\r\n", w->len);
	uint32_t asked = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		for (; asked < w->n && asked < i + IN_FLIGHT; asked++)
			raw_send(w, cmd,
			    (size_t)snprintf(cmd, sizeof(cmd), "*2\r\n$3\r\nGET\r\n$%u\r\n%s\r\n",
			        w->items[asked].key_len, w->keys[asked]));
		raw_recv(w, got, head_len);
		if (memcmp(got, head, head_len) != 0)
			give_up("raw client: not the length that was stored");
		raw_recv(w, w->items[i].span.at, w->len);
		raw_recv(w, end, 2);
	}
}

static void
raw_put(struct work *w)
{
	char cmd[128], got[5];
	uint32_t acked = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		raw_send(w, cmd,
		    (size_t)snprintf(cmd, sizeof(cmd), "*3\r\n$3\r\nSET\r\n$%u\r\n%s\r\n$%zu\r\n",
		        w->items[i].key_len, w->keys[i], w->len));
		raw_send(w, w->items[i].span.at, w->len);
		raw_send(w, "\r\n", 2);
		for (; i - acked >= IN_FLIGHT; acked++)
			raw_recv(w, got, 5);
	}
	for (; acked < w->n; acked++)
		raw_recv(w, got, 5);
}

static void
run(struct work *w, enum who who, enum kvr_verb verb)
{
	if (who == RAW && verb == KVR_VERB_GET) {
		raw_get(w);
		return;
	}
	if (who == RAW) {
		raw_put(w);
		return;
	}
	for (uint32_t i = 0; i < w->n; i++)
		atomic_store(&w->items[i].status, KVR_PENDING);
	enum kvr_err err = kvr_redis_ops.run(
	    w->lane[who], verb, w->items, w->n, kvr_now_ns() + KVR_SEC(60));
	if (err != KVR_OK)
		give_up(kvr_redis_ops.why(w->lane[who]));
	for (uint32_t i = 0; i < w->n; i++)
		if (kvr_item_status(&w->items[i]) != KVR_OK)
			give_up(kvr_err_name(kvr_item_status(&w->items[i])));
}

static uint64_t
word(uint32_t i, size_t k)
{
	return (uint64_t)(i + 1) * UINT64_C(0x9e3779b97f4a7c15) + k;
}

static void
fill(struct work *w, bool wipe)
{
	for (uint32_t i = 0; i < w->n; i++) {
		uint64_t *at = w->items[i].span.at;
		for (size_t k = 0; k < w->len / 8; k++)
			at[k] = wipe ? 0 : word(i, k);
	}
}

static void
verify(const struct work *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		const uint64_t *at = w->items[i].span.at;
		for (size_t k = 0; k < w->len / 8; k++)
			if (at[k] != word(i, k))
				give_up("wrong bytes came back");
	}
}

static double
cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
timed(struct work *w, enum who who, enum kvr_verb verb, struct figure *f)
{
	fill(w, verb == KVR_VERB_GET);
	double cpu = cpu_s();
	uint64_t from = kvr_now_ns();
	run(w, who, verb);
	double s = (double)(kvr_now_ns() - from) / 1e9;
	double gb = (double)w->n * (double)w->len / 1e9;
	f->cpu[f->n] = (cpu_s() - cpu) / gb;
	f->gbps[f->n++] = gb / s;
	if (verb == KVR_VERB_GET)
		verify(w);
}

static void
print(const struct work *w, const char *verb, struct figure f[WHO_N])
{
	double m[WHO_N];
	printf("%s %3u x %5zu KiB", verb, w->n, w->len >> 10);
	for (int who = 0; who < WHO_N; who++) {
		m[who] = kvr_median(f[who].gbps, f[who].n);
		printf("  %s %4.2f GB/s %4.2f s/GB", names[who], m[who],
		    kvr_median(f[who].cpu, f[who].n));
	}
	printf("  TLS to raw %4.2f, to plain %4.2f\n", m[TLS] / m[RAW], m[TLS] / m[PLAIN]);
}

static void
bench(struct work *w, int rounds)
{
	struct figure put[WHO_N] = { { .n = 0 } }, get[WHO_N] = { { .n = 0 } };
	w->items = calloc(w->n, sizeof(*w->items));
	w->keys = calloc(w->n, sizeof(*w->keys));
	w->bytes = aligned_alloc(4096, w->n * w->len);
	if (w->items == NULL || w->keys == NULL || w->bytes == NULL)
		give_up("no memory");
	for (uint32_t i = 0; i < w->n; i++) {
		w->items[i].key_len = (uint32_t)snprintf(w->keys[i], sizeof(w->keys[i]), "b:%u", i);
		w->items[i].key = w->keys[i];
		w->items[i].meta = &w->meta;
		w->items[i].span = (struct kvr_span){ w->bytes + i * w->len, w->len };
		w->items[i].raw_len = w->len;
	}
	fill(w, false);
	run(w, RAW, KVR_VERB_PUT);
	for (int r = 0; r < rounds; r++)
		for (int who = 0; who < WHO_N; who++) {
			timed(w, (enum who)who, KVR_VERB_PUT, &put[who]);
			timed(w, (enum who)who, KVR_VERB_GET, &get[who]);
		}
	print(w, "SET", put);
	print(w, "GET", get);
	run(w, PLAIN, KVR_VERB_DEL);
	free(w->items);
	free(w->keys);
	free(w->bytes);
}

static SSL *
connect_raw(const struct kvr_tls_server *server)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(server->port) };
	const int on = 1;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		give_up("raw client: connect failed");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
	if (ssl == NULL || SSL_CTX_load_verify_file(ctx, server->ca) != 1 ||
	    SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
		give_up("raw client: no TLS");
	SSL_CTX_free(ctx);
	return ssl;
}

static struct kvr_store *
dial(struct work *w, enum who who, const struct kvr_tls_server *server)
{
	struct kvr_store_opts opts = { .tier = "bench", .format = KVR_FORMAT_BARE,
		.url = who == TLS ? server->url : server->redis->url };
	struct kvr_store *store = NULL;
	char why[256];
	opts.tls.ca = who == TLS ? server->ca : NULL;
	if (kvr_redis_ops.open(&opts, &store, why, sizeof(why)) != KVR_OK ||
	    kvr_redis_ops.dial(store, kvr_now_ns() + KVR_SEC(10), NULL, &w->lane[who], why,
	        sizeof(why)) != KVR_OK)
		give_up(why);
	return store;
}

int
main(int argc, char **argv)
{
	static const struct {
		uint32_t n;
		size_t   len;
	} shapes[] = { { 64, 64 << 10 }, { 64, 1 << 20 }, { 16, 4 << 20 }, { 4, 16 << 20 } };
	int rounds = argc > 1 ? atoi(argv[1]) : 3;
	struct kvr_store *store[WHO_N] = { NULL };
	if (rounds < 1 || rounds > ROUNDS_MAX)
		give_up("rounds: 1 to 99");
	if (kvr_tls_missing()) {
		fprintf(stderr, "not run: openssl or a redis-server with TLS is missing\n");
		return 77;
	}
	struct kvr_test_ca *ca = kvr_test_ca_make("bench");
	kvr_test_ca_sign(ca, "server", "IP:127.0.0.1", 2);
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct work w = { .ssl = connect_raw(server) };
	store[TLS] = dial(&w, TLS, server);
	store[PLAIN] = dial(&w, PLAIN, server);
	for (size_t i = 0; i < KVR_LEN(shapes); i++) {
		w.n = shapes[i].n;
		w.len = shapes[i].len;
		bench(&w, rounds);
	}
	for (int who = TLS; who < WHO_N; who++) {
		kvr_redis_ops.hang_up(w.lane[who]);
		kvr_redis_ops.close(store[who]);
	}
	int fd = SSL_get_fd(w.ssl);
	SSL_free(w.ssl);
	close(fd);
	kvr_tls_server_stop(server);
	kvr_test_ca_drop(ca);
	return 0;
}
