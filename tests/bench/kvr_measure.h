/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of one store in turns, doing the same work: a client of nothing but system calls, others
 * that exist, and kvrelay. Only ratios within one run mean something, for machines differ and one
 * machine differs from hour to hour. So every figure of the library is taken beside a raw one,
 * round by round; the programs here write samples, and tests/bench/report makes figures of them.
 */
#ifndef KVR_MEASURE_H
#define KVR_MEASURE_H

#include "kvr_redis_server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define BENCH_KIB(n) ((uint64_t)(n) << 10)
#define BENCH_MIB(n) ((uint64_t)(n) << 20)
#define BENCH_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { BENCH_KEYS_MAX = 512, BENCH_KEY = 64, BENCH_ROUNDS_MAX = 31, BENCH_PATH = 512 };
enum { BENCH_PAIRS_MAX = 4 * BENCH_ROUNDS_MAX };
#define BENCH_BYTES_MAX BENCH_MIB(64)

/* TINY only shows that everything works. */
enum bench_size { BENCH_TINY, BENCH_QUICK, BENCH_FULL };

struct bench {
	FILE *out;
	enum bench_size size;
	uint32_t rounds;
	const char *dir, *tmpfs;         /* for files: on a disk, and in memory */
	struct kvr_redis_server *server; /* NULL: redis-server is not installed */
};

/*
 * --samples FILE --dir DIR --tmpfs DIR [--quick | --tiny] [--rounds N]. Returns the index of
 * the first word behind them, 0: they are wrong.
 */
int bench_args(struct bench *ret, int argc, char **argv);
/*
 * How often those that a goal compares take turns by themselves: a ratio of single batches of 20 ms
 * scatters by a tenth, and a goal is a matter of hundredths.
 */
uint32_t bench_pair_rounds(const struct bench *);
void bench_end(struct bench *);

/* ---- bench_use.c: what all threads of this process, and the server, have used up to now ---- */
struct bench_use {
	uint64_t ns;
	double cpu_s, server_s;
	uint64_t sleeps;   /* a thread waited for something, so somebody woke it */
	uint64_t switches; /* sleeps, and those that the scheduler took the CPU from */
	uint64_t faults;   /* pages */
};

void bench_use_now(const struct bench *, struct bench_use *ret);
struct bench_use bench_use_since(const struct bench *, const struct bench_use *from);
uint64_t bench_now_ns(void);
_Noreturn void bench_give_up(const char *who, const char *what);
/* All threads of a process, 0: this one, to one CPU; -1: to all that there are. */
void bench_pin(pid_t, int cpu);
int bench_cpus(void);

/*
 * One sample: group, case and unit name the figure, who whose it is. The figures of a client whose
 * name begins with "raw" are what all others are compared with.
 */
void bench_tell(const struct bench *, const char *group, const char *what, const char *unit,
    const char *who, uint32_t round, double value);
/* The p50 and p99 of n times, which it sorts. */
void bench_tell_times(const struct bench *, const char *group, const char *what, const char *who,
    uint32_t round, uint64_t *ns, uint32_t n);
/* A line for people: something cannot be measured here. */
void bench_not_run(const char *group, const char *why);

/* ---- bench_work.c: a batch, n values each in its own place ---- */
struct bench_work {
	uint32_t n;
	uint64_t len[BENCH_KEYS_MAX];
	void *at[BENCH_KEYS_MAX];
	const char *key[BENCH_KEYS_MAX];
	char text[BENCH_KEYS_MAX][BENCH_KEY];
	uint8_t *bytes;
};

struct bench_work *bench_work_new(void);
void bench_work_free(struct bench_work *take);
/* n keys of len bytes; of another name the keys are others. */
void bench_work_set(struct bench_work *, const char *name, uint32_t n, uint64_t len);
/* Of another seed all bytes are others, so that a put that did not happen is seen. */
void bench_work_fill(struct bench_work *, uint64_t seed);
void bench_work_wipe(struct bench_work *);
void bench_work_compare(const struct bench_work *, uint64_t seed, const char *who);

/* A directory below another one, which whoever runs the bench makes and removes. */
void bench_dir_make(char ret[BENCH_PATH], const char *above, const char *name);

/* ---- clients ---- */
struct bench_client {
	const char *name;
	void *self;
	void (*put)(void *self, const struct bench_work *);
	void (*get)(void *self, const struct bench_work *);
	void (*look)(void *self, const struct bench_work *); /* all keys have to be there */
	void (*close)(void *self);
};

/* flight: requests on their way at once; slice: bytes of one recv and of one writev. */
struct raw_setting {
	uint32_t connections, flight;
	uint64_t slice;
};
enum { RAW_CONNECTIONS = 4, RAW_ALL = BENCH_KEYS_MAX };

struct bench_client raw_open(uint16_t port); /* one connection of it, two requests in flight */
void raw_choose(const struct bench_client *, struct raw_setting);
void raw_name(char *ret, size_t cap, struct raw_setting);

struct bench_client hiredis_open(uint16_t port);

/* tier: members of its JSON object but for the name. */
struct bench_client kvrelay_open(const char *name, const char *tier);
struct bench_client kvrelay_open_redis(
    const char *name, const char *url, const char *format, int lanes);

struct bench_client kvrelay_open_files(
    const char *name, const char *dir, bool direct, const char *format, int lanes);

/* One file for each value. */
struct bench_client files_open(const char *name, const char *dir, uint32_t threads, bool direct);

/* Its put is a token that goes to another thread and back; of one caller at a time. */
struct bench_client token_open(void);

/* ---- groups ---- */
void bench_bulk(struct bench *);
void bench_fs(struct bench *);
void bench_keys(struct bench *);
void bench_load(struct bench *);
void bench_lookup(struct bench *);
void bench_rtt(struct bench *);
void bench_runtime(struct bench *);

#endif
