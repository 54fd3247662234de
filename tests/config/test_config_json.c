/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner: what is JSON, and exactly where something stops being it. */
#include "kvr_json_scan.h"

#include "kvr_check.h"

#include <string.h>

START_TEST(what_is_json_passes)
{
	static const char *const good[] = { "{}", "[]", " null ", "\"\"", "0", "-0.5e+10", "1E-2",
		"[1, 2,3 ]", "{\"a\":{\"b\":[true,false,null]}}",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "\xef\xbb\xbf{}", "\"\xc3\xa9\"",
		"{\"a\":\"{[,\"}", "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]" };

	for (size_t i = 0; i < KVR_LEN(good); i++) {
		struct kvr_json_bad bad = { NULL, "" };

		ck_assert_msg(
		    kvr_json_scan(good[i], strlen(good[i]), &bad), "%s: %s", good[i], bad.what);
	}
}
END_TEST

static const struct {
	const char *text;
	size_t at;
	const char *what;
} not_json[] = {
	{ "", 0, "the document is empty" },
	{ "  \n", 3, "the document is empty" },
	{ "{", 1, "the document ends before it is complete" },
	{ "{\"a\"", 4, "the document ends before it is complete" },
	{ "{\"a\":", 5, "the document ends before it is complete" },
	{ "[1,", 3, "the document ends before it is complete" },
	{ "{\"a\":1,}", 6, "this comma is one too many" },
	{ "[1 , ]", 3, "this comma is one too many" },
	{ "{\"a\":1 \"b\":2}", 6, "a ',' is missing here" },
	{ "[1 2]", 2, "a ',' is missing here" },
	{ "[1;2]", 2, "expected ',' or ']'" },
	{ "{\"a\":1)", 6, "expected ',' or '}'" },
	{ "{a:1}", 1, "expected a name in double quotes" },
	{ "{'a':1}", 1, "texts and names stand in double quotes" },
	{ "{\"a\" 1}", 5, "expected ':' between name and value" },
	{ "{\"a\":tru}", 5, "expected a value" },
	{ "+1", 0, "expected a value" },
	{ "01", 0, "this is no number of JSON" },
	{ "-", 0, "this is no number of JSON" },
	{ "1.", 0, "this is no number of JSON" },
	{ "[1e]", 1, "this is no number of JSON" },
	{ "1111111111111111111111111111111111111111111111111111111111111", 0,
	    "this is no number of JSON" },
	{ "{} {}", 3, "something follows the end of the document" },
	{ "// x", 0, "JSON has no comments" },
	{ "{ # x", 2, "JSON has no comments" },
	{ "\"abc", 0, "this text has no closing quote" },
	{ "[\"abc\n\"]", 1, "this text has no closing quote" },
	{ "\"a\tb\"", 2, "a control character in a text: write it as an escape, such as \\t" },
	{ "\"\\x\"", 1, "there is no such escape in JSON" },
	{ "\"\\", 1, "there is no such escape in JSON" },
	{ "\"\\u12\"", 1, "\\u takes four hexadecimal digits" },
	{ "\"\\u0000\"", 1, "a text cannot hold a NUL" },
	{ "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", 16, "nested too deeply" },
};

START_TEST(what_is_not_is_found_at_its_place)
{
	for (size_t i = 0; i < KVR_LEN(not_json); i++) {
		struct kvr_json_bad bad = { NULL, "" };

		ck_assert_msg(!kvr_json_scan(not_json[i].text, strlen(not_json[i].text), &bad),
		    "passed: %s", not_json[i].text);
		ck_assert_str_eq(bad.what, not_json[i].what);
		ck_assert_msg(bad.at == not_json[i].text + not_json[i].at, "%s: at %td, not %zu",
		    not_json[i].text, bad.at - not_json[i].text, not_json[i].at);
	}
}
END_TEST

START_TEST(a_nul_byte_ends_nothing)
{
	static const char text[] = "{\0}";
	struct kvr_json_bad bad = { NULL, "" };

	ck_assert(!kvr_json_scan(text, sizeof(text) - 1, &bad));
	ck_assert_str_eq(bad.what, "a NUL in the document");
	ck_assert_ptr_eq(bad.at, text + 1);
}
END_TEST

KVR_CHECK_MAIN(
    "config.json", what_is_json_passes, what_is_not_is_found_at_its_place, a_nul_byte_ends_nothing)
