/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a request, parsed in place. A line ends with LF or CR LF; any other control byte
 * makes the request wrong, because proxies and servers do not agree on what such a byte means.
 */
#include "kvr_http_own.h"

#include <string.h>
#include <strings.h>

/* ---- where it ends ---- */

/* The byte behind a line that begins at `at`; NULL: its end has not come. */
static const char *
next_line(const char *at, const char *end)
{
	const char *lf = memchr(at, '\n', (size_t)(end - at));

	return lf == NULL ? NULL : lf + 1;
}

size_t
kvr_http_head_len(const char *at, size_t len)
{
	const char *end = at + len;

	for (const char *line = at, *next; (next = next_line(line, end)) != NULL; line = next) {
		if (next - line == 1 || (next - line == 2 && line[0] == '\r'))
			return (size_t)(next - at);
	}
	return 0;
}

/* ---- lines ---- */

/* Ends the line with a NUL. False: there is a control byte in it. */
static bool
end_line(char *line, char *next)
{
	char *end = next - 1;

	if (end > line && end[-1] == '\r')
		end--;
	*end = '\0';
	for (char *at = line; at < end; at++)
		if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
			return false;
	return true;
}

/* "GET /path?query HTTP/1.1": false if it is no such line. */
static bool
request_line(char *line, struct kvr_http_request *ret, const char **ret_method)
{
	static const char version[] = "HTTP/1.";
	const size_t n = sizeof(version) - 1;
	char *path = strchr(line, ' '), *third = path == NULL ? NULL : strchr(path + 1, ' ');

	if (third == NULL || path == line || path[1] != '/' ||
	    strncmp(third + 1, version, n) != 0 || third[1 + n] < '0' || third[1 + n] > '9' ||
	    third[2 + n] != '\0')
		return false;
	*path++ = '\0';
	*third = '\0';
	path[strcspn(path, "?#")] = '\0';
	ret->path = path;
	*ret_method = line;
	return true;
}

/* The value of a header with that name, without the blanks around it; NULL: it has another. */
static const char *
value_of(char *line, const char *name)
{
	const size_t n = strlen(name);

	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	char *value = line + n + 1 + strspn(line + n + 1, " \t");
	size_t len = strlen(value);

	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	value[len] = '\0';
	return value;
}

int32_t
kvr_http_request_read(char *head, size_t len, struct kvr_http_request *ret, bool *ret_body)
{
	char *end = head + len, *next = (char *)next_line(head, end), *line;
	const char *method = "";

	*ret = (struct kvr_http_request){ .path = "", .accept = "" };
	if (!end_line(head, next) || !request_line(head, ret, &method))
		return 400;
	for (line = next; line < end; line = next) {
		next = (char *)next_line(line, end);
		if (!end_line(line, next))
			return 400;
		const char *accept = value_of(line, "Accept");

		if (accept != NULL && ret->accept[0] == '\0')
			ret->accept = accept;
	}
	*ret_body = strcmp(method, "GET") == 0;
	return *ret_body || strcmp(method, "HEAD") == 0 ? 200 : 405;
}
