/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Redis connector beside a client that is nothing but socket calls, in turns and against the
 * same server: bench_redis_raw [rounds]. Prints GB/s, CPU seconds per GB and the ratio of medians.
 *
 * The raw client does what measured fastest and no more: as many requests in flight as the
 * connector allows itself, receives of 64 KiB straight into the destination, writes of 1 MiB.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kvr_connectors.h"
#include "kvr_redis_server.h"

enum { ROUNDS_MAX = 99, RAW_SLICE = 65536, RAW_PIECE = 1 << 20, IN_FLIGHT = 4 };

struct shape {
	uint32_t n;
	size_t   len;
};

struct figure {
	double gbps[ROUNDS_MAX], cpu[ROUNDS_MAX];
	int    n;
};

struct work {
	struct shape          shape;
	struct kvr_item      *items;
	struct kvr_meta       meta;
	char                (*keys)[32];
	uint8_t              *bytes;
	struct kvr_connector *lane;
	int                   fd;
};

_Noreturn static void
give_up(const char *what)
{
	fprintf(stderr, "bench_redis_raw: %s\n", what);
	exit(1);
}

static void
raw_send(int fd, struct iovec *iov, int n)
{
	while (n > 0) {
		struct iovec one = *iov;
		if (one.iov_len > RAW_PIECE)
			one.iov_len = RAW_PIECE;
		struct iovec *at = one.iov_len < iov->iov_len ? &one : iov;
		ssize_t sent = writev(fd, at, at == iov ? n : 1);
		if (sent <= 0)
			give_up("raw client: send failed");
		while (n > 0 && (size_t)sent >= iov->iov_len) {
			sent -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + sent;
			iov->iov_len -= (size_t)sent;
		}
	}
}

static void
raw_recv(int fd, void *to, size_t len)
{
	uint8_t *at = to;
	while (len > 0) {
		ssize_t n = recv(fd, at, len < RAW_SLICE ? len : RAW_SLICE, 0);
		if (n <= 0)
			give_up("raw client: receive failed");
		at += n;
		len -= (size_t)n;
	}
}

static void
raw_ask(struct work *w, uint32_t i)
{
	char cmd[96];
	int len = snprintf(
	    cmd, sizeof(cmd), "*2\r\n$3\r\nGET\r\n$%u\r\n%s\r\n", w->items[i].key_len, w->keys[i]);
	struct iovec iov = { cmd, (size_t)len };
	raw_send(w->fd, &iov, 1);
}

static void
raw_get(struct work *w)
{
	char head[32];
	size_t head_len = (size_t)snprintf(head, sizeof(head), "$%zu\r\n", w->shape.len);
	uint32_t asked = 0;
	for (uint32_t i = 0; i < w->shape.n; i++) {
		while (asked < w->shape.n && asked < i + IN_FLIGHT)
			raw_ask(w, asked++);
		char got[32], end[2];
		raw_recv(w->fd, got, head_len);
		if (memcmp(got, head, head_len) != 0)
			give_up("raw client: not the length that was stored");
		raw_recv(w->fd, w->items[i].span.at, w->shape.len);
		raw_recv(w->fd, end, 2);
	}
}

static void
raw_put(struct work *w)
{
	char got[5];
	uint32_t acked = 0;
	for (uint32_t i = 0; i < w->shape.n; i++) {
		char cmd[128];
		int len = snprintf(cmd, sizeof(cmd), "*3\r\n$3\r\nSET\r\n$%u\r\n%s\r\n$%zu\r\n",
		    w->items[i].key_len, w->keys[i], w->shape.len);
		char end[] = "\r\n";
		struct iovec iov[3] = { { cmd, (size_t)len },
			w->items[i].span.at == NULL
			    ? (struct iovec){ NULL, 0 }
			    : (struct iovec){ w->items[i].span.at, w->shape.len },
			{ end, 2 } };
		raw_send(w->fd, iov, 3);
		for (; i - acked >= IN_FLIGHT; acked++)
			raw_recv(w->fd, got, 5);
	}
	for (; acked < w->shape.n; acked++)
		raw_recv(w->fd, got, 5);
}

static void
ours(struct work *w, enum kvr_verb verb)
{
	for (uint32_t i = 0; i < w->shape.n; i++)
		atomic_store(&w->items[i].status, KVR_PENDING);
	enum kvr_err err =
	    kvr_redis_ops.run(w->lane, verb, w->items, w->shape.n, kvr_now_ns() + KVR_SEC(60));
	if (err != KVR_OK)
		give_up(kvr_redis_ops.why(w->lane));
	for (uint32_t i = 0; i < w->shape.n; i++)
		if (kvr_item_status(&w->items[i]) != KVR_OK)
			give_up(kvr_err_name(kvr_item_status(&w->items[i])));
}

static void
ours_get(struct work *w)
{
	ours(w, KVR_VERB_GET);
}

static void
ours_put(struct work *w)
{
	ours(w, KVR_VERB_PUT);
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
fill(struct work *w, bool wipe)
{
	for (uint32_t i = 0; i < w->shape.n; i++) {
		uint64_t *at = w->items[i].span.at;
		for (size_t k = 0; k < w->shape.len / 8; k++)
			at[k] = wipe ? 0 : (uint64_t)(i + 1) * UINT64_C(0x9e3779b97f4a7c15) + k;
	}
}

static void
verify(const struct work *w)
{
	for (uint32_t i = 0; i < w->shape.n; i++) {
		const uint64_t *at = w->items[i].span.at;
		for (size_t k = 0; k < w->shape.len / 8; k++)
			if (at[k] != (uint64_t)(i + 1) * UINT64_C(0x9e3779b97f4a7c15) + k)
				give_up("wrong bytes came back");
	}
}

static void
timed(struct work *w, void (*fn)(struct work *), struct figure *f, bool is_get)
{
	fill(w, is_get);
	double cpu = cpu_s();
	uint64_t from = kvr_now_ns();
	fn(w);
	double s = (double)(kvr_now_ns() - from) / 1e9;
	double gb = (double)w->shape.n * (double)w->shape.len / 1e9;
	f->cpu[f->n] = (cpu_s() - cpu) / gb;
	f->gbps[f->n++] = gb / s;
	if (is_get)
		verify(w);
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double
median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_size);
	return v[n / 2];
}

static void
print(const struct shape *s, const char *verb, struct figure *raw, struct figure *own)
{
	double r = median(raw->gbps, raw->n), o = median(own->gbps, own->n);
	printf("%-4s %3u x %5zu KiB  raw %5.2f GB/s %4.2f s/GB  connector %5.2f GB/s %4.2f s/GB  "
	       "ratio %4.2f\n", verb, s->n, s->len >> 10, r, median(raw->cpu, raw->n), o,
	    median(own->cpu, own->n), o / r);
}

static int
connect_raw(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	const int on = 1;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		give_up("raw client: connect failed");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void
bench(struct work *w, int rounds)
{
	struct figure raw_p = { .n = 0 }, own_p = { .n = 0 }, raw_g = { .n = 0 },
	              own_g = { .n = 0 };
	struct shape s = w->shape;
	w->items = calloc(s.n, sizeof(*w->items));
	w->keys = calloc(s.n, sizeof(*w->keys));
	w->bytes = aligned_alloc(4096, s.n * s.len);
	if (w->items == NULL || w->keys == NULL || w->bytes == NULL)
		give_up("no memory");
	for (uint32_t i = 0; i < s.n; i++) {
		w->items[i].key_len =
		    (uint32_t)snprintf(w->keys[i], sizeof(w->keys[i]), "bench:%u", i);
		w->items[i].key = w->keys[i];
		w->items[i].meta = &w->meta;
		w->items[i].span = (struct kvr_span){ w->bytes + i * s.len, s.len };
		w->items[i].raw_len = s.len;
	}
	fill(w, false);
	raw_put(w);
	for (int r = 0; r < rounds; r++) {
		timed(w, raw_put, &raw_p, false);
		timed(w, ours_put, &own_p, false);
		timed(w, raw_get, &raw_g, true);
		timed(w, ours_get, &own_g, true);
	}
	print(&s, "SET", &raw_p, &own_p);
	print(&s, "GET", &raw_g, &own_g);
	ours(w, KVR_VERB_DEL);
	free(w->items);
	free(w->keys);
	free(w->bytes);
}

static void
bench_format(const struct kvr_redis_server *server, uint32_t format, const char *name, int rounds)
{
	static const struct shape shapes[] = { { 64, 64 << 10 }, { 64, 1 << 20 }, { 16, 4 << 20 },
		{ 4, 16 << 20 } };
	struct kvr_store_opts opts = { .tier = "bench", .url = server->url, .format = format };
	struct kvr_store *store = NULL;
	struct work w = { .fd = connect_raw(server->port) };
	char why[256];
	printf("%s\n", name);
	if (kvr_redis_ops.open(&opts, &store, why, sizeof(why)) != KVR_OK ||
	    kvr_redis_ops.dial(
	        store, kvr_now_ns() + KVR_SEC(10), NULL, &w.lane, why, sizeof(why)) != KVR_OK)
		give_up(why);
	for (size_t i = 0; i < KVR_LEN(shapes); i++) {
		w.shape = shapes[i];
		bench(&w, rounds);
	}
	kvr_redis_ops.hang_up(w.lane);
	kvr_redis_ops.close(store);
	close(w.fd);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 3;
	if (rounds < 1 || rounds > ROUNDS_MAX)
		give_up("rounds: 1 to 99");
	if (kvr_redis_server_missing()) {
		fprintf(stderr, "not run: redis-server is not installed\n");
		return 77;
	}
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	bench_format(server, KVR_FORMAT_BARE, "bare", rounds);
	bench_format(server, KVR_FORMAT_SEALED, "sealed, every byte checked", rounds);
	kvr_redis_server_stop(server);
	return 0;
}
