/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reference adapter: kvr_eic_sdk.h on top of the vendor's Python module "eic", because that
 * module is the only part of the SDK that is publicly documented, by its users. It becomes
 * libkvr_eic.so.
 *
 * Known, from LMCache's connector and other users of the module:
 *   InitOption's members, LogLevel(n), TransportType(n), init(instance, endpoint, option), 0: good;
 *   StringVector and IOBuffers.append(address, length, registered); the four calls with keys, and
 *   their options' ns and ttl_second; the last part of a result has status_codes, one for each key,
 *   which are more precise than the first part; StatusCode SUCCESS, PARTIAL_FAILED, KEY_NOT_EXIST;
 *   register_memory(buffers, MemoryInfo), true: good; LMCache passes MEMORY_CUDA and device 0 for
 *   host memory, and so does this adapter.
 * Assumed, because it is documented nowhere:
 *   mget fills a buffer that is as long as the value, and fails for other lengths. The module
 *   reports no lengths, so none is reported here, and a shorter stored value would not be noticed;
 *   registered memory is released with the client, because there is no call for it;
 *   other codes of a key cannot be distinguished, and become KVR_EIC_FAILED;
 *   calls may come from several threads. They take the interpreter's lock and hold it as long as
 *   the module does: then they run one after the other, and a Python program around us waits too.
 *
 * If the process has an interpreter it is used, otherwise one is started. It is never ended,
 * because extension modules cannot be loaded again. Python finds the module as usual: PYTHONPATH.
 * Tested with tests/harness/eic_module, never with the vendor's module.
 */
#include <Python.h> /* asks to be the first */

#include "kvr_eic_sdk.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client {
	PyObject *eic; /* the module */
	PyObject *client;
	PyObject *success, *partial, *missing; /* of StatusCode */
};

/*
 * One call with keys. at[i]: the index, among the caller's keys, of the i-th key given to the
 * module.
 */
struct call {
	PyObject *keys, *buffers, *option;
	uint32_t  n, at[KVR_EIC_KEYS_MAX];
};

/* ---- Python ---- */

static void
start_python(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	Dl_info of;
	pthread_mutex_lock(&lock);
	if (!Py_IsInitialized()) {
		/* We were loaded privately, but modules expect Python's symbols to be global. */
		if (dladdr(&PyExc_Exception, &of) != 0)
			(void)dlopen(of.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
		Py_InitializeEx(0);
		PyEval_SaveThread();
	}
	pthread_mutex_unlock(&lock);
}

/* The interpreter of a process is not always the version whose headers we were compiled with. */
static int
is_known(char *why, size_t why_cap)
{
	char ours[16];
	const char *its = Py_GetVersion();
	int len = snprintf(ours, sizeof(ours), "%d.%d.", PY_MAJOR_VERSION, PY_MINOR_VERSION);
	if (strncmp(its, ours, (size_t)len) == 0)
		return 1;
	snprintf(why, why_cap, "built for Python %.*s, this process has %.*s: build it anew",
	    len - 1, ours, (int)strcspn(its, " "), its);
	return 0;
}

/* Takes the exception that Python has raised. */
static void
raised(char *why, size_t why_cap)
{
	PyObject *value, *text;
#if PY_VERSION_HEX >= 0x030c0000
	value = PyErr_GetRaisedException();
#else
	PyObject *type, *trace;
	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	Py_XDECREF(type);
	Py_XDECREF(trace);
#endif
	text = value != NULL ? PyObject_Str(value) : NULL;
	const char *words = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
	snprintf(why, why_cap, "%s", words != NULL ? words : "Python raised something");
	PyErr_Clear();
	Py_XDECREF(text);
	Py_XDECREF(value);
}

static PyObject *
make(const struct client *c, const char *name)
{
	return PyObject_CallMethod(c->eic, name, NULL);
}

static PyObject *
member(PyObject *of, const char *name, const char *inner)
{
	PyObject *outer = of != NULL ? PyObject_GetAttrString(of, name) : NULL;
	PyObject *ret = outer != NULL ? PyObject_GetAttrString(outer, inner) : NULL;
	Py_XDECREF(outer);
	return ret;
}

/* Also accepts NULLs, for which Python has already raised something. */
static int
set(PyObject *of, const char *name, PyObject *take)
{
	int ok = of != NULL && take != NULL && PyObject_SetAttrString(of, name, take) == 0;
	Py_XDECREF(take);
	return ok;
}

static int
done(PyObject *take)
{
	Py_XDECREF(take);
	return take != NULL;
}

static int
append_buffer(PyObject *buffers, const void *at, uint64_t len, int registered)
{
	return buffers != NULL && done(PyObject_CallMethod(buffers, "append", "KKO",
	    (unsigned long long)(uintptr_t)at, (unsigned long long)len,
	    registered ? Py_True : Py_False));
}

/* ---- a client ---- */

static void
drop(struct client *take)
{
	Py_XDECREF(take->client);
	Py_XDECREF(take->success);
	Py_XDECREF(take->partial);
	Py_XDECREF(take->missing);
	Py_XDECREF(take->eic);
	free(take);
}

static int
make_dir(const char *path)
{
	PyObject *os = PyImport_ImportModule("os");
	int made = os != NULL &&
	    done(PyObject_CallMethod(os, "makedirs", "siO", path, 0777, Py_True));
	Py_XDECREF(os);
	return made;
}

static PyObject *
init_option(struct client *c, const struct kvr_eic_options *o)
{
	PyObject *option = make(c, "InitOption");
	int ok = set(option, "log_level", PyObject_CallMethod(c->eic, "LogLevel", "i",
	        (int)o->log_level)) &&
	    set(option, "transport_type", PyObject_CallMethod(c->eic, "TransportType", "i",
	        (int)o->trans_type));
	if (ok && o->log_dir != NULL)
		ok = make_dir(o->log_dir) &&
		    set(option, "log_dir", PyUnicode_FromString(o->log_dir));
	if (ok && o->flag_file != NULL)
		ok = set(option, "flag_file", PyUnicode_FromString(o->flag_file));
	if (ok)
		return option;
	Py_XDECREF(option);
	return NULL;
}

/* 0, init's own answer, or -1 with an exception raised. */
static int
init(struct client *c, const struct kvr_eic_options *o)
{
	c->eic = PyImport_ImportModule("eic");
	c->success = member(c->eic, "StatusCode", "SUCCESS");
	c->partial = c->success != NULL ? member(c->eic, "StatusCode", "PARTIAL_FAILED") : NULL;
	c->missing = c->partial != NULL ? member(c->eic, "StatusCode", "KEY_NOT_EXIST") : NULL;
	PyObject *option = c->missing != NULL ? init_option(c, o) : NULL;
	c->client = option != NULL ? make(c, "Client") : NULL;
	PyObject *answer = c->client == NULL ? NULL
	    : PyObject_CallMethod(c->client, "init", "zsO", o->instance_id, o->endpoint, option);
	int rc = answer != NULL ? (int)PyLong_AsLong(answer) : -1;
	Py_XDECREF(answer);
	Py_XDECREF(option);
	return rc;
}

static int
open_client(const struct kvr_eic_options *o, void **ret, char *why, size_t why_cap)
{
	start_python();
	struct client *c = is_known(why, why_cap) ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL)
		return -1;
	PyGILState_STATE gil = PyGILState_Ensure();
	int rc = init(c, o);
	if (PyErr_Occurred() != NULL)
		raised(why, why_cap);
	else if (rc != 0)
		snprintf(why, why_cap, "eic.Client.init says no; see the log in eic.log_dir");
	if (rc == 0)
		*ret = c;
	else
		drop(c);
	PyGILState_Release(gil);
	return rc;
}

static void
close_client(void *client)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	drop(client);
	PyGILState_Release(gil);
}

static int
reg(void *client, void *at, uint64_t len, char *why, size_t why_cap)
{
	struct client *c = client;
	PyGILState_STATE gil = PyGILState_Ensure();
	PyObject *info = make(c, "MemoryInfo"), *buffers = make(c, "IOBuffers"), *answer = NULL;
	if (set(info, "type", member(c->eic, "MemoryType", "MEMORY_CUDA")) &&
	    set(info, "cuda_id", PyLong_FromLong(0)) && append_buffer(buffers, at, len, 1))
		answer = PyObject_CallMethod(c->client, "register_memory", "OO", buffers, info);
	int is_good = answer != NULL ? PyObject_IsTrue(answer) : -1;
	if (is_good < 0)
		raised(why, why_cap);
	else if (!is_good)
		snprintf(why, why_cap, "register_memory says no to %llu bytes",
		    (unsigned long long)len);
	Py_XDECREF(answer);
	Py_XDECREF(buffers);
	Py_XDECREF(info);
	PyGILState_Release(gil);
	return is_good == 1 ? 0 : -1;
}

/* ---- calls with keys ---- */

/* buffers NULL: a call without buffers. */
static int
begin(struct client *c, struct call *call, const char *option, const char *ns, uint32_t n,
    const char *const *keys, const struct kvr_eic_buffer *buffers, int32_t *codes)
{
	*call = (struct call){ .keys = make(c, "StringVector"), .option = make(c, option) };
	call->buffers = buffers != NULL ? make(c, "IOBuffers") : NULL;
	int ok = call->keys != NULL && set(call->option, "ns", PyUnicode_FromString(ns)) &&
	    (call->buffers != NULL || buffers == NULL) && n <= KVR_EIC_KEYS_MAX;
	for (uint32_t i = 0; i < n && ok; i++) {
		PyObject *key = PyUnicode_FromString(keys[i]);
		codes[i] = key != NULL ? KVR_EIC_FAILED : KVR_EIC_NO_KEY;
		if (key == NULL) {
			PyErr_Clear(); /* not UTF-8, so not a Python text */
			continue;
		}
		ok = done(PyObject_CallMethod(call->keys, "append", "O", key));
		Py_DECREF(key);
		if (ok && buffers != NULL)
			ok = append_buffer(call->buffers, buffers[i].at, buffers[i].len,
			    buffers[i].registered != 0);
		call->at[call->n++] = i;
	}
	return ok;
}

/* A key is good only if both parts of the result say so. */
static int
read_codes(const struct client *c, const struct call *call, PyObject *status, PyObject *list,
    int32_t *codes)
{
	Py_ssize_t len = PyObject_Length(list);
	int all = PyObject_RichCompareBool(status, c->success, Py_EQ) == 1;
	int some = all || PyObject_RichCompareBool(status, c->partial, Py_EQ) == 1;
	if (len != (Py_ssize_t)call->n && !(all && len == 0))
		return -1;
	for (uint32_t i = 0; i < call->n; i++) {
		PyObject *code = len > 0 ? PySequence_GetItem(list, i) : Py_NewRef(c->success);
		if (code == NULL)
			return -1;
		if (PyObject_RichCompareBool(code, c->missing, Py_EQ) == 1)
			codes[call->at[i]] = KVR_EIC_NOT_EXIST;
		else if (some && PyObject_RichCompareBool(code, c->success, Py_EQ) == 1)
			codes[call->at[i]] = KVR_EIC_OK;
		Py_DECREF(code);
	}
	return 0;
}

/* result: (status, outcome) or (status, buffers, outcome). */
static int
end(struct client *c, struct call *take, PyObject *result, int32_t *codes)
{
	PyObject *status = result != NULL ? PySequence_GetItem(result, 0) : NULL;
	PyObject *outcome = status != NULL ? PySequence_GetItem(result, -1) : NULL;
	PyObject *list =
	    outcome != NULL ? PyObject_GetAttrString(outcome, "status_codes") : NULL;
	int rc = list != NULL ? read_codes(c, take, status, list, codes) : -1;
	/* The caller cannot be told, so it goes where Python puts uncaught exceptions. */
	if (PyErr_Occurred() != NULL)
		PyErr_WriteUnraisable(c->client);
	Py_XDECREF(list);
	Py_XDECREF(outcome);
	Py_XDECREF(status);
	Py_XDECREF(result);
	Py_XDECREF(take->keys);
	Py_XDECREF(take->buffers);
	Py_XDECREF(take->option);
	return rc;
}

static int
mset(void *client, const char *ns, int64_t ttl_s, uint32_t n, const char *const *keys,
    const struct kvr_eic_buffer *buffers, int32_t *codes)
{
	struct call call;
	PyObject *result = NULL;
	PyGILState_STATE gil = PyGILState_Ensure();
	struct client *c = client;
	if (begin(c, &call, "SetOption", ns, n, keys, buffers, codes) &&
	    set(call.option, "ttl_second", PyLong_FromLongLong(ttl_s)))
		result = PyObject_CallMethod(
		    c->client, "mset", "OOO", call.keys, call.buffers, call.option);
	int rc = end(c, &call, result, codes);
	PyGILState_Release(gil);
	return rc;
}

static int
mget(void *client, const char *ns, uint32_t n, const char *const *keys,
    struct kvr_eic_buffer *buffers, int32_t *codes)
{
	struct call call;
	PyObject *result = NULL;
	PyGILState_STATE gil = PyGILState_Ensure();
	struct client *c = client;
	if (begin(c, &call, "GetOption", ns, n, keys, buffers, codes))
		result = PyObject_CallMethod(
		    c->client, "mget", "OOO", call.keys, call.option, call.buffers);
	int rc = end(c, &call, result, codes);
	PyGILState_Release(gil);
	return rc;
}

static int
without_buffers(struct client *c, const char *verb, const char *option, const char *ns, uint32_t n,
    const char *const *keys, int32_t *codes)
{
	struct call call;
	PyObject *result = NULL;
	PyGILState_STATE gil = PyGILState_Ensure();
	if (begin(c, &call, option, ns, n, keys, NULL, codes))
		result = PyObject_CallMethod(c->client, verb, "OO", call.keys, call.option);
	int rc = end(c, &call, result, codes);
	PyGILState_Release(gil);
	return rc;
}

static int
mexist(void *client, const char *ns, uint32_t n, const char *const *keys, int32_t *codes)
{
	return without_buffers(client, "mexist", "ExistOption", ns, n, keys, codes);
}

static int
mdel(void *client, const char *ns, uint32_t n, const char *const *keys, int32_t *codes)
{
	return without_buffers(client, "mdel", "DelOption", ns, n, keys, codes);
}

__attribute__((visibility("default"))) kvr_eic_sdk_fn kvr_eic_sdk;

const struct kvr_eic_sdk *
kvr_eic_sdk(void)
{
	static const struct kvr_eic_sdk sdk = { .abi = KVR_EIC_ABI, .size = sizeof(sdk),
		.open = open_client, .close = close_client, .mset = mset, .mget = mget,
		.mexist = mexist, .mdel = mdel, .reg = reg };
	return &sdk;
}
