/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lm_own.h"

uint16_t
kvr_lm_server_port(const struct kvr_lm_server *me)
{
	return me->port;
}

const char *
kvr_lm_server_url(const struct kvr_lm_server *me)
{
	return me->url;
}

void
kvr_lm_server_wait_over(struct kvr_lm_server *me, uint32_t n)
{
	pthread_mutex_lock(&me->lock);
	while (me->over < n)
		pthread_cond_wait(&me->moved, &me->lock);
	pthread_mutex_unlock(&me->lock);
}

struct kvr_lm_count
kvr_lm_server_count(struct kvr_lm_server *me)
{
	pthread_mutex_lock(&me->lock);
	struct kvr_lm_count count = me->count;
	pthread_mutex_unlock(&me->lock);
	return count;
}

static size_t
log_of(struct kvr_lm_server *me, struct log *log, const uint8_t **ret)
{
	pthread_mutex_lock(&me->lock);
	size_t len = log->len;
	pthread_mutex_unlock(&me->lock);
	*ret = log->at;
	return len;
}

size_t
kvr_lm_server_came(struct kvr_lm_server *me, const uint8_t **ret)
{
	return log_of(me, &me->came, ret);
}

size_t
kvr_lm_server_went(struct kvr_lm_server *me, const uint8_t **ret)
{
	return log_of(me, &me->went, ret);
}

void
kvr_lm_server_rewind(struct kvr_lm_server *me)
{
	pthread_mutex_lock(&me->lock);
	me->came.len = me->went.len = 0;
	pthread_mutex_unlock(&me->lock);
}

void
kvr_lm_server_hold_at(struct kvr_lm_server *me, uint64_t payload_bytes)
{
	pthread_mutex_lock(&me->lock);
	me->hold_at = payload_bytes;
	pthread_mutex_unlock(&me->lock);
}

void
kvr_lm_server_wait_held(struct kvr_lm_server *me)
{
	pthread_mutex_lock(&me->lock);
	while (!me->holds)
		pthread_cond_wait(&me->moved, &me->lock);
	pthread_mutex_unlock(&me->lock);
}

void
kvr_lm_server_let_go(struct kvr_lm_server *me)
{
	pthread_mutex_lock(&me->lock);
	me->holds = 0;
	pthread_cond_broadcast(&me->moved);
	pthread_mutex_unlock(&me->lock);
}

void
kvr_lm_server_forget(struct kvr_lm_server *me, int on)
{
	pthread_mutex_lock(&me->lock);
	me->forgets = on;
	pthread_mutex_unlock(&me->lock);
}
