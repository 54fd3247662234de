/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KVR_BENCH_DELAY_NET_H
#define KVR_BENCH_DELAY_NET_H

#include <stdint.h>

struct delay_net;

/* delay_ns: added to what a round trip takes. */
struct delay_net *delay_net_start(uint16_t server_port, uint64_t delay_ns);
uint16_t delay_net_port(const struct delay_net *);
void delay_net_stop(struct delay_net *take); /* when no client is connected any more */

#endif
