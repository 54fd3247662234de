/* SPDX-License-Identifier: Apache-2.0 */
/* kvrelay_swarm: many seeds. What it prints is the same on every machine and for every compiler. */
#include "kvr_swarm.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct options {
	uint64_t from, to, jobs;
	const char *traces; /* directory for traces of runs that broke */
	bool each, record, show, keep;
};

static struct swarm swarm;
static struct options options = { .from = 1, .to = 300, .jobs = 1, .traces = ".", .record = true };
static const char *program;

static const char usage[] =
    "usage: kvrelay_swarm [--seeds A..B] [--jobs N] [--each] [--no-record] [--show]\n"
    "                     [--traces DIR] [--keep]\n"
    "  --seeds A..B  these runs; default 1..300\n"
    "  --jobs N      in N processes\n"
    "  --each        a line per seed, with the digest of its run\n"
    "  --no-record   runs are not recorded and not replayed\n"
    "  --show        every step of every run, to read\n"
    "  --traces DIR  where the trace of a run that breaks is put; default: here\n"
    "  --keep        the traces of all others, too\n"
    "The last line has the sum of all digests. Exit: 0, 1: a run broke, 2: usage.\n";

/* Whatever breaks, the command that shows it again is what a person needs first. */
static void
on_panic(void *arg, const char *file, int line, const char *what)
{
	static bool again;
	char path[512], why[256];
	const char *base = strrchr(file, '/');

	(void)arg;
	if (again)
		_exit(1); /* broken while it was being told */
	again = true;
	if (swarm.show)
		fputs(kvr_sim_text(swarm.in.sim), stdout);
	snprintf(why, sizeof(why), "%s:%d: %s", base == NULL ? file : base + 1, line, what);
	fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " ns: %s\n", swarm.plan.seed,
	    swarm.in.sim == NULL ? 0 : kvr_sim_now(swarm.in.sim), why);
	fprintf(stderr, "again: %s --seeds %" PRIu64 "..%" PRIu64 "\n", program, swarm.plan.seed,
	    swarm.plan.seed);
	snprintf(path, sizeof(path), "%s/swarm-%" PRIu64 ".kvrt", options.traces, swarm.plan.seed);
	if (swarm_tape_keep(&swarm, path, why))
		fprintf(stderr, "trace: %s\n", path);
	fflush(stdout);
	_exit(1);
}

static uint64_t
run_seed(uint64_t seed)
{
	kvr_on_panic(on_panic, NULL); /* a replay before may have left its own */
	const uint64_t run[2] = { seed, swarm_run(&swarm, seed, options.record, options.show,
		                            options.keep ? options.traces : NULL) };

	if (options.each)
		printf("seed %" PRIu64 " digest %016" PRIx64 "\n", seed, run[1]);
	return kvr_hash64(run, sizeof(run));
}

/* Seeds job, job + jobs, ... of those asked for; a sum does not care for their order. */
static uint64_t
run_share(uint64_t job)
{
	uint64_t sum = 0;

	for (uint64_t seed = options.from + job; seed <= options.to; seed += options.jobs)
		sum += run_seed(seed);
	return sum;
}

static int
start_job(uint64_t job, pid_t *ret_pid)
{
	int ends[2];

	fflush(stdout);
	if (pipe(ends) != 0)
		return -1;
	*ret_pid = fork();
	if (*ret_pid == 0) {
		uint64_t sum = run_share(job);

		fflush(stdout);
		_exit(write(ends[1], &sum, sizeof(sum)) == (ssize_t)sizeof(sum) ? 0 : 1);
	}
	close(ends[1]);
	if (*ret_pid < 0) {
		close(ends[0]);
		return -1;
	}
	return ends[0];
}

/* False when a job broke. */
static bool
run_jobs(uint64_t *ret_sum)
{
	int from[64];
	pid_t pid[64];
	uint64_t sum = 0;
	bool ok = true;

	for (uint64_t j = 0; j < options.jobs; j++)
		from[j] = start_job(j, &pid[j]);
	for (uint64_t j = 0; j < options.jobs; j++) {
		uint64_t part = 0;
		int status = 1;

		if (from[j] < 0) {
			fprintf(
			    stderr, "swarm: a process cannot be started: %s\n", strerror(errno));
			ok = false;
			continue;
		}
		ok = read(from[j], &part, sizeof(part)) == (ssize_t)sizeof(part) && ok;
		close(from[j]);
		ok = waitpid(pid[j], &status, 0) == pid[j] && status == 0 && ok;
		sum += part;
	}
	*ret_sum = sum;
	return ok;
}

/* "5", or "1..300". */
static bool
parse_seeds(const char *text, uint64_t *ret_from, uint64_t *ret_to)
{
	char *end;

	errno = 0;
	uint64_t from = strtoull(text, &end, 10), to = from;

	if (end == text || text[0] == '-')
		return false;
	if (strncmp(end, "..", 2) == 0) {
		text = end + 2;
		to = strtoull(text, &end, 10);
	}
	if (end == text || *end != '\0' || errno != 0 || from == 0 || to < from)
		return false;
	*ret_from = from;
	*ret_to = to;
	return true;
}

static bool
parse(int argc, char **argv)
{
	uint64_t unused;

	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--each") == 0) {
			options.each = true;
			continue;
		}
		if (strcmp(argv[i], "--show") == 0) {
			options.show = true;
			continue;
		}
		if (strcmp(argv[i], "--keep") == 0) {
			options.keep = true;
			continue;
		}
		if (strcmp(argv[i], "--no-record") == 0) {
			options.record = false;
			continue;
		}
		i++;
		if (strcmp(argv[i - 1], "--seeds") == 0 &&
		    parse_seeds(value, &options.from, &options.to))
			continue;
		if (strcmp(argv[i - 1], "--jobs") == 0 &&
		    parse_seeds(value, &options.jobs, &unused) && options.jobs <= 64)
			continue;
		if (strcmp(argv[i - 1], "--traces") != 0 || *value == '\0')
			return false;
		options.traces = value;
	}
	return true;
}

int
main(int argc, char **argv)
{
	uint64_t sum = 0;

	program = argv[0];
	if (!parse(argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	/* Tables of megabytes of which a run touches little: fresh zero pages, not cleared ones. */
	mallopt(M_MMAP_THRESHOLD, 65536);
	if (options.jobs == 1)
		sum = run_share(0);
	else if (!run_jobs(&sum))
		return 1;
	printf("swarm: seeds %" PRIu64 "..%" PRIu64 ", digest %016" PRIx64 "\n", options.from,
	    options.to, sum);
	return 0;
}
