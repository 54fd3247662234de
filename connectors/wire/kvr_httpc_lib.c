/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that includes libcurl. Its multi interface runs all exchanges of a lane in the
 * lane's own thread; the lane's kick is one of the descriptors that it polls.
 *
 * Features of libcurl that are not used, and why:
 *   names       are looked up before, under a deadline. libcurl's own resolver is a thread, and
 *               libcurl waits for it when an exchange is given up.
 *   proxies     of the environment: a store on this machine is not reached through http_proxy.
 *   redirects   none is documented; payload must not go elsewhere.
 *   dot paths   are not normalized, because a key is not a path.
 */
#include "kvr_httpc_part.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { IDLE_MAX = 32 }; /* connections that are kept */

enum state { FREE, FLIES, OVER, OUT };

struct exchange {
	CURL *easy;
	enum state state;
	enum kvr_httpc_method method;
	CURLcode code;
	struct kvr_httpc_out out;
	struct kvr_httpc_in in;
	char type[64];
	char why[CURL_ERROR_SIZE];
};

struct kvr_httpc {
	CURLM *multi;
	struct curl_slist *headers[3]; /* indexed by method */
	struct curl_slist *where;
	const struct kvr_tls_opts *tls;
	char base[320];
	char agent[64], accept_encoding[32];
	uint64_t connect_ns, idle_ns;
	uint32_t at_once, piece;
	struct exchange exchange[];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode       once_code;

static void
begin_process(void)
{
	once_code = curl_global_init(CURL_GLOBAL_ALL);
}

bool
kvr_httpc_is_built(void)
{
	return true;
}

enum kvr_err
kvr_httpc_check(const struct kvr_tls_opts *tls, char *why, size_t why_cap)
{
	pthread_once(&once, begin_process);
	if (once_code != CURLE_OK) {
		snprintf(why, why_cap, "libcurl: %s", curl_easy_strerror(once_code));
		return KVR_E_CONFIG;
	}
	if (tls == NULL)
		return KVR_OK;
	if ((curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_SSL) == 0) {
		snprintf(why, why_cap, "this libcurl has no TLS: https is not possible");
		return KVR_E_CONFIG;
	}
	return kvr_httpc_files(tls, why, why_cap) ? KVR_OK : KVR_E_CONFIG;
}

/* ---- called by libcurl ---- */

static size_t
give_body(char *to, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	return kvr_httpc_out_take(&x->out, to, size * n);
}

/* A kept connection may turn out to be dead when the first bytes are sent: they are sent again. */
static int
go_back(void *arg, curl_off_t to, int origin)
{
	struct exchange *x = arg;
	if (origin != SEEK_SET || to < 0 || (uint64_t)to > kvr_httpc_out_len(&x->out))
		return CURL_SEEKFUNC_FAIL;
	x->out.at = (uint64_t)to;
	return CURL_SEEKFUNC_OK;
}

static size_t
take_header(char *line, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	long status = 0;
	curl_off_t announced = -1;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!kvr_httpc_in_header(&x->in, line, size * n, (uint32_t)status))
		return size * n;
	curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
	return kvr_httpc_in_announced(&x->in, announced) ? size * n : 0;
}

static size_t
take_body(char *from, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	return kvr_httpc_in_body(&x->in, from, size * n) ? size * n : 0;
}

/* ---- one exchange ---- */

static long
ms(uint64_t ns)
{
	uint64_t up = (ns + KVR_MS(1) - 1) / KVR_MS(1);
	return (long)KVR_MIN(KVR_MAX(up, UINT64_C(1)), (uint64_t)INT32_MAX);
}

static void
set_tls(CURL *easy, const struct kvr_tls_opts *tls)
{
	struct stat st;
	bool dir = tls->ca != NULL && stat(tls->ca, &st) == 0 && S_ISDIR(st.st_mode);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (tls->ca != NULL) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, dir ? NULL : tls->ca);
		curl_easy_setopt(easy, CURLOPT_CAPATH, dir ? tls->ca : NULL);
	}
	/* A resumed session shows no certificate: one that was revoked meanwhile would slip through. */
	if (tls->crl != NULL) {
		curl_easy_setopt(easy, CURLOPT_CRLFILE, tls->crl);
		curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	}
	if (tls->cert != NULL) {
		curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert);
		curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key != NULL ? tls->key : tls->cert);
	}
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls->no_verify ? 0L : 1L);
	curl_easy_setopt(
	    easy, CURLOPT_SSL_VERIFYHOST, tls->no_verify || tls->no_host_check ? 0L : 2L);
}

/* The options that are the same for all exchanges of this handle. */
static void
set_once(struct kvr_httpc *h, struct exchange *x)
{
	CURL *e = x->easy;
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_RESOLVE, h->where);
	curl_easy_setopt(e, CURLOPT_USERAGENT, h->agent);
	curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, h->accept_encoding);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, ms(h->connect_ns));
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)(h->idle_ns / KVR_SEC(1)));
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->why);
	curl_easy_setopt(e, CURLOPT_PRIVATE, x);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, give_body);
	curl_easy_setopt(e, CURLOPT_READDATA, x);
	curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, go_back);
	curl_easy_setopt(e, CURLOPT_SEEKDATA, x);
	curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE,
	    (long)KVR_MIN(KVR_MAX(h->piece, 16384U), 2097152U));
	if (h->tls != NULL)
		set_tls(e, h->tls);
}

static void
set_method(struct kvr_httpc *h, struct exchange *x)
{
	CURL *e = x->easy;
	/* Each of the three resets what the others have set. */
	if (x->method == KVR_HTTPC_PUT) {
		curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE,
		    (curl_off_t)kvr_httpc_out_len(&x->out));
	} else if (x->method == KVR_HTTPC_POST) {
		curl_easy_setopt(e, CURLOPT_UPLOAD, 0L);
		curl_easy_setopt(e, CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
	} else {
		curl_easy_setopt(e, CURLOPT_UPLOAD, 0L);
		curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, h->headers[x->method]);
}

/* Made with a method's first exchange: all exchanges of a method have the same Content-Type. */
static bool
headers_for(struct kvr_httpc *h, const struct kvr_httpc_ask *ask)
{
	char line[128];
	struct curl_slist *list, *more;
	if (h->headers[ask->method] != NULL)
		return true;
	/* Otherwise it would ask for permission before a body, and wait a second for it. */
	list = curl_slist_append(NULL, "Expect:");
	if (list == NULL)
		return false;
	if (ask->type != NULL) {
		snprintf(line, sizeof(line), "Content-Type: %s", ask->type);
		more = curl_slist_append(list, line);
		if (more == NULL) {
			curl_slist_free_all(list);
			return false;
		}
	}
	h->headers[ask->method] = list;
	return true;
}

int32_t
kvr_httpc_idle(struct kvr_httpc *h)
{
	for (uint32_t i = 0; i < h->at_once; i++) {
		struct exchange *x = &h->exchange[i];
		if (x->state != FREE)
			continue;
		if (x->easy == NULL && (x->easy = curl_easy_init()) != NULL)
			set_once(h, x);
		return x->easy != NULL ? (int32_t)i : -1;
	}
	return -1;
}

int32_t
kvr_httpc_start(struct kvr_httpc *h, const struct kvr_httpc_ask *ask)
{
	char url[KVR_HTTPC_URL_MAX + sizeof(h->base)];
	int32_t i = kvr_httpc_idle(h);
	if (i < 0 || !headers_for(h, ask))
		return -1;
	struct exchange *x = &h->exchange[i];
	x->method = ask->method;
	x->type[0] = x->why[0] = '\0';
	x->out = (struct kvr_httpc_out){ .span = { ask->body[0], ask->body[1] }, .piece = h->piece };
	kvr_httpc_in_begin(&x->in);
	set_method(h, x);
	curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, ms(ask->limit_ns));
	int len = snprintf(url, sizeof(url), "%s%s", h->base, ask->path);
	KVR_CHECK(len > 0 && (size_t)len < sizeof(url));
	if (curl_easy_setopt(x->easy, CURLOPT_URL, url) != CURLE_OK ||
	    curl_multi_add_handle(h->multi, x->easy) != CURLM_OK)
		return -1;
	x->state = FLIES;
	return i;
}

static void
finish(struct kvr_httpc *h, struct exchange *x, CURLcode code)
{
	const char *type = NULL;
	curl_easy_getinfo(x->easy, CURLINFO_CONTENT_TYPE, &type);
	snprintf(x->type, sizeof(x->type), "%s", type != NULL ? type : "");
	x->code = x->in.enough ? CURLE_OK : code;
	curl_multi_remove_handle(h->multi, x->easy);
	x->state = OVER;
}

static uint32_t
collect(struct kvr_httpc *h)
{
	uint32_t n = 0;
	int left;
	for (const CURLMsg *m; (m = curl_multi_info_read(h->multi, &left)) != NULL;) {
		char *x = NULL;
		CURLcode code = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x);
		finish(h, (void *)x, code);
	}
	for (uint32_t i = 0; i < h->at_once; i++)
		n += h->exchange[i].state == OVER;
	return n;
}

enum kvr_err
kvr_httpc_wait(struct kvr_httpc *h, uint64_t until_ns, struct kvr_kick *kick)
{
	for (;;) {
		int running = 0;
		if (kick != NULL && kvr_kicked(kick))
			return KVR_E_CANCELLED;
		if (kvr_now_ns() >= until_ns)
			return KVR_E_TIMEOUT;
		CURLMcode code = curl_multi_perform(h->multi, &running);
		/* A wrong handle or a nested call is our mistake; a lack of memory is not. */
		KVR_CHECK(code == CURLM_OK || code == CURLM_OUT_OF_MEMORY ||
		    code == CURLM_INTERNAL_ERROR);
		if (code != CURLM_OK)
			return KVR_E_PROTO;
		if (collect(h) > 0 || running == 0)
			return KVR_OK;
		struct curl_waitfd fd = { .fd = kick != NULL ? kick->fd : -1,
			.events = CURL_WAIT_POLLIN };
		int wait_ms = kvr_poll_ms(until_ns);
		(void)curl_multi_poll(
		    h->multi, &fd, kick != NULL, wait_ms < 0 ? 1000 : wait_ms, NULL);
	}
}

int32_t
kvr_httpc_next(struct kvr_httpc *h)
{
	for (uint32_t i = 0; i < h->at_once; i++) {
		if (h->exchange[i].state == OVER) {
			h->exchange[i].state = OUT;
			return (int32_t)i;
		}
	}
	return -1;
}

static enum kvr_err
err_of(const struct exchange *x)
{
	switch ((int)x->code) {
	case CURLE_OK:
		return KVR_OK;
	case CURLE_COULDNT_CONNECT:
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_OPERATION_TIMEDOUT:
		return KVR_E_DOWN;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
		return KVR_E_AUTH;
	default:
		return KVR_E_PROTO;
	}
}

void
kvr_httpc_answer(const struct kvr_httpc *h, int32_t i, struct kvr_httpc_answer *ret)
{
	const struct exchange *x = &h->exchange[i];
	const char *why = x->why[0] != '\0' ? x->why : curl_easy_strerror(x->code);
	*ret = (struct kvr_httpc_answer){ .err = err_of(x), .status = x->in.status,
		.type = x->type, .body = { x->in.at, x->in.len },
		.why = x->in.too_long ? "an answer without end" : why };
}

void
kvr_httpc_end(struct kvr_httpc *h, int32_t i)
{
	struct exchange *x = &h->exchange[i];
	if (x->state == FLIES)
		curl_multi_remove_handle(h->multi, x->easy);
	x->state = FREE;
}

bool
kvr_httpc_in_flight(const struct kvr_httpc *h, int32_t i)
{
	return h->exchange[i].state == FLIES;
}

/* ---- life ---- */

/* The names in this list are not looked up. */
static bool
set_where(struct kvr_httpc *h, const struct kvr_httpc_opts *o)
{
	char text[KVR_RESOLVE_MAX * 64 + 300];
	if (!kvr_httpc_base(o, h->base, sizeof(h->base)) || !kvr_httpc_resolved(o, text, sizeof(text)))
		return false;
	if (text[0] != '\0')
		h->where = curl_slist_append(NULL, text);
	return text[0] == '\0' || h->where != NULL;
}

enum kvr_err
kvr_httpc_new(const struct kvr_httpc_opts *o, struct kvr_httpc **ret, char *why, size_t why_cap)
{
	KVR_CHECK(o->at_once > 0 && o->at_once <= KVR_HTTPC_AT_ONCE_MAX);
	struct kvr_httpc *h = calloc(1, sizeof(*h) + o->at_once * sizeof(h->exchange[0]));
	if (h != NULL)
		h->multi = curl_multi_init();
	if (h == NULL || h->multi == NULL || !set_where(h, o)) {
		snprintf(why, why_cap, "no memory for HTTP");
		kvr_httpc_free(h);
		return KVR_E_NOMEM;
	}
	h->tls = o->tls;
	h->connect_ns = o->connect_ns > 0 ? o->connect_ns : KVR_SEC(300);
	h->idle_ns = o->idle_ns;
	h->at_once = o->at_once;
	h->piece = o->piece;
	snprintf(h->agent, sizeof(h->agent), "%s", o->agent);
	snprintf(h->accept_encoding, sizeof(h->accept_encoding), "%s", o->accept_encoding);
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)o->at_once);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX);
	*ret = h;
	return KVR_OK;
}

void
kvr_httpc_free(struct kvr_httpc *take)
{
	if (take == NULL)
		return;
	for (uint32_t i = 0; i < take->at_once; i++) {
		struct exchange *x = &take->exchange[i];
		kvr_httpc_end(take, (int32_t)i);
		if (x->easy != NULL)
			curl_easy_cleanup(x->easy);
		free(x->in.at);
	}
	if (take->multi != NULL)
		curl_multi_cleanup(take->multi);
	for (size_t m = 0; m < KVR_LEN(take->headers); m++)
		curl_slist_free_all(take->headers[m]);
	curl_slist_free_all(take->where);
	free(take);
}
