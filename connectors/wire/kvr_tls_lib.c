/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that includes OpenSSL. A BIO of our own is between OpenSSL and the socket, because
 * OpenSSL's would write without MSG_NOSIGNAL and make a system call per record.
 */
#include "kvr_tls_lib.h"
#include "kvr_tls_files.h"
#include "kvr_tls_out.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* As much as the plain stream receives: few calls, but short enough to stay in the cache. */
#define AHEAD_BYTES 131072U
/* For what a server said before it hung up: enough for the answers to a window of puts. */
#define SAID_BYTES 4096U

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static BIO_METHOD    *method; /* written once, before the first context */

/* A kvr_tls_ctx is an SSL_CTX: OpenSSL counts connections as its users. */
struct kvr_tls_conn {
	SSL     *ssl;
	bool     is_up;  /* the handshake is complete: the peer would understand a goodbye */
	bool     closed; /* by the other side */
	bool     broken; /* fault says why; OpenSSL is not called any more */
	enum kvr_tls_fault fault;
	enum kvr_tls_fault cert_fault; /* why a certificate was refused */
	char     cert[160];
	char     why[192];
	SSL_SESSION *session; /* the last one that the server gave; NULL: none yet */
	uint8_t  said[SAID_BYTES]; /* bytes read after a write had failed, for the next reader */
	uint32_t said_at, said_end;
	struct kvr_tls_out out; /* its sys_err is also that of receives */
};

/* ---- the socket under OpenSSL ---- */

static int
bio_write(BIO *b, const char *from, size_t len, size_t *ret_n)
{
	struct kvr_tls_conn *c = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	*ret_n = kvr_tls_out_put(&c->out, from, len);
	if (*ret_n == 0 && c->out.sys_err == 0)
		BIO_set_retry_write(b);
	return *ret_n > 0;
}

static int
bio_read(BIO *b, char *to, size_t len, size_t *ret_n)
{
	struct kvr_tls_conn *c = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	ssize_t n = recv(c->out.fd, to, len, 0);
	if (n > 0) {
		*ret_n = (size_t)n;
		return 1;
	}
	if (n == 0)
		c->closed = true;
	else if (errno == EAGAIN || errno == EINTR)
		BIO_set_retry_read(b);
	else
		c->out.sys_err = errno;
	return 0;
}

static long
bio_ctrl(BIO *b, int what, long number, void *at)
{
	struct kvr_tls_conn *c = BIO_get_data(b);
	(void)number;
	(void)at;
	if (what == BIO_CTRL_EOF)
		return c->closed;
	if (what != BIO_CTRL_FLUSH)
		return 0;
	BIO_clear_retry_flags(b);
	if (kvr_tls_out_drain(&c->out))
		return 1;
	if (c->out.sys_err == 0)
		BIO_set_retry_write(b);
	return 0;
}

/*
 * OpenSSL must not clean up at exit: a program that ends without closing its instance still has
 * lanes that encrypt, and they would crash.
 */
static void
start_library(void)
{
	(void)OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
	method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "kvr stream");
	KVR_CHECK(method != NULL && BIO_meth_set_write_ex(method, bio_write) == 1 &&
	    BIO_meth_set_read_ex(method, bio_read) == 1 &&
	    BIO_meth_set_ctrl(method, bio_ctrl) == 1);
}

/* ---- OpenSSL's errors ---- */

static const struct {
	int reason;
	enum kvr_tls_fault fault;
} reasons[] = {
	{ SSL_R_WRONG_VERSION_NUMBER, KVR_TLS_FAULT_NOT_TLS },
	{ SSL_R_HTTP_REQUEST, KVR_TLS_FAULT_NOT_TLS },
	{ SSL_R_PACKET_LENGTH_TOO_LONG, KVR_TLS_FAULT_NOT_TLS },
	{ SSL_R_UNSUPPORTED_PROTOCOL, KVR_TLS_FAULT_VERSION },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, KVR_TLS_FAULT_VERSION },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, KVR_TLS_FAULT_NO_CIPHER },
	{ SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, KVR_TLS_FAULT_WANTS_CERT },
	{ SSL_R_TLSV1_ALERT_UNKNOWN_CA, KVR_TLS_FAULT_OWN_CA },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, KVR_TLS_FAULT_OWN_EXPIRED },
	{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, KVR_TLS_FAULT_OWN_REFUSED },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, KVR_TLS_FAULT_OWN_REFUSED },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, KVR_TLS_FAULT_OWN_REFUSED },
	{ SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, KVR_TLS_FAULT_OWN_REFUSED },
	{ SSL_R_TLSV1_ALERT_ACCESS_DENIED, KVR_TLS_FAULT_OWN_REFUSED },
	{ SSL_R_TLSV1_UNRECOGNIZED_NAME, KVR_TLS_FAULT_NAME_UNKNOWN },
};

static const char *
reason_text(unsigned long code)
{
	const char *text =
	    ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
	return text != NULL ? text : "OpenSSL does not say why";
}

/* Empties this thread's error queue of OpenSSL's; its first entry is the cause of the others. */
static void
give_up(struct kvr_tls_conn *c, int kind)
{
	unsigned long code = ERR_get_error();
	int reason = kind == SSL_ERROR_SSL ? ERR_GET_REASON(code) : 0;
	const char *detail = reason_text(code);
	c->fault = KVR_TLS_FAULT_OTHER;
	for (size_t i = 0; i < KVR_LEN(reasons); i++)
		if (reasons[i].reason == reason)
			c->fault = reasons[i].fault;
	/* A wrong signature leaves its own entry before that of the refusal. */
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED || c->cert[0] != '\0') {
		c->fault = c->cert_fault;
		detail = c->cert;
	} else if (c->out.sys_err != 0) {
		c->fault = KVR_TLS_FAULT_SYSTEM;
		detail = strerror(c->out.sys_err);
	} else if (kind == SSL_ERROR_ZERO_RETURN ||
	    (c->closed && c->fault == KVR_TLS_FAULT_OTHER)) {
		c->fault = KVR_TLS_FAULT_CLOSED;
	}
	kvr_tls_fault_text(c->fault, detail, c->why, sizeof(c->why));
	c->broken = true;
	ERR_clear_error();
}

static enum kvr_tls_step
step(struct kvr_tls_conn *c, int rc)
{
	if (rc == 1)
		return KVR_TLS_DONE;
	int kind = SSL_get_error(c->ssl, rc);
	if (kind == SSL_ERROR_WANT_READ)
		return KVR_TLS_READ;
	if (kind == SSL_ERROR_WANT_WRITE)
		return KVR_TLS_WRITE;
	give_up(c, kind);
	return KVR_TLS_OVER;
}

/* ---- certificates ---- */

static void
moment(const ASN1_TIME *t, char *ret, size_t cap)
{
	struct tm tm;
	ret[0] = '\0';
	if (ASN1_TIME_to_tm(t, &tm) == 1)
		(void)!strftime(ret, cap, "%Y-%m-%d %H:%M UTC", &tm);
}

/*
 * The names in a certificate, as far as they fit. Others chose these bytes and they go into a log.
 */
static void
named(const X509 *cert, char *ret, size_t cap)
{
	int at = X509_get_ext_by_NID(cert, NID_subject_alt_name, -1);
	BIO *out = at >= 0 ? BIO_new(BIO_s_mem()) : NULL;
	int len = 0;
	if (out != NULL && X509V3_EXT_print(out, X509_get_ext(cert, at), 0, 0) == 1)
		len = BIO_read(out, ret, (int)cap - 1);
	BIO_free(out);
	if (len > 0)
		ret[len] = '\0';
	else
		X509_NAME_oneline(X509_get_subject_name(cert), ret, (int)cap);
	for (char *p = ret; *p != '\0'; p++)
		*p = *p >= ' ' && *p < 0x7f ? *p : '?';
}

/* crl: the list at fault; NULL: none. False: the error is not about a list. */
static bool
describe_crl(struct kvr_tls_conn *c, const X509 *cert, const X509_CRL *crl, int err)
{
	char ca[96], at[32] = "";
	X509_NAME_oneline(X509_get_issuer_name(cert), ca, sizeof(ca));
	switch (err) {
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
		c->cert_fault = KVR_TLS_FAULT_NO_CRL;
		snprintf(c->cert, sizeof(c->cert), "%s", ca);
		return true;
	case X509_V_ERR_CRL_HAS_EXPIRED:
		c->cert_fault = KVR_TLS_FAULT_CRL_EXPIRED;
		if (crl != NULL)
			moment(X509_CRL_get0_nextUpdate(crl), at, sizeof(at));
		snprintf(c->cert, sizeof(c->cert), "until %s, %s", at, ca);
		return true;
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
	case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
	case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
	case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
	case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
	case X509_V_ERR_DIFFERENT_CRL_SCOPE:
	case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
		c->cert_fault = KVR_TLS_FAULT_CRL;
		snprintf(
		    c->cert, sizeof(c->cert), "%s: %s", ca, X509_verify_cert_error_string(err));
		return true;
	default:
		return false;
	}
}

static void
describe(struct kvr_tls_conn *c, const X509 *cert, const X509_CRL *crl, int err)
{
	char name[96] = "?", at[32];
	if (cert != NULL)
		X509_NAME_oneline(X509_get_subject_name(cert), name, sizeof(name));
	c->cert_fault = KVR_TLS_FAULT_CERT;
	if (cert != NULL && describe_crl(c, cert, crl, err))
		return;
	switch (cert != NULL ? err : X509_V_ERR_UNSPECIFIED) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		c->cert_fault = KVR_TLS_FAULT_EXPIRED;
		moment(X509_get0_notAfter(cert), at, sizeof(at));
		snprintf(c->cert, sizeof(c->cert), "until %s, %s", at, name);
		return;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		c->cert_fault = KVR_TLS_FAULT_TOO_EARLY;
		moment(X509_get0_notBefore(cert), at, sizeof(at));
		snprintf(c->cert, sizeof(c->cert), "from %s on, %s", at, name);
		return;
	case X509_V_ERR_CERT_REVOKED:
		c->cert_fault = KVR_TLS_FAULT_REVOKED;
		snprintf(c->cert, sizeof(c->cert), "%s", name);
		return;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		c->cert_fault = KVR_TLS_FAULT_UNKNOWN_CA;
		snprintf(c->cert, sizeof(c->cert), "%s", name);
		return;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		c->cert_fault = KVR_TLS_FAULT_WRONG_HOST;
		named(cert, c->cert, sizeof(c->cert));
		return;
	default:
		snprintf(c->cert, sizeof(c->cert), "%s: %s", name,
		    X509_verify_cert_error_string(err));
		return;
	}
}

static int
on_verify(int ok, X509_STORE_CTX *x)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
	if (ok == 0)
		describe(SSL_get_app_data(ssl), X509_STORE_CTX_get_current_cert(x),
		    X509_STORE_CTX_get0_current_crl(x), X509_STORE_CTX_get_error(x));
	return ok;
}

/* ---- sessions: a kvr_tls_session is an SSL_SESSION ---- */

static SSL_SESSION *
session_of(struct kvr_tls_session *s)
{
	return (SSL_SESSION *)(void *)s;
}

void
kvr_tls_session_free(struct kvr_tls_session *take)
{
	SSL_SESSION_free(session_of(take));
}

/* With TLS 1.3 sessions come after the handshake, as many as the server likes. */
static int
on_session(SSL *ssl, SSL_SESSION *take)
{
	struct kvr_tls_conn *c = SSL_get_app_data(ssl);
	SSL_SESSION_free(c->session);
	c->session = take;
	return 1;
}

/*
 * For a resumed session OpenSSL verifies nothing: neither that the certificate is still valid, nor
 * that no list revokes it by now. So the certificates kept in the session are verified as its
 * handshake would do. The only thing not shown again is that the server still has the key; whoever
 * keeps sessions limits their age for that reason.
 */
static bool
still_believed(SSL *ssl)
{
	X509_STORE_CTX *x = X509_STORE_CTX_new();
	X509 *cert = SSL_get0_peer_certificate(ssl);
	X509_STORE *store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
	bool good = x != NULL && cert != NULL &&
	    X509_STORE_CTX_init(x, store, cert, SSL_get_peer_cert_chain(ssl)) == 1;
	if (good) {
		X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(x);
		X509_VERIFY_PARAM_set_auth_level(param, SSL_get_security_level(ssl));
		good = X509_STORE_CTX_set_default(x, "ssl_server") == 1 &&
		    X509_VERIFY_PARAM_set1(param, SSL_get0_param(ssl)) == 1 &&
		    X509_verify_cert(x) == 1;
	}
	X509_STORE_CTX_free(x);
	return good;
}

bool
kvr_tls_conn_offer(struct kvr_tls_conn *c, struct kvr_tls_session *take)
{
	ERR_clear_error();
	bool good = SSL_set_session(c->ssl, session_of(take)) == 1 &&
	    (SSL_get_verify_mode(c->ssl) == SSL_VERIFY_NONE || still_believed(c->ssl));
	if (!good)
		(void)SSL_set_session(c->ssl, NULL);
	kvr_tls_session_free(take);
	ERR_clear_error();
	return good;
}

bool
kvr_tls_conn_resumed(const struct kvr_tls_conn *c)
{
	return SSL_session_reused(c->ssl) == 1;
}

/*
 * A ticket of TLS 1.3 is for one connection, because two connections with the same ticket could be
 * recognized as coming from one client. A session of TLS 1.2 can be used again. A session whose
 * connection ended because of wrong bytes cannot.
 */
struct kvr_tls_session *
kvr_tls_conn_session(struct kvr_tls_conn *c)
{
	SSL_SESSION *s = c->session;
	bool cut = c->fault == KVR_TLS_FAULT_CLOSED || c->fault == KVR_TLS_FAULT_SYSTEM;
	c->session = NULL;
	if (s == NULL && kvr_tls_conn_resumed(c) && SSL_version(c->ssl) < TLS1_3_VERSION)
		s = SSL_get1_session(c->ssl);
	if (s != NULL && c->is_up && (!c->broken || cut) && SSL_SESSION_is_resumable(s) == 1)
		return (struct kvr_tls_session *)(void *)s;
	SSL_SESSION_free(s);
	return NULL;
}

/* ---- the context ---- */

/* Otherwise OpenSSL would ask at the terminal of the host process. */
static int
no_passphrase(char *to, int cap, int for_writing, void *arg)
{
	(void)to;
	(void)cap;
	(void)for_writing;
	(void)arg;
	return -1;
}

static bool
load_ca(SSL_CTX *ctx, const char *path)
{
	struct stat st;
	if (path == NULL)
		return SSL_CTX_set_default_verify_paths(ctx) == 1;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return SSL_CTX_load_verify_dir(ctx, path) == 1;
	return SSL_CTX_load_verify_file(ctx, path) == 1;
}

struct crls {
	X509_LOOKUP *lookup;
	int          n;
};

/* A file without a list is not an error: the directory may also contain CAs. */
static bool
load_crl_file(const char *file, void *arg)
{
	struct crls *all = arg;
	ERR_clear_error();
	int n = X509_load_crl_file(all->lookup, file, X509_FILETYPE_PEM);
	if (n > 0) {
		all->n += n;
		return true;
	}
	unsigned long code = ERR_peek_error();
	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

/*
 * Does not use OpenSSL's directory lookup: it would trust every certificate in there, and it never
 * reads a known list again. Lists are checked for the whole chain, not only for its last
 * certificate.
 */
static bool
load_crls(SSL_CTX *ctx, const char *path)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	struct crls all = { .lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file()) };
	if (all.lookup == NULL || !kvr_tls_files_each(path, load_crl_file, &all))
		return false;
	ERR_clear_error();
	if (all.n == 0)
		ERR_raise(ERR_LIB_X509, X509_R_NO_CRL_FOUND);
	return all.n > 0 &&
	    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
}

static void
settle(SSL_CTX *ctx, const struct kvr_tls_opts *o)
{
	/* The system's policy may demand more, but not less. */
	if (SSL_CTX_get_min_proto_version(ctx) < TLS1_2_VERSION)
		(void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* A retry may use another buffer, because the stream gathers its parts again. */
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
	        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	/* The dialling code keeps sessions: OpenSSL's own cache knows neither name nor address. */
	(void)SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, AHEAD_BYTES);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	SSL_CTX_set_verify(ctx, o->no_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, on_verify);
}

static const char *
load(SSL_CTX *ctx, const struct kvr_tls_opts *o, const char **ret_path)
{
	*ret_path = o->ca != NULL ? o->ca : "the system's certificates";
	if (!o->no_verify && !load_ca(ctx, o->ca))
		return "tls.ca";
	*ret_path = o->crl;
	if (o->crl != NULL && !load_crls(ctx, o->crl))
		return "tls.crl";
	*ret_path = o->cert;
	if (o->cert != NULL && SSL_CTX_use_certificate_chain_file(ctx, o->cert) != 1)
		return "tls.cert";
	*ret_path = o->key;
	if (o->key != NULL && (SSL_CTX_use_PrivateKey_file(ctx, o->key, SSL_FILETYPE_PEM) != 1 ||
	        SSL_CTX_check_private_key(ctx) != 1))
		return "tls.key";
	return NULL;
}

bool
kvr_tls_lib_is_built(void)
{
	return true;
}

enum kvr_err
kvr_tls_ctx_new(
    const struct kvr_tls_opts *o, struct kvr_tls_ctx **ret, char *why, size_t why_cap)
{
	const char *path = NULL;
	KVR_CHECK(pthread_once(&library_once, start_library) == 0);
	ERR_clear_error();
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL) {
		snprintf(why, why_cap, "OpenSSL: %s", reason_text(ERR_get_error()));
		return KVR_E_NOMEM;
	}
	settle(ctx, o);
	const char *wrong = load(ctx, o, &path);
	if (wrong == NULL) {
		*ret = (struct kvr_tls_ctx *)ctx;
		return KVR_OK;
	}
	snprintf(why, why_cap, "%s: %s: %s", wrong, path, reason_text(ERR_get_error()));
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return KVR_E_CONFIG;
}

void
kvr_tls_ctx_free(struct kvr_tls_ctx *take)
{
	SSL_CTX_free((SSL_CTX *)take);
}

/* ---- connections ---- */

static bool
expect(SSL *ssl, const struct kvr_tls_opts *o, const char *name)
{
	uint8_t address[16];
	bool is_address = inet_pton(AF_INET, name, address) == 1 ||
	    inet_pton(AF_INET6, name, address) == 1;
	if (!is_address && SSL_set_tlsext_host_name(ssl, name) != 1)
		return false;
	if (o->no_verify || o->no_host_check)
		return true;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 :
	    SSL_set1_host(ssl, name) == 1;
}

struct kvr_tls_conn *
kvr_tls_conn_new(
    struct kvr_tls_ctx *ctx, const struct kvr_tls_opts *o, const char *name, int fd)
{
	struct kvr_tls_conn *c = calloc(1, sizeof(*c));
	BIO *bio = BIO_new(method);
	SSL *ssl = SSL_new((SSL_CTX *)ctx);
	if (c == NULL || bio == NULL || ssl == NULL || !expect(ssl, o, name)) {
		SSL_free(ssl);
		BIO_free(bio);
		free(c);
		return NULL;
	}
	c->ssl = ssl;
	c->out.fd = fd;
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_app_data(ssl, c);
	SSL_set_connect_state(ssl);
	return c;
}

void
kvr_tls_conn_free(struct kvr_tls_conn *take)
{
	if (take == NULL)
		return;
	/* After half a record nobody would recognize a goodbye. */
	if (take->is_up && kvr_tls_conn_drain(take) == KVR_TLS_DONE)
		(void)SSL_shutdown(take->ssl);
	/* When a connection breaks, OpenSSL invalidates its session; but that is when one is needed. */
	if (take->is_up)
		SSL_set_shutdown(take->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	ERR_clear_error();
	SSL_SESSION_free(take->session);
	SSL_free(take->ssl);
	free(take);
}

enum kvr_tls_step
kvr_tls_conn_shake(struct kvr_tls_conn *c)
{
	ERR_clear_error();
	enum kvr_tls_step done = c->broken ? KVR_TLS_OVER : step(c, SSL_do_handshake(c->ssl));
	c->is_up = done == KVR_TLS_DONE;
	return done;
}

static enum kvr_tls_step
decrypt(struct kvr_tls_conn *c, void *to, size_t len, size_t *ret_n)
{
	ERR_clear_error();
	return step(c, SSL_read_ex(c->ssl, to, len, ret_n));
}

enum kvr_tls_step
kvr_tls_conn_read(struct kvr_tls_conn *c, void *to, size_t len, size_t *ret_n)
{
	if (c->said_at == c->said_end)
		return c->broken ? KVR_TLS_OVER : decrypt(c, to, len, ret_n);
	*ret_n = KVR_MIN(len, (size_t)(c->said_end - c->said_at));
	memcpy(to, c->said + c->said_at, *ret_n);
	c->said_at += (uint32_t)*ret_n;
	return KVR_TLS_DONE;
}

/*
 * A server that refuses us after the handshake, or refuses what we send, says why and closes. A
 * writer then gets a reset while the reason is unread. So read what is there; bytes other than
 * alerts are kept for a reader.
 */
static enum kvr_tls_step
last_words(struct kvr_tls_conn *c)
{
	size_t n = 0;
	int sys_err = c->out.sys_err;
	c->broken = false;
	c->out.sys_err = 0;
	while (c->said_end < SAID_BYTES &&
	       decrypt(c, c->said + c->said_end, SAID_BYTES - c->said_end, &n) == KVR_TLS_DONE)
		c->said_end += (uint32_t)n;
	if (!c->broken || c->fault == KVR_TLS_FAULT_CLOSED) {
		c->out.sys_err = sys_err;
		give_up(c, SSL_ERROR_SYSCALL);
	}
	return KVR_TLS_OVER;
}

enum kvr_tls_step
kvr_tls_conn_write(struct kvr_tls_conn *c, const void *from, size_t len, size_t *ret_n)
{
	if (c->broken)
		return KVR_TLS_OVER;
	ERR_clear_error();
	enum kvr_tls_step done = step(c, SSL_write_ex(c->ssl, from, len, ret_n));
	return c->out.sys_err != 0 ? last_words(c) : done;
}

enum kvr_tls_step
kvr_tls_conn_drain(struct kvr_tls_conn *c)
{
	if (c->broken)
		return KVR_TLS_OVER;
	if (kvr_tls_out_drain(&c->out))
		return KVR_TLS_DONE;
	return c->out.sys_err != 0 ? last_words(c) : KVR_TLS_WRITE;
}

static bool
seconds_until(const ASN1_TIME *t, int64_t *ret)
{
	int days = 0, seconds = 0;

	if (ASN1_TIME_diff(&days, &seconds, NULL, t) != 1)
		return false;
	*ret = (int64_t)days * KVR_TLS_DAY_S + seconds;
	return true;
}

bool
kvr_tls_conn_days(const struct kvr_tls_conn *c, int64_t *ret_days)
{
	X509 *cert = SSL_get1_peer_certificate(c->ssl);
	int64_t left = 0;
	bool known = cert != NULL && seconds_until(X509_get0_notAfter(cert), &left);

	X509_free(cert);
	if (known)
		*ret_days = left < 0 ? -1 - -left / KVR_TLS_DAY_S : left / KVR_TLS_DAY_S;
	return known;
}

bool
kvr_tls_cert_times(const char *path, int64_t *ret_from_s, int64_t *ret_until_s)
{
	KVR_CHECK(pthread_once(&library_once, start_library) == 0);
	BIO *in = BIO_new_file(path, "r");
	X509 *cert = in == NULL ? NULL : PEM_read_bio_X509(in, NULL, no_passphrase, NULL);
	bool known = cert != NULL && seconds_until(X509_get0_notBefore(cert), ret_from_s) &&
	             seconds_until(X509_get0_notAfter(cert), ret_until_s);

	X509_free(cert);
	BIO_free(in);
	ERR_clear_error();
	return known;
}

enum kvr_tls_fault
kvr_tls_conn_why(const struct kvr_tls_conn *c, const char **ret_text)
{
	KVR_CHECK(c->broken);
	*ret_text = c->why;
	return c->fault;
}

/* ---- SHA-256: a kvr_sha256 is an EVP_MD_CTX ---- */

static EVP_MD_CTX *
md_of(struct kvr_sha256 *sum)
{
	return (EVP_MD_CTX *)(void *)sum;
}

struct kvr_sha256 *
kvr_sha256_new(void)
{
	return (struct kvr_sha256 *)(void *)EVP_MD_CTX_new();
}

void
kvr_sha256_free(struct kvr_sha256 *take)
{
	EVP_MD_CTX_free(md_of(take));
}

void
kvr_sha256_begin(struct kvr_sha256 *sum)
{
	KVR_CHECK(EVP_DigestInit_ex(md_of(sum), EVP_sha256(), NULL) == 1);
}

void
kvr_sha256_add(struct kvr_sha256 *sum, const void *at, size_t len)
{
	KVR_CHECK(EVP_DigestUpdate(md_of(sum), at, len) == 1);
}

void
kvr_sha256_end(struct kvr_sha256 *sum, uint8_t ret[KVR_SHA256_LEN])
{
	unsigned len = 0;

	KVR_CHECK(EVP_DigestFinal_ex(md_of(sum), ret, &len) == 1 && len == KVR_SHA256_LEN);
}
