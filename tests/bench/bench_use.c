/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_measure.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

_Noreturn void
bench_give_up(const char *who, const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", who, what);
	exit(1);
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) != 0)
		bench_give_up("clock_gettime", "the process is gone");
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

uint64_t
bench_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* A server's own clock of CPU time: /proc counts in ticks of 10 ms, and a batch takes 20. */
static double
server_s(const struct bench *b)
{
	clockid_t clock;

	if (b->server == NULL || clock_getcpuclockid(b->server->pid, &clock) != 0)
		return 0;
	return (double)clock_ns(clock) / 1e9;
}

void
bench_use_now(const struct bench *b, struct bench_use *ret)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	ret->sleeps = (uint64_t)u.ru_nvcsw;
	ret->switches = (uint64_t)(u.ru_nvcsw + u.ru_nivcsw);
	ret->faults = (uint64_t)(u.ru_minflt + u.ru_majflt);
	ret->cpu_s = (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
	ret->server_s = server_s(b);
	ret->ns = bench_now_ns();
}

struct bench_use
bench_use_since(const struct bench *b, const struct bench_use *from)
{
	struct bench_use u;
	uint64_t ns = bench_now_ns(); /* first: the rest takes time, too */

	bench_use_now(b, &u);
	u.ns = ns - from->ns;
	u.cpu_s -= from->cpu_s;
	u.server_s -= from->server_s;
	u.sleeps -= from->sleeps;
	u.switches -= from->switches;
	u.faults -= from->faults;
	return u;
}

int
bench_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

void
bench_pin(pid_t pid, int cpu)
{
	static cpu_set_t all;
	char path[64];
	cpu_set_t set;
	int cpu_no = 0;

	if (CPU_COUNT(&all) == 0 && sched_getaffinity(0, sizeof(all), &all) != 0)
		bench_give_up("pin", "the CPUs of this process cannot be read");
	CPU_ZERO(&set);
	for (size_t i = 0; cpu >= 0 && i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &all) && cpu_no++ == cpu)
			CPU_SET(i, &set);
	}
	snprintf(path, sizeof(path), "/proc/%d/task", pid == 0 ? getpid() : pid);
	DIR *dir = opendir(path);

	if (dir == NULL)
		bench_give_up("pin", "/proc cannot be read");
	for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
		pid_t task = (pid_t)atoi(d->d_name); /* 0: the directory itself */

		if (task > 0)
			(void)sched_setaffinity(task, sizeof(set), cpu < 0 ? &all : &set);
	}
	closedir(dir);
}

void
bench_tell(const struct bench *b, const char *group, const char *what, const char *unit,
    const char *who, uint32_t round, double value)
{
	fprintf(b->out, "%s\t%s\t%s\t%s\t%u\t%.9g\n", group, what, unit, who, round, value);
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void
bench_tell_times(const struct bench *b, const char *group, const char *what, const char *who,
    uint32_t round, uint64_t *ns, uint32_t n)
{
	qsort(ns, n, sizeof(*ns), by_size);
	bench_tell(b, group, what, "p50 us", who, round, (double)ns[(n - 1) / 2] / 1e3);
	bench_tell(
	    b, group, what, "p99 us", who, round, (double)ns[(uint64_t)(n - 1) * 99 / 100] / 1e3);
}

void
bench_not_run(const char *group, const char *why)
{
	fprintf(stderr, "%s: not run: %s\n", group, why);
}
