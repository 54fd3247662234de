/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that other processes see: who lives, who has died, and what is left behind. */
#include "kvr_check.h"
#include "kvr_page.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], why[256];

static void
make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/kvr-page-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

struct seen {
	int alive, dead;
	uint32_t word;
};

static void
see(void *arg, const char *path, bool alive, const void *at, size_t bytes)
{
	struct seen *s = arg;

	ck_assert_ptr_nonnull(strstr(path, ".kvrs"));
	ck_assert_uint_eq(bytes, 5000);
	s->alive += alive;
	s->dead += !alive;
	s->word = *(const uint32_t *)at;
}

START_TEST(others_see_it_while_it_lives)
{
	struct kvr_page p, q;
	struct seen s = { 0 };
	struct stat st;

	make_dir();
	ck_assert_int_eq(kvr_page_open(dir, "kvr1", 5000, &p, why, sizeof(why)), KVR_OK);
	ck_assert_str_eq(why, "");
	ck_assert_int_eq(kvr_page_open(dir, "kvr1", 5000, &q, why, sizeof(why)), KVR_OK);
	ck_assert_str_ne(p.path, q.path);
	ck_assert_int_eq(stat(p.path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	*(uint32_t *)p.at = *(uint32_t *)q.at = 42;
	ck_assert_int_eq(kvr_page_each(dir, see, &s), 2);
	ck_assert_int_eq(s.alive, 2);
	ck_assert_uint_eq(s.word, 42);
	kvr_page_close(&p);
	kvr_page_close(&p); /* twice is fine */
	kvr_page_close(&q);
	ck_assert_int_eq(kvr_page_each(dir, see, &s), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(kvr_page_each(dir, see, &s), -1);
}
END_TEST

/* It stays until the next instance opens, so that somebody can see that it has died. */
START_TEST(a_killed_process_leaves_it_behind)
{
	struct kvr_page p;
	struct seen s = { 0 };
	int ready[2];
	char c;

	make_dir();
	ck_assert_int_eq(pipe(ready), 0);
	pid_t pid = fork();

	if (pid == 0) {
		if (kvr_page_open(dir, "kvr1", 5000, &p, why, sizeof(why)) == KVR_OK)
			(void)!write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	ck_assert_int_eq(kvr_page_each(dir, see, &s), 1);
	ck_assert_int_eq(s.alive, 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(kvr_page_each(dir, see, &s), 1);
	ck_assert_int_eq(s.dead, 1);
	ck_assert_int_eq(kvr_page_open(dir, "kvr2", 5000, &p, why, sizeof(why)), KVR_OK);
	s = (struct seen){ 0 };
	ck_assert_int_eq(kvr_page_each(dir, see, &s), 1);
	ck_assert_int_eq(s.alive, 1);
	kvr_page_close(&p);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* Nobody sees it then, and the instance does not mind. */
START_TEST(without_a_file_it_is_plain_memory)
{
	struct kvr_page p;
	struct rlimit limit;

	ck_assert_int_eq(kvr_page_open("none", "kvr1", 5000, &p, why, sizeof(why)), KVR_OK);
	ck_assert_str_eq(why, "");
	memset(p.at, 1, 5000);
	kvr_page_close(&p);
	ck_assert_int_eq(kvr_page_open("/nowhere/at/all", "kvr1", 5000, &p, why, sizeof(why)), KVR_OK);
	ck_assert_ptr_nonnull(strstr(why, "/nowhere/at/all"));
	memset(p.at, 1, 5000);
	kvr_page_close(&p);
	/* A signal, and the end of the process, if it were written. */
	make_dir();
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = 4096;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(kvr_page_open(dir, "kvr1", 5000, &p, why, sizeof(why)), KVR_OK);
	ck_assert_ptr_nonnull(strstr(why, strerror(EFBIG)));
	kvr_page_close(&p);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

KVR_CHECK_MAIN("runtime.page", others_see_it_while_it_lives, a_killed_process_leaves_it_behind,
    without_a_file_it_is_plain_memory)
