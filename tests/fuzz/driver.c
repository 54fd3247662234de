/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of a fuzz target where there is no libFuzzer: fuzz_x [rounds [seed [first round]]]. All
 * well-formed inputs as they are, then mutations of them. A failure names its round; that round
 * alone is run again with fuzz_x 1 SEED ROUND, for each round has its own random numbers.
 */
#include "kvr_base.h"
#include "kvr_fuzz.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	uint64_t seed, round;
} running;

static uint64_t
draw(uint64_t *rand)
{
	uint64_t z = *rand += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Only write() may be called here. */
static void
say_round(int number)
{
	char text[80];
	size_t at = sizeof(text);
	uint64_t value[2] = { running.round, running.seed };

	for (int i = 0; i < 2; i++) {
		text[--at] = i == 0 ? '\n' : ' ';
		do {
			text[--at] = (char)('0' + value[i] % 10);
			value[i] /= 10;
		} while (value[i] > 0);
	}
	ssize_t unused = write(STDERR_FILENO, "fuzz: failed; again with: 1 ", 28);
	unused = write(STDERR_FILENO, text + at, sizeof(text) - at);
	(void)unused;
	signal(number, SIG_DFL);
	raise(number);
}

static size_t
count_seeds(uint8_t *scratch)
{
	size_t n = 0;

	while (kvr_fuzz_seed(n, scratch) > 0)
		n++;
	return n;
}

/* A number that parsers trip over, in one, two, four or eight bytes. */
static void
put_number(uint8_t *at, size_t len, uint64_t *rand)
{
	static const uint64_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x100000,
		0x7fffffff, 0x80000000, 0xffffffff, UINT64_C(0x7fffffffffffffff), UINT64_MAX };
	uint64_t value = odd[draw(rand) % KVR_LEN(odd)] + draw(rand) % 3 - 1;
	size_t n = KVR_MIN((size_t)1 << draw(rand) % 4, len);

	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static size_t
mutate(uint8_t *at, size_t len, const uint8_t *other, size_t other_len, uint64_t *rand)
{
	size_t where = len == 0 ? 0 : (size_t)(draw(rand) % len);
	size_t n = 1 + (size_t)(draw(rand) % 32);

	switch (draw(rand) % 8) {
	case 0:
		if (len > 0)
			at[where] ^= (uint8_t)(1U << draw(rand) % 8);
		return len;
	case 1:
		put_number(at + where, len - where, rand);
		return len;
	case 2: /* cut off */
		return where;
	case 3: /* cut out */
		n = KVR_MIN(n, len - where);
		memmove(at + where, at + where + n, len - where - n);
		return len - n;
	case 4: /* say twice */
		n = KVR_MIN(n, KVR_MIN(len - where, KVR_FUZZ_LEN_MAX - len));
		memmove(at + where + n, at + where, len - where);
		return len + n;
	case 6:
		return kvr_fuzz_put_word(at, len, KVR_FUZZ_LEN_MAX, draw(rand));
	case 5: /* the end of another input */
		n = KVR_MIN(other_len - KVR_MIN(where, other_len), KVR_FUZZ_LEN_MAX - where);
		memcpy(at + where, other + (other_len - n), n);
		return where + n;
	default:
		if (len > 0)
			at[where] = (uint8_t)draw(rand);
		return len;
	}
}

/* In memory of exactly its length, so that AddressSanitizer sees the byte behind it. */
static void
run(const uint8_t *at, size_t len)
{
	uint8_t *exact = malloc(len + (len == 0));

	KVR_CHECK(exact != NULL);
	memcpy(exact, at, len);
	KVR_CHECK(LLVMFuzzerTestOneInput(exact, len) == 0);
	free(exact);
}

static void
run_round(size_t n_seeds)
{
	static uint8_t input[KVR_FUZZ_LEN_MAX], other[KVR_FUZZ_LEN_MAX];
	uint64_t rand = running.seed ^ running.round * UINT64_C(0xd1342543de82ef95);
	size_t len = kvr_fuzz_seed((size_t)(draw(&rand) % n_seeds), input);
	size_t other_len = kvr_fuzz_seed((size_t)(draw(&rand) % n_seeds), other);

	for (uint64_t times = 1 + draw(&rand) % 4; times > 0; times--)
		len = mutate(input, len, other, other_len, &rand);
	run(input, len);
}

int
main(int argc, char **argv)
{
	static uint8_t input[KVR_FUZZ_LEN_MAX];
	uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
	uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	size_t n_seeds = count_seeds(input), len;

	KVR_CHECK(n_seeds > 0);
	running.seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	signal(SIGABRT, say_round);
	signal(SIGSEGV, say_round);
	printf("fuzz: %zu seeds, %llu rounds from %llu, seed %llu\n", n_seeds,
	    (unsigned long long)rounds, (unsigned long long)first,
	    (unsigned long long)running.seed);
	fflush(stdout);
	run(input, 0);
	for (size_t i = 0; (len = kvr_fuzz_seed(i, input)) > 0; i++)
		run(input, len);
	for (running.round = first; running.round < first + rounds; running.round++)
		run_round(n_seeds);
	return EXIT_SUCCESS;
}
