/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What any answer from another thread costs at least: a token that goes there and back by nothing
 * but a mutex and two condition variables.
 */
#include "kvr_measure.h"

#include <pthread.h>
#include <stdlib.h>

struct token {
	pthread_mutex_t lock;
	pthread_cond_t there, back;
	uint64_t sent, returned;
	bool end;
	pthread_t thread;
};

/* Whoever is woken finds the mutex free: it is let go before the signal. */
static void *
echo(void *arg)
{
	struct token *t = arg;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		while (t->sent == t->returned && !t->end)
			pthread_cond_wait(&t->there, &t->lock);
		if (t->end)
			break;
		t->returned = t->sent;
		pthread_mutex_unlock(&t->lock);
		pthread_cond_signal(&t->back);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void
token_send(void *self, const struct bench_work *w)
{
	struct token *t = self;

	(void)w;
	pthread_mutex_lock(&t->lock);
	uint64_t mine = ++t->sent;

	pthread_mutex_unlock(&t->lock);
	pthread_cond_signal(&t->there);
	pthread_mutex_lock(&t->lock);
	while (t->returned != mine)
		pthread_cond_wait(&t->back, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

static void
token_close(void *self)
{
	struct token *t = self;

	pthread_mutex_lock(&t->lock);
	t->end = true;
	pthread_mutex_unlock(&t->lock);
	pthread_cond_signal(&t->there);
	pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->there);
	pthread_cond_destroy(&t->back);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct bench_client
token_open(void)
{
	struct token *t = calloc(1, sizeof(*t));

	if (t == NULL || pthread_mutex_init(&t->lock, NULL) != 0 ||
	    pthread_cond_init(&t->there, NULL) != 0 || pthread_cond_init(&t->back, NULL) != 0 ||
	    pthread_create(&t->thread, NULL, echo, t) != 0)
		bench_give_up("raw condvar", "no memory or no thread");
	return (struct bench_client){
		.name = "raw condvar", .self = t, .put = token_send, .close = token_close
	};
}
