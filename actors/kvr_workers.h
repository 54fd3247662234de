/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workers: threads that block. Each takes a request from its mailbox, does one thing in a
 * straight line and answers once. None of them decides about retries, reconnection or other
 * deadlines; what a connector worker owes its link is written in kvr_actors.h.
 */
#ifndef KVR_WORKERS_H
#define KVR_WORKERS_H

#include "kvr_connector.h"
#include "kvr_device.h"
#include "kvr_domain.h"
#include "kvr_log.h"
#include "kvr_thread.h"
#include "kvr_words.h"

/* What all workers of an instance share. */
struct kvr_work {
	const char        *instance;
	struct kvr_ledger *ledger;
	struct kvr_domain *domain;
	const struct kvr_log *log;
	/* The device whose memory payloads may lie in, besides the host's; NULL: none. */
	const struct kvr_device *device;
	uint32_t           device_number;
};

/* The answer to a message about a part, to whoever sent it. */
static inline struct kvr_msg
kvr_work_answer(const struct kvr_msg *asked, enum kvr_msg_type type, uint16_t from)
{
	return (struct kvr_msg){ .type = (uint16_t)type,
		.from = from,
		.to = asked->from,
		.n_rows = asked->n_rows,
		.op = asked->op,
		.cause = asked->cause,
		.deadline_ns = asked->deadline_ns,
		.rows = asked->rows,
		.part = asked->part };
}

static inline void
kvr_work_post(const struct kvr_work *work, const struct kvr_msg *msg)
{
	enum kvr_err err = kvr_domain_post(work->domain, msg);

	(void)err; /* DEAD and SHUTDOWN: nobody waits for it any more */
}

static inline uint32_t
kvr_work_took_us(uint64_t since_ns)
{
	uint64_t us = (kvr_now_ns() - since_ns) / 1000;

	return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/* One connector lane: owns one connection of a tier. */
struct kvr_lane;
struct kvr_lane_options {
	const struct kvr_work *work;
	const struct kvr_connector_ops *ops;
	struct kvr_store *store;
	struct kvr_words *words;
	const char *tier_name; /* must outlive the lane */
	uint32_t tier, lane, places;
	uint64_t connect_ns; /* limit of a dial; only for what is said of one that takes longer */
};
/* words.c. Log lines about a failed key, a connection that ended, and one that was made with a
 * remark, where one is due. */
void kvr_words_of_key(const struct kvr_lane_options *, enum kvr_verb verb, int32_t err);
void kvr_words_of_end(const struct kvr_lane_options *, int32_t err);
void kvr_words_of_dial(const struct kvr_lane_options *);
/* Attaches its mailbox and its kick to the domain; starts the thread. */
KVR_MUST_USE enum kvr_err kvr_lane_start(const struct kvr_lane_options *, struct kvr_lane **ret);
/* As if its link had sent HANG_UP; harmless if it has. */
void kvr_lane_end(struct kvr_lane *);
/* After HANG_UP. TIMEOUT: it is stuck below the store; the lane must stay as it is. */
KVR_MUST_USE enum kvr_err kvr_lane_join(struct kvr_lane *take, uint64_t until_ns);
/* Instead of joining a stuck lane: it ends when it comes back, and nobody waits for it. */
void kvr_lane_leave(struct kvr_lane *take);

/*
 * Sends a value on a round trip, under a key that only this salt has. Returns what the store said;
 * ended: the connection is over, as after run().
 */
int32_t kvr_probe(const struct kvr_connector_ops *, struct kvr_connector *, uint64_t salt,
    uint64_t until_ns, bool *ret_ended);

/* One thread of the serde pool: ENCODE and DECODE. */
struct kvr_hand;
KVR_MUST_USE enum kvr_err kvr_serde_start(
    const struct kvr_work *, uint32_t number, struct kvr_hand **ret);
/* Tells it to end after what is in its mailbox, which is bounded work. Call it once. */
void kvr_hand_end(struct kvr_hand *);
void kvr_hand_join(struct kvr_hand *take);

/* The copy worker: COPY. words: gets the driver's words about the last failed copy. */
enum { KVR_COPY_PLACES = 4 }; /* parts in it at a time, per way */
struct kvr_copy_worker;
KVR_MUST_USE enum kvr_err kvr_copy_start(const struct kvr_work *, struct kvr_words *words,
    struct kvr_copy_worker **ret);
/* Tells it to end after what is in it. */
void kvr_copy_end(struct kvr_copy_worker *);
/*
 * The same, and waits for it. TIMEOUT: the device's driver hangs, so the thread and what it may
 * reach must stay; join may be called again.
 */
KVR_MUST_USE enum kvr_err kvr_copy_join(struct kvr_copy_worker *take, uint64_t until_ns);
/* Instead of a join that did not come to an end. */
void kvr_copy_leave(struct kvr_copy_worker *take);

/* The codecs of the serde pool; only kvr_codec.c sees zstd. The ids are stored in sealed values. */
enum kvr_serde_id { KVR_SERDE_NAIVE = 0, KVR_SERDE_ZSTD = 1, KVR_SERDE_PLANES = 2 };

struct kvr_codec; /* contexts and scratch of one thread */
struct kvr_codec *kvr_codec_new(void);
void              kvr_codec_free(struct kvr_codec *take);
/*
 * 0: no shorter than raw, or than cap: store it as it is. dtype_bytes 2: the bytes of each element
 * are separated first, because their high bytes are alike; planes codes nothing else.
 */
size_t kvr_codec_encode(struct kvr_codec *, enum kvr_serde_id, uint32_t dtype_bytes,
    struct kvr_const_span raw, struct kvr_span into);
/* KVR_OK: exactly raw_len bytes were written. CORRUPT; IDENTITY: there is no such serde here. */
KVR_MUST_USE enum kvr_err kvr_codec_decode(struct kvr_codec *, uint32_t serde,
    struct kvr_const_span stored, void *into, size_t raw_len);
/* The version of zstd at run time. */
const char *kvr_codec_library(void);

#endif
