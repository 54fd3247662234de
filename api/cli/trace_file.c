/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the trace: by name, the newest of a directory, or that of a process. */
#include "kvr_trace_cmd.h"

#include "kvr_trace_dir.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

struct kvr_trace_view *
trace_open(struct trace_cmd *c, const char *path)
{
	struct kvr_trace_view *view = NULL;
	char why[512] = "";
	enum kvr_err err = kvr_trace_view_open(path, &view, why, sizeof(why));

	if (err == KVR_OK)
		return view;
	cli_fail(&c->cli, "%s", why[0] != '\0' ? why : kvr_err_text(err));
	return NULL;
}

bool
trace_is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool
is_newer(const struct stat *a, const struct timespec *b)
{
	return a->st_mtim.tv_sec > b->tv_sec ||
	       (a->st_mtim.tv_sec == b->tv_sec && a->st_mtim.tv_nsec > b->tv_nsec);
}

/* instance.pid.n.kvrt; pid 0: any. */
static bool
is_trace_of(const char *name, uint32_t pid)
{
	const char *dot = strrchr(name, '.'), *number;
	char middle[24];

	if (dot == NULL || strcmp(dot, ".kvrt") != 0)
		return false;
	snprintf(middle, sizeof(middle), ".%u.", pid);
	number = strstr(name, middle);
	return pid == 0 || number != NULL;
}

static bool
is_of_command(const char *name)
{
	return strncmp(name, CLI_INSTANCE, strlen(CLI_INSTANCE)) == 0;
}

/* A process that was killed while it opened leaves a file of zeros, which says nothing of any run. */
static bool
has_begun(const char *path)
{
	uint64_t magic = 0;
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		return false;
	bool begun = fread(&magic, sizeof(magic), 1, f) == 1 && magic == KVR_TRACE_MAGIC;
	fclose(f);
	return begun;
}

/* engines: of no command like this one. */
static bool
newest(const char *dir, uint32_t pid, bool engines, char *ret, size_t cap)
{
	struct timespec when = { 0 };
	char path[1024];
	DIR *d = opendir(dir);

	ret[0] = '\0';
	if (d == NULL)
		return false;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		struct stat st;

		if (!is_trace_of(e->d_name, pid) || (engines && is_of_command(e->d_name)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
		    (ret[0] != '\0' && !is_newer(&st, &when)) || !has_begun(path))
			continue;
		when = st.st_mtim;
		snprintf(ret, cap, "%s", path);
	}
	closedir(d);
	return true;
}

/* After a crash somebody has tried this and that, whose traces are newer than the one they want. */
static void
say_of_engine(const char *dir, const char *taken)
{
	char path[1024];
	const char *slash = strrchr(taken, '/');

	if (!is_of_command(slash == NULL ? taken : slash + 1) ||
	    !newest(dir, 0, true, path, sizeof(path)) || path[0] == '\0')
		return;
	fprintf(stderr, "kvrelay trace: this is of a command, %s; the newest of an engine is %s\n",
	    taken, path);
}

bool
trace_newest(struct trace_cmd *c, const char *dir, char *ret, size_t cap, int *ret_status)
{
	char own[64];

	if (dir == NULL)
		dir = kvr_trace_dir_path(NULL, own, sizeof(own));
	if (!newest(dir, 0, false, ret, cap)) {
		*ret_status = cli_fail(
		    &c->cli, "%s: no such directory; traces lie where trace.dir says", dir);
		return false;
	}
	if (ret[0] == '\0') {
		fprintf(stderr, "kvrelay trace: %s: no trace in it\n", dir);
		*ret_status = CLI_MISS;
		return false;
	}
	say_of_engine(dir, ret);
	return true;
}

bool
trace_of_pid(struct trace_cmd *c, const char *dir, uint32_t pid, char *ret, size_t cap)
{
	char own[64];

	if (dir == NULL)
		dir = kvr_trace_dir_path(NULL, own, sizeof(own));
	if (newest(dir, pid, false, ret, cap) && ret[0] != '\0')
		return true;
	cli_fail(&c->cli, "%s: no trace of process %u; traces lie where trace.dir says", dir, pid);
	return false;
}
