/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_big_pages.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

bool kvr_big_pages;
_Atomic uint32_t kvr_big_pages_refused;
_Atomic int64_t kvr_big_pages_mapped;

long __real_sysconf(int);
void *__real_mmap(void *, size_t, int, int, int, off_t);
int __real_munmap(void *, size_t);
int __real_madvise(void *, size_t, int);
long __wrap_sysconf(int);
void *__wrap_mmap(void *, size_t, int, int, int, off_t);
int __wrap_munmap(void *, size_t);
int __wrap_madvise(void *, size_t, int);

static size_t
whole(size_t len)
{
	return (len + KVR_BIG_PAGE - 1) / KVR_BIG_PAGE * KVR_BIG_PAGE;
}

static bool
refused(const void *at)
{
	if (!kvr_big_pages || (uintptr_t)at % KVR_BIG_PAGE == 0)
		return false;
	atomic_fetch_add(&kvr_big_pages_refused, 1);
	errno = EINVAL;
	return true;
}

long
__wrap_sysconf(int name)
{
	return kvr_big_pages && name == _SC_PAGESIZE ? (long)KVR_BIG_PAGE : __real_sysconf(name);
}

/* Of memory only, and wherever there is room: nothing else is asked for by what is tested. */
void *
__wrap_mmap(void *hint, size_t len, int prot, int flags, int fd, off_t off)
{
	if (!kvr_big_pages)
		return __real_mmap(hint, len, prot, flags, fd, off);
	uint8_t *at = __real_mmap(NULL, whole(len) + KVR_BIG_PAGE, prot, flags, fd, off);

	if (at == MAP_FAILED)
		return MAP_FAILED;
	size_t before = (size_t)(-(uintptr_t)at % KVR_BIG_PAGE);

	if (before > 0)
		__real_munmap(at, before);
	__real_munmap(at + before + whole(len), KVR_BIG_PAGE - before);
	atomic_fetch_add(&kvr_big_pages_mapped, (int64_t)whole(len));
	return at + before;
}

int
__wrap_munmap(void *at, size_t len)
{
	if (refused(at))
		return -1;
	if (!kvr_big_pages)
		return __real_munmap(at, len);
	atomic_fetch_sub(&kvr_big_pages_mapped, (int64_t)whole(len));
	return __real_munmap(at, whole(len));
}

int
__wrap_madvise(void *at, size_t len, int advice)
{
	return refused(at) ? -1 : __real_madvise(at, kvr_big_pages ? whole(len) : len, advice);
}
