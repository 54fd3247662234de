/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the endpoint. Where the head ends does not depend on how it arrives. What is accepted
 * has a path and an Accept of printable bytes inside the head, was a GET or a HEAD of HTTP/1, and
 * is read the same when it is written anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvr_fuzz.h"
#include "kvr_http_own.h"

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const char *const seeds[] = {
		"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n",
		"HEAD /healthz?x=1 HTTP/1.0\n\n",
		"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab",
		"GET /a#b HTTP/1.1\n\taccept:\t x \r\nACCEPT: y \t\r\nX:\r\n\r\nAccept: z\r\n",
	};
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}

static void
check_text(const char *text, const char *head, size_t len)
{
	size_t n = strlen(text);

	KVR_CHECK(n == 0 || (text >= head && text + n < head + len));
	for (size_t i = 0; i < n; i++)
		KVR_CHECK(((unsigned char)text[i] >= ' ' || text[i] == '\t') && text[i] != 0x7f);
}

static void
check_accepted(const struct kvr_http_request *r, bool body, const uint8_t *was, const char *head,
    size_t len)
{
	size_t method = body ? 4 : 5, room = len + 64, path = strlen(r->path);
	struct kvr_http_request again;
	bool body_again = !body;

	check_text(r->path, head, len);
	check_text(r->accept, head, len);
	KVR_CHECK(r->path[0] == '/' && strpbrk(r->path, " ?#") == NULL);
	KVR_CHECK(len > method + path);
	KVR_CHECK(memcmp(was, body ? "GET " : "HEAD ", method) == 0);
	KVR_CHECK(memcmp(was + method, r->path, path) == 0);
	char *text = malloc(room);

	KVR_CHECK(text != NULL);
	size_t n = (size_t)snprintf(text, room, "%s%s HTTP/1.1\r\nAccept: %s\r\n\r\n",
	    body ? "GET " : "HEAD ", r->path, r->accept);
	KVR_CHECK(n < room && kvr_http_head_len(text, n) == n);
	KVR_CHECK(kvr_http_request_read(text, n, &again, &body_again) == 200);
	KVR_CHECK(body_again == body && strcmp(again.path, r->path) == 0);
	KVR_CHECK(strcmp(again.accept, r->accept) == 0);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	size_t head_len = kvr_http_head_len((const char *)at, len);
	struct kvr_http_request r;
	bool body = true;

	KVR_CHECK(head_len <= len);
	/* Whatever has arrived so far: either all of the head or nothing that ends. */
	size_t part = len == 0 ? 0 : at[0] * len / 256;
	size_t part_len = kvr_http_head_len((const char *)at, part);

	KVR_CHECK(part_len == (head_len > part ? 0 : head_len));
	if (head_len == 0)
		return 0;
	/* Without a byte behind it. */
	char *head = malloc(head_len);

	KVR_CHECK(head != NULL);
	memcpy(head, at, head_len);
	int32_t status = kvr_http_request_read(head, head_len, &r, &body);

	KVR_CHECK(status == 200 || status == 400 || status == 405);
	if (status == 200)
		check_accepted(&r, body, at, head, head_len);
	free(head);
	return 0;
}
