/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_carrier.h"

#include "kvr_redis_raw.h"
#include "kvr_system_bed.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct kvr_carrier {
	struct kvr_raw *raw; /* NULL: a directory */
	int dir_fd;
	struct kvr_raw_word *words;
	size_t n_words;
};

static struct kvr_carrier *
new_carrier(void)
{
	struct kvr_carrier *c = calloc(1, sizeof(*c));

	MUST(c != NULL, "no memory");
	c->dir_fd = -1;
	return c;
}

struct kvr_carrier *
kvr_carrier_redis(uint16_t port)
{
	struct kvr_carrier *c = new_carrier();

	c->raw = kvr_raw_open(port, NULL);
	return c;
}

struct kvr_carrier *
kvr_carrier_dir(const char *dir)
{
	struct kvr_carrier *c = new_carrier();

	c->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(c->dir_fd >= 0, "%s cannot be opened", dir);
	return c;
}

void
kvr_carrier_free(struct kvr_carrier *take)
{
	if (take->raw != NULL)
		kvr_raw_close(take->raw);
	else
		close(take->dir_fd);
	free(take->words);
	free(take);
}

static void
read_file(struct kvr_carrier *c, struct kvr_carried *v, size_t more)
{
	struct stat st;
	int fd = openat(c->dir_fd, v->name, O_RDONLY | O_CLOEXEC);

	MUST(fd >= 0 && fstat(fd, &st) == 0, "%s is not there", v->name);
	v->len = (size_t)st.st_size;
	v->at = malloc(v->len + more);
	MUST(v->at != NULL && read(fd, v->at, v->len) == st.st_size, "%s", v->name);
	close(fd);
}

void
kvr_carrier_read(struct kvr_carrier *c, struct kvr_carried *v, size_t more)
{
	if (c->raw == NULL) {
		read_file(c, v, more);
		return;
	}
	struct kvr_raw_reply r = kvr_raw_get(c->raw, v->name);

	MUST(r.kind == '$', "%s is not there: %c", v->name, r.kind);
	v->len = r.len;
	v->at = malloc(v->len + more);
	MUST(v->at != NULL, "no memory");
	memcpy(v->at, r.bytes, v->len);
}

static void
write_files(struct kvr_carrier *c, const struct kvr_carried *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int fd =
		    openat(c->dir_fd, v[i].name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		MUST(fd >= 0 && write(fd, v[i].at, v[i].len) == (ssize_t)v[i].len, "%s", v[i].name);
		close(fd);
	}
}

void
kvr_carrier_write(struct kvr_carrier *c, const struct kvr_carried *v, size_t n)
{
	size_t n_words = 1 + 2 * n;

	if (c->raw == NULL) {
		write_files(c, v, n);
		return;
	}
	if (c->n_words < n_words) {
		free(c->words);
		c->words = calloc(n_words, sizeof(*c->words));
		MUST(c->words != NULL, "no memory");
		c->n_words = n_words;
	}
	c->words[0] = (struct kvr_raw_word){ "MSET", 4 };
	for (size_t i = 0; i < n; i++) {
		c->words[1 + 2 * i] = (struct kvr_raw_word){ v[i].name, strlen(v[i].name) };
		c->words[2 + 2 * i] = (struct kvr_raw_word){ v[i].at, v[i].len };
	}
	struct kvr_raw_reply r = kvr_raw_words(c->raw, c->words, n_words);

	MUST(r.kind == '+', "MSET: %c", r.kind);
}
