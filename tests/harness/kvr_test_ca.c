/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_test_ca.h"
#include "kvr_port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NEW_KEY "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc"

/*
 * Threads share certificates behind counters and flags of libcrypto's own, which nobody built for
 * the thread sanitizer: it sees the bytes and not what guards them. Ours it sees, also below
 * OpenSSL.
 */
const char *__tsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *
__tsan_default_suppressions(void)
{
	return "called_from_lib:libcrypto.so\ncalled_from_lib:libssl.so\n";
}

static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "certificates for a test: %s: %s\n", what, strerror(errno));
	abort();
}

const char *
kvr_test_ca_file(const struct kvr_test_ca *me, const char *file)
{
	static char     paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof(paths[0]), "%s/%s", me->dir, file);
	return path;
}

void
kvr_test_ca_sh(const struct kvr_test_ca *me, const char *command)
{
	char line[2048];
	snprintf(line, sizeof(line), "cd %s && { %s; } >log 2>&1", me->dir, command);
	if (system(line) == 0)
		return;
	snprintf(line, sizeof(line), "cat %s/log >&2", me->dir);
	(void)!system(line);
	need(0, command);
}

struct kvr_test_ca *
kvr_test_ca_make(const char *name)
{
	struct kvr_test_ca *me = calloc(1, sizeof(*me));
	char line[512];
	need(me != NULL, "memory");
	me->maker = getpid();
	snprintf(me->dir, sizeof(me->dir), "/tmp/kvr-ca-XXXXXX");
	need(mkdtemp(me->dir) != NULL, "directory in /tmp");
	snprintf(line, sizeof(line),
	    "openssl req -x509 " NEW_KEY " -keyout ca.key -out ca.pem -days 2 -subj '/CN=%s'",
	    name);
	kvr_test_ca_sh(me, line);
	return me;
}

void
kvr_test_ca_sign(struct kvr_test_ca *me, const char *name, const char *alt, int days)
{
	char line[1536], until[160];
	snprintf(until, sizeof(until), "-days %d", days);
	/* An openssl that refuses an end before the beginning can be told both, and an older one cannot. */
	if (days < 0)
		snprintf(until, sizeof(until), "$(openssl x509 -help 2>&1 | grep -q -e -not_after && "
		    "echo -not_before 20200101000000Z -not_after 20200102000000Z || echo -days %d)", days);
	snprintf(line, sizeof(line),
	    "openssl req " NEW_KEY " -keyout %s.key -out %s.csr -subj '/CN=%s' && "
	    "echo 'subjectAltName=%s' > %s.ext && "
	    "openssl x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -out %s.pem %s "
	    "-extfile %s.ext -set_serial %u",
	    name, name, name, alt, name, name, name, until, name, 100 + me->serial++);
	kvr_test_ca_sh(me, line);
}

void
kvr_test_ca_crl(const struct kvr_test_ca *me, const char *file, const char *name, bool is_old)
{
	static const char ca[] = "openssl ca -config crl.cnf -cert ca.pem -keyfile ca.key";
	char line[1024], revoke[256] = ":";
	if (name != NULL)
		snprintf(revoke, sizeof(revoke), "%s -revoke %s.pem", ca, name);
	snprintf(line, sizeof(line),
	    "touch index.txt && printf '[ca]\\ndefault_ca=c\\n[c]\\ndatabase=index.txt\\n"
	    "default_md=sha256\\nunique_subject=no\\n' > crl.cnf && %s && "
	    "%s -gencrl %s -out next.crl && mv next.crl %s",
	    revoke, ca, is_old ? "-crl_lastupdate 20200101000000Z -crl_nextupdate 20200102000000Z" :
	                         "-crldays 2", file);
	kvr_test_ca_sh(me, line);
}

void
kvr_test_ca_drop(struct kvr_test_ca *take)
{
	char line[128];
	if (take == NULL || take->maker != getpid())
		return;
	snprintf(line, sizeof(line), "rm -r %s", take->dir);
	need(system(line) == 0, "cannot take the directory away");
	free(take);
}

int
kvr_tls_missing(void)
{
	char line[512];
	int knows = 0, not = 0;
	if (kvr_redis_server_missing() || system("openssl version >/dev/null 2>&1") != 0)
		return 1;
	/* It names the first option that it does not know, from 8 on all of them, and starts nothing. */
	FILE *says = popen("redis-server --tls-port 0 --no-such-option 1 2>&1", "r");
	while (says != NULL && fgets(line, sizeof(line), says) != NULL) {
		knows |= strstr(line, ">>> 'no-such-option") != NULL;
		not |= strstr(line, ">>> 'tls-port") != NULL;
	}
	if (says != NULL)
		pclose(says);
	return !knows || not;
}

struct kvr_tls_server *
kvr_tls_server_start(const struct kvr_test_ca *ca, const char *cert, const char *clients,
    const char *password, const char *const *more)
{
	struct kvr_tls_server *me = calloc(1, sizeof(*me));
	need(me != NULL, "memory");
	me->port = kvr_port_take();
	snprintf(me->url, sizeof(me->url), "rediss://127.0.0.1:%u", me->port);
	snprintf(me->port_text, sizeof(me->port_text), "%u", me->port);
	snprintf(me->cert, sizeof(me->cert), "%s/%s.pem", ca->dir, cert);
	snprintf(me->key, sizeof(me->key), "%s/%s.key", ca->dir, cert);
	snprintf(me->ca, sizeof(me->ca), "%s/ca.pem", ca->dir);
	const char *args[] = { "--tls-port", me->port_text, "--tls-cert-file", me->cert,
		"--tls-key-file", me->key, "--tls-ca-cert-file", me->ca, "--tls-auth-clients",
		clients };
	size_t n = sizeof(args) / sizeof(args[0]);
	memcpy(me->args, args, sizeof(args));
	for (size_t i = 0; more != NULL && more[i] != NULL; i++) {
		need(n + 1 < sizeof(me->args) / sizeof(me->args[0]), "too many options");
		me->args[n++] = more[i];
	}
	me->redis = kvr_redis_server_start(password, me->args);
	return me;
}

void
kvr_tls_server_stop(struct kvr_tls_server *take)
{
	if (take == NULL)
		return;
	kvr_redis_server_stop(take->redis);
	kvr_port_give(take->port);
	free(take);
}
