/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of the loopback device for servers that are given one. The kernel's own choice is free only
 * until somebody else, a client as well as a server, is given it; and a test that has killed its
 * server must not find another test's in its place. So these lie below those that the kernel gives,
 * and each is held, for all tests at once, until it is given back or nobody is left who took it.
 */
#ifndef KVR_HARNESS_PORT_H
#define KVR_HARNESS_PORT_H

#include <stdint.h>

/* And the port 10000 above it, where a node of a cluster speaks with the others, is free too. */
uint16_t kvr_port_take(void);
void kvr_port_give(uint16_t take);

#endif
