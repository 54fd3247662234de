/* SPDX-License-Identifier: Apache-2.0 */
/* A program that loads the library by hand, uses it, and lets it go: not linked with it. */
#include "kvr_api_bed.h"

#include <dlfcn.h>

/* dlsym answers with a pointer to data, and C has no cast from there to a function. */
#define FIND(lib, name) \
	__typeof__(&name) my_##name; \
	do { \
		void *at_ = dlsym(lib, #name); \
		ck_assert_ptr_nonnull(at_); \
		memcpy(&my_##name, &at_, sizeof(at_)); \
	} while (0)

/* Where kvr_open was. */
static void *
load_and_let_go(void)
{
	const struct kvr_options o = { .size = sizeof(o), .url = "memory://", BED_SET };
	void *lib = dlopen(KVR_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	struct kvr *k = NULL;

	ck_assert_msg(lib != NULL, "%s", dlerror());
	FIND(lib, kvr_open);
	FIND(lib, kvr_contains);
	FIND(lib, kvr_free);
	ck_assert_int_eq(my_kvr_open(&o, 0, &k, NULL, 0), KVR_OK);
	ck_assert_int_eq(my_kvr_contains(k, "k", false, 0), KVR_E_MISS);
	my_kvr_free(k);
	void *at = dlsym(lib, "kvr_open");

	ck_assert_int_eq(dlclose(lib), 0);
	return at;
}

/* The queue library's threads live on. Without their code they would die at their next step. */
START_TEST(it_stays_for_the_threads_that_stay)
{
	void *at = load_and_let_go();
	void *lib = dlopen(KVR_LIBRARY, RTLD_NOW | RTLD_NOLOAD);

	ck_assert_ptr_nonnull(lib);
	dlclose(lib);
	ck_assert_ptr_eq(load_and_let_go(), at);
}
END_TEST

KVR_CHECK_MAIN("api.unload", it_stays_for_the_threads_that_stay)
