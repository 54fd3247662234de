/* SPDX-License-Identifier: Apache-2.0 */
/* The machine under a deployment: shared memory for the trace, descriptors, locked memory. */
#include "kvr_doctor.h"

#include "kvr_http_own.h"
#include "kvr_trace_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FILES_OWN = 64, FILES_PER_LANE = 4 };

static void
shared_memory(struct doctor *d)
{
	const struct kvr_config *c = d->config;
	char dir[200], need[40], have[40];
	struct statvfs v;

	if (c->trace.dir != NULL && strcmp(c->trace.dir, "none") == 0)
		return;
	kvr_trace_dir_path(c->trace.dir, dir, sizeof(dir));
	bool there = statvfs(dir, &v) == 0;
	char *slash = strrchr(dir, '/');

	/* kvr_open makes a missing directory, on the file system of its parent. */
	if (!there && errno == ENOENT && slash != NULL && slash != dir) {
		*slash = '\0';
		there = statvfs(dir, &v) == 0;
	}
	if (!there || faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) != 0) {
		doctor_say(d, KVR_FOUND_WARN, "trace",
		    "make the directory and let this user write there, or set trace.dir: else the "
		    "trace dies with the process, and ps and top do not see it",
		    "%s: %s", dir, strerror(errno));
		return;
	}
	uint64_t free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	bool small = free_bytes < c->trace.size_bytes;

	doctor_say(d, small ? KVR_FOUND_WARN : KVR_FOUND_OK, "trace",
	    small ? "give the container more (--shm-size), or set trace.dir or trace.size: the ring "
		    "becomes smaller, or stays in the process and dies with it" :
		    NULL,
	    "%s: %s free, %s are needed", dir, cli_bytes(free_bytes, have, sizeof(have)),
	    cli_bytes(c->trace.size_bytes, need, sizeof(need)));
}

static void
descriptors(struct doctor *d)
{
	struct rlimit limit;
	uint64_t need = FILES_OWN;

	for (uint32_t t = 0; t < d->config->n_tiers; t++)
		need += FILES_PER_LANE *
		        (d->config->tier[t].lanes.control + d->config->tier[t].lanes.bulk);
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	bool few = limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < need;

	doctor_say(d, few ? KVR_FOUND_FAIL : KVR_FOUND_OK, "descriptors",
	    few ? "raise it: ulimit -n, LimitNOFILE of the service" : NULL,
	    "the limit is %llu, up to %llu are used", (unsigned long long)limit.rlim_cur,
	    (unsigned long long)need);
}

static void
locked_memory(struct doctor *d)
{
	struct rlimit limit;

	if (d->config->memory.device == KVR_CONFIG_DEVICE_NONE ||
	    getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return;
	bool few = limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < d->config->memory.staging_bytes;

	doctor_say(d, few ? KVR_FOUND_WARN : KVR_FOUND_OK, "locked memory",
	    few ? "raise it: ulimit -l, LimitMEMLOCK of the service" : NULL,
	    "the limit is %s that of memory.staging", few ? "below" : "above");
}

static void
listening(struct doctor *d)
{
	struct kvr_http_place place;
	char why[240];

	if (d->config->metrics.listen == NULL)
		return;
	if (kvr_http_place(d->config->metrics.listen, &place, why, sizeof(why)) == KVR_OK)
		doctor_say(d, KVR_FOUND_OK, "metrics.listen", NULL, "%s", d->config->metrics.listen);
	else
		doctor_say(d, KVR_FOUND_FAIL, "metrics.listen", "kvr_open refuses it", "%s", why);
}

void
doctor_machine(struct doctor *d)
{
	d->where = "machine";
	shared_memory(d);
	descriptors(d);
	locked_memory(d);
	listening(d);
}
